"""Prometheus text exposition: `name{label="value"} 1.5 1772344800000`. Pure.

Source: Prometheus documentation, "Exposition formats": comments start with #, the timestamp is optional and in
milliseconds (in OpenMetrics in seconds).
"""

import re

from shared.reading.texts.numbers import is_number_text

_LINE = re.compile(
    r"(?P<name>[A-Za-z_:][A-Za-z0-9_:]*)(?:\{(?P<labels>[^}]*)\})?\s+(?P<value>[+-]?(?:\d[\d.]*(?:[eE][+-]?\d+)?|Inf|NaN))(?:\s+(?P<time>-?\d+(?:\.\d+)?))?"
)
_LABEL = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"')


def _labels(text: str) -> dict[str, object]:
    """Labels by name. One that looks like a number carries its name, so that nobody takes it for one."""
    return {name: f"{name}={value}" if is_number_text(value) else value for name, value in _LABEL.findall(text)}


def read(text: str) -> list[object] | None:
    """A row for each sample; None when a line is none."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    samples = [line for line in lines if not line.startswith("#")]
    if not samples or not (len(samples) < len(lines) or "{" in samples[0]):
        return None  # two words on a line alone are no proof
    rows: list[dict[str, object]] = []
    identities: dict[str, list[dict[str, str]]] = {}
    for line in samples:
        match = _LINE.fullmatch(line)
        if match is None:
            return None
        row: dict[str, object] = {"__name__": match["name"], **_labels(match["labels"] or "")}
        identities.setdefault(match["name"], []).append(dict(_LABEL.findall(match["labels"] or "")))
        row["value"] = float(match["value"])
        if match["time"]:
            row["timestamp"] = float(match["time"])
        rows.append(row)
    names = {name: iter(_identified(name, labels)) for name, labels in identities.items()}
    return [{**row, "__name__": next(names[str(row["__name__"])])} for row in rows]


def _identified(name: str, labels: list[dict[str, str]]) -> list[str]:
    """What each sample of a name is called: with the labels in which they differ, as Prometheus writes them."""
    keys = [key for key in dict.fromkeys(key for item in labels for key in item) if _differ(key, labels)]
    shown = [", ".join(f'{key}="{item[key]}"' for key in keys if key in item) for item in labels]
    return [f"{name}{{{text}}}" if text else name for text in shown]


def _differ(key: str, labels: list[dict[str, str]]) -> bool:
    return any(item.get(key) != labels[0].get(key) for item in labels)
