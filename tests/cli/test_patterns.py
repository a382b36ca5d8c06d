"""`manage.py patterns test`: checks the table of the docs, explains keys, and tests events live."""

import json

import pytest
import redis.asyncio

from cli.patterns import DOCUMENT, Row, read_table
from shared.operations import routing
from shared.registry import REACTORS
from tests.cli.conftest import Manage

ROWS = read_table(DOCUMENT)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: repr(row.key))
def test_the_table_in_the_docs_agrees_with_the_routing(row: Row) -> None:
    verdict = routing.explain(row.key)
    assert (verdict.function, verdict.why) == (row.function, row.why)


def test_the_table_has_keys_of_every_function_and_of_none() -> None:
    assert len(ROWS) >= 25
    assert {row.function for row in ROWS} == {None, *(reactor.function for reactor in REACTORS)}
    assert b"\xff" in b"".join(row.key for row in ROWS)


async def test_without_arguments_the_table_is_checked_and_the_live_test_runs(
    manage: Manage, redis_client: redis.asyncio.Redis
) -> None:
    code, output, stderr = manage("patterns", "test")
    assert (code, stderr) == (0, "")
    assert "Every event arrived" in output
    assert " NO" not in output
    assert await redis_client.dbsize() == 0


async def test_events_that_do_not_arrive_end_with_1(manage: Manage, redis_client: redis.asyncio.Redis) -> None:
    former = (await redis_client.config_get("notify-keyspace-events"))["notify-keyspace-events"]
    await redis_client.config_set("notify-keyspace-events", "Ex")
    try:
        code, output, _ = manage("patterns", "test", "--json")
    finally:
        await redis_client.config_set("notify-keyspace-events", former)
    report = json.loads(output)
    assert code == 1
    assert all(entry["right"] for entry in report["table"])
    assert len(report["live"]) == 10
    assert all(entry["delayMs"] is None for entry in report["live"])


def test_keys_are_shown_masked_with_the_reason(manage: Manage) -> None:
    code, output, _ = manage(
        "patterns", "test", "nextauth:session:*", "nextauth:session:tok3n", "nextauth:sessions:tok3n"
    )
    assert code == 1
    assert "tok3n" not in output
    assert "matches" in output
    assert "near miss of nextauth:session:*" in output
    code, output, _ = manage("patterns", "test", "--json", "*", "fabric:data:chart:a:b")
    (entry,) = json.loads(output)["keys"]
    assert code == 0
    assert (entry["matches"], entry["function"], entry["reacts"]) == (True, "update_charts", True)


def test_a_pattern_without_keys_or_above_the_size_limit_is_refused(manage: Manage) -> None:
    code, _, stderr = manage("patterns", "test", "nextauth:*")
    assert code == 2
    assert "give a key after the pattern" in stderr
    code, _, stderr = manage("patterns", "test", "*a" * 600, "a")
    assert code == 2
    assert "1200 bytes" in stderr
