"""`manage.py migrate`: renames keys, loses and overwrites none, and can be undone."""

import asyncio
import json
import os
import random
import resource
import signal
import stat
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis.asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.migration.journal import VERSION, Header, Journal
from cli.migration.key_patterns import Pattern, common_key, fault_in
from cli.migration.moves import Migration, Report, Undo
from cli.migration.rules import BUILT_IN, RuleText, checked, read_plan
from cli.terminal import Refused
from local.repo.bootstrap import ROOT
from shared.app import App
from tests.cli.conftest import MAX_COMMAND_MS, Manage
from tests.e2e.test_sweep import NEVER, ROWS, batch, running_app
from tests.support.intake import settled

RULES = checked(BUILT_IN)
CHARTS = RuleText("chart:{chartId}:{type}", "fabric:data:chart:{chartId}:{type}", ttl_s=300)
HEADER = Header(VERSION, "a test's:1", [])
SESSION = b'{"userId":"u-1","expires":"2036-01-01T00:00:00.000Z"}'


@contextmanager
def open_journal(path: Path, header: Header = HEADER) -> Iterator[Journal]:
    journal = Journal.create(path, header)
    try:
        yield journal
    finally:
        journal.close()


async def migrate(app: App, path: Path | None, *texts: RuleText, rate: float | None = None) -> Report:
    rules = checked([*BUILT_IN, *texts])
    if path is None:
        work = Migration(app, rules, None, rate)
        await work.run()
        return work.report
    with open_journal(path) as journal:
        work = Migration(app, rules, journal, rate)
        await work.run()
    return work.report


async def undo(app: App, path: Path, *, write: bool = True) -> Report:
    journal = Journal.open(path, HEADER, write=write)
    try:
        work = Undo(app, journal, write)
        await work.run()
    finally:
        journal.close()
    return work.report


async def dumps(client: redis.asyncio.Redis) -> dict[bytes, bytes | None]:
    """Every key with its DUMP; without the counts per minute, which any call may carry."""
    keys = [key async for key in client.scan_iter(count=1000) if not key.startswith(b"functions:stats:")]
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        pipeline.dump(key)
    return dict(zip(keys, await pipeline.execute(), strict=True))


async def string_values(client: redis.asyncio.Redis) -> dict[bytes, bytes]:
    """All but the statistics, which this process may have counted in other tests."""
    keys = [key async for key in client.scan_iter(count=1000) if not key.startswith(b"functions:stats:")]
    values = dict(zip(keys, await client.mget(keys), strict=True)) if keys else {}
    assert None not in values.values(), [key for key, value in values.items() if value is None]
    return values


def write(path: str, text: str) -> None:
    Path(path).write_text(text)


# Rules


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (RuleText("", "fabric:test:connection"), "'from' is empty"),
        (RuleText("a:{x", "fabric:cache:query:{x}"), "'from' has a brace outside of a {part}"),
        (RuleText("a:{x}:{x}", "fabric:cache:query:{x}"), "'from' has a part twice"),
        (RuleText("a:{1}", "fabric:cache:query:{1}"), "whose name is not a plain word"),
        (RuleText("a:{x}-{y}", "fabric:data:chart:{x}:{y}"), "'from' is ambiguous"),
        (RuleText("a:{x}{y}", "fabric:data:chart:{x}:{y}"), "'from' is ambiguous"),
        (RuleText("a:{x}", "fabric:cache:query:{x}:{z}"), "'to' has unknown parts: z"),
        (RuleText("a:{x}:{y}", "fabric:cache:query:{x}"), "'to' drops parts, so that two keys could become one: y"),
        (RuleText("{x}", "fabric:cache:query:{x}"), "'from' must begin with literal text"),
        (RuleText("fabric:{x}:b", "fabric:cache:query:{x}"), "matches keys that are namespaced already"),
        (RuleText("nextauth:{x}", "nextauth:session:{x}"), "matches keys that are namespaced already"),
        (RuleText("n{x}", "nextauth:session:{x}"), "namespaced already, such as nextauth:x"),
        (RuleText("a:{x}", "elsewhere:{x}"), "makes no key of docs/keys.md"),
        (RuleText("a:{x}", "fabric:nothing:{x}"), "makes no key of docs/keys.md"),
        (RuleText("a:{x}", "fabric:cache:chart:{x}:y"), "which only this app writes"),
        (RuleText("a:{x}", "functions:mine:{x}", outside=True), "that only this app writes"),
        (RuleText("session:{x}:y", "fabric:cache:query:{x}"), "both match keys such as session:x:y"),
        (RuleText("a:{x}", "a:b:{x}", outside=True), "rule a:{x} makes keys that a:{x} matches again"),
        (RuleText("a:{x}", "session:{x}", outside=True), "makes keys that session:{id} matches again"),
    ],
    ids=lambda value: value.source if isinstance(value, RuleText) else None,
)
def test_a_harmful_rule_is_refused_with_the_reason(rule: RuleText, reason: str) -> None:
    with pytest.raises(Refused) as refusal:
        checked([*BUILT_IN, rule])
    assert reason in str(refusal.value)


