"""Ships the audit stream to storage: every record once, in the order of the stream.

Nothing is decided by what Redis remembers alone. A block of lines is appended on the condition that the blob ends where
the exporter thinks it does; when it does not (a crash between append and acknowledgement, a lost answer, another
exporter), the end of the chain is read anew and the work goes on there. The lease in Redis only saves work.
"""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from shared import telemetry
from shared.app import App
from shared.audit import chain, records, recovery, state
from shared.audit.chain import Head
from shared.audit.records import Position, Written
from shared.audit.recovery import Broken
from shared.audit.state import Known, Place
from shared.audit.store import Moved, Store, Unusable, load_client, open_store
from shared.privacy.keyring import Keyring

BUDGET_S = 30.0
LAST_CALL_S = 50.0
"""How long a run may take beyond its budget: the last call to storage, with its retries."""
LEASE_S = 15.0
"""How long an exporter that dies keeps the others waiting; each block that is written renews it."""
MAX_BLOCK_BYTES = 1024 * 1024
"""What aiohttp sends at once without a warning that it holds up the event loop. Azure takes 4 MiB and more."""
MAX_BLOCKS = 49_000
"""Blocks after which a file is closed and the next part begun; Azure takes 50,000."""
_PAUSE_S = 0.05
"""Before the end of the chain is looked for again."""
_COUNTED = {chain.GAP: "gaps", chain.RESET: "resets", chain.UNREADABLE: "unreadable"}


@dataclass(frozen=True)
class ExportReport:
    """What one run did: lines that it wrote, and whether the stream had no more. `error` is the class of what ended it,
    when storage was away."""

    written: int = 0
    finished: bool = False
    configured: bool = True
    held_by_other: bool = False
    error: str | None = None
    duration_s: float = 0.0


@dataclass
class _Run:
    """One run, from one look at the end of the chain. `expected` is what Redis is thought to name, `sealed` the last
    day that is known to have its heads.json."""

    app: App
    store: Store
    head: Head
    expected: Place
    sealed: str
    now_ms: int
    written: int = 0
    pending: list[Written] = field(default_factory=list)
    """Lines that are not appended yet, all of one blob."""
    counters: Counter[str] = field(default_factory=Counter)

    @property
    def tip(self) -> Head:
        return self.pending[-1].head if self.pending else self.head

    @property
    def keyring(self) -> Keyring:
        return self.app.keyrings[0]


class _Outdated(Exception):
    """Redis names another place than it did: somebody else is at work, or it was flushed."""


async def export(app: App, store: Store | None = None, *, budget_s: float = BUDGET_S) -> ExportReport:
    """Write what the stream holds to the store of the settings (or to `store`) until it is empty or `budget_s` is over,
    and close yesterday's file.

    Storage being away raises nothing: it is logged once, noted in Redis for health, and the stream keeps the records.
    Raises ConfigurationError when the setting is no storage account, and what the Redis client raises.
    """
    if store is None and not app.settings.storage:
        return ExportReport(configured=False)
    owner, started_s = secrets.token_hex(8), time.monotonic()
    lease_ms = round(LEASE_S * 1000)
    known = await state.begin(app, owner, lease_ms)
    if known is None:
        return ExportReport(held_by_other=True)
    await load_client()
    from azure.core.exceptions import AzureError

    counted, finished, error = Counter[str](), False, ""
    try:
        async with asyncio.timeout(budget_s + LAST_CALL_S), AsyncExitStack() as stack:
            target = store if store is not None else await stack.enter_async_context(open_store(app.settings))
            while (done := await _export(app, target, known, started_s + budget_s, counted)) is None:
                await asyncio.sleep(_PAUSE_S)
                renewed = await state.begin(app, owner, lease_ms)
                if renewed is None or time.monotonic() >= started_s + budget_s:
                    break
                known = renewed
            finished = bool(done)
        telemetry.recovered("storage")
    except (AzureError, TimeoutError) as fault:
        error = type(fault).__name__
        telemetry.outage("storage", fault)
    except BaseException as fault:
        error = type(fault).__name__
        raise
    finally:
        await state.end(app, owner, error, success=not error and (finished or counted["written"] > 0))
    return ExportReport(counted["written"], finished, error=error or None, duration_s=time.monotonic() - started_s)


