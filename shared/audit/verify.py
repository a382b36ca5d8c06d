"""Verify the audit log, and read records from it.

Files are read in order and in bounded memory, line by line. The chain itself cannot show that its end was cut off. The
signed heads.json of each day shows it for sealed days, the head in Redis for the day that is not sealed yet.
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
"""Most bytes that are read of a heads.json; each chain takes 250 bytes there."""


@dataclass(frozen=True)
class Fault:
    """The first fault in the log. `kind` is altered, missing, reordered, inserted, truncated, unreadable, `heads
    missing` or `heads altered`. `line` counts from 1; it and `seq` are None if the fault is not in a single line."""

    kind: str
    blob: str
    line: int | None
    seq: int | None
    detail: str


class _FaultFound(Exception):
    """Ends the verification with its first fault."""

    def __init__(self, kind: str, blob: str, line: int | None, seq: int | None, detail: str) -> None:
        super().__init__(kind)
        self.fault = Fault(kind, blob, line, seq, detail)


@dataclass(frozen=True)
class Verification:
    """How many lines (`records`), chains, files and signed heads were read. `unsealed_records` counts the lines of days
    without a heads.json. `fault` is None if the log is intact."""

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
    foreign: list[str]
    """Names of blobs that the exporter never writes."""


@dataclass(frozen=True)
class _End:
    """The last line that was read of a chain: the head after it, its number in its file, its `prev`."""

    head: Head
    line: int
    prev: str


class _Verifier:
    def __init__(self, store: Store, keyrings: Sequence[Keyring], redis_head: Head | None, *, anchored: bool) -> None:
        self.store = store
        self.keyrings = keyrings
        self.redis_head = redis_head if redis_head and redis_head.seq else None
        self.anchored = anchored
        """Whether every chain has to begin with its first line: not if earlier days are left out."""
        self.ends: dict[str, _End] = {}
        """End of each chain by its name."""
        self.replaced: set[str] = set()
        """Chains that a later one replaced."""
        self.redis_head_seen = False
        self.records = self.files = self.heads = self.unsealed_records = 0

    async def day(self, day: _Day) -> None:
        """Verify all files of a day. Raises _FaultFound."""
        if day.foreign:
            raise _FaultFound("inserted", day.foreign[0], None, None, "not the name of an audit blob")
        records_before, ends = self.records, {}
        for name in sorted(day.files, key=_chain_and_part):
            await self._file(name)
            ends[name.chain] = self.ends[name.chain]
        if not day.sealed:
            self.unsealed_records += self.records - records_before
            return
        await self._sealed(day.day, ends)

    async def _file(self, name: BlobName) -> None:
        """Verify a file from its first line, which has to follow the end of the chain's previous file."""
        blob, previous = str(name), self.ends.get(name.chain)
        if previous and not previous.head.next:
            detail = f"the line that closes the file is missing; the chain continues in {blob}"
            raise _FaultFound("truncated", previous.head.blob, previous.line + 1, previous.head.seq + 1, detail)
        if previous and previous.head.next != blob:
            detail = f"the chain continues in {blob}"
            raise _FaultFound("missing", previous.head.next, None, previous.head.seq + 1, detail)
        start = chain.opened(previous.head) if previous else Head(name.chain, blob)
        end = _End(start, 0, "")
        lines = self.store.lines(blob)
        async for raw in lines:
            number = end.line + 1
            line = self._parse(raw, blob, number, end.head.seq + 1)
            if number == 1 and previous is None and not self.anchored:
                end = _End(Head(name.chain, blob, line.seq - 1, line.prev), 0, "")
            await self._check_follows(line, end, previous, lines)
            position = end.head.position + len(raw)
            end = _End(chain.head_of(line, blob, position, len(raw)), number, line.prev)
            self._note(line, blob, number)
        if end.line == 0:
            raise _FaultFound("truncated", blob, 1, start.seq + 1, "the file is empty")
        self.ends[name.chain] = end
        self.files += 1

    def _parse(self, raw: bytes, blob: str, number: int, expected_seq: int) -> Line:
        try:
            return chain.authentic(raw, self.keyrings)
        except BadLine as fault:
            cut = not raw.endswith(b"\n") and len(raw) < chain.MAX_LINE_BYTES
            raise _FaultFound("truncated" if cut else fault.kind, blob, number, expected_seq, str(fault)) from None

    async def _check_follows(self, line: Line, end: _End, previous: _End | None, lines: AsyncIterator[bytes]) -> None:
        """Raises _FaultFound unless `line` is the next one after `end`. `previous` is the end of the chain's previous
        file; `lines` yields the lines after `line`."""
        head, number = end.head, end.line + 1
        blob, expected_seq = head.blob, head.seq + 1
        if line.chain != head.chain:
            raise _FaultFound("inserted", blob, number, line.seq, "a line of another chain")
        if end.line and head.next:
            raise _FaultFound("inserted", blob, number, line.seq, "a line after the one that closed the file")
        if line.seq > expected_seq:
            if await _has_seq(lines, expected_seq):
                raise _FaultFound("reordered", blob, number, line.seq, f"the line with seq {expected_seq} comes later")
            raise _FaultFound("missing", blob, number, expected_seq, f"the next line has seq {line.seq}")
        if line.seq < expected_seq:
            original = line.seq == head.seq and line.prev == end.prev and await _next_names(lines, line.hash)
            raise _FaultFound("inserted", blob, number - 1 if original else number, line.seq, "duplicate seq")
        if line.prev != head.hash:
            if head.seq == 0:
                raise _FaultFound("altered", blob, number, line.seq, "the first line of a chain names a previous one")
            detail = "its hash is not the one that the next line names"
            place = (blob, end.line) if end.line else (blob, number)
            if previous and not end.line:
                place = (previous.head.blob, previous.line)
            raise _FaultFound("altered", *place, head.seq, detail)

    def _note(self, line: Line, blob: str, number: int) -> None:
        """Count a line, and compare it with the head in Redis or with the chain that it replaces."""
        self.records += 1
        if replaced_head := chain.broken_head(line.record):
            self._check_replaced(replaced_head)
        if self.redis_head and (line.chain, line.seq) == (self.redis_head.chain, self.redis_head.seq):
            if line.hash != self.redis_head.hash:
                raise _FaultFound("altered", blob, number, line.seq, "Redis has another hash of this line")
            self.redis_head_seen = True

    def _check_replaced(self, replaced_head: Head) -> None:
        """Compare a chain that was replaced with its last trusted head, which its replacement recorded."""
        self.replaced.add(replaced_head.chain)
        end = self.ends.get(replaced_head.chain)
        if replaced_head.seq == 0 or (end is None and not self.anchored):
            return
        if end is None or end.head.seq < replaced_head.seq:
            number = end.line + 1 if end and end.head.blob == replaced_head.blob else None
            first_seq = end.head.seq + 1 if end else 1
            detail = f"the chain that replaced it recorded lines up to seq {replaced_head.seq}"
            raise _FaultFound("truncated" if number else "missing", replaced_head.blob, number, first_seq, detail)
        if end.head.seq == replaced_head.seq and end.head.hash != replaced_head.hash:
            detail = "the chain that replaced it recorded another hash of this line"
            raise _FaultFound("altered", end.head.blob, end.line, replaced_head.seq, detail)

    async def _sealed(self, day: str, ends: dict[str, _End]) -> None:
        """Compare the ends of the chains of a day with its heads.json."""
        name = chain.heads_name(day)
        raw = await self.store.read(name, 0, _MAX_HEADS_BYTES)
        try:
            heads = {head.chain: head for head in chain.check_heads(raw, day, self.keyrings)}
        except ValueError as fault:
            raise _FaultFound("heads altered", name, None, None, str(fault)) from None
        for head in heads.values():
            end = ends.get(head.chain)
            if end is None:
                earlier = self.ends.get(head.chain)
                seq = earlier.head.seq + 1 if earlier else 1
                raise _FaultFound("missing", head.blob, None, seq, f"{name} names it")
            _check_end(head, end, name)
            self.heads += 1
        for unnamed in ends.keys() - heads.keys():
            raise _FaultFound("inserted", ends[unnamed].head.blob, None, None, f"{name} does not name it")

    def finish(self, unsealed: _Day | None) -> None:
        """Compare the end of the log with the head in Redis. Raises _FaultFound."""
        head = self.redis_head
        if head is None:
            return
        if not self.redis_head_seen:
            end = self.ends.get(head.chain)
            seq = end.head.seq + 1 if end else 1
            detail = f"Redis recorded lines up to seq {head.seq}"
            if end is None or end.head.blob != head.blob:
                raise _FaultFound("missing", head.blob, None, seq, detail)
            raise _FaultFound("truncated", end.head.blob, end.line + 1, seq, detail)
        for name in unsealed.files if unsealed else []:
            if name.chain != head.chain and name.chain not in self.replaced:
                raise _FaultFound("inserted", str(name), None, None, "neither Redis nor another chain names this chain")


