"""Prometheus text exposition: `name{label="value"} 1.5 1772344800000`. Pure.

Source: Prometheus documentation, "Exposition formats": comments start with #, the timestamp is optional and in
milliseconds (in OpenMetrics in seconds).
"""

import re

from shared.reading.texts.numbers import is_number_text

_LINE = re.compile(
    r"(?P<name>[A-Za-z_:][A-Za-z0-9_:]*)(?:\{(?P<labels>[^}]*)\})?\s+(?P<value>[+-]?(?:\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|Inf|NaN))(?:\s+(?P<time>-?\d+(?:\.\d+)?))?"
)
_LABEL = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"')


def _labels(text: str) -> dict[str, object]:
    """Labels by name. One that looks like a number carries its name, so that nobody takes it for one."""
    return {name: f"{name}={value}" if is_number_text(value) else value for name, value in _LABEL.findall(text)}


def read(text: str) -> list[object] | None:
    """A row for each sample; None when a line is none."""
    first = text.lstrip()[:1]
    if first != "#" and "{" not in text.lstrip().split("\n", 1)[0]:
        return None  # two words on a line alone are no proof
    samples = [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]
    if not samples:
        return None
    rows: list[dict[str, object]] = []
    heads: dict[tuple[str, str], dict[str, object]] = {}
    for line in samples:
        match = _LINE.fullmatch(line)
        if match is None:
            return None
        name, labels, value, time = match.groups()
        head = heads.get((name, labels))
        if head is None:
            head = heads[name, labels] = {"__name__": name, **_labels(labels or "")}
        row = {**head, "value": float(value)}
        if time:
            row["timestamp"] = float(time)
        rows.append(row)
        row["__name__"] = head  # until all of them are known
    names = _names(heads)
    return [{**row, "__name__": names[id(row["__name__"])]} for row in rows]


def _names(heads: dict[tuple[str, str], dict[str, object]]) -> dict[int, str]:
    """What the samples with each head are called, by the identity of the head."""
    by_name: dict[str, list[tuple[int, dict[str, str]]]] = {}
    for (name, labels), head in heads.items():
        by_name.setdefault(name, []).append((id(head), dict(_LABEL.findall(labels or ""))))
    names: dict[int, str] = {}
    for name, items in by_name.items():
        texts = _identified(name, [labels for _, labels in items])
        names.update(zip([head for head, _ in items], texts, strict=True))
    return names


def _identified(name: str, labels: list[dict[str, str]]) -> list[str]:
    """What each sample of a name is called: with the labels in which they differ, as Prometheus writes them."""
    keys = [key for key in dict.fromkeys(key for item in labels for key in item) if _differ(key, labels)]
    shown = [", ".join(f'{key}="{item[key]}"' for key in keys if key in item) for item in labels]
    return [f"{name}{{{text}}}" if text else name for text in shown]


def _differ(key: str, labels: list[dict[str, str]]) -> bool:
    return any(item.get(key) != labels[0].get(key) for item in labels)