async def _export(app: App, store: Store, known: Known, until_s: float, counted: Counter[str]) -> bool | None:
    """Write what the stream holds, from what Redis knows on. True when it has no more, False when time is over, None
    when somebody else moved on."""
    run = _Run(app, store, Head("", ""), known.place, known.sealed, known.now_ms)
    try:
        if not await _find_end(run, known):
            return True
        return await _ship(run, until_s)
    except (Moved, _Outdated):
        return None
    finally:
        counted["written"] += run.written
        telemetry.count("audit", "written", run.written)


async def _find_end(run: _Run, known: Known) -> bool:
    """Stand where the chain ends; at the start of a new one where there is none or where its end cannot be trusted.
    False when nothing was ever written and nothing is to be written."""
    try:
        if known.head:
            await _catch_up(run, known.head)
        elif found := await recovery.latest(run.store, run.app.keyrings):
            run.head = found
            if found.entry != chain.START and not await state.holds(run.app, found.entry, found.n):
                await _note_reset(run, (chain.START, 0))
            else:
                await _acknowledge(run)
        else:
            first = (await state.read(run.app, chain.START)).entries
            if not first:
                return False
            await _begin_chain(run, records.day(first[0], run.now_ms))
    except Broken as fault:
        await _replace_chain(run, fault)
    if run.head.seq == 0 and known.broken and not run.pending:
        _add(run, records.broken(run.head, known.broken, run.now_ms, run.keyring))
    return True


async def _catch_up(run: _Run, acknowledged: Head) -> None:
    """Stand behind the lines that were written after what was acknowledged, if any. Raises Broken."""
    run.head = acknowledged
    own = Counter[str]()
    async for head, type_ in recovery.follow(run.store, acknowledged, run.app.keyrings):
        if head.seq > acknowledged.seq and type_ in _COUNTED:
            own[type_] += 1
        run.head = head
    if run.head == acknowledged:
        return
    _count(run, own.elements())
    common = await _parted_at(run, acknowledged)
    if common:
        await _note_reset(run, common)
    else:
        await _acknowledge(run)


async def _parted_at(run: _Run, acknowledged: Head) -> Position | None:
    """The last entry that the chain and the stream have in common, when Redis went back in time behind what was written
    (a failover to a replica that lagged, a restored backup). None when the stream simply goes on behind the chain."""
    if await state.holds(run.app, run.head.entry, run.head.n):
        return None
    end = state.id_order(run.head.entry)
    common = acknowledged.entry, acknowledged.n
    told = recovery.follow(run.store, acknowledged, run.app.keyrings)
    line = await anext(told, None)
    while (page := await state.read(run.app, common[0])).entries:
        for entry in page.entries:
            while line and state.id_order(line[0].entry) < state.id_order(entry.id):
                line = await anext(told, None)
            if line is None or line[0].entry != entry.id or entry.n not in {None, line[0].n}:
                return common if state.id_order(entry.id) <= end else None
            common = entry.id, line[0].n
    return common if state.id_order(page.last_id) < end else None


async def _begin_chain(run: _Run, day: str, **noted: Any) -> None:
    """Agree with other exporters on a new chain and its first blob. Raises _Outdated when they were quicker."""
    stamp = "".join(part for part in chain.iso(run.now_ms) if part.isalnum())
    name = f"{stamp[:-1]}Z-{secrets.token_hex(4)}"
    former = run.head
    run.head = Head(name, str(chain.BlobName(day, name)), entry=former.entry, n=former.n)
    await _acknowledge(run, **noted)


async def _replace_chain(run: _Run, fault: Broken) -> None:
    """Leave a chain as it is, and begin another that says so in its first line."""
    good, today = fault.last_good, chain.day_of(run.now_ms)
    telemetry.logger.error("the audit chain %s cannot be trusted: %s (%s)", good.chain, good.blob, fault.reason)
    if good.day < today:
        await _seal(run, good)
    data = chain.broken_record(good, fault.reason)
    run.head, run.pending = good, []
    await _begin_chain(run, max(good.day, today), broken={**data, "time": chain.iso(run.now_ms)})
    _add(run, records.broken(run.head, data, run.now_ms, run.keyring))


