"""What every theme shares: tables with known values, the expectations computed from them, and the list of cases."""

import json
import math
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

CASES = Path(__file__).parent.parent / "cases"

# A truth is what the payload says: for each series its points, each an epoch in ms (or None) and a number (or None).
Truth = dict[str, list[tuple[int | None, float | None]]]
Row = dict[str, Any]

T0 = "2026-03-01T06:00:00Z"


def lib(name: str) -> str:
    """Name and installed version of a Python library, for `source`."""
    return f"{name} {version(name)}"


def wave(count: int, base: float, swing: float, phase: float = 0.0, digits: int = 2) -> list[float]:
    """A measured-looking series: a sine with a second, faster one over it."""
    return [
        round(base + swing * math.sin(i / 3 + phase) + swing / 4 * math.sin(i * 1.7 + phase), digits)
        for i in range(count)
    ]


def times(count: int, start: str = T0, step_s: float = 60) -> list[pd.Timestamp]:
    """`count` moments in UTC, `step_s` seconds apart."""
    first = pd.Timestamp(start)
    return [first + pd.Timedelta(seconds=step_s * i) for i in range(count)]


def table(columns: Mapping[str, Sequence[Any]], start: str = T0, step_s: float = 60, time: str = "ts") -> pd.DataFrame:
    """A data frame with a time column in UTC and the given columns."""
    count = len(next(iter(columns.values())))
    return pd.DataFrame({time: pd.Series(times(count, start, step_s)).astype("datetime64[ms, UTC]"), **columns})


def plant(count: int = 24, **how: Any) -> pd.DataFrame:
    """Readings of a plant: a flow and a temperature."""
    return table({"co2_flow_rate": wave(count, 12.5, 3.1), "water_temp": wave(count, 24.0, 1.6, 1)}, **how)


def epoch_ms(moment: Any) -> int:
    return round(pd.Timestamp(moment).timestamp() * 1000)


def wide(frame: pd.DataFrame, time: str | None = "ts", only: Iterable[str] | None = None) -> Truth:
    """The truth of a frame whose columns, apart from the time, are series."""
    names = [name for name in frame.columns if name != time] if only is None else list(only)
    stamps = [None] * len(frame) if time is None else [epoch_ms(moment) for moment in frame[time]]
    return {name: list(zip(stamps, frame[name].tolist(), strict=True)) for name in names}


def rename(truth: Truth, names: Mapping[str, str] | Callable[[str], str]) -> Truth:
    if callable(names):
        return {names(name): points for name, points in truth.items()}
    return {names.get(name, name): points for name, points in truth.items()}


def timeless(truth: Truth) -> Truth:
    return {name: [(None, value) for _, value in points] for name, points in truth.items()}


def _values(points: list[tuple[int | None, float | None]]) -> pd.DataFrame:
    frame = pd.DataFrame(points, columns=["time", "value"]).astype({"value": "float64"})
    return frame[frame["value"].notna() & ~frame["value"].isin([math.inf, -math.inf])]


def expectation(kind: str, truth: Truth) -> dict[str, list[float | int | None]]:
    """The figures of a truth, computed by pandas: [count, mean], or [count, min, max, first time]."""
    figures: dict[str, list[float | int | None]] = {}
    for name, points in truth.items():
        frame = _values(points)
        values = frame["value"]
        if kind == "batch":
            figures[name] = [len(values), float(values.mean())]
        else:
            first = frame["time"].min()
            figures[name] = [
                len(values),
                float(values.min()),
                float(values.max()),
                None if pd.isna(first) else int(first),
            ]
    return figures


def encode(part: Any) -> str:
    return b64encode(part if isinstance(part, bytes) else str(part).encode()).decode()


class Theme:
    """The cases of one file."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.records: list[dict[str, Any]] = []

    def add(
        self,
        kinds: str,
        name: str,
        source: str,
        payload: Any,
        truth: Truth | None,
        *,
        alt: Sequence[Truth] = (),
        refuse: str | None = None,
        or_refuse: bool = False,
        shape: str = "string",
        doubt: str | None = None,
        pandas: dict[str, Any] | None = None,
    ) -> None:
        """Add the payload as a batch ("b"), a chart ("c") or both ("bc").

        `payload` is bytes or str for a string (anything else is written as JSON), and the list of parts for others.
        """
        for letter in kinds:
            kind = {"b": "batch", "c": "chart"}[letter]
            record: dict[str, Any] = {"kind": kind, "name": name, "source": source, "shape": shape}
            if shape == "string":
                record["b64"] = encode(payload if isinstance(payload, bytes | str) else json.dumps(payload))
            elif shape == "stream":
                record["parts_b64"] = [[encode(part) for part in entry] for entry in payload]
            else:
                record["parts_b64"] = [encode(part) for part in payload]
            record["expect"] = None if truth is None else expectation(kind, truth)
            record["alt"] = [expectation(kind, other) for other in alt]
            record["refuse"] = refuse
            if or_refuse:
                record["or_refuse"] = True
            if doubt:
                record["doubt"] = doubt
            if pandas:
                record["pandas"] = pandas
            self.records.append(record)

    def write(self) -> int:
        seen = set()
        for record in self.records:
            key = (record["kind"], record["name"])
            if key in seen:
                raise ValueError(f"{self.name}: two cases named {key}")
            seen.add(key)
        path = CASES / f"{self.name}.json"
        lines = ",\n".join(json.dumps(record, ensure_ascii=False) for record in self.records)
        path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
        return len(self.records)


def iso(moment: Any, digits: int = 0, suffix: str = "Z") -> str:
    """ISO 8601 in UTC with `digits` of fraction."""
    stamp = pd.Timestamp(moment).tz_convert("UTC")
    text = stamp.strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{stamp.value % 10**9:09d}"
    while len(fraction) < digits:
        fraction += "0"
    return text + (f".{fraction[:digits]}" if digits else "") + suffix


def rows(frame: pd.DataFrame, time: str = "ts", form: Callable[[Any], Any] = iso) -> list[Row]:
    """Rows of objects with plain Python values, the time written by `form`."""
    return [
        {name: form(value) if name == time else plain(value) for name, value in record.items()}
        for record in frame.to_dict("records")
    ]


def plain(value: Any) -> Any:
    """A value as JSON has it: no NaN, no numpy scalar."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and math.isnan(value):
        return None
    return value


def moment_of(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
