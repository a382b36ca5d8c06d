"""Export the audit stream to storage: every record once, in the order of the stream.

    run:  begin (lease, checkpoint)  ->  find the end of the chain  ->  read a page of the stream
          ->  append a block of lines  ->  acknowledge (new checkpoint, delete old entries)  ->  next page  ->  end

The blobs decide, not the checkpoint in Redis. A block is appended only if the blob ends at the expected position. If it
does not (a crash between append and acknowledgement, a lost reply, another exporter), the exporter reads the end of the
chain again and continues there. The lease in Redis only saves work.
"""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

from shared import telemetry
from shared.app import App
from shared.audit import chain, records, recovery, state
from shared.audit.chain import Head
from shared.audit.records import Position, Written
from shared.audit.recovery import Broken
from shared.audit.run import Outdated, Run
from shared.audit.state import Checkpoint
from shared.audit.store import Moved, Store, Unusable, load_client, open_store

BUDGET_S = 30.0
LAST_CALL_S = 50.0
"""How much longer than its budget a run may take: its last call to storage, retries included."""
LEASE_S = 15.0
"""How long an exporter that died keeps the others from running. Each acknowledgement renews the lease."""
MAX_BLOCK_BYTES = 1024 * 1024
"""aiohttp warns that it blocks the event loop if it sends more at once. Azure takes at least 4 MiB."""
MAX_BLOCKS = 49_000
"""Blocks per blob before the next part is begun; Azure's limit is 50,000."""
_PAUSE_S = 0.05
"""Pause before the end of the chain is read again, after another exporter has appended to it."""
SECOND_LOOK_S = 0.2
"""Pause before a chain that seems to be broken or missing is looked at again."""
DAY_MS = 86_400_000
_COUNTER_NAMES = {chain.GAP: "gaps", chain.RESET: "resets", chain.UNREADABLE: "unreadable"}


@dataclass(frozen=True)
class ExportReport:
    """What a run did. `written` counts lines; `finished` says that the stream has no more entries; `held_by_other` that
    another run has the lease. `error` is the class of the error if storage was away."""

    written: int = 0
    finished: bool = False
    configured: bool = True
    held_by_other: bool = False
    error: str | None = None
    duration_s: float = 0.0


async def export(app: App, store: Store | None = None, *, budget_s: float = BUDGET_S) -> ExportReport:
    """Write the entries of the stream to `store` (by default the one of the settings) until the stream is at its end or
    `budget_s` has passed, and close yesterday's file.

    An outage of storage raises nothing: it is logged once and noted in Redis for health, and the stream keeps the
    records. Raises ConfigurationError if the setting names no storage account, and what the Redis client raises.
    """
    if store is None and not app.settings.storage:
        return ExportReport(configured=False)
    owner, started_s = secrets.token_hex(8), time.monotonic()
    lease_ms = round(LEASE_S * 1000)
    checkpoint = await state.begin(app, owner, lease_ms)
    if checkpoint is None:
        return ExportReport(held_by_other=True)
    await load_client()
    from azure.core.exceptions import AzureError

    totals, finished, error = Counter[str](), False, ""
    try:
        async with asyncio.timeout(budget_s + LAST_CALL_S), AsyncExitStack() as stack:
            target = store if store is not None else await stack.enter_async_context(open_store(app.settings))
            while (at_end := await _export(app, target, checkpoint, started_s + budget_s, totals)) is None:
                await asyncio.sleep(_PAUSE_S)
                renewed = await state.begin(app, owner, lease_ms)
                if renewed is None or time.monotonic() >= started_s + budget_s:
                    break
                checkpoint = renewed
            finished = bool(at_end)
        telemetry.recovered("storage")
    except (AzureError, TimeoutError) as fault:
        error = type(fault).__name__
        telemetry.outage("storage", fault)
    except BaseException as fault:
        error = type(fault).__name__
        raise
    finally:
        await state.end(app, owner, error, success=not error and (finished or totals["written"] > 0))
    return ExportReport(totals["written"], finished, error=error or None, duration_s=time.monotonic() - started_s)


async def _export(app: App, store: Store, checkpoint: Checkpoint, until_s: float, totals: Counter[str]) -> bool | None:
    """Write the stream from the checkpoint on. True at the end of the stream, False when the time is over, None if
    another exporter has moved on."""
    run = Run(app, store, Head("", ""), checkpoint.place, checkpoint.sealed, checkpoint.now_ms)
    try:
        if not await _find_end(run, checkpoint):
            return True
        return await _ship(run, until_s)
    except (Moved, Outdated):
        return None
    finally:
        totals["written"] += run.written
        telemetry.count("audit", "written", run.written)


