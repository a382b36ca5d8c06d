"""How far the audit log is written, as all instances know it: the hash functions:audit:state, and the stream."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared import namespaces
from shared.app import App
from shared.audit import chain
from shared.audit.chain import Head
from shared.audit.records import Entry, entry_of
from shared.store.script import Script

BEGIN_EXPORT = Script(__file__, "begin_export")
END_EXPORT = Script(__file__, "end_export")
READ_AUDIT = Script(__file__, "read_audit")
ACKNOWLEDGE_AUDIT = Script(__file__, "acknowledge_audit")
TAIL_AUDIT = Script(__file__, "tail_audit")

KEPT_ENTRIES = 1000
"""Entries that stay in the stream after they are written: enough for whoever tails it."""
PAGE_ENTRIES = 1000
PAGE_BYTES = 1024 * 1024
MAX_ENTRY_BYTES = 64 * 1024
"""Largest entry that is read; a record of this app has about 500 bytes."""
_DELETED_AT_ONCE = 1000
_STATE = namespaces.build(namespaces.AUDIT_STATE)
_STREAM = namespaces.build(namespaces.AUDIT_STREAM)


@dataclass(frozen=True)
class AuditState:
    """How the export of audit records stands.

    `configured` is False without a storage account; then records stay in Redis. `pending` counts records that are not
    written yet, `last_success_age_s` is the time since storage last took or confirmed what there was. `error` is the
    class of what ended the last run, None when it went well. Counters count since Redis last lost its state; `broken`
    describes the last chain that could not be trusted.
    """

    configured: bool
    pending: int = 0
    last_success_age_s: float | None = None
    error: str | None = None
    head: Head | None = None
    gaps: int = 0
    resets: int = 0
    unreadable: int = 0
    broken: Mapping[str, Any] | None = None


type Place = tuple[bytes, bytes]
"""Chain and seq that the state names, as they stand there: what an acknowledgement goes out from. b"" for none."""
NOWHERE: Place = (b"", b"")


@dataclass(frozen=True)
class Known:
    """What Redis knows at the start of a run. `head` is None when it knows of no chain (or was flushed, or damaged)."""

    now_ms: int
    head: Head | None
    place: Place
    sealed: str
    broken: Mapping[str, Any] | None


@dataclass(frozen=True)
class Page:
    """Entries behind a position, read at `now_ms` by Redis' clock; `last_id` is the last that the stream ever gave."""

    now_ms: int
    last_id: str
    entries: list[Entry]


async def state(app: App) -> AuditState:
    """How the export stands. Raises what the Redis client raises."""
    pipeline = app.redis.pipeline(transaction=False)
    pipeline.hgetall(_STATE)
    pipeline.xlen(_STREAM)
    pipeline.time()
    raw, length, (seconds, microseconds) = await pipeline.execute()
    fields = _texts(raw)
    head = _head(fields)
    ok_ms = _whole(fields.get("ok_ms"))
    age_s = seconds + microseconds / 1e6 - ok_ms / 1000
    return AuditState(
        configured=bool(app.settings.storage),
        pending=min(length, max(0, _whole(fields.get("appended")) - (head.n if head else 0))),
        last_success_age_s=round(max(0.0, age_s), 3) if ok_ms else None,
        error=fields.get("error") or None,
        head=head if head and head.seq else None,
        gaps=_whole(fields.get("gaps")),
        resets=_whole(fields.get("resets")),
        unreadable=_whole(fields.get("unreadable")),
        broken=_object(fields.get("broken")),
    )


async def begin(app: App, owner: str, lease_ms: int) -> Known | None:
    """What Redis knows, with the lease taken; None when another run holds it."""
    reply: list[Any] = await app.run(BEGIN_EXPORT, keys=[_STATE], args=[owner, lease_ms])
    if not reply:
        return None
    raw = dict(zip(reply[1::2], reply[2::2], strict=True))
    fields, place = _texts(raw), (raw.get(b"chain", b""), raw.get(b"seq", b""))
    return Known(int(reply[0]), _head(fields), place, fields.get("sealed", ""), _object(fields.get("broken")))


