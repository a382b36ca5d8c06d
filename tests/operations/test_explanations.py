"""Explanations of the letters that the reactors really write."""

import json

from shared.app import App
from shared.batches import reactor as batches
from shared.charts import reactor as charts
from shared.delivery import dead_letters
from shared.operations import explanations
from tests.support.causes import cause
from tests.support.looks import with_settings

UNREADABLE = json.dumps({"result": [{"ts": "2026-03-01T06:00:00Z", "temp": "warm"}]})
BATCH, CHART = b"fastapi:temp:data:b1", b"fabric:data:chart:co2-[1]:realtime"


async def letters(app: App) -> dict[bytes, dead_letters.Letter]:
    return {letter.key: letter for letter in (await dead_letters.list_page(app)).letters}


async def test_a_letter_that_a_reactor_wrote_is_explained(app: App) -> None:
    for key, reactor in ((BATCH, batches), (CHART, charts)):
        await app.redis.set(key, UNREADABLE)
        await reactor.react(app, [key], cause("set"))
    by_key = await letters(app)
    for key, kind, glob in (
        (BATCH, "batch", "fastapi:temp:data:*"),
        (CHART, "chart", "fabric:data:chart:co2-[[]1]:realtime"),
    ):
        explanation = await explanations.of_letter(app, by_key[key])
        assert explanation is not None
        assert (explanation.kind, explanation.outcome, explanation.glob) == (kind, "rejected", glob)
        assert explanation.reason == by_key[key].message
        assert by_key[key].error == "Rejected"


async def test_the_explanation_of_a_letter_follows_the_present_setting(app: App) -> None:
    rows = [{"planned": "2026-03-30 06:00:00", "measured": "2026-03-30 06:02:10", "temp": 20.5}]
    await app.redis.set(CHART, json.dumps(rows * 2))
    await charts.react(app, [CHART], cause("set"))
    letter = (await letters(app))[CHART]
    changed = with_settings(app, inputs='{"fabric:*": {"time": "measured"}}')
    before, after = await explanations.of_letter(app, letter), await explanations.of_letter(changed, letter)
    assert before is not None
    assert after is not None
    assert (before.outcome, after.outcome) == ("rejected", "read")
