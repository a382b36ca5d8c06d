"""What is to be written for a session, as transition.py decides it and apply_session.lua does it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from shared import namespaces
from shared.app import Call
from shared.privacy.keyring import Keyring
from shared.sessions.phantom import FIELDS, Phantom, Values, changes
from shared.sessions.records import Record

PHANTOM_TTL_MS = namespaces.PHANTOM_TTL_S * 1000
DUE, STREAM, STATE = map(namespaces.build, (namespaces.SESSIONS_DUE, namespaces.AUDIT_STREAM, namespaces.AUDIT_STATE))
_INDEX, _SESSION = (kind.prefix.decode() for kind in (namespaces.SESSION_BY_USER, namespaces.SESSION))
_TOKENS = namespaces.USER_TOKENS.pattern.split("{userId}")
_ENCODER = msgspec.json.Encoder()


def user_sessions_key(user_id: str) -> bytes:
    """The sorted set of a user's sessions: fingerprints by expiry."""
    return namespaces.USER_SESSIONS.prefix + user_id.encode()


def forms_of(keyrings: Sequence[Keyring], user_id: str) -> list[str]:
    """The forms in which lives may name a user: the id itself, or a pseudonym under either AUDIT_KEY."""
    return [user_id, *(name for ring in keyrings for name in ring.pseudonyms(user_id))]


@dataclass
class Plan:
    """What to write; nothing by default. `phantom` is the new state, None to leave it; `sequence` counts the records of
    its life before this plan."""

    phantom: Phantom | None = None
    heard_ms: int | None = None
    """Set to note that an event announced the session; there is no phantom then."""
    sequence: int = 0
    ttl_ms: int = 0
    """TTL of the phantom's key from now on; 0 to leave it."""
    adopt: bool = False
    """Whether the phantom is under the key of the previous AUDIT_KEY: it moves to that of the present one."""
    delete: bool = False
    """Whether to delete the session itself."""
    members: list[tuple[bytes, str, str]] = field(default_factory=list)
    """Changes of sorted sets: key, member, and score; '' to remove it."""
    renew: list[bytes] = field(default_factory=list)
    """Sorted sets that get a new TTL, besides those with new members."""
    leaving: list[Record] = field(default_factory=list)
    """Sessions that leave the sets of their users."""
    records: list[Record] = field(default_factory=list)
    overwrites: bool = False
    """Whether the phantom's fields were not read and have to be emptied."""
    completes: bool = False
    """Whether the first records are those that Redis refused earlier."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        written = (self.phantom, self.heard_ms, self.ttl_ms, self.adopt, self.delete, self.members)
        return not (any(written) or self.renew or self.leaving or self.records)


class Target(NamedTuple):
    """The keys of a session and its phantom, and what they have to hold for a plan to be applied. `digest` is the SHA-1
    of the session's text, '' if it is missing, None if it does not matter; `values` are those of the phantom."""

    session: bytes
    phantom: bytes
    former_phantom: bytes
    digest: str | None
    size_bytes: int
    values: Values
    phantom_digest: bytes


class Limits(NamedTuple):
    """The most live sessions of a user (0 for any number), the length of the stream, and the time of the look."""

    sessions: int
    stream: int
    now_ms: int


def apply_call(plan: Plan, target: Target, keyrings: Sequence[Keyring], limits: Limits) -> Call:
    """KEYS and ARGV of apply_session.lua."""
    keys = [target.session, target.phantom, STREAM, STATE, target.former_phantom]

    def position_of(key: bytes) -> int:
        if key not in keys:
            keys.append(key)
        return keys.index(key) + 1

    sets: dict[str, list[int]] = {}
    revoke: dict[str, dict[str, str]] = {}
    for record in plan.records:
        if record.user_id:
            user_id = record.user_id
            sets[user_id] = [position_of(user_sessions_key(form)) for form in forms_of(keyrings, user_id)]
        if record.condition == "revoked":
            # Not in KEYS: an ACL that refuses one of those refuses the whole call.
            revoke[user_id] = {"tokens": user_id.join(_TOKENS), "index": _INDEX + user_id, "prefix": _SESSION}
    fields = changes(() if plan.adopt else target.values, plan.phantom, plan.heard_ms)
    if plan.overwrites and fields:
        fields += [part for name in FIELDS if name not in {"sequence", *fields[::2]} for part in (name, "")]
    elif plan.completes:
        fields += ["pending", ""]
    renew = {key for key, _, score in plan.members if score} | set(plan.renew)
    document = {
        "adopt": plan.adopt,
        "delete": plan.delete,
        "members": [(position_of(key), member, score) for key, member, score in plan.members],
        "renew": [position_of(key) for key in sorted(renew)],
        "fields": fields,
        "sequence": plan.sequence,
        "phantom_ttl_ms": plan.ttl_ms,
        "records": plan.records,
        "sets": sets,
        "revoke": revoke,
        "limit": limits.sessions,
        "stream_max": limits.stream,
        "now_ms": limits.now_ms,
    }
    digest = "*" if target.digest is None else target.digest
    args: list[bytes | str | int | float] = [
        digest,
        target.size_bytes,
        target.phantom_digest,
        _ENCODER.encode(document),
        PHANTOM_TTL_MS,
    ]
    return keys, args
