"""The progress of the export, shared by all instances: the hash functions:audit:state, and the audit stream."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared import namespaces, telemetry
from shared.app import App
from shared.audit import chain
from shared.audit.chain import Head
from shared.audit.records import Entry, entry_of
from shared.store.script import Script

BEGIN_EXPORT = Script(__file__, "begin_export")
READ_STATE = Script(__file__, "read_state")
END_EXPORT = Script(__file__, "end_export")
READ_AUDIT = Script(__file__, "read_audit")
ACKNOWLEDGE_AUDIT = Script(__file__, "acknowledge_audit")
TAIL_AUDIT = Script(__file__, "tail_audit")

KEPT_ENTRIES = 1000
"""Entries that stay in the stream after they are written, for readers that tail it."""
PAGE_ENTRIES = 1000
PAGE_BYTES = 1024 * 1024
MAX_ENTRY_BYTES = 64 * 1024
"""Largest entry whose fields are read; a record of this app has about 500 bytes."""
_DELETED_AT_ONCE = 1000
_FIELDS = (
    *("chain", "blob", "seq", "hash", "position", "line_bytes", "next", "entry", "n", "sealed", "broken"),
    *("appended", "ok_ms", "error", "gaps", "resets", "unreadable"),
)
"""The fields of the state that are read; what somebody else put there is not."""
_STATE = namespaces.build(namespaces.AUDIT_STATE)
_STREAM = namespaces.build(namespaces.AUDIT_STREAM)
_ASIDE = namespaces.build(namespaces.AUDIT_ASIDE)


@dataclass(frozen=True)
class AuditState:
    """The progress of the export.

    `configured` is False without a storage account; then records stay in Redis. `pending` counts records that are not
    written yet. `last_success_age_s` is the time since a run last wrote to storage or had nothing to write. `error` is
    the class of the error that ended the last run, None after a success. `gaps`, `resets` and `unreadable` count since
    Redis last lost its state. `broken` describes the last chain that was replaced.
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
"""Chain and seq in the state, as raw bytes, b"" for none. An acknowledgement names the place that it replaces."""
NOWHERE: Place = (b"", b"")


@dataclass(frozen=True)
class Checkpoint:
    """The state at the start of a run. `head` is the acknowledged one, None if it is missing or invalid (a flush, a
    damaged state). `sealed` is the last day with a heads.json, '' for none."""

    now_ms: int
    head: Head | None
    place: Place
    sealed: str
    broken: Mapping[str, Any] | None


@dataclass(frozen=True)
class Page:
    """Entries after a position, read at `now_ms` by Redis' clock. `last_id` is the id of the last entry found or, if
    there is none, the highest id of the stream so far."""

    now_ms: int
    last_id: str
    entries: list[Entry]


async def state(app: App) -> AuditState:
    """The progress of the export. Raises what the Redis client raises."""
    now_us, length, *raw = await app.run(READ_STATE, keys=[_STATE, _STREAM], args=_FIELDS)
    fields = _texts(dict(zip(raw[::2], raw[1::2], strict=True)))
    head = _head(fields)
    ok_ms = _whole(fields.get("ok_ms"))
    age_s = now_us / 1e6 - ok_ms / 1000
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


async def begin(app: App, owner: str, lease_ms: int) -> Checkpoint | None:
    """Take the lease and read the state; None if another run has the lease. Raises what the Redis client raises."""
    reply: list[Any] = await app.run(BEGIN_EXPORT, keys=[_STATE], args=[owner, lease_ms, *_FIELDS])
    if not reply:
        return None
    raw = dict(zip(reply[1::2], reply[2::2], strict=True))
    fields, place = _texts(raw), (raw.get(b"chain", b""), raw.get(b"seq", b""))
    return Checkpoint(int(reply[0]), _head(fields), place, fields.get("sealed", ""), _object(fields.get("broken")))


async def end(app: App, owner: str, error: str, *, success: bool) -> None:
    """Record the result of a run (`error`: the class of the error that ended it, '' for none) and release its lease."""
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
    """Record that the log is written up to `head`, renew the lease until `until_ms`, and delete all but KEPT_ENTRIES of
    the written entries from the stream; returns the place that the state names now.

    Changes nothing and returns None if the state does not name `expected` any more: another exporter has moved on, or
    Redis was flushed.
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
    increments = {name: count for name, count in (counters or {}).items() if count}
    args: list[str | bytes | int] = [*expected, head.entry, KEPT_ENTRIES, _DELETED_AT_ONCE, json.dumps(increments)]
    for name, value in fields.items():
        args += [name, value]
    acknowledged = await app.run(ACKNOWLEDGE_AUDIT, keys=[_STATE, _STREAM], args=args)
    return (head.chain.encode(), str(head.seq).encode()) if acknowledged else None


async def read(app: App, after: str) -> Page:
    """The next entries after the id `after`: at most PAGE_ENTRIES, and about PAGE_BYTES."""
    start = "-" if after == chain.START else _next_id(after)
    args: list[str | int] = [start, PAGE_ENTRIES, PAGE_BYTES, MAX_ENTRY_BYTES, namespaces.AUDIT_ASIDE_TTL_S]
    reply: list[Any] = await app.run(READ_AUDIT, keys=[_STREAM, _ASIDE], args=args)
    if reply[2:] == [b"put aside"]:
        telemetry.logger.error(
            "somebody put large entries into the audit stream: it was renamed to %s, and the log will have a gap",
            _ASIDE.decode(),
        )
        return Page(int(reply[0]), reply[1].decode(), [])
    entries = [
        Entry(id_.decode(), None, int(rest[0]), "sha1:" + rest[1].decode())
        if len(rest) == 2
        else entry_of(id_, dict(zip(rest[0][::2], rest[0][1::2], strict=True)))
        for id_, *rest in reply[2:]
        if id_ != after.encode()  # the greatest id there is has no next one
    ]
    return Page(int(reply[0]), reply[1].decode(), entries)


async def has_entry(app: App, entry: str, n: int) -> bool:
    """Whether the stream has `entry` with the running number `n`: if so, it is the stream that was exported."""
    entries: Any = await app.redis.xrange(_STREAM, entry, entry)
    return bool(entries) and entries[0][1].get(b"n") in {str(n).encode(), None}


def id_order(entry: str) -> tuple[int, int]:
    """The sort key of a stream id."""
    ms, _, sequence = entry.partition("-")
    return int(ms), int(sequence)


def _next_id(entry: str) -> str:
    """The smallest id after `entry`. (Redis 6.0 has no exclusive ranges.)"""
    ms, sequence = id_order(entry)
    return f"{ms}-{sequence + 1}" if sequence < 2**64 - 1 else f"{min(ms + 1, 2**64 - 1)}-0"


def _head(fields: Mapping[str, str]) -> Head | None:
    """The acknowledged head; None if the fields are missing or invalid."""
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
        chains = {chain.BlobName.parse(name).chain for name in (head.blob, head.next) if name}
    except (KeyError, ValueError):
        return None
    valid = min(head.seq, head.position - head.line_bytes, head.n) >= 0 and chains == {head.chain}
    return head if valid else None


def _texts(raw: Mapping[bytes, bytes]) -> dict[str, str]:
    return {name.decode(errors="replace"): value.decode(errors="replace") for name, value in raw.items()}


def _whole(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) <= 16 else 0


def _object(text: str | None) -> Mapping[str, Any] | None:
    try:
        value = json.loads(text or "null")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
