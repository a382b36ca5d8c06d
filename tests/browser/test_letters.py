"""Dead letters on the monitor page, with simulated responses: groups, selection, replay and discard, and one letter."""

import json
import re
from datetime import timedelta
from typing import Any

import msgspec
from playwright.async_api import Locator, Page, Request, Route, expect

from shared.operations.letter_selection import LetterAction
from tests.browser.conftest import NOW, Watched, open_page, region, update
from tests.support import monitor_sample as sample
from tests.support.staged import ADDRESS, Staged, enter_key, parameters

BATCHES = re.compile(r"^21 ?batches")
FIRST = sample.groups(NOW)[0]


def group(page: Page, reason: str) -> Locator:
    return page.locator("#groups > li").filter(has_text=reason)


def status(page: Page) -> Locator:
    return page.locator("#dead-result")


def removed(number: int, start: int = 0, **fields: Any) -> list[dict[str, Any]]:
    """Results of letters that were removed."""
    rows = [{"id": f"{start + n:032x}", "reactor": "batches", "key": f"k{start + n}"} for n in range(number)]
    return [row | {"removed": True, "outcome": None, "reason": None} | fields for row in rows]


async def test_letters_are_grouped_by_reason_with_their_number_the_largest_first(
    watched: Watched, staged: Staged
) -> None:
    page = watched.page
    await open_page(page)
    await expect(page.locator("#groups > li")).to_have_count(5)
    assert await page.locator("#groups .size").all_inner_texts() == ["21", "12", "8", "1", "1"]
    dead = region(page, "Dead letters")
    await expect(dead).to_contain_text("43 letters, 3.8 MiB · 1,240 keys wait for a retry")
    await expect(dead.get_by_role("table")).to_have_count(0)


async def test_a_group_opens_to_its_letters_some_at_a_time(watched: Watched, staged: Staged) -> None:
    page = watched.page
    pages = {
        "": (sample.letters_of(NOW, FIRST["reason"]), "1:x"),
        "1:x": (sample.letters_of(NOW, FIRST["reason"], 1, 20), None),
    }

    def letters(request: Request) -> dict[str, Any]:
        rows, cursor = pages[parameters(request).get("cursor", "")]
        return {"letters": rows, "nextCursor": cursor}

    staged.answers["/events/dead"] = letters
    await open_page(page)
    toggle = page.get_by_role("button", name=BATCHES)
    await expect(toggle).to_have_attribute("aria-expanded", "false")
    await toggle.click()
    rows = group(page, FIRST["reason"]).locator("tbody tr")
    await expect(rows).to_have_count(20)
    asked = [url for _, url in staged.requests if "/events/dead?" in url]
    assert "reactor=batches&group=Rejected" in asked[0]
    assert "limit=20" in asked[0]
    await page.get_by_role("button", name="Show more").click()
    await expect(rows).to_have_count(21)
    await expect(page.get_by_role("button", name="Show more")).to_be_hidden()
    await update(page)
    await expect(rows).to_have_count(21)
    await toggle.click()
    await expect(rows.first).to_be_hidden()


