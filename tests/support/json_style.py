"""The style of JSON that commands and HTTP answers have: docs/json.md."""

import re
from collections.abc import Iterator
from typing import Any

MAPS = {
    "behindS": "function",
    "inputs": "INPUTS entry",
    "keys": "kind",
    "lagMs": "reactor",
    "latencyMs": "reactor",
    "outcomes": "reactor, source, outcome",
    "rates": "function",
    "reactors": "reactor",
    "rejected": "reason",
    "retried": "outcome",
    "shapes": "shape",
    "swept": "outcome",
    "undone": "outcome",
}
"""Fields whose value is keyed by data rather than by names, and what keys it."""
AS_STORED = {"record", "notes", "broken"}
"""Audit records, which are shown as they are in the log."""
_NAME = re.compile(r"[a-z][a-z0-9]*(?:[A-Z][a-z0-9]*)*")
_WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]")
_LENGTHS = {"age", "latency", "lag", "duration", "delay", "ttl", "idle", "took", "behind", "deaf", "timeout", "trip"}
_SIZES = {"size", "memory", "payload"}
_TIMES = {"time", "at", "since", "first", "last", "oldest", "newest", "from", "to", "expires", "minute", "updated"}
_ALSO_OTHER = {"first", "last", "from", "to"}
"""Words that also name what is no time, such as the patterns of a migration."""
_ISO = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00))?")


def faults(value: Any, path: str = "", *, keyed: bool = False) -> Iterator[str]:
    """What is not of the style, by its path."""
    if isinstance(value, list):
        for item in value:
            yield from faults(item, f"{path}[]")
    if not isinstance(value, dict):
        return
    for name, item in value.items():
        here = f"{path}.{name}"
        if name in AS_STORED and not keyed:
            continue
        if not keyed:
            yield from _faults_of_name(name, item, here)
        yield from faults(item, here, keyed=isinstance(item, dict) and (name in MAPS and not keyed))


def _faults_of_name(name: str, value: Any, path: str) -> Iterator[str]:
    if not _NAME.fullmatch(name):
        yield f"{path}: not camelCase"
    last = _WORDS.findall(name)[-1].lower() if _WORDS.findall(name) else ""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    measured = (number and not name.startswith("without")) or (name in _LENGTHS and isinstance(value, dict))
    if measured and last in _LENGTHS | _SIZES:
        yield f"{path}: without its unit"
    if number and last in _TIMES - {"since"}:  # seenSince counts what was seen
        yield f"{path}: a time that is not ISO 8601"
    if last in _TIMES - _ALSO_OTHER and isinstance(value, str) and not _ISO.fullmatch(value):
        yield f"{path}: a time that is not ISO 8601"
