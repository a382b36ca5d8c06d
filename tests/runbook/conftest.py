"""The stage of the runbook's tests: the running app, a Redis of its own, Azurite behind a gate, a source of charts."""

import asyncio
import logging
import os
import re
import shlex
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import redis.asyncio

from local.host.host import Host
from local.run.servers import Azurite
from tests.audit import conftest as audit
from tests.audit.conftest import Box, open_box
from tests.e2e.conftest import AUDIT_KEY, Effects, environment
from tests.support.chart_source import ChartSource, serving
from tests.support.commands import ROOT, Answer, Commands
from tests.support.intake import in_step, settled
from tests.support.proxy import Proxy
from tests.support.rig import FLAGS, RedisProcess

RUNBOOK = ROOT / "docs" / "runbook.md"
NEVER = "0 0 0 1 1 *"
ALL_FLAGS = FLAGS
NOTIFY = "notify-keyspace-events"
UNTIL_S = 30.0
NOTHING: Mapping[str, str] = {}
_POLL_S = 0.05
_BLOCK = re.compile(r"(?:<!-- needs Azure -->\n)?^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)

azurite = audit.azurite


def sections() -> dict[str, str]:
    """The text of each section of the runbook, by its anchor."""
    text = RUNBOOK.read_text(encoding="utf-8")
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)[1:]
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-"): body
        for heading, body in zip(parts[::2], parts[1::2], strict=True)
    }


def commands_of(section: str) -> list[str]:
    """The command lines of a section that do not need Azure, without their comments."""
    blocks = [block[1] for block in _BLOCK.finditer(section) if not block[0].startswith("<!-- needs Azure")]
    lines = [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


class Gate(Proxy):
    """A proxy that can be shut: then it cuts connections, and refuses new ones."""

    def __init__(self, target_port: int) -> None:
        super().__init__(target_port)
        self._open = True
        self._clients: set[StreamWriter] = set()

    def shut(self) -> None:
        self._open = False
        for client in self._clients:
            client.transport.abort()

    def reopen(self) -> None:
        self._open = True

    async def _connect(
        self, client_reader: StreamReader, client: StreamWriter, server_reader: StreamReader, server: StreamWriter
    ) -> None:
        if not self._open:
            return

        async def forward(reader: StreamReader, writer: StreamWriter) -> None:
            while chunk := await reader.read(65_536):
                writer.write(chunk)
                await writer.drain()

        self._clients.add(client)
        directions = [
            asyncio.ensure_future(forward(client_reader, server)),
            asyncio.ensure_future(forward(server_reader, client)),
        ]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._clients.discard(client)
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)


@dataclass
class Stage:
    """What a test of a symptom has. `lines` are the runbook's command lines of that symptom, `done` those that ran."""

    host: Host
    server: RedisProcess
    redis: redis.asyncio.Redis
    commands: Commands
    http: aiohttp.ClientSession
    log: Effects
    storage: Gate
    box: Box
    source: ChartSource
    lines: list[str] = field(default_factory=list)
    done: set[str] = field(default_factory=set)

    async def manage(
        self,
        line: str,
        *,
        typed: str = "",
        more: Sequence[str] = (),
        environment: Mapping[str, str] = NOTHING,
        **words: str,
    ) -> Answer:
        """Run `python3 manage.py` and a line of the runbook, with words of it replaced by those of the case, and with
        more arguments and settings."""
        full = f"python3 manage.py {line}"
        assert full in self.lines, f"not in the runbook: {full}"
        self.done.add(full)
        return await self.also(shlex.join([*shlex.split(line), *more]), typed=typed, environment=environment, **words)

    async def also(
        self, line: str, *, typed: str = "", environment: Mapping[str, str] = NOTHING, **words: str
    ) -> Answer:
        """Run a command that the section's text names, or a line again."""
        arguments = [words.get(word, word) for word in shlex.split(line)]
        return await self.commands.run(arguments, typed=typed, **environment)

    async def redis_cli(self, line: str) -> Any:
        """The reply to a line of the runbook for redis-cli."""
        (full,) = [full for full in self.lines if full.startswith("redis-cli") and full.endswith(line)]
        self.done.add(full)
        return await self.redis.execute_command(*line.split())

    async def health(self) -> dict[str, Any]:
        """Health with its reasons; `code` is the HTTP status."""
        async with self.http.get("/api/health/details") as response:
            report: dict[str, Any] = await response.json()
            return report | {"code": response.status}

    async def reasons(self) -> str:
        return "\n".join((await self.health())["reasons"])

    async def until_reason(self, text: str, *, gone: bool = False) -> str:
        """Wait until health has a reason with this text, or none any more. Returns the reasons."""
        reasons = ""

        async def as_wanted() -> bool:
            nonlocal reasons
            reasons = await self.reasons()
            return (text not in reasons) == gone

        await self.until(as_wanted, f"health {'without' if gone else 'with'} {text}")
        return reasons

    async def until(self, true: Callable[[], Awaitable[Any]], what: str) -> None:
        """Wait until `true()` is true."""
        try:
            async with asyncio.timeout(UNTIL_S):
                while not await true():  # noqa: ASYNC110 (the state of another process, or of Redis)
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            pytest.fail(f"never: {what}; health: {await self.reasons()}")

    async def until_logged(self, text: str) -> None:
        """Wait until the app has logged this: lines outside an invocation wait for one, so health is asked for."""

        async def logged() -> bool:
            await self.health()
            return any(text in line for line in self.log.lines)

        await self.until(logged, text)

    async def until_exists(self, key: str) -> None:
        await self.until(lambda: self.redis.exists(key), key)


