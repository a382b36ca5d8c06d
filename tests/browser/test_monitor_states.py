"""The monitor page in every state, with simulated responses."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, Route, expect

from tests.browser.conftest import Watched, required_chromium
from tests.support import monitor_sample as sample
from tests.support.staged import ADDRESS, FILES, KEY, Staged, enter_key

NOW = datetime(2026, 11, 22, 13, 58, 41, tzinfo=UTC)
REFRESH_MS = 5_000
AWAY = "net::ERR_CONNECTION_REFUSED"


@pytest.fixture
async def staged(watched: Watched) -> Staged:
    """Simulated responses, and a stopped clock; the page is not open yet."""
    staged = Staged(lambda: sample.document(NOW))
    await watched.page.clock.install(time=NOW - timedelta(hours=1))
    await watched.page.clock.pause_at(NOW)
    await staged.serve(watched.page)
    return staged


async def open_page(page: Page) -> None:
    """Open the page in a tab that has the function key."""
    await page.add_init_script(f"sessionStorage.setItem('keyspace-functions-key', '{KEY}')")
    await page.goto(ADDRESS)
    await expect(page.locator("#figures")).to_be_visible()


async def update(page: Page) -> None:
    """Make the page request data at once, as when it becomes visible, and wait until it shows the response."""
    await page.evaluate("""
        document.querySelector('#summary').firstChild.dataset.former = '';
        document.dispatchEvent(new Event('visibilitychange'));
    """)
    await expect(page.locator("#summary [data-former]")).to_have_count(0)


async def test_every_part_of_the_document_is_shown(watched: Watched, staged: Staged) -> None:
    page = watched.page
    await open_page(page)
    await expect(page).to_have_title("degraded · Keyspace Functions")
    await expect(page.get_by_role("region", name="Needs attention")).to_contain_text("1240 keys wait for a retry")
    batches = page.get_by_role("region", name="Batches", exact=True)
    await expect(batches.get_by_role("row", name=re.compile("^rejected 180"))).to_be_visible()
    await expect(batches.get_by_role("row", name=re.compile("^Lag 5.62 ms 31.6 ms 1.33 s 41,021"))).to_be_visible()
    await expect(batches.get_by_role("img", name=re.compile("peak [0-9.]+.s at"))).to_be_visible()
    assert await batches.locator("canvas").count() == 2
    await batches.locator(".plot.events").hover()
    await expect(batches.locator(".readout").first).to_contain_text(re.compile(r"processed [\d.]+/s · duplicate"))
    letter = page.get_by_role("row", name=re.compile("^fastapi:temp:data:import-0093"))
    await expect(letter).to_contain_text("the analysis took longer than 20 s")
    await expect(letter).to_contain_text("7 MiB")
    await expect(page.get_by_role("row", name=re.compile("^fastapi batch 31,870 75 MiB"))).to_be_visible()
    await expect(page.get_by_role("row", name=re.compile("ended: logout 7dbd06d02371 u-1041 del"))).to_have_count(1)
    await expect(page.get_by_role("row", name=re.compile("^brine-density hourly 3 min stale 2,000"))).to_be_visible()
    await expect(
        page.get_by_role("row", name="5e19a0f3-7730 trigger deaf, listens itself 48.3 % 1 s ago")
    ).to_be_visible()
    await expect(page.locator("#instances-note")).to_contain_text("process_fastapi_data 3 ms, update_charts 2 ms")
    findings = page.get_by_role("region", name="Findings of the doctor").get_by_role("heading", level=3)
    assert [text.split()[0] for text in await findings.all_inner_texts()] == ["error", "warning", "info"]
    await expect(page.locator("#letters time").first).to_have_attribute("title", "2026-11-22 13:41:41 UTC")


async def test_without_traffic_every_part_shows_that_it_is_empty(watched: Watched, staged: Staged) -> None:
    staged.data = lambda: sample.empty(NOW)
    await open_page(watched.page)
    await expect(watched.page.get_by_text("No events in the last hour.")).to_have_count(3)
    for text in (
        "No dead letters",
        "No audit records yet",
        "Not counted yet:",
        "No chart caches",
        "No instance",
        "Nothing to do",
    ):
        await expect(watched.page.get_by_text(text)).to_be_visible()
    assert await watched.page.locator("tbody tr:visible").count() == 0


async def test_exactly_the_reactors_of_the_document_have_panels(watched: Watched, staged: Staged) -> None:
    alerts = {"name": "alerts", "function": "raise_alerts", "noun": "alert"}
    reactors = [sample.REACTORS[0], alerts]

    def document() -> dict[str, Any]:
        document = sample.document(NOW) | {"reactors": reactors}
        document["stats"]["minutes"][-1]["outcomes"]["alerts"] = {"event": {"processed": 12}}
        return document

    staged.data = document
    await open_page(watched.page)
    headings = watched.page.locator("#reactors").get_by_role("heading", level=2)
    assert await headings.all_inner_texts() == ["Batches", "Alerts"]
    alerts_panel = watched.page.get_by_role("region", name="Alerts", exact=True)
    await expect(alerts_panel.get_by_role("row", name=re.compile("^processed 12"))).to_be_visible()


PARTS = [
    "reactors",
    "health",
    "stats",
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
    await expect(watched.page.get_by_text("Not checked yet.")).to_be_visible()
    await expect(watched.page.locator("#letters tbody tr")).to_have_count(5)


async def test_while_the_app_is_away_a_banner_is_shown_and_requests_back_off(watched: Watched, staged: Staged) -> None:
    page = watched.page
    await open_page(page)
    staged.away = True
    await page.clock.run_for(REFRESH_MS)
    banner = page.get_by_role("status").filter(has_text="The app is away")
    await expect(banner).to_contain_text("it cannot be reached")
    await expect(banner).to_contain_text("Next try in 10 s.")
    await expect(page.locator("#letters tbody tr")).to_have_count(5)
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
    await expect(watched.page.locator("#summary")).to_contain_text("estimated 38 s ago")
    line = watched.page.locator(".sparkline polyline")
    await expect(line).to_have_attribute("points", "1.0,2.0 60.0,11.0 119.0,20.0")


async def test_a_paused_page_sends_no_request(watched: Watched, staged: Staged) -> None:
    page = watched.page
    await open_page(page)
    pause = page.get_by_role("button", name="Pause")
    await pause.click()
    await expect(pause).to_have_attribute("aria-pressed", "true")
    await page.clock.run_for(4 * REFRESH_MS)
    assert len(staged.requests) == 1
    async with page.expect_response("**/api/monitor/data"):
        await pause.click()
    await update(page)
    async with page.expect_request("**/api/monitor/data"):
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
    assert len(staged.requests) == 1
    async with page.expect_response("**/api/monitor/data"):
        await page.evaluate(show, False)
    assert len(staged.requests) == 2


async def test_the_theme_follows_the_system_until_the_user_chooses_and_is_remembered(
    watched: Watched, staged: Staged
) -> None:
    page = watched.page
    await open_page(page)
    light = "rgb(243, 244, 246)"
    dark = "rgb(15, 18, 21)"
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


async def test_everything_works_with_the_keyboard(watched: Watched, staged: Staged) -> None:
    page = watched.page
    focused = page.locator("*:focus")
    await page.goto(ADDRESS)
    await expect(focused).to_have_id("key")
    await page.keyboard.type(KEY)
    await page.keyboard.press("Enter")
    await expect(page.locator("#figures")).to_be_visible()
    await expect(focused).to_have_id("content")
    reached = []
    for _ in range(12):
        await page.keyboard.press("Tab")
        reached.append(await focused.evaluate("element => element.textContent.trim() || element.ariaLabel"))
    assert reached.count("Numbers by minute") == 3
    while not (await focused.inner_text()).startswith("Discard"):
        await page.keyboard.press("Tab")
        assert await focused.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog", name="Discard this dead letter?")).to_be_visible()
    await expect(focused).to_have_text("Keep it")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert (await focused.inner_text()).startswith("Discard")
    document = sample.document(NOW)
    document["deadLetters"]["letters"].insert(0, document["deadLetters"]["letters"][0] | {"id": "f" * 32})
    staged.data = lambda: document
    await update(page)
    await expect(page.locator("#letters tbody tr")).to_have_count(6)
    assert (await focused.inner_text()).startswith("Discard"), "an update does not move the focus"
    assert {method for method, _ in staged.requests} == {"GET"}


async def test_further_letters_are_shown_on_request_and_stay_after_updates(watched: Watched, staged: Staged) -> None:
    page = watched.page
    await open_page(page)
    first = sample.letters(NOW)["letters"][0]
    older = [first | {"id": f"{n:032x}", "key": f"fastapi:temp:data:older-{n}"} for n in range(38)]
    staged.letters = {"letters": older, "nextCursor": None}
    more = page.get_by_role("button", name="Show more")
    await more.click()
    await expect(page.locator("#letters tbody tr")).to_have_count(43)
    assert staged.requests[-1] == ("GET", ADDRESS.removesuffix("monitor") + "events/dead?cursor=1%3Ax&limit=50")
    await expect(more).to_be_hidden()
    await expect(page.get_by_text("38 more letters shown.")).to_be_visible()
    await update(page)
    await expect(page.locator("#letters tbody tr")).to_have_count(43)


async def test_the_explanation_of_a_letter_is_requested_when_opened_and_stays_after_updates(
    watched: Watched, staged: Staged
) -> None:
    page = watched.page
    await open_page(page)
    row = page.get_by_role("row", name=re.compile("^fabric:data:chart:co2-flow"))
    staged.letter = {"explanation": sample.explanation()}
    await row.get_by_text("Explanation", exact=False).first.click()
    shown = row.get_by_role("group", name="Explanation of fabric:data:chart:co2-flow:realtime")
    await expect(shown).to_contain_text(
        "rejected: rows found at `result`, but no column of numbers: `<b>temp</b>` holds"
    )
    for text in (
        "Encoding: base64 > gzip > JSON",
        "ts: time (times under the name of a time)",
        "co2 [ppm]: 2 values; 2026-11-22T13:00:00.000Z = 412.5",
        "2 × an identifier is no measurement",
        "`result`, 2 rows: no column of numbers",
        '{"fabric:data:chart:co2-flow:realtime":{"rows":',
    ):
        await expect(shown).to_contain_text(text)
    await expect(shown.locator("b")).to_have_count(0)
    letter_id = next(item["id"] for item in sample.letters(NOW)["letters"] if item["reactor"] == "charts")
    assert staged.requests[-1] == ("GET", ADDRESS.removesuffix("monitor") + f"events/dead/{letter_id}")
    await update(page)
    await expect(shown).to_be_visible()
    slow = page.get_by_role("row", name=re.compile("^fastapi:temp:data:import-0093"))
    await expect(slow.get_by_text("Explanation")).to_have_count(0)  # its error is not Rejected


async def test_an_explanation_that_cannot_be_loaded_is_replaced_by_the_reason(watched: Watched, staged: Staged) -> None:
    page = watched.page
    await open_page(page)
    row = page.get_by_role("row", name=re.compile("^fabric:data:chart:co2-flow"))
    shown = row.get_by_role("group", name=re.compile("^Explanation of"))
    staged.letter = {"explanation": None}
    await row.locator("summary").click()
    await expect(shown).to_contain_text("No explanation")
    await row.locator("summary").click()
    staged.status, staged.data = 404, lambda: {"error": "there is no such dead letter"}
    await row.locator("summary").click()
    await expect(shown).to_have_text("Loading failed: there is no such dead letter (HTTP 404).")
    assert watched.faults
    watched.faults.clear()


async def test_the_numbers_of_the_charts_are_available_as_tables(watched: Watched, staged: Staged) -> None:
    await open_page(watched.page)
    charts = watched.page.get_by_role("region", name="Charts", exact=True)
    await charts.get_by_text("Numbers by minute").click()
    table = charts.get_by_role("table", name=re.compile("by minute, newest first"))
    await expect(table.get_by_role("row")).to_have_count(61)
    await expect(table.get_by_role("row").nth(2)).to_contain_text("processed")


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
    staged.letter = {"explanation": sample.explanation()}
    await page.locator("#letters summary").nth(2).click()
    await expect(page.locator("#letters .explanation").nth(2)).to_contain_text("base64 > gzip > JSON")
    assert await violations(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth") == width
    await page.get_by_role("button", name="Discard").first.click()
    assert await violations(page, "dialog") == []


async def violations(page: Page, part: str | None = None) -> list[tuple[str, list[Any]]]:
    scan = await Axe().run(page, context=part)
    reported = scan.response["violations"]
    return [(violation["id"], [node["html"] for node in violation["nodes"]]) for violation in reported]


def test_no_file_of_the_page_parses_markup_evaluates_text_or_names_another_host() -> None:
    own = [path for path in FILES.iterdir() if path.suffix in {".js", ".css", ".html"} and "uPlot" not in path.name]
    assert len(own) >= 5
    for path in own:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|style=", text)
        assert not [
            url for url in re.findall(r"https?://\S+", text) if not url.startswith("http://www.w3.org/2000/svg")
        ]


def test_the_chart_library_has_the_documented_checksum() -> None:
    documented = re.findall(
        r"^sha256 (\w+)  (\S+)$", (FILES / "VENDORED.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert [name for _, name in documented] == ["uPlot.iife.min.js", "uPlot.min.css"]
    for digest, name in documented:
        assert hashlib.sha256((FILES / name).read_bytes()).hexdigest() == digest


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
