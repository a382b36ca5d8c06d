"""Common to all commands: exit codes and error messages that name the cause."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import KEYSPACE_KEYS, ROOT, CostMeter

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="a Linux device that is always full")
def test_a_failed_write_of_the_output_is_not_reported_as_a_redis_error(
    manage_environment: dict[str, str],
) -> None:
    with FULL.open("wb") as full:
        completed = subprocess.run(
            [sys.executable, "manage.py", "keys", "stats"],
            cwd=ROOT,
            env=manage_environment,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )
    assert completed.returncode == 2
    assert b"No space left on device" in completed.stderr
    assert b"Redis" not in completed.stderr


async def test_the_cost_meter_detects_commands_that_block_the_server(cost_meter: CostMeter) -> None:
    """KEYS, and one large call of a script among many small ones."""
    client = cost_meter.client
    await cost_meter.reset()
    assert await cost_meter.blocking() == set()
    await client.keys("nothing:*")
    assert await cost_meter.blocking() == {"keys"}
    await cost_meter.reset()
    for _ in range(100):
        await client.eval("return 0", 1, "k")
    keys = [f"fastapi:temp:data:batch-{number}" for number in range(KEYSPACE_KEYS) if 3 <= number % 10 < 7]
    touch = "for _, key in ipairs(KEYS) do redis.call('OBJECT', 'ENCODING', key) end"
    await client.eval(touch, len(keys), *keys)
    assert await cost_meter.blocking() == {"eval"}
