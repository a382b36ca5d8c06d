"""Dead letters by reactor, reason, age and key: grouped, and acted on some at a time, each once."""

import asyncio
import json

import pytest

from shared import namespaces
from shared.app import App
from shared.delivery import dead_letters
from shared.delivery.dead_letters import Payload
from shared.errors import Rejected
from shared.operations import activity, effects, exposition, letter_selection
from shared.operations.letter_selection import ALL, LetterSelection
from shared.sessions import reactor as sessions
from shared.telemetry import metrics, minute_counts
from tests.support.causes import cause

GOOD = json.dumps([{"metric": "temp", "ts": 1, "value": 2.0}]).encode()
TOKEN = b"a-session-token-nobody-may-see"


async def bury(app: App, number: int, error: Exception, content: bytes = GOOD, reactor: str = "batches") -> str:
    key = b"fastapi:temp:data:%s-%d" % (reactor.encode(), number)
    return await dead_letters.bury(app, reactor, key, error, Payload("string", f"{number:040}", [content]))


async def buried(app: App) -> list[str]:
    """Letters of four reasons; returns their ids."""
    ids = [await bury(app, n, Rejected(f"`column{n}` holds text")) for n in range(3)]
    ids += [await bury(app, n, Rejected(f"{n},000 bytes, more than 500 are read")) for n in range(10, 15)]
    ids += [await bury(app, 20, TimeoutError()), await bury(app, 30, Rejected("not JSON"), reactor="charts")]
    return ids


async def selected(app: App, **filters: object) -> int:
    return len([letter async for letter in letter_selection.selected(app, LetterSelection(**filters))])  # type: ignore[arg-type]


async def test_letters_are_grouped_by_reactor_and_reason_whatever_names_and_numbers_are_in_it(app: App) -> None:
    ids = await buried(app)
    groups = (await letter_selection.groups(app)).groups
    assert [(group.count, group.reactor, group.reason) for group in groups] == [
        (5, "batches", "Rejected: # bytes, more than # are read"),
        (3, "batches", "Rejected: `*` holds text"),
        (1, "batches", "TimeoutError"),
        (1, "charts", "Rejected: not JSON"),
    ]
    assert groups[1].newest_id in ids[:3]
    assert groups[1].oldest <= groups[1].newest


async def test_each_filter_selects_its_letters_and_all_that_are_given_must_hold(app: App) -> None:
    ids = await buried(app)
    seconds, _ = await app.redis.time()
    await app.redis.zadd(namespaces.build(namespaces.DEAD_INDEX), {ids[0]: 1000 * (seconds - 7200)})
    letters = namespaces.build(namespaces.DEAD_LETTERS)
    raw = await app.redis.hget(letters, ids[0])
    attempts, first_ms, _, rest = raw.split(b" ", 3)
    await app.redis.hset(letters, ids[0], b" ".join([attempts, first_ms, b"%d" % (1000 * (seconds - 7200)), rest]))
    assert await selected(app) == 10
    assert await selected(app, reactor="charts") == 1
    assert await selected(app, reason="HOLDS text") == 3
    assert await selected(app, reason="# bytes") == 5
    assert await selected(app, reason="`column1`") == 1
    assert await selected(app, match="fastapi:temp:data:*-1?") == 5
    assert await selected(app, older_than_s=3600) == 1
    assert await selected(app, newer_than_s=3600) == 9
    assert await selected(app, reason="holds text", newer_than_s=3600, match="*-2") == 1


async def test_a_group_selects_its_own_letters_and_no_others_whose_reason_contains_it(app: App) -> None:
    await buried(app)
    await bury(app, 50, Rejected("not JSON: not JSON at all"), reactor="charts")
    for group in (await letter_selection.groups(app)).groups:
        assert await selected(app, reactor=group.reactor, group=group.reason) == group.count
    assert await selected(app, group="Rejected: not JSON") == 1


async def test_a_group_of_names_between_back_ticks_can_be_selected(app: App) -> None:
    await bury(app, 1, Rejected("``" * 200))
    (group,) = (await letter_selection.groups(app)).groups
    assert len(group.reason) <= letter_selection.MAX_GROUP_CHARS
    assert await selected(app, group=group.reason) == 1


