"""CPU time of each step of a bulk reaction to batches (shared/batches/reactor.py), one after the other.

All stages run in this process without other work: their CPU time, and Redis' CPU time of the two scripts. Together they
are the cost of a group without the event loop and the scan.
"""

import time
from collections import defaultdict
from itertools import batched

from bench import work
from bench.hosts import fresh_redis, redis_cpu_s, write
from bench.trial import Figures, Plan, Size, Trial
from shared import namespaces, settings, telemetry
from shared.app import App, Call, open_app
from shared.batches import claims
from shared.batches import reactor as batches
from shared.batches.baseline_copy import baseline_copy
from shared.batches.claims import COMMIT_BATCHES, Batch, Claim
from shared.delivery import failures
from shared.delivery.scan import GROUP
from shared.runtime import lazy_numpy

BATCHES = {Size.FULL: 50 * GROUP, Size.QUICK: 5 * GROUP}


def trials(plan: Plan) -> list[Trial]:
    async def measure() -> Figures:
        return await stages(BATCHES[plan.size])

    return [Trial("stages", "app", f"group={GROUP}", measure)]


async def stages(count: int) -> Figures:
    """CPU time of each stage, and of Redis for claim and commit, in us per batch."""
    lazy_numpy.load()
    async with fresh_redis() as (server, client):
        await write(client, work.batches(count), ttl_s=namespaces.TEMP_DATA_TTL_S)
        app = open_app(settings.parse({"Redis": f"{server.host}:{server.port}"}))
        spent_s: defaultdict[str, float] = defaultdict(float)
        async with app.redis:
            for numbers in batched(range(count), GROUP, strict=False):
                group = [Batch(work.batch_key(number), f"bench-{number}".encode()) for number in numbers]
                before_s = await redis_cpu_s(client)
                claimed = await _claimed(app, group, spent_s)
                spent_s["claim_redis_us"] += await redis_cpu_s(client) - before_s
                call = _computed(app, claimed, spent_s)
                before_s = await redis_cpu_s(client)
                started_s = time.process_time()
                await failures.run_repeatable(app, COMMIT_BATCHES, [call])
                spent_s["commit_us"] += time.process_time() - started_s
                spent_s["commit_redis_us"] += await redis_cpu_s(client) - before_s
        telemetry.counts.clear()
    return {name: value * 1e6 / count for name, value in spent_s.items()}


async def _claimed(app: App, group: list[Batch], spent_s: defaultdict[str, float]) -> list[Claim]:
    started_s = time.process_time()
    answers = await batches.claim(app, group)
    spent_s["claim_us"] += time.process_time() - started_s
    return [answer for answer in answers if isinstance(answer, Claim)]


def _computed(app: App, claimed: list[Claim], spent_s: defaultdict[str, float]) -> Call:
    """The call that commits these claims."""
    model, settings = baseline_copy(app).value, app.settings
    times_s = [time.process_time()]
    readings = [batches.decode(claim, settings) for claim in claimed]
    times_s.append(time.process_time())
    analyses = batches.analyse(readings, model, settings)
    times_s.append(time.process_time())
    computed = [batches.result(*parts, model, "now") for parts in zip(claimed, readings, analyses, strict=True)]
    times_s.append(time.process_time())
    commits = [batches.encode(batch) for batch in computed]
    times_s.append(time.process_time())
    delta = batches.baseline(readings, baseline_copy(app))
    times_s.append(time.process_time())
    call = claims.commit_call(app, commits, delta)
    times_s.append(time.process_time())
    names = ("decode_us", "analyse_us", "result_us", "encode_us", "baseline_us", "call_us")
    for name, start_s, end_s in zip(names, times_s, times_s[1:], strict=False):
        spent_s[name] += end_s - start_s
    return call