async def _note_reset(run: _Run, common: Position) -> None:
    """Redis has lost its state: behind `common` its stream is another one than that which was written. Nothing is
    acknowledged before the record of it is written: a crash must not make the loss be forgotten."""
    page = await state.read(run.app, common[0])
    today = chain.day_of(page.now_ms)
    if chain.opened(run.head).day < today:
        _add(run, records.close(run.head, today, page.now_ms, run.keyring))
        await _append(run)
    _add(run, records.reset(run.head, common, page.entries[0] if page.entries else None, page.now_ms, run.keyring))


async def _ship(run: _Run, until_s: float) -> bool:
    """Write what the stream holds; True when it has no more."""
    await _flush(run)
    await _seal_closed(run)
    while True:
        page = await state.read(run.app, run.head.entry)
        run.now_ms = page.now_ms
        if page.last_id != chain.START and state.id_order(page.last_id) < state.id_order(run.head.entry):
            run.head = replace(run.head, entry=chain.START)  # somebody deleted the stream, and it began anew
            continue
        if not page.entries:
            break
        for index, entry in enumerate(page.entries):
            for one in records.lines_of(entry, run.tip, run.now_ms, run.keyring):
                if not _fits(run, one):
                    await _flush(run)
                _add(run, one)
            if index % 50 == 49:
                await asyncio.sleep(0)
        await _flush(run)
        if time.monotonic() >= until_s:
            return False
    today = chain.day_of(run.now_ms)
    if run.head.seq and not run.head.next and run.head.day < today:
        _add(run, records.close(run.head, today, run.now_ms, run.keyring))
        await _flush(run)
        await _seal_closed(run)
    return True


def _fits(run: _Run, one: Written) -> bool:
    """Whether a line can go into the block of those that are pending."""
    first = run.pending[0].head if run.pending else one.head
    return one.head.blob == first.blob and one.head.position - first.position < MAX_BLOCK_BYTES - chain.MAX_LINE_BYTES


def _add(run: _Run, one: Written) -> None:
    run.pending.append(one)


async def _flush(run: _Run) -> None:
    """Append the pending lines as one block and acknowledge them. Raises Moved and _Outdated."""
    while run.pending:
        blocks = await _append(run)
        await _acknowledge(run)
        if blocks >= MAX_BLOCKS and not run.head.next:
            _add(run, records.close(run.head, run.head.day, run.now_ms, run.keyring))


async def _append(run: _Run) -> int:
    """Append the pending lines; returns how many blocks their blob has."""
    first, last = run.pending[0].head, run.pending[-1].head
    if run.head.next and run.head.day < last.day:
        await _seal(run, run.head)
    data = b"".join(one.line for one in run.pending)
    try:
        blocks = await run.store.append(last.blob, data, first.position - first.line_bytes)
    except Unusable:
        await _replace_chain(run, Broken(chain.opened(run.head), "nothing can be added to the blob"))
        raise _Outdated from None
    run.written += len(run.pending)
    _count(run, [one.type for one in run.pending])
    run.head, run.pending = last, []
    return blocks


async def _seal_closed(run: _Run) -> None:
    """Write heads.json of the day whose file the chain has closed, unless that is known to be done."""
    if run.head.next and run.head.day < chain.BlobName.parse(run.head.next).day and run.sealed < run.head.day:
        await _seal(run, run.head)
        await _acknowledge(run)


async def _seal(run: _Run, last: Head) -> None:
    """Write heads.json of the day on which a chain ends with `last`, unless it is there. The chain has closed its file,
    or was given up: nobody adds to it any more."""
    if run.sealed >= last.day:
        return
    heads = await recovery.heads_of_day(run.store, last, run.app.keyrings)
    await run.store.create(chain.heads_name(last.day), chain.sign_heads(last.day, heads, run.keyring))
    run.sealed = last.day


async def _acknowledge(run: _Run, broken: Mapping[str, Any] | None = None) -> None:
    done = await state.acknowledge(
        run.app,
        run.head,
        run.expected,
        until_ms=run.now_ms + round(LEASE_S * 1000),
        counters=run.counters,
        sealed=run.sealed,
        broken=broken,
    )
    if done is None:
        raise _Outdated
    run.expected = done
    run.counters.clear()


def _count(run: _Run, types: Iterable[str]) -> None:
    for type_ in types:
        if name := _COUNTED.get(type_):
            run.counters[name] += 1
            telemetry.count("audit", name)
