"""Payloads that a careless reader misreads without a word: texts."""

from typing import Any

from kit import Row, Truth, iso, table, wave, wide

from traps.readings import EXPORT, HAND, ROWS, STAMPS, TRUTH, theme


def column(name: str, form: Any) -> list[Row]:
    return [{"ts": row["ts"], name: form(row["temp"]), "ph": row["ph"]} for row in ROWS]


rest: Truth = {"ph": TRUTH["ph"]}
theme.add(
    "b",
    "percent as text",
    EXPORT,
    column("humidity", lambda v: f"{v:.2f} %"),
    {"humidity": TRUTH["temp"], "ph": TRUTH["ph"]},
    alt=[rest],
    doubt="`41.00 %` is 41 or is left out with a reason; 0.41 is a misreading.",
)
theme.add("c", "a unit after each number", EXPORT, column("temp", lambda v: f"{v:.2f} °C"), TRUTH, alt=[rest])
big = table(
    {"volume": [round(1_234.5 + 1_011.25 * i, 2) for i in range(24)], "ph": wave(24, 6.8, 0.2, 1)},
    start="2026-03-18T09:00:00Z",
    step_s=300,
)
commas = [{"ts": iso(row.ts), "volume": f"{row.volume:,.2f}", "ph": row.ph} for row in big.itertuples()]
theme.add(
    "b",
    "thousands with commas",
    EXPORT,
    commas,
    wide(big),
    alt=[{"ph": wide(big)["ph"]}],
    doubt="1,234.50 is 1234.5 or is left out.",
)
german = [
    {
        "ts": iso(row.ts),
        "volume": f"{row.volume:,.2f}".replace(",", "_").replace(".", ",").replace("_", "."),
        "ph": row.ph,
    }
    for row in big.itertuples()
]
theme.add(
    "c",
    "thousands with dots, decimal comma",
    "de-DE export",
    german,
    wide(big),
    alt=[{"ph": wide(big)["ph"]}],
    doubt="1.234,50 is 1234.5 or is left out; 1.234 is a misreading.",
)
theme.add(
    "b",
    "decimal commas in text",
    "de-DE export",
    column("temp", lambda v: f"{v:.2f}".replace(".", ",")),
    TRUTH,
    alt=[rest],
    doubt="41,25 is 41.25 or is left out; 4125 is a misreading.",
)
ambiguous = [{"ts": row["ts"], "temp": f"{i + 1},{250 + i}", "ph": row["ph"]} for i, row in enumerate(ROWS)]
theme.add(
    "b",
    "comma before three digits",
    EXPORT,
    ambiguous,
    rest,
    or_refuse=True,
    alt=[
        {**rest, "temp": [(STAMPS[i], float(f"{i + 1}.{250 + i}")) for i in range(24)]},
        {**rest, "temp": [(STAMPS[i], float(f"{i + 1}{250 + i}")) for i in range(24)]},
    ],
    doubt="1,250 is 1.25 or 1250: only leaving it out is sure.",
)
theme.add(
    "b",
    "less-than signs",
    "laboratory export",
    [
        {"ts": row["ts"], "lead_ug": "<0.5" if i % 2 else f"{0.5 + i / 10:.1f}", "ph": row["ph"]}
        for i, row in enumerate(ROWS)
    ],
    {**rest, "lead_ug": [(STAMPS[i], round(0.5 + i / 10, 1)) for i in range(0, 24, 2)]},
    alt=[rest, {**rest, "lead_ug": [(STAMPS[i], 0.5 if i % 2 else round(0.5 + i / 10, 1)) for i in range(24)]}],
    doubt="Below the limit of detection: left out, or the limit.",
)
theme.add(
    "b",
    "hex and versions as text",
    HAND,
    [{"ts": row["ts"], "mask": f"0x{i:02X}", "firmware": "2.10", "ph": row["ph"]} for i, row in enumerate(ROWS)],
    rest,
    doubt="`2.10` is a version, constant under that name.",
)
halves = table({"temp": wave(8, 41, 3)}, start="2026-03-18T09:00:00Z", step_s=10800)
theme.add(
    "c",
    "12-hour clock without seconds",
    "en-US export",
    [
        {
            "Date": row.ts.strftime("%m/%d/%Y"),
            "Time": f"{row.ts.strftime('%I').lstrip('0')}:{row.ts.strftime('%M %p')}",
            "temp": row.temp,
        }
        for row in halves.itertuples()
    ],
    wide(halves),
)
