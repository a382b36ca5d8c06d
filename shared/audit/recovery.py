"""Where to go on: the end of the chain as the blobs have it, which are the truth of what was written.

What Redis last acknowledged may be behind (a crash before the acknowledgement, a failover, a restored backup), or gone
(a flush). What the blobs hold is followed from there line by line, so that what was acknowledged is checked and what
came after is not written again.
"""

from collections.abc import AsyncIterator, Sequence

from shared.audit import chain
from shared.audit.chain import BadLine, BlobName, Head, Line, opened
from shared.audit.store import Store
from shared.privacy.keyring import Keyring


class Broken(Exception):
    """The end of a chain cannot be trusted: its blob is not as it was written behind `last_good`."""

    def __init__(self, last_good: Head, reason: str) -> None:
        super().__init__(reason)
        self.last_good, self.reason = last_good, reason


async def follow(store: Store, acknowledged: Head, keyrings: Sequence[Keyring]) -> AsyncIterator[tuple[Head, str]]:
    """The head after each line from the one that was acknowledged on, and the line's type. Raises Broken, and what the
    store raises."""
    head = acknowledged
    while True:
        async for told in _of_blob(store, head, keyrings):
            head, _ = told
            yield told
        if not head.next or not await store.size(head.next):
            return
        head = opened(head)


async def _of_blob(store: Store, head: Head, keyrings: Sequence[Keyring]) -> AsyncIterator[tuple[Head, str]]:
    """`follow` within the blob of `head`, whose own line is checked to be there."""
    lines = store.lines(head.blob, head.position - head.line_bytes)
    if head.position:
        line = await anext(lines, b"")
        try:
            found = chain.parse(line)
        except BadLine as fault:
            reason = "the blob ends before the last line that was acknowledged" if not line else str(fault)
            raise Broken(head, reason) from None
        if (found.chain, found.seq, found.hash) != (head.chain, head.seq, head.hash):
            raise Broken(head, "the last line that was acknowledged is another")
        head = chain.head_of(found, head.blob, head.position, len(line))
        yield head, _type(found)
    async for line in lines:
        if head.next:
            raise Broken(head, "lines behind the one that closed the file")
        try:
            found = chain.follow(line, head, keyrings)
        except BadLine as fault:
            raise Broken(head, str(fault)) from None
        head = chain.head_of(found, head.blob, head.position + len(line), len(line))
        yield head, _type(found)


async def latest(store: Store, keyrings: Sequence[Keyring]) -> Head | None:
    """The end of the newest chain in the container, by what its last line says of itself; None when there is none. For
    when Redis knows nothing.

    Raises Broken when that is no line of ours.
    """
    newest: tuple[str, str, int, int] | None = None
    async for text, size in store.names(chain.ROOT):
        try:
            name = BlobName.parse(text)
        except ValueError:
            continue
        if size:
            newest = max(newest or ("", "", 0, 0), (name.chain, name.day, name.part, size))
    if newest is None:
        return None
    of_chain, day, part, size = newest
    blob = str(BlobName(day, of_chain, part))
    start = max(0, size - chain.MAX_LINE_BYTES)
    tail = await store.read(blob, start, size - start)
    line = tail[tail.rfind(b"\n", 0, -1) + 1 :]
    try:
        found = chain.authentic(line, keyrings)
    except BadLine as fault:
        raise Broken(Head(of_chain, blob), str(fault)) from None
    if found.chain != of_chain:
        raise Broken(Head(of_chain, blob), "the last line is of another chain")
    return chain.head_of(found, blob, start + len(tail), len(line))


async def heads_of_day(store: Store, last: Head, keyrings: Sequence[Keyring]) -> list[Head]:
    """How the chain of `last` ends on the day of `last`, and on the same day each one before that it took the place of.

    By what the exporter itself knows, not by what is in the container: nothing that somebody put there is signed.
    """
    heads, former = list[Head](), last if last.position else None
    while former and former.day == last.day and former.chain not in {head.chain for head in heads}:
        heads.append(former)
        first = await store.read(str(BlobName(former.day, former.chain)), 0, chain.MAX_LINE_BYTES)
        try:
            line = chain.authentic(first[: first.find(b"\n") + 1], keyrings)
        except BadLine:
            break
        former = chain.broken_head(line.record)
    return heads


def _type(line: Line) -> str:
    return str(line.record.get("type"))