async def test_a_selected_group_is_replayed_step_by_step_with_progress_and_a_report(
    watched: Watched, staged: Staged
) -> None:
    page, bodies = watched.page, []
    stays = removed(1, 90, removed=False, outcome="rejected", reason="no JSON")
    steps = [
        {"letters": removed(15, outcome="processed"), "removed": 15, "nextCursor": f"1:{'a' * 32}"},
        {"letters": [*removed(5, 15, outcome="duplicate"), *stays], "removed": 5, "nextCursor": None},
    ]
    progress: list[str] = []

    def note(text: str) -> None:
        progress.append(text)

    await page.expose_function("noted", note)

    def replay(request: Request) -> dict[str, Any]:
        bodies.append(json.loads(request.post_data or ""))
        return steps[len(bodies) - 1]

    staged.answers["/events/dead-groups/replay"] = replay
    await open_page(page)
    replay_selected = page.get_by_role("button", name="Replay selected")
    await expect(replay_selected).to_be_disabled()
    await page.get_by_role("checkbox", name=re.compile("Select all letters: batches, Rejected: records")).check()
    await expect(page.locator("#dead-selected")).to_have_text("21 letters selected")
    await page.evaluate("""
        new MutationObserver(() => noted(document.querySelector('#run-title').textContent))
            .observe(document.querySelector('#run-title'), { childList: true });
    """)
    await replay_selected.click()
    await expect(status(page)).to_have_text(
        "Replayed 21 letters: 15 processed, 5 duplicate, 1 rejected; 20 removed, 1 stays."
    )
    assert [(body["reactor"], body["group"], body.get("cursor")) for body in bodies] == [
        ("batches", FIRST["reason"], None),
        ("batches", FIRST["reason"], f"1:{'a' * 32}"),
    ]
    assert progress[0] == "Replaying 0 of 21"
    assert "Replaying 15 of 21" in progress
    await page.get_by_text("1 letter that stays").click()
    await expect(page.locator("#dead-report-list")).to_have_text("k90 rejected: no JSON")
    await expect(page.locator("#dead-run")).to_be_hidden()


async def test_all_letters_are_discarded_after_a_confirmation_that_names_their_number(
    watched: Watched, staged: Staged
) -> None:
    page, bodies = watched.page, []

    def discard(request: Request) -> dict[str, Any]:
        bodies.append(json.loads(request.post_data or ""))
        return {"letters": removed(1), "removed": 1, "nextCursor": None}

    staged.answers["/events/dead-groups/discard"] = discard
    await open_page(page)
    await page.get_by_role("checkbox", name="Select all", exact=True).check()
    await page.get_by_role("button", name="Discard selected").click()
    dialog = page.get_by_role("dialog", name="Discard 43 dead letters?")
    await expect(dialog).to_contain_text("batches: Rejected: records[3].timestamp is no time")
    await dialog.get_by_role("button", name="Keep").click()
    assert bodies == []
    await page.get_by_role("button", name="Discard selected").click()
    await dialog.get_by_role("button", name="Discard").click()
    await expect(status(page)).to_have_text("Discarded 5 letters; 5 removed.")
    assert [body["group"] for body in bodies] == [one["reason"] for one in sample.groups(NOW)]


async def test_a_run_of_ten_thousand_letters_can_be_stopped(watched: Watched, staged: Staged) -> None:
    page, calls = watched.page, 0
    staged.answers["/events/dead-groups"] = {"groups": sample.groups(NOW, factor=500), "groupsTotal": 5}

    def replay(_: Request) -> dict[str, Any]:
        nonlocal calls
        calls += 1
        letters = removed(50, 50 * calls, outcome="processed")
        return {"letters": letters, "removed": 50, "nextCursor": f"1:{calls:032x}"}

    staged.answers["/events/dead-groups/replay"] = replay
    await open_page(page)
    await page.get_by_role("checkbox", name=re.compile("^Select all letters: batches, Rejected: records")).check()
    await page.get_by_role("button", name="Replay selected").click()
    await expect(page.locator("#run-title")).to_have_text(re.compile(r"Replaying [1-9][\d,]+ of 10,500"))
    await page.get_by_role("button", name="Stop").click()
    await expect(status(page)).to_have_text(re.compile(r"Replayed [\d,]+ letters: .* removed\. Stopped\."))
    done = calls
    await update(page)
    assert calls == done


async def test_only_the_largest_of_very_many_groups_are_listed_and_the_page_says_so(
    watched: Watched, staged: Staged
) -> None:
    page = watched.page
    staged.answers["/events/dead-groups"] = {"groups": sample.groups(NOW), "groupsTotal": 10_000}
    await open_page(page)
    await expect(region(page, "Dead letters")).to_contain_text("The 5 largest of 10,000 groups. A filter shows others.")
    await page.get_by_role("checkbox", name="Select all", exact=True).check()
    await expect(page.locator("#dead-selected")).to_have_text("43 letters selected")


