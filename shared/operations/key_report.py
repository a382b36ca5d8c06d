"""All that Redis and the app know of one key, for the monitor page."""

from typing import Annotated, Any

import msgspec
from redis.exceptions import NoPermissionError

from shared import namespaces
from shared.app import App
from shared.errors import KeyspaceError, Rejected, WorkTimeout
from shared.namespaces import Kind
from shared.operations import effects, explanations, key_facts, key_search, key_value, payload, redis_users
from shared.operations.effects import Effect
from shared.operations.key_selection import UNKNOWN_KIND, kind_of, namespace_of
from shared.reading.explain import Explanation
from shared.words import camel_names

_NOT_OWN = "only keys that the app reads or writes are shown here; `manage.py keys show` shows every key"
_NOT_PERMITTED = "the app's Redis user has no right to read this"
_READ_AS = {namespaces.BATCH: explanations.BATCH, namespaces.CHART_DATA: explanations.CHART}


class KeyQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The key; or what the app shows of it, masked; or, for a session, @ and 12 to 32 digits of its fingerprint."""

    key: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class KeyReport(msgspec.Struct, frozen=True, rename="camel"):
    """`redis`: type, size, TTL and so on; {} for a key that does not exist. `app`: effect, claim, retry, dead letters.
    `value`: its beginning, or only its shape where it may hold secrets. Unknown facts are left out. `explanation` is
    what the reader makes of a batch or a chart, `effects` are those of the key in the feed, newest first."""

    key: str
    exists: bool
    namespace: str
    kind: str
    owner: str | None
    purpose: str | None
    table_ttl_s: int | None
    redis: dict[str, Any]
    app: dict[str, Any]
    value: dict[str, Any]
    explanation: Explanation | None
    effects: list[Effect]


async def report(app: App, text: str) -> KeyReport:
    """The report on the key that `text` means: see key_search.find. `text` must be encodable as UTF-8.

    Raises KeyspaceError where no key, more than one or another application's is meant, and what the Redis client
    raises.
    """
    if not text.startswith("@") and not redis_users.is_own(text.encode()):
        raise KeyspaceError(_NOT_OWN)
    key = await key_search.find(app, text.encode())
    if not redis_users.is_own(key):
        raise KeyspaceError(_NOT_OWN)
    kind = kind_of(key)
    facts = await key_facts.redis_facts(app, key)
    shown = app.shown(key)
    return KeyReport(
        key=shown,
        exists=bool(facts),
        namespace=namespace_of(key),
        kind=kind.name if kind else UNKNOWN_KIND,
        owner=kind.owner if kind else None,
        purpose=kind.purpose if kind else None,
        table_ttl_s=kind.ttl_s if kind else None,
        redis=camel_names(facts),
        app=camel_names(await key_facts.app_facts(app, key, kind)),
        value=await _value(app, key, kind, facts),
        explanation=await _explanation(app, key, kind) if facts else None,
        effects=[effect for effect in await effects.read(app) if effect.key == shown],
    )


async def _value(app: App, key: bytes, kind: Kind | None, facts: dict[str, Any]) -> dict[str, Any]:
    try:
        return await key_value.describe(app, key, kind, facts)
    except NoPermissionError:
        return {"masked": True, "shape": [_NOT_PERMITTED]}


async def _explanation(app: App, key: bytes, kind: Kind | None) -> Explanation | None:
    """None for a key that is neither a batch nor a chart, and where reading it takes longer than WORK_TIMEOUT_S."""
    read_as = _READ_AS.get(kind) if kind else None
    if read_as is None:
        return None
    try:
        shape, parts = await payload.read(app, key)
        return None if shape == "none" else await explanations.explain(app, read_as, key, shape, parts)
    except Rejected as fault:
        return explanations.refused(read_as, str(fault), 0)
    except NoPermissionError:
        return explanations.refused(read_as, _NOT_PERMITTED, 0)
    except WorkTimeout:
        return None
