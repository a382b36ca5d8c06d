"""The monitor page of the running app, in a real browser, over a real Redis with traffic."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import Watched
from tests.e2e.conftest import App
from tests.support.staged import POLICY, enter_key

TOKEN = "5e55107ab1e-70ce2-4ab5-9d2e-aa11bb22cc33"
RECORDS = [{"timestamp": f"2026-01-01T00:00:{n:02}Z", "data": {"co2": 1 + n / 100, "temp": 24}} for n in range(20)]
ROWS = [{"timestamp": 1_767_225_600_000 + 1000 * n, "co2Flow": n / 10} for n in range(200)]
FLAGS = "notify-keyspace-events"
MARKUP = "<img src=x onerror=\"document.title='taken over'\">"


class Monitor:
    """The page of the running app."""

    def __init__(self, watched: Watched, live: App) -> None:
        self.watched, self.live = watched, live

    @property
    def page(self) -> Page:
        return self.watched.page

    async def open(self, key: str | None = None) -> None:
        await self.page.goto(f"{self.live.host.url}/api/monitor")
        await enter_key(self.page, key or self.live.host.function_key)

    def region(self, name: str) -> Locator:
        return self.page.get_by_role("region", name=name, exact=True)

    def letter(self, key: str) -> Locator:
        return self.region("Dead letters").get_by_role("row").filter(has_text=key)

    async def open_group(self) -> None:
        """Open the only group of dead letters."""
        await self.page.locator("#groups button.toggle").click()

    def processed(self, number: int) -> Locator:
        return self.page.locator("#outcomes").get_by_role("row", name=re.compile(f"^processed {number} "))

    async def batch(self, batch_id: str, value: Any = None) -> None:
        """Write a batch, and wait until the app has reacted."""
        await self.live.redis.set(f"fastapi:temp:data:{batch_id}", json.dumps(value or {"records": RECORDS}), ex=3600)
        await self.live.effect(function="process_fastapi_data", operation="set")

    async def rejected_batch(self, batch_id: str) -> None:
        await self.batch(batch_id, {"records": [{"timestamp": "2026-01-01T00:00:00Z", "data": {"temp": "warm"}}]})
        assert await self.live.redis.hlen("functions:dead:letters") >= 1


@pytest.fixture
async def monitor(watched: Watched, live: App) -> AsyncIterator[Monitor]:
    yield Monitor(watched, live)
    assert not [url for url in watched.addresses if live.host.function_key in url]


async def test_it_shows_the_effects_of_the_app(monitor: Monitor) -> None:
    await monitor.live.redis.set(f"nextauth:session:{TOKEN}", json.dumps({"userId": "u-1"}), ex=3600)
    await monitor.live.effect(operation="set")
    await monitor.live.redis.set("fabric:data:chart:co2:realtime", json.dumps(ROWS), ex=300)
    await monitor.live.effect(function="update_charts", operation="set")
    await monitor.batch("b1")
    await monitor.open()
    for name in ("Batches", "Charts"):
        await monitor.page.get_by_role("group", name="Reactor", exact=True).get_by_role("button", name=name).click()
        await expect(monitor.processed(1)).to_be_visible()
    await expect(monitor.page.get_by_role("row", name=re.compile(r"^Batches [\d.]+ ms"))).to_be_visible()
    feed = monitor.page.locator("#effects tbody tr")
    await expect(feed.filter(has_text="fastapi:temp:data:b1")).to_contain_text("processed")
    await expect(feed.filter(has_text="nextauth:session:~").first).to_contain_text("sessions, set")
    sessions = monitor.region("Sessions and audit log")
    await expect(sessions.get_by_role("row").filter(has_text="created")).to_contain_text("u-1")
    await expect(monitor.region("Keys").get_by_role("row").filter(has_text="fastapi").first).to_be_visible()
    await expect(monitor.region("Chart caches").get_by_role("row").filter(has_text="co2")).to_contain_text("fresh")
    await expect(monitor.page.locator("#state")).to_contain_text("Fix:")
    assert TOKEN not in await monitor.page.content()


async def test_it_updates_after_a_new_event_without_a_reload(monitor: Monitor) -> None:
    await monitor.batch("b1")
    await monitor.page.clock.install()
    await monitor.open()
    await expect(monitor.processed(1)).to_be_visible()
    await monitor.batch("b2")
    await monitor.page.clock.run_for(5_000)  # simulated time: the test does not wait
    await expect(monitor.processed(2)).to_be_visible()
    await expect(monitor.page.locator("#effects tbody tr").first).to_contain_text("fastapi:temp:data:b2")
    assert [url for url in monitor.watched.addresses if url.endswith("/api/monitor")] == [
        f"{monitor.live.host.url}/api/monitor"
    ]


async def test_a_dead_letter_of_a_batch_that_is_readable_now_is_replayed(monitor: Monitor) -> None:
    await monitor.rejected_batch("late")
    await monitor.live.redis.config_set(FLAGS, "")
    await monitor.live.redis.set("fastapi:temp:data:late", json.dumps({"records": RECORDS}), ex=3600)
    await monitor.live.redis.config_set(FLAGS, "Kg$hlxe")
    await monitor.open()
    await monitor.open_group()
    await monitor.letter("fastapi:temp:data:late").get_by_role("button", name="Replay").click()
    status = monitor.page.get_by_role("status").filter(has_text="Replayed fastapi:temp:data:late")
    await expect(status).to_contain_text("the letter is removed")
    await expect(monitor.letter("fastapi:temp:data:late")).to_have_count(0)
    await expect(monitor.page.get_by_text("No dead letters")).to_be_visible()
    assert json.loads(await monitor.live.redis.get("fastapi:results:analysis:late"))["readings"] == 40


async def test_a_letter_whose_replay_fails_stays_and_discarding_needs_confirmation(monitor: Monitor) -> None:
    await monitor.rejected_batch("never")
    await monitor.open()
    await monitor.open_group()
    letter = monitor.letter("fastapi:temp:data:never")
    await letter.get_by_role("button", name="fastapi:temp:data:never", exact=True).click()
    detail = monitor.page.get_by_role("dialog", name="fastapi:temp:data:never")
    await expect(detail).to_contain_text("rejected: rows found at `records`, but no column of numbers")
    await expect(detail).to_contain_text("timestamp: time")
    await expect(detail).to_contain_text('"data": {"temp": "warm"}')
    await detail.get_by_role("button", name="Close").click()
    await letter.get_by_role("button", name="Replay").click()
    await expect(monitor.page.get_by_text("rejected").and_(monitor.page.get_by_role("status"))).to_contain_text(
        "the letter stays"
    )
    dialog = monitor.page.get_by_role("dialog", name="Discard this dead letter?")
    await letter.get_by_role("button", name="Discard").click()
    await dialog.get_by_role("button", name="Keep").click()
    assert await monitor.live.redis.hlen("functions:dead:letters") == 1
    await letter.get_by_role("button", name="Discard").click()
    await expect(dialog).to_contain_text("fastapi:temp:data:never")
    await dialog.get_by_role("button", name="Discard").click()
    await expect(monitor.page.get_by_role("status").filter(has_text="Discarded")).to_be_visible()
    await expect(letter).to_have_count(0)
    assert await monitor.live.redis.hlen("functions:dead:letters") == 0


async def test_all_letters_of_a_group_are_replayed(monitor: Monitor) -> None:
    for number in range(3):
        await monitor.rejected_batch(f"late-{number}")
    await monitor.live.redis.config_set(FLAGS, "")
    for number in (0, 1):
        await monitor.live.redis.set(f"fastapi:temp:data:late-{number}", json.dumps({"records": RECORDS}), ex=3600)
    await monitor.live.redis.config_set(FLAGS, "Kg$hlxe")
    await monitor.open()
    await monitor.page.get_by_role("checkbox", name="Select all", exact=True).check()
    await monitor.page.get_by_role("button", name="Replay selected").click()
    status = monitor.page.locator("#dead-result")
    # Duplicates, if the sweep that the changed flags cause comes first.
    report = r"Replayed 3 letters: 1 rejected, 2 (processed|duplicate); 2 removed, 1 stays\."
    await expect(status).to_have_text(re.compile(report))
    await expect(monitor.page.locator("#groups .size")).to_have_text("1")
    assert await monitor.live.redis.hlen("functions:dead:letters") == 1


async def test_a_key_is_looked_up_with_its_effects_and_how_it_is_read(monitor: Monitor) -> None:
    await monitor.live.redis.set(f"nextauth:session:{TOKEN}", json.dumps({"userId": "u-1"}), ex=3600)
    await monitor.live.effect(operation="set")
    await monitor.batch("b1")
    await monitor.open()
    await monitor.page.get_by_role("button", name="fastapi:temp:data:b1", exact=True).click()
    report = monitor.page.locator("#lookup-report")
    for text in ("exists", "of this content", "processed on set", "Encoding: JSON"):
        await expect(report).to_contain_text(text)
    await monitor.page.get_by_role("button", name=re.compile("^nextauth:session:~")).first.click()
    await expect(report).to_contain_text("alive")
    assert TOKEN not in await monitor.page.content()


async def test_a_hostile_key_is_shown_as_text(monitor: Monitor) -> None:
    await monitor.rejected_batch(MARKUP)
    await monitor.live.redis.set(f"fabric:data:chart:{MARKUP}:realtime", json.dumps(ROWS), ex=300)
    await monitor.live.effect(function="update_charts", operation="set")
    session = {"userId": MARKUP, "expires": "2036-01-01T00:00:00.000Z"}
    await monitor.live.redis.set(f"nextauth:session:{TOKEN}", json.dumps(session))
    await monitor.live.effect(operation="set")
    await monitor.open()
    await monitor.open_group()
    await expect(monitor.letter(MARKUP)).to_be_visible()
    sessions = monitor.region("Sessions and audit log")
    await expect(sessions.get_by_role("row").filter(has_text=MARKUP).first).to_be_visible()
    await monitor.letter(MARKUP).get_by_role("button", name="Discard").click()
    await expect(monitor.page.get_by_role("dialog")).to_contain_text(MARKUP)
    assert await monitor.page.locator("img").count() == 0
    assert "taken over" not in await monitor.page.title()


async def test_the_function_key_is_checked_kept_for_the_session_and_forgotten_on_request(monitor: Monitor) -> None:
    page = monitor.page
    await monitor.open("not-this-app-s-key")
    await expect(page.get_by_role("alert")).to_contain_text("The app does not accept this key")
    assert [fault for fault in monitor.watched.faults if "401" not in fault] == []
    monitor.watched.faults.clear()
    assert await page.evaluate("sessionStorage.length") == 0
    await page.get_by_label("Function key").fill("two words\u2028")
    await page.get_by_role("button", name="Show data").click()
    await expect(page.get_by_role("alert")).to_contain_text("Not a function key")
    await enter_key(page, monitor.live.host.function_key)
    await expect(page.locator("#figures")).to_be_visible()
    await page.reload()
    await expect(page.locator("#figures")).to_be_visible()
    await expect(page.get_by_label("Function key")).to_be_hidden()
    await page.get_by_role("button", name="Forget key").click()
    await expect(page.get_by_label("Function key")).to_be_focused()
    await expect(page.locator("#figures")).to_be_hidden()
    await page.reload()
    await expect(page.get_by_label("Function key")).to_be_visible()
    assert await page.evaluate("sessionStorage.length + localStorage.length") == 0


async def test_a_link_with_the_key_opens_the_page_signed_in_and_the_key_leaves_the_address_at_once(
    monitor: Monitor,
) -> None:
    page, key = monitor.page, monitor.live.host.function_key
    address = f"{monitor.live.host.url}/api/monitor"
    for _ in range(2):  # in a new tab, and in one that shows the page already
        await page.goto(f"{address}#key={key}")
        await expect(page.locator("#figures")).to_be_visible()
        assert page.url == address
        assert await page.evaluate("history.state") is None
        await page.get_by_role("button", name="Forget key").click()
        await expect(page.get_by_label("Function key")).to_be_visible()
    assert not [requested for requested in monitor.watched.addresses if str(key) in requested]
    await page.goto(f"{address}#key=two%20words")
    await expect(page.get_by_label("Function key")).to_be_visible()
    assert page.url == address


async def test_the_page_is_served_with_the_policy_of_these_tests(monitor: Monitor) -> None:
    response = await monitor.page.goto(f"{monitor.live.host.url}/api/monitor")
    assert response is not None
    assert response.headers["content-security-policy"] == POLICY
    await monitor.page.evaluate("document.body.setAttribute('style', 'color: red')")
    await monitor.page.evaluate("document.body.append(document.createElement('script'))")
    await monitor.page.evaluate("fetch('http://127.0.0.1:9/').catch(() => null)")
    assert len([fault for fault in monitor.watched.faults if "Content Security Policy" in fault]) >= 2
    monitor.watched.faults.clear()
