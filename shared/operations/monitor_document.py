"""What the monitor page shows, as one document, and the list of dead letters, which the page and others ask for.

Everything in it is fit to be shown: keys are masked, sessions are fingerprints, texts are on one line. That they come
from outside, and may look like markup, is for the page to know.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from shared import namespaces
from shared.app import App
from shared.audit import state as audit
from shared.audit.state import TAIL_AUDIT
from shared.charts import views as chart_views
from shared.charts.views import ChartView
from shared.clock import iso_utc, now_iso
from shared.delivery import dead_letters, retries
from shared.delivery.dead_letters import Letter
from shared.operations import activity, health, stored_census
from shared.operations.activity import Stats
from shared.operations.stored_census import KindCount
from shared.privacy.masking import fingerprint, mask_key, printable
from shared.registry import REACTORS
from shared.store.refusals import is_wrong_type

FIRST_PAGE = 20
CURSOR = "^([0-9]{1,15}:[0-9a-f]{32})?$"
"""What `nextCursor` looks like; an empty one is none."""
AUDIT_RECORDS = 20
MAX_RECORD_BYTES = 16 * 1024
DOCTOR_EVERY_S = 300.0
"""How long this process goes by the doctor's last findings: an examination takes about a second."""
_STREAM, _DUE = namespaces.build(namespaces.AUDIT_STREAM), namespaces.build(namespaces.SESSIONS_DUE)


class DeadLetter(msgspec.Struct, frozen=True, rename="camel"):
    """A dead letter without its payload: the key masked, `first` and `last` when it failed."""

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
    """All letters: how many, their bytes in Redis, and how many went because there was no room."""

    count: int
    bytes: int
    dropped: int


class DeadLetters(msgspec.Struct, frozen=True, rename="camel"):
    """A page of dead letters, newest first; `nextCursor` is null on the last one."""

    letters: list[DeadLetter]
    next_cursor: str | None
    totals: LetterTotals


class Retries(msgspec.Struct, frozen=True):
    """Keys that wait to be tried again."""

    waiting: int


class Keyspace(msgspec.Struct, frozen=True):
    """All keys, `age_s` ago. When it is not complete, counts are estimated from the keys that were seen."""

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


class Export(msgspec.Struct, frozen=True):
    """How far audit records are shipped to storage: those that wait, and the end of the chain."""

    pending: int
    last_success_age_s: float | None = msgspec.field(name="lastSuccessAge_s")
    error: str | None
    chain: str | None
    seq: int | None


class Sessions(msgspec.Struct, frozen=True):
    """`live` sessions as the app knows them; those without an end, `unbounded`, as of the last look at all keys.
    `export` is null where another application took the place of the audit log."""

    live: int
    unbounded: int | None
    audit: list[AuditRecord]
    export: Export | None


class Finding(msgspec.Struct, frozen=True):
    """What the doctor found, why it matters, what to do."""

    id: str
    severity: str
    found: str
    why: str
    fix: str
    commands: list[str]


class Doctor(msgspec.Struct, frozen=True):
    """The last examination by the instance that answers."""

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
    dead_letters: DeadLetters
    retries: Retries
    keyspace: Keyspace | None
    sessions: Sessions
    charts: list[ChartView]
    charts_total: int | None = msgspec.field(name="charts_total")
    doctor: Doctor | None


async def monitor(app: App) -> Monitor:
    """Raises what the Redis client raises."""
    examined = asyncio.ensure_future(_doctor.findings(app))
    try:
        await app.write_minute_counts()  # what this process did a moment ago too
        taken = await stored_census.current(app)
        return Monitor(
            time=now_iso(),
            reactors=[ReactorInfo(reactor.name, reactor.function, reactor.noun) for reactor in REACTORS],
            health=(await health.check_app(app)).as_dict(),
            stats=await activity.read(app),
            dead_letters=await letters(app, limit=FIRST_PAGE),
            retries=Retries(await retries.waiting(app)),
            keyspace=Keyspace(taken.age_s, taken.complete, taken.kinds) if taken else None,
            sessions=await _sessions(app, taken.unbounded if taken else None),
            charts=await chart_views.read(app, taken.chart_keys) if taken else [],
            charts_total=taken.charts_total if taken else None,
            doctor=await examined,
        )
    finally:
        examined.cancel()


