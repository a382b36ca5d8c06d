"""The sessions reactor: audit records of each session's life, one per transition.

    key event, due time or sweep  ->  react  ->  session_transition.lua: compare session and phantom, append the record

The phantom is the app's own copy of the last recorded state, so that the end of a session can be recorded after its key
is gone (Spring Session keeps expired sessions the same way). The script compares and writes in one step, so two
instances that receive the same event write one record. docs/sessions.md describes the records.

The key of a session contains a bearer token. Whatever is stored has the phantom's key instead: see keys.py.
"""

from collections.abc import Sequence
from functools import cache

import msgspec

from shared import namespaces, telemetry
from shared.app import App, Call
from shared.delivery import dead_letters, failures
from shared.errors import Rejected
from shared.privacy.keyring import Keyring, keyrings
from shared.reactor import Cause, Outcome, Payload, Result, Scanned, Source, Withheld, ignored
from shared.sessions.keys import phantom_key, session_key, source_key, token_of
from shared.settings import Settings
from shared.store.script import Script

SESSION_TRANSITION = Script(__file__, "session_transition")
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
"""Largest session that is read, unless MAX_PAYLOAD_BYTES is lower. Its JSON is parsed inside Redis, which blocks all
clients meanwhile: 20 to 50 ms for 256 KiB, 1.2 s for 8 MiB. Real sessions have a few KiB."""

_DETECTED_BY = {
    Source.EVENT: "event",
    Source.SWEEP: "sweep",
    Source.SCHEDULE: "schedule",
    Source.RETRY: "schedule",
    Source.REPLAY: "schedule",
}
"""`detectedBy` in a record: the source of the call that detected the transition."""

_PHANTOM = namespaces.PHANTOM.prefix
_DUE, _STREAM, _STATE = map(
    namespaces.build, (namespaces.SESSIONS_DUE, namespaces.AUDIT_STREAM, namespaces.AUDIT_STATE)
)


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
        later       the session is gone; its record waits for the event with the reason
        rejected    the session cannot be read; phantom and records stay as they are
        ignored     not the key of a session (no I/O), or an event that does not report the end of a missing session

    One round trip for all keys, so the caller bounds their number. Idempotent. Raises only CancelledError.
    """
    rings = app.keyrings
    tokens = [token_of(rings, key) for key in keys]
    calls = [
        _script_call(app.settings, rings, token, cause, by_phantom=key.startswith(_PHANTOM))
        for key, token in zip(keys, tokens, strict=True)
        if token is not None
    ]
    replies = iter(zip(calls, await failures.run_repeatable(app, SESSION_TRANSITION, calls), strict=True))
    _count_unopened(sum(token is None and key.startswith(_PHANTOM) for key, token in zip(keys, tokens, strict=True)))
    return [
        ignored(key, "not a session") if token is None else await _outcome(app, key, *next(replies))
        for key, token in zip(keys, tokens, strict=True)
    ]


async def replay(app: App, key: bytes, payload: Payload) -> Outcome:
    """React to the present content of the key: the dead letter of a session stores no payload."""
    (outcome,) = await react(app, [key], Cause.REPLAY)
    return outcome


async def take_due(app: App, limit: int) -> list[bytes]:
    """Up to `limit` due sessions, as keys of their phantoms; no other instance takes them until the lease ends.

    Members that no AUDIT_KEY unseals (of an older key, or of another application) are removed. Raises what the Redis
    client raises.
    """
    sealed: list[bytes] = await app.run(TAKE_DUE_SESSIONS, keys=[_DUE], args=[limit, app.settings.lease_ms])
    unopened = [token for token in sealed if token_of(app.keyrings, phantom_key(token)) is None]
    if unopened:
        _count_unopened(len(unopened))
        await app.redis.zrem(_DUE, *unopened)
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


def _script_call(settings: Settings, rings: Sequence[Keyring], token: bytes, cause: Cause, *, by_phantom: bool) -> Call:
    """KEYS and ARGV of session_transition.lua for one session."""
    sealed = [ring.seal(token).encode() for ring in rings]
    phantoms = [phantom_key(sealed_token) for sealed_token in sealed]
    mark = dead_letters.mark_key(NAME, phantoms[0])
    return (
        [session_key(token), phantoms[0], _DUE, mark, _STREAM, _STATE, *phantoms[1:]],
        [
            rings[0].fingerprint(token),
            rings[0].key_id,
            sealed[0],
            _DETECTED_BY[cause.source],
            END_REASONS.get(cause, ""),
            min(settings.max_payload_bytes, MAX_SESSION_BYTES),
            namespaces.PHANTOM_TTL_S * 1000,
            _options(settings),
            namespaces.USER_SESSIONS.prefix,
            int(by_phantom and cause.source is Source.SWEEP),
            *sealed[1:],
        ],
    )


def _options(settings: Settings) -> bytes:
    return _packed_options(
        settings.audit_buffer,
        settings.audit_refresh_min_s,
        settings.session_lost_after_s,
        settings.delete_lapsed_sessions,
        settings.max_sessions_per_user,
        settings.revoke_tokens_on_last_logout,
        settings.audit_pseudonymise_users,
        settings.audit_key,
        settings.audit_key_previous,
    )


@cache
def _packed_options(
    stream_max: int,
    refresh_min_s: float,
    lost_after_s: float,
    delete: bool,
    user_sessions_max: int,
    revoke: bool,
    pseudonymise: bool,
    *audit_keys: str,
) -> bytes:
    """The options of the script (ARGV[8]) as JSON, encoded once per process."""
    tokens_prefix, tokens_suffix = namespaces.USER_TOKENS.pattern.split("{userId}")
    options = {
        "stream_max": stream_max,
        "refresh_min_ms": round(refresh_min_s * 1000),
        "lost_after_ms": round(lost_after_s * 1000),
        "delete": delete,
        "user_sessions_max": user_sessions_max,
        "revoke": revoke,
        "pseudonymise": pseudonymise,
        "user_pads": [[pad.hex() for pad in ring.user_pads] for ring in keyrings(*audit_keys)],
        "index_prefix": namespaces.SESSION_BY_USER.prefix.decode(),
        "session_prefix": namespaces.SESSION.prefix.decode(),
        "tokens_prefix": tokens_prefix,
        "tokens_suffix": tokens_suffix,
    }
    return msgspec.json.encode(options)


async def _outcome(app: App, key: bytes, call: Call, reply: list[bytes] | Exception) -> Outcome:
    phantom = bytes(call[0][1])
    if isinstance(reply, Exception):
        failure = await failures.failed(app, NAME, phantom, reply)
        return Outcome(key, failure.result, failure.detail)
    result, detail = Result(reply[0].decode()), reply[1].decode()
    if result is not Result.REJECTED:
        return Outcome(key, result, detail, effect=result is Result.PROCESSED)
    failure = await failures.failed(app, NAME, phantom, Rejected(detail), Withheld(reply[2].decode()))
    return Outcome(key, failure.result, failure.detail)
