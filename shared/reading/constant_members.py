"""Members that every row of a documented shape repeats, such as the place of the plant, are cut out of the JSON text.

The fast path decodes what is left. Whether such members change the result is a question for the general steps, which
answer it once per text of the members. Pure.
"""

import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Any

import msgspec

_HEAD_BYTES = 1024
"""Where the first row has to start."""
_ROW_BYTES = 4096
_MAX_RUNS = 4
_BETWEEN_ROWS = re.compile(rb"\}\s*,\s*\{")
_BLANK = b", \t\r\n"


class Shorter(msgspec.Struct, frozen=True):
    """`text` without the members; `members` as a JSON object; `count`: how many rows have them."""

    text: bytes
    members: bytes
    count: int


def cut(raw: bytes, known: Collection[str]) -> Shorter | None:
    """The text without the members of the first row that are not `known`, where all rows have them, letter by letter.
    None if there are none, or if they cannot be told apart by their text."""
    start = raw.find(b"{", raw.find(b"[", 0, _HEAD_BYTES) + 1, _HEAD_BYTES)
    between = _BETWEEN_ROWS.search(raw, start, start + _ROW_BYTES) if start >= 0 else None
    if between is None:
        return None
    first = raw[start : between.start() + 1]
    try:
        row = msgspec.json.decode(first)
        runs = list(_runs(first, row, known))
    except (ValueError, RecursionError):  # msgspec's own errors are ValueErrors too
        return None
    if not 0 < len(runs) <= _MAX_RUNS:
        return None
    count, text = raw.count(runs[0]), raw
    for run in runs:
        if raw.count(run) != count:
            return None
        text = text.replace(run, b"")
    return Shorter(text, b"{" + b",".join(run.strip(_BLANK) for run in runs) + b"}", count)


def _runs(first: bytes, row: dict[str, Any], known: Collection[str]) -> Iterator[bytes]:
    """The text of each run of unknown members, with the comma that goes with it. Raises ValueError."""
    names = list(row)
    place = 0
    while place < len(names):
        if names[place] in known:
            place += 1
            continue
        end = place
        while end < len(names) and names[end] not in known:
            end += 1
        begin_at = _position(first, names[place], 0)
        if end < len(names):
            run = first[begin_at : _position(first, names[end], begin_at)]
        else:  # the last members: their comma stands before them
            run = first[first.rindex(b",", 0, begin_at) : -1]
        if msgspec.json.decode(b"{" + run.strip(_BLANK) + b"}") != {name: row[name] for name in names[place:end]}:
            raise ValueError("the members are not told apart by their text")
        yield run
        place = end


def _position(first: bytes, name: str, start: int) -> int:
    return first.index(b'"' + name.encode() + b'"', start)


@lru_cache(256)
def are_inert(members: bytes, *, wide: bool) -> bool:
    """Whether the general steps read rows with these members exactly as rows without them."""
    from shared.reading import batches  # the general steps use the fast path's module

    try:
        extra = msgspec.json.decode(members)
        return bool(_general(batches, extra, wide=wide) == _general(batches, {}, wide=wide))
    except ValueError:
        return False


def _general(batches: Any, extra: dict[str, Any], *, wide: bool) -> Any:
    """What the general steps make of a small batch whose rows have these further members."""
    times = [f"2026-03-01T06:0{minute}:00Z" for minute in range(4)]
    if wide:
        rows = [
            {"timestamp": time, **extra, "data": {"temperature": 20.5 + place, "pressure": 1.25 * place}}
            for place, time in enumerate(times)
        ]
        return batches.read_generally("string", [msgspec.json.encode({"records": rows})])
    rows = [
        {"metric": name, "ts": time, "value": 20.5 + place, **extra}
        for place, time in enumerate(times)
        for name in ("temperature", "pressure")
    ]
    return batches.read_generally("string", [msgspec.json.encode({"readings": rows})])
