"""Reads the audit log back: is it what was written, and what did somebody's sessions do.

Everything is read in order and in bounded memory: one file at a time, one line at a time. What the chain itself cannot
tell (that its end was cut off, that all of it was written anew by somebody without the key), the signed heads.json of
each day tells, and for the day that has none yet the head that Redis knows.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from shared import telemetry
from shared.audit import chain
from shared.audit.chain import BadLine, BlobName, Head, Line
from shared.audit.store import Store
from shared.privacy.keyring import Keyring

_MAX_HEADS_BYTES = 1024 * 1024
"""Most that is read of a heads.json; a chain takes 250 bytes there."""


@dataclass(frozen=True)
class Fault:
    """The first thing that is wrong: altered, missing, reordered, inserted, truncated, unreadable, `heads missing` or
    `heads altered`. `line` counts from 1; it and `seq` are None where no one line is meant."""

    kind: str
    blob: str
    line: int | None
    seq: int | None
    detail: str


class _Found(Exception):
    """Carries the first fault to `verify`."""

    def __init__(self, kind: str, blob: str, line: int | None, seq: int | None, detail: str) -> None:
        super().__init__(kind)
        self.fault = Fault(kind, blob, line, seq, detail)


@dataclass(frozen=True)
class Verification:
    """What was read: lines (`records`), chains, files of lines, signed heads. `unsealed_records` are those of days that
    have no heads.json yet. `fault` is None when all of it is as it was written."""

    records: int = 0
    chains: int = 0
    files: int = 0
    heads: int = 0
    unsealed_records: int = 0
    fault: Fault | None = None


@dataclass
class _Day:
    day: str
    files: list[BlobName]
    sealed: bool
    strangers: list[str]


@dataclass(frozen=True)
class _End:
    """The last line that was read of a chain, and which line of its file it is."""

    head: Head
    line: int
    prev: str


class _Verifier:
    def __init__(self, store: Store, keyrings: Sequence[Keyring], known: Head | None, *, anchored: bool) -> None:
        self.store = store
        self.keyrings = keyrings
        self.known = known if known and known.seq else None
        self.anchored = anchored
        """Whether a chain begins with its first line: not so when days before are left out."""
        self.ends: dict[str, _End] = {}
        self.replaced: set[str] = set()
        self.known_seen = False
        self.records = self.files = self.heads = self.unsealed_records = 0

    async def day(self, found: _Day) -> None:
        """Read all files of a day. Raises _Found."""
        if found.strangers:
            raise _Found("inserted", found.strangers[0], None, None, "no blob of the audit log has such a name")
        before, of_day = self.records, {}
        for name in sorted(found.files, key=lambda one: (one.chain, one.part)):
            await self._file(name)
            of_day[name.chain] = self.ends[name.chain]
        if not found.sealed:
            self.unsealed_records += self.records - before
            return
        await self._sealed(found.day, of_day)

    async def _file(self, name: BlobName) -> None:
        blob, end = str(name), self.ends.get(name.chain)
        if end and not end.head.next:
            detail = f"it ends without the line that closes it; the chain goes on in {blob}"
            raise _Found("truncated", end.head.blob, end.line + 1, end.head.seq + 1, detail)
        if end and end.head.next != blob:
            raise _Found("missing", end.head.next, None, end.head.seq + 1, f"the chain goes on in {blob}")
        start = chain.opened(end.head) if end else Head(name.chain, blob)
        here = _End(start, 0, "")
        lines = self.store.lines(blob)
        async for raw in lines:
            number = here.line + 1
            found = self._parse(raw, blob, number, here.head.seq + 1)
            if number == 1 and end is None and not self.anchored:
                here = _End(Head(name.chain, blob, found.seq - 1, found.prev), 0, "")
            await self._follows(found, here, end, lines)
            position = here.head.position + len(raw)
            here = _End(chain.head_of(found, blob, position, len(raw)), number, found.prev)
            self._note(found, blob, number)
        if here.line == 0:
            raise _Found("truncated", blob, 1, start.seq + 1, "the file is empty")
        self.ends[name.chain] = here
        self.files += 1

    def _parse(self, raw: bytes, blob: str, number: int, expected: int) -> Line:
        try:
            return chain.authentic(raw, self.keyrings)
        except BadLine as fault:
            cut = not raw.endswith(b"\n") and len(raw) < chain.MAX_LINE_BYTES
            raise _Found("truncated" if cut else fault.kind, blob, number, expected, str(fault)) from None

    async def _follows(self, found: Line, here: _End, before: _End | None, lines: AsyncIterator[bytes]) -> None:
        """Raises _Found unless `found` belongs right behind `here`, which `before` precedes in another file."""
        head, number = here.head, here.line + 1
        blob, expected = head.blob, head.seq + 1
        if found.chain != head.chain:
            raise _Found("inserted", blob, number, found.seq, "a line of another chain")
        if here.line and head.next:
            raise _Found("inserted", blob, number, found.seq, "a line behind the one that closed the file")
        if found.seq > expected:
            if await _comes_later(lines, expected):
                raise _Found("reordered", blob, number, found.seq, f"line with seq {expected} comes later")
            raise _Found("missing", blob, number, expected, f"the next line has seq {found.seq}")
        if found.seq < expected:
            earlier = found.seq == head.seq and found.prev == here.prev and await _leads_on(lines, found.hash)
            raise _Found("inserted", blob, number - 1 if earlier else number, found.seq, "this seq is there twice")
        if found.prev != head.hash:
            if head.seq == 0:
                raise _Found("altered", blob, number, found.seq, "the first line of a chain names one before it")
            detail = "its hash is not the one that the next line names"
            place = (blob, here.line) if here.line else (before.head.blob, before.line) if before else (blob, number)
            raise _Found("altered", *place, head.seq, detail)

    def _note(self, found: Line, blob: str, number: int) -> None:
        self.records += 1
        if former := chain.broken_head(found.record):
            self._replaced(former)
        if self.known and (found.chain, found.seq) == (self.known.chain, self.known.seq):
            if found.hash != self.known.hash:
                raise _Found("altered", blob, number, found.seq, "Redis knows another hash of this line")
            self.known_seen = True

    def _replaced(self, former: Head) -> None:
        """Compare a chain that another took the place of with what the exporter last knew of it."""
        self.replaced.add(former.chain)
        end = self.ends.get(former.chain)
        if former.seq == 0 or (end is None and not self.anchored):
            return
        if end is None or end.head.seq < former.seq:
            line = end.line + 1 if end and end.head.blob == former.blob else None
            first = end.head.seq + 1 if end else 1
            detail = f"the chain after it knows of lines to seq {former.seq}"
            raise _Found("truncated" if line else "missing", former.blob, line, first, detail)
        if end.head.seq == former.seq and end.head.hash != former.hash:
            detail = "the chain after it knows another hash of this line"
            raise _Found("altered", end.head.blob, end.line, former.seq, detail)

    async def _sealed(self, day: str, ends: dict[str, _End]) -> None:
        """Compare what was read of a day with its heads.json."""
        name = chain.heads_name(day)
        raw = await self.store.read(name, 0, _MAX_HEADS_BYTES)
        try:
            heads = {head.chain: head for head in chain.check_heads(raw, day, self.keyrings)}
        except ValueError as fault:
            raise _Found("heads altered", name, None, None, str(fault)) from None
        for head in heads.values():
            end = ends.get(head.chain)
            if end is None:
                former = self.ends.get(head.chain)
                raise _Found("missing", head.blob, None, former.head.seq + 1 if former else 1, f"{name} names it")
            _compare(head, end, name)
            self.heads += 1
        for unknown in ends.keys() - heads.keys():
            raise _Found("inserted", ends[unknown].head.blob, None, None, f"{name} does not name it")

    def finish(self, unsealed: _Day | None) -> None:
        """Compare the end of the log with what Redis knows. Raises _Found."""
        if self.known is None:
            return
        if not self.known_seen:
            end = self.ends.get(self.known.chain)
            if end is None or end.head.blob != self.known.blob:
                seq = end.head.seq + 1 if end else 1
                raise _Found("missing", self.known.blob, None, seq, f"Redis knows of line {self.known.seq} there")
            detail = f"Redis knows of lines to seq {self.known.seq}"
            raise _Found("truncated", end.head.blob, end.line + 1, end.head.seq + 1, detail)
        for name in unsealed.files if unsealed else []:
            if name.chain != self.known.chain and name.chain not in self.replaced:
                raise _Found("inserted", str(name), None, None, "no chain that Redis or another chain knows of")


async def verify(
    store: Store,
    keyrings: Sequence[Keyring],
    *,
    head: Head | None = None,
    since: date | None = None,
    until: date | None = None,
) -> Verification:
    """Read the log, of the days `since` to `until` only where given, and tell how much of it was verified or what is
    the first thing wrong.

    `keyrings` are those whose signatures count. `head` is what Redis knows of the end (AuditState.head):
    with it a cut in the day that is not sealed yet is found too. Raises what the store raises when storage is away.
    """
    if head and ((until and str(until) < head.day) or (since and head.day < str(since))):
        head = None
    verifier = _Verifier(store, keyrings, head, anchored=since is None)
    fault, unsealed = None, None
    try:
        async for found in _days(store, since, until):
            if unsealed:
                name = chain.heads_name(unsealed.day)
                raise _Found("heads missing", name, None, None, f"there are files of {found.day}")
            await verifier.day(found)
            unsealed = None if found.sealed else found
        verifier.finish(unsealed)
    except _Found as found_fault:
        fault = found_fault.fault
    return Verification(
        verifier.records, len(verifier.ends), verifier.files, verifier.heads, verifier.unsealed_records, fault
    )


async def records(
    store: Store, since: date, until: date | None = None, *, user_id: str | None = None
) -> AsyncIterator[dict[str, Any]]:
    """The lines whose `time` is on the days `since` to `until` (UTC; one day by default), in the order of the log; of
    one user's sessions only where `user_id` is given (as it is recorded: the pseudonym where users are pseudonymised).

    Lines that cannot be read are left out, with a warning: it takes `verify` to trust what is returned.
    """
    until = until or since
    async for found in _days(store, since, until + timedelta(days=1)):  # a file ends a moment after its day does
        for name in sorted(found.files, key=lambda one: (one.chain, one.part)):
            unreadable = 0
            async for raw in store.lines(str(name)):
                try:
                    record = dict(chain.parse(raw).record)
                except BadLine:
                    unreadable += 1
                    continue
                if _on_day(record, since, until) and (user_id is None or user_id in _users(record)):
                    yield record
            if unreadable:
                telemetry.logger.warning("%s has lines that cannot be read: %d", name, unreadable)


async def _days(store: Store, since: date | None, until: date | None) -> AsyncIterator[_Day]:
    """The days that have blobs, in order."""
    day: _Day | None = None
    async for name, size in store.names(chain.ROOT):
        of_day = "-".join(name.split("/")[1:4])
        if (since and of_day < str(since)) or (until and of_day > str(until)):
            continue
        if day is None or day.day != of_day:
            if day:
                yield day
            day = _Day(of_day, [], False, [])
        try:
            if name == chain.heads_name(of_day):
                day.sealed = True
            elif size:  # an empty one was created a moment ago
                day.files.append(BlobName.parse(name))
        except ValueError:
            day.strangers.append(name)
    if day and (day.files or day.sealed or day.strangers):
        yield day


async def _comes_later(lines: AsyncIterator[bytes], seq: int) -> bool:
    async for raw in lines:
        try:
            if chain.parse(raw).seq == seq:
                return True
        except BadLine:
            continue
    return False


async def _leads_on(lines: AsyncIterator[bytes], hash_: str) -> bool:
    """Whether the next line names this hash as the one before."""
    try:
        return chain.parse(await anext(lines, b"")).prev == hash_
    except BadLine:
        return False


def _compare(head: Head, end: _End, name: str) -> None:
    """Raises _Found unless the chain's part of a day ends as heads.json says."""
    found = end.head
    if found.seq < head.seq:
        raise _Found("truncated", found.blob, end.line + 1, found.seq + 1, f"{name} knows of lines to seq {head.seq}")
    if found.seq > head.seq:
        raise _Found("inserted", found.blob, None, head.seq + 1, f"{name} knows of lines to seq {head.seq}")
    if (found.hash, found.blob, found.position) != (head.hash, head.blob, head.position):
        raise _Found("altered", found.blob, end.line, found.seq, f"it does not end as {name} says")


def _on_day(record: dict[str, Any], since: date, until: date) -> bool:
    try:
        return since <= datetime.fromisoformat(str(record.get("time"))).astimezone(UTC).date() <= until
    except (ValueError, OverflowError):
        return False


def _users(record: dict[str, Any]) -> set[str]:
    data = record.get("data")
    data = data if isinstance(data, dict) else {}
    return {value for name in ("userId", "previousUserId") if isinstance(value := data.get(name), str)}
