"""`manage.py sweep`: one whole round, told by reactor; and what is said when it cannot be had."""

import asyncio
import json
import signal
import sys

import pytest

from shared import namespaces
from shared.app import App
from shared.delivery import reconcile
from shared.delivery.reconcile import SWEEP_ACQUIRE
from shared.reactor import Result
from tests.cli.conftest import ROOT, Manage

BATCH = json.dumps([{"metric": "m", "ts": 1, "value": 2.0}])
CHART = json.dumps([{"t": 1_767_225_600_000, "v": 1.5}])


async def write(app: App) -> None:
    """Keys that nobody told of: two batches, one of them bad, a chart and a session."""
    await app.redis.set("fastapi:temp:data:b1", BATCH)
    await app.redis.set("fastapi:temp:data:bad", "no batch")
    await app.redis.set("fabric:data:chart:c:d", CHART)
    await app.redis.set("nextauth:session:t", '{"userId": "u-1"}', ex=100)


async def test_what_no_event_told_of_is_repaired(manage: Manage, app: App) -> None:
    await write(app)
    code, output, _ = manage("sweep", "--now", "--json")
    found = json.loads(output)
    assert code == 1, "the bad batch"
    assert (found["finished"], found["held_by_other"]) == (True, False)
    swept = {name: counts["swept"] for name, counts in found["reactors"].items()}
    assert swept["batches"] == {"processed": 1, "rejected": 1}
    assert swept["charts"]["processed"] == 1
    assert swept["sessions"]["processed"] == 1
    for key in ("fastapi:results:analysis:b1", "fabric:cache:chart:c:d", "functions:audit:sessions"):
        assert await app.redis.exists(key)


async def test_the_second_one_finds_everything_in_order(manage: Manage, app: App) -> None:
    await write(app)
    manage("sweep", "--now")
    code, output, complaint = manage("sweep", "--now")
    assert (code, complaint) == (0, "")
    rows = {line.split()[0]: line.split()[1:] for line in output.splitlines()}
    assert rows["batches"] == ["2", "2", "0", "0", "0", "0"]
    assert output.splitlines()[-1].startswith("Done: ")


async def test_another_instance_that_sweeps_is_left_to_it(manage: Manage, app: App) -> None:
    await write(app)
    key = namespaces.build(namespaces.SWEEP)
    args = ["somebody", app.settings.lease_ms, namespaces.SWEEP_TTL_S]
    lease = await app.run(SWEEP_ACQUIRE, keys=[key], args=args)
    assert lease
    code, _, complaint = manage("sweep", "--now")
    assert (code, "another instance holds the lease" in complaint) == (1, True)
    assert not await app.redis.exists("fastapi:results:analysis:b1")


async def test_without_now_it_only_tells_of_the_last_round(manage: Manage, app: App) -> None:
    await write(app)
    code, output, complaint = manage("sweep")
    assert (code, output, complaint.startswith("no complete sweep is recorded")) == (1, "", True)
    assert not await app.redis.exists("fastapi:results:analysis:b1")
    manage("sweep", "--now")
    code, output, _ = manage("sweep", "--json")
    last = json.loads(output)["last"]
    assert code == 0
    assert (last["outcomes"][Result.REJECTED], last["age_s"] < 30) == (1, True)


async def test_time_that_runs_out_is_told(manage: Manage, app: App) -> None:
    """A round over so many keys takes longer than a second."""
    pipeline = app.redis.pipeline(transaction=False)
    for number in range(30_000):
        pipeline.set(f"fastapi:temp:data:b{number}", BATCH)
    await pipeline.execute()
    code, _, complaint = manage("sweep", "--now", "--budget", "1s")
    assert (code, "time ran out" in complaint) == (1, True)


@pytest.mark.parametrize("arguments", [("--budget", "5s"), ("--now", "--budget", "soon")])
def test_a_budget_without_sense_is_refused(manage: Manage, arguments: tuple[str, ...]) -> None:
    assert manage("sweep", *arguments)[0] == 2


async def test_ctrl_c_says_who_goes_on_and_the_next_sweep_does(manage_environment: dict[str, str], app: App) -> None:
    pipeline = app.redis.pipeline(transaction=False)
    for number in range(30_000):
        pipeline.set(f"fastapi:temp:data:b{number}", BATCH)
    await pipeline.execute()
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "manage.py", "sweep", "--now"),
        cwd=ROOT,
        env=manage_environment,
        stderr=asyncio.subprocess.PIPE,
    )
    while not await app.redis.hexists(namespaces.build(namespaces.SWEEP), "position"):
        assert started.returncode is None
    started.send_signal(signal.SIGINT)
    _, complaint = await started.communicate()
    assert started.returncode == 130
    assert b"interrupted: " in complaint
    assert b"the app's sweep continues" in complaint
    assert await reconcile.last_pass(app) is None
