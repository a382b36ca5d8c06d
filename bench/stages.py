"""Where the time of a bulk reaction to batches goes: each stage of shared/batches.py by itself, one after the other.

In this process, so that nothing else is in the figures: CPU time of the stages, and Redis' CPU time of the two scripts.
Together they are what a group costs without the event loop's and the sweep's own work.
"""

import time
from collections import defaultdict
from itertools import batched

from bench import work
from bench.hosts import fresh_redis, redis_cpu_s, write
from bench.trial import Figures, Size, Trial
from shared import batches, claims, lazy_numpy, ledger, namespaces, settings, telemetry
from shared.analysis import analyse_many
from shared.claims import Batch, Claim
from shared.context import Call, Context, open_context
from shared.sweep import GROUP

BATCHES = {Size.FULL: 50 * GROUP, Size.QUICK: 5 * GROUP}


def trials(size: Size) -> list[Trial]:
    async def measure() -> Figures:
        return await stages(BATCHES[size])

    return [Trial("stages", "app", f"group={GROUP}", measure)]


async def stages(count: int) -> Figures:
    """CPU time in us per batch, of each stage; of Redis for claim and commit."""
    lazy_numpy.load()
    async with fresh_redis() as (server, client):
        await write(client, work.batches(count), ttl_s=namespaces.TEMP_DATA_TTL_S)
        app = open_context(settings.parse({"Redis": f"{server.host}:{server.port}"}))
        spent_s: defaultdict[str, float] = defaultdict(float)
        async with app.redis:
            for numbers in batched(range(count), GROUP, strict=False):
                group = [Batch(work.batch_key(number), f"bench-{number}".encode()) for number in numbers]
                before_s = await redis_cpu_s(client)
                held = await _claimed(app, group, spent_s)
                spent_s["claim_redis_us"] += await redis_cpu_s(client) - before_s
                call = _computed(app, held, spent_s)
                before_s = await redis_cpu_s(client)
                started_s = time.process_time()
                await ledger.run_repeatable(app, "commit_batches", [call])
                spent_s["commit_us"] += time.process_time() - started_s
                spent_s["commit_redis_us"] += await redis_cpu_s(client) - before_s
        telemetry.counts.clear()
    return {name: value * 1e6 / count for name, value in spent_s.items()}


async def _claimed(app: Context, group: list[Batch], spent_s: defaultdict[str, float]) -> list[Claim]:
    started_s = time.process_time()
    answers = await claims.claim(app, group)
    spent_s["claim_us"] += time.process_time() - started_s
    return [one for one in answers if isinstance(one, Claim)]


def _computed(app: Context, held: list[Claim], spent_s: defaultdict[str, float]) -> Call:
    """The call that commits these claims."""
    model = app.baseline.value
    at = [time.process_time()]
    given = [batches._read(one, app.settings) for one in held]
    at.append(time.process_time())
    found = analyse_many(given, model, threshold=3.5, min_samples=100)
    at.append(time.process_time())
    ready = [batches._ready(*one, model, "now") for one in zip(held, given, found, strict=True)]
    at.append(time.process_time())
    commits = [batches._as_commit(one) for one in ready]
    at.append(time.process_time())
    delta = batches._delta(given)
    at.append(time.process_time())
    call = claims.commit_call(app, commits, delta)
    at.append(time.process_time())
    names = ("decode_us", "analyse_us", "result_us", "encode_us", "baseline_us", "call_us")
    for name, start, end in zip(names, at, at[1:], strict=False):
        spent_s[name] += end - start
    return call
