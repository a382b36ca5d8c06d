"""The sessions reactor: audit records of each session's life, one per transition.

    key event, due time or sweep  ->  look_session.lua: session and phantom            1 round trip for 64 sessions
                                  ->  transition.py: what has changed (pure)
                                  ->  apply_session.lua: append the records, store     1 round trip, if anything has
                                      the new state, if both are still the same

The phantom is the app's own copy of the last recorded state, so that the end of a session can be recorded after its key
is gone (Spring Session keeps expired sessions the same way). Of instances that look at the same time, one applies; the
others look again and find nothing to record. docs/sessions.md describes the records.

The key of a session contains a bearer token. Whatever is stored has the phantom's key instead: see keys.py.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from shared import namespaces, telemetry
from shared.app import App, Call
from shared.audit import repair
from shared.delivery import dead_letters, failures
from shared.delivery.rounds import Breather
from shared.errors import Rejected
from shared.privacy.keyring import Keyring
from shared.reactor import (
    Cause,
    Outcome,
    Payload,
    Result,
    Scanned,
    Source,
    Withheld,
    already,
    inert,
    later,
    processed,
)
from shared.runtime.threads import off_loop
from shared.sessions.draft import Look, Options, Request, Why
from shared.sessions.keys import phantom_key, session_key, source_key, token_of
from shared.sessions.plan import DUE, Limits, Target, apply_call
from shared.sessions.transition import Decision, decide
from shared.store.script import Script

LOOK_SESSION = Script(__file__, "look_session")
APPLY_SESSION = Script(__file__, "apply_session")
TAKE_DUE_SESSIONS = Script(__file__, "take_due_sessions")

NAME = "sessions"

END_REASONS = {
    Cause.DELETED: "logout",
    Cause.EXPIRED: "expired",
    Cause.EVICTED: "evicted",
    Cause.RENAMED: "renamed",
}
"""Events that can end a session, and the reason in the record of the end."""

MAX_SESSION_BYTES = 256 * 1024
"""Largest session that is read, unless MAX_PAYLOAD_BYTES is lower: 64 of them are read at once. Real ones have a few
KiB."""
THREAD_BYTES = 32 * 1024
"""A thread reads larger sessions: the densest JSON of this size takes about 5 ms."""
STRICT_LOOKS = 2
"""After that many looks whose session was written again meanwhile, the state that was seen is recorded although it is
not the latest any more: each write has its own event, so progress does not wait for a pause."""
MAX_LOOKS = 6
"""Looks per call; another instance records something between one and the next."""

_DETECTED_BY = {
    Source.EVENT: "event",
    Source.SWEEP: "sweep",
    Source.SCHEDULE: "schedule",
    Source.RETRY: "schedule",
    Source.REPLAY: "schedule",
}
"""`detectedBy` in a record: the source of the call that detected the transition."""

_PHANTOM = namespaces.PHANTOM.prefix
_ANNOUNCING = frozenset({Cause.WRITTEN, Cause.TOUCHED})


def _scanned_session(key: bytes) -> bytes | None:
    return key if namespaces.parts_of(namespaces.SESSION, key) else None


def _scanned_phantom(key: bytes) -> bytes | None:
    return key if namespaces.parts_of(namespaces.PHANTOM, key) else None


SCANNED = (
    Scanned(namespaces.SESSION.prefix, _scanned_session),
    Scanned(namespaces.PHANTOM.prefix, _scanned_phantom, derived=True),
)
"""Sessions whose events were lost, and phantoms whose sessions are gone."""


async def react(app: App, keys: Sequence[bytes], cause: Cause) -> list[Outcome]:
    """Record the transitions of these sessions; one outcome per key, in order.

    Each key is that of a session or of its phantom. The outcomes:

        processed   records were written; the detail lists their types
        duplicate   no transition, no record
        later       the session is gone; its record waits for the event with the reason. Or a phantom, during a burst
        rejected    the session cannot be read; phantom and records stay as they are
        ignored     not the key of a session (no I/O), or an event that does not report the end of a missing session

    One round trip for all keys, two if anything is to be written, so the caller bounds their number. Idempotent. Raises
    only CancelledError.
    """
    outcomes: dict[int, Outcome] = {}
    waiting: dict[int, _Subject] = {}
    rings, why = (
        app.keyrings,
        Why(_DETECTED_BY[cause.source], END_REASONS.get(cause, ""), cause in _ANNOUNCING, _is_hurried(cause)),
    )
    for index, key in enumerate(keys):
        if cause is Cause.BULK and key.startswith(_PHANTOM):
            outcomes[index] = later(key, "looked at after the burst")
            continue
        token = token_of(rings, key)
        if token is None:
            outcomes[index] = inert(key, "not a session")
            _count_unopened(key.startswith(_PHANTOM))
        else:
            waiting[index] = _subject(rings, key, token, why)
    for number in range(MAX_LOOKS):
        subjects = list(waiting.values())
        looks = await _look(app, subjects, again=number > 0)
        decisions = await _decide(app, subjects, looks)
        results = await _apply(app, subjects, looks, decisions, strict=number < STRICT_LOOKS)
        for index, outcome in zip(list(waiting), results, strict=True):
            if outcome is not None:
                outcomes[index] = outcome
                del waiting[index]
        if not waiting:
            break
    return [outcomes.get(index) or later(key, "recorded by others at each look") for index, key in enumerate(keys)]


def _is_hurried(cause: Cause) -> bool:
    return cause.source is Source.EVENT or cause is Cause.BULK


class _Subject(NamedTuple):
    """A session to react to. `key` is the one that the caller named; `swept_phantom` says that a sweep found that of
    its phantom; `phantoms` has the phantom's keys under AUDIT_KEY and AUDIT_KEY_PREVIOUS."""

    key: bytes
    swept_phantom: bool
    session: bytes
    phantoms: Sequence[bytes]
    request: Request


