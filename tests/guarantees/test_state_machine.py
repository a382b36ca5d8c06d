"""Effects are right after any order of writes, events, duplicates, crashes, expired leases, faults, retries, passes.

The model has the last content of each key, and which contents can be analysed. At quiescence, the stored effects must
equal the model.
"""

import asyncio
import json
from collections import Counter
from typing import Any

import msgspec
import pytest
import redis.asyncio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from shared.app import open_app
from shared.batches import claims
from shared.batches import reactor as batches
from shared.batches.baseline import Baseline
from shared.batches.claims import Batch, Claim
from shared.delivery import dead_letters
from shared.delivery.due import retry_due
from shared.delivery.reconcile import reconcile
from shared.registry import BATCHES
from shared.settings import Settings
from tests.support.causes import cause
from tests.support.faulty import Fault, Moment, faulty_context

pytestmark = pytest.mark.redis_server

IDS = ("a", "b", "c")
POISON = b"\x80\x04\x95."
WORKERS = st.integers(0, 1)
KEYS = st.sampled_from(IDS)


def key_of(batch_id: str) -> bytes:
    return f"fastapi:temp:data:{batch_id}".encode()


class BatchHistories(RuleBasedStateMachine):
    """Two workers and three batches. The test sets `app_settings` and `injected`, the number of faults by kind."""

    app_settings: Settings
    injected: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.live: dict[str, bytes] = {}
        self.written: set[bytes] = set()
        self.buried: set[tuple[str, bytes]] = set()
        self.crashed: list[Claim] = []
        self.number = 0

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    @initialize()
    def start(self) -> None:
        self.workers = [open_app(self.app_settings) for _ in range(2)]
        self.client = self.workers[0].redis
        self.run(self.client.flushall())
        self.listen = redis.asyncio.Redis(
            port=int(self.app_settings.redis.rpartition(":")[2]), decode_responses=True
        ).pubsub()
        self.run(self.listen.subscribe("fastapi:events:analysis"))

    async def react(self, worker: int, batch_id: str) -> None:
        await batches.react(self.workers[worker], [key_of(batch_id)], cause("set"))

    def write(self, batch_id: str, content: bytes) -> None:
        self.run(self.client.set(key_of(batch_id), content))
        self.live[batch_id] = content
        self.written.add(content)

    @rule(batch_id=KEYS)
    def write_without_event(self, batch_id: str) -> None:
        self.number += 1
        self.write(batch_id, json.dumps([{"metric": "m", "ts": 1, "value": self.number}]).encode())
        self.injected["lost event"] += 1

    @rule(batch_id=KEYS)
    def write_poison(self, batch_id: str) -> None:
        self.write(batch_id, POISON)
        self.injected["poison"] += 1

    @rule(batch_id=KEYS)
    def delete(self, batch_id: str) -> None:
        self.run(self.client.delete(key_of(batch_id)))
        self.live.pop(batch_id, None)

    @rule(worker=WORKERS, batch_id=KEYS, times=st.integers(1, 3))
    def deliver_event(self, worker: int, batch_id: str, times: int) -> None:
        for _ in range(times):
            self.run(self.react(worker, batch_id))
        self.injected["duplicate event"] += times - 1

    @rule(batch_id=KEYS)
    def deliver_event_to_both_workers(self, batch_id: str) -> None:
        async def both() -> None:
            await asyncio.gather(self.react(0, batch_id), self.react(1, batch_id))

        self.run(both())

    @rule(worker=WORKERS, batch_id=KEYS)
    def crash_with_claim(self, worker: int, batch_id: str) -> None:
        (answer,) = self.run(claims.claim(self.workers[worker], [Batch(key_of(batch_id), batch_id.encode())]))
        if isinstance(answer, Claim):
            self.crashed.append(answer)
            self.injected["crash"] += 1

    @rule(batch_id=KEYS)
    def expire_lease(self, batch_id: str) -> None:
        claim_key = f"fastapi:queue:processing:{batch_id}"
        if self.run(self.client.exists(claim_key)):
            self.run(self.client.hset(claim_key, "lease_until_ms", 0))
            self.injected["expired lease"] += 1

    @rule(worker=WORKERS)
    def commit_after_crash(self, worker: int) -> None:
        if self.crashed:
            self.commit_late(worker, self.crashed.pop())

    @rule(worker=WORKERS, batch_id=KEYS, newer=st.booleans())
    def overtake_slow_worker(self, worker: int, batch_id: str, newer: bool) -> None:
        self.crashed.clear()
        self.expire_lease(batch_id)
        self.write_without_event(batch_id)
        self.crash_with_claim(worker, batch_id)
        self.expire_lease(batch_id)
        if newer:
            self.write_without_event(batch_id)
        self.run(self.react(1 - worker, batch_id))
        if self.crashed:
            self.commit_late(worker, self.crashed.pop())

    def commit_late(self, worker: int, old: Claim) -> None:
        if old.payload.parts[0] == POISON:
            return
        work = batches._compute({0: old}, Baseline(), self.app_settings)
        present_token = self.run(self.client.hget(old.claim_key, "token"))
        self.run(batches.commit(self.workers[worker], work))
        self.injected["stale commit"] += present_token != old.token

    @rule(batch_id=KEYS, at=st.integers(1, 3), moment=st.sampled_from(Moment))
    def inject_fault(self, batch_id: str, at: int, moment: Moment) -> None:
        fault = Fault(at, moment)

        async def react() -> None:
            faulty = faulty_context(self.app_settings, fault)
            await batches.react(faulty, [key_of(batch_id)], cause("set"))
            await faulty.redis.aclose()

        self.run(react())
        self.injected["lost connection"] += fault.injected

    @rule()
    def flush_scripts(self) -> None:
        self.run(self.client.script_flush())

    @rule(worker=WORKERS)
    def make_retries(self, worker: int) -> None:
        self.run(retry_due(self.workers[worker], (BATCHES,), budget_s=5))

    @rule(worker=WORKERS)
    def make_pass(self, worker: int) -> None:
        self.run(reconcile(self.workers[worker], (BATCHES,), budget_s=5))

    async def quiesce(self) -> None:
        for batch_id in IDS:
            if await self.client.exists(f"fastapi:queue:processing:{batch_id}"):
                await self.client.hset(f"fastapi:queue:processing:{batch_id}", "lease_until_ms", 0)
        for _ in range(2):
            await self.client.delete("functions:sweep")
            await reconcile(self.workers[0], (BATCHES,), budget_s=5)

    async def check(self) -> None:
        await self.quiesce()
        digests = {content: await digest(self.client, content) for content in self.written}
        counts = await commits(self.client, self.listen)
        for batch_id, content in self.live.items():
            raw = await self.client.get(f"fastapi:results:analysis:{batch_id}")
            if content == POISON:
                assert await dead_letters.get(self.workers[0], letter_id(batch_id, digests[content]))
            else:
                assert raw is not None, f"{batch_id} has no result"
                assert json.loads(raw)["inputDigest"] == digests[content]
                assert counts[batch_id, digests[content]] == 1
        assert max(counts.values(), default=0) <= 1, "a content was committed twice"
        letters = (await dead_letters.list_page(self.workers[0])).letters
        assert len(letters) <= len(IDS), "one letter per key and content"
        assert await self.client.keys("functions:retry:*") == []

    def teardown(self) -> None:
        try:
            self.run(self.check())
        finally:
            for worker in self.workers:
                self.run(worker.redis.aclose())
            self.run(self.listen.aclose())
            self.run(self.listen.connection_pool.aclose())
            self.loop.close()


