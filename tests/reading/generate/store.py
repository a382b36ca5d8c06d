"""A Redis server of its own for the writers, and Node's libraries; both come from outside (README.md)."""

import json
import os
import shutil
import socket
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

HERE = Path(__file__).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server() -> Iterator[redis.Redis]:
    """A server on a free port, ended afterwards. READING_CASES_SERVER names the executable if none is on PATH."""
    executable = os.environ.get("READING_CASES_SERVER") or shutil.which("redis-server") or shutil.which("valkey-server")
    if executable is None:
        raise RuntimeError("no redis-server on PATH: set READING_CASES_SERVER")
    port = free_port()
    process = subprocess.Popen(
        [executable, "--port", str(port), "--save", "", "--bind", "127.0.0.1"], stdout=subprocess.PIPE
    )
    try:
        for line in process.stdout or ():
            if b"Ready to accept connections" in line:
                break
        client = redis.Redis(port=port)
        client.ping()
        yield client
        client.close()
    finally:
        process.terminate()
        process.wait(10)


def url(client: redis.Redis) -> str:
    return f"redis://127.0.0.1:{client.connection_pool.connection_kwargs['port']}"


def node_writers(client: redis.Redis, rows: list[dict[str, Any]]) -> dict[str, bytes]:
    """Run node/writers.mjs. READING_CASES_NODE is the folder that holds its node_modules (default: node/)."""
    folder = os.environ.get("READING_CASES_NODE") or str(HERE / "node")
    done = subprocess.run(
        ["node", str(HERE / "node" / "writers.mjs")],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=120,
        input=json.dumps({"redis_url": url(client), "rows": rows}).encode(),
    )
    answer = json.loads(done.stdout)
    if answer["failures"]:
        raise RuntimeError(f"writers failed: {answer['failures']}")
    return {name: b64decode(text) for name, text in answer["written"].items()}


def node_version(package: str) -> str:
    """Name and pinned version of a package of Node, for `source`."""
    for folder in ("node", "node/next"):
        pins = json.loads((HERE / folder / "package.json").read_text(encoding="utf-8"))["dependencies"]
        if package in pins:
            return f"{package} {pins[package]}"
    raise KeyError(package)


def parts(client: redis.Redis, key: str) -> tuple[str, Any]:
    """Shape and value of a key as the fixtures have them."""
    kind = client.type(key).decode()
    if kind == "string":
        return kind, client.get(key)
    if kind == "list":
        return kind, client.lrange(key, 0, -1)
    if kind == "hash":
        return kind, [part for pair in client.hgetall(key).items() for part in pair]
    if kind == "stream":
        return kind, [[part for pair in fields.items() for part in pair] for _, fields in client.xrange(key)]
    raise ValueError(f"{key} is of type {kind}")