async def test_the_groups_of_ten_thousand_letters_are_not_requested_with_every_update(
    watched: Watched, staged: Staged
) -> None:
    page, document = watched.page, sample.document(NOW)
    staged.data = lambda: document
    await open_page(page)
    await expect(page.locator("#groups > li")).to_have_count(5)
    for number in range(10):
        document["deadLetters"]["totals"]["count"] = 10_000 + number
        await page.clock.run_for(5_000)
        await update(page)
    assert staged.count("/events/dead-groups") <= 5
    await expect(page.get_by_role("link", name="Dead letters 10,009")).to_be_visible()


async def test_groups_are_requested_again_after_the_clock_was_set_back(watched: Watched, staged: Staged) -> None:
    page, document = watched.page, sample.document(NOW)
    staged.data = lambda: document
    await open_page(page)
    await expect(page.locator("#groups > li")).to_have_count(5)
    await page.clock.set_system_time(NOW - timedelta(days=1))
    document["deadLetters"]["totals"]["count"] += 1
    staged.answers["/events/dead-groups"] = {"groups": sample.groups(NOW)[:1], "groupsTotal": 1}
    await page.clock.run_for(20_000)
    await update(page)
    await expect(page.locator("#groups > li")).to_have_count(1)


async def test_after_a_key_was_refused_the_next_one_starts_without_its_messages(
    watched: Watched, staged: Staged
) -> None:
    page = watched.page

    async def refuse(route: Route) -> None:
        await route.fulfill(status=401)

    await page.route("**/events/dead-groups", refuse)
    await page.goto(ADDRESS)
    await enter_key(page)
    await expect(page.locator("#entry-fault")).to_contain_text("The app does not accept this key")
    await page.unroute("**/events/dead-groups")
    await enter_key(page)
    await expect(page.locator("#groups > li")).to_have_count(5)
    watched.faults.clear()
    await expect(status(page)).to_have_text("")


async def test_single_letters_are_selected_and_replayed(watched: Watched, staged: Staged) -> None:
    page = watched.page
    letters = sample.letters_of(NOW, FIRST["reason"])
    for n in (1, 3):
        answer = {"id": letters[n]["id"], "outcome": "processed", "reason": None, "removed": True}
        staged.answers[f"/events/dead/{letters[n]['id']}/replay"] = answer
    await open_page(page)
    await page.get_by_role("button", name=BATCHES).click()
    for n in (1, 3):
        await page.get_by_role("checkbox", name=f"Select {letters[n]['key']}", exact=True).check()
    box = page.get_by_role("checkbox", name=re.compile("Select all letters: batches, Rejected: records")).first
    assert await box.evaluate("box => box.indeterminate")
    await expect(page.locator("#dead-selected")).to_have_text("2 letters selected")
    await page.get_by_role("button", name="Replay selected").click()
    await expect(status(page)).to_have_text("Replayed 2 letters: 2 processed; 2 removed.")
    assert [url.rpartition("/events/")[2] for method, url in staged.requests if method == "POST"] == [
        f"dead/{letters[n]['id']}/replay" for n in (1, 3)
    ]


async def test_a_letter_opens_with_its_payload_and_how_it_is_read(watched: Watched, staged: Staged) -> None:
    page = watched.page
    await open_page(page)
    await page.get_by_role("button", name=BATCHES).click()
    key = sample.letters(NOW)["letters"][0]["key"]
    await page.locator("#groups").get_by_role("button", name=key, exact=True).click()
    letter = page.get_by_role("dialog", name=key)
    for text in (
        "Rejected: records[3].timestamp is no time",
        '"data":{"<b>temp</b>":"warm","token":"~masked"}',
        "rejected: rows found at `result`, but no column of numbers: `<b>temp</b>` holds",
        "Encoding: base64 > gzip > JSON",
        "ts: time (times under the name of a time)",
        "co2 [ppm]: 2 values; 2026-11-22T13:00:00.000Z = 412.5",
        "2 × an identifier is no measurement",
        "`result`, 2 rows: no column of numbers",
        '{"fabric:data:chart:co2-flow:realtime":{"rows":',
    ):
        await expect(letter).to_contain_text(text)
    await expect(letter.locator("b")).to_have_count(0)
    await update(page)
    await expect(letter).to_be_visible()
    await letter.get_by_role("button", name="Close").click()
    await expect(letter).to_have_count(0)
    assert {method for method, _ in staged.requests} == {"GET"}


