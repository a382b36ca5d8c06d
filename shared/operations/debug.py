"""What GET /api/debug/session tells: the keyspace by namespace, and what there is of one user. Never a secret."""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec

from shared import namespaces
from shared.app import App
from shared.clock import iso_utc
from shared.operations import stored_census
from shared.operations.stored_census import KindCount
from shared.store.refusals import is_wrong_type

MAX_USER_CHARS = 256
MAX_SESSIONS = 100
"""Sessions that are listed of one user."""
_FINGERPRINT = re.compile(rb"[0-9a-f]{32}")


class NamespaceReport(msgspec.Struct, frozen=True):
    """One namespace: how many keys, by kind, and some of them, masked."""

    namespace: str
    count: int
    kinds: list[KindCount]
    keys: list[str]


class KeyspaceReport(msgspec.Struct, frozen=True):
    """All keys, `age_s` ago. When it is not complete, counts are estimated from the keys that were seen."""

    age_s: float
    complete: bool
    namespaces: list[NamespaceReport]


class UserSession(msgspec.Struct, frozen=True):
    """A session: its fingerprint, as audit records have it, and when it ends; null for one that nothing ends."""

    fingerprint: str
    expires: str | None


class TokenEntry(msgspec.Struct, frozen=True):
    """Whether there is an entry of tokens, and how long it stays; null without a TTL."""

    exists: bool
    expires_in_s: float | None


class UserReport(msgspec.Struct, frozen=True, rename="camel"):
    """One user's sessions, the first MAX_SESSIONS to end of `sessionsTotal`, and tokens."""

    sessions: list[UserSession]
    sessions_total: int
    tokens: TokenEntry


class Report(msgspec.Struct, frozen=True):
    """`user` is null where none was asked for."""

    keyspace: KeyspaceReport
    user: UserReport | None


async def report(app: App, user_id: str | None) -> Report | None:
    """The keyspace, and one user; None while there is no census yet (see stored_census.due_in_s).

    `user_id` has to be encodable as UTF-8. Raises what the Redis client raises.
    """
    taken = await stored_census.current(app)
    if taken is None:
        return None
    kinds: defaultdict[str, list[KindCount]] = defaultdict(list)
    for kind in taken.kinds:
        kinds[kind.namespace].append(kind)
    by_namespace = [
        NamespaceReport(name, sum(kind.count for kind in of_name), of_name, taken.shown.get(name, []))
        for name, of_name in kinds.items()
    ]
    return Report(
        KeyspaceReport(taken.age_s, taken.complete, by_namespace), await _user(app, user_id) if user_id else None
    )


async def _user(app: App, user_id: str) -> UserReport:
    """Sessions are kept under the id as it is, or under a pseudonym of either AUDIT_KEY."""
    forms = [user_id, *(ring.pseudonym(user_id) for ring in app.keyrings)]
    pipeline = app.redis.pipeline(transaction=False)
    for form in forms:
        key = namespaces.build(namespaces.USER_SESSIONS, form)
        pipeline.zcard(key)
        pipeline.zrange(key, 0, MAX_SESSIONS - 1, withscores=True)
    pipeline.pttl(namespaces.build(namespaces.USER_TOKENS, user_id))
    *sets, left_ms = [_known(reply) for reply in await pipeline.execute(raise_on_error=False)]
    entries = sorted((one for found in sets[1::2] for one in found or ()), key=lambda one: float(one[1]))
    sessions = [
        UserSession(member.decode(), _iso_of_ms(float(score)))
        for member, score in entries
        if _FINGERPRINT.fullmatch(member)
    ]
    exists = left_ms is not None and left_ms != -2
    expires_in_s = left_ms / 1000 if exists and left_ms >= 0 else None
    return UserReport(sessions[:MAX_SESSIONS], _sum(sets[::2]), TokenEntry(exists, expires_in_s))


def _known(reply: Any) -> Any:
    """None in place of a key that holds another application's value."""
    if isinstance(reply, Exception):
        if not is_wrong_type(reply):
            raise reply
        return None
    return reply


def _sum(counts: Sequence[int | None]) -> int:
    return sum(count or 0 for count in counts)


def _iso_of_ms(ms: float) -> str | None:
    try:
        return iso_utc(ms / 1000)
    except ValueError:
        return None