async def end(app: App, owner: str, error: str, *, success: bool) -> None:
    """Note how a run went: the class of the error that ended it, if any, and whether storage took or confirmed what
    there was; and give the lease back."""
    await app.run(END_EXPORT, keys=[_STATE], args=[owner, error, int(success)])


async def acknowledge(
    app: App,
    head: Head,
    expected: Place,
    *,
    until_ms: int,
    counters: Mapping[str, int] | None = None,
    sealed: str = "",
    broken: Mapping[str, Any] | None = None,
) -> Place | None:
    """Note that the log is written up to `head`, if the state still names `expected`, and renew the lease until
    `until_ms`; returns what the state names now.

    None when it names another place by now: somebody else moved on, or it was flushed. Then nothing was changed.
    """
    fields: dict[str, str | int] = {
        "chain": head.chain,
        "seq": head.seq,
        "hash": head.hash,
        "blob": head.blob,
        "position": head.position,
        "line_bytes": head.line_bytes,
        "next": head.next,
        "entry": head.entry,
        "n": head.n,
        "until_ms": until_ms,
    }
    if sealed:
        fields["sealed"] = sealed
    if broken is not None:
        fields["broken"] = json.dumps(broken)
    added = {name: by for name, by in (counters or {}).items() if by}
    args: list[str | bytes | int] = [*expected, head.entry, KEPT_ENTRIES, _DELETED_AT_ONCE, json.dumps(added)]
    for name, value in fields.items():
        args += [name, value]
    done = await app.run(ACKNOWLEDGE_AUDIT, keys=[_STATE, _STREAM], args=args)
    return (head.chain.encode(), str(head.seq).encode()) if done else None


async def read(app: App, after: str) -> Page:
    """The next entries behind the id `after`."""
    start = "-" if after == chain.START else _next_id(after)
    args: list[str | int] = [start, PAGE_ENTRIES, PAGE_BYTES, MAX_ENTRY_BYTES]
    reply: list[Any] = await app.run(READ_AUDIT, keys=[_STREAM], args=args)
    entries = [
        Entry(id_.decode(), None, int(rest[0]), "sha1:" + rest[1].decode())
        if len(rest) == 2
        else entry_of(id_, dict(zip(rest[0][::2], rest[0][1::2], strict=True)))
        for id_, *rest in reply[2:]
    ]
    return Page(int(reply[0]), reply[1].decode(), entries)


async def holds(app: App, entry: str, n: int) -> bool:
    """Whether the stream still has this entry with this number: whether it is the stream that was read before."""
    found: Any = await app.redis.xrange(_STREAM, entry, entry)
    return bool(found) and found[0][1].get(b"n") in {str(n).encode(), None}


def id_order(entry: str) -> tuple[int, int]:
    """A stream id as what it sorts by."""
    ms, _, sequence = entry.partition("-")
    return int(ms), int(sequence)


def _next_id(entry: str) -> str:
    """The smallest id behind `entry`. (Redis 6.0 has no exclusive ranges.)"""
    ms, sequence = id_order(entry)
    return f"{ms}-{sequence + 1}" if sequence < 2**64 - 1 else f"{min(ms + 1, 2**64 - 1)}-0"


def _head(fields: Mapping[str, str]) -> Head | None:
    """The acknowledged head; None where the state has none that could be one."""
    try:
        head = Head(
            fields["chain"],
            fields["blob"],
            int(fields["seq"]),
            fields["hash"],
            int(fields["position"]),
            int(fields["line_bytes"]),
            fields["entry"],
            int(fields["n"]),
            fields["next"],
        )
        id_order(head.entry)
        named = [chain.BlobName.parse(name).chain for name in (head.blob, head.next) if name]
    except (KeyError, ValueError):
        return None
    sound = min(head.seq, head.position - head.line_bytes, head.n) >= 0 and set(named) == {head.chain}
    return head if sound else None


def _texts(raw: Mapping[bytes, bytes]) -> dict[str, str]:
    return {name.decode(errors="replace"): value.decode(errors="replace") for name, value in raw.items()}


def _whole(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) <= 16 else 0


def _object(text: str | None) -> Mapping[str, Any] | None:
    try:
        found = json.loads(text or "null")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