def _subject(rings: Sequence[Keyring], key: bytes, token: bytes, why: Why) -> _Subject:
    sealed = [ring.seal(token) for ring in rings]
    request = Request(token, rings[0].fingerprint(token), rings[0].key_id, sealed, why)
    phantoms = [phantom_key(text.encode()) for text in sealed]
    swept_phantom = why.source == "sweep" and key.startswith(_PHANTOM)
    return _Subject(key, swept_phantom, session_key(token), phantoms, request)


# Look

type _Looked = Look | str | Exception
"""A text is the reason why there is nothing to decide."""


async def _look(app: App, subjects: Sequence[_Subject], *, again: bool) -> list[_Looked]:
    """`again`: return the text of a session although it is unchanged."""
    max_bytes = _max_bytes(app)
    calls = [_look_call(subject, max_bytes, again=again) for subject in subjects]
    replies = await failures.run_repeatable(app, LOOK_SESSION, calls)
    return [_looked(reply) for reply in replies]


def _looked(reply: Any) -> _Looked:
    if isinstance(reply, Exception):
        return reply
    return Look(*reply) if len(reply) > 1 else str(reply[0].decode())


def _look_call(subject: _Subject, max_bytes: int, *, again: bool) -> Call:
    request, (phantom, *former) = subject.request, subject.phantoms
    return (
        [subject.session, phantom, DUE, dead_letters.mark_key(NAME, phantom), *former],
        [
            max_bytes,
            request.sealed[0],
            namespaces.USER_SESSIONS.prefix if request.why.source == "sweep" else b"",
            int(subject.swept_phantom),
            int(again or request.why.reason != ""),
            int(request.why.hurried),
        ],
    )


# Transition

type _Decided = Decision | Outcome | None
"""An outcome if nothing can be decided; None for a session that has to be looked at again."""


async def _decide(app: App, subjects: Sequence[_Subject], looks: Sequence[_Looked]) -> list[_Decided]:
    decided: list[_Decided] = []
    options, breather = _options(app), Breather()
    for subject, look in zip(subjects, looks, strict=True):
        if isinstance(look, str):
            decided.append(already(subject.key, look))
        elif isinstance(look, Exception):
            decided.append(await _failed(app, subject, look))
        else:
            decided.append(await _decide_one(app, subject, look, options))
            await breather.breathe()
    return decided


async def _decide_one(app: App, subject: _Subject, look: Look, options: Options) -> _Decided:
    try:
        if look.text is not None and len(look.text) > THREAD_BYTES:
            return await off_loop(app.settings.work_timeout_s, decide, look, subject.request, options)
        return decide(look, subject.request, options)
    except Exception as fault:
        return await _failed(app, subject, fault)


# Apply


async def _apply(
    app: App, subjects: Sequence[_Subject], looks: Sequence[_Looked], decided: Sequence[_Decided], *, strict: bool
) -> list[Outcome | None]:
    """The outcomes; None for a session that has to be looked at again."""
    calls = {
        index: _apply_call(app, subjects[index], look, decision, strict=strict)
        for index, (look, decision) in enumerate(zip(looks, decided, strict=True))
        if isinstance(look, Look) and isinstance(decision, Decision) and not decision.plan.empty
    }
    replies = dict(zip(calls, await failures.run_repeatable(app, APPLY_SESSION, list(calls.values())), strict=True))
    if any(map(repair.is_full, replies.values())):
        replies = await _repaired(app, replies)
    return [
        await _outcome(app, subject, decision, replies.get(index)) if isinstance(decision, Decision) else decision
        for index, (subject, decision) in enumerate(zip(subjects, decided, strict=True))
    ]


