"""Payloads that clients write, each with the reading that is right (README.md describes the fields)."""

import json
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Expectation = dict[str, list[float | None]]

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Case:
    """One payload as it stands in Redis, and what a reader has to make of it.

    `value` is bytes for a string, a list of bytes for a list (elements) and a hash (field, value, field, value, ...),
    and a list of such lists for a stream (one per entry).
    `right` lists every right answer, the preferred one first; it is empty if the payload must be refused.
    A batch answer is {metric: [count, mean]}, a chart answer {series: [count, min, max, first epoch ms or None]}.
    """

    theme: str
    kind: Literal["batch", "chart"]
    name: str
    source: str
    shape: Literal["string", "list", "hash", "stream"]
    value: bytes | list[bytes] | list[list[bytes]]
    right: tuple[Expectation, ...]
    refuse: str | None
    or_refuse: bool
    doubt: str | None
    pandas: dict[str, Any] | None

    @property
    def id(self) -> str:
        return f"{self.theme}: {self.kind}: {self.name}"


def _value(record: dict[str, Any]) -> bytes | list[bytes] | list[list[bytes]]:
    if record["shape"] == "string":
        return b64decode(record["b64"])
    if record["shape"] == "stream":
        return [[b64decode(part) for part in entry] for entry in record["parts_b64"]]
    return [b64decode(part) for part in record["parts_b64"]]


def _case(theme: str, record: dict[str, Any]) -> Case:
    right = () if record["expect"] is None else (record["expect"], *record["alt"])
    return Case(
        theme=theme,
        kind=record["kind"],
        name=record["name"],
        source=record["source"],
        shape=record["shape"],
        value=_value(record),
        right=right,
        refuse=record["refuse"],
        or_refuse=record.get("or_refuse", False),
        doubt=record.get("doubt"),
        pandas=record.get("pandas"),
    )


def load() -> list[Case]:
    """Return every case, in the order of the files' names."""
    return [
        _case(path.stem, record)
        for path in sorted(HERE.glob("*.json"))
        for record in json.loads(path.read_text(encoding="utf-8"))
    ]
