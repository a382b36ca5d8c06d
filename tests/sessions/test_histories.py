"""Any order of what clients do, and of when three instances hear of it, makes a log that tells each life once.

The events are those that Redis sends. Each instance gets each of them, once or twice, in any order and as late as it
may be; sweeps and schedules look in between. The model knows how many lives each token had, and which of them somebody
looked at before they ended.
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
LATE = ("set", "expire", "del", "sweep", "schedule")
INSTANCES = st.integers(0, 2)
WHICH = st.sampled_from(TOKENS)
USERS = st.sampled_from(["user-1", "user-2", None])
EXPIRIES = st.sampled_from([NOON, ONE, TWO, None])


def key_of(token: bytes) -> bytes:
    return namespaces.SESSION.prefix + token


class Histories(RuleBasedStateMachine):
    """Three instances, two tokens. `chosen` and `counted` are set by the test."""

    chosen: Settings
    counted: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.alive: dict[bytes, bool] = {}
        """Tokens in use; False for a session that has lapsed while its key remains."""
        self.begun: Counter[bytes] = Counter()
        """Lives that each token had. A lapsed session that is renamed counts: a late word of its end, when the token is
        in use again, cannot be told from the end of that life."""
        self.open: set[bytes] = set()
        """Tokens whose life was looked at, and whose end was not."""
        self.witnessed: Counter[bytes] = Counter()
        self.heard: list[list[tuple[bytes, str]]] = [[], [], []]
        """What Redis told each instance and has not arrived: key and operation."""

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    @initialize()
    def start(self) -> None:
        self.instances = [open_app(self.chosen) for _ in range(3)]
        self.client = self.instances[0].redis
        self.run(self.client.flushall())
        self.listen = redis.asyncio.Redis(port=int(self.chosen.redis.rpartition(":")[2])).pubsub()
        self.run(self.listen.psubscribe(CHANNEL + b"nextauth:session:*", "end"))

    async def hear(self, twice: int) -> None:
        """Queue what Redis has told by now; instance `twice` gets it doubled."""
        await self.client.publish("end", "")
        while True:
            message = await self.listen.get_message(ignore_subscribe_messages=True, timeout=5)
            if message is None or message["type"] != "pmessage":
                continue
            if message["channel"] == b"end":
                return
            event = (message["channel"].removeprefix(CHANNEL), message["data"].decode())
            for number in range(3):
                self.heard[number] += [event] * (2 if number == twice else 1)

    def do(self, *command: Any, twice: int = 0) -> None:
        self.run(self.client.execute_command(*command))
        self.run(self.hear(twice))

    # What clients do

    def write(self, token: bytes, user: str | None, expires: str | None, ttl_s: int | None, twice: int) -> None:
        value = {name: text for name, text in (("userId", user), ("expires", expires)) if text}
        self.do("SET", key_of(token), json.dumps(value), *(("EX", ttl_s) if ttl_s else ()), twice=twice)
        if not self.alive.get(token):
            self.begun[token] += 1
        self.alive[token] = True

    @rule(token=WHICH, user=USERS, expires=EXPIRIES, ttl_s=st.sampled_from([None, 1000, 2000]), twice=INSTANCES)
    def a_client_writes(
        self, token: bytes, user: str | None, expires: str | None, ttl_s: int | None, twice: int
    ) -> None:
        """Creates a session, refreshes it, touches it or changes its user: whatever was there."""
        self.write(token, user, expires, ttl_s, twice)

    @rule(token=WHICH, user=USERS, twice=INSTANCES)
    def a_client_uses_a_token_again(self, token: bytes, user: str | None, twice: int) -> None:
        self.a_client_deletes(token, twice)
        self.write(token, user, NOON, None, twice)
        self.counted["used again"] += self.begun[token] > 1

    @rule(token=WHICH, twice=INSTANCES)
    def a_client_deletes(self, token: bytes, twice: int) -> None:
        self.do("DEL", key_of(token), twice=twice)
        self.alive.pop(token, None)

    @rule(token=WHICH, twice=INSTANCES)
    def a_ttl_is_over(self, token: bytes, twice: int) -> None:
        self.do("PEXPIRE", key_of(token), -1, twice=twice)
        self.alive.pop(token, None)

    @rule(token=WHICH, twice=INSTANCES)
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
        self.counted["renamed"] += 1

    @rule(token=WHICH, twice=INSTANCES)
    def a_session_lapses_while_its_key_remains(self, token: bytes, twice: int) -> None:
        if self.alive.get(token):
            self.do("SET", key_of(token), json.dumps({"userId": "user-1", "expires": in_s(-1)}), twice=twice)
            self.alive[token] = False
            self.counted["lapsed"] += 1

    @rule(token=WHICH)
    def the_index_is_written(self, token: bytes) -> None:
        self.do("SET", INDEX, token)

    @rule()
    def the_dashboard_caches_tokens(self) -> None:
        self.run(self.client.set(tokens_key("user-1"), "tokens"))

    # What instances do

    def looked(self, token: bytes, operation: str) -> None:
        """What a look has to have noticed at the least."""
        if self.alive.get(token):
            self.witnessed[token] += token not in self.open
            self.open.add(token)
        elif token in self.alive:
            self.open.discard(token)
            if self.chosen.delete_lapsed_sessions:
                del self.alive[token]
        elif operation in END_REASONS or (operation in LATE[3:] and self.chosen.session_lost_after_s == 0):
            self.open.discard(token)

    async def arrive(self, instance: int, position: int) -> None:
        queue = self.heard[instance]
        key, operation = queue.pop(position % len(queue))
        (outcome,) = await react(self.instances[instance], [key], cause(operation))
        assert (outcome.result is Result.IGNORED) >= (key == INDEX)
        assert outcome.result not in {Result.REJECTED, Result.RETRIED, Result.DEAD}
        if key != INDEX:
            self.looked(key.removeprefix(namespaces.SESSION.prefix), operation)
        self.counted[operation] += 1

    @rule(instance=INSTANCES, position=st.integers(0, 99))
    def an_event_arrives(self, instance: int, position: int) -> None:
        if self.heard[instance]:
            self.run(self.arrive(instance, position))
            self.run(self.hear(instance))

    @rule(positions=st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99)))
    def events_arrive_at_all_instances_at_once(self, positions: tuple[int, int, int]) -> None:
        async def all_at_once() -> None:
            heard = [(instance, at) for instance, at in enumerate(positions) if self.heard[instance]]
            await asyncio.gather(*(self.arrive(instance, at) for instance, at in heard))

        if not self.chosen.delete_lapsed_sessions:  # which of them deletes could not be told
            self.run(all_at_once())

    @rule(instance=INSTANCES, token=WHICH, operation=st.sampled_from(["sweep", "schedule"]))
    def a_timer_looks(self, instance: int, token: bytes, operation: str) -> None:
        self.run(react(self.instances[instance], [key_of(token)], cause(operation)))
        self.looked(token, operation)
        self.run(self.hear(instance))

    @rule(instance=INSTANCES)
    def a_sweep_is_made(self, instance: int) -> None:
        self.run(reconcile(self.instances[instance], (SESSIONS,), budget_s=5, anew=True))
        for token in TOKENS:
            self.looked(token, "sweep")
        self.run(self.hear(instance))

    @rule(instance=INSTANCES)
    def what_is_due_is_looked_at(self, instance: int) -> None:
        self.run(react_to_due(self.instances[instance], SESSIONS, budget_s=5))
        self.run(self.hear(instance))

    @rule()
    def everything_arrives_and_time_passes(self) -> None:
        self.run(self.deliver())
        self.run(self.let_time_pass())

    async def deliver(self) -> None:
        """The latest first."""
        while queues := [number for number, queue in enumerate(self.heard) if queue]:
            for instance in queues:
                await self.arrive(instance, -1)
                await self.hear(instance)

    async def let_time_pass(self) -> None:
        """More than any event takes: tombstones are gone, and an end is no late word of the one before."""
        for token in TOKENS:
            phantom = phantom_key(self.instances[0], token)
            prior_end_ms, ended_ms, ttl_s = [
                *await self.client.hmget(phantom, "prior_end_ms", "ended_ms"),
                await self.client.ttl(phantom),
            ]
            if ended_ms and ttl_s <= TOMBSTONE_S:
                await self.client.delete(phantom)
            elif prior_end_ms and not ended_ms:
                await self.client.hset(phantom, "prior_end_ms", int(prior_end_ms) - 1000 * TOMBSTONE_S - 1)
        self.counted["time passed"] += 1

    # What has to hold

    async def check(self) -> None:
        await self.deliver()
        patient = self.chosen.session_lost_after_s > 0
        last = open_app(msgspec.structs.replace(self.chosen, session_lost_after_s=0))
        for _ in range(2):
            await reconcile(last, (SESSIONS,), budget_s=5, anew=True)
        length = await self.client.xlen(STREAM)
        await self.hear(0)
        await self.deliver()
        await reconcile(last, (SESSIONS,), budget_s=5, anew=True)
        await last.redis.aclose()
        entries = [fields for _, fields in await self.client.xrange(STREAM)]
        assert len(entries) == length, "what was told is told once"
        assert [int(fields[b"n"]) for fields in entries] == list(range(1, length + 1))
        told = [json.loads(fields[b"event"]) for fields in entries]
        assert len({record["id"] for record in told}) == length
        for token in TOKENS:
            self.looked(token, "sweep")
            subject = self.instances[0].keyrings[0].fingerprint(token)
            lives: dict[str, list[dict[str, Any]]] = {}
            for record in told:
                if record["subject"] == subject:
                    lives.setdefault(record["id"].rpartition(".")[0], []).append(record)
            for life in lives.values():
                check_life(life)
            unended = [life for life in lives.values() if not is_ended(life)]
            assert len(unended) == bool(self.alive.get(token)), "the log agrees with what lives"
            assert self.witnessed[token] <= len(lives) <= self.begun[token]
            self.counted["lives"] += len(lives)
            if patient:
                self.counted["lives, patient"] += len(lives)

    def teardown(self) -> None:
        try:
            self.run(self.check())
        finally:
            for instance in self.instances:
                self.run(instance.redis.aclose())
            self.run(self.listen.aclose())
            self.run(self.listen.connection_pool.aclose())
            self.loop.close()


def names(life: list[dict[str, Any]]) -> list[str]:
    return [record["type"].rpartition(".")[2] for record in life]


def is_ended(life: list[dict[str, Any]]) -> bool:
    return "ended" in names(life)


def check_life(life: list[dict[str, Any]]) -> None:
    """One created, first; one ended, last, but for the tokens it takes along; what is told between them agrees."""
    told = names(life)
    assert [record["id"].rpartition(".")[2] for record in life] == [str(n) for n in range(1, len(life) + 1)]
    assert [record["time"] for record in life] == sorted(record["time"] for record in life)
    never_seen = told == ["ended"] and life[0]["data"]["duration_s"] is None
    assert never_seen or (told[0] == "created" and told.count("created") == 1)
    assert told.count("ended") <= 1
    assert told.count("unbounded") <= 1
    if "ended" in told:
        assert told[told.index("ended") + 1 :] in ([], ["revoked"])
        assert life[told.index("ended")]["data"]["reason"] in {*END_REASONS.values(), "lost"}
    known = life[0]["data"]
    for name, record in zip(told, life, strict=True):
        now = record["data"]
        if name == "changed":
            assert now["previousUserId"] == known["userId"] != now["userId"]
        elif name == "refreshed":
            assert now["userId"] == known["userId"]
            assert now["expires"] != known["expires"]
        if "expires" in now:
            known = now


VARIANTS: dict[str, dict[str, Any]] = {
    "impatient": {"session_lost_after_s": 0, "audit_refresh_min_s": 0, "audit_pseudonymise_users": True},
    "patient, with all signals": {
        "session_lost_after_s": 600,
        "max_sessions_per_user": 1,
        "revoke_tokens_on_last_logout": True,
    },
    "deleting": {"session_lost_after_s": 0, "delete_lapsed_sessions": True},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_any_history_is_told_as_it_was(
    app_settings: Settings, pytestconfig: pytest.Config, record_property: Any, variant: str
) -> None:
    class Chosen(Histories):
        pass

    Chosen.chosen = msgspec.structs.replace(app_settings, **VARIANTS[variant])
    Chosen.counted = Counter()
    examples = 1000 if pytestconfig.getoption("--soak", default=False) else 40
    run_state_machine_as_test(
        Chosen,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            derandomize=examples < 1000,  # the same histories in every ./test; new ones with --soak
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
    for what in ("lives", "used again", "renamed", "lapsed", "time passed", "del", "set"):
        assert Chosen.counted[what] > 0, f"{what} never happened"
    record_property("measured", f"histories, {variant}: {examples}, with {Chosen.counted['lives']} lives")
