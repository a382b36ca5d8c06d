"""Where to go on: the end of the chain as the blobs have it, which are the truth of what was written.

What Redis last acknowledged may be behind (a crash before the acknowledgement, a restored backup), or gone (a flush).
What the blobs hold is followed from there line by line, so that what was acknowledged is checked and what came after is
not written again.
"""

from dataclasses import replace

from shared.audit import chain
from shared.audit.chain import BadLine, Head, opened
from shared.audit.store import Store


class Broken(Exception):
    """The end of a chain cannot be trusted: `blob` is not as it was written behind `last_good`."""

    def __init__(self, last_good: Head, blob: str, reason: str) -> None:
        super().__init__(reason)
        self.last_good, self.blob, self.reason = last_good, blob, reason


async def follow(store: Store, acknowledged: Head) -> tuple[Head, list[str]]:
    """The end of the chain, found from what was acknowledged, and the types of the exporter's own records behind that.
    Raises Broken, and what the store raises."""
    head, types = acknowledged, list[str]()
    while True:
        head = await _end_of_blob(store, head, types)
        if not head.next or not await store.size(head.next):
            return head, types
        head = opened(head)


async def _end_of_blob(store: Store, head: Head, types: list[str]) -> Head:
    """The head after the last line of the blob of `head`, which is checked to be there itself."""
    start = head.position - head.line_bytes
    lines = store.lines(head.blob, start)
    if head.position:
        line = await anext(lines, b"")
        try:
            found = chain.parse(line)
        except BadLine as fault:
            reason = "the blob ends before the last line that was acknowledged" if not line else str(fault)
            raise Broken(head, head.blob, reason) from None
        if (found.chain, found.seq, found.hash) != (head.chain, head.seq, head.hash):
            raise Broken(head, head.blob, "the last line that was acknowledged is another")
        head = chain.head_of(found, head.blob, head.position, len(line))
    async for line in lines:
        if head.next:
            raise Broken(head, head.blob, "lines behind the one that closed the file")
        try:
            found = chain.follow(line, head)
        except BadLine as fault:
            raise Broken(head, head.blob, str(fault)) from None
        head = chain.head_of(found, head.blob, head.position + len(line), len(line))
        if str(found.record.get("type")).startswith(chain.OWN_TYPES):
            types.append(str(found.record["type"]))
    return head


async def latest(store: Store) -> Head | None:
    """The end of the newest chain in the container, None when there is none: for when Redis knows nothing.

    Raises Broken when its last line is no line.
    """
    newest: tuple[str, str, int] | None = None
    async for name, size in store.names(chain.ROOT):
        try:
            found = chain.BlobName.parse(name)
        except ValueError:
            continue
        if size:
            newest = max(newest or ("", "", 0), (found.chain, found.day, found.part))
    if newest is None:
        return None
    blob = str(chain.BlobName(newest[1], newest[0], newest[2]))
    try:
        return await end_of(store, blob)
    except BadLine as fault:
        raise Broken(Head(newest[0], blob), blob, str(fault)) from None


async def end_of(store: Store, blob: str) -> Head:
    """The head after the last line of `blob`, by what that line says of itself. Raises BadLine."""
    size = await store.size(blob) or 0
    start = max(0, size - chain.MAX_LINE_BYTES)
    tail = await store.read(blob, start, size - start)
    line = tail[tail.rfind(b"\n", 0, -1) + 1 :]
    found = chain.parse(line)
    if found.chain != chain.BlobName.parse(blob).chain:
        raise BadLine("altered", "the last line is of another chain")
    return chain.head_of(found, blob, size, len(line))


async def heads_of_day(store: Store, day: str) -> list[Head]:
    """The last head of each chain that has a file of this day; one whose end cannot be read has seq 0."""
    last: dict[str, tuple[int, int]] = {}
    async for name, size in store.names(chain.day_prefix(day)):
        try:
            found = chain.BlobName.parse(name)
        except ValueError:
            continue
        last[found.chain] = max(last.get(found.chain, (0, 0)), (found.part, size))
    heads = []
    for name, (part, size) in sorted(last.items()):
        blob = str(chain.BlobName(day, name, part))
        try:
            heads.append(await end_of(store, blob))
        except BadLine:
            heads.append(replace(Head(name, blob), position=size))
    return heads