async def _repaired(app: App, replies: dict[int, Any]) -> dict[int, Any]:
    """The replies after an attempt to repair the stream, which accepted no records."""
    try:
        await repair.repair(app)
    except Exception as fault:
        return {index: fault if repair.is_full(reply) else reply for index, reply in replies.items()}
    return replies


def _apply_call(app: App, subject: _Subject, look: Look, decision: Decision, *, strict: bool) -> Call:
    rejected = decision.result is Result.REJECTED
    is_left = look.is_former and not decision.plan.adopt
    target = Target(
        session=subject.session,
        phantom=subject.phantoms[0],
        former_phantom=subject.phantoms[0 if is_left else -1],
        digest=decision.digest if strict and not rejected else None,
        size_bytes=look.size_bytes,
        values=() if is_left else look.values,
        phantom_digest=b"" if is_left else look.phantom_digest,
    )
    settings = app.settings
    limits = Limits(settings.max_sessions_per_user, settings.audit_buffer, look.now_us // 1000)
    return apply_call(decision.plan, target, app.keyrings, limits)


async def _outcome(app: App, subject: _Subject, decision: Decision, reply: Any) -> Outcome | None:
    """`reply` is that of apply_session.lua, None if there was nothing to apply."""
    if repair.is_full(reply):
        return None  # the stream is repaired, and the phantom has the records
    if isinstance(reply, Exception):
        return await _failed(app, subject, reply)
    if reply and reply[0] == b"moved":
        return None
    if decision.result is Result.REJECTED:
        return await _failed(app, subject, Rejected(decision.detail), Withheld(decision.digest))
    types = [decision.plan.records[position - 1].type for position in reply[1:]] if reply else []
    if types:
        return processed(subject.key, ", ".join(types))
    return Outcome(subject.key, decision.result, decision.detail, effect=decision.result is Result.PROCESSED)


async def _failed(app: App, subject: _Subject, fault: Exception, content: Withheld | None = None) -> Outcome:
    failure = await failures.failed(app, NAME, subject.phantoms[0], fault, content)
    return Outcome(subject.key, failure.result, failure.detail)


async def replay(app: App, key: bytes, payload: Payload) -> Outcome:
    """React to the present content of the key: the dead letter of a session stores no payload."""
    (outcome,) = await react(app, [key], Cause.REPLAY)
    return outcome


async def take_due(app: App, limit: int) -> list[bytes]:
    """Up to `limit` due sessions, as keys of their phantoms; no other instance takes them until the lease ends.

    Members that no AUDIT_KEY unseals (of an older key, or of another application) are removed. Raises what the Redis
    client raises.
    """
    sealed: list[bytes] = await app.run(TAKE_DUE_SESSIONS, keys=[DUE], args=[limit, app.settings.lease_ms])
    unopened = [token for token in sealed if token_of(app.keyrings, phantom_key(token)) is None]
    if unopened:
        _count_unopened(len(unopened))
        await app.redis.zrem(DUE, *unopened)
    return [phantom_key(token) for token in sealed]


def source(app: App, key: bytes) -> bytes:
    """The session's own key for the key of its phantom."""
    return source_key(app.keyrings, key)


def _count_unopened(count: int) -> None:
    """Count phantoms that no AUDIT_KEY unseals; the first time in a process logs a warning."""
    if not count:
        return
    if not telemetry.counts[NAME, "unopened"]:
        telemetry.logger.warning(
            "some phantoms cannot be unsealed, so the ends of their sessions will not be recorded: AUDIT_KEY was "
            "changed and AUDIT_KEY_PREVIOUS is not the former key (or another application wrote them)"
        )
    telemetry.count(NAME, "unopened", count)


def _options(app: App) -> Options:
    settings = app.settings
    return Options(
        max_bytes=_max_bytes(app),
        lost_after_ms=round(settings.session_lost_after_s * 1000),
        refresh_min_ms=round(settings.audit_refresh_min_s * 1000),
        delete=settings.delete_lapsed_sessions,
        sessions_max=settings.max_sessions_per_user,
        revoke=settings.revoke_tokens_on_last_logout,
        pseudonymise=settings.audit_pseudonymise_users,
        keyrings=app.keyrings,
    )


def _max_bytes(app: App) -> int:
    return min(app.settings.max_payload_bytes, MAX_SESSION_BYTES)
