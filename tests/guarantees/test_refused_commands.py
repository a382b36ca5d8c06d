"""Every effect is complete and single although Redis refuses any command of any script for a while.

For each script of batches, charts and delivery, and each command in it that writes or publishes: an ACL denies the
command during the first calls of this script, and permits it again; or Redis is full meanwhile. The scenario uses all
of these scripts.
"""

import contextlib
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis.asyncio
from redis.exceptions import RedisError

from shared.app import App, Call, open_app
from shared.batches import claims
from shared.batches import reactor as batches
from shared.batches.baseline import decode_model
from shared.batches.claims import Batch, Claim
from shared.charts import reactor as charts
from shared.delivery import dead_letters
from shared.delivery.due import retry_due
from shared.delivery.reconcile import reconcile
from shared.delivery.replay import replay
from shared.reactor import Payload
from shared.registry import BATCHES, CHARTS
from shared.settings import Settings
from shared.store.script import Script
from tests.support.batches import digest
from tests.support.causes import cause

pytestmark = pytest.mark.redis_server

SHARED = Path(__file__).parents[2] / "shared"
WRITING = frozenset(
    {
        *("SET", "SETRANGE", "HSET", "HDEL", "HINCRBY", "DEL", "UNLINK", "EXPIRE", "PEXPIRE", "RENAME"),
        *("ZADD", "ZREM", "ZREMRANGEBYSCORE", "PUBLISH"),
    }
)
READING = frozenset(
    {
        *("EXISTS", "TYPE", "TIME", "GET", "GETRANGE", "STRLEN", "PTTL", "MEMORY", "LLEN", "LRANGE"),
        *("HLEN", "HGET", "HMGET", "HGETALL", "HKEYS", "HSTRLEN", "HEXISTS", "XLEN", "XRANGE"),
        *("ZCARD", "ZSCORE", "ZRANGE", "ZRANGEBYSCORE", "ZREVRANGEBYSCORE"),
    }
)
RECLAIM = "reclaim("
"""A function of refresh_prelude.lua that writes: it deletes what another application wrote."""
COMMANDS = {
    path.stem: set(re.findall(r"redis\.p?call\('([A-Z]+)'", text)) | ({"UNLINK"} if RECLAIM in text else set())
    for folder in ("batches", "charts", "delivery")
    for path in sorted((SHARED / folder).glob("*.lua"))
    if (text := path.read_text()) and path.stem != "refresh_prelude"
}
REFRESHING = frozenset(
    {"schedule_chart", "take_refreshes", "begin_refresh", "end_refresh", "fail_refresh", "read_interest"}
)
"""Scripts of charts with a source: test_refused_refreshes.py."""
PAIRS = [(script, command) for script, used in COMMANDS.items() for command in sorted(used & WRITING)]
PAIRS = [pair for pair in PAIRS if pair[0] not in REFRESHING]
FULL = "FULL"
PAIRS += [
    (script, FULL) for script, used in COMMANDS.items() if used & {"SET", "HSET", "ZADD"} and script not in REFRESHING
]
DENIED_CALLS = 3

GOOD = ("new", "changed", "orphaned", "failing")
POISON = b"\x80\x04\x95."
CHARTS_OF = ("new", "changed")


def test_every_command_of_the_scripts_is_known_here() -> None:
    assert set().union(*COMMANDS.values()) <= WRITING | READING


def key_of(name: str) -> bytes:
    return f"fastapi:temp:data:{name}".encode()


def content_of(name: str, version: int = 1) -> bytes:
    return json.dumps([{"metric": name, "ts": 1, "value": version}]).encode()


def source_of(name: str) -> bytes:
    return f"fabric:data:chart:{name}:d".encode()


def chart_of(version: int) -> bytes:
    return json.dumps([{"t": 1_767_225_600 + row, "v": version} for row in range(3)]).encode()