async def _find_end(run: Run, checkpoint: Checkpoint) -> bool:
    """Set `run.head` to the end of the chain: from the checkpoint, else from the container. Begins a new chain if there
    is none, or if its end is broken at a second look too: storage can deny a blob once that is there. False if there is
    no chain and the stream is empty."""
    try:
        found = await _locate_end(run, checkpoint)
    except Broken:
        await asyncio.sleep(SECOND_LOOK_S)
        run.head, run.pending = Head("", ""), []
        run.counters.clear()
        try:
            found = await _locate_end(run, checkpoint)
        except Broken as fault:
            await _replace_chain(run, fault)
            found = True
    if found and run.head.seq == 0 and checkpoint.broken and not run.pending:
        run.pending.append(records.broken(run.head, checkpoint.broken, run.now_ms, run.keyring))
    return found


async def _locate_end(run: Run, checkpoint: Checkpoint) -> bool:
    """`_find_end`, but raises Broken."""
    if checkpoint.head:
        await _catch_up(run, checkpoint.head)
    elif latest := await _latest(run):
        run.head = latest
        if latest.entry != chain.START and not await state.has_entry(run.app, latest.entry, latest.n):
            await _write_reset(run, (chain.START, 0))
        else:
            await _acknowledge(run)
    else:
        first = (await state.read(run.app, chain.START)).entries
        if not first:
            return False
        await _begin_chain(run, records.day(first[0], run.now_ms))
    return True


async def _latest(run: Run) -> Head | None:
    """The end of the newest chain in the container; None if there is none at a second look too. Raises Broken."""
    latest = await recovery.latest(run.store, run.app.keyrings)
    if latest is None:
        await asyncio.sleep(SECOND_LOOK_S)
        latest = await recovery.latest(run.store, run.app.keyrings)
    return latest


async def _catch_up(run: Run, acknowledged: Head) -> None:
    """Set `run.head` to the end of the chain, past lines that were written but not acknowledged. Raises Broken."""
    run.head = acknowledged
    types: list[str] = []
    async for head, type_ in recovery.follow(run.store, acknowledged, run.app.keyrings):
        if head.seq > acknowledged.seq and type_ in _COUNTER_NAMES:
            types.append(type_)
        run.head = head
    if run.head == acknowledged:
        return
    _count(run, types)
    common = await _common_position(run, acknowledged)
    if common:
        await _write_reset(run, common)
    else:
        await _acknowledge(run)


async def _common_position(run: Run, acknowledged: Head) -> Position | None:
    """The last position that chain and stream share, if Redis went back to a state before the end of the chain (a
    failover to a replica that lagged, a restored backup). None if the stream continues after the chain.

        chain:   e1 e2 e3 e4 e5      e2 is acknowledged
        stream:  e1 e2 e3 x1 x2      the common position is e3; e4 and e5 are in the log only
    """
    if await state.has_entry(run.app, run.head.entry, run.head.n):
        return None
    end = state.id_order(run.head.entry)
    common = acknowledged.entry, acknowledged.n
    lines = recovery.follow(run.store, acknowledged, run.app.keyrings)
    line = await anext(lines, None)
    while (page := await state.read(run.app, common[0])).entries:
        for entry in page.entries:
            while line and state.id_order(line[0].entry) < state.id_order(entry.id):
                line = await anext(lines, None)
            if line is None or line[0].entry != entry.id or entry.n not in {None, line[0].n}:
                return common if state.id_order(entry.id) <= end else None
            common = entry.id, line[0].n
    return common if state.id_order(page.last_id) < end else None


async def _begin_chain(run: Run, day: str, broken: Mapping[str, Any] | None = None) -> None:
    """Begin a new chain, by an acknowledgement that only one exporter can make. Raises Outdated if another was first.

    `broken` describes the chain that it replaces.
    """
    stamp = "".join(part for part in chain.iso(run.now_ms) if part.isalnum())
    name = f"{stamp[:-1]}Z-{secrets.token_hex(4)}"
    run.head = Head(name, str(chain.BlobName(day, name)), entry=run.head.entry, n=run.head.n)
    await _acknowledge(run, broken)


async def _replace_chain(run: Run, fault: Broken) -> None:
    """Leave the broken chain as it is and begin a new one, whose first line records why."""
    good, today = fault.last_good, chain.day_of(run.now_ms)
    telemetry.logger.error("the audit chain %s cannot be trusted: %s (%s)", good.chain, good.blob, fault.reason)
    if good.day < today:
        await _seal(run, good)
    data = chain.broken_record(good, fault.reason)
    run.head, run.pending = good, []
    # If Redis' clock was set back a little, the new chain follows the broken one. A day further ahead is a forged one.
    is_near = today < good.day <= chain.day_of(run.now_ms + DAY_MS)
    await _begin_chain(run, good.day if is_near else today, {**data, "time": chain.iso(run.now_ms)})
    run.pending.append(records.broken(run.head, data, run.now_ms, run.keyring))


