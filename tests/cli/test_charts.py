"""`manage.py charts`: every chart cache, in pages; values that are no charts have empty fields; sources; refresh."""

import json

from shared.app import App
from shared.charts import reactor as charts
from shared.operations import chart_list
from tests.cli.conftest import HALF_KEYSPACE, CostMeter, Manage
from tests.support.causes import cause

ROWS = json.dumps([{"t": 1_767_225_600_000 + 1000 * n, "v": n % 7} for n in range(100)])


async def write_charts(app: App, *ids: str) -> None:
    keys = [f"fabric:data:chart:{chart_id}:realtime".encode() for chart_id in ids]
    for key in keys:
        await app.redis.set(key, ROWS)
    for start in range(0, len(keys), 64):
        await charts.react(app, keys[start : start + 64], cause("set"))


async def test_charts_are_listed_with_age_ttl_points_and_size(manage: Manage, app: App) -> None:
    await write_charts(app, "co2\x1b[31m", "gone")
    await app.redis.delete(b"fabric:data:chart:gone:realtime")
    await charts.react(app, [b"fabric:data:chart:gone:realtime"], "del")
    await app.redis.set("fabric:cache:chart:no:chart", "{}")
    code, output, stderr = manage("charts", "list", "--json")
    listed = {chart["key"]: chart for chart in json.loads(output)["charts"]}
    assert (code, stderr, json.loads(output)["cursor"]) == (0, "", None)
    fresh = listed["fabric:cache:chart:co2\\x1b[31m:realtime"]
    assert (fresh["stale"], fresh["points"]) == (False, 100)
    assert 0 <= fresh["ageS"] < 30
    assert 500 < fresh["ttlS"] <= 600
    assert fresh["bytes"] > 1000
    assert listed["fabric:cache:chart:gone:realtime"]["stale"] is True
    no_chart = listed["fabric:cache:chart:no:chart"]
    assert (no_chart["ageS"], no_chart["ttlS"], no_chart["stale"], no_chart["points"]) == (None, None, None, None)


async def test_with_stale_only_stale_charts_are_listed(manage: Manage, app: App) -> None:
    await write_charts(app, "here", "gone")
    await app.redis.delete(b"fabric:data:chart:gone:realtime")
    await charts.react(app, [b"fabric:data:chart:gone:realtime"], "del")
    code, output, stderr = manage("charts", "list", "--stale")
    assert (code, stderr) == (0, "1 listed, no more\n")
    assert "gone:realtime" in output
    assert "here" not in output


async def test_the_pages_of_a_list_have_every_chart(app: App) -> None:
    await write_charts(app, *(f"c{number}" for number in range(300)))
    keys, cursor = [], 0
    while True:
        rows, cursor = await chart_list.page(app, cursor, 40, stale=False)
        keys += [row.key for row in rows]
        assert all(row.points == 100 for row in rows)
        if not cursor:
            break
    assert set(keys) == {f"fabric:cache:chart:c{number}:realtime" for number in range(300)}


async def test_charts_with_similar_shown_ids_keep_their_own_figures(app: App) -> None:
    """A shown id is cut off after 200 characters, and its control characters are escaped."""
    long = "x" * 300
    await write_charts(app, long + "1", "\\x00", "\x00")
    await app.redis.persist(f"fabric:cache:chart:{long}1:realtime")
    cache = await app.redis.get(f"fabric:cache:chart:{long}1:realtime")
    await app.redis.set(f"fabric:cache:chart:{long}2:realtime", cache, ex=77)
    rows, _ = await chart_list.page(app, 0, 100, stale=False)
    assert len(rows) == 4
    assert {row.points for row in rows} == {100}
    ttls = sorted(row.ttl_s or 0 for row in rows)
    assert (ttls[0], 70 < ttls[1] <= 77) == (0, True)


async def test_an_invalid_cursor_is_refused(manage: Manage, app: App) -> None:
    code, _, stderr = manage("charts", "list", "--cursor", "x")
    assert (code, stderr) == (2, "--cursor: 'x' is not a cursor of this command\n")


@HALF_KEYSPACE
async def test_a_list_over_a_large_keyspace_does_not_block_the_server(cost_meter: CostMeter) -> None:
    pipeline = cost_meter.client.pipeline(transaction=False)
    for number in range(500):
        pipeline.set(f"fabric:cache:chart:c{number}:d", b"x" * 30_000, ex=600)
    await pipeline.execute()
    cost = await cost_meter.run_within_bounds("charts", "list", "--limit", "400", "--json")
    assert cost.code == 0
    assert len(json.loads(cost.output)["charts"]) >= 400
