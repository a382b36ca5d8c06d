"""Repairs an audit stream that accepts no entries any more: somebody added one with the greatest possible id."""

import secrets

import msgspec

from shared import namespaces, telemetry
from shared.app import App
from shared.audit import chain
from shared.store.script import Script

REPAIR_STREAM = Script(__file__, "repair_stream")
REPAIRED = "functions.stream.repaired"
_KEYS = [namespaces.build(kind) for kind in (namespaces.AUDIT_STREAM, namespaces.AUDIT_COPY, namespaces.AUDIT_STATE)]
_ENTRIES = 500
"""Entries per call: about 3 ms of Redis."""


def is_full(error: object) -> bool:
    """Whether Redis refused an entry because the stream has none of the greatest id left."""
    return isinstance(error, Exception) and "exhausted the last possible ID" in str(error)


async def repair(app: App) -> None:
    """Rebuild the stream, if it is full, and append a record of that. Several instances may repair at once.

    Raises what the Redis client raises.
    """
    seconds, microseconds = await app.redis.time()
    record = {
        "specversion": "1.0",
        "id": f"repair.{secrets.token_hex(8)}",
        "source": "urn:keyspace-functions:sessions",
        "type": REPAIRED,
        "subject": "audit-stream",
        "time": chain.iso(seconds * 1000 + microseconds // 1000),
        "datacontenttype": "application/json",
    }
    head = msgspec.json.encode(record)[:-1] + b',"data":'
    while True:
        done = await app.run(REPAIR_STREAM, keys=_KEYS, args=[_ENTRIES, head])
        if done == b"repaired":
            telemetry.logger.error(
                "the audit stream accepted no entries, because somebody added one with the greatest "
                "possible id: it was rebuilt without that entry"
            )
        if done != b"partly":
            return
