"""The trigger goes deaf for good under a steady load: how long reactions are late, and how late they are then."""

import asyncio
import json
import signal
import time
from collections.abc import Sequence
from functools import partial
from statistics import quantiles
from typing import NamedTuple

from bench.consumers import CONSUMERS, producing
from bench.hosts import fresh_redis, longest_command, ready_hosts
from bench.processes import still
from bench.steady import Arrivals
from bench.trial import Figures, Plan, Size, Trial
from local.host.faults import Fault

PER_S = 100
FAULTS = (Fault.DEAF, Fault.HALF_OPEN, Fault.NEVER_AGAIN)
LATE_MS = 250.0
MISSING_S = 120.0
"""How long after the last write a result may come: by reconciliation, if by nothing else."""


class Times(NamedTuple):
    hearing_s: int
    deaf_s: int


TIMES = {Size.FULL: Times(15, 75), Size.QUICK: Times(3, 5)}


def trials(plan: Plan) -> list[Trial]:
    faults = FAULTS if plan.size is Size.FULL else FAULTS[:1]
    return [
        plan.hosted("deaf", "app", f"fault={fault}", partial(deaf, fault, TIMES[plan.size]), runs=1) for fault in faults
    ]


async def deaf(fault: Fault, times: Times, *, overhead_ms: float) -> Figures:
    """One host with its default schedules. `late_for_s` is the time from the fault until a second begins in which no
    reaction is later than LATE_MS, or until the end; `p99_after_ms` is of the writes from then on."""
    app, count = CONSUMERS["app"], PER_S * (times.hearing_s + times.deaf_s)
    async with (
        fresh_redis() as (server, client),
        producing(app, server, count, per_s=PER_S) as producer,
        ready_hosts(
            "app", server, overhead_ms=overhead_ms, arguments=("--fault", f"{fault}@signal"), environment={}
        ) as hosts,
    ):
        await producer.ready()
        await still(hosts)
        arrivals = Arrivals(hosts, PER_S, count)
        await arrivals.start(server)
        producer.go()
        await asyncio.sleep(times.hearing_s)
        hosts[0].signal(signal.SIGUSR1)
        fault_s = time.monotonic()
        sent_s: list[float] = json.loads(await producer.says("done", times.deaf_s + MISSING_S))
        async with asyncio.timeout(MISSING_S):
            await arrivals.complete.wait()
        longest = await longest_command(client)
    return {**deafness(sent_s, arrivals.latencies_ms(sent_s), fault_s), **longest}


def deafness(sent_s: Sequence[float], latencies_ms: Sequence[float], fault_s: float) -> Figures:
    """The figures of writes at `sent_s` with these latencies, for a fault at `fault_s`; see deaf()."""
    first = next(number for number, at_s in enumerate(sent_s) if at_s >= fault_s)
    prompt = next(
        (
            number
            for number in range(first, len(sent_s) - PER_S)
            if max(latencies_ms[number : number + PER_S]) < LATE_MS
        ),
        len(sent_s) - 1,
    )
    after_ms = latencies_ms[prompt:] if prompt < len(sent_s) - 1 else latencies_ms[first:]
    return {
        "late_for_s": sent_s[prompt] - fault_s,
        "latest_s": max(latencies_ms[first:]) / 1000,
        "p99_before_ms": _p99(latencies_ms[PER_S:first]),
        "p99_after_ms": _p99(after_ms),
    }


def _p99(values: Sequence[float]) -> float:
    return quantiles(values, n=100, method="inclusive")[98]