async def letters(app: App, *, reactor: str | None = None, cursor: str | None = None, limit: int = 50) -> DeadLetters:
    """A page of dead letters; see dead_letters.list_page. Raises KeyspaceError for a cursor that is none."""
    page = await dead_letters.list_page(app, reactor=reactor, cursor=cursor, limit=limit)
    totals = await dead_letters.totals(app)
    shown = [shown_letter(app, letter) for letter in page.letters]
    return DeadLetters(shown, page.next_cursor, LetterTotals(totals.count, totals.bytes, totals.dropped))


def shown_letter(app: App, letter: Letter) -> DeadLetter:
    return DeadLetter(
        letter.id,
        _line(letter.reactor),
        mask_key(letter.key, app.settings.audit_key),
        _line(letter.error),
        _line(letter.message, limit=retries.MAX_MESSAGE_CHARS),
        letter.attempts,
        _iso(letter.first_ms / 1000),
        _iso(letter.last_ms / 1000),
        letter.payload_bytes,
        letter.payload_kept,
    )


async def _sessions(app: App, unbounded: int | None) -> Sessions:
    from redis.exceptions import ResponseError

    try:
        bounded = await app.redis.zcard(_DUE)
    except ResponseError as fault:
        if not is_wrong_type(fault):
            raise
        bounded = 0  # another application's; the next session makes it ours again
    raw: Sequence[bytes] = await app.run(TAIL_AUDIT, keys=[_STREAM], args=[AUDIT_RECORDS, MAX_RECORD_BYTES])
    records = [record for one in raw if (record := _record(app, one)) is not None]
    return Sessions(bounded + (unbounded or 0), unbounded, records, await _export(app))


async def _export(app: App) -> Export | None:
    from redis.exceptions import ResponseError

    try:
        log = await audit.state(app)
    except ResponseError:  # health says why
        return None
    head = (log.head.chain, log.head.seq) if log.head else (None, None)
    return Export(log.pending, log.last_success_age_s, _line(log.error) if log.error else None, *head)


def _record(app: App, raw: bytes) -> AuditRecord | None:
    """None for what is no record: anybody can add to a stream."""
    try:
        event = msgspec.json.decode(raw, type=_Event)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    user = event.data.get("userId")
    if isinstance(user, str) and "@" in user:  # an e-mail address serves as a user id here and there
        user = f"~{fingerprint(user.encode(), app.settings.audit_key)[:12]}"
    texts = (user, event.data.get("reason"), event.data.get("detectedBy"))
    shown = (_line(text) if isinstance(text, str) and text else None for text in texts)
    return AuditRecord(_line(event.time), _line(event.type), _line(event.subject)[:12], *shown)


class _Event(msgspec.Struct):
    """What is read of an audit record."""

    time: str
    type: str
    subject: str
    data: dict[str, Any]


class _Doctor:
    """The doctor's findings, looked up by one caller at a time."""

    def __init__(self) -> None:
        self._at_s = 0.0
        self._found: list[Finding] | None = None
        self._turn = asyncio.Lock()

    async def findings(self, app: App) -> Doctor | None:
        async with self._turn:
            if self._found is None or time.monotonic() - self._at_s >= DOCTOR_EVERY_S:
                self._found = await _examine(app)
                self._at_s = time.monotonic()
        return Doctor(round(time.monotonic() - self._at_s, 1), self._found)


_doctor = _Doctor()


async def _examine(app: App) -> list[Finding]:
    from shared.operations.doctor import examination

    return [
        Finding(one.id, one.severity, one.found, one.why, one.fix, list(one.commands))
        for one in await examination.examine(app)
    ]


def _line(text: str, limit: int = 200) -> str:
    return printable(text.encode(errors="surrogatepass"), limit)


def _iso(time_s: float) -> str:
    try:
        return iso_utc(time_s)
    except ValueError:  # a time that another application wrote
        return "9999-12-31T23:59:59.999Z"
