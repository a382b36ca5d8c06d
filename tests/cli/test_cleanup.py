"""`cleanup` removes the selected keys after a confirmation, and keeps sessions, audit records and keys in use."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from cli import cleanup
from cli.cleanup import UNLINK_KEYS, Plan, Tally
from cli.terminal import Refused
from shared import namespaces
from shared.app import App
from shared.operations import census
from shared.operations.census import Pace
from shared.operations.key_selection import Namespace, Selection, namespace_of
from tests.cli.conftest import ROOT, CostMeter, Manage
from tests.operations.test_census import IDLE_S, idle


def plan(
    namespace: Namespace,
    *kinds: str,
    match: bytes | None = None,
    idle_min_s: int = 0,
    include_sessions: bool = False,
    include_audit: bool = False,
) -> Plan:
    return Plan(Selection(namespace, frozenset(kinds), match), idle_min_s, include_sessions, include_audit)


async def remaining(app: App, cleanup_plan: Plan) -> set[bytes]:
    """Run a cleanup; returns the remaining keys."""
    tally = await cleanup.count(app, cleanup_plan)
    await cleanup.remove(app, cleanup_plan, tally, pace=Pace(None))
    assert tally.removed == sum(tally.keys.values())
    return {key async for keys in census.pages(app, Selection()) for key in keys}


async def write_examples(app: App) -> set[bytes]:
    """Write a key of every kind, and some of no kind; returns them."""
    keys = {kind.example.encode() for kind in namespaces.TABLE}
    keys |= {b"nextauth:session:by-user-id:", b"fabric:data:chart::id", b"user:1:tokens"}
    for key in keys:
        await app.redis.set(key, "x")
    return keys


@pytest.mark.parametrize("namespace", Namespace)
async def test_a_cleanup_removes_the_keys_of_one_namespace_only(app: App, namespace: Namespace) -> None:
    keys = await write_examples(app)
    kept = await remaining(app, plan(namespace, include_sessions=True, include_audit=True))
    assert kept == {key for key in keys if namespace_of(key) is not namespace}
    assert len(kept) < len(keys)


async def test_sessions_and_audit_records_are_kept_without_their_flags(app: App) -> None:
    await write_examples(app)
    kept = await remaining(app, plan(Namespace.NEXTAUTH)) & await remaining(app, plan(Namespace.FUNCTIONS))
    spared = {key for key in kept if key.startswith((b"nextauth:", b"functions:"))}
    assert spared == {
        namespaces.SESSION.example.encode(),
        namespaces.SESSION_BY_USER.example.encode(),
        b"nextauth:session:by-user-id:",
        namespaces.AUDIT_STREAM.example.encode(),
        namespaces.AUDIT_STATE.example.encode(),
    }


async def test_kind_and_match_restrict_the_removed_keys(app: App) -> None:
    keys = await write_examples(app)
    assert keys - await remaining(app, plan(Namespace.FABRIC, "query-cache")) == {b"fabric:cache:query:plant-overview"}
    assert keys - await remaining(app, plan(Namespace.FABRIC, match=b"*:co2-*", idle_min_s=0)) == {
        b"fabric:cache:query:plant-overview",
        b"fabric:cache:chart:co2-flow:realtime",
        b"fabric:data:chart:co2-flow:realtime",
    }


async def test_only_keys_with_the_minimum_idle_time_are_removed(app: App) -> None:
    await idle(app.redis, b"fastapi:temp:data:old", b"x")
    await idle(app.redis, b"fastapi:temp:data:read", b"x")
    await app.redis.get("fastapi:temp:data:read")
    kept = await remaining(app, plan(Namespace.FASTAPI, idle_min_s=IDLE_S))
    assert kept == {b"fastapi:temp:data:read"}


async def test_a_key_that_is_used_after_it_was_listed_is_kept(app: App) -> None:
    await app.redis.set("fastapi:temp:data:used", "x")
    await idle(app.redis, b"fastapi:temp:data:old", b"x")
    keys = ["fastapi:temp:data:used", "fastapi:temp:data:old", "fastapi:temp:data:gone"]
    assert await app.run(UNLINK_KEYS, keys=keys, args=[IDLE_S]) == 1
    assert await app.redis.exists("fastapi:temp:data:used")


async def test_a_minimum_idle_time_is_refused_if_redis_keeps_no_idle_times(app: App) -> None:
    await app.redis.config_set("maxmemory-policy", "allkeys-lfu")
    try:
        with pytest.raises(Refused, match="allkeys-lfu Redis keeps no idle times"):
            await cleanup.refuse_plan(app, plan(Namespace.FASTAPI, idle_min_s=10))
        await cleanup.refuse_plan(app, plan(Namespace.FASTAPI))
    finally:
        await app.redis.config_set("maxmemory-policy", "noeviction")


@pytest.mark.parametrize(
    ("namespace", "kind", "flag"),
    [
        (Namespace.NEXTAUTH, "session", "--include-sessions"),
        (Namespace.NEXTAUTH, "session-by-user-id", "--include-sessions"),
        (Namespace.FUNCTIONS, "audit-stream", "--include-audit"),
    ],
)
async def test_a_kind_that_needs_a_flag_is_refused_without_it(
    app: App, namespace: Namespace, kind: str, flag: str
) -> None:
    with pytest.raises(Refused, match=flag):
        await cleanup.refuse_plan(app, plan(namespace, kind))
    await cleanup.refuse_plan(app, plan(namespace, kind, include_sessions=True, include_audit=True))


@pytest.mark.parametrize("answer", ["", "\n", "yes\n", "fabri\n", "FABRIC\n", "fabric fastapi\n"])
async def test_without_the_name_of_the_namespace_nothing_is_removed(app: App, manage: Manage, answer: str) -> None:
    await app.redis.set("fabric:cache:query:1", "x")
    code, _, stderr = manage("cleanup", "fabric", input=answer)
    assert code == 2
    assert "nothing removed: expected `fabric`" in stderr
    assert await app.redis.exists("fabric:cache:query:1")


async def test_the_name_from_a_pipe_or_an_option_confirms_the_removal(app: App, manage: Manage) -> None:
    for arguments, answer in (([], "fabric\n"), (["--confirm", "fabric"], "")):
        await app.redis.mset({"fabric:cache:query:1": "x", "fabric:cache:query:2": "x", "fastapi:temp:data:1": "x"})
        code, output, stderr = manage("cleanup", "fabric", *arguments, input=answer)
        assert code == 0, stderr
        assert output.split("\n")[:2] == ["          2  query-cache", "2 keys removed"]
        assert await app.redis.keys() == [b"fastapi:temp:data:1"]


async def test_a_dry_run_asks_nothing_and_removes_nothing(app: App, manage: Manage) -> None:
    await app.redis.mset({"nextauth:user:1": "x", "nextauth:session:1": "x"})
    code, output, _ = manage("cleanup", "nextauth", "--dry-run", "--json")
    assert (code, json.loads(output)) == (
        0,
        {"dryRun": True, "namespace": "nextauth", "keys": {"user": 1}, "shapes": {}, "spared": 1, "removed": 0},
    )
    assert await app.redis.dbsize() == 2


async def test_the_removal_of_the_app_s_own_state_is_announced(app: App, manage: Manage) -> None:
    await app.redis.set("functions:dead:totals", "x")
    await app.redis.xadd("functions:audit:sessions", {"event": "{}"})
    code, _, stderr = manage("cleanup", "functions", "--dry-run")
    assert code == 0
    assert "dead letters with their payloads" in stderr
    assert "1 audit keys are not removed without --include-audit" in stderr


async def test_an_interrupted_cleanup_reports_its_progress_and_can_be_run_again(
    app: App, manage: Manage, manage_environment: dict[str, str]
) -> None:
    await app.redis.mset({f"fastapi:temp:data:{number}": "x" for number in range(1000)})
    async with app.redis.pubsub() as events:
        await events.psubscribe("__keyspace@0__:*")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "manage.py", "cleanup", "fastapi", "--confirm", "fastapi", "--rate", "500"),
            cwd=ROOT,
            env=manage_environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        async with asyncio.timeout(30):
            while (await events.get_message(timeout=None) or {}).get("data") != b"del":
                pass
    process.send_signal(signal.SIGINT)
    _, stderr = await process.communicate()
    assert process.returncode == 130
    remaining_count = await app.redis.dbsize()
    assert 0 < remaining_count < 1000
    assert f"interrupted: {1000 - remaining_count} of 1,000 keys were removed; run it again" in stderr.decode()
    code, output, _ = manage("cleanup", "fastapi", "--confirm", "fastapi", "--rate", "100000")
    assert (code, output.splitlines()[-1]) == (0, f"{remaining_count} keys removed")


async def test_an_interrupt_at_the_confirmation_ends_at_once(app: App, manage_environment: dict[str, str]) -> None:
    await app.redis.set("fastapi:temp:data:1", "x")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "manage.py", "cleanup", "fastapi"),
        cwd=ROOT,
        env=manage_environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr
    assert b"Type fastapi" in await process.stderr.readuntil(b"to continue: ")
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(10):
        assert b"nothing was removed" in await process.stderr.read()
        assert await process.wait() == 130
    assert process.stdin
    process.stdin.close()


async def test_values_of_any_size_and_type_are_removed(app: App) -> None:
    await app.redis.set("fastapi:temp:data:large", b"x" * 20_000_000)
    await app.redis.hset("fastapi:temp:data:hash", mapping={str(number): "x" for number in range(20_000)})
    await app.redis.xadd("fastapi:temp:data:stream", {"a": "b"})
    assert await remaining(app, plan(Namespace.FASTAPI)) == set()


async def test_progress_is_reported_per_batch_and_the_rate_is_kept(app: App) -> None:
    await app.redis.mset({f"fastapi:temp:data:{number}": "x" for number in range(300)})
    reported: list[int] = []
    tally = Tally({})
    started_s = asyncio.get_running_loop().time()
    await cleanup.remove(app, plan(Namespace.FASTAPI), tally, pace=Pace(3000), progress=reported.append)
    assert asyncio.get_running_loop().time() - started_s > 0.09
    assert (tally.removed, reported[-1]) == (300, 300)
    assert max(after - before for before, after in zip([0, *reported], reported, strict=False)) <= cleanup.BATCH


async def test_removing_80_000_of_200_000_keys_does_not_block_the_server(
    app: App, cost_meter: CostMeter, measured: Callable[[str, float, str], None]
) -> None:
    command = ("cleanup", "fastapi", "--confirm", "fastapi", "--rate", "1000000", "--json")
    cost = await cost_meter.run_within_bounds(*command)
    assert cost.code == 0
    assert await app.redis.dbsize() == 120_000
    measured("cleanup, 80,000 of 200,000 keys: slowest command of the server", cost.longest_ms, "ms")
    measured("cleanup, 80,000 of 200,000 keys: memory of the process", cost.peak_mib, "MiB")
