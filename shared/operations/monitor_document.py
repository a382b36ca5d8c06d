"""The document that the monitor page shows, and the list of dead letters, which the HTTP API and manage.py use too.

Keys are masked, sessions are fingerprints, texts are on one line. Texts come from clients and may look like markup: the
page must treat them as text.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from redis.exceptions import ResponseError

from shared import namespaces
from shared.app import App
from shared.audit import state as audit
from shared.audit.state import TAIL_AUDIT
from shared.charts.source_state import SourceView, read_sources
from shared.clock import now_iso
from shared.delivery import dead_letters, retries
from shared.delivery.dead_letters import Letter
from shared.operations import activity, chart_list, effects, health, letter_selection, stored_census
from shared.operations.activity import Stats
from shared.operations.chart_list import ChartRow
from shared.operations.effects import Effect
from shared.operations.letter_selection import ALL, LetterSelection, shown_key, shown_time
from shared.operations.stored_census import KindCount, StoredCensus, UserSessions
from shared.privacy.masking import fingerprint, printable
from shared.registry import REACTORS
from shared.store.refusals import is_wrong_type

FIRST_PAGE = 20
AUDIT_RECORDS = 20
MAX_RECORD_BYTES = 16 * 1024
DOCTOR_EVERY_S = 300.0
"""How long this process reuses the doctor's findings: an examination takes about a second."""
_STREAM, _DUE = namespaces.build(namespaces.AUDIT_STREAM), namespaces.build(namespaces.SESSIONS_DUE)


class DeadLetter(msgspec.Struct, frozen=True, rename="camel"):
    """A dead letter without its payload: the masked key; `first` and `last` are the times of its failures."""

    id: str
    reactor: str
    key: str
    error: str
    message: str
    attempts: int
    first: str
    last: str
    payload_bytes: int
    payload_kept: bool


class LetterTotals(msgspec.Struct, frozen=True):
    """All letters: their number, their bytes in Redis, and how many were dropped for lack of room."""

    count: int
    bytes: int
    dropped: int


class DeadLetters(msgspec.Struct, frozen=True, rename="camel"):
    """A page of dead letters, newest first; `nextCursor` is null on the last one."""

    letters: list[DeadLetter]
    next_cursor: str | None
    totals: LetterTotals


class Retries(msgspec.Struct, frozen=True):
    """Keys that wait for a retry."""

    waiting: int


class Keyspace(msgspec.Struct, frozen=True, rename="camel"):
    """All keys, `ageS` ago. Where it is not complete, counts are extrapolated from the keys that were visited."""

    age_s: float
    complete: bool
    namespaces: list[KindCount]


class AuditRecord(msgspec.Struct, frozen=True, rename="camel"):
    """One audit record; `subject` is the first 12 digits of the session's fingerprint."""

    time: str
    type: str
    subject: str
    user_id: str | None
    reason: str | None
    detected_by: str | None


class Export(msgspec.Struct, frozen=True, rename="camel"):
    """How far audit records are exported to storage: the number that wait, and the end of the chain."""

    pending: int
    last_success_age_s: float | None
    error: str | None
    chain: str | None
    seq: int | None


class Sessions(msgspec.Struct, frozen=True):
    """`live` sessions as the app knows them. Of the last census: `unbounded` are those without an expiry, `users` those
    users with the most live ones, of `usersTotal`; null and [] without a census. `export` is null where another
    application has written the key of the audit log."""

    live: int
    unbounded: int | None
    users: list[UserSessions]
    users_total: int | None = msgspec.field(name="usersTotal")
    audit: list[AuditRecord]
    export: Export | None


class Finding(msgspec.Struct, frozen=True):
    """A finding of the doctor: what is wrong, why it matters, what to do."""

    id: str
    severity: str
    found: str
    why: str
    fix: str
    commands: list[str]


class Doctor(msgspec.Struct, frozen=True, rename="camel"):
    """The last examination by the instance that sent this document."""

    age_s: float
    findings: list[Finding]


class ReactorInfo(msgspec.Struct, frozen=True):
    """A reactor: its name in statistics and dead letters, its Azure function, and what one of its keys is called."""

    name: str
    function: str
    noun: str


class Monitor(msgspec.Struct, frozen=True, rename="camel"):
    """Everything that the monitor page shows."""

    time: str
    reactors: list[ReactorInfo]
    health: dict[str, Any]
    stats: Stats
    effects: list[Effect]
    dead_letters: DeadLetters
    retries: Retries
    keyspace: Keyspace | None
    sessions: Sessions
    charts: list[ChartRow]
    charts_total: int | None
    chart_sources: list[SourceView]
    doctor: Doctor | None


