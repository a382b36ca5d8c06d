"""The answer of GET /api/debug/session: the keyspace by namespace, and the sessions and tokens of one user. Holds no
secret."""

import re
from collections import defaultdict
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
"""Sessions listed of one user."""
_FINGERPRINT = re.compile(rb"[0-9a-f]{32}")


class NamespaceReport(msgspec.Struct, frozen=True):
    """One namespace: the number of keys, by kind, and a sample of keys, masked."""

    namespace: str
    count: int
    kinds: list[KindCount]
    keys: list[str]


class KeyspaceReport(msgspec.Struct, frozen=True, rename="camel"):
    """All keys, `ageS` ago. Where it is not complete, counts are extrapolated from the keys that were visited."""

    age_s: float
    complete: bool
    namespaces: list[NamespaceReport]


class UserSession(msgspec.Struct, frozen=True):
    """A session: its fingerprint as in audit records, and its expiry; null for a session without one."""

    fingerprint: str
    expires: str | None


class TokenEntry(msgspec.Struct, frozen=True, rename="camel"):
    """Whether tokens are stored, and for how long; null without a TTL."""

    exists: bool
    expires_in_s: float | None


class UserReport(msgspec.Struct, frozen=True, rename="camel"):
    """One user's tokens, and the MAX_SESSIONS of `sessionsTotal` sessions that end first."""

    sessions: list[UserSession]
    sessions_total: int
    tokens: TokenEntry


class Report(msgspec.Struct, frozen=True):
    """`user` is null where the request names none."""

    keyspace: KeyspaceReport
    user: UserReport | None


async def report(app: App, user_id: str | None) -> Report | None:
    """The keyspace, and one user; None while there is no census yet (see stored_census.due_in_s).

    `user_id` must be encodable as UTF-8. Raises what the Redis client raises.
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
    """Sessions are stored under the user id, or under its pseudonym of either AUDIT_KEY."""
    names = [user_id, *(name for ring in app.keyrings for name in ring.pseudonyms(user_id))]
    pipeline = app.redis.pipeline(transaction=False)
    for name in names:
        key = namespaces.build(namespaces.USER_SESSIONS, name)
        pipeline.zcard(key)
        pipeline.zrange(key, 0, MAX_SESSIONS - 1, withscores=True)
    pipeline.pttl(namespaces.build(namespaces.USER_TOKENS, user_id))
    *replies, ttl_ms = [_checked(reply) for reply in await pipeline.execute(raise_on_error=False)]
    counts, pages = replies[::2], replies[1::2]
    entries = sorted((entry for page in pages for entry in page or ()), key=lambda entry: float(entry[1]))
    sessions = [
        UserSession(member.decode(), _iso_of_ms(float(score)))
        for member, score in entries
        if _FINGERPRINT.fullmatch(member)
    ]
    exists = ttl_ms is not None and ttl_ms != -2
    expires_in_s = ttl_ms / 1000 if exists and ttl_ms >= 0 else None
    return UserReport(sessions[:MAX_SESSIONS], sum(count or 0 for count in counts), TokenEntry(exists, expires_in_s))


def _checked(reply: Any) -> Any:
    """The reply; None where the key holds another application's value. Raises any other error reply."""
    if isinstance(reply, Exception):
        if not is_wrong_type(reply):
            raise reply
        return None
    return reply


def _iso_of_ms(ms: float) -> str | None:
    try:
        return iso_utc(ms / 1000)
    except ValueError:
        return None
