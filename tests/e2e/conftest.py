"""The real function app in the local host: real worker library, real Redis."""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from local.host.host import Host, Invocation
from tests.support.intake import in_step, is_heartbeat, never_behind, settled
from tests.support.redis_users import app_user

ROOT = Path(__file__).parents[2]
AUDIT_KEY = "an audit key of the tests"


class Effects(logging.Handler):
    """Collects the effects that the app logs, and every log line of the process."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.seen: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))
        if effect := getattr(record, "effect", None):
            self.seen.put_nowait(effect)

    def so_far(self) -> list[dict[str, Any]]:
        """The effects since the last call."""
        return [self.seen.get_nowait() for _ in range(self.seen.qsize())]


@dataclass
class App:
    """The running app, a client on its Redis, and its effects and invocations since the test began."""

    host: Host
    redis: redis.asyncio.Redis
    effects: Effects
    invocations: list[Invocation] = field(default_factory=list)

    async def effect(self, **wanted: str) -> dict[str, Any]:
        """The next effect with these properties; others before it are dropped."""
        async with asyncio.timeout(10):
            while True:
                logged = await self.effects.seen.get()
                if wanted.items() <= logged.items():
                    return logged


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables while an app starts, which reads them once."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@pytest.fixture(scope="module")
async def app_connection(redis_port: int) -> AsyncIterator[str]:
    """The connection string of a user with the app's rights and no others."""
    async with app_user(redis_port) as connection:
        yield connection


@pytest.fixture(scope="module")  # a process runs one app at a time, and other test modules run their own
async def running(app_connection: str) -> AsyncIterator[tuple[Host, list[Invocation]]]:
    invocations: list[Invocation] = []
    host = Host(ROOT, http_port=0, on_invocation=lambda one: is_heartbeat(one) or invocations.append(one))
    settings = {"AUDIT_KEY": AUDIT_KEY, "AUDIT_REFRESH_MIN_S": "0", "CHART_MAX_POINTS": "50"}
    with environment(settings | {"Redis": app_connection, "AzureWebJobsStorage": ""}):
        await host.__aenter__()
        app_context = sys.modules["shared.app"].current_app()  # the app's own module, imported anew by the worker
        never_behind()
    yield host, invocations
    await host.__aexit__(None, None, None)
    await app_context.redis.aclose()


@pytest.fixture
async def live(running: tuple[Host, list[Invocation]], redis_client: redis.asyncio.Redis) -> AsyncIterator[App]:
    host, invocations = running
    await in_step()
    await settled(host)
    invocations.clear()
    sys.modules["shared.telemetry.minute_counts"].take(now=True)  # counts of earlier tests, not yet written to Redis
    effects = Effects()
    root, logger = logging.getLogger(), logging.getLogger("keyspace_functions")
    root.addHandler(effects)
    logger.setLevel(logging.DEBUG)
    yield App(host, redis_client, effects, invocations)
    await settled(host)
    root.removeHandler(effects)
    logger.setLevel(logging.NOTSET)