async def monitor(app: App, effects_after: str | None = None) -> Monitor:
    """The whole document; of the feed, the effects after the one with this id. Raises what the Redis client raises."""
    examined = asyncio.ensure_future(_doctor.findings(app))
    try:
        await app.write_minute_counts()  # include this process's latest counts
        taken = await stored_census.current(app)
        return Monitor(
            time=now_iso(),
            reactors=[ReactorInfo(reactor.name, reactor.function, reactor.noun) for reactor in REACTORS],
            health=(await health.check_app(app)).as_dict(),
            stats=await activity.read(app),
            effects=await effects.read(app, effects_after),
            dead_letters=await letters(app, limit=FIRST_PAGE),
            retries=Retries(await retries.waiting(app)),
            keyspace=Keyspace(taken.age_s, taken.complete, taken.kinds) if taken else None,
            sessions=await _sessions(app, taken),
            charts=await chart_list.newest(app, taken.chart_keys) if taken else [],
            chart_sources=await read_sources(app),
            charts_total=taken.charts_total if taken else None,
            doctor=await examined,
        )
    finally:
        examined.cancel()


async def letters(
    app: App, *, selection: LetterSelection = ALL, cursor: str | None = None, limit: int = 50
) -> DeadLetters:
    """A page of the selected dead letters; see letter_selection.page. Raises KeyspaceError for an invalid cursor."""
    page = await letter_selection.page(app, selection, cursor, limit)
    totals = await dead_letters.totals(app)
    shown = [shown_letter(app, letter) for letter in page.letters]
    return DeadLetters(shown, page.next_cursor, LetterTotals(totals.count, totals.bytes, totals.dropped))


def shown_letter(app: App, letter: Letter) -> DeadLetter:
    return DeadLetter(
        letter.id,
        _line(letter.reactor),
        shown_key(app, letter),
        _line(letter.error),
        _line(letter.message, limit=retries.MAX_MESSAGE_CHARS),
        letter.attempts,
        shown_time(letter.first_ms),
        shown_time(letter.last_ms),
        letter.payload_bytes,
        letter.payload_kept,
    )


async def _sessions(app: App, taken: StoredCensus | None) -> Sessions:
    try:
        bounded = await app.redis.zcard(_DUE)
    except ResponseError as fault:
        if not is_wrong_type(fault):
            raise
        bounded = 0  # another application wrote the key; the next session replaces it
    raw: Sequence[bytes] = await app.run(TAIL_AUDIT, keys=[_STREAM], args=[AUDIT_RECORDS, MAX_RECORD_BYTES])
    records = [record for entry in raw if (record := _record(app, entry)) is not None]
    return Sessions(
        live=bounded + (taken.unbounded if taken else 0),
        unbounded=taken.unbounded if taken else None,
        users=taken.users if taken else [],
        users_total=taken.users_total if taken else None,
        audit=records,
        export=await _export(app),
    )


async def _export(app: App) -> Export | None:
    try:
        log = await audit.state(app)
    except ResponseError:  # the health section has the reason
        return None
    head = (log.head.chain, log.head.seq) if log.head else (None, None)
    return Export(log.pending, log.last_success_age_s, _line(log.error) if log.error else None, *head)


def _record(app: App, raw: bytes) -> AuditRecord | None:
    """The record of a stream entry; None for an invalid one: any client can add to a stream."""
    try:
        event = msgspec.json.decode(raw, type=_Event)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    user = event.data.get("userId")
    if isinstance(user, str) and "@" in user:  # some applications use e-mail addresses as user ids
        user = f"~{fingerprint(user.encode(), app.settings.audit_key)[:12]}"
    texts = (user, event.data.get("reason"), event.data.get("detectedBy"))
    shown = (_line(text) if isinstance(text, str) and text else None for text in texts)
    return AuditRecord(_line(event.time), _line(event.type), _line(event.subject)[:12], *shown)


class _Event(msgspec.Struct):
    """The fields that are read of an audit record."""

    time: str
    type: str
    subject: str
    data: dict[str, Any]


class _Doctor:
    """The latest findings of the doctor; concurrent callers share one examination."""

    def __init__(self) -> None:
        self._examined_s = 0.0
        self._findings: list[Finding] | None = None
        self._lock = asyncio.Lock()

    async def findings(self, app: App) -> Doctor | None:
        async with self._lock:
            if self._findings is None or time.monotonic() - self._examined_s >= DOCTOR_EVERY_S:
                self._findings = await _examine(app)
                self._examined_s = time.monotonic()
        return Doctor(round(time.monotonic() - self._examined_s, 1), self._findings)


_doctor = _Doctor()


async def _examine(app: App) -> list[Finding]:
    from shared.operations.doctor import examination

    return [
        Finding(finding.id, finding.severity, finding.found, finding.why, finding.fix, list(finding.commands))
        for finding in await examination.examine(app)
    ]


def _line(text: str, limit: int = 200) -> str:
    """`text` on one line, without control characters."""
    return printable(text.encode(errors="surrogatepass"), limit)