@dataclass(frozen=True, eq=False)
class Denying(App):
    """An app whose user may not use `command` (or whose Redis is FULL) in the first DENIED_CALLS calls of the script
    `denied_in`."""

    admin: redis.asyncio.Redis = field(kw_only=True)
    denied_in: str = ""
    command: str = ""
    denied: Counter[str] = field(default_factory=Counter)

    async def run(self, script: Script, *, keys: Sequence[bytes] = (), args: Sequence[Any] = ()) -> Any:
        async with self._permissions(script):
            return await super().run(script, keys=keys, args=args)

    async def run_many(self, script: Script, calls: Sequence[Call]) -> list[Any]:
        async with self._permissions(script):
            return await super().run_many(script, calls)

    @contextlib.asynccontextmanager
    async def _permissions(self, script: Script) -> AsyncIterator[None]:
        if script.name != self.denied_in or self.denied[script.name] == DENIED_CALLS:
            yield
            return
        self.denied[script.name] += 1
        await self._refuse("-", "1")
        try:
            yield
        finally:
            await self._refuse("+", "0")

    async def _refuse(self, sign: str, maxmemory: str) -> None:
        if self.command == FULL:
            await self.admin.config_set("maxmemory", maxmemory)
        else:
            await self.admin.execute_command("ACL", "SETUSER", "limited", f"{sign}{self.command}")


@pytest.fixture
def settings(app_settings: Settings) -> Settings:
    return msgspec.structs.replace(
        app_settings,
        lease_s=5,
        retry_base_s=0.001,
        retry_cap_s=0.001,
        retry_attempts=12,
        baseline_max_age_s=0,
        chart_queries={"overview": ["changed"]},
    )


async def write_scenario(healthy: App) -> str:
    """Returns the id of a letter whose key is gone, and whose payload can be read now."""
    client = healthy.redis
    await client.set(key_of("changed"), content_of("changed", 0))
    await batches.react(healthy, [key_of("changed")], cause("set"))
    await client.set(source_of("changed"), chart_of(0))
    await client.set(source_of("gone"), chart_of(0))
    await charts.react(healthy, [source_of("changed"), source_of("gone")], cause("set"))
    for name in GOOD:
        await client.set(key_of(name), content_of(name))
    (orphan,) = await claims.claim(healthy, [Batch(key_of("orphaned"), b"orphaned")])
    assert isinstance(orphan, Claim)
    await client.hset(orphan.claim_key, mapping={"lease_until_ms": 0, "again": "other"})
    for name in CHARTS_OF:
        await client.set(source_of(name), chart_of(1))
    await client.delete(source_of("gone"))
    await client.set("fabric:cache:query:overview", "x")
    await client.set(key_of("poison"), POISON)
    await client.set(source_of("poison"), POISON)
    letter = Payload("string", digest(content_of("letter")), [content_of("letter")])
    return await dead_letters.bury(healthy, "batches", key_of("letter"), ValueError(), letter)


async def react_to_all(app: App, letter_id: str) -> None:
    """What triggers, timers and an operator do; Redis may refuse any of it."""
    keys = [key_of(name) for name in (*GOOD, "poison")]
    sources = [source_of(name) for name in (*CHARTS_OF, "gone", "poison")]
    await batches.react(app, keys, cause("set"))
    await charts.react(app, sources, cause("set"))
    for work in (
        lambda: retry_due(app, (BATCHES, CHARTS), budget_s=1),
        lambda: reconcile(app, (BATCHES, CHARTS), budget_s=1),
        lambda: replay_letter(app, letter_id),
    ):
        with contextlib.suppress(RedisError):
            await work()


async def replay_letter(app: App, letter_id: str) -> None:
    if await dead_letters.get(app, letter_id):
        await replay(app, (BATCHES, CHARTS), letter_id)


async def messages_of(pubsub: Any, client: redis.asyncio.Redis) -> Counter[tuple[str, str]]:
    """How often each content was announced, by id of the batch or chart."""
    counts: Counter[tuple[str, str]] = Counter()
    await client.publish("fastapi:events:analysis", "end")
    while (message := await pubsub.get_message(ignore_subscribe_messages=True, timeout=5)) is None or (
        message["data"] != b"end"
    ):
        if message is not None:
            body = json.loads(message["data"])
            counts[body.get("batchId") or body["chartId"], body.get("inputDigest") or body["sourceDigest"]] += 1
    return counts