def letter_id(batch_id: str, digest: str) -> str:
    return dead_letters._id_of("batches", key_of(batch_id), digest.encode())


async def digest(client: redis.asyncio.Redis, content: bytes) -> str:
    return str((await client.eval("return redis.sha1hex(ARGV[1])", 0, content)).decode())


async def commits(client: redis.asyncio.Redis, listen: Any) -> Counter[tuple[str, str]]:
    await client.publish("fastapi:events:analysis", "end")
    counts: Counter[tuple[str, str]] = Counter()
    while (message := await listen.get_message(ignore_subscribe_messages=True, timeout=5)) is None or (
        message["data"] != "end"
    ):
        if message is not None:
            body = json.loads(message["data"])
            counts[body["batchId"], body["inputDigest"]] += 1
    return counts


def test_any_history_ends_with_the_effects_of_the_model(
    app_settings: Settings, pytestconfig: pytest.Config, record_property: Any
) -> None:
    class Histories(BatchHistories):
        pass

    Histories.app_settings = msgspec.structs.replace(app_settings, retry_base_s=0.001, retry_cap_s=0.001)
    Histories.injected = Counter()
    examples = 1000 if pytestconfig.getoption("--soak", default=False) else 60
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            derandomize=examples < 1000,  # the same histories in every ./test; new ones with --soak
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
    for name in (
        "lost event",
        "poison",
        "duplicate event",
        "crash",
        "expired lease",
        "stale commit",
        "lost connection",
    ):
        assert Histories.injected[name] > 0, f"{name} was never injected"
        record_property("measured", f"state machine, {name}: {Histories.injected[name]}")
