"""Columns beside the measurements, odd names and values, and every way to write long rows."""

import json
from decimal import Decimal
from typing import Any

import jsonpickle
import numpy as np
from kit import Row, Theme, Truth, epoch_ms, iso, lib, rename, rows, table, wave, wide

FRAME = table({"temp": wave(24, 44, 3), "flow.m3h": wave(24, 17, 2, 1)}, start="2026-03-20T16:00:00Z")
TRUTH = wide(FRAME)
ROWS: list[Row] = rows(FRAME)
HAND = "hand-written service"


def beside(theme: Theme) -> None:
    def rows_with(make: Any) -> list[Row]:
        return [{**make(i), **row} for i, row in enumerate(ROWS)]

    def uuid(i: int) -> str:
        return f"6ba7b810-9dad-11d1-80b4-{i * 7919:012x}"

    extras: list[tuple[str, str, Any]] = [
        ("bc", "uuid and site", lambda i: {"uuid": uuid(i), "site": "Nord", "plant": "P2"}),
        ("b", "camel-case ids that jump", lambda i: {"readingId": 88120 + i * i, "sensorId": 17, "tenantId": 3}),
        ("c", "row number from 1", lambda i: {"#": i + 1}),
        ("b", "sequence that wraps", lambda i: {"seq": (250 + i) % 256}),
        (
            "c",
            "unit, quality and comment",
            lambda i: {"unit": "mixed", "quality": "good" if i % 5 else "uncertain", "comment": ""},
        ),
        ("b", "quality as a code", lambda i: {"quality": 192 if i % 7 else 64}),
        ("c", "constant place", lambda _: {"lat": 52.5163, "lon": 13.3777, "altitude": 34}),
        ("b", "ingest time in epoch ms", lambda i: {"ingested_at": epoch_ms(ROWS[i]["ts"]) + 1830}),
        ("c", "flags", lambda i: {"running": i % 2 == 0, "alarm": False}),
        ("b", "ids as text with leading zeros", lambda i: {"serial": "0004711", "order_no": f"{i:08d}"}),
        ("c", "mongo id and version", lambda i: {"_id": f"65f1{i:020x}", "__v": 0}),
        ("b", "nested object of the device", lambda _: {"device": {"id": 41, "name": "line 1", "firmware": "2.10"}}),
        ("c", "address, version and colour", lambda i: {"ip": "10.0.0.17", "version": "1.10", "color": "#1f77b4"}),
        ("b", "partition and offset", lambda i: {"partition": 3, "offset": 10_223_344 + i, "key": "line-1"}),
        ("b", "tags as list and text", lambda _: {"tags": ["a", "b"], "labels": {"area": "north"}}),
        ("c", "a spectrum in each row", lambda i: {"spectrum": [0.1 * i, 0.2, 0.3, 0.4]}),
    ]
    doubts = {
        "a spectrum in each row": "A list in a cell is no number: left out with a reason.",
        "quality as a code": "192 and 64 are OPC quality codes.",
        "flags": "A flag is a state, no measurement.",
    }
    for kinds, name, make in extras:
        alt: list[Truth] = []
        if name == "constant place":
            place: Truth = {
                key: [(epoch_ms(row["ts"]), value) for row in ROWS]
                for key, value in (("lat", 52.5163), ("lon", 13.3777), ("altitude", 34))
            }
            alt = [{**TRUTH, "altitude": place["altitude"]}]
        theme.add(kinds, f"beside: {name}", HAND, rows_with(make), TRUTH, alt=alt, doubt=doubts.get(name))
    theme.add(
        "b",
        "beside: jsonpickle type names",
        f"{lib('jsonpickle')} encode of objects",
        json.dumps([{"py/object": "plant.Reading", **row} for row in json.loads(jsonpickle.encode(ROWS))]),
        TRUTH,
    )


