"""One burst of batches against a fresh host, with the burst sweep and without: `python -m local.burst`.

The host is a process of its own, Redis another, both started here. The batches (100 readings, 8 KB each) are written
in one pipeline, as fast as Redis takes them; the clock runs from the first write to the last result.
"""

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from redis.asyncio import Redis

from local.processes import child_process
from local.servers import redis_server
from shared import namespaces
from shared.notifications import REQUIRED

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_S = 300.0
METRICS = {"co2_flow_rate": (1.2, 0.05), "water_flow": (30.0, 0.6), "water_temp": (24.1, 0.2), "ph": (7.1, 0.03)}


def batch(number: int, chance: random.Random) -> bytes:
    """A batch of 100 readings as clients write it, about 8 KB, unlike any other."""
    records = [
        {
            "timestamp": f"2026-01-01T{row // 3600:02}:{row // 60 % 60:02}:{row % 60:02}.000Z",
            "location": "injection-well-07, wellhead manifold, north skid",
            "quality": {"flag": "good", "source": "scada", "calibration": "2025-11-30", "operator": "automatic"},
            "data": {name: round(chance.gauss(*shape), 4) for name, shape in METRICS.items()},
        }
        for row in range(25)
    ]
    return json.dumps({"batchId": f"burst-{number}", "records": records}).encode()


@asynccontextmanager
async def fresh_host(connection: str, *, burst_sweep: bool) -> AsyncIterator[None]:
    """The app in a process of its own, ready. It sweeps when messages queue up, or only by its schedule, far away."""
    environment = os.environ | {
        "Redis": connection,
        "AzureWebJobsStorage": "UseDevelopmentStorage=true",
        "BURST_SWEEP": str(burst_sweep).lower(),
        "SWEEP_SCHEDULE": "0 0 3 1 1 *",
    }
    output, sink = _pipe()
    command = [sys.executable, "-m", "local.host", "--app-dir", str(ROOT), "--port", "0"]
    with output, sink:
        async with child_process(command, output=sink, environment=environment, folder=ROOT):
            sink.close()
            while line := await asyncio.to_thread(output.readline):
                if line.startswith(b"ready "):
                    yield
                    return
    raise RuntimeError("the host did not start")


def _pipe() -> tuple[BinaryIO, BinaryIO]:
    reading, writing = os.pipe()
    return open(reading, "rb"), open(writing, "wb")


async def burst(count: int, *, burst_sweep: bool) -> float:
    """Seconds from the first write to the last result. Raises TimeoutError after TIMEOUT_S."""
    chance = random.Random(1)
    async with (
        redis_server(REQUIRED) as server,
        fresh_host(f"{server.host}:{server.port}", burst_sweep=burst_sweep),
        Redis(host=server.host, port=server.port) as client,
        client.pubsub() as channel,
    ):
        await channel.subscribe(namespaces.BATCH_EVENTS_CHANNEL)
        pipeline = client.pipeline(transaction=False)
        for number in range(count):
            key = namespaces.build(namespaces.BATCH, f"burst-{number}")
            pipeline.set(key, batch(number, chance), ex=namespaces.TEMP_DATA_TTL_S)
        started_s = time.perf_counter()
        await pipeline.execute()
        async with asyncio.timeout(TIMEOUT_S):
            done = 0
            while done < count:
                message = await channel.get_message(ignore_subscribe_messages=True, timeout=None)
                done += message is not None
        return time.perf_counter() - started_s


def main(
    batches: Annotated[int, typer.Option(min=1, help="How many batches.")] = 10_000,
    only: Annotated[str | None, typer.Option(help="'on' or 'off': only with, or only without the burst sweep.")] = None,
) -> None:
    """Run one burst with the burst sweep on and one with it off, and print events per second."""
    for name in ("on", "off"):
        if only in (None, name):
            took_s = asyncio.run(burst(batches, burst_sweep=name == "on"))
            print(
                f"burst sweep {name:<3}  {batches} batches in {took_s:.2f} s  {batches / took_s:.0f} events/s",
                flush=True,
            )


if __name__ == "__main__":
    typer.run(main)
