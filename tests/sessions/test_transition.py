"""Any history of a session, with any time between its steps, leads to complete and consistent lives. Pure: no Redis."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.privacy.keyring import keyrings
from shared.reactor import Result
from shared.sessions.draft import TOMBSTONE_MS, Look, Options, Request, Why
from shared.sessions.forms import read_form
from shared.sessions.phantom import FIELDS, changes, read
from shared.sessions.plan import Plan
from shared.sessions.reactor import END_REASONS
from shared.sessions.records import time_of
from shared.sessions.transition import LATE_EVENT_MS, Decision, decide
from tests.sessions.test_histories import check_life, is_ended
from tests.support.causes import cause

RINGS = keyrings("an audit key of the tests", "")
TOKEN = b"token"
START_US = 1_900_000_000_000_000
LONGEST_S = 40 * 86_400


@dataclass
class World:
    """One session and the app's state about it, as the scripts keep them. `text` is None while the key is missing."""

    now_us: int = START_US
    text: bytes | None = None
    ttl_end_ms: int | None = None
    values: dict[str, bytes] = field(default_factory=dict)
    phantom_end_ms: int = 0
    recorded: list[dict[str, Any]] = field(default_factory=list)

    def pass_time(self, by_s: float) -> None:
        self.now_us += round(by_s * 1e6)
        if self.ttl_end_ms is not None and self.ttl_end_ms <= self.now_us // 1000:
            self.text = self.ttl_end_ms = None
        if self.values and self.phantom_end_ms <= self.now_us // 1000:
            self.values = {}

    def look(self, *, with_text: bool) -> Look:
        now_ms, values = self.now_us // 1000, [self.values.get(name) for name in FIELDS] if self.values else []
        digest = hashlib.sha1(self.text, usedforsecurity=False).hexdigest().encode() if self.text is not None else b""
        same = digest == self.values.get("digest") and not self.values.get("ended_ms") and not with_text
        same = same and not self.values.get("missing_ms")
        return Look(
            now_us=self.now_us,
            kind=b"none" if self.text is None else b"string",
            size_bytes=len(self.text or b""),
            ttl_ms=-1 if self.ttl_end_ms is None else self.ttl_end_ms - now_ms,
            digest=digest,
            text=None if same else self.text,
            values=values,
            phantom_digest=b"",
            phantom_ttl_ms=self.phantom_end_ms - now_ms if self.values else -2,
            is_former=b"",
            has_due_time=b"1",
            is_in_users_set=b"1" if self.values.get("user_id") and not self.values.get("ended_ms") else b"",
            mark=b"",
        )

    def apply(self, plan: Plan) -> int:
        """As apply_session.lua does; returns the number of records."""
        fields = changes([self.values.get(name) for name in FIELDS] if self.values else [], plan.phantom, plan.heard_ms)
        self.values |= {name: value.encode() for name, value in zip(fields[::2], fields[1::2], strict=True)}
        sequence, count = plan.sequence, 0
        for record in plan.records:
            if record.condition == "left":
                continue
            sequence, count = sequence + (record.number == 0), count + 1
            number = record.number or sequence
            self.recorded.append(json.loads(f"{record.head}{number}{record.tail}"))
        if fields:
            self.values["sequence"] = b"%d" % sequence
        if plan.ttl_ms:
            self.phantom_end_ms = self.now_us // 1000 + plan.ttl_ms
        if plan.delete:
            self.text = self.ttl_end_ms = None
        return count

    def lives(self) -> list[list[dict[str, Any]]]:
        lives: dict[str, list[dict[str, Any]]] = {}
        for record in self.recorded:
            lives.setdefault(record["id"].rpartition(".")[0], []).append(record)
        return list(lives.values())