async def test_a_letter_that_cannot_be_loaded_says_why(watched: Watched, staged: Staged) -> None:
    page = watched.page
    await open_page(page)
    await page.get_by_role("button", name=BATCHES).click()
    await expect(page.locator("#groups tbody tr")).to_have_count(20)
    staged.status, staged.data = 404, lambda: {"error": "there is no such dead letter"}
    await page.locator("#groups button.link").first.click()
    await expect(page.locator("#letter")).to_contain_text("Loading failed: there is no such dead letter (HTTP 404).")
    assert watched.faults
    watched.faults.clear()


async def test_the_filter_selects_letters_on_the_server(watched: Watched, staged: Staged) -> None:
    page = watched.page
    await open_page(page)
    await page.locator("#dead-reactor").select_option("charts")
    await page.locator("#dead-reason").fill("holds text")
    await page.locator("#dead-match").fill("fabric:*")
    await page.locator("#dead-age").select_option(label="more than a day ago")
    staged.answers["/events/dead-groups"] = {"groups": [], "groupsTotal": 0}
    async with page.expect_request("**/events/dead-groups?*") as asked:
        await page.get_by_role("button", name="Filter").click()
    assert parameters(await asked.value) == {
        "reactor": "charts",
        "reason": "holds text",
        "match": "fabric:*",
        "olderThanS": "86400",
    }
    await expect(page.get_by_text("No dead letter matches the filter.")).to_be_visible()


async def test_an_action_on_what_every_filter_selects_is_one_that_the_app_accepts(
    watched: Watched, staged: Staged
) -> None:
    page, actions = watched.page, list[LetterAction]()

    def discard(request: Request) -> dict[str, Any]:
        actions.append(msgspec.json.decode(request.post_data or "", type=LetterAction))
        return {"letters": removed(1), "removed": 1, "nextCursor": None}

    staged.answers["/events/dead-groups/discard"] = discard
    await open_page(page)
    await page.locator("#dead-match").fill("fabric:*")
    for age, (older_than_s, newer_than_s) in {
        "more than a day ago": (86_400, None),
        "within the last hour": (None, 3600),
    }.items():
        await page.locator("#dead-age").select_option(label=age)
        async with page.expect_response("**/events/dead-groups?*"):
            await page.get_by_role("button", name="Filter").click()
        await page.get_by_role("checkbox", name=re.compile("Select all letters: batches, Rejected: records")).check()
        await page.get_by_role("button", name="Discard selected").click()
        async with page.expect_response("**/events/dead-groups/discard"):
            await page.get_by_role("dialog").get_by_role("button", name="Discard").click()
        await expect(status(page)).to_have_text("Discarded 1 letter; 1 removed.")
        (action,) = actions
        actions.clear()
        assert (action.older_than_s, action.newer_than_s, action.match) == (older_than_s, newer_than_s, "fabric:*")
        assert action.group == FIRST["reason"]


async def test_groups_that_cannot_be_loaded_leave_the_rest_of_the_page_as_it_is(
    watched: Watched, staged: Staged
) -> None:
    page = watched.page

    async def refuse(route: Route) -> None:
        await route.fulfill(status=503, json={"error": "Redis refuses: OutOfMemoryError"})

    await page.route("**/events/dead-groups", refuse)
    await open_page(page)
    await expect(status(page)).to_have_text("The groups cannot be loaded: Redis refuses: OutOfMemoryError (HTTP 503).")
    await expect(region(page, "Instances")).to_contain_text("48.3 %")
    watched.faults.clear()
