"""Whether another application has written over a key of the app, which leaves such a value alone and does without."""

import re

from shared import namespaces
from shared.app import App
from shared.namespaces import Owner
from shared.operations.doctor.findings import Finding, ok, warning
from shared.operations.doctor.products import redis_cli

_TYPE = re.compile(r"\((hash|stream|string|sorted set)\)$")
_OF_REDIS = {"sorted set": "zset"}


def _expected() -> dict[str, str]:
    """The type of each key that there is once, as the table of keys has it."""
    types = {}
    for kind in namespaces.TABLE:
        if kind.owner is Owner.APP and not kind.part_names and (match := _TYPE.search(kind.purpose)):
            types[kind.pattern] = _OF_REDIS.get(match[1], match[1])
    return types


TYPES = _expected()


async def check_own_keys(app: App) -> list[Finding]:
    """One round trip. Raises what the Redis client raises."""
    pipeline = app.redis.pipeline(transaction=False)
    for key in TYPES:
        pipeline.type(key)
    stored = [reply.decode() for reply in await pipeline.execute()]
    foreign = [
        (key, expected, actual)
        for (key, expected), actual in zip(TYPES.items(), stored, strict=True)
        if actual not in ("none", expected)
    ]
    findings = [_foreign(app, *of_key) for of_key in foreign]
    return findings or [ok("own-keys", f"none of {len(TYPES)} keys of the app holds another application's value")]


def _foreign(app: App, key: str, expected: str, actual: str) -> Finding:
    return warning(
        "own-keys",
        f"{key} is a {actual}, not a {expected}: another application has written it",
        "The app leaves it alone: what it keeps there (docs/keys.md) is missing, on the page and in metrics too.",
        "Stop what writes it, then move it away; the app begins anew:",
        (redis_cli(app.settings.redis_options, "RENAMENX", key, f"moved:{{{key}}}", as_admin=True),),
    )
