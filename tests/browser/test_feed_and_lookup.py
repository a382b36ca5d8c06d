"""The live feed and the key look-up of the monitor page, with simulated responses."""

import re
from datetime import timedelta
from typing import Any

from playwright.async_api import expect

from tests.browser.conftest import NOW, Watched, open_page, region, update
from tests.support import monitor_sample as sample
from tests.support.staged import Staged

MARKUP = "fastapi:temp:data:<img src=x onerror=alert(1)>"


def later(number: int) -> list[dict[str, Any]]:
    """Effects that are newer than those of the sample."""
    return [
        effect | {"id": f"{9_000_000_000_000 + n}-0", "key": f"fastapi:temp:data:new-{n}"}
        for n, effect in enumerate(sample.effects(NOW + timedelta(seconds=5), number))
    ][::-1]


async def test_effects_are_shown_newest_first_and_further_ones_are_added(watched: Watched, staged: Staged) -> None:
    page = watched.page
    await open_page(page)
    rows = page.locator("#effects tbody tr")
    await expect(rows).to_have_count(60)
    await expect(rows.first).to_contain_text("fastapi:temp:data:plant-7-8412")
    newest = sample.effects(NOW)[0]["id"]
    staged.data = lambda: sample.document(NOW) | {"effects": later(2)}
    await update(page)
    assert staged.requests[-1][1].endswith(f"monitor/data?effectsAfter={newest}")
    await expect(rows).to_have_count(62)
    await expect(rows.first).to_contain_text("fastapi:temp:data:new-1")
    staged.data = lambda: sample.document(NOW) | {"effects": later(200)}
    await update(page)
    await expect(rows).to_have_count(200)


async def test_a_held_feed_stands_still_and_counts_what_is_new(watched: Watched, staged: Staged) -> None:
    page = watched.page
    await open_page(page)
    rows = page.locator("#effects tbody tr")
    await expect(rows).to_have_count(60)
    hold = page.get_by_role("button", name="Hold")
    await hold.click()
    staged.data = lambda: sample.document(NOW) | {"effects": later(3)}
    await update(page)
    await expect(page.locator("#feed-note")).to_have_text("the last 60 effects · held, 3 new")
    await expect(rows).to_have_count(60)
    await hold.click()
    await expect(rows).to_have_count(63)


async def test_the_feed_is_filtered_by_text_and_by_failure(watched: Watched, staged: Staged) -> None:
    page = watched.page
    await open_page(page)
    rows = page.locator("#effects tbody tr")
    await page.get_by_label("Outcome", exact=True).select_option("Failures only")
    assert set(await page.locator("#effects td:nth-child(2)").all_inner_texts()) == {"rejected", "retried"}
    await page.get_by_label("Filter effects").fill("worktimeout")
    await expect(page.locator("#feed-note")).to_have_text(re.compile(r"^\d+ of 60 effects$"))
    assert set(await page.locator("#effects td:nth-child(2)").all_inner_texts()) == {"retried"}
    await page.get_by_label("Filter effects").fill("nothing like this")
    await expect(rows).to_have_count(0)
    await expect(page.get_by_text("No effect matches the filter.")).to_be_visible()


async def test_a_key_of_the_feed_is_looked_up_without_its_name_in_an_address(watched: Watched, staged: Staged) -> None:
    page = watched.page
    await open_page(page)
    async with page.expect_request("**/keys/show") as asked:
        await page.get_by_role("button", name="fastapi:temp:data:plant-7-8412", exact=True).click()
    request = await asked.value
    assert (request.method, request.post_data_json) == ("POST", {"key": "fastapi:temp:data:plant-7-8412"})
    lookup = region(page, "Key look-up")
    for text in (
        "exists",
        "FastAPI",
        "of this content",
        "56 min",
        '"data":{"<b>temp</b>":24.1',
        "processed on set in 2.41 ms",
        "Encoding: base64 > gzip > JSON",
    ):
        await expect(lookup).to_contain_text(text)
    await expect(lookup.locator("b")).to_have_count(0)
    assert not [url for url in watched.addresses if "plant-7" in url]
    await expect(lookup.get_by_role("heading", name="Key look-up")).to_be_focused()


async def test_a_key_that_is_not_found_says_why(watched: Watched, staged: Staged) -> None:
    page = watched.page
    await open_page(page)
    staged.status, staged.data = 404, lambda: {"error": "no key is shown like this"}
    await page.get_by_label("Key", exact=True).last.fill("nextauth:session:~000000000000")
    await page.keyboard.press("Enter")
    await expect(page.locator("#lookup-result")).to_have_text("Not found: no key is shown like this (HTTP 404).")
    watched.faults.clear()


async def test_hostile_names_are_text_in_every_part(watched: Watched, staged: Staged) -> None:
    page, document = watched.page, sample.document(NOW)
    document["sessions"]["users"] = [{"user": MARKUP, "sessions": 3}]
    document["health"]["reasons"].append(MARKUP)
    document["health"]["instances"][0]["instance"] = MARKUP
    document["doctor"]["findings"][1]["commands"] = [MARKUP]
    document["charts"][0] |= {"chartId": MARKUP, "dataType": MARKUP}
    staged.data = lambda: document
    staged.answers["/events/dead-groups"] = {"groups": [sample.groups(NOW)[0] | {"reason": MARKUP}], "groupsTotal": 1}
    report = sample.key_report(NOW)
    report |= {"key": MARKUP, "app": {MARKUP: MARKUP}, "value": {"masked": False, "text": MARKUP}}
    staged.answers["/keys/show"] = report
    await open_page(page)
    await page.get_by_role("button", name=MARKUP, exact=True).first.click()
    await expect(page.locator("#lookup-report")).to_contain_text(MARKUP)
    for part in ("#findings", "#groups", "#effects", "#lookup-report", "#users", "#caches", "#living"):
        await expect(page.locator(part)).to_contain_text(MARKUP)
    assert await page.locator("img").count() == 0