def test_all_faults_of_a_plan_are_reported_at_once() -> None:
    with pytest.raises(Refused) as refusal:
        checked([RuleText("a:{x}", "fabric:cache:query:{y}"), RuleText("b:{", "fabric:cache:query:{x}")])
    assert len(str(refusal.value).splitlines()) == 4


@pytest.mark.parametrize(
    ("rule", "key", "target"),
    [
        (BUILT_IN[0], b"user:123:tokens", b"fabric:user:123:tokens"),
        (BUILT_IN[0], b"user:a:tokens:tokens", b"fabric:user:a:tokens:tokens"),
        (BUILT_IN[0], b"user::tokens", None),
        (BUILT_IN[0], b"user:1:tokens2", None),
        (BUILT_IN[0], b"xuser:1:tokens", None),
        (BUILT_IN[1], b"session:\xff\n\x00*", b"nextauth:session:\xff\n\x00*"),
        (BUILT_IN[1], b"session:", None),
        (BUILT_IN[1], b"sessions:1", None),
        (CHARTS, b"chart:co2:realtime", b"fabric:data:chart:co2:realtime"),
        (CHARTS, b"chart:a:b:realtime", b"fabric:data:chart:a:b:realtime"),
        (CHARTS, b"chart:co2", None),
        (RuleText("cache:{kind}:{id}", "fabric:cache:query:{id}:{kind}"), b"cache:a:b:c", b"fabric:cache:query:c:a:b"),
        (RuleText("up", "fabric:test:connection"), b"up", b"fabric:test:connection"),
        (RuleText("up", "fabric:test:connection"), b"up!", None),
    ],
)
def test_a_rule_matches_exactly_the_keys_of_its_pattern(rule: RuleText, key: bytes, target: bytes | None) -> None:
    assert checked([rule])[0].target_of(key) == target


TEXTS = st.text("ab:", max_size=3)
PATTERNS = (
    st.tuples(TEXTS, st.lists(TEXTS, max_size=2))
    .map(lambda drawn: drawn[0] + "".join(f"{{p{number}}}{text}" for number, text in enumerate(drawn[1])))
    .filter(lambda text: fault_in(text) is None)
)
KEYS = st.text("abx:", max_size=8).map(str.encode)


@given(PATTERNS, PATTERNS, KEYS)
@settings(max_examples=400)
def test_common_key_returns_a_key_exactly_if_both_patterns_match_one(first: str, second: str, key: bytes) -> None:
    first_pattern, second_pattern = Pattern(first), Pattern(second)
    common = common_key(first_pattern.tokens, second_pattern.tokens)
    if common is None:
        assert not (first_pattern.regex.fullmatch(key) and second_pattern.regex.fullmatch(key))
    else:
        assert first_pattern.regex.fullmatch(common)
        assert second_pattern.regex.fullmatch(common)