async def _write_reset(run: Run, common: Position) -> None:
    """Add a RESET line: Redis lost its state, and after `common` its stream differs from the chain.

    The line is written before anything is acknowledged, so a crash in between cannot hide the loss.
    """
    page = await state.read(run.app, common[0])
    today = chain.day_of(page.now_ms)
    if chain.opened(run.head).day < today:
        run.pending.append(records.close(run.head, today, page.now_ms, run.keyring))
        await _append(run)
    first = page.entries[0] if page.entries else None
    run.pending.append(records.reset(run.head, common, first, page.now_ms, run.keyring))


async def _ship(run: Run, until_s: float) -> bool:
    """Write the stream from `run.head` on. True at its end, False when the time is over."""
    await _flush(run)
    await _seal_closed(run)
    while True:
        page = await state.read(run.app, run.head.entry)
        run.now_ms = page.now_ms
        if page.last_id != chain.START and state.id_order(page.last_id) < state.id_order(run.head.entry):
            run.head = replace(run.head, entry=chain.START)  # the stream was deleted and starts again with lower ids
            continue
        if not page.entries:
            break
        for index, entry in enumerate(page.entries):
            for line in records.lines_of(entry, run.tip, run.now_ms, run.keyring):
                if not _fits(run, line):
                    await _flush(run)
                run.pending.append(line)
            if index % 50 == 49:
                await asyncio.sleep(0)
        await _flush(run)
        if time.monotonic() >= until_s:
            return False
    today = chain.day_of(run.now_ms)
    if run.head.seq and not run.head.next and run.head.day < today:
        run.pending.append(records.close(run.head, today, run.now_ms, run.keyring))
        await _flush(run)
        await _seal_closed(run)
    return True


def _fits(run: Run, line: Written) -> bool:
    """Whether `line` can be appended in one block with the pending lines."""
    first = run.pending[0].head if run.pending else line.head
    return line.head.blob == first.blob and line.head.position - first.position < MAX_BLOCK_BYTES - chain.MAX_LINE_BYTES


async def _flush(run: Run) -> None:
    """Append the pending lines as one block and acknowledge them. Raises Moved and Outdated."""
    while run.pending:
        blocks = await _append(run)
        await _acknowledge(run)
        if blocks >= MAX_BLOCKS and not run.head.next:
            run.pending.append(records.close(run.head, run.head.day, run.now_ms, run.keyring))


async def _append(run: Run) -> int:
    """Append the pending lines as one block; returns how many blocks their blob has. Raises Moved and Outdated."""
    first, last = run.pending[0].head, run.pending[-1].head
    if run.head.next and run.head.day < last.day:
        await _seal(run, run.head)
    data = b"".join(written.line for written in run.pending)
    try:
        blocks = await run.store.append(last.blob, data, first.position - first.line_bytes)
    except Unusable:
        await _replace_chain(run, Broken(chain.opened(run.head), "the blob cannot be appended to"))
        raise Outdated from None
    run.written += len(run.pending)
    _count(run, [written.type for written in run.pending])
    run.head, run.pending = last, []
    return blocks


async def _seal_closed(run: Run) -> None:
    """If the chain has closed the file of a day, write heads.json of that day, unless it is sealed already."""
    if run.head.next and run.head.day < chain.BlobName.parse(run.head.next).day and run.sealed < run.head.day:
        await _seal(run, run.head)
        await _acknowledge(run)


async def _seal(run: Run, last: Head) -> None:
    """Write heads.json of the day of `last`, unless it exists. `last` is final for that day: the file was closed or the
    chain was replaced."""
    if run.sealed >= last.day:
        return
    heads = await recovery.heads_of_day(run.store, last, run.app.keyrings)
    await run.store.create(chain.heads_name(last.day), chain.sign_heads(last.day, heads, run.keyring))
    run.sealed = last.day


async def _acknowledge(run: Run, broken: Mapping[str, Any] | None = None) -> None:
    """Store `run.head` as the checkpoint and renew the lease. Raises Outdated."""
    place = await state.acknowledge(
        run.app,
        run.head,
        run.expected,
        until_ms=run.now_ms + round(LEASE_S * 1000),
        counters=run.counters,
        sealed=run.sealed,
        broken=broken,
    )
    if place is None:
        raise Outdated
    run.expected = place
    run.counters.clear()


def _count(run: Run, types: Iterable[str]) -> None:
    """Count written lines whose type has a counter."""
    for type_ in types:
        if name := _COUNTER_NAMES.get(type_):
            run.counters[name] += 1
            telemetry.count("audit", name)