async def verify(
    store: Store,
    keyrings: Sequence[Keyring],
    *,
    head: Head | None = None,
    since: date | None = None,
    until: date | None = None,
) -> Verification:
    """Verify the log, or only the days `since` to `until` (inclusive); stops at the first fault.

    `keyrings` are the keys whose signatures are accepted. `head` is the end that Redis recorded (AuditState.head);
    with it a truncation of the unsealed day is detected too. Raises what the store raises when storage is away.
    """
    if head and ((until and str(until) < head.day) or (since and head.day < str(since))):
        head = None
    verifier = _Verifier(store, keyrings, head, anchored=since is None)
    fault, unsealed = None, None
    try:
        async for day in _days(store, since, until):
            if unsealed:
                name = chain.heads_name(unsealed.day)
                raise _FaultFound("heads missing", name, None, None, f"there are files of {day.day}")
            await verifier.day(day)
            unsealed = None if day.sealed else day
        verifier.finish(unsealed)
    except _FaultFound as first:
        fault = first.fault
    return Verification(
        verifier.records, len(verifier.ends), verifier.files, verifier.heads, verifier.unsealed_records, fault
    )


async def records(
    store: Store, since: date, until: date | None = None, *, user_id: str | None = None
) -> AsyncIterator[dict[str, Any]]:
    """The lines whose `time` is on the days `since` to `until` (UTC, inclusive; by default one day), in log order.

    `user_id` selects the records of one user, in the form in which they name the user (id or pseudonym). Lines that
    cannot be read are skipped with a warning. Nothing is verified: see `verify`. Raises what the store raises.
    """
    until = until or since
    async for day in _days(store, since, until + timedelta(days=1)):  # late records are in the file of the next day
        for name in sorted(day.files, key=_chain_and_part):
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
                telemetry.logger.warning("%s: %d lines cannot be read", name, unreadable)


