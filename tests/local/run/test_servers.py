"""The servers of `./run` answer, are isolated from each other, and leave no process and no file."""

import asyncio
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import redis
import redis.asyncio

from local.repo.bootstrap import ROOT
from local.run import servers
from local.run.processes import child_process
from local.run.servers import ServerError, redis_server

FLAGS = "Kg$hlxe"

linux = pytest.mark.skipif(sys.platform != "linux", reason="pidfds and PR_SET_PDEATHSIG exist on Linux only")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files during the test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def fake_server(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Put a shell script named `redis-server` first on PATH."""
    script = folder / "redis-server"
    script.write_text("#!/bin/sh\n" + text)
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


async def process_id(server: servers.RedisServer) -> int:
    client = redis.asyncio.Redis(host=server.host, port=server.port)
    try:
        return int((await client.info("server"))["process_id"])
    finally:
        await client.aclose()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_server_has_the_requested_flags_and_leaves_no_process_and_no_file(temporary: Path) -> None:
    async with redis_server(FLAGS) as server:
        client = redis.asyncio.Redis(host=server.host, port=server.port)
        config = await client.config_get("notify-keyspace-events", "save", "appendonly", "bind")
        await client.aclose()
        pid = await process_id(server)
        assert os.listdir(temporary) == []
    assert set(config["notify-keyspace-events"]) == set(FLAGS)
    assert (config["save"], config["appendonly"], config["bind"]) == ("", "no", "127.0.0.1")
    assert server.version.split()[0] in ("redis", "valkey")
    assert not is_running(pid)
    assert os.listdir(temporary) == []


async def test_two_servers_at_once_share_nothing() -> None:
    async with redis_server(FLAGS) as first, redis_server(FLAGS) as second:
        clients = [redis.asyncio.Redis(host=server.host, port=server.port) for server in (first, second)]
        await clients[0].set("key", "value")
        assert [await client.get("key") for client in clients] == [b"value", None]
        for client in clients:
            await client.aclose()


async def test_without_a_server_on_the_path_the_packaged_valkey_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    async with redis_server(FLAGS) as server:
        assert server.version.startswith("valkey ")
        assert Path(server.executable).name == "valkey-server"


async def test_a_server_that_does_not_start_is_an_error_with_its_last_lines(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_server(tmp_path, monkeypatch, "echo 'Bad directive or wrong number of arguments' >&2\nexit 1\n")
    with pytest.raises(ServerError, match=r"Redis did not start: .*wrong number of arguments"):
        async with redis_server(FLAGS):
            pytest.fail("it started")
    assert os.listdir(temporary) == []


async def test_a_binary_that_cannot_be_executed_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_server(tmp_path, monkeypatch, "")
    (tmp_path / "redis-server").write_text("#!/nowhere/interpreter\n")
    with pytest.raises((ServerError, OSError), match="redis-server: No such file"):
        async with redis_server(FLAGS):
            pytest.fail("it started")


async def test_a_port_that_another_process_took_is_replaced_by_another_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable = shutil.which("redis-server") or servers.find_redis()
    fake_server(
        tmp_path,
        monkeypatch,
        f"if mkdir {tmp_path}/tried 2>/dev/null; then echo 'bind: Address already in use'; exit 1; fi\n"
        f'exec {executable} "$@"\n',
    )
    async with redis_server(FLAGS) as server:
        assert await process_id(server) > 0
    assert (tmp_path / "tried").is_dir()


async def test_another_server_on_the_port_is_recognised_by_its_process_id() -> None:
    async with redis_server(FLAGS) as server:
        pid = await process_id(server)
        assert await servers._redis_version(server.port, pid) == server.version
        assert await servers._redis_version(server.port, pid + 1) is None


@linux
async def test_a_child_that_ignores_sigterm_is_killed_with_its_children(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("local.run.processes.STOP_TIMEOUT_S", 0.2)
    script = "trap '' TERM; sh -c 'trap \"\" TERM; echo $$; exec sleep 30' & wait"
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as lines, os.fdopen(write_end, "wb") as output:
        async with child_process(["sh", "-c", script], output=output) as process:
            grandchild = os.pidfd_open(int(await asyncio.to_thread(lines.readline)))
    assert process.returncode == -signal.SIGKILL
    assert wait_for_end([grandchild])


@linux
def test_a_killed_parent_leaves_no_process_and_no_folder(tmp_path: Path) -> None:
    script = (
        "import asyncio\n"
        "from local.run.servers import redis_server\n"
        "async def main():\n"
        "    async with redis_server('K$') as server:\n"
        "        print(server.port, flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, env=os.environ | {"TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE
    )
    try:
        assert parent.stdout is not None
        with redis.Redis(port=int(parent.stdout.readline())) as client:
            server = os.pidfd_open(client.info("server")["process_id"])
    finally:
        parent.kill()
        parent.communicate()
    assert wait_for_end([server])
    assert os.listdir(tmp_path) == []


def wait_for_end(handles: list[int], timeout_s: float = 10) -> bool:
    """Whether the process of every pidfd ends within `timeout_s`. Closes the pidfds."""
    ended = all(select.select([handle], [], [], timeout_s)[0] for handle in handles)
    for handle in handles:
        os.close(handle)
    return ended


@pytest.mark.timeout(300)  # the first run installs it with npm
async def test_azurite_answers_on_all_three_services_and_stops() -> None:
    if reason := servers.azurite_missing():
        assert not os.environ.get("CI"), reason
        pytest.skip(reason)
    async with servers.azurite() as azurite:
        assert azurite is not None
        for service, port in (
            ("Blob", azurite.blob_port),
            ("Queue", azurite.queue_port),
            ("Table", azurite.table_port),
        ):
            assert f"{service}Endpoint=http://127.0.0.1:{port}/devstoreaccount1;" in azurite.connection_string
            assert await http_version(port) == b"HTTP/1.1"
        assert servers.azurite_is_installed()
    with pytest.raises(ConnectionRefusedError):
        await http_version(azurite.blob_port)


async def http_version(port: int) -> bytes:
    """The first 8 bytes of an HTTP response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /devstoreaccount1?comp=list HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    version = await reader.readexactly(8)
    writer.close()
    return version


async def test_without_node_there_is_no_azurite_and_the_reason_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert servers.azurite_missing() == "node and npm not found on PATH"
    async with servers.azurite() as azurite:
        assert azurite is None


def test_the_lock_file_names_no_registry() -> None:
    assert '"resolved"' not in (ROOT / "local/run/azurite/package-lock.json").read_text()
