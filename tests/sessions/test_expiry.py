"""Sessions that time ends are recorded in time, whenever Redis itself gets round to telling."""

import json
import statistics
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.audit_stream import AuditStream
from tests.support.rig import RedisProcess, hosts
from tests.support.traffic import open_client

OTHERS = 50_000
"""Other keys with a TTL: Redis looks at some at random, so that it tells of one that ran out minutes later."""
SESSIONS = 1000
IN_TIME_S = 10.0
FIRST_DUE_MS = 7000
"""From now: time enough for the app to see all the sessions while they live."""
SPREAD_MS = 5000
"""From the first due time to the last one: as much as is between two runs of the timer."""
READ_S = 20.0
ONLY_THE_TIMER = {"SWEEP_SCHEDULE": "0 0 0 1 1 *"}
"""No sweep after the one at the start: it might find a session in time by chance. The expiry timer has its default."""


async def test_99_of_100_expiries_are_recorded_within_10_s_though_redis_has_50_000_other_keys_to_look_at(
    tmp_path: Path, measured: Callable[[str, float, str], None]
) -> None:
    async with (
        RedisProcess(tmp_path) as server,
        open_client(server.port) as client,
        AuditStream(server.port) as stream,
        hosts(1, f"127.0.0.1:{server.port}", tmp_path, **ONLY_THE_TIMER),
    ):
        await write_others(client)
        due_ms = await write_sessions(client)
        for token in due_ms:
            assert await stream.told(token, "created", 1, FIRST_DUE_MS / 1000), f"{token} was not seen while it lived"
        for token in due_ms:
            assert await stream.told(token, "ended", 1, READ_S), f"{token} was not recorded as ended"
    ends = {token: stream.of(token)[-1] for token in due_ms}
    reasons = Counter((one["data"]["reason"], one["data"].get("keyRemains", False)) for one in ends.values())
    assert reasons == {("expired", True): SESSIONS // 2, ("expired", False): SESSIONS // 2}
    delays_s = [datetime.fromisoformat(ends[token]["time"]).timestamp() - ms / 1000 for token, ms in due_ms.items()]
    percentiles = statistics.quantiles(delays_s, n=100, method="inclusive")
    assert min(delays_s) >= 0, "recorded as expired before it was due"
    assert percentiles[98] <= IN_TIME_S
    for what, delay_s in (("p50", percentiles[49]), ("p99", percentiles[98]), ("max", max(delays_s))):
        measured(f"expiry recorded after it was due, {what} of {SESSIONS} beside {OTHERS} other keys", delay_s, "s")
    for who, found in Counter(one["data"]["detectedBy"] for one in ends.values()).items():
        measured(f"expiry noticed by {who}", found, "sessions")


async def write_others(client: Any) -> None:
    pipeline = client.pipeline(transaction=False)
    for number in range(OTHERS):
        pipeline.set(f"other:{number}", "", ex=3600 + number % 600)
    await pipeline.execute()


async def write_sessions(client: Any) -> dict[str, int]:
    """Half as NextAuth writes them, with a time and no TTL, half with a TTL; each token and when it is due, in ms."""
    seconds, _ = await client.time()
    start_ms = seconds * 1000 + FIRST_DUE_MS
    due_ms = {f"token-{number}": start_ms + number * SPREAD_MS // SESSIONS for number in range(SESSIONS)}
    pipeline = client.pipeline(transaction=False)
    for number, (token, ms) in enumerate(due_ms.items()):
        key = f"nextauth:session:{token}"
        if number % 2:
            pipeline.set(key, json.dumps({"user": {"id": "user-1"}}))
            pipeline.pexpireat(key, ms)
        else:
            until = datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            pipeline.set(key, json.dumps({"sessionToken": token, "userId": "user-1", "expires": until}))
    await pipeline.execute()
    return due_ms
