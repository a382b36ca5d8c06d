"""Expired sessions are recorded in time, however late Redis' own event comes."""

import json
import statistics
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from shared.clock import iso_utc
from tests.support.audit_stream import AuditStream
from tests.support.rig import RedisProcess, hosts
from tests.support.traffic import open_client

OTHERS = 50_000
"""Other keys with a TTL: Redis samples keys at random, so the `expired` event of a key can come minutes late."""
SESSIONS = 1000
IN_TIME_S = 10.0
FIRST_DUE_MS = 7000
"""From now; long enough for the app to see all sessions before they expire."""
SPREAD_MS = 5000
"""From the first due time to the last: the interval of the expiry timer."""
READ_S = 20.0
ONLY_THE_TIMER = {"SWEEP_SCHEDULE": "0 0 0 1 1 *"}
"""No sweep after the first: it could detect an expiry in time by chance. The expiry timer has its default schedule."""


async def test_99_percent_of_expiries_are_recorded_within_10_s_beside_50_000_other_keys(
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
            assert await stream.wait_for(token, "created", 1, FIRST_DUE_MS / 1000), (
                f"{token} was not seen before it expired"
            )
        for token in due_ms:
            assert await stream.wait_for(token, "ended", 1, READ_S), f"{token} was not recorded as ended"
    ends = {token: stream.of(token)[-1] for token in due_ms}
    reasons = Counter((end["data"]["reason"], end["data"].get("keyRemains", False)) for end in ends.values())
    assert reasons == {("expired", True): SESSIONS // 2, ("expired", False): SESSIONS // 2}
    delays_s = [datetime.fromisoformat(ends[token]["time"]).timestamp() - ms / 1000 for token, ms in due_ms.items()]
    percentiles = statistics.quantiles(delays_s, n=100, method="inclusive")
    assert min(delays_s) >= 0, "recorded as expired before it was due"
    assert percentiles[98] <= IN_TIME_S
    for what, delay_s in (("p50", percentiles[49]), ("p99", percentiles[98]), ("max", max(delays_s))):
        measured(f"expiry recorded after it was due, {what} of {SESSIONS} beside {OTHERS} other keys", delay_s, "s")
    for source, count in Counter(end["data"]["detectedBy"] for end in ends.values()).items():
        measured(f"expiry detected by {source}", count, "sessions")


async def write_others(client: Any) -> None:
    pipeline = client.pipeline(transaction=False)
    for number in range(OTHERS):
        pipeline.set(f"other:{number}", "", ex=3600 + number % 600)
    await pipeline.execute()


async def write_sessions(client: Any) -> dict[str, int]:
    """Half as NextAuth writes them (`expires` and no TTL), half with a TTL; returns each token's due time in ms."""
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
            pipeline.set(key, json.dumps({"sessionToken": token, "userId": "user-1", "expires": iso_utc(ms / 1000)}))
    await pipeline.execute()
    return due_ms
