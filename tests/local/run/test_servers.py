"""The servers of ./run: they answer, keep apart, and leave nothing behind, however their parent ends."""

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

linux = pytest.mark.skipif(sys.platform != "linux", reason="pidfds, and killing a child with its parent, are of Linux")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which temporary files are made during the test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def fake_server(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A `redis-server` that comes first on PATH and is this shell script."""
    script = folder / "redis-server"
    script.write_text("#!/bin/sh\n" + text)
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


async def process_of(server: servers.RedisServer) -> int:
    client = redis.asyncio.Redis(host=server.host, port=server.port)
    try:
        return int((await client.info("server"))["process_id"])
    finally:
        await client.aclose()


def names_in(folder: Path) -> list[str]:
    return os.listdir(folder)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_server_answers_with_the_flags_asked_for_and_leaves_no_process_and_no_file(temporary: Path) -> None:
    async with redis_server(FLAGS) as server:
        client = redis.asyncio.Redis(host=server.host, port=server.port)
        config = await client.config_get("notify-keyspace-events", "save", "appendonly", "bind")
        await client.aclose()
        pid = await process_of(server)
        assert names_in(temporary) == []
    assert set(config["notify-keyspace-events"]) == set(FLAGS)
    assert (config["save"], config["appendonly"], config["bind"]) == ("", "no", "127.0.0.1")
    assert server.version.split()[0] in ("redis", "valkey")
    assert not is_running(pid)
    assert names_in(temporary) == []


async def test_two_servers_at_once_share_nothing() -> None:
    async with redis_server(FLAGS) as one, redis_server(FLAGS) as other:
        clients = [redis.asyncio.Redis(host=server.host, port=server.port) for server in (one, other)]
        await clients[0].set("key", "of the first")
        assert [await client.get("key") for client in clients] == [b"of the first", None]
        for client in clients:
            await client.aclose()


async def test_without_a_server_on_the_path_the_bundled_one_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    async with redis_server(FLAGS) as server:
        assert server.version.startswith("valkey ")
        assert Path(server.executable).name == "valkey-server"


async def test_a_server_that_does_not_start_is_an_error_with_its_last_words(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_server(tmp_path, monkeypatch, "echo 'Bad directive or wrong number of arguments' >&2\nexit 1\n")
    with pytest.raises(ServerError, match=r"Redis did not start: .*wrong number of arguments"):
        async with redis_server(FLAGS):
            pytest.fail("it started")
    assert names_in(temporary) == []


async def test_a_binary_that_cannot_be_run_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_server(tmp_path, monkeypatch, "")
    (tmp_path / "redis-server").write_text("#!/nowhere/interpreter\n")
    with pytest.raises((ServerError, OSError), match="redis-server: No such file"):
        async with redis_server(FLAGS):
            pytest.fail("it started")


async def test_a_port_taken_in_between_is_tried_again_on_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.which("redis-server") or servers.find_redis()
    fake_server(
        tmp_path,
        monkeypatch,
        f"if mkdir {tmp_path}/tried 2>/dev/null; then echo 'bind: Address already in use'; exit 1; fi\n"
        f'exec {real} "$@"\n',
    )
    async with redis_server(FLAGS) as server:
        assert await process_of(server) > 0
    assert (tmp_path / "tried").is_dir()


async def test_a_server_of_somebody_else_on_the_port_is_not_taken_for_ours() -> None:
    async with redis_server(FLAGS) as server:
        pid = await process_of(server)
        assert await servers._redis_version(server.port, pid) == server.version
        assert await servers._redis_version(server.port, pid + 1) is None


@linux
async def test_a_child_that_ignores_the_request_to_stop_is_killed_and_its_own_children_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("local.run.processes.STOP_TIMEOUT_S", 0.2)
    script = "trap '' TERM; sh -c 'trap \"\" TERM; echo $$; exec sleep 30' & wait"
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as said, os.fdopen(write_end, "wb") as output:
        async with child_process(["sh", "-c", script], output=output) as process:
            grandchild = os.pidfd_open(int(await asyncio.to_thread(said.readline)))
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
    assert names_in(tmp_path) == []


def wait_for_end(handles: list[int], timeout_s: float = 10) -> bool:
    """Whether every process behind these pidfds ended in time; the handles are closed."""
    ended = all(select.select([handle], [], [], timeout_s)[0] for handle in handles)
    for handle in handles:
        os.close(handle)
    return ended


@pytest.mark.timeout(300)  # the first time, npm installs it
async def test_azurite_answers_on_all_three_services_and_is_gone_afterwards() -> None:
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
            assert await http_answer(port) == b"HTTP/1.1"
        assert servers.azurite_is_installed()
    with pytest.raises(ConnectionRefusedError):
        await http_answer(azurite.blob_port)


async def http_answer(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /devstoreaccount1?comp=list HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    answer = await reader.readexactly(8)
    writer.close()
    return answer


async def test_without_node_there_is_no_azurite_and_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert servers.azurite_missing() == "node and npm not found on PATH"
    async with servers.azurite() as azurite:
        assert azurite is None


def test_the_lock_file_names_no_registry() -> None:
    assert '"resolved"' not in (ROOT / "local/run/azurite/package-lock.json").read_text()
