"""Any history of clients and events leads to records of each life, once.

A Hypothesis state machine: clients change two sessions, and Redis sends the events. Each of three instances receives
each event once or twice, in any order and with any delay; sweeps and the schedule react in between. The model counts
the lives of each token, and those that an instance saw before they ended.
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
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from shared import namespaces
from shared.app import open_app
from shared.delivery.due import react_to_due
from shared.delivery.reconcile import reconcile
from shared.reactor import Result
from shared.registry import SESSIONS
from shared.sessions.reactor import END_REASONS, react
from shared.settings import Settings
from tests.support.causes import cause
from tests.support.looks import NOON, ONE, STREAM, TOMBSTONE_S, TWO, in_s, phantom_key, tokens_key

pytestmark = pytest.mark.redis_server

CHANNEL = b"__keyspace@0__:"
TOKENS = (b"token-a", b"token-b")
INDEX = b"nextauth:session:by-user-id:user-1"
INSTANCES = st.integers(0, 2)
TOKEN = st.sampled_from(TOKENS)
USERS = st.sampled_from(["user-1", "user-2", None])
EXPIRIES = st.sampled_from([NOON, ONE, TWO, None])


def key_of(token: bytes) -> bytes:
    return namespaces.SESSION.prefix + token


class Histories(RuleBasedStateMachine):
    """Three instances, two tokens. The test sets `settings` and `counts`."""

    settings: Settings
    counts: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.alive: dict[bytes, bool] = {}
        """Tokens whose key exists; False if the session has lapsed."""
        self.begun: Counter[bytes] = Counter()
        """Number of lives of each token. A renamed lapsed session counts: its late event, after the token was reused,
        is the same as that of the end of the new life."""
        self.open: set[bytes] = set()
        """Tokens whose life an instance saw, and whose end none has seen yet."""
        self.witnessed: Counter[bytes] = Counter()
        """Number of lives of each token that an instance saw: those must be recorded."""
        self.pending: list[list[tuple[bytes, str]]] = [[], [], []]
        """For each instance, the events that it has not received yet: key and operation."""

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    @initialize()
    def start(self) -> None:
        self.instances = [open_app(self.settings) for _ in range(3)]
        self.client = self.instances[0].redis
        self.run(self.client.flushall())
        self.subscription = redis.asyncio.Redis(port=int(self.settings.redis.rpartition(":")[2])).pubsub()
        self.run(self.subscription.psubscribe(CHANNEL + b"nextauth:session:*", "end"))

    async def queue_events(self, twice: int) -> None:
        """Queue the events that Redis has sent; instance `twice` gets each of them twice."""
        await self.client.publish("end", "")
        while True:
            message = await self.subscription.get_message(ignore_subscribe_messages=True, timeout=5)
            if message is None or message["type"] != "pmessage":
                continue
            if message["channel"] == b"end":
                return
            event = (message["channel"].removeprefix(CHANNEL), message["data"].decode())
            for number in range(3):
                self.pending[number] += [event] * (2 if number == twice else 1)

    def do(self, *command: Any, twice: int = 0) -> None:
        self.run(self.client.execute_command(*command))
        self.run(self.queue_events(twice))

    # Clients

    def write(self, token: bytes, user: str | None, expires: str | None, ttl_s: int | None, twice: int) -> None:
        value = {name: text for name, text in (("userId", user), ("expires", expires)) if text}
        self.do("SET", key_of(token), json.dumps(value), *(("EX", ttl_s) if ttl_s else ()), twice=twice)
        if not self.alive.get(token):
            self.begun[token] += 1
        self.alive[token] = True

    @rule(token=TOKEN, user=USERS, expires=EXPIRIES, ttl_s=st.sampled_from([None, 1000, 2000]), twice=INSTANCES)
    def a_client_writes(
        self, token: bytes, user: str | None, expires: str | None, ttl_s: int | None, twice: int
    ) -> None:
        """Creates, refreshes or touches a session, or changes its user, depending on its present state."""
        self.write(token, user, expires, ttl_s, twice)

    @rule(token=TOKEN, user=USERS, twice=INSTANCES)
    def a_client_reuses_a_token(self, token: bytes, user: str | None, twice: int) -> None:
        self.a_client_deletes(token, twice)
        self.write(token, user, NOON, None, twice)
        self.counts["reused"] += self.begun[token] > 1

    @rule(token=TOKEN, twice=INSTANCES)
    def a_client_deletes(self, token: bytes, twice: int) -> None:
        self.do("DEL", key_of(token), twice=twice)
        self.alive.pop(token, None)

    @rule(token=TOKEN, twice=INSTANCES)
    def a_ttl_ends(self, token: bytes, twice: int) -> None:
        self.do("PEXPIRE", key_of(token), -1, twice=twice)
        self.alive.pop(token, None)

    @rule(token=TOKEN, twice=INSTANCES)
    def a_ttl_is_dropped(self, token: bytes, twice: int) -> None:
        self.do("PERSIST", key_of(token), twice=twice)

    @precondition(lambda self: len(self.alive) == 1)
    @rule(twice=INSTANCES)
    def a_token_is_renamed(self, twice: int) -> None:
        ((old, alive),) = self.alive.items()
        (new,) = set(TOKENS) - {old}
        self.do("RENAME", key_of(old), key_of(new), twice=twice)
        self.alive = {new: alive}
        self.begun[new] += 1
        self.counts["renamed"] += 1

    @rule(token=TOKEN, twice=INSTANCES)
    def a_session_lapses_while_its_key_remains(self, token: bytes, twice: int) -> None:
        if self.alive.get(token):
            self.do("SET", key_of(token), json.dumps({"userId": "user-1", "expires": in_s(-1)}), twice=twice)
            self.alive[token] = False
            self.counts["lapsed"] += 1

    @rule(token=TOKEN)
    def the_index_is_written(self, token: bytes) -> None:
        self.do("SET", INDEX, token)

    @rule()
    def the_dashboard_caches_tokens(self) -> None:
        self.run(self.client.set(tokens_key("user-1"), "tokens"))

    # Instances

    def note_reaction(self, token: bytes, operation: str) -> None:
        """Update the model with what a reaction has to detect at least."""
        if self.alive.get(token):
            self.witnessed[token] += token not in self.open
            self.open.add(token)
        elif token in self.alive:
            self.open.discard(token)
            if self.settings.delete_lapsed_sessions:
                del self.alive[token]
        elif operation in END_REASONS or (
            operation in {"sweep", "schedule"} and self.settings.session_lost_after_s == 0
        ):
            self.open.discard(token)

    async def receive(self, instance: int, position: int) -> None:
        queue = self.pending[instance]
        key, operation = queue.pop(position % len(queue))
        (outcome,) = await react(self.instances[instance], [key], cause(operation))
        assert (outcome.result is Result.IGNORED) >= (key == INDEX)
        assert outcome.result not in {Result.REJECTED, Result.RETRIED, Result.DEAD}
        if key != INDEX:
            self.note_reaction(key.removeprefix(namespaces.SESSION.prefix), operation)
        self.counts[operation] += 1

    @rule(instance=INSTANCES, position=st.integers(0, 99))
    def an_instance_receives_an_event(self, instance: int, position: int) -> None:
        if self.pending[instance]:
            self.run(self.receive(instance, position))
            self.run(self.queue_events(instance))

    @rule(positions=st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99)))
    def all_instances_receive_an_event_at_once(self, positions: tuple[int, int, int]) -> None:
        async def all_at_once() -> None:
            receivers = [(instance, at) for instance, at in enumerate(positions) if self.pending[instance]]
            await asyncio.gather(*(self.receive(instance, at) for instance, at in receivers))

        if not self.settings.delete_lapsed_sessions:  # the model could not follow which instance deletes
            self.run(all_at_once())

    @rule(instance=INSTANCES, token=TOKEN, operation=st.sampled_from(["sweep", "schedule"]))
    def a_timer_reacts(self, instance: int, token: bytes, operation: str) -> None:
        self.run(react(self.instances[instance], [key_of(token)], cause(operation)))
        self.note_reaction(token, operation)
        self.run(self.queue_events(instance))

    @rule(instance=INSTANCES)
    def a_sweep_runs(self, instance: int) -> None:
        self.run(reconcile(self.instances[instance], (SESSIONS,), budget_s=5, anew=True))
        for token in TOKENS:
            self.note_reaction(token, "sweep")
        self.run(self.queue_events(instance))

    @rule(instance=INSTANCES)
    def the_schedule_runs(self, instance: int) -> None:
        self.run(react_to_due(self.instances[instance], SESSIONS, budget_s=5))
        self.run(self.queue_events(instance))

    @rule()
    def all_events_arrive_and_time_passes(self) -> None:
        self.run(self.deliver())
        self.run(self.let_time_pass())

    async def deliver(self) -> None:
        """Let all instances receive all of their events, the newest first."""
        while queues := [number for number, queue in enumerate(self.pending) if queue]:
            for instance in queues:
                await self.receive(instance, -1)
                await self.queue_events(instance)

    async def let_time_pass(self) -> None:
        """Longer than any event takes: tombstones expire, and no event is a late one any more."""
        for token in TOKENS:
            phantom = phantom_key(self.instances[0], token)
            prior_end_ms, ended_ms, heard_ms, ttl_s = [
                *await self.client.hmget(phantom, "prior_end_ms", "ended_ms", "heard_ms"),
                await self.client.ttl(phantom),
            ]
            if (ended_ms or heard_ms) and ttl_s <= TOMBSTONE_S:
                await self.client.delete(phantom)
            elif prior_end_ms and not ended_ms:
                await self.client.hset(phantom, "prior_end_ms", int(prior_end_ms) - 1000 * TOMBSTONE_S - 1)
        self.counts["time passed"] += 1

    # Checks

    async def check(self) -> None:
        await self.deliver()
        patient = self.settings.session_lost_after_s > 0
        final = open_app(msgspec.structs.replace(self.settings, session_lost_after_s=0))
        for _ in range(2):
            await reconcile(final, (SESSIONS,), budget_s=5, anew=True)
        length = await self.client.xlen(STREAM)
        await self.queue_events(0)
        await self.deliver()
        await reconcile(final, (SESSIONS,), budget_s=5, anew=True)
        await final.redis.aclose()
        entries = [fields for _, fields in await self.client.xrange(STREAM)]
        assert len(entries) == length, "repeated events and sweeps append no record"
        assert [int(fields[b"n"]) for fields in entries] == list(range(1, length + 1))
        recorded = [json.loads(fields[b"event"]) for fields in entries]
        assert len({record["id"] for record in recorded}) == length
        for token in TOKENS:
            self.note_reaction(token, "sweep")
            subject = self.instances[0].keyrings[0].fingerprint(token)
            lives: dict[str, list[dict[str, Any]]] = {}
            for record in recorded:
                if record["subject"] == subject:
                    lives.setdefault(record["id"].rpartition(".")[0], []).append(record)
            for life in lives.values():
                check_life(life)
            unended = [life for life in lives.values() if not is_ended(life)]
            assert len(unended) == bool(self.alive.get(token)), "exactly the live sessions have no end"
            assert self.witnessed[token] <= len(lives) <= self.begun[token]
            self.counts["lives"] += len(lives)
            if patient:
                self.counts["lives, patient"] += len(lives)

    def teardown(self) -> None:
        try:
            self.run(self.check())
        finally:
            for instance in self.instances:
                self.run(instance.redis.aclose())
            self.run(self.subscription.aclose())
            self.run(self.subscription.connection_pool.aclose())
            self.loop.close()


def names(life: list[dict[str, Any]]) -> list[str]:
    return [record["type"].rpartition(".")[2] for record in life]


def is_ended(life: list[dict[str, Any]]) -> bool:
    return "ended" in names(life)


def check_life(life: list[dict[str, Any]]) -> None:
    """One created, first; one ended, last but for a revocation of tokens; consistent in between."""
    types = names(life)
    assert [record["id"].rpartition(".")[2] for record in life] == [str(n) for n in range(1, len(life) + 1)]
    assert [record["time"] for record in life] == sorted(record["time"] for record in life)
    never_seen = types == ["ended"] and life[0]["data"]["duration_s"] is None
    assert never_seen or (types[0] == "created" and types.count("created") == 1)
    assert types.count("ended") <= 1
    assert types.count("unbounded") <= 1
    if "ended" in types:
        assert types[types.index("ended") + 1 :] in ([], ["revoked"])
        assert life[types.index("ended")]["data"]["reason"] in {*END_REASONS.values(), "lost"}
    last = life[0]["data"]
    for name, record in zip(types, life, strict=True):
        data = record["data"]
        if name == "changed":
            assert data["previousUserId"] == last["userId"] != data["userId"]
        elif name == "refreshed":
            assert data["userId"] == last["userId"]
            assert data["expires"] != last["expires"]
        if "expires" in data:
            last = data


VARIANTS: dict[str, dict[str, Any]] = {
    "impatient": {"session_lost_after_s": 0, "audit_refresh_min_s": 0, "audit_pseudonymise_users": True},
    "patient, with all signals": {
        "session_lost_after_s": 600,
        "max_sessions_per_user": 1,
        "revoke_tokens_on_last_logout": True,
    },
    "deleting": {"session_lost_after_s": 0, "delete_lapsed_sessions": True},
}


@pytest.mark.any_server
@pytest.mark.parametrize("variant", VARIANTS)
def test_any_history_is_recorded_correctly(
    app_settings: Settings, pytestconfig: pytest.Config, record_property: Any, variant: str
) -> None:
    class Variant(Histories):
        pass

    Variant.settings = msgspec.structs.replace(app_settings, **VARIANTS[variant])
    Variant.counts = Counter()
    examples = 1000 if pytestconfig.getoption("--soak", default=False) else 40
    run_state_machine_as_test(
        Variant,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            derandomize=examples < 1000,  # the same histories in every ./test; new ones with --soak
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
    for what in ("lives", "reused", "renamed", "lapsed", "time passed", "del", "set"):
        assert Variant.counts[what] > 0, f"{what} never happened"
    record_property("measured", f"histories, {variant}: {examples}, with {Variant.counts['lives']} lives")
