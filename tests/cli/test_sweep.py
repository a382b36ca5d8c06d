"""`manage.py sweep`: one complete pass, reported by reactor, and the reasons why a pass cannot run or finish."""

import asyncio
import json
import signal
import sys

import pytest

from shared import namespaces
from shared.app import App
from shared.delivery import reconcile
from shared.delivery.reconcile import MAX_LEASE_MS, SWEEP_ACQUIRE
from shared.reactor import Result
from tests.cli.conftest import ROOT, Manage

BATCH = json.dumps([{"metric": "m", "ts": 1, "value": 2.0}])
CHART = json.dumps([{"t": 1_767_225_600_000, "v": 1.5}])


async def write(app: App) -> None:
    """Write keys whose events are not handled: two batches, one of them malformed, a chart and a session."""
    await app.redis.set("fastapi:temp:data:b1", BATCH)
    await app.redis.set("fastapi:temp:data:bad", "no batch")
    await app.redis.set("fabric:data:chart:c:d", CHART)
    await app.redis.set("nextauth:session:t", '{"userId": "u-1"}', ex=100)


async def test_keys_without_an_event_are_processed(manage: Manage, app: App) -> None:
    await write(app)
    code, output, _ = manage("sweep", "--now", "--json")
    report = json.loads(output)
    assert code == 1, "the malformed batch was rejected"
    assert (report["finished"], report["heldByOther"]) == (True, False)
    swept = {name: counts["swept"] for name, counts in report["reactors"].items()}
    assert swept["batches"] == {"processed": 1, "rejected": 1}
    assert swept["charts"]["processed"] == 1
    assert swept["sessions"]["processed"] == 1
    for key in ("fastapi:results:analysis:b1", "fabric:cache:chart:c:d", "functions:audit:sessions"):
        assert await app.redis.exists(key)


async def test_a_second_sweep_has_nothing_to_repair(manage: Manage, app: App) -> None:
    await write(app)
    manage("sweep", "--now")
    code, output, stderr = manage("sweep", "--now")
    assert (code, stderr) == (0, "")
    rows = {line.split()[0]: line.split()[1:] for line in output.splitlines()}
    assert rows["batches"] == ["2", "2", "0", "0", "0", "0"]
    assert output.splitlines()[-1].startswith("Done: ")


async def test_a_sweep_does_nothing_while_another_instance_holds_the_lease(manage: Manage, app: App) -> None:
    await write(app)
    key = namespaces.build(namespaces.SWEEP)
    args = ["somebody", MAX_LEASE_MS, namespaces.SWEEP_TTL_S, 1, 0]
    lease = await app.run(SWEEP_ACQUIRE, keys=[key], args=args)
    assert lease
    code, _, stderr = manage("sweep", "--now")
    assert (code, "another instance holds the lease" in stderr) == (1, True)
    assert not await app.redis.exists("fastapi:results:analysis:b1")


async def test_without_now_only_the_last_sweep_is_reported(manage: Manage, app: App) -> None:
    await write(app)
    code, output, stderr = manage("sweep")
    assert (code, output, stderr.startswith("no complete sweep is recorded")) == (1, "", True)
    assert not await app.redis.exists("fastapi:results:analysis:b1")
    manage("sweep", "--now")
    code, output, _ = manage("sweep", "--json")
    last = json.loads(output)["last"]
    assert code == 0
    assert (last["outcomes"][Result.REJECTED], last["ageS"] < 30) == (1, True)


async def test_an_exhausted_budget_is_reported(manage: Manage, app: App) -> None:
    """A pass over 30,000 batches takes longer than a second."""
    pipeline = app.redis.pipeline(transaction=False)
    for number in range(30_000):
        pipeline.set(f"fastapi:temp:data:b{number}", BATCH)
    await pipeline.execute()
    code, _, stderr = manage("sweep", "--now", "--budget", "1s")
    assert (code, "time ran out" in stderr) == (1, True)


@pytest.mark.parametrize("arguments", [("--budget", "5s"), ("--now", "--budget", "soon")])
def test_an_invalid_budget_is_refused(manage: Manage, arguments: tuple[str, ...]) -> None:
    assert manage("sweep", *arguments)[0] == 2


async def test_an_interrupted_sweep_says_that_the_app_continues_it(
    manage_environment: dict[str, str], app: App
) -> None:
    pipeline = app.redis.pipeline(transaction=False)
    for number in range(30_000):
        pipeline.set(f"fastapi:temp:data:b{number}", BATCH)
    await pipeline.execute()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "manage.py", "sweep", "--now"),
        cwd=ROOT,
        env=manage_environment,
        stderr=asyncio.subprocess.PIPE,
    )
    while not await app.redis.hexists(namespaces.build(namespaces.SWEEP), "position"):
        assert process.returncode is None
    process.send_signal(signal.SIGINT)
    _, stderr = await process.communicate()
    assert process.returncode == 130
    assert b"interrupted: " in stderr
    assert b"the app's sweep continues" in stderr
    assert await reconcile.last_pass(app) is None