@given(PATTERNS, st.lists(st.binary(min_size=1, max_size=6), min_size=2, max_size=2))
def test_a_filled_pattern_is_parsed_into_the_same_parts(text: str, values: list[bytes]) -> None:
    pattern = Pattern(text)
    parts = {
        name: value if number == 0 else value.replace(b":", b".")
        for number, (name, value) in enumerate(zip(pattern.parts, values, strict=False))
    }
    match = pattern.regex.fullmatch(pattern.fill(parts))
    assert match is not None
    assert match.groupdict() == parts


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "plan.toml",
            '[[rule]]\nfrom = "chart:{chartId}:{type}"\nto = "fabric:data:chart:{chartId}:{type}"\nttl_s = 300',
        ),
        ("plan.json", json.dumps([{"from": CHARTS.source, "to": CHARTS.target, "ttl_s": 300}])),
        ("plan.json", json.dumps({"rule": [{"from": CHARTS.source, "to": CHARTS.target, "ttl_s": 300}]})),
    ],
    ids=["toml", "json list", "json"],
)
def test_a_plan_adds_rules_to_the_built_in_rules(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert [rule.text for rule in read_plan(tmp_path / name)] == [*BUILT_IN, CHARTS]


def test_a_plan_can_replace_the_built_in_rules(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(
        'built_in = false\n[[rule]]\nfrom = "session:{id}"\nto = "old:{id}"\noutside = true'
    )
    assert [rule.text.target for rule in read_plan(tmp_path / "plan.toml")] == ["old:{id}"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("plan.toml", b"[[rule]\n", "line 1"),
        ("plan.toml", b"\xff", "decode"),
        ("plan.json", b"[" * 100_000, "plan.json"),
        ("plan.json", b"3", "Expected `object`"),
        ("plan.json", b'[{"from":"a"}]', "missing required field `to`"),
        ("plan.json", b'[{"from":"a","to":"b","ttl":3}]', "unknown field `ttl`"),
        ("plan.json", b'[{"from":"a","to":"b","ttl_s":0}]', "ttl_s"),
        ("plan.json", b'[{"from":"a\\ud800","to":"b"}]', "is not valid text"),
        ("plan.json", b"[" + b" " * 1024 * 1024, "larger than"),
        ("plan.json", b'{"built_in":false,"rule":[]}', "no rules"),
    ],
)
def test_an_invalid_plan_is_refused_with_the_reason(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Refused) as refusal:
        read_plan(tmp_path / name)
    assert reason in str(refusal.value)
    assert len(str(refusal.value)) < 1000


# Renames


async def test_renamed_keys_keep_their_content_and_ttl(app: App, tmp_path: Path) -> None:
    await app.redis.set(b"session:\xff\xfe", SESSION, px=5_000_000)
    await app.redis.hset("user:u-1:tokens", "a", "1")
    await app.redis.set("chart:c:realtime", "[]")
    await app.redis.set("chart:d:realtime", "[]", ex=3000)
    await app.redis.set("other", "untouched")
    report = await migrate(app, tmp_path / "j", CHARTS)
    assert report.of("moved") == 4
    assert report.left_alone == 0
    assert set(await dumps(app.redis)) == {
        b"nextauth:session:\xff\xfe",
        b"fabric:user:u-1:tokens",
        b"fabric:data:chart:c:realtime",
        b"fabric:data:chart:d:realtime",
        b"other",
    }
    assert 4_900_000 < await app.redis.pttl(b"nextauth:session:\xff\xfe") <= 5_000_000
    assert await app.redis.ttl("fabric:user:u-1:tokens") == -1
    assert 290 < await app.redis.ttl("fabric:data:chart:c:realtime") <= 300
    assert 2900 < await app.redis.ttl("fabric:data:chart:d:realtime") <= 3000


async def test_a_dry_run_changes_nothing_and_reports_the_same(app: App, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    await app.redis.mset({"session:1": "a", "session:2": "b", "nextauth:session:2": "c", "chart::x": "d"})
    before = await dumps(app.redis)
    dry = await migrate(app, None, CHARTS)
    assert await dumps(app.redis) == before
    assert os.listdir() == []
    wet = await migrate(app, tmp_path / "j", CHARTS)
    assert dry.counts == wet.counts == {(1, "moved"): 1, (1, "conflict"): 1}
    assert dry.listed == wet.listed


async def test_a_key_whose_new_name_exists_is_not_renamed(app: App, tmp_path: Path) -> None:
    await app.redis.mset({"session:1": "old", "nextauth:session:1": "new"})
    await app.redis.mset({"session:2": "equal", "nextauth:session:2": "equal"})
    await app.redis.mset({"session:big": "x" * 300_000, "nextauth:session:big": "x" * 300_000})
    await app.redis.hset("user:1:tokens", mapping={"a": "1", "b": "2"})
    await app.redis.hset("fabric:user:1:tokens", mapping={"a": "1", "b": "2"})
    await app.redis.rpush("user:2:tokens", *range(2000))
    await app.redis.rpush("fabric:user:2:tokens", *range(2000))
    await app.redis.set("user:3:tokens", "a")
    await app.redis.hset("fabric:user:3:tokens", "a", "a")
    before = await dumps(app.redis)
    report = await migrate(app, tmp_path / "j")
    assert await dumps(app.redis) == before
    assert {(entry.target, entry.why) for entry in report.listed} == {
        (b"nextauth:session:1", "conflict"),
        (b"nextauth:session:2", "same"),
        (b"nextauth:session:big", "conflict"),
        (b"fabric:user:1:tokens", "same"),
        (b"fabric:user:2:tokens", "conflict"),
        (b"fabric:user:3:tokens", "conflict"),
    }
    lines = [json.loads(line) for line in (tmp_path / "j").read_text().splitlines()]
    assert {(entry["from"], entry["why"]) for entry in lines if entry["is"] == "left alone"} >= {
        ("session:1", "conflict")
    }
    assert sum(entry["is"] == "left alone" for entry in lines) == 6


async def test_a_key_whose_new_name_is_of_another_kind_is_not_renamed(app: App, tmp_path: Path) -> None:
    await app.redis.set("session:by-user-id:u", "session:1")
    report = await migrate(app, tmp_path / "j")
    assert [(entry.target, entry.why) for entry in report.listed] == [(b"nextauth:session:by-user-id:u", "unfit")]
    assert await app.redis.get("session:by-user-id:u") == b"session:1"


async def test_many_conflicts_are_listed_in_part_and_journalled_in_full(app: App, tmp_path: Path) -> None:
    await app.redis.mset({f"{prefix}session:{n}": prefix for n in range(500) for prefix in ("", "nextauth:")})
    report = await migrate(app, tmp_path / "j")
    assert report.of("conflict") == 500
    assert len(report.listed) == 20
    assert (tmp_path / "j").read_text().count('"conflict"') == 500


async def test_a_rate_bounds_the_keys_per_second(app: App, tmp_path: Path) -> None:
    await app.redis.mset({f"session:{n}": "x" for n in range(100)})
    started_s = time.monotonic()
    report = await migrate(app, tmp_path / "j", rate=200)
    assert report.of("moved") == 100
    assert time.monotonic() - started_s > 0.4


# Journal and undo


async def test_undo_restores_exactly_the_renamed_keys(app: App, tmp_path: Path) -> None:
    await app.redis.set(b"session:\xff", "a", ex=1000)
    await app.redis.set("chart:c:r", "b")
    await app.redis.set("chart:own-ttl:r", "b", ex=4000)
    await app.redis.mset({"session:2": "old", "nextauth:session:2": "new"})
    before = await dumps(app.redis)
    await migrate(app, tmp_path / "j", CHARTS)
    assert await app.redis.ttl("fabric:data:chart:c:r") > 0
    dry_run = await undo(app, tmp_path / "j", write=False)
    assert (dry_run.of("moved"), await app.redis.exists("chart:c:r")) == (3, 0)
    assert (await undo(app, tmp_path / "j")).counts == {(0, "moved"): 3}
    assert await dumps(app.redis) == before
    assert await app.redis.ttl("chart:c:r") == -1
    assert await app.redis.ttl(b"session:\xff") > 900
    assert await app.redis.ttl("chart:own-ttl:r") > 3900
    assert (await undo(app, tmp_path / "j")).counts == {}


async def test_undo_keeps_a_ttl_that_the_application_set_since(app: App, tmp_path: Path) -> None:
    await app.redis.set("chart:c:r", "b")
    await migrate(app, tmp_path / "j", CHARTS)
    await app.redis.set("fabric:data:chart:c:r", "new", ex=250)
    await undo(app, tmp_path / "j")
    assert await app.redis.get("chart:c:r") == b"new"
    assert 240 < await app.redis.ttl("chart:c:r") <= 250


async def test_undo_never_overwrites_a_key_and_can_be_continued(app: App, tmp_path: Path) -> None:
    await app.redis.mset({"session:1": "a", "session:2": "b", "session:3": "c"})
    await migrate(app, tmp_path / "j")
    await app.redis.set("session:1", "another")
    await app.redis.delete("nextauth:session:2")
    assert (await undo(app, tmp_path / "j")).counts == {(0, "moved"): 1, (0, "gone"): 1, (0, "conflict"): 1}
    assert await string_values(app.redis) == {b"session:1": b"another", b"nextauth:session:1": b"a", b"session:3": b"c"}
    await app.redis.mset({"nextauth:session:2": "of the application", "nextauth:session:3": "of the application"})
    await app.redis.delete("session:1", "session:3")
    assert (await undo(app, tmp_path / "j")).counts == {(0, "moved"): 1}, "a settled rename is not undone again"
    assert await app.redis.get("session:1") == b"a"
    assert await app.redis.get("nextauth:session:3") == b"of the application"


async def test_a_migration_after_an_undo_can_use_the_same_journal(app: App, tmp_path: Path) -> None:
    await app.redis.set("session:1", "a")
    for _ in range(2):
        assert (await migrate(app, tmp_path / "j")).of("moved") == 1
        assert (await undo(app, tmp_path / "j")).of("moved") == 1
    assert await string_values(app.redis) == {b"session:1": b"a"}


async def test_undo_resolves_a_crash_between_the_journal_and_the_renames(app: App, tmp_path: Path) -> None:
    await app.redis.mset({"session:made": "a", "session:not": "b", "session:both": "c", "nextauth:session:both": "d"})
    with open_journal(tmp_path / "j") as journal:
        names = (b"made", b"not", b"both", b"neither")
        journal.write_ahead([(b"session:" + name, b"nextauth:session:" + name) for name in names], [None] * 4)
    await app.redis.rename("session:made", "nextauth:session:made")
    assert (await undo(app, tmp_path / "j", write=False)).of("moved") == 1
    assert (await undo(app, tmp_path / "j")).counts == {(0, "moved"): 1}
    await app.redis.mset({"nextauth:session:neither": "x", "nextauth:session:not": "x"})
    await app.redis.delete("session:not")
    assert (await undo(app, tmp_path / "j")).counts == {}
    assert set(await string_values(app.redis)) == {
        b"session:made",
        b"session:both",
        b"nextauth:session:both",
        b"nextauth:session:neither",
        b"nextauth:session:not",
    }


def test_a_line_that_was_half_written_at_a_crash_is_removed(tmp_path: Path) -> None:
    with open_journal(tmp_path / "j") as journal:
        journal.write_ahead([(b"session:1", b"nextauth:session:1")], [None])
    for torn in (b'{"is":"rena', b"{" + b"x" * 200_000):
        with (tmp_path / "j").open("ab") as file:
            file.write(torn)
        with open_journal(tmp_path / "j") as journal:
            journal.write_ahead([(b"session:2", b"nextauth:session:2")], [None])
            assert journal.unreadable == 0
    with open_journal(tmp_path / "j") as journal:
        assert [rename.n for rename in journal.doubtful] == [1, 2, 3]


def test_unreadable_lines_are_counted_and_skipped(tmp_path: Path) -> None:
    with open_journal(tmp_path / "j") as journal:
        journal.write_ahead([(b"session:1", b"nextauth:session:1")], [None])
    with (tmp_path / "j").open("ab") as file:
        file.write(
            b'\x00\x00\n{"is":"rename","n":7,"from":"\xe2\x82\xac","to":"x"}\n{"is":"undone","runs":[[1,99999999999]]}\n'
        )
    with open_journal(tmp_path / "j") as journal:
        assert journal.unreadable == 2
        assert [rename.n for rename in journal.doubtful] == [1]
        journal.settle({1})
        assert [rename.keys for rename in journal.made()] == [(b"session:1", b"nextauth:session:1")]


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=40), st.binary(min_size=1, max_size=40)), max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_journal_stores_keys_of_any_bytes(tmp_path: Path, names: list[tuple[bytes, bytes]]) -> None:
    path = tmp_path / uuid.uuid4().hex
    with open_journal(path) as journal:
        journal.outcome(journal.write_ahead(names, [None] * len(names)), [])
    with open_journal(path) as journal:
        assert journal.doubtful == []
        assert [rename.keys for rename in journal.made()] == names


