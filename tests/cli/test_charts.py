"""`manage.py charts list`: every chart cache, by the page, with what is no chart among them."""

import json

from cli import charts as command
from shared.app import App
from shared.charts import reactor as charts
from tests.cli.conftest import FEWER, Costly, Manage
from tests.support.causes import cause

ROWS = json.dumps([{"t": 1_767_225_600_000 + 1000 * at, "v": at % 7} for at in range(100)])


async def make(app: App, *ids: str) -> None:
    keys = [f"fabric:data:chart:{one}:realtime".encode() for one in ids]
    for key in keys:
        await app.redis.set(key, ROWS)
    for start in range(0, len(keys), 64):
        await charts.react(app, keys[start : start + 64], cause("set"))


async def test_charts_are_listed_with_age_ttl_points_and_size(manage: Manage, app: App) -> None:
    await make(app, "co2\x1b[31m", "gone")
    await app.redis.delete(b"fabric:data:chart:gone:realtime")
    await charts.react(app, [b"fabric:data:chart:gone:realtime"], "del")
    await app.redis.set("fabric:cache:chart:no:chart", "{}")
    code, output, complaint = manage("charts", "list", "--json")
    found = {one["key"]: one for one in json.loads(output)["charts"]}
    assert (code, complaint, json.loads(output)["cursor"]) == (0, "", None)
    fresh = found["fabric:cache:chart:co2\\x1b[31m:realtime"]
    assert (fresh["stale"], fresh["points"]) == (False, 100)
    assert 0 <= fresh["age_s"] < 30
    assert 500 < fresh["ttl_s"] <= 600
    assert fresh["bytes"] > 1000
    assert found["fabric:cache:chart:gone:realtime"]["stale"] is True
    none = found["fabric:cache:chart:no:chart"]
    assert (none["age_s"], none["ttl_s"], none["stale"], none["points"]) == (None, None, None, None)


async def test_only_stale_ones_are_listed_when_asked_for(manage: Manage, app: App) -> None:
    await make(app, "here", "gone")
    await app.redis.delete(b"fabric:data:chart:gone:realtime")
    await charts.react(app, [b"fabric:data:chart:gone:realtime"], "del")
    code, output, complaint = manage("charts", "list", "--stale")
    assert (code, complaint) == (0, "1 listed, no more\n")
    assert "gone:realtime" in output
    assert "here" not in output


async def test_pages_lead_through_all(app: App) -> None:
    await make(app, *(f"c{number}" for number in range(300)))
    keys, cursor = [], 0
    while True:
        rows, cursor = await command.page(app, cursor, 40, stale=False)
        keys += [row.key for row in rows]
        assert all(row.points == 100 for row in rows)
        if not cursor:
            break
    assert set(keys) == {f"fabric:cache:chart:c{number}:realtime" for number in range(300)}


async def test_ids_that_look_alike_keep_their_own_figures(app: App) -> None:
    """What is shown of an id ends after 200 characters, and escapes what is no text."""
    long = "x" * 300
    await make(app, long + "1", "\\x00", "\x00")
    await app.redis.persist(f"fabric:cache:chart:{long}1:realtime")
    await app.redis.copy(f"fabric:cache:chart:{long}1:realtime", f"fabric:cache:chart:{long}2:realtime")
    await app.redis.expire(f"fabric:cache:chart:{long}2:realtime", 77)
    rows, _ = await command.page(app, 0, 100, stale=False)
    assert len(rows) == 4
    assert {row.points for row in rows} == {100}
    ttls = sorted(row.ttl_s or 0 for row in rows)
    assert (ttls[0], 70 < ttls[1] <= 77) == (0, True)


async def test_a_cursor_that_is_none_is_refused(manage: Manage, app: App) -> None:
    code, _, complaint = manage("charts", "list", "--cursor", "x")
    assert (code, complaint) == (2, "--cursor: not a cursor of this command\n")


@FEWER
async def test_very_many_keys_hold_up_nobody(costly: Costly) -> None:
    pipeline = costly.client.pipeline(transaction=False)
    for number in range(500):
        pipeline.set(f"fabric:cache:chart:c{number}:d", b"x" * 30_000, ex=600)
    await pipeline.execute()
    cost = await costly.held_within_bounds("charts", "list", "--limit", "400", "--json")
    assert cost.code == 0
    assert len(json.loads(cost.output)["charts"]) >= 400