def names(theme: Theme) -> None:
    forms = [
        ("names with spaces", "Inlet temperature", "Flow rate total"),
        ("Greek letters", "θ_in", "ΔT"),
        ("digits only", "40001", "40003"),
        ("units in brackets", "Temperature (°C)", "CO2 [ppm]"),
        ("dots and slashes", "plant/line1/temp", "plant.line1.flow"),
        ("names that hold id", "humidity", "fluid_level"),
        ("names that hold time", "runtime_h", "time_to_service"),
        ("names that hold lat and lon", "latency_ms", "longest_wave"),
        ("names that hold unit", "unit_load", "community_use"),
        ("names that hold index", "uv_index", "air_quality_index"),
        ("names that hold date", "update_rate", "candidate_score"),
        ("names that hold seq and count", "consequence", "particle_count"),
        ("names that hold status", "status_voltage", "flag_height"),
        ("very long names", "a" * 120, "b" * 120),
        ("emoji and quotes", '🌡 "inlet"', "flow, total"),
        ("upper case", "TEMP", "FLOW"),
    ]
    for position, (name, first, second) in enumerate(forms):
        renamed = {"temp": first, "flow.m3h": second}
        theme.add(
            "c" if position % 2 else "b",
            f"names: {name}",
            HAND,
            [{renamed.get(key, key): value for key, value in row.items()} for row in ROWS],
            rename(TRUTH, renamed),
        )


def values(theme: Theme) -> None:
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
        theme.add(
            kinds, f"values: {name}", more.pop("source", HAND), json.dumps(data, default=str), wide(numbers), **more
        )

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
    add("b", "a constant measurement", {"setpoint": [55.0] * count, "temp": wave(count, 54, 1)})
    add(
        "b",
        "counting up by one",
        {"count": [101 + i for i in range(count)], "temp": wave(count, 54, 1)},
        doubt="`count` rises by one like a row number, but its name is that of a measurement.",
    )
    add("c", "an energy meter", {"energy_kWh": [80512.5 + i for i in range(count)], "power": wave(count, 60, 5)})
    add("b", "zero and one", {"pump": [i % 2 for i in range(count)], "temp": wave(count, 54, 1)})
    add(
        "c", "a null column beside", {"temp": wave(count, 54, 1), "spare": [None] * count}, {"temp": wave(count, 54, 1)}
    )
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