@given(st.lists(st.binary(max_size=12), max_size=30, unique=True), st.integers(0, 2**32))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_undo_restores_any_keys(redis_port: int, app_settings, tmp_path: Path, names: list[bytes], seed: int) -> None:
    """Whatever the keys are, and whichever new names exist already: nothing is lost or overwritten."""
    rng = random.Random(seed)
    prefixes = [b"", b"session:", b"user:", b"chart:", b"nextauth:session:", b"fabric:data:chart:"]
    keys = {
        rng.choice(prefixes) + name + rng.choice([b"", b":tokens", b":r"]): b"%d" % n for n, name in enumerate(names)
    }
    path = tmp_path / uuid.uuid4().hex

    async def migrate_and_undo() -> None:
        context = App(app_settings, redis.asyncio.Redis(port=redis_port))
        async with context.redis:
            await context.redis.flushall()
            if keys:
                await context.redis.mset(keys)
            report = await migrate(context, path, CHARTS)
            renamed = await string_values(context.redis)
            assert sorted(renamed.values()) == sorted(keys.values())
            assert len(renamed.keys() - keys.keys()) == report.of("moved")
            assert (await undo(context, path)).of("moved") == report.of("moved")
            assert await string_values(context.redis) == keys

    asyncio.run(migrate_and_undo())