async def _days(store: Store, since: date | None, until: date | None) -> AsyncIterator[_Day]:
    """The days that have blobs, in order; a blob without bytes does not count: it was created a moment ago."""
    day: _Day | None = None
    async for name, size in store.names(chain.ROOT):
        blob_day = "-".join(name.split("/")[1:4])
        if (since and blob_day < str(since)) or (until and blob_day > str(until)):
            continue
        if day is None or day.day != blob_day:
            if day:
                yield day
            day = _Day(blob_day, [], False, [])
        try:
            if name == chain.heads_name(blob_day):
                day.sealed = True
            elif size:
                day.files.append(BlobName.parse(name))
        except ValueError:
            day.foreign.append(name)
    if day and (day.files or day.sealed or day.foreign):
        yield day


def _chain_and_part(name: BlobName) -> tuple[str, int]:
    return name.chain, name.part


async def _has_seq(lines: AsyncIterator[bytes], seq: int) -> bool:
    async for raw in lines:
        try:
            if chain.parse(raw).seq == seq:
                return True
        except BadLine:
            continue
    return False


async def _next_names(lines: AsyncIterator[bytes], hash_: str) -> bool:
    """Whether the next line names `hash_` as its `prev`."""
    try:
        return chain.parse(await anext(lines, b"")).prev == hash_
    except BadLine:
        return False


def _check_end(head: Head, end: _End, name: str) -> None:
    """Raises _FaultFound unless the chain ends its day with `head`, as heads.json (`name`) says."""
    last = end.head
    detail = f"{name} names seq {head.seq} as the last"
    if last.seq < head.seq:
        raise _FaultFound("truncated", last.blob, end.line + 1, last.seq + 1, detail)
    if last.seq > head.seq:
        raise _FaultFound("inserted", last.blob, None, head.seq + 1, detail)
    if (last.hash, last.blob, last.position) != (head.hash, head.blob, head.position):
        raise _FaultFound("altered", last.blob, end.line, last.seq, f"differs from the head in {name}")


def _on_day(record: dict[str, Any], since: date, until: date) -> bool:
    try:
        return since <= datetime.fromisoformat(str(record.get("time"))).astimezone(UTC).date() <= until
    except (ValueError, OverflowError):
        return False


def _users(record: dict[str, Any]) -> set[str]:
    data = record.get("data")
    data = data if isinstance(data, dict) else {}
    return {value for name in ("userId", "previousUserId") if isinstance(value := data.get(name), str)}
