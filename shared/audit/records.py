"""Turn stream entries into lines: the record of the entry, or an UNREADABLE record that gives the reason."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from shared.audit import chain
from shared.audit.chain import Head
from shared.privacy.keyring import Keyring

_N = re.compile(rb"[1-9]\d{0,15}")
_REQUIRED = ("specversion", "id", "source", "type", "time")
"""Attributes of a CloudEvent that have to be texts."""


type Position = tuple[str, int]
"""A position in the stream: id of the entry, running number of the record."""


@dataclass(frozen=True)
class Entry:
    """An entry of the stream. One that is too large to be read has no `fields`, only its size and digest."""

    id: str
    fields: Mapping[bytes, bytes] | None
    size_bytes: int
    digest: str

    @property
    def time_ms(self) -> int:
        """When Redis added it, as its id says."""
        return int(self.id.partition("-")[0])

    @property
    def n(self) -> int | None:
        """The running number of the record; None when the entry has no valid one."""
        text = (self.fields or {}).get(b"n", b"")
        return int(text) if _N.fullmatch(text) and int(text) <= chain.MAX_WHOLE else None


@dataclass(frozen=True)
class Written:
    """One line: its bytes, the head after it, and the type of its record."""

    line: bytes
    head: Head
    type: str


class _NoRecord(ValueError):
    """An entry that holds no valid record; the message is the reason and never quotes the entry."""


def entry_of(id_: bytes, fields: Mapping[bytes, bytes]) -> Entry:
    raw = fields.get(b"event")
    raw = raw if raw is not None else b"".join(part for pair in fields.items() for part in pair)
    return Entry(id_.decode(), fields, len(raw), "sha256:" + hashlib.sha256(raw).hexdigest())


def lines_of(entry: Entry, head: Head, now_ms: int, keyring: Keyring) -> Iterator[Written]:
    """The lines to append after `head` for `entry`, in order:

        FILE_CLOSED     if the record belongs to a later day than the file of `head`
        GAP or RESET    if the running number is not the next one
        the record, or UNREADABLE

    The caller seals the day of a closed file before it appends to the next one. A record whose time is in the future
    goes to the file of the day of `now_ms`.
    """
    time = chain.iso(min(entry.time_ms, now_ms))
    record, fault = _read(entry)
    record_day = _day_of(record, time, now_ms)
    if record_day > chain.opened(head).day:
        closing = close(head, record_day, now_ms, keyring)
        head = closing.head
        yield closing
    head = chain.opened(head)
    for type_, data, n in _numbering(entry, head):
        written = _own_line(type_, head, time, data, head.entry, n, keyring)
        head = written.head
        yield written
    n = entry.n or head.n
    if not fault:
        try:
            line, after = chain.link(record, head, entry.id, n, keyring)
            yield Written(line, after, record["type"])
            return
        except (ValueError, RecursionError):
            fault = "no exact form in canonical JSON"
    data = {"reason": fault, "bytes": entry.size_bytes, "digest": entry.digest}
    yield _own_line(chain.UNREADABLE, head, time, data, entry.id, n, keyring)


def day(entry: Entry, now_ms: int) -> str:
    """The day (YYYY-MM-DD) whose file `entry` belongs to, unless the chain is in a file of a later day already."""
    return _day_of(_read(entry)[0], chain.iso(min(entry.time_ms, now_ms)), now_ms)


def close(head: Head, day: str, now_ms: int, keyring: Keyring) -> Written:
    """The line that closes the file of `head` and names the chain's file of `day`: the next part if it is the same day.

    If the file of `head` is closed already, the line goes into the file that it named, as its only one.
    """
    head = chain.opened(head)
    name = chain.BlobName.parse(head.blob)
    following = chain.BlobName(day, name.chain, name.part + 1 if day == name.day else 1)
    return _own_line(chain.FILE_CLOSED, head, chain.iso(now_ms), {"next": str(following)}, head.entry, head.n, keyring)


def reset(head: Head, common: Position, first: Entry | None, now_ms: int, keyring: Keyring) -> Written:
    """The line that records that Redis lost its state. `common` is the last position that stream and chain share,
    `first` the entry after it; None when the stream has none yet."""
    head = chain.opened(head)
    entry, n = common
    first_n = first.n if first else None
    data = {"last_n": head.n, "last_entry": head.entry, "begins_with_n": first_n}
    return _own_line(chain.RESET, head, chain.iso(now_ms), data, entry, first_n - 1 if first_n else n, keyring)


def broken(head: Head, data: Mapping[str, Any], now_ms: int, keyring: Keyring) -> Written:
    """The first line of a chain that replaces a broken one; `data` is that of chain.broken_record."""
    return _own_line(chain.CHAIN_BROKEN, head, chain.iso(now_ms), data, head.entry, head.n, keyring)


def _numbering(entry: Entry, head: Head) -> Iterator[tuple[str, dict[str, Any], int]]:
    """Type, data and number of the line to write if the running number of `entry` is not the next one.

    The line covers everything before that number, so an exporter that resumes after it does not record the same gap
    twice.
    """
    if entry.n is None or entry.n == head.n + 1:
        return
    if entry.n > head.n:
        missing = entry.n - head.n - 1
        yield chain.GAP, {"missing": missing, "after_entry": head.entry, "before_entry": entry.id}, entry.n - 1
    else:
        data = {"last_n": head.n, "last_entry": head.entry, "begins_with_n": entry.n}
        yield chain.RESET, data, entry.n - 1


def _own_line(
    type_: str, head: Head, time: str, data: Mapping[str, Any], entry: str, n: int, keyring: Keyring
) -> Written:
    line, after = chain.link(chain.own_record(type_, head, time, data), head, entry, n, keyring)
    return Written(line, after, type_)


def _read(entry: Entry) -> tuple[dict[str, Any], str]:
    """The record of an entry and '', or {} and the reason why it has none."""
    try:
        return _record(entry), ""
    except _NoRecord as fault:
        return {}, str(fault)


def _day_of(record: Mapping[str, Any], time: str, now_ms: int) -> str:
    """The day of a record, or of `time` for an entry without one; at most that of `now_ms`."""
    return min(_utc_day(record["time"]) if record else time[:10], chain.day_of(now_ms))


def _record(entry: Entry) -> dict[str, Any]:
    if entry.fields is None:
        raise _NoRecord("too large")
    if b"event" not in entry.fields:
        raise _NoRecord("no field 'event'")
    if entry.n is None:
        raise _NoRecord("no running number")
    try:
        record = json.loads(entry.fields[b"event"].decode())
    except (ValueError, RecursionError):
        raise _NoRecord("not JSON") from None
    if not isinstance(record, dict):
        raise _NoRecord("not a JSON object")
    if any(not isinstance(record.get(name), str) or not record[name] for name in _REQUIRED):
        raise _NoRecord("a CloudEvents attribute is missing")
    if record["type"].startswith(chain.OWN_TYPES):
        raise _NoRecord("a type that is reserved for the exporter")
    if any(name in record for name in chain.LINK_FIELDS):
        raise _NoRecord("a field name that is reserved for the chain")
    _utc_day(record["time"])
    return record


def _utc_day(time: str) -> str:
    try:
        moment = datetime.fromisoformat(time)
        if moment.tzinfo is None:
            raise _NoRecord("time is not RFC 3339")
        return moment.astimezone(UTC).date().isoformat()
    except (ValueError, OverflowError):
        raise _NoRecord("time is not RFC 3339") from None
