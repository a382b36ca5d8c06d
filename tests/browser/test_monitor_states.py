"""The monitor page in every state, with simulated responses."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, Route, expect

from tests.browser.conftest import NOW, Watched, open_page, region, required_chromium, update
from tests.support import monitor_sample as sample
from tests.support.staged import ADDRESS, FILES, KEY, Staged, enter_key

REFRESH_MS = 5_000
AWAY = "net::ERR_CONNECTION_REFUSED"


async def test_the_state_stands_first_with_each_finding_and_what_to_do_about_it(
    watched: Watched, staged: Staged
) -> None:
    page = watched.page
    await open_page(page)
    await expect(page).to_have_title("degraded · Keyspace Functions")
    state = region(page, "Needs attention")
    await expect(state).to_contain_text("1240 keys wait for a retry")
    badges = state.get_by_role("list").first.locator("h3 .badge")
    assert await badges.all_inner_texts() == ["health", "health", "error", "warning"]
    await expect(state).to_contain_text("Fix: Check AzureWebJobsStorage")
    await state.get_by_role("link", name="look at the dead letters by reason").click()
    await expect(page.locator("*:focus")).to_have_text("Dead letters")
    await page.evaluate("scrollTo(0, 0)")
    await expect(state.get_by_text("The server does not let")).to_be_hidden()
    await state.get_by_text("1 note").click()
    await expect(state.get_by_text("The server does not let")).to_be_visible()
    box = await state.bounding_box()
    assert box is not None
    assert box["y"] < 200


async def test_a_command_that_fixes_a_finding_is_copied(watched: Watched, staged: Staged) -> None:
    page = watched.page
    await watched.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await open_page(page)
    command = "redis-cli -h 127.0.0.1 -p 6379 config set maxmemory-policy volatile-ttl"
    copy = page.get_by_role("button", name=f"Copy the command {command}")
    before = await copy.bounding_box()
    await page.evaluate("document.addEventListener('copy', () => (window.copied = getSelection().toString()), true)")
    await copy.click()
    await expect(page.get_by_role("button", name=f"Copied the command {command}")).to_be_visible()
    after = await page.get_by_role("button", name=f"Copied the command {command}").bounding_box()
    assert after == before, "the button does not jump"


async def test_four_figures_are_in_human_form_and_the_lag_has_the_colour_of_its_meaning(
    watched: Watched, staged: Staged
) -> None:
    page, document = watched.page, sample.document(NOW)
    minutes = document["stats"]["minutes"]
    for minute in minutes:
        minute["outcomes"] = {}
    minutes[-1]["outcomes"] = {"batches": {"event": {"processed": 2}}}
    staged.data = lambda: document
    await open_page(page)
    tiles = page.locator("#summary li")
    assert await tiles.locator(".name").all_inner_texts() == ["Events", "Lag", "Dead letters", "Sessions now"]
    await expect(tiles.first).to_contain_text("2in the last minute · 2 in the last hour")
    await expect(tiles.first.get_by_role("img")).to_have_accessible_name(
        re.compile("Events by minute in the last hour")
    )
    for lag_ms, tone, shown in ((31.6, "good", "31.6 ms"), (4_200, "warning", "4.2 s"), (95_000, "bad", "95 s")):
        document["stats"]["lagMs"] = {"batches": {"count": 9, "p50": 1, "p95": lag_ms, "p99": lag_ms}}
        await update(page)
        await expect(tiles.nth(1)).to_have_class(f"tile {tone}")
        await expect(tiles.nth(1).locator(".value")).to_have_text(shown)


async def test_events_are_drawn_by_outcome_and_outcomes_that_did_not_occur_are_hidden(
    watched: Watched, staged: Staged
) -> None:
    page = watched.page
    await open_page(page)
    activity = region(page, "Events by outcome")
    chart = activity.get_by_role("img")
    await expect(chart).to_have_accessible_name(
        re.compile(r"[\d,]+ events in the last hour, most at \d\d:\d\d \([\d,]+\)")
    )
    outcomes = activity.get_by_role("table", name=re.compile("the legend of the chart"))
    assert [row.split("\t")[0] for row in await outcomes.locator("tbody tr").all_inner_texts()] == [
        *("processed", "duplicate", "retried", "rejected", "dead")
    ]
    await activity.get_by_role("button", name="Charts", exact=True).click()
    assert [row.split("\t")[0] for row in await outcomes.locator("tbody tr").all_inner_texts()] == [
        *("processed", "duplicate")
    ]
    await expect(chart).to_have_accessible_name(re.compile("events of charts in the last hour"))


async def test_bars_are_read_with_the_pointer_and_the_arrow_keys_and_nothing_moves(
    watched: Watched, staged: Staged
) -> None:
    page = watched.page
    await open_page(page)
    chart, readout = page.locator("#events-chart"), page.locator(".readout")
    await chart.scroll_into_view_if_needed()
    below = await page.locator("#speed").bounding_box()
    await chart.hover()
    await expect(readout).to_have_text(re.compile(r"^\d\d:\d\d: processed [\d,]+ · duplicate"))
    assert await page.locator("#speed").bounding_box() == below
    await chart.focus()
    await page.keyboard.press("End")
    await expect(page.locator("#chart-read")).to_have_text(re.compile("^14:58 so far: processed|^13:58 so far"))
    await page.keyboard.press("ArrowLeft")
    await expect(page.locator("#chart-read")).to_have_text(re.compile(r"^\d\d:57: processed"))
    await page.keyboard.press("Escape")
    await expect(readout).to_have_text(re.compile("events in the last hour"))


@pytest.mark.parametrize(
    ("button", "of", "period", "bars"),
    [("6 h", "6h", "6 hours", 36), ("24 h", "24h", "24 hours", 144), ("7 days", "7d", "7 days", 168)],
)
async def test_a_longer_range_is_requested_when_it_is_chosen_then_once_a_minute(
    watched: Watched, staged: Staged, button: str, of: str, period: str, bars: int
) -> None:
    page = watched.page
    await open_page(page)
    assert staged.count("stats/history") == 0
    await page.get_by_role("button", name=button, exact=True).click()
    await expect(page.locator("#events-chart").get_by_role("img")).to_have_accessible_name(
        re.compile(f"events in the last {period}")
    )
    assert staged.requests[-1][1].endswith(f"stats/history?range={of}")
    await page.get_by_text("Numbers of the chart").click()
    await expect(page.locator("#steps tbody tr")).to_have_count(bars)
    await update(page)
    assert staged.count("stats/history") == 1
    async with page.expect_request("**/stats/history?*"):
        await page.clock.run_for(65_000)
    await page.reload()
    await expect(page.get_by_role("button", name=button, exact=True)).to_have_attribute("aria-pressed", "true")


@pytest.mark.parametrize(
    ("zone", "now"),
    [
        ("Europe/Zurich", datetime(2026, 10, 27, 13, 58, 41, tzinfo=UTC)),
        ("Europe/Zurich", datetime(2026, 3, 31, 13, 58, 41, tzinfo=UTC)),
        ("Africa/Cairo", datetime(2026, 4, 27, 13, 58, 41, tzinfo=UTC)),  # there is no midnight on the 24th
        ("Asia/Kathmandu", datetime(2026, 4, 27, 13, 58, 41, tzinfo=UTC)),  # 5 h 45 min from UTC
    ],
)
async def test_a_week_in_which_the_clocks_change_has_each_day_once(
    watched: Watched, staged: Staged, zone: str, now: datetime
) -> None:
    page = watched.page
    devtools = await watched.context.new_cdp_session(page)
    await devtools.send("Emulation.setTimezoneOverride", {"timezoneId": zone})
    await page.clock.set_system_time(now)
    staged.data = lambda: sample.document(now)
    staged.answers |= sample.answers(now)
    await open_page(page)
    await page.get_by_role("button", name="7 days").click()
    labels = page.locator("#events-chart svg text[text-anchor=middle]")
    await expect(labels.first).to_have_text(re.compile("[A-Z]"))
    days = await labels.all_text_contents()
    assert len(set(days)) == len(days) == 7


async def test_the_range_fits_the_uptime_until_one_is_chosen(watched: Watched, staged: Staged) -> None:
    document = sample.document(NOW)
    for minute in document["stats"]["minutes"][:-10]:
        minute["outcomes"] = {}
    staged.data = lambda: document
    await open_page(watched.page)
    await expect(watched.page.get_by_role("button", name="15 min")).to_have_attribute("aria-pressed", "true")


async def test_the_other_parts_show_their_data(watched: Watched, staged: Staged) -> None:
    page = watched.page
    await open_page(page)
    await expect(page.get_by_role("row", name=re.compile("^Batches 5.62 ms 31.6 ms 1.33 s 2.37 ms"))).to_be_visible()
    await expect(page.locator("#speed .tone-warning")).to_have_text("1.33 s")
    await expect(page.get_by_role("row", name=re.compile("^fastapi batch 31,870 75 MiB"))).to_be_visible()
    await expect(page.get_by_role("row", name=re.compile("ended: logout 7dbd06d02371 u-1041 del"))).to_have_count(1)
    await expect(page.get_by_role("row", name=re.compile("^brine-density ?hourly"))).to_contain_text("stale")
    sessions = region(page, "Sessions and audit log")
    await expect(sessions).to_contain_text("1,283 now · 41 without an expiry · 3 signals among the latest records")
    await expect(
        sessions.get_by_role("list", name="Users with the most").get_by_role("listitem").nth(1)
    ).to_contain_text("u-1041")
    instances = region(page, "Instances")
    await expect(instances.get_by_role("row", name=re.compile("5e19a0f3-7730 trigger deaf"))).to_contain_text("48.3 %")
    await expect(instances).to_contain_text("process_fastapi_data")
    await expect(instances).to_contain_text("12 s ago, took 3 s")
    await expect(instances).to_contain_text("8,750 keys so far")
    await expect(page.locator("#updated")).to_contain_text("0 s old")


async def test_without_traffic_every_part_shows_that_it_is_empty(watched: Watched, staged: Staged) -> None:
    staged.data = lambda: sample.empty(NOW)
    await open_page(watched.page)
    for text in (
        "Events flow, and nothing waits for you.",
        "No events in the last 15 minutes.",
        "No dead letters",
        "No effects in the last day",
        "No audit records yet",
        "Not counted yet:",
        "No chart caches",
        "No instance",
        "none is complete yet",
    ):
        await expect(watched.page.get_by_text(text).first).to_be_visible()
    assert await watched.page.locator("tbody tr:visible").count() == 0


async def test_exactly_the_reactors_of_the_document_can_be_chosen(watched: Watched, staged: Staged) -> None:
    alerts = {"name": "alerts", "function": "raise_alerts", "noun": "alert"}
    reactors = [sample.REACTORS[0], alerts]

    def document() -> dict[str, Any]:
        document = sample.document(NOW) | {"reactors": reactors}
        document["stats"]["minutes"][-1]["outcomes"]["alerts"] = {"event": {"processed": 12}}
        return document

    staged.data = document
    await open_page(watched.page)
    chosen = watched.page.get_by_role("group", name="Reactor", exact=True)
    assert await chosen.get_by_role("button").all_inner_texts() == ["All", "Batches", "Alerts"]
    await chosen.get_by_role("button", name="Alerts").click()
    await expect(watched.page.locator("#outcomes").get_by_role("row", name="processed 12 12")).to_be_visible()


PARTS = [
    "reactors",
    "health",
    "stats",
    "effects",
    "deadLetters",
    "retries",
    "keyspace",
    "sessions",
    "charts",
    "chartsTotal",
    "chartSources",
    "doctor",
]


async def test_a_missing_part_does_not_affect_the_others(watched: Watched, staged: Staged) -> None:
    """And causes no error in the console."""
    missing = iter(PARTS)
    staged.data = lambda: sample.document(NOW) | {next(missing): None}
    await open_page(watched.page)
    for _ in PARTS[1:]:
        await update(watched.page)
    await expect(watched.page.get_by_text("Not examined by the doctor yet.")).to_be_visible()
    await expect(watched.page.locator("#groups > li")).to_have_count(5)


async def test_while_the_app_is_away_a_banner_is_shown_and_requests_back_off(watched: Watched, staged: Staged) -> None:
    page = watched.page
    await open_page(page)
    staged.away = True
    await page.clock.run_for(REFRESH_MS)
    banner = page.get_by_role("status").filter(has_text="The app is away")
    await expect(banner).to_contain_text("it cannot be reached")
    await expect(banner).to_contain_text("Next try in 10 s.")
    await expect(page.locator("#groups > li")).to_have_count(5)
    count = len(staged.requests)
    await page.clock.run_for(9_000)
    assert len(staged.requests) == count
    await page.clock.run_for(1_000)
    await expect(banner).to_contain_text("Next try in 20 s.")
    await expect(page.locator("#updated")).to_contain_text("15 s old")
    staged.away = False
    await page.get_by_role("button", name="Try now").click()
    await expect(banner).to_have_count(0)
    await expect(page.locator("#updated")).to_contain_text("0 s old")
    assert {fault for fault in watched.faults if AWAY not in fault} == set()
    watched.faults.clear()


async def test_a_failing_app_has_another_banner_than_one_that_is_away(watched: Watched, staged: Staged) -> None:
    page = watched.page
    await open_page(page)
    staged.status, staged.data = 503, lambda: {"error": "Redis does not answer: ConnectionError"}
    await page.clock.run_for(REFRESH_MS)
    banner = page.get_by_role("status").filter(has_text="The app has no data")
    await expect(banner).to_contain_text("Redis does not answer: ConnectionError (HTTP 503). The data below are from")
    await expect(page).to_have_title("The app has no data · Keyspace Functions")
    await expect(page.locator("header .badge")).to_be_hidden()
    staged.status, staged.data = 200, lambda: sample.document(NOW)
    await page.get_by_role("button", name="Try now").click()
    await expect(page.locator("header .badge")).to_have_text("degraded")
    watched.faults.clear()


async def test_partial_counts_are_labelled_estimated_and_the_largest_numbers_are_drawn(
    watched: Watched, staged: Staged
) -> None:
    document = sample.document(NOW)
    document["keyspace"]["complete"] = False
    document["charts"] = [document["charts"][0] | {"sparkline": [1.7e308, 0, -1.7e308]}]
    staged.data = lambda: document
    await open_page(watched.page)
    await expect(watched.page.get_by_role("region", name="Keys", exact=True)).to_contain_text("estimated")
    line = watched.page.locator("#charts .sparkline polyline")
    await expect(line).to_have_attribute("points", "1.0,2.0 60.0,14.0 119.0,26.0")


async def test_a_paused_page_sends_no_request(watched: Watched, staged: Staged) -> None:
    page = watched.page
    await open_page(page)
    pause = page.get_by_role("button", name="Pause")
    await pause.click()
    await expect(pause).to_have_attribute("aria-pressed", "true")
    await page.clock.run_for(4 * REFRESH_MS)
    assert staged.count("monitor/data") == 1
    async with page.expect_response("**/api/monitor/data?*"):
        await pause.click()
    await update(page)
    async with page.expect_request("**/api/monitor/data?*"):
        await page.clock.run_for(REFRESH_MS)


async def test_a_hidden_page_sends_no_request_and_updates_when_it_is_visible(watched: Watched, staged: Staged) -> None:
    page = watched.page
    await open_page(page)
    show = """hidden => {
        Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
    }"""
    await page.evaluate(show, True)
    await page.clock.run_for(4 * REFRESH_MS)
    assert staged.count("monitor/data") == 1
    async with page.expect_response("**/api/monitor/data?*"):
        await page.evaluate(show, False)
    assert staged.count("monitor/data") == 2


async def test_the_theme_follows_the_system_until_the_user_chooses_and_is_remembered(
    watched: Watched, staged: Staged
) -> None:
    page = watched.page
    await open_page(page)
    light = "rgb(244, 245, 247)"
    dark = "rgb(14, 18, 22)"
    await expect(page.locator("body")).to_have_css("background-color", light)
    await page.emulate_media(color_scheme="dark")
    await expect(page.locator("body")).to_have_css("background-color", dark)
    await page.get_by_role("button", name="Theme: auto").click()
    await expect(page.locator("body")).to_have_css("background-color", light)
    await page.get_by_role("button", name="Theme: light").click()
    await page.emulate_media(color_scheme="light")
    await page.reload()
    await expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
    await expect(page.locator("body")).to_have_css("background-color", dark)


async def test_a_browser_that_keeps_no_site_data_shows_the_page_too(watched: Watched, staged: Staged) -> None:
    page = watched.page
    await page.add_init_script("""
        for (const name of ['localStorage', 'sessionStorage'])
            Object.defineProperty(window, name, { get() { throw new DOMException('denied', 'SecurityError'); } });
    """)
    await page.goto(ADDRESS)
    await enter_key(page)
    await expect(page.locator("#groups > li")).to_have_count(5)
    await page.get_by_role("button", name="Theme: auto").click()
    await page.get_by_role("button", name="24 h").click()
    await expect(page.get_by_role("button", name="24 h")).to_have_attribute("aria-pressed", "true")
    await page.get_by_role("button", name="Forget key").click()
    await expect(page.get_by_label("Function key")).to_be_visible()


async def test_a_forgotten_key_leaves_no_key_user_or_payload_in_the_page(watched: Watched, staged: Staged) -> None:
    page = watched.page
    await open_page(page)
    await page.locator("#groups button.toggle").first.click()
    await page.locator("#groups button.link").first.click()
    await expect(page.locator("#letter-body pre")).to_have_count(1)
    await page.locator("#letter-close").click()
    await page.locator("#effects button.link").first.click()
    await expect(page.locator("#lookup-report dl")).to_have_count(3)
    parts = ("#effects", "#audit", "#users", "#living", "#caches", "#groups", "#lookup-report", "#letter-body")
    before = [await page.locator(part).text_content() or "" for part in parts]
    assert all(before)
    await page.get_by_role("button", name="Forget key").click()
    await expect(page.get_by_label("Function key")).to_be_visible()
    left = await page.locator("body").text_content() or ""
    words = ("fastapi:temp:data", "u-1041", "plant-7", "brine-density", "0b7d2c41-8211", "7dbd06d02371", "records[3]")
    assert any("u-1041" in text for text in before)
    assert [word for word in words if word in left.replace("fastapi:temp:data:...", "")] == []
    await enter_key(page)
    await expect(page.locator("#groups > li")).to_have_count(5)
    for part in parts[:5]:
        await expect(page.locator(part)).not_to_be_empty()
    await expect(page.get_by_role("button", name="Batches", exact=True)).to_be_visible()


async def test_everything_works_with_the_keyboard(watched: Watched, staged: Staged) -> None:
    page = watched.page
    focused = page.locator("*:focus")
    await page.goto(ADDRESS)
    await expect(focused).to_have_id("key")
    await page.keyboard.type(KEY)
    await page.keyboard.press("Enter")
    await expect(page.locator("#figures")).to_be_visible()
    await expect(focused).to_have_id("content")
    await expect(page.locator("#groups > li")).to_have_count(5)
    reached: list[str] = []
    await page.keyboard.press("Tab")
    while "Rejected" not in (name := await focused.inner_text()):
        reached.append(name.strip())
        await page.keyboard.press("Tab")
        assert await focused.evaluate("element => getComputedStyle(element).outlineStyle") in {"solid", "auto"}
        assert len(reached) < 60
    assert {"Batches", "15 min", "7 days", "Numbers of the chart", "Filter"} <= set(reached)
    await page.keyboard.press("Enter")
    await expect(page.locator("#groups tbody tr")).to_have_count(20)
    while not (await focused.inner_text()).startswith("Discard"):
        await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog", name="Discard this dead letter?")).to_be_visible()
    await expect(focused).to_have_text("Keep")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert (await focused.inner_text()).startswith("Discard")
    await update(page)
    assert (await focused.inner_text()).startswith("Discard"), "an update does not move the focus"
    assert {method for method, _ in staged.requests} == {"GET"}


async def test_a_part_that_is_chosen_in_the_navigation_is_shown_below_the_header(
    watched: Watched, staged: Staged
) -> None:
    page = watched.page
    await open_page(page)
    for name, heading in (("Dead letters 43", "Dead letters"), ("Live feed", "Live feed"), ("Instances", "Instances")):
        await page.get_by_role("navigation").get_by_role("link", name=name).click()
        await expect(page.locator("*:focus")).to_have_text(heading)
        await expect(page.locator("*:focus")).to_be_in_viewport()
    assert page.url == ADDRESS


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
async def test_an_accessibility_scan_finds_nothing(
    watched: Watched, staged: Staged, theme: Literal["light", "dark"], width: int
) -> None:
    page = watched.page
    await page.set_viewport_size({"width": width, "height": 900})
    await page.emulate_media(color_scheme=theme)
    await page.clock.resume()  # the scan uses timers
    await page.goto(ADDRESS)
    assert await violations(page) == []
    await enter_key(page)
    await expect(page.locator("#figures")).to_be_visible()
    await page.get_by_role("button", name=re.compile("^21 ?batches")).click()
    await expect(page.locator("#groups tbody tr")).to_have_count(20)
    await page.locator("#lookup-key").fill("fastapi:temp:data:plant-7-8412")
    await page.get_by_role("button", name="Look up").click()
    await expect(page.locator("#lookup-report")).to_contain_text("of this content")
    await page.get_by_text("1 note").click()
    assert await violations(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth") == width
    await page.locator("#groups").get_by_role("button", name=re.compile("^Discard")).first.click()
    assert await violations(page, "#discard") == []
    await page.keyboard.press("Escape")
    await page.locator("#groups button.link").first.click()
    await expect(page.locator("#letter")).to_contain_text("base64 > gzip > JSON")
    assert await violations(page, "#letter") == []


@pytest.mark.parametrize("width", [375, 768, 1280, 1920, 2560])
async def test_no_width_scrolls_the_page_sideways_or_stretches_it(watched: Watched, staged: Staged, width: int) -> None:
    page = watched.page
    await page.set_viewport_size({"width": width, "height": 900})
    await open_page(page)
    await page.get_by_role("button", name=re.compile("^21 ?batches")).click()
    await expect(page.locator("#groups tbody tr")).to_have_count(20)
    assert await page.evaluate("document.documentElement.scrollWidth") == width
    box = await page.locator("#state").bounding_box()
    assert box is not None
    assert box["width"] <= 1480


async def violations(page: Page, part: str | None = None) -> list[tuple[str, list[Any]]]:
    scan = await Axe().run(page, context=part)
    reported = scan.response["violations"]
    return [(violation["id"], [node["html"] for node in violation["nodes"]]) for violation in reported]


def test_no_file_of_the_page_parses_markup_evaluates_text_or_names_another_host() -> None:
    own = [path for path in FILES.iterdir() if path.suffix in {".js", ".css", ".html"}]
    assert len(own) >= 5
    for path in own:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|style=", text)
        assert not [
            url for url in re.findall(r"https?://\S+", text) if not url.startswith("http://www.w3.org/2000/svg")
        ]


def test_the_whole_page_has_less_than_150_kb() -> None:
    assert sum(path.stat().st_size for path in FILES.iterdir()) < 150_000


def test_without_chromium_tests_fail_in_ci_and_skip_elsewhere_with_the_package_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install -y chromium"):
        required_chromium()
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="apt-get install -y chromium"):
        required_chromium()


CACHE = {
    "stale": True,
    "sourceDigest": "a" * 40,
    "staleSince": "2026-11-23T01:00:00.000Z",
    "x": "time",
    "series": [
        {"name": "co2Flow", "unit": "kg/h", "points": [[1_767_225_600_000 + 1000 * n, n * n] for n in range(50)]},
        {"name": "<b>flow</b>", "unit": None, "points": [[1_767_225_600_000, 3], [1_767_225_640_000, 40]]},
    ],
    "stats": {"co2Flow": {"count": 50, "last": 2401, "min": 0, "max": 2401, "mean": 808.5}},
}


async def test_a_chart_is_drawn_with_its_facts_and_refreshed_by_a_button(watched: Watched, staged: Staged) -> None:
    page, posted = watched.page, []

    async def cache(route: Route) -> None:
        await route.fulfill(json=CACHE)

    async def refreshed(route: Route) -> None:
        posted.append(route.request.method)
        await route.fulfill(status=202, json={"scheduled": True})

    await page.route("**/api/charts/brine-density/hourly", cache)
    await page.route("**/api/charts/brine-density/hourly/refresh", refreshed)
    await open_page(page)
    charts = page.get_by_role("region", name="Chart caches")
    await expect(charts.get_by_role("list").first).to_contain_text("left alone for 41")
    row = charts.get_by_role("row", name=re.compile("^brine-density"))
    await expect(row).to_contain_text("failed 3 times: no answer within 10 s")
    await row.get_by_role("button", name="Draw brine-density hourly").click()
    drawing = page.get_by_role("group", name="brine-density hourly")
    await expect(drawing.get_by_role("img")).to_have_accessible_name(re.compile("2 series with 52 points, from 0 to"))
    await expect(drawing).to_contain_text("co2Flow [kg/h]: last 2,400")
    await expect(drawing).to_contain_text("<b>flow</b>")
    await expect(drawing).to_contain_text("stale since")
    assert len(await drawing.locator("polyline").all()) == 2
    await drawing.get_by_role("button", name="Refresh from source").click()
    await expect(drawing.get_by_role("status")).to_contain_text("fetches it now")
    assert posted == ["POST"]
    await drawing.get_by_role("button", name="Close").click()
    await expect(drawing).to_be_hidden()
