"""What all commands share: exit codes and complaints that name what is wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import MANY, ROOT, Costly

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="a Linux device that is always full")
def test_output_that_cannot_be_written_is_not_blamed_on_redis(
    manage_environment: dict[str, str],
) -> None:
    with FULL.open("wb") as full:
        done = subprocess.run(
            [sys.executable, "manage.py", "keys", "stats"],
            cwd=ROOT,
            env=manage_environment,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )
    assert done.returncode == 2
    assert b"No space left on device" in done.stderr
    assert b"Redis" not in done.stderr


async def test_the_measure_of_the_other_tests_finds_what_holds_up_the_server(costly: Costly) -> None:
    """A command over all keys, and one large call among many small ones of the same script."""
    client = costly.client
    await costly.reset()
    assert await costly.blocking() == set()
    await client.keys("nothing:*")
    assert await costly.blocking() == {"keys"}
    await costly.reset()
    for _ in range(100):
        await client.eval("return 0", 1, "k")
    keys = [f"fastapi:temp:data:batch-{number}" for number in range(MANY) if 3 <= number % 10 < 7]
    touch = "for _, key in ipairs(KEYS) do redis.call('OBJECT', 'ENCODING', key) end"
    await client.eval(touch, len(keys), *keys)
    assert await costly.blocking() == {"eval"}
