"""Find the end of the chain in the blobs, which alone show what was written.

The head that Redis acknowledged may be behind the blobs (a crash before the acknowledgement, a failover, a restored
backup) or gone (a flush). The blobs are read from that head on, line by line: this checks the acknowledged line, and
nothing after it is written twice.
"""

import heapq
from collections.abc import AsyncIterator, Sequence

from shared.audit import chain
from shared.audit.chain import BadLine, BlobName, Head, Line
from shared.audit.store import Store
from shared.privacy.keyring import Keyring

MAX_CHAINS = 50
"""Newest chains whose ends are looked at; a chain begins when the state is lost or a chain is broken."""


class Broken(Exception):
    """The chain was tampered with or lost lines after `last_good`, its last trusted line."""

    def __init__(self, last_good: Head, reason: str) -> None:
        super().__init__(reason)
        self.last_good, self.reason = last_good, reason


async def follow(store: Store, acknowledged: Head, keyrings: Sequence[Keyring]) -> AsyncIterator[tuple[Head, str]]:
    """The head after each line and the type of its record, from the acknowledged line to the end of the chain.

    Raises Broken, and what the store raises.
    """
    head = acknowledged
    while True:
        async for next_head, type_ in _follow_blob(store, head, keyrings):
            yield next_head, type_
            head = next_head
        if not head.next or not await store.size(head.next):
            return
        head = chain.opened(head)


async def _follow_blob(store: Store, head: Head, keyrings: Sequence[Keyring]) -> AsyncIterator[tuple[Head, str]]:
    """`follow` within the blob of `head`. Raises Broken when the line of `head` is not there."""
    lines = store.lines(head.blob, head.position - head.line_bytes)
    if head.position:
        raw = await anext(lines, b"")
        try:
            line = chain.parse(raw)
        except BadLine as fault:
            reason = str(fault) if raw else "the blob ends before the last acknowledged line"
            raise Broken(head, reason) from None
        if (line.chain, line.seq, line.hash) != (head.chain, head.seq, head.hash):
            raise Broken(head, "another line is in the place of the last acknowledged one")
        head = chain.head_of(line, head.blob, head.position, len(raw))
        yield head, _type(line)
    async for raw in lines:
        if head.next:
            raise Broken(head, "lines after the one that closed the file")
        try:
            line = chain.follow(raw, head, keyrings)
        except BadLine as fault:
            raise Broken(head, str(fault)) from None
        head = chain.head_of(line, head.blob, head.position + len(raw), len(raw))
        yield head, _type(line)


async def latest(store: Store, keyrings: Sequence[Keyring]) -> Head | None:
    """The end of the newest chain in the container, from its last line; None when there is no chain.

    Called when Redis has no acknowledged head. Raises Broken when the last line is not one that the exporter signed.
    Its `last_good` is then the end of the newest chain that is: somebody can put a file of a later chain there.
    """
    ends = dict[str, tuple[str, int, int]]()
    async for text, size in store.names(chain.ROOT):
        try:
            name = BlobName.parse(text)
        except ValueError:
            continue
        if size:
            ends[name.chain] = max(ends.get(name.chain, ("", 0, 0)), (name.day, name.part, size))
    broken: Broken | None = None
    for chain_name in heapq.nlargest(MAX_CHAINS, ends):
        day, part, size = ends[chain_name]
        blob = str(BlobName(day, chain_name, part))
        try:
            head = await _end_of(store, Head(chain_name, blob), size, keyrings)
        except BadLine as fault:
            broken = broken or Broken(Head(chain_name, blob), str(fault))
            continue
        if broken:
            raise Broken(head, f"a later file is not of this app, {broken.last_good.blob}: {broken.reason}")
        return head
    if broken:
        raise broken
    return None


async def _end_of(store: Store, start: Head, size: int, keyrings: Sequence[Keyring]) -> Head:
    """The end of a blob of `size` bytes, from its last line. Raises BadLine."""
    first = max(0, size - chain.MAX_LINE_BYTES)
    tail = await store.read(start.blob, first, size - first)
    raw = tail[tail.rfind(b"\n", 0, -1) + 1 :]
    line = chain.authentic(raw, keyrings)
    if line.chain != start.chain:
        raise BadLine("altered", "the last line belongs to another chain")
    return chain.head_of(line, start.blob, first + len(tail), len(raw))


async def heads_of_day(store: Store, last: Head, keyrings: Sequence[Keyring]) -> list[Head]:
    """The heads to sign for the day of `last`: `last`, and the last trusted heads of the chains of the same day that it
    replaced, newest first.

    The replaced chains are followed through the records that the exporter signed. A file that somebody else put into
    the container is never signed.
    """
    heads, head = list[Head](), last if last.position else None
    while head and head.day == last.day and head.chain not in {listed.chain for listed in heads}:
        heads.append(head)
        start = await store.read(str(BlobName(head.day, head.chain)), 0, chain.MAX_LINE_BYTES)
        try:
            first_line = chain.authentic(start[: start.find(b"\n") + 1], keyrings)
        except BadLine:
            break
        head = chain.broken_head(first_line.record)
    return heads


def _type(line: Line) -> str:
    return str(line.record.get("type"))
