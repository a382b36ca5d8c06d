"""A copy of the app gets a fourth reactor in one place; everything else derives from the registry.

CONTRIBUTING.md walks through it; tests/project/example/users.py is the reactor.
"""

import asyncio
import json
import re
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import redis.asyncio

from tests.support.rig import FAST, FLAGS, HostProcess, RedisProcess

ROOT = Path(__file__).parents[2]
EXAMPLE = Path(__file__).parent / "example" / "users.py"
FUNCTION_KEY = "the function key of this test"


@dataclass
class Running:
    """The copy of the app, its Redis, and the messages that the fourth reactor publishes."""

    folder: Path
    connection: str
    redis: redis.asyncio.Redis
    messages: redis.asyncio.client.PubSub
    http: aiohttp.ClientSession

    async def effect(self) -> bytes:
        """The key of the next effect."""
        while True:
            message = await self.messages.get_message(ignore_subscribe_messages=True, timeout=20)
            assert message is not None, "no effect within 20 s"
            return bytes(message["data"])

    async def get(self, path: str) -> Any:
        async with self.http.get(path) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def outcomes(self) -> dict[str, dict[str, int]]:
        """The counts of the fourth reactor: source and outcome to number."""
        total: dict[str, dict[str, int]] = {}
        for minute in (await self.get("/api/stats"))["minutes"]:
            for source, counts in minute["outcomes"].get("users", {}).items():
                for outcome, number in counts.items():
                    total.setdefault(source, {})
                    total[source][outcome] = total[source].get(outcome, 0) + number
        return total


def copy_with_fourth_reactor(folder: Path) -> None:
    for name in ("shared", "triggers", "local", "cli"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    for name in ("function_app.py", "host.json"):
        shutil.copy(ROOT / name, folder)
    (folder / "shared" / "users").mkdir()
    (folder / "shared" / "users" / "__init__.py").touch()
    shutil.copy(EXAMPLE, folder / "shared" / "users" / "reactor.py")
    registry = folder / "shared" / "registry.py"
    text = registry.read_text()
    text = text.replace("(BATCHES, CHARTS, SESSIONS)", "(BATCHES, CHARTS, SESSIONS, USERS)")
    registry.write_text(text.replace("from shared import namespaces\n", f"{IMPORT}from shared import namespaces\n"))


IMPORT = "from shared.users.reactor import USERS\n"


@asynccontextmanager
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    folder = tmp_path / "app"
    folder.mkdir()
    copy_with_fourth_reactor(folder)
    async with RedisProcess(tmp_path) as server:
        connection = f"127.0.0.1:{server.port}"
        host = HostProcess(connection, tmp_path / "host.log", app_dir=folder, FUNCTIONS_LOCAL_KEY=FUNCTION_KEY)
        await host.start()
        try:
            url = re.search(r"ready (http\S+)", host.output_text())
            assert url is not None
            async with (
                redis.asyncio.Redis(port=server.port) as client,
                client.pubsub() as messages,
                aiohttp.ClientSession(url[1], headers={"x-functions-key": FUNCTION_KEY}) as http,
            ):
                await messages.subscribe("functions:users")
                await messages.get_message(timeout=5)  # the confirmation
                yield Running(folder, connection, client, messages, http)
        finally:
            await host.end()


async def command_line(app: Running, *arguments: str) -> Any:
    """The JSON that `manage.py` of the copy prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from cli.app import main; main()", *arguments, "--json"),
        cwd=app.folder,
        env=FAST | {"Redis": app.connection},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return json.loads(output)


def test_the_example_has_fewer_than_60_lines() -> None:
    assert len(EXAMPLE.read_text().splitlines()) < 60


@pytest.mark.timeout(120)
async def test_a_fourth_reactor_is_triggered_reconciled_retried_replayed_counted_and_shown(tmp_path: Path) -> None:
    async with running(tmp_path) as app:
        await app.redis.set("nextauth:user:triggered", "1")
        assert await app.effect() == b"nextauth:user:triggered"

        await app.redis.config_set("notify-keyspace-events", "")
        await app.redis.set("nextauth:user:swept", "1")
        assert await app.effect() == b"nextauth:user:swept"
        await app.redis.config_set("notify-keyspace-events", FLAGS)

        await app.redis.set("nextauth:user:retried", "fails once")
        assert await app.effect() == b"nextauth:user:retried"

        await app.redis.set("nextauth:user:replayed", "unreadable")
        letters = []
        while not letters:
            await asyncio.sleep(0.05)  # the endpoint has no event to await
            letters = (await app.get("/api/events/dead?reactor=users"))["letters"]
        await app.redis.set("readable now", "1")
        async with app.http.post(f"/api/events/dead/{letters[0]['id']}/replay") as response:
            replayed = await response.json()
        assert (replayed["outcome"], replayed["removed"]) == ("processed", True)
        assert await app.effect() == b"nextauth:user:replayed"

        document = await app.get("/api/monitor/data")  # writes the counts of the process first
        assert [reactor["name"] for reactor in document["reactors"]] == ["batches", "charts", "sessions", "users"]
        outcomes = await app.outcomes()
        assert outcomes["event"]["processed"] >= 1
        assert outcomes["event"]["rejected"] == 1
        assert outcomes["sweep"]["processed"] >= 1
        assert outcomes["retry"]["processed"] == 1
        assert outcomes["replay"]["processed"] == 1

        (explained,) = (await command_line(app, "patterns", "test", "nextauth:user:*", "nextauth:user:1"))["keys"]
        assert (explained["function"], explained["reacts"]) == ("watch_users", True)
        assert (await command_line(app, "deadletters", "list", "--reactor", "users"))["letters"] == []
