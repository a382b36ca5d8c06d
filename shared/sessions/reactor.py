"""The sessions reactor: each session's life as audit records, one per transition.

The live session is compared with a phantom, the app's own last-known state of it, so that its end can be told when
the key is gone (Spring Session keeps its expired sessions the same way). lua/session_transition.lua reads both,
decides, and writes, in one step on the server: two instances given the same event write one record.
docs/sessions.md describes the records.

A session's key holds a bearer token. Where it has to be kept, the phantom's key stands for it: see session_keys.py.
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
"""Events that can end a session, and the reason that its record gives."""

MAX_SESSION_BYTES = 256 * 1024
"""Largest session that is read, where MAX_PAYLOAD_BYTES does not say less. Its JSON is parsed inside of Redis, which
serves nobody else meanwhile: 20 to 50 ms for 256 KiB, 1.2 s for 8 MiB. Real sessions have a few KiB."""

_DETECTED_BY = {
    Source.EVENT: "event",
    Source.SWEEP: "sweep",
    Source.SCHEDULE: "schedule",
    Source.RETRY: "schedule",
    Source.REPLAY: "schedule",
}
"""What a record says of the call that noticed the transition."""

_PHANTOM = namespaces.PHANTOM.prefix
_DUE, _STREAM, _STATE = map(
    namespaces.build, (namespaces.SESSIONS_DUE, namespaces.AUDIT_STREAM, namespaces.AUDIT_STATE)
)


def _scanned_session(key: bytes) -> bytes | None:
    return key if namespaces.parts_of(namespaces.SESSION, key) else None


def _scanned_phantom(key: bytes) -> bytes | None:
    return key if namespaces.parts_of(namespaces.PHANTOM, key) else None


SCANNED = (
    Scanned(namespaces.SESSION.prefix + b"*", _scanned_session),
    Scanned(namespaces.PHANTOM.prefix + b"*", _scanned_phantom),
)
"""Sessions that nobody told of, and phantoms whose sessions are gone."""


async def react(app: App, keys: Sequence[bytes], cause: Cause) -> list[Outcome]:
    """Record what happened to these sessions; one outcome per key, in their order.

    A key is that of a session, or of a phantom, which stands for its session. `operation` is Redis' event name, or
    sweep, schedule, retry, replay. `processed` has the types of the records as its detail, `duplicate` wrote no record,
    `later` awaits the event that tells why a session is gone, `rejected` says why the session cannot be read (phantom
    and records are left alone). Keys that are no sessions are ignored without I/O. All sessions go in one round trip,
    so the caller bounds how many there are. Repeating a call records nothing new. Raises nothing but CancelledError.
    """
    rings = app.keyrings
    tokens = [token_of(rings, key) for key in keys]
    calls = [
        _script_call(app.settings, rings, token, cause, by_phantom=key.startswith(_PHANTOM))
        for key, token in zip(keys, tokens, strict=True)
        if token is not None
    ]
    replies = iter(zip(calls, await failures.run_repeatable(app, SESSION_TRANSITION, calls), strict=True))
    _tell_unopened(sum(token is None and key.startswith(_PHANTOM) for key, token in zip(keys, tokens, strict=True)))
    return [
        ignored(key, "not a session") if token is None else await _outcome(app, key, *next(replies))
        for key, token in zip(keys, tokens, strict=True)
    ]


async def replay(app: App, key: bytes, payload: Payload) -> Outcome:
    """A session's dead letter has no payload: only what its key holds now can be tried again."""
    (outcome,) = await react(app, [key], Cause.REPLAY)
    return outcome


async def take_due(app: App, limit: int) -> list[bytes]:
    """Up to `limit` sessions that are due for a look, as their phantoms' keys; no other instance takes them meanwhile.

    What no AUDIT_KEY opens, old or another application's, is forgotten. Raises what the Redis client raises.
    """
    sealed: list[bytes] = await app.run(TAKE_DUE_SESSIONS, keys=[_DUE], args=[limit, app.settings.lease_ms])
    unknown = [one for one in sealed if token_of(app.keyrings, phantom_key(one)) is None]
    if unknown:
        _tell_unopened(len(unknown))
        await app.redis.zrem(_DUE, *unknown)
    return [phantom_key(one) for one in sealed]


def source(app: App, key: bytes) -> bytes:
    """The session's own key for its phantom's."""
    return source_key(app.keyrings, key)


def _tell_unopened(count: int) -> None:
    """Count phantoms that no AUDIT_KEY opens; the first ones of this process are logged."""
    if not count:
        return
    if not telemetry.counts[NAME, "unopened"]:
        telemetry.logger.warning(
            "what is known of some sessions cannot be opened, so their ends will not be recorded: it is from before a "
            "change of AUDIT_KEY, and AUDIT_KEY_PREVIOUS is not that key (or another application wrote it)"
        )
    telemetry.count(NAME, "unopened", count)


def _script_call(settings: Settings, rings: Sequence[Keyring], token: bytes, cause: Cause, *, by_phantom: bool) -> Call:
    sealed = [ring.seal(token).encode() for ring in rings]
    phantoms = [phantom_key(one) for one in sealed]
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
    """What the script is told with every session, packed once per process."""
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
