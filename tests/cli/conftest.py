"""The command line as a process of its own, and a Redis that is full enough to show what a command costs."""

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
MANY = 200_000
FEWER = pytest.mark.parametrize("costly", [MANY // 2], indirect=True, ids=["fewer"])
"""For tests that need a large keyspace, where another one of the same scripts has MANY keys."""
MOST_ARGUMENTS = 1000
"""Of one call. More are no page of keys, and may take long."""
MOST_MS = 10
"""Longest time that one command may hold up the server."""
MOST_GROWTH_MIB = 24
"""Of a command's memory with 200,000 keys over that with one."""
_TIMEOUT_S = 60

type Manage = Callable[..., tuple[int, str, str]]


@pytest.fixture
def manage_environment(app_settings: Settings) -> dict[str, str]:
    """In which manage.py works on this test's Redis, with fingerprints as in `app`."""
    assert is_ready(ROOT), "manage.py would build .venv anew: run ./test"
    return os.environ | {"Redis": app_settings.redis, "AUDIT_KEY": app_settings.audit_key}


@pytest.fixture
def manage(manage_environment: dict[str, str]) -> Manage:
    """`manage(*args, input=None)` runs manage.py to its end: exit code, stdout, stderr."""

    def run(*args: str | bytes, input: str | None = None) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "manage.py", *args],
            cwd=ROOT,
            env=manage_environment,
            input=input or "",
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return run


@dataclass(frozen=True)
class Cost:
    """`longest_ms` is that of the server's slowest command (LATENCY; 0 for below 1 ms), `peak_mib` the process's memory
    at its most. `blocking` are names of commands that took more than MOST_MS in more than one of ten calls,
    or over more than MOST_ARGUMENTS."""

    code: int
    output: str
    longest_ms: int
    peak_mib: float
    blocking: set[str]


@dataclass(frozen=True)
class Costly:
    """Runs commands and tells what they cost."""

    environment: dict[str, str]
    client: redis.asyncio.Redis
    keys: int

    async def run(self, *args: str) -> Cost:
        """What a command cost."""
        await self.reset()
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", _TELLING_PEAK, "manage.py", *args],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        latencies: list[Any] = await self.client.latency_latest()
        longest_ms = max((int(one[3]) for one in latencies if one[0].endswith(b"command")), default=0)
        peak_mib = int(done.stderr.rpartition("peak_kib=")[2]) / 1024
        return Cost(done.returncode, done.stdout, longest_ms, peak_mib, await self.blocking())

    async def reset(self) -> None:
        """Let the server forget what it measured."""
        for words in (["LATENCY", "RESET"], ["SLOWLOG", "RESET"], ["CONFIG", "RESETSTAT"]):
            await self.client.execute_command(*words)

    async def blocking(self) -> set[str]:
        """Commands since the last reset that held up the server."""
        slow: list[Any] = await self.client.slowlog_get(128)
        counts = Counter(one["command"].split()[0].decode().lower() for one in slow)
        calls = await self.client.info("commandstats")
        often = {"keys"} & {name.removeprefix("cmdstat_") for name in calls}  # with few matches it may just keep to it
        often |= {name for name, count in counts.items() if count > calls[f"cmdstat_{name}"]["calls"] / 10}
        more = [(one["command"], _MORE.search(one["command"])) for one in slow]
        return often | {
            command.split()[0].decode().lower() for command, found in more if found and int(found[1]) > MOST_ARGUMENTS
        }

    async def held_within_bounds(self, *args: str) -> Cost:
        """Runs a command, up to three times, until no command of the server took more than MOST_MS.

        A busy machine stops the server now and then, whatever it is doing; a command that takes long by itself does so
        each time. So one of ten calls of a command may, and in one of three runs all commands have to keep to that: one
        that is called once, or over very many keys, must not take long at all. Each run finds all keys again, for one
        that removed them in a single step would find nothing to do the second time. Memory is bounded each time, over
        that of a command on few keys.
        """
        resting = await self.run("keys", "list", "--limit", "1")
        for attempt in range(3):
            if attempt:
                await fill(self.client, self.keys)
            cost = await self.run(*args)
            assert cost.peak_mib - resting.peak_mib < MOST_GROWTH_MIB
            if not cost.blocking:
                return cost
        raise AssertionError(f"held up the server for more than {MOST_MS} ms: {cost.blocking}")


_MORE = re.compile(rb"\.\.\. \((\d+) more arguments\)$")
"""How SLOWLOG shortens a long command."""
_TELLING_PEAK = """
import atexit, pathlib, re, resource, runpy, sys

def peak_kib():
    status = pathlib.Path("/proc/self/status")
    if status.exists():  # what getrusage tells includes the parent, up to the exec
        return int(re.search(r"VmHWM:\\s+(\\d+) kB", status.read_text())[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

atexit.register(lambda: print(f"peak_kib={peak_kib()}", file=sys.stderr))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


_LOAD = """
for index = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  local place, size = index % 10, index % 97
  if place < 3 then redis.call('SET', 'nextauth:session:token-' .. index, string.rep('s', 100 + size))
  elseif place < 7 then redis.call('SET', 'fastapi:temp:data:batch-' .. index, string.rep('b', 10 * size))
  elseif place < 8 then redis.call('SET', 'fabric:data:chart:c' .. index .. ':realtime', '[]', 'EX', 300)
  elseif place < 9 then redis.call('SET', 'fabric:user:u' .. index .. ':tokens', '{}', 'EX', 9000)
  else redis.call('SET', 'user:' .. index .. ':tokens', '{}') end
end
"""


async def fill(client: redis.asyncio.Redis, keys: int) -> None:
    for start in range(0, keys, 5000):
        await client.eval(_LOAD, 0, start, start + 4999)


@pytest.fixture
async def costly(
    manage_environment: dict[str, str], redis_client: redis.asyncio.Redis, request: pytest.FixtureRequest
) -> AsyncIterator[Costly]:
    """200,000 keys: 60,000 sessions and 80,000 batches without a TTL, 20,000 charts, 20,000 tokens with too long a one,
    20,000 that belong to nothing; half of all with `FEWER`. The server notes what takes long."""
    watch = {"slowlog-log-slower-than": MOST_MS * 1000, "latency-monitor-threshold": 1}
    former = {name: (await redis_client.config_get(name))[name] for name in watch}
    for name, setting in watch.items():
        await redis_client.config_set(name, setting)
    keys = MANY if request.config.getoption("--soak") else getattr(request, "param", MANY)
    await fill(redis_client, keys)
    yield Costly(manage_environment, redis_client, keys)
    for name, setting in former.items():
        await redis_client.config_set(name, setting)
    await redis_client.flushall(asynchronous=True)