@pytest.mark.parametrize(("script", "command"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
async def test_what_redis_refuses_for_a_while_leaves_each_effect_complete_and_single(
    settings: Settings,
    redis_client: redis.asyncio.Redis,
    monkeypatch: pytest.MonkeyPatch,
    server_version: tuple[int, int],
    script: str,
    command: str,
) -> None:
    channels = ["&*"] if server_version >= (6, 2) else []
    await redis_client.execute_command("ACL", "SETUSER", "limited", "on", "nopass", "~*", *channels, "+@all")
    healthy = open_app(settings)
    limited = open_app(msgspec.structs.replace(settings, redis=f"{settings.redis},user=limited,password=any"))
    app = Denying(limited.settings, limited.redis, admin=redis_client, denied_in=script, command=command)
    letter_id = await write_scenario(healthy)
    analyse, failures = batches.analyse, [ZeroDivisionError] * 4

    def analyse_or_fail(group: Any, *args: Any) -> Any:
        if failures and any("failing" in readings.series for readings in group):
            raise failures.pop()
        return analyse(group, *args)

    async with redis_client.pubsub() as pubsub:
        await pubsub.subscribe("fastapi:events:analysis", "fabric:events:chart")
        monkeypatch.setattr(batches, "analyse", analyse_or_fail)
        for _ in range(3):
            await react_to_all(app, letter_id)
        assert app.denied[script], "the scenario does not use this script"
        app.denied[script] = DENIED_CALLS
        for _ in range(4):
            for claim_key in await redis_client.keys("fastapi:queue:processing:*"):
                await redis_client.hset(claim_key, "lease_until_ms", 0)
            for member in await redis_client.zrange("functions:retry:due", 0, -1):
                await redis_client.zadd("functions:retry:due", {member: 0})
            await redis_client.hset("functions:sweep", "until_ms", 0)
            await react_to_all(app, letter_id)
        counts = await messages_of(pubsub, redis_client)

    contents = {(name, digest(content_of(name))) for name in (*GOOD, "letter")}
    contents |= {(name, digest(chart_of(1))) for name in CHARTS_OF}
    assert counts == dict.fromkeys(contents, 1)
    await check_results(healthy)
    letters = (await dead_letters.list_page(healthy)).letters
    assert {(letter.key, letter.attempts) for letter in letters} == {(key_of("poison"), 1), (source_of("poison"), 1)}
    for claim_key in await redis_client.keys("fastapi:queue:*"):
        assert (script, command) == ("renew_claims", "UNLINK")
        assert await redis_client.hmget(claim_key, "attempt", "lease_until_ms") == [b"0", b"0"]
    assert await redis_client.keys("functions:retry:*") == []
    for key in await redis_client.keys("*"):
        if not key.startswith((b"fastapi:temp:", b"fabric:data:", b"functions:stats:")):
            assert await redis_client.ttl(key) > 0, f"{key!r} stays for ever"
    await limited.redis.aclose()
    await healthy.redis.aclose()


async def check_results(healthy: App) -> None:
    client = healthy.redis
    for name in (*GOOD, "letter"):
        assert json.loads(await client.get(f"fastapi:results:analysis:{name}"))["inputDigest"] == digest(
            content_of(name)
        )
    fields = [part for pair in (await client.hgetall(claims.model_key())).items() for part in pair]
    model = decode_model(fields, (await client.time())[0])
    samples = {name: 2 if name == "changed" else 1 for name in (*GOOD, "letter")}
    assert {metric: stored.samples for metric, stored in model.sketches.items()} == samples
    assert model.version == sum(samples.values())
    for name in CHARTS_OF:
        cache = json.loads(await client.get(f"fabric:cache:chart:{name}:d"))
        assert (cache["stale"], cache["sourceDigest"]) == (False, digest(chart_of(1)))
    assert json.loads(await client.get("fabric:cache:chart:gone:d"))["stale"]
    assert not await client.exists("fabric:cache:query:overview")