async def test_of_thousands_of_reasons_the_most_frequent_are_shown_and_all_are_counted(app: App) -> None:
    """The page and the terminal stay usable whatever a client writes."""
    ids = [await bury(app, number, Rejected("not JSON")) for number in range(2)]
    letters, index = namespaces.build(namespaces.DEAD_LETTERS), namespaces.build(namespaces.DEAD_INDEX)
    raw, buried_ms = await app.redis.hget(letters, ids[0]), await app.redis.zscore(index, ids[0])
    pipeline = app.redis.pipeline(transaction=False)
    for number in range(9000):
        word = "".join(chr(ord("a") + int(digit)) for digit in f"{number:04}")
        pipeline.hset(letters, f"{number:032x}", raw.replace(b"JSON", word.encode()))
        pipeline.zadd(index, {f"{number:032x}": buried_ms})
    await pipeline.execute()
    found = await letter_selection.groups(app)
    assert len(found.groups) == letter_selection.MAX_GROUPS
    assert found.groups_total == 9001
    assert (found.groups[0].reason, found.groups[0].count) == ("Rejected: not JSON", 2)


@pytest.mark.parametrize("limit", [1, 20])
async def test_a_rare_letter_among_thousands_is_found_in_a_few_round_trips(app: App, limit: int) -> None:
    """Each page of 20 of a group of few letters would otherwise be a thousand round trips."""
    (rare,) = [await bury(app, 1, TimeoutError())]
    letters, index = namespaces.build(namespaces.DEAD_LETTERS), namespaces.build(namespaces.DEAD_INDEX)
    raw = await app.redis.hget(letters, await bury(app, 2, Rejected("not JSON")))
    buried_ms = await app.redis.zscore(index, rare)
    await app.redis.hset(letters, mapping={f"{number:032x}": raw for number in range(4000)})
    await app.redis.zadd(index, {f"{number:032x}": buried_ms + 1 for number in range(4000)})

    async def round_trips() -> int:
        stats = await app.redis.info("commandstats")
        return sum(row["calls"] for name, row in stats.items() if name.startswith("cmdstat_eval"))

    before = await round_trips()
    page = await letter_selection.page(app, LetterSelection(reason="timeout"), None, limit)
    assert [letter.id for letter in page.letters] == [rare]
    assert await round_trips() - before < 50


async def test_pages_of_a_filter_have_each_letter_once_whatever_their_size(app: App) -> None:
    expected = [await bury(app, number, TimeoutError() if number % 3 else Rejected("not JSON")) for number in range(60)]
    del expected[::3]
    for limit in (1, 7, 40, 500):
        seen, cursor = list[str](), None
        while not seen or cursor:
            page = await letter_selection.page(app, LetterSelection(reason="timeout"), cursor, limit)
            assert len(page.letters) <= limit
            seen += [letter.id for letter in page.letters]
            cursor = page.next_cursor
        assert sorted(seen) == sorted(expected)


async def test_a_letter_with_a_time_that_no_calendar_has_is_in_its_group(app: App) -> None:
    letter = await bury(app, 1, Rejected("not JSON"))
    letters = namespaces.build(namespaces.DEAD_LETTERS)
    attempts, _, _, rest = (await app.redis.hget(letters, letter)).split(b" ", 3)
    await app.redis.hset(letters, letter, b" ".join([attempts, b"1", b"9" * 15, rest]))
    (group,) = (await letter_selection.groups(app)).groups
    assert (group.count, group.newest) == (1, "9999-12-31T23:59:59.999Z")


async def test_a_key_is_matched_as_it_is_shown_and_not_by_its_secret(app: App) -> None:
    await app.redis.set(b"nextauth:session:" + TOKEN, "no object")
    await sessions.react(app, [b"nextauth:session:" + TOKEN], cause("set"))
    assert await selected(app, match="nextauth:session:~*") == 1
    assert await selected(app, match=f"nextauth:session:{TOKEN.decode()}") == 0
    [group] = (await letter_selection.groups(app)).groups
    assert group.newest_key.startswith("nextauth:session:~")


