"""Columns beside the measurements, odd names and values, and every way to write long rows: values."""

import json
from decimal import Decimal
from typing import Any

import numpy as np
from kit import epoch_ms, iso, table, wave, wide

from columns.readings import HAND, theme

count = 20
base = table({"x": [0.0] * count})


def add(
    kinds: str, name: str, columns: dict[str, list[Any]], truth: dict[str, list[Any]] | None = None, **more: Any
) -> None:
    data = [
        {"ts": iso(moment), **{key: column[i] for key, column in columns.items()}}
        for i, moment in enumerate(base["ts"])
    ]
    numbers = table(truth or columns)
    theme.add(kinds, f"values: {name}", more.pop("source", HAND), json.dumps(data, default=str), wide(numbers), **more)


add(
    "b",
    "whole numbers",
    {"rpm": [1480 + (i * 13) % 17 for i in range(count)], "starts": [3 + i // 7 for i in range(count)]},
)
add(
    "c",
    "negative and exponents",
    {"leak": [-(i + 1) * 1.5e-7 for i in range(count)], "gain": [2.5e12 + i * 1e9 for i in range(count)]},
)
add("b", "a constant measurement", {"opening": [55.0] * count, "temp": wave(count, 54, 1)})
add(
    "b",
    "counting up by one",
    {"count": [101 + i for i in range(count)], "temp": wave(count, 54, 1)},
    doubt="`count` rises by one like a row number, but its name is that of a measurement.",
)
add("c", "an energy meter", {"energy_kWh": [80512.5 + i for i in range(count)], "power": wave(count, 60, 5)})
add("b", "zero and one", {"pump": [i % 2 for i in range(count)], "temp": wave(count, 54, 1)})
add("c", "a null column beside", {"temp": wave(count, 54, 1), "spare": [None] * count}, {"temp": wave(count, 54, 1)})
texts = [str(Decimal(f"{value:.3f}")) for value in wave(count, 7, 1)]
add(
    "b",
    "Decimals as text with a sign",
    {"net": [f"+{text}" for text in texts], "loss": [f"-{text}" for text in texts]},
    {"net": [float(text) for text in texts], "loss": [-float(text) for text in texts]},
)
add(
    "c",
    "exponents as text",
    {"leak": [f"{value:.3e}" for value in wave(count, 4e-6, 1e-6, digits=9)]},
    {"leak": [float(f"{value:.3e}") for value in wave(count, 4e-6, 1e-6, digits=9)]},
)
gappy: list[Any] = [f"{value}" for value in wave(count, 20, 2)]
for position, word in ((2, "NaN"), (5, ""), (8, "null"), (11, "n/a"), (14, "-")):
    gappy[position] = word
add(
    "bc",
    "text with words for missing",
    {"temp": gappy, "ph": wave(count, 7, 0.2)},
    {
        "temp": [np.nan if i in (2, 5, 8, 11, 14) else value for i, value in enumerate(wave(count, 20, 2))],
        "ph": wave(count, 7, 0.2),
    },
)
theme.add(
    "b",
    "values: infinity as bare words",
    "Python 3.13 json.dumps",
    json.dumps(
        [
            {"ts": iso(moment), "ratio": float("inf") if i == 4 else float("-inf") if i == 9 else i / 4}
            for i, moment in enumerate(base["ts"])
        ]
    ),
    wide(table({"ratio": [np.nan if i in (4, 9) else i / 4 for i in range(count)]})),
)
theme.add(
    "c",
    "values: members missing in some rows",
    HAND,
    [
        {"ts": iso(moment), **({"temp": wave(count, 20, 2)[i]} if i % 3 else {}), "ph": wave(count, 7, 0.2)[i]}
        for i, moment in enumerate(base["ts"])
    ],
    wide(
        table(
            {
                "temp": [value if i % 3 else np.nan for i, value in enumerate(wave(count, 20, 2))],
                "ph": wave(count, 7, 0.2),
            }
        )
    )
    | {"temp": [(epoch_ms(base["ts"][i]), value) for i, value in enumerate(wave(count, 20, 2)) if i % 3]},
)
theme.add(
    "b",
    "values: two kinds of rows",
    HAND,
    [
        {"ts": iso(moment), "temp": 20 + i / 8} if i % 2 else {"ts": iso(moment), "ph": 7 + i / 16}
        for i, moment in enumerate(base["ts"])
    ],
    {
        "temp": [(epoch_ms(base["ts"][i]), 20 + i / 8) for i in range(1, count, 2)],
        "ph": [(epoch_ms(base["ts"][i]), 7 + i / 16) for i in range(0, count, 2)],
    },
)
theme.add(
    "b",
    "values: whole numbers beyond 2^53",
    HAND,
    "["
    + ",".join(f'{{"ts":"{iso(moment)}","bytes":{2**60 + i * 2**40}}}' for i, moment in enumerate(base["ts"]))
    + "]",
    wide(table({"bytes": [float(2**60 + i * 2**40) for i in range(count)]})),
)
theme.add(
    "b",
    "values: 40 columns",
    HAND,
    [{"ts": iso(moment), **{f"ch{c:02d}": c + i / 4 for c in range(40)}} for i, moment in enumerate(base["ts"])],
    wide(table({f"ch{c:02d}": [c + i / 4 for i in range(count)] for c in range(40)})),
)
theme.add(
    "b",
    "values: no time at all",
    HAND,
    [{"temp": value, "ph": 7.5} for value in wave(count, 20, 2)],
    {"temp": [(None, value) for value in wave(count, 20, 2)], "ph": [(None, 7.5)] * count},
)
