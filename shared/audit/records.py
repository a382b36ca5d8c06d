"""From stream entries to what is written of them: the record, or a record that says what is wrong with the entry."""

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
_TEXTS = ("specversion", "id", "source", "type", "time")


type Position = tuple[str, int]
"""A place in the stream: id of the entry, running number of the record."""


@dataclass(frozen=True)
class Entry:
    """An entry of the stream. One that is too large to be read has no `fields`, but its size and digest."""

    id: str
    fields: Mapping[bytes, bytes] | None
    size_bytes: int
    digest: str

    @property
    def time_ms(self) -> int:
        """When Redis took it, by the id that Redis gave it."""
        return int(self.id.partition("-")[0])

    @property
    def n(self) -> int | None:
        text = (self.fields or {}).get(b"n", b"")
        return int(text) if _N.fullmatch(text) and int(text) <= chain.MAX_WHOLE else None


@dataclass(frozen=True)
class Written:
    """One line: its bytes, the head after it, and the type of its record."""

    line: bytes
    head: Head
    type: str


class _NoRecord(ValueError):
    """An entry that holds no record; the text is the reason and never quotes it."""


def entry_of(id_: bytes, fields: Mapping[bytes, bytes]) -> Entry:
    raw = fields.get(b"event")
    raw = raw if raw is not None else b"".join(part for pair in fields.items() for part in pair)
    return Entry(id_.decode(), fields, len(raw), "sha256:" + hashlib.sha256(raw).hexdigest())


def lines_of(entry: Entry, head: Head, now_ms: int, keyring: Keyring) -> Iterator[Written]:
    """The lines that tell of `entry`: before its own one a line for a gap or a reset, before that one that closes the
    file when the record is of a later day. The blob that `head.next` names is taken to be open when lines are put
    there; its day is sealed before, by whoever writes them.

    A time in the future is no reason to open a file in it: the day is at most that of `now_ms`.
    """
    time = chain.iso(min(entry.time_ms, now_ms))
    record, fault = _read(entry)
    of_day = _day_of(record, time, now_ms)
    if of_day > chain.opened(head).day:
        closing = close(head, of_day, now_ms, keyring)
        head = closing.head
        yield closing
    head = chain.opened(head)
    for type_, data, n in _numbering(entry, head):
        one = _own(type_, head, time, data, head.entry, n, keyring)
        head = one.head
        yield one
    n = entry.n or head.n
    if not fault:
        try:
            line, after = chain.link(record, head, entry.id, n, keyring)
            yield Written(line, after, record["type"])
            return
        except (ValueError, RecursionError):
            fault = "cannot be written exactly"
    data = {"reason": fault, "bytes": entry.size_bytes, "digest": entry.digest}
    yield _own(chain.UNREADABLE, head, time, data, entry.id, n, keyring)


def day(entry: Entry, now_ms: int) -> str:
    """The day whose file `entry` belongs to, as long as the chain has none of a later day."""
    return _day_of(_read(entry)[0], chain.iso(min(entry.time_ms, now_ms)), now_ms)


def close(head: Head, day: str, now_ms: int, keyring: Keyring) -> Written:
    """The line that ends the file of `head`, so that nobody adds to it any more, and names the chain's file of `day`;
    of the same day it is the next part. A file that was named before and has no line yet gets this one only."""
    head = chain.opened(head)
    name = chain.BlobName.parse(head.blob)
    following = chain.BlobName(day, name.chain, name.part + 1 if day == name.day else 1)
    return _own(chain.FILE_CLOSED, head, chain.iso(now_ms), {"next": str(following)}, head.entry, head.n, keyring)


def reset(head: Head, common: Position, first: Entry | None, now_ms: int, keyring: Keyring) -> Written:
    """The line that tells that Redis lost its state: behind `common`, the last that the stream shares with the chain,
    it goes on with `first`, if with anything yet."""
    head = chain.opened(head)
    entry, n = common
    begins = first.n if first else None
    data = {"last_n": head.n, "last_entry": head.entry, "begins_with_n": begins}
    return _own(chain.RESET, head, chain.iso(now_ms), data, entry, begins - 1 if begins else n, keyring)


def broken(head: Head, data: Mapping[str, Any], now_ms: int, keyring: Keyring) -> Written:
    """The first line of a chain that takes the place of one that cannot be trusted."""
    return _own(chain.CHAIN_BROKEN, head, chain.iso(now_ms), data, head.entry, head.n, keyring)


def _numbering(entry: Entry, head: Head) -> Iterator[tuple[str, dict[str, Any], int]]:
    """What is wrong with the number of `entry`, if anything. Afterwards the chain stands right before that number, so
    that nobody who reads its end tells of the same gap again."""
    if entry.n is None or entry.n == head.n + 1:
        return
    if entry.n > head.n:
        missing = entry.n - head.n - 1
        yield chain.GAP, {"missing": missing, "after_entry": head.entry, "before_entry": entry.id}, entry.n - 1
    else:
        data = {"last_n": head.n, "last_entry": head.entry, "begins_with_n": entry.n}
        yield chain.RESET, data, entry.n - 1


def _own(type_: str, head: Head, time: str, data: Mapping[str, Any], entry: str, n: int, keyring: Keyring) -> Written:
    line, after = chain.link(chain.own_record(type_, head, time, data), head, entry, n, keyring)
    return Written(line, after, type_)


def _read(entry: Entry) -> tuple[dict[str, Any], str]:
    """The record of an entry, or {} and why it has none."""
    try:
        return _record(entry), ""
    except _NoRecord as fault:
        return {}, str(fault)


def _day_of(record: Mapping[str, Any], time: str, now_ms: int) -> str:
    """The day of a record, of `time` when there is none; at most that of `now_ms`."""
    return min(_utc_day(record["time"]) if record else time[:10], chain.day_of(now_ms))


def _record(entry: Entry) -> dict[str, Any]:
    if entry.fields is None:
        raise _NoRecord("too large")
    if b"event" not in entry.fields:
        raise _NoRecord("no field 'event'")
    if entry.n is None:
        raise _NoRecord("no number")
    try:
        found = json.loads(entry.fields[b"event"].decode())
    except (ValueError, RecursionError):
        raise _NoRecord("not JSON") from None
    if not isinstance(found, dict):
        raise _NoRecord("no JSON object")
    if any(not isinstance(found.get(name), str) or not found[name] for name in _TEXTS):
        raise _NoRecord("an attribute of CloudEvents is missing")
    if found["type"].startswith(chain.OWN_TYPES):
        raise _NoRecord("a type that only the exporter writes")
    if any(name in found for name in chain.LINK_FIELDS):
        raise _NoRecord("a field of the chain")
    _utc_day(found["time"])
    return found


def _utc_day(time: str) -> str:
    try:
        found = datetime.fromisoformat(time)
        if found.tzinfo is None:
            raise _NoRecord("time is not RFC 3339")
        return found.astimezone(UTC).date().isoformat()
    except (ValueError, OverflowError):
        raise _NoRecord("time is not RFC 3339") from None
