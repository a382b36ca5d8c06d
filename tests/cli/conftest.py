"""Runs manage.py as a process, and measures the cost of a command over a large keyspace."""

import asyncio
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from local.repo.bootstrap import is_ready
from shared.settings import Settings

ROOT = Path(__file__).parents[2]
KEYSPACE_KEYS = 200_000
HALF_KEYSPACE = pytest.mark.parametrize("cost_meter", [KEYSPACE_KEYS // 2], indirect=True, ids=["half"])
"""For tests of a large keyspace whose scripts another test already runs over KEYSPACE_KEYS keys."""
MAX_ARGUMENTS = 1000
"""Of one call. A call with more arguments is not limited to a page of keys and may block the server."""
MAX_COMMAND_MS = 10
"""Longest time that one command may block the server."""
MAX_GROWTH_MIB = 24
"""Largest difference between the memory of a command over the large keyspace and that of a small command."""
_TIMEOUT_S = 60

type Manage = Callable[..., tuple[int, str, str]]


@pytest.fixture
def manage_environment(app_settings: Settings) -> dict[str, str]:
    """Environment variables for manage.py: the Redis and the AUDIT_KEY of `app`."""
    assert is_ready(ROOT), "manage.py would rebuild .venv: run ./test"
    return os.environ | {"Redis": app_settings.redis, "AUDIT_KEY": app_settings.audit_key}


@pytest.fixture
def manage(manage_environment: dict[str, str]) -> Manage:
    """`manage(*args, input=None)` runs manage.py until it ends; returns exit code, stdout, stderr."""

    def run(*args: str | bytes, input: str | None = None) -> tuple[int, str, str]:
        completed = subprocess.run(
            [sys.executable, "manage.py", *args],
            cwd=ROOT,
            env=manage_environment,
            input=input or "",
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        return completed.returncode, completed.stdout, completed.stderr

    return run


@dataclass(frozen=True)
class Cost:
    """The cost of one run of manage.py.

    `longest_ms` is the duration of the slowest command in the server (LATENCY; 0 if below 1 ms), `peak_mib` the peak
    memory of the process. `blocking` has the names of commands that blocked the server: KEYS in any case, and others
    if more than one call in ten took more than MAX_COMMAND_MS, or one such call had more than MAX_ARGUMENTS arguments.
    """

    code: int
    output: str
    longest_ms: int
    peak_mib: float
    blocking: set[str]


@dataclass(frozen=True)
class CostMeter:
    """Runs commands and measures their cost."""

    environment: dict[str, str]
    client: redis.asyncio.Redis
    keys: int

    async def run(self, *args: str) -> Cost:
        """Run manage.py with `args` and return its cost."""
        await self.reset()
        completed = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", _REPORT_PEAK, "manage.py", *args],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        latencies: list[Any] = await self.client.latency_latest()
        longest_ms = max((int(entry[3]) for entry in latencies if entry[0].endswith(b"command")), default=0)
        peak_mib = int(completed.stderr.rpartition("peak_kib=")[2]) / 1024
        return Cost(completed.returncode, completed.stdout, longest_ms, peak_mib, await self.blocking())

    async def reset(self) -> None:
        """Reset the measurements of the server."""
        for words in (["LATENCY", "RESET"], ["SLOWLOG", "RESET"], ["CONFIG", "RESETSTAT"]):
            await self.client.execute_command(*words)

    async def blocking(self) -> set[str]:
        """Names of the commands since the last reset that blocked the server."""
        slow: list[Any] = await self.client.slowlog_get(128)
        counts = Counter(entry["command"].split()[0].decode().lower() for entry in slow)
        calls = await self.client.info("commandstats")
        # KEYS always counts: with few matches it may stay below the limit.
        often = {"keys"} & {name.removeprefix("cmdstat_") for name in calls}
        often |= {name for name, count in counts.items() if count > calls[f"cmdstat_{name}"]["calls"] / 10}
        shortened = [(entry["command"], _SHORTENED.search(entry["command"])) for entry in slow]
        return often | {
            command.split()[0].decode().lower()
            for command, match in shortened
            if match and int(match[1]) > MAX_ARGUMENTS
        }

    async def run_within_bounds(self, *args: str) -> Cost:
        """Run a command, up to three times, until no command blocked the server. Fails if each run had one that did.

        On a busy machine the scheduler interrupts the server at random, whereas a command that is slow by itself is
        slow in every call. So one call in ten of a command may be slow, and one of three runs has to meet that limit;
        a command that is called only once, or with more than MAX_ARGUMENTS arguments, may not be slow at all. Every
        run starts with all keys: a second run would otherwise have nothing to do. The memory of every run is compared
        with that of a small command.
        """
        baseline = await self.run("keys", "list", "--limit", "1")
        for attempt in range(3):
            if attempt:
                await fill(self.client, self.keys)
            cost = await self.run(*args)
            assert cost.peak_mib - baseline.peak_mib < MAX_GROWTH_MIB
            if not cost.blocking:
                return cost
        raise AssertionError(f"blocked the server for more than {MAX_COMMAND_MS} ms: {cost.blocking}")


_SHORTENED = re.compile(rb"\.\.\. \((\d+) more arguments\)$")
"""How SLOWLOG shortens a long command."""
_REPORT_PEAK = """
import atexit, pathlib, re, resource, runpy, sys

def peak_kib():
    status = pathlib.Path("/proc/self/status")
    if status.exists():  # getrusage includes the memory of the parent before exec
        return int(re.search(r"VmHWM:\\s+(\\d+) kB", status.read_text())[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

atexit.register(lambda: print(f"peak_kib={peak_kib()}", file=sys.stderr))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


_LOAD = """
for index = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  local digit, size = index % 10, index % 97
  if digit < 3 then redis.call('SET', 'nextauth:session:token-' .. index, string.rep('s', 100 + size))
  elseif digit < 7 then redis.call('SET', 'fastapi:temp:data:batch-' .. index, string.rep('b', 10 * size))
  elseif digit < 8 then redis.call('SET', 'fabric:data:chart:c' .. index .. ':realtime', '[]', 'EX', 300)
  elseif digit < 9 then redis.call('SET', 'fabric:user:u' .. index .. ':tokens', '{}', 'EX', 9000)
  else redis.call('SET', 'user:' .. index .. ':tokens', '{}') end
end
"""


async def fill(client: redis.asyncio.Redis, keys: int) -> None:
    for start in range(0, keys, 5000):
        await client.eval(_LOAD, 0, start, start + 4999)


@pytest.fixture
async def cost_meter(
    manage_environment: dict[str, str], redis_client: redis.asyncio.Redis, request: pytest.FixtureRequest
) -> AsyncIterator[CostMeter]:
    """A meter over 200,000 keys: 60,000 sessions and 80,000 batches without a TTL, 20,000 charts, 20,000 tokens with a
    TTL that is too long, and 20,000 unknown keys; half of each with `HALF_KEYSPACE`. The server logs slow commands."""
    thresholds = {"slowlog-log-slower-than": MAX_COMMAND_MS * 1000, "latency-monitor-threshold": 1}
    former = {name: (await redis_client.config_get(name))[name] for name in thresholds}
    for name, setting in thresholds.items():
        await redis_client.config_set(name, setting)
    keys = KEYSPACE_KEYS if request.config.getoption("--soak") else getattr(request, "param", KEYSPACE_KEYS)
    await fill(redis_client, keys)
    yield CostMeter(manage_environment, redis_client, keys)
    for name, setting in former.items():
        await redis_client.config_set(name, setting)
    await redis_client.flushall(asynchronous=True)