def test_the_journal_is_private_to_its_owner_and_to_one_process(tmp_path: Path) -> None:
    with open_journal(tmp_path / "j"):
        assert stat.S_IMODE((tmp_path / "j").stat().st_mode) == 0o600
        with pytest.raises(Refused, match="in use"):
            Journal.create(tmp_path / "j", HEADER)


def _others_can_read(path: Path) -> None:
    Journal.create(path, HEADER).close()
    path.chmod(0o640)


def _link(path: Path) -> None:
    Journal.create(path.with_name("elsewhere"), HEADER).close()
    path.symlink_to(path.with_name("elsewhere"))


def _text(path: Path) -> None:
    path.write_text("precious")
    path.chmod(0o600)


UNFIT = {
    "can be read by others": _others_can_read,
    "is a symbolic link": _link,
    "is not a journal": _text,
    "is not a regular file": lambda path: os.mkfifo(path, 0o600),
    "Is a directory": lambda path: path.mkdir(mode=0o700),
    "has other rules": lambda path: Journal.create(path, Header(VERSION, HEADER.redis, [CHARTS])).close(),
    "is for elsewhere:1": lambda path: Journal.create(path, Header(VERSION, "elsewhere:1", [])).close(),
}


@pytest.mark.parametrize("reason", UNFIT)
def test_a_file_that_is_not_a_journal_of_this_migration_is_refused_and_not_changed(tmp_path: Path, reason: str) -> None:
    path = tmp_path / "j"
    UNFIT[reason](path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(Refused, match=reason):
        Journal.create(path, Header(VERSION, HEADER.redis, list(BUILT_IN)))
    assert (path.read_bytes() if path.is_file() else None) == before


# Interruptions


def start_migrate(environment: dict[str, str], *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "migrate", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


async def write_old_keys(client: redis.asyncio.Redis, count: int) -> dict[bytes, bytes]:
    """Write sessions and tokens under their old names, every tenth session in conflict; returns all keys and values."""
    keys = {b"session:s%d" % n: b"old %d" % n for n in range(count // 2)}
    keys |= {b"user:u%d:tokens" % n: b"tokens %d" % n for n in range(count // 2)}
    keys |= {b"nextauth:session:s%d" % n: b"new %d" % n for n in range(0, count // 2, 10)}
    for chunk in range(0, len(keys), 5000):
        await client.mset(dict(list(keys.items())[chunk : chunk + 5000]))
    return keys


def expected_keys(keys: dict[bytes, bytes]) -> dict[bytes, bytes]:
    renamed = {}
    for key, value in keys.items():
        target = next((new for rule in RULES if (new := rule.target_of(key))), None)
        renamed[key if target is None or target in keys else target] = value
    return renamed


async def count_pending(client: redis.asyncio.Redis, command: list[str]) -> int:
    """Number of token keys that are still to be renamed: it changes with the first rename."""
    prefix = b"fabric:user:" if "--undo" in command else b"user:"
    return sum([1 async for _ in client.scan_iter(prefix + b"*", count=1000)])


@pytest.mark.parametrize("seed", range(1))
async def test_a_migration_killed_at_any_moment_can_be_continued_and_undone(
    redis_client: redis.asyncio.Redis,
    manage: Manage,
    manage_environment: dict[str, str],
    tmp_path: Path,
    request: pytest.FixtureRequest,
    seed: int,
    measured,
) -> None:
    soak = request.config.getoption("--soak")
    rng, kills = random.Random(seed), 0
    keys = await write_old_keys(redis_client, 100_000 if soak else 10_000)
    for command, goal in (
        (["--apply", "--journal", str(tmp_path / "j")], expected_keys(keys)),
        (["--undo", str(tmp_path / "j"), "--apply"], keys),
    ):
        for _ in range(30 if soak else 2):
            process = start_migrate(manage_environment, *command, "--rate", "5000")
            pending = await count_pending(redis_client, command)
            async with asyncio.timeout(30):
                while process.poll() is None:
                    if await count_pending(redis_client, command) != pending:  # the first rename was made
                        break
                    await asyncio.sleep(0.01)
            await asyncio.sleep(rng.uniform(0, 0.5))
            process.kill()
            process.communicate()
            kills += process.returncode == -signal.SIGKILL
            assert sorted((await string_values(redis_client)).values()) == sorted(keys.values()), "lost or overwritten"
        code, _, stderr = await asyncio.to_thread(manage, "migrate", *command)
        assert code in {0, 1}, stderr
        assert await string_values(redis_client) == goal
    measured("migrate: killed", kills, "times")
    assert kills


async def test_after_an_interrupt_the_journal_has_exactly_the_completed_renames(
    redis_client: redis.asyncio.Redis, redis_port: int, manage_environment: dict[str, str], tmp_path: Path
) -> None:
    keys = await write_old_keys(redis_client, 4000)
    path = str(tmp_path / "j")
    process = start_migrate(manage_environment, "--apply", "--journal", path, "--rate", "2000")
    assert process.stderr is not None
    assert b"journal" in await asyncio.to_thread(process.stderr.readline)
    process.send_signal(signal.SIGINT)
    _, stderr = await asyncio.to_thread(process.communicate)
    assert process.returncode == 130
    assert f"To continue: python3 manage.py migrate --apply --journal {path} --rate 2000\n" in stderr.decode()
    journal = Journal.open(tmp_path / "j", Header(VERSION, f"127.0.0.1:{redis_port}", []), write=False)
    assert journal.doubtful == []
    assert {rename.keys[1] for rename in journal.made()} == (await string_values(redis_client)).keys() - keys.keys()
    journal.close()


async def test_a_full_disk_is_reported_and_every_rename_is_in_the_journal(
    redis_client: redis.asyncio.Redis, manage: Manage, manage_environment: dict[str, str], tmp_path: Path
) -> None:
    keys = await write_old_keys(redis_client, 4000)
    command = [sys.executable, "manage.py", "migrate", "--apply", "--journal", str(tmp_path / "j")]
    completed = await asyncio.to_thread(
        subprocess.run,
        ["prlimit", "--fsize=100000", *command],
        cwd=ROOT,
        env=manage_environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert completed.returncode == 2
    assert "cannot be written: File too large" in completed.stderr
    assert "Redis:" not in completed.stderr
    renamed = await string_values(redis_client)
    assert renamed != keys
    assert sorted(renamed.values()) == sorted(keys.values())
    code, _, stderr = await asyncio.to_thread(manage, "migrate", "--undo", str(tmp_path / "j"), "--apply")
    assert code == 0, stderr
    assert await string_values(redis_client) == keys


# The whole command


async def test_a_large_migration_uses_bounded_memory_and_does_not_block_the_server(
    app: App, tmp_path: Path, request: pytest.FixtureRequest, measured: Callable[[str, float, str], None]
) -> None:
    """Every call does the same bounded work. A busy machine may interrupt the server during a few of them, which then
    appear slow; work that blocks the server would be visible in most calls of a kind, and in their mean."""
    count = 1_000_000 if request.config.getoption("--soak") else 60_000
    load = "for n = ARGV[1], ARGV[2] do redis.call('SET', 'session:s' .. n, n, 'EX', 3600) end"
    for first in range(0, count, 1000):
        await app.redis.eval(load, 0, first, first + 999)
    await app.redis.config_set("slowlog-log-slower-than", MAX_COMMAND_MS * 1000)
    await app.redis.config_resetstat()
    await app.redis.slowlog_reset()
    before, cpu_s = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    started_s = time.perf_counter()
    migration = await migrate(app, tmp_path / "j")
    took_s, cpu_s = time.perf_counter() - started_s, time.process_time() - cpu_s
    reversal = await undo(app, tmp_path / "j")
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    slow = await app.redis.slowlog_get(128)
    calls = await app.redis.info("commandstats")
    measured(f"migrate: {count} keys", count / took_s, "keys/s")
    measured("migrate: processor time of a key", cpu_s / count * 1e6, "us")
    measured("migrate and undo: memory grown by", grown_mib, "MiB")
    measured(f"migrate and undo: commands over {MAX_COMMAND_MS} ms", len(slow), "commands")
    assert migration.of("moved") == reversal.of("moved") == count
    assert await app.redis.dbsize() == count
    assert grown_mib < 32
    for name in ("cmdstat_scan", "cmdstat_evalsha"):
        measured(f"migrate: {name}, mean", calls[name]["usec_per_call"] / 1000, "ms")
        assert calls[name]["usec_per_call"] < MAX_COMMAND_MS * 1000 / 5
    assert len(slow) <= (calls["cmdstat_scan"]["calls"] + calls["cmdstat_evalsha"]["calls"]) / 100


async def test_the_command_reports_its_renames_without_secrets(
    redis_client: redis.asyncio.Redis, manage: Manage, tmp_path: Path
) -> None:
    token = "session:very-secret-token"
    await redis_client.mset({token: "a", f"nextauth:{token}": "b", "session:2": "c"})
    plan, journal = str(tmp_path / "plan.json"), str(tmp_path / "j")
    write(plan, json.dumps([{"from": CHARTS.source, "to": CHARTS.target}]))
    outputs = []
    for arguments, code in (
        (["--plan", plan], 1),
        (["--plan", plan, "--json"], 1),
        (["--plan", plan, "--apply", "--journal", journal], 1),
        (["--undo", journal], 0),
        (["--undo", journal, "--apply", "--json"], 0),
        (["--undo", journal, "--plan", plan], 2),
        (["--journal", "k"], 2),
        (["--undo", "nothing"], 2),
    ):
        exit_code, stdout, stderr = manage("migrate", *arguments)
        assert exit_code == code, stderr
        outputs.append(stdout)
        assert "very-secret" not in stdout + stderr
        assert "Traceback" not in stderr
    assert "nothing was changed" in outputs[0]
    assert json.loads(outputs[1])["rules"][1] == {
        "from": "session:{id}",
        "to": "nextauth:session:{id}",
        "moved": 1,
        "gone": 0,
        "conflict": 1,
        "same": 0,
        "unfit": 0,
    }
    assert "session:{id} -> nextauth:session:~" in outputs[2]
    assert json.loads(outputs[4])["undone"] == {"moved": 1, "gone": 0, "conflict": 0, "same": 0, "unreadable": 0}
    assert await redis_client.dbsize() == 3


async def test_the_app_reacts_to_the_events_of_renames(
    redis_client: redis.asyncio.Redis, manage: Manage, tmp_path: Path
) -> None:
    await redis_client.set("session:s1", SESSION, ex=3000)
    await redis_client.set("temp:b1", batch(1), ex=3000)
    await redis_client.set("chart:c1:realtime", json.dumps(ROWS))
    plan = [
        {"from": "temp:{batchId}", "to": "fastapi:temp:data:{batchId}"},
        {"from": CHARTS.source, "to": CHARTS.target, "ttl_s": 300},
    ]
    write(str(tmp_path / "plan.json"), json.dumps(plan))
    never = dict.fromkeys(("SWEEP_SCHEDULE", "RETRY_SCHEDULE", "EXPIRY_SCHEDULE", "AUDIT_SCHEDULE"), NEVER)
    async with running_app(redis_client, BURST_SWEEP="false", **never) as live:
        await settled(live.host)
        journal = str(tmp_path / "j")
        command = ["--apply", "--plan", str(tmp_path / "plan.json"), "--journal", journal]
        code, _, stderr = await asyncio.to_thread(manage, "migrate", *command)
        assert code == 0, stderr
        [[_, [(last, fields)]]] = await redis_client.xread({"functions:audit:sessions": "0"}, block=10_000)
        record = json.loads(fields[b"event"])
        assert (record["type"], record["data"]["detectedBy"]) == ("nextauth.session.created", "event")
        assert record["data"]["userId"] == "u-1"
        await settled(live.host)
        assert json.loads(await redis_client.get("fastapi:results:analysis:b1"))["batchId"] == "b1"
        assert await redis_client.exists("fabric:cache:chart:c1:realtime")
        await asyncio.to_thread(manage, "migrate", "--undo", journal, "--apply")
        [[_, [(_, fields)]]] = await redis_client.xread({"functions:audit:sessions": last}, block=10_000)
        ended = json.loads(fields[b"event"])
        assert (ended["type"], ended["data"]["reason"]) == ("nextauth.session.ended", "renamed")