@pytest.fixture(scope="module")
async def theatre(tmp_path_factory: pytest.TempPathFactory, azurite: Azurite) -> AsyncIterator[Stage]:
    """The app, which neither sweeps nor exports by a timer; all of a file's tests share it."""
    folder: Path = tmp_path_factory.mktemp("runbook")
    log, source = Effects(), ChartSource()
    root, logger = logging.getLogger(), logging.getLogger("keyspace_functions")
    root.addHandler(log)
    logger.setLevel(logging.INFO)
    async with (
        RedisProcess(folder, append_only=True) as server,
        Gate(azurite.blob_port) as storage,
        serving(source.app) as source.port,
        redis.asyncio.Redis(port=server.port) as client,
    ):
        settings = {
            "Redis": f"127.0.0.1:{server.port}",
            "AUDIT_KEY": AUDIT_KEY,
            "AzureWebJobsStorage": azurite.connection_string.replace(f":{azurite.blob_port}/", f":{storage.port}/"),
            **dict.fromkeys(("SWEEP_SCHEDULE", "AUDIT_SCHEDULE"), NEVER),
            **dict.fromkeys(("RETRY_SCHEDULE", "EXPIRY_SCHEDULE"), "* * * * * *"),
            "DEAF_UNHEALTHY_S": "2",
            "CHART_SOURCES": f'[{{"match": "co2-*", "url": "{source.url}"}}]',
            "CHART_SOURCE_HOSTS": "127.0.0.1",
        }
        host = Host(ROOT, http_port=0)
        with environment(settings):
            await host.__aenter__()
            app = sys.modules["shared.app"].current_app()
        try:
            lane = sys.modules["shared.intake.lane"]
            for name, value in {"DEAF_S": 1.0, "BUSY_PACE_S": 0.25, "IDLE_PACE_S": 0.25}.items():
                setattr(lane, name, value)
            async with (
                Commands(os.environ | settings) as commands,
                aiohttp.ClientSession(host.url, headers={"x-functions-key": host.function_key}) as http,
                open_box(app.settings, "audit") as box,
            ):
                yield Stage(host, server, client, commands, http, log, storage, box, source)
        finally:
            if refresh := sys.modules.get("shared.charts.refresh"):
                await refresh.close(app)
            await host.__aexit__(None, None, None)
            await app.redis.aclose()
            root.removeHandler(log)
            logger.setLevel(logging.NOTSET)


@pytest.fixture
async def stage(theatre: Stage, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """The stage, empty, for the symptom that the test is named after. At the end, each of its commands was run."""
    slug = request.node.originalname.removeprefix("test_").replace("_", "-")
    theatre.lines, theatre.done = commands_of(sections()[slug]), set()
    await settled(theatre.host)
    await theatre.redis.flushall()
    for name in await theatre.box.names():
        await theatre.box.delete(name)
    await in_step()

    async def well() -> bool:
        return not sys.modules["shared.telemetry.outages"].in_outage("Redis")

    await theatre.until(well, "the end of an earlier outage")
    theatre.log.lines.clear()
    failed = request.session.testsfailed
    yield theatre
    await settled(theatre.host)
    if request.session.testsfailed == failed:
        assert theatre.done == set(theatre.lines), "each command of the runbook is run"