def long_rows(theme: Theme) -> None:
    short = {"temp": "temp", "flow.m3h": "flow.m3h"}
    for position, (label, value, time) in enumerate(
        (
            ("name", "value", "timestamp"),
            ("parameter", "val", "time"),
            ("tag", "v", "t"),
            ("variable", "value", "ts"),
            ("channel", "reading", "at"),
            ("point_name", "point_value", "point_time"),
            ("Tagname", "Value", "DateTime"),
            ("field", "_value", "_time"),
            ("n", "v", "t"),
            ("measurement", "amount", "observedAt"),
            ("signal", "y", "x"),
            ("TagName", "vValue", "DateTime"),
            ("key", "value", "ts"),
            ("kpi", "result", "date"),
        )
    ):
        data = [{time: row["ts"], label: name, value: row[name]} for row in ROWS for name in short]
        theme.add(
            "bc" if position % 5 == 0 else "bc"[position % 2], f"long: {label}, {value}, {time}", HAND, data, TRUTH
        )
    theme.add(
        "bc",
        "long: values as text",
        HAND,
        [{"metric": name, "value": f"{row[name]:.3f}", "ts": epoch_ms(row["ts"])} for row in ROWS for name in short],
        TRUTH,
    )
    theme.add(
        "b",
        "long: block after block, different lengths",
        HAND,
        [{"metric": "temp", "value": row["temp"], "ts": row["ts"]} for row in ROWS]
        + [{"metric": "flow.m3h", "value": row["flow.m3h"], "ts": row["ts"]} for row in ROWS[:5]],
        {**TRUTH, "flow.m3h": TRUTH["flow.m3h"][:5]},
    )
    theme.add(
        "bc",
        "long: unit and sensor beside the metric",
        HAND,
        [
            {
                "sensorId": f"S-{17 + i}",
                "metric": name,
                "unit": ("°C", "m3/h")[i],
                "ts": row["ts"],
                "value": row[name],
                "quality": "good",
            }
            for row in ROWS
            for i, name in enumerate(short)
        ],
        TRUTH,
    )
    theme.add(
        "c",
        "long: csv",
        HAND,
        "time,metric,value\n" + "".join(f"{row['ts']},{name},{row[name]}\n" for row in ROWS for name in short),
        TRUTH,
        pandas={"call": "read_csv", "time": "time", "pivot": ["metric", "value"]},
    )
    theme.add(
        "b",
        "long: one metric only",
        HAND,
        [{"metric": "temp", "value": row["temp"], "ts": row["ts"]} for row in ROWS],
        {"temp": TRUTH["temp"]},
        alt=[{"value": TRUTH["temp"]}],
    )
    theme.add(
        "b",
        "long: one reading",
        HAND,
        {"metric": "temp", "value": 21.5, "ts": ROWS[0]["ts"], "sensorId": "S-1"},
        {"temp": [(epoch_ms(ROWS[0]["ts"]), 21.5)]},
        alt=[{"value": [(epoch_ms(ROWS[0]["ts"]), 21.5)]}],
    )
    two = [
        {"ts": row["ts"], "site": site, "metric": name, "value": row[name] + 10 * k}
        for row in ROWS
        for k, site in enumerate(("Nord", "Sud"))
        for name in short
    ]
    split = {(name, k): [(stamp, value + 10 * k) for stamp, value in TRUTH[name]] for name in short for k in range(2)}
    forms = [
        "{m}.{s}",
        "{s}.{m}",
        "{m} {s}",
        "{s} {m}",
        "{m}/{s}",
        "{s}/{m}",
        "{m} ({s})",
        "{m}@{s}",
        "{m}_{s}",
        "{s}_{m}",
        "{s}:{m}",
        "{m}:{s}",
        "{m} · {s}",
        "{s} · {m}",
        "{m}[{s}]",
        "{m}{{{s}}}",
        "{m} | {s}",
        "{s} | {m}",
        "{m}, {s}",
        "{s}, {m}",
        "{m} site={s}",
        "{m}{{site={s}}}",
        "{s}: {m}",
        "{m}: {s}",
        "{s} - {m}",
        "{m} - {s}",
    ]
    by_both = [
        {form.format(m=name, s=site): split[name, k] for name in short for k, site in enumerate(("Nord", "Sud"))}
        for form in forms
    ]
    merged: Truth = {name: split[name, 0] + split[name, 1] for name in short}
    theme.add(
        "c", "long: two labels", HAND, two, by_both[0], alt=by_both[1:], doubt="Four series; their names may differ."
    )
    theme.add(
        "b",
        "long: two labels",
        HAND,
        two,
        by_both[0],
        alt=[*by_both[1:], merged],
        doubt="Per metric over both sites is defensible for a batch, never for a chart.",
    )
    nested = {"readings": {name: [{"ts": row["ts"], "value": row[name]} for row in ROWS] for name in short}}
    theme.add(
        "bc", "long: rows below the name", HAND, nested, TRUTH, alt=[rename(TRUTH, lambda name: f"readings.{name}")]
    )
    blocks = {
        "sensors": [
            {"name": name, "unit": "x", "readings": [{"ts": row["ts"], "value": row[name]} for row in ROWS]}
            for name in short
        ]
    }
    theme.add("bc", "long: sensors with rows of their own", HAND, blocks, TRUTH)
    theme.add(
        "b",
        "long: one row per time with a list of readings",
        HAND,
        [
            {"time": row["ts"], "readings": [{"name": name, "value": row[name], "unit": "x"} for name in short]}
            for row in ROWS
        ],
        TRUTH,
    )


def build() -> Theme:
    theme = Theme("columns")
    for part in (beside, names, values, long_rows):
        part(theme)
    return theme
