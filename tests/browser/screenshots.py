"""Takes the screenshots in docs/images from sample data: `python -m tests.browser.screenshots [FOLDER]`.

Needs Chromium, and pngquant, which reduces a picture to a quarter of its size: `apt-get install -y chromium pngquant`.
"""

import asyncio
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import Browser, Page

from tests.support import chromium
from tests.support import monitor_sample as sample
from tests.support.staged import ADDRESS, Staged, enter_key

type Theme = Literal["light", "dark"]

IMAGES = Path(__file__).parents[2] / "docs" / "images"
NOW = datetime(2026, 11, 22, 13, 58, 41, tzinfo=UTC)
WIDE, NARROW = 1280, 390


@dataclass(frozen=True)
class Picture:
    """A state of the page. `whole`: down to the end of the page."""

    name: str
    theme: Theme
    width: int = WIDE
    state: str = "busy"
    whole: bool = True


PICTURES = (
    Picture("light", "light"),
    Picture("dark", "dark"),
    Picture("narrow", "dark", NARROW, whole=False),
    Picture("empty", "light", state="empty"),
    Picture("away", "dark", state="away", whole=False),
    Picture("letters", "light", state="letters"),
    Picture("letter", "dark", state="letter", whole=False),
    Picture("lookup", "light", state="lookup"),
    Picture("week", "dark", state="week"),
    Picture("wide", "light", 2560, whole=False),
)


async def draw(browser: Browser, target: Path, picture: Picture) -> None:
    """Take a screenshot of the page in this state."""
    factor = 233 if picture.state == "letters" else 1
    staged = Staged(lambda: _document(picture.state, factor), sample.answers(NOW))
    staged.answers["/events/dead-groups"] = {"groups": sample.groups(NOW, factor)}
    context = await browser.new_context(
        viewport={"width": picture.width, "height": 900}, color_scheme=picture.theme, timezone_id="Europe/Vienna"
    )
    page = await context.new_page()
    await page.clock.set_fixed_time(NOW)
    await staged.serve(page)
    await page.goto(ADDRESS)
    await enter_key(page)
    await page.locator("#figures").wait_for()
    if picture.state != "empty":
        await page.locator("#groups > li").first.wait_for()
    if picture.state in STEPS:
        await STEPS[picture.state](page, staged)
    shown = page.locator(PARTS[picture.state]) if picture.state in PARTS else page
    options: dict[str, Any] = {} if picture.state in PARTS else {"full_page": picture.whole}
    await shown.screenshot(path=target, animations="disabled", **options)
    await context.close()


def _document(state: str, factor: int) -> dict[str, Any]:
    if state == "empty":
        return sample.empty(NOW)
    document = sample.document(NOW)
    document["deadLetters"]["totals"] = {"count": 43 * factor, "bytes": 3_984_220 * factor, "dropped": 0}
    return document


async def _away(page: Page, staged: Staged) -> None:
    staged.away = True
    await page.clock.set_fixed_time(NOW.replace(second=59))
    await page.get_by_text("The app is away").wait_for()


async def _letters(page: Page, staged: Staged) -> None:
    await page.locator("#groups button.toggle").nth(1).click()
    await page.locator("#groups tbody tr").first.wait_for()
    await page.get_by_role("checkbox", name="Select all letters").first.check()


async def _letter(page: Page, staged: Staged) -> None:
    await page.locator("#groups button.toggle").first.click()
    await page.locator("#groups button.link").first.click()
    await page.get_by_text("How it is read").wait_for()


async def _lookup(page: Page, staged: Staged) -> None:
    await page.get_by_role("button", name="fastapi:temp:data:plant-7-8412", exact=True).click()
    await page.get_by_text("In Redis").wait_for()


async def _week(page: Page, staged: Staged) -> None:
    await page.get_by_role("button", name="7 days").click()
    await page.locator("#events-chart").get_by_role("img", name="in the last 7 days").wait_for()


STEPS = {"away": _away, "letters": _letters, "letter": _letter, "lookup": _lookup, "week": _week}
PARTS = {"letters": "#dead", "lookup": "#lookup", "week": "#activity"}
"""States whose picture is of one part of the page."""


async def main(folder: Path) -> None:
    executable = chromium.find()
    if executable is None or shutil.which("pngquant") is None:
        sys.exit("Chromium and pngquant are needed; on Debian: apt-get install -y chromium pngquant")
    async with chromium.launched(executable) as browser:
        for picture in PICTURES:
            await draw(browser, folder / f"monitor-{picture.name}.png", picture)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    asyncio.run(main(target))
    pictures = sorted(str(path) for path in target.glob("monitor-*.png"))
    subprocess.run(["pngquant", "--ext", ".png", "--force", "--strip", "--speed", "1", "64", *pictures], check=True)
