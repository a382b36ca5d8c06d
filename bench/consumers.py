"""The consumers to compare: the app, the naive handlers, and the alternatives in bench/peers."""

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from bench.processes import Child, consumer, producer
from bench.results import ROOT
from local.run.servers import RedisServer

PEERS_PYTHON = str(ROOT / ".venv-bench" / "bin" / "python")
KEY_EVENTS = "key events alone"
NO_SWEEP = {"SWEEP_SCHEDULE": "0 0 3 1 1 *"}
"""Turns scheduled passes off, so that only the app's triggers are measured."""


@dataclass(frozen=True)
class Consumer:
    id: str
    title: str
    """Its name in docs/measurements.md."""
    fed_by: str
    """What its producer does."""
    guarantee: str
    batches: int = 10_000
    """Batches of a burst; fewer for slow consumers."""

    @property
    def on_host(self) -> bool:
        """Whether it is a function app."""
        return self.id in {"app", "naive", "empty"}

    def command(self, index: int, processes: int) -> Sequence[str]:
        """The command of process `index` of `processes` that share the work."""
        if self.on_host:
            folder = ROOT if self.id == "app" else ROOT / "bench" / self.id
            return [sys.executable, "-m", "local.host", "--app-dir", str(folder), "--port", "0"]
        return [PEERS_PYTHON, "-m", self._module, str(index), str(processes)]

    @property
    def producer(self) -> Sequence[str]:
        """The command of its producer, without the arguments HOST:PORT COUNT [PER_S]."""
        if self.fed_by == KEY_EVENTS:
            return [sys.executable, "-m", "bench.produce"]
        return [PEERS_PYTHON, "-m", self._module, "produce"]

    @property
    def _module(self) -> str:
        return "bench.peers." + self.id.replace("-", "_")


EMPTY = Consumer("empty", "a function that does nothing", KEY_EVENTS, "none")
"""Not compared: what the invocations alone cost."""
_ENQUEUE = "SET, then enqueue"
CONSUMERS = {
    listed.id: listed
    for listed in (
        Consumer("app", "this app", KEY_EVENTS, "nothing lost, nothing twice"),
        Consumer("naive", "naive function, one event at a time", KEY_EVENTS, "none"),
        Consumer("handwritten", "hand-written, redis-py asyncio, micro-batches of 64", KEY_EVENTS, "none"),
        Consumer("raw", "the practical limit: raw sockets, hiredis, uvloop, micro-batches of 64", KEY_EVENTS, "none"),
        Consumer("faststream", "FastStream, stream, batches of 64", "SET and XADD", "at least once"),
        Consumer("faststream-bulk", "FastStream, with this app's bulk analysis", "SET and XADD", "at least once"),
        Consumer(
            "faststream-bridge",
            "FastStream, batches of 64, fed by a key-event bridge in its process",
            KEY_EVENTS,
            "at least once past the bridge",
        ),
        Consumer("saq", "SAQ", _ENQUEUE, "at most once"),
        Consumer("taskiq", "taskiq, Redis list", _ENQUEUE, "at most once"),
        Consumer("arq", "arq", _ENQUEUE, "at least once"),
        Consumer("dramatiq", "dramatiq, 8 threads", _ENQUEUE, "at least once"),
        Consumer("celery", "Celery, pool solo", _ENQUEUE, "at most once", batches=1_000),
        Consumer("rq", "RQ, SimpleWorker", _ENQUEUE, "at most once", batches=1_000),
    )
}


@asynccontextmanager
async def consuming(
    chosen: Consumer,
    server: RedisServer,
    processes: int = 1,
    *,
    overhead_ms: float,
    arguments: Sequence[str] = (),
    environment: dict[str, str] = NO_SWEEP,
) -> AsyncIterator[Sequence[Child]]:
    """Start the processes of a consumer, which print `ready` when they consume. `overhead_ms` and `arguments` are for
    local.host: the invocation overhead, and other options."""
    if chosen.on_host:
        arguments = ["--invocation-overhead", f"{overhead_ms:g}ms", *arguments]
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                consumer([*chosen.command(index, processes), *arguments], _environment(server) | environment)
            )
            for index in range(processes)
        ]


@asynccontextmanager
async def producing(
    chosen: Consumer, server: RedisServer, count: int, *, per_s: float | None = None
) -> AsyncIterator[Child]:
    """Start the producer of a consumer: it prints `ready`, writes after `go`, and prints `done`."""
    address = f"{server.host}:{server.port}"
    command = [*chosen.producer, address, str(count), *([] if per_s is None else [str(per_s)])]
    async with producer(command, _environment(server)) as child:
        yield child


def _environment(server: RedisServer) -> dict[str, str]:
    address = f"{server.host}:{server.port}"
    return {"Redis": address, "REDIS": address, "AzureWebJobsStorage": "", "PYTHONPATH": str(ROOT)}
