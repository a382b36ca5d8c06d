"""Takes the screenshots in docs/images from sample data: `python -m tests.browser.screenshots [FOLDER]`.

Needs Chromium, and pngquant, which reduces a picture to a quarter of its size: `apt-get install -y chromium pngquant`.
"""

import asyncio
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from playwright.async_api import Browser

from tests.support import chromium
from tests.support import monitor_sample as sample
from tests.support.staged import ADDRESS, Staged, enter_key

IMAGES = Path(__file__).parents[2] / "docs" / "images"
NOW = datetime(2026, 11, 22, 13, 58, 41, tzinfo=UTC)
WIDE, NARROW = 1280, 390


async def draw(
    browser: Browser, target: Path, *, width: int, theme: Literal["light", "dark"], state: str = "data"
) -> None:
    """Take a screenshot of the page in this state."""
    staged = Staged(lambda: sample.empty(NOW) if state == "empty" else sample.document(NOW))
    context = await browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=theme, timezone_id="Europe/Vienna"
    )
    page = await context.new_page()
    await page.clock.set_fixed_time(NOW)
    await staged.serve(page)
    await page.goto(ADDRESS)
    if state != "key":
        await enter_key(page)
        await page.locator("#figures").wait_for()
        if state == "away":
            staged.away = True
            await page.clock.set_fixed_time(NOW.replace(second=59))
            await page.get_by_text("The app is away").wait_for()
        await page.wait_for_timeout(300)  # until the charts have resized
    await page.screenshot(path=target, full_page=width == WIDE and state != "away", animations="disabled")
    await context.close()


async def main(folder: Path) -> None:
    executable = chromium.find()
    if executable is None or shutil.which("pngquant") is None:
        sys.exit("Chromium and pngquant are needed; on Debian: apt-get install -y chromium pngquant")
    async with chromium.launched(executable) as browser:
        await draw(browser, folder / "monitor-light.png", width=WIDE, theme="light")
        await draw(browser, folder / "monitor-dark.png", width=WIDE, theme="dark")
        await draw(browser, folder / "monitor-narrow.png", width=NARROW, theme="dark")
        await draw(browser, folder / "monitor-empty.png", width=WIDE, theme="light", state="empty")
        await draw(browser, folder / "monitor-away.png", width=WIDE, theme="dark", state="away")


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    asyncio.run(main(target))
    pictures = sorted(str(path) for path in target.glob("monitor-*.png"))
    subprocess.run(["pngquant", "--ext", ".png", "--force", "--strip", "--speed", "1", "64", *pictures], check=True)
