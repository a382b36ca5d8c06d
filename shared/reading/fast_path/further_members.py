"""Whether members that are the same in every row of a batch, such as the place of the plant, change what is read."""

from functools import lru_cache
from typing import Any

import msgspec

from shared.errors import NotReady, Rejected


@lru_cache(1024)
def are_inert(names: tuple[str, ...], texts: tuple[bytes, ...], *, wide: bool) -> bool:
    """Whether the general steps read rows with these members, their values in JSON, exactly as rows without them."""
    try:
        members = dict(zip(names, map(msgspec.json.decode, texts), strict=True))
        return bool(_read(members, wide=wide) == _read_without(wide=wide))
    except (ValueError, Rejected, NotReady):
        return False


@lru_cache
def _read_without(*, wide: bool) -> Any:
    return _read({}, wide=wide)


def _read(further: dict[str, Any], *, wide: bool) -> Any:
    """What the general steps make of a small batch whose rows have these members."""
    from shared.reading import batches  # imports the fast path itself

    times = [f"2026-03-01T06:0{minute}:00Z" for minute in range(4)]
    if wide:
        rows = [
            {"timestamp": time, **further, "data": {"temperature": 20.5 + place, "pressure": 1.25 * place}}
            for place, time in enumerate(times)
        ]
        return batches.read_generally("string", [msgspec.json.encode({"records": rows})])
    rows = [
        {"metric": name, "ts": time, "value": 20.5 + place, **further}
        for place, time in enumerate(times)
        for name in ("temperature", "pressure")
    ]
    return batches.read_generally("string", [msgspec.json.encode({"readings": rows})])
