"""The sessions reactor: each session's life as audit records, one per transition.

The live session is compared with a phantom, the app's own last-known state of it, so that its end can be told when
the key is gone (Spring Session keeps its expired sessions the same way). lua/session_transition.lua reads both,
decides, and writes, in one step on the server: two instances given the same event write one record.
docs/sessions.md describes the records.
"""

from collections.abc import Sequence

from shared import namespaces
from shared.context import Call, Context
from shared.masking import fingerprint
from shared.outcomes import Outcome, Result, ignored

INERT_OPERATIONS = frozenset({"keymiss", "new", "overwritten", "type_changed"})
"""Events that tell nothing, or that come beside the `set` that tells it."""

END_REASONS = {
    "del": "logout",
    "expired": "expired",
    "evicted": "evicted",
    "rename_from": "renamed",
    "move_from": "renamed",
}
"""Operations that can end a session, and the reason that its record gives. (`move_from`: to another database.)"""

MAX_SESSION_BYTES = 256 * 1024
"""Largest session that is read, where MAX_PAYLOAD_BYTES does not say less. Its JSON is parsed inside of Redis, which
serves nobody else meanwhile: 20 to 50 ms for 256 KiB, 1.2 s for 8 MiB. Real sessions have a few KiB."""


async def react(app: Context, keys: Sequence[bytes], operation: str) -> list[Outcome]:
    """Record what happened to these sessions; one outcome per key, in their order.

    `processed` has the record's type as its detail, `duplicate` wrote nothing, `rejected` says why the session cannot
    be read (phantom and records are left alone). Keys that are no sessions are ignored without I/O. All sessions go
    in one round trip, so the caller bounds how many there are. Repeating a call records nothing new.

    Raises redis.exceptions.RedisError when Redis cannot be reached or refuses to write; the call can be repeated.
    """
    tokens = [(key, namespaces.parts_of(namespaces.SESSION, key)) for key in keys]
    calls = [
        _script_call(app, key, token[0], END_REASONS.get(operation, "")) for key, token in tokens if token is not None
    ]
    replies = iter(await app.run_many("session_transition", calls) if calls else [])
    return [ignored(key, "not a session") if token is None else _outcome(key, next(replies)) for key, token in tokens]


def _script_call(app: Context, key: bytes, token: bytes, end_reason: str) -> Call:
    subject = fingerprint(token, app.settings.audit_key)
    return (
        [key, namespaces.build(namespaces.PHANTOM, subject), namespaces.build(namespaces.AUDIT_STREAM)],
        [
            subject,
            end_reason,
            min(app.settings.max_payload_bytes, MAX_SESSION_BYTES),
            app.settings.audit_buffer,
            namespaces.PHANTOM_TTL_S * 1000,
        ],
    )


def _outcome(key: bytes, reply: list[bytes] | Exception) -> Outcome:
    if isinstance(reply, Exception):
        raise reply
    result, detail = reply
    return Outcome(key, Result(result.decode()), detail.decode())