def react(world: World, operation: str, options: Options) -> tuple[Decision, int]:
    """Look, decide, apply: the decision and the number of records."""
    why = cause(operation)
    reason = END_REASONS.get(why, "")
    source = {"sweep": "sweep", "schedule": "schedule"}.get(operation, "event")
    reasons = Why(source, reason, announces=operation in {"set", "expire", "persist"}, hurried=source == "event")
    request = Request(TOKEN, RINGS[0].fingerprint(TOKEN), RINGS[0].key_id, ["sealed"], reasons)
    decision = decide(world.look(with_text=bool(reason)), request, options)
    decision = decision or decide(world.look(with_text=True), request, options)
    assert decision is not None
    return decision, world.apply(decision.plan)


OPERATIONS = ("set", "expire", "del", "expired", "evicted", "rename_from", "sweep", "schedule")
PAUSES_S = st.sampled_from([0.001, 0.5, 1, 20, 61, 601, 3600, 86_400]) | st.floats(0, LONGEST_S)
STEPS = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(["a", "b", None]), st.none() | PAUSES_S, st.none() | PAUSES_S),
    st.tuples(st.just("delete")),
    st.tuples(st.just("pass"), PAUSES_S),
    st.tuples(st.just("event"), st.sampled_from(OPERATIONS)),
)
OPTIONS = st.builds(
    Options,
    max_bytes=st.just(10_000),
    lost_after_ms=st.sampled_from([0, 30_000]),
    refresh_min_ms=st.sampled_from([0, 300_000]),
    delete=st.booleans(),
    sessions_max=st.just(0),
    revoke=st.just(False),
    pseudonymise=st.booleans(),
    keyrings=st.just(RINGS),
)


def step(world: World, action: tuple[Any, ...], options: Options) -> None:
    match action:
        case "write", user, expires_s, ttl_s:
            now_ms = world.now_us // 1000
            expires = {} if expires_s is None else {"expires": time_of(now_ms + round(expires_s * 1000))}
            world.text = json.dumps({"userId": user, **expires, "at": world.now_us}).encode()
            world.ttl_end_ms = None if ttl_s is None else now_ms + max(1, round(ttl_s * 1000))
        case ("delete",):
            world.text = world.ttl_end_ms = None
        case "pass", seconds:
            world.pass_time(seconds)
        case "event", operation:
            react(world, operation, options)
            again, count = react(world, operation, options)
            assert count == 0, f"{operation} again: {again.detail}"
            assert again.result is not Result.REJECTED
    world.pass_time(0.001)


@given(actions=st.lists(STEPS, max_size=30), options=OPTIONS)
@settings(max_examples=400, deadline=None, derandomize=True)
def test_any_history_leads_to_complete_and_consistent_lives(actions: list[tuple[Any, ...]], options: Options) -> None:
    world = World()
    for action in actions:
        step(world, action, options)
    for _ in range(2):  # the timers
        world.pass_time(31)
        for operation in ("sweep", "schedule"):
            react(world, operation, options)
    lives = world.lives()
    for life in lives:
        check_life(life)
    assert len({record["id"] for record in world.recorded}) == len(world.recorded)
    stored = read([world.values.get(name) for name in FIELDS]).phantom
    unended = {life[0]["id"].split(".")[1] for life in lives if not is_ended(life)}
    forgotten = any(
        action[0] == "pass" and action[1] > 86_400 for action in actions
    )  # the phantom's TTL may have ended
    assert unended == ({stored.life} if stored and stored.alive else set()) or forgotten
    if world.text is not None and stored:
        told_ms = [ms for ms in (read_form(world.text, TOKEN).told_ms, world.ttl_end_ms) if ms is not None]
        assert stored.alive == all(ms > world.now_us // 1000 for ms in told_ms)
    assert world.text is not None or not stored or not stored.alive


def test_the_note_of_an_announced_session_is_shorter_than_the_memory_of_an_ended_one() -> None:
    """Otherwise a late `set` could wait for a `del` until the tombstone is gone."""
    assert LATE_EVENT_MS < TOMBSTONE_MS
