"""Payloads of products that were not looked at while the rules of the reader were written.

`payloads.json` holds them with what is right, written by hand before they were read the first time: `series` with
their values, or null where nothing is to be read; `alt`, further right answers; `or_refuse`, a refusal is right too.
Times are five minutes apart from 2026-03-01T06:00:00Z, or those in `stamps`, moved by `shift_ms`; `over_names`: there
are none.
"""

import json
from pathlib import Path
from typing import Any

from kit import Theme, Truth

STEP_MS, COUNT = 300_000, 10
MS = [1_772_344_800_000 + STEP_MS * i for i in range(COUNT)]


def build() -> Theme:
    theme = Theme("products")
    for record in json.loads((Path(__file__).parent / "payloads.json").read_text(encoding="utf-8")):
        _add(theme, record)
    return theme


def _add(theme: Theme, record: dict[str, Any]) -> None:
    stamps = [None] * 1000 if record.get("over_names") else record.get("stamps", MS)
    shift_ms = int(record.get("shift_ms", 0))

    def truth(series: dict[str, list[float]]) -> Truth:
        return {
            name: [
                (None if ms is None else int(ms + shift_ms), value) for ms, value in zip(stamps, values, strict=False)
            ]
            for name, values in series.items()
        }

    series = record["series"]
    theme.add(
        record["kinds"],
        record["name"],
        record["name"],
        record["payload"],
        None if series is None else truth(series),
        alt=[truth(other) for other in record.get("alt", [])],
        refuse="" if series is None else None,
        or_refuse=record.get("or_refuse", False),
    )