async def test_a_selection_is_replayed_some_at_a_time_each_letter_once(app: App) -> None:
    for number in range(45):
        await bury(app, number, TimeoutError(), GOOD if number % 3 else b"{")
    cursor, outcomes, calls = None, [], 0
    while calls == 0 or cursor:
        results = await letter_selection.replay_selected(app, ALL, cursor=cursor, limit=25)
        outcomes += [(result.outcome, result.removed) for result in results.letters]
        cursor, calls = results.next_cursor, calls + 1
    assert calls == 2
    assert sorted(outcomes) == [("processed", True)] * 30 + [("rejected", False)] * 15
    assert {group.count for group in (await letter_selection.groups(app)).groups} == {15}


async def test_what_a_selection_s_replay_did_is_in_the_metrics_the_statistics_and_the_feed(app: App) -> None:
    minute_counts.take(now=True)
    before = metrics.counts["replay_dead_letters", "processed"]
    for number in range(3):
        await bury(app, number, TimeoutError())
    await letter_selection.replay_selected(app, ALL)
    assert metrics.counts["replay_dead_letters", "processed"] == before + 3
    text = await exposition.text(app)
    assert 'keyspace_functions_outcomes_total{function="replay_dead_letters",outcome="processed"} 3' in text
    minutes = (await activity.read(app, 2)).minutes
    assert sum(minute.outcomes.get("batches", {}).get("replay", {}).get("processed", 0) for minute in minutes) == 3
    assert [effect.operation for effect in await effects.read(app)] == ["replay"] * 3


async def test_without_time_left_one_letter_is_acted_on_and_the_cursor_goes_on_with_the_next(app: App) -> None:
    for number in range(3):
        await bury(app, number, TimeoutError())
    cursor, removed = None, []
    for _ in range(3):
        results = await letter_selection.discard_selected(app, ALL, cursor=cursor, budget_s=-1)
        removed += [result.id for result in results.letters]
        cursor = results.next_cursor
    assert len(set(removed)) == 3
    assert (await dead_letters.totals(app)).count == 0


@pytest.mark.parametrize("count", [1, 40])
async def test_only_the_selected_letters_are_discarded(app: App, count: int) -> None:
    for number in range(count):
        await bury(app, number, Rejected("not JSON"))
    other = await bury(app, 99, TimeoutError())
    results = await letter_selection.discard_selected(app, LetterSelection(reason="not json"))
    assert (results.removed, results.next_cursor) == (count, None)
    assert [letter.id for letter in (await dead_letters.list_page(app)).letters] == [other]


async def test_two_viewers_who_replay_one_selection_process_each_letter_once(app: App) -> None:
    for number in range(40):
        await bury(app, number, TimeoutError())
    other = App(app.settings, app.redis)
    both = await asyncio.gather(*(letter_selection.replay_selected(viewer, ALL) for viewer in (app, other)))
    outcomes = [letter.outcome for results in both for letter in results.letters]
    assert outcomes.count("processed") == 40
    assert (await dead_letters.totals(app)).count == 0
    stay = {letter.outcome for results in both for letter in results.letters if not letter.removed}
    assert stay <= {"later"}, "the other viewer was at it"


async def test_a_replay_while_redis_is_full_leaves_every_letter_and_the_next_one_processes_them(app: App) -> None:
    for number in range(3):
        await bury(app, number, TimeoutError())
    await app.redis.config_set("maxmemory", "1")
    try:
        results = await letter_selection.replay_selected(app, ALL)
        assert [(letter.outcome, letter.removed) for letter in results.letters] == [("retried", False)] * 3
    finally:
        await app.redis.config_set("maxmemory", "0")
    assert (await dead_letters.totals(app)).count == 3
    results = await letter_selection.replay_selected(app, ALL)
    assert [letter.outcome for letter in results.letters] == ["processed"] * 3
    assert (await dead_letters.totals(app)).count == 0
