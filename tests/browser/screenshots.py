"""Takes the screenshots in docs/images of the running app: `python -m tests.browser.screenshots [FOLDER]`.

The app runs in the local host over a Redis of its own, with traffic of all kinds. Of the time before it was started,
the counts per minute, 10 minutes and hour are written in its format, so that the longer ranges have something to show.

Needs Chromium, and pngquant, which reduces a picture to a quarter of its size: `apt-get install -y chromium pngquant`.
"""

import asyncio
import json
import math
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import redis.asyncio
from playwright.async_api import Browser, Page

from local.run.servers import azurite
from shared import namespaces
from shared.app import App, open_app
from shared.delivery import dead_letters
from shared.errors import Rejected
from shared.reactor import Payload
from shared.settings import Settings, parse
from shared.telemetry import minute_counts
from tests.support import chromium
from tests.support.rig import HostProcess, RedisProcess
from tests.support.staged import enter_key

type Theme = Literal["light", "dark"]

IMAGES = Path(__file__).parents[2] / "docs" / "images"
KEY = "the-key-of-the-screenshots"
WIDE, NARROW = 1280, 390
MANY = 9_900
TRAFFIC_S = 20.0
HOSTILE = "<img src=x onerror=alert(1)>"
TOKENS = [f"{random.Random(n).getrandbits(128):032x}" for n in range(12)]


@dataclass(frozen=True)
class Picture:
    """A picture of the page after `steps`; of `part` only, or else `whole`, down to its end."""

    name: str
    theme: Theme
    width: int = WIDE
    steps: Callable[[Page], Awaitable[None]] | None = None
    part: str | None = None
    whole: bool = True


async def _open_group(page: Page) -> None:
    await page.locator("#groups button.toggle").nth(1).click()
    await page.locator("#groups tbody tr").first.wait_for()
    await page.get_by_role("checkbox", name="Select all letters").first.check()


async def _open_letter(page: Page) -> None:
    await page.locator("#groups button.toggle").filter(has_text="column of numbers").first.click()
    await page.locator("#groups button.link").first.click()
    await page.get_by_text("How it is read").wait_for()


async def _look_up(page: Page) -> None:
    await page.get_by_role("button", name=re.compile("^fastapi:temp:data:plant-7")).first.click()
    await page.get_by_text("Known to the app").wait_for()


async def _week(page: Page) -> None:
    await page.get_by_role("button", name="7 days").click()
    await page.locator("#events-chart").get_by_role("img", name="in the last 7 days").wait_for()


BUSY = (
    Picture("light", "light"),
    Picture("dark", "dark"),
    Picture("narrow", "dark", NARROW, whole=False),
    Picture("wide", "light", 2560, whole=False),
    Picture("week", "dark", steps=_week, part="#activity"),
    Picture("lookup", "light", steps=_look_up, part="#lookup"),
    Picture("letter", "dark", steps=_open_letter, whole=False),
)
LETTERS = Picture("letters", "light", steps=_open_group, part="#dead")
EMPTY = Picture("empty", "light")


@dataclass
class Studio:
    """The browser, the running app and its Redis, and where the pictures go."""

    browser: Browser
    host: HostProcess
    redis: redis.asyncio.Redis
    app: App
    folder: Path

    @property
    def address(self) -> str:
        return re.findall(r"ready (http\S+)", self.host.output_text())[-1] + "/api/monitor"

    async def take(self, picture: Picture) -> None:
        async with self.page(picture) as page:
            if picture.steps:
                await picture.steps(page)
            await self._shoot(page, picture)

    async def take_away(self, picture: Picture) -> None:
        """The page while the app is gone: it is killed, and the page waits for its next try."""
        async with self.page(picture) as page:
            await self.host.kill()
            await page.get_by_text("The app is away").wait_for()
            await self._shoot(page, picture)

    @asynccontextmanager
    async def page(self, picture: Picture) -> AsyncIterator[Page]:
        context = await self.browser.new_context(
            viewport={"width": picture.width, "height": 900}, color_scheme=picture.theme, timezone_id="Europe/Vienna"
        )
        page = await context.new_page()
        await page.goto(self.address)
        await enter_key(page, KEY)
        await page.locator("#figures").wait_for()
        await page.wait_for_load_state("networkidle")
        yield page
        await context.close()

    async def _shoot(self, page: Page, picture: Picture) -> None:
        target = self.folder / f"monitor-{picture.name}.png"
        if picture.part:
            await page.locator(picture.part).screenshot(path=target, animations="disabled")
        else:
            await page.screenshot(path=target, full_page=picture.whole, animations="disabled")


HISTORY = (
    (namespaces.STATISTICS, 60, 60),
    (namespaces.STATISTICS_10_MIN, 600, 145),
    (namespaces.STATISTICS_HOUR, 3600, 169),
)
"""Hashes, seconds of one of them, and their number."""


async def write_history(client: redis.asyncio.Redis) -> None:
    """Counts of the last week, as instances would have written them: busy by day, with an outage in between."""
    chance, now_s = random.Random(7), int(time.time())
    pipeline = client.pipeline(transaction=False)
    for kind, step_s, steps in HISTORY:
        for back in range(1, steps):
            hour = (13 - back * step_s / 3600) % 24  # as if it were early afternoon now
            level = (0.15 + max(0.0, math.sin((hour - 5) * math.pi / 14))) * chance.uniform(0.85, 1.1)
            bad = back == steps // 3
            fields = {
                "n batches event processed": round(14 * step_s * level),
                "n batches sweep duplicate": step_s,
                "n charts event processed": round(7 * step_s * level),
                "n sessions event processed": round(2 * step_s * level),
            }
            if bad:
                fields |= {"n batches retry retried": 5 * step_s, "n batches event rejected": 2 * step_s}
                fields["n batches retry dead"] = 6
            if kind is namespaces.STATISTICS:
                for what, reactor, ms in (("l", "batches", 5.0), ("l", "charts", 7.0), ("d", "batches", 2.4)):
                    for factor, n in ((0.7, 30), (1.0, 50), (2.5, 12), (30.0 if bad else 4.0, 3)):
                        fields[f"{what} {reactor} {minute_counts.bucket(ms * factor)}"] = n
            key = namespaces.build(kind, str(now_s // step_s - back))
            pipeline.hset(key, mapping=dict(fields))
            pipeline.expire(key, kind.ttl_s or 0)
    await pipeline.execute()


def _rows(n: int, value: Any = None) -> str:
    begin = int(time.time()) - 120
    rows = [{"timestamp": begin + 2 * i, "data": {"co2": 412 + math.sin(n + i / 4), "temp": 24.1}} for i in range(40)]
    return json.dumps({"records": rows if value is None else [{"timestamp": begin, "data": {"temp": value}}]})


async def write_traffic(client: redis.asyncio.Redis, seconds: float) -> None:
    """Clients' writes of all kinds, some of them unreadable."""
    chance, until_s, n = random.Random(3), time.monotonic() + seconds, 8400
    while time.monotonic() < until_s:
        n += 1
        await client.set(f"fastapi:temp:data:{chance.choice(('plant-7', 'line-3', 'plant-2'))}-{n}", _rows(n), ex=3600)
        if n % 2:
            name = chance.choice(("co2-flow", "ph", "energy", "water-temperature", "brine-density", "feed"))
            points = [{"t": int(time.time()) - 3 * i, "v": round(50 + 9 * math.sin(n + i / 9), 2)} for i in range(200)]
            await client.set(f"fabric:data:chart:{name}:realtime", json.dumps(points), ex=300)
        if n % 5 == 0:
            await _write_session(client, chance, n)
        if n % 9 == 0:
            bad = (_rows(n, "warm"), '{"records": [', "\x80\x04\x95.")[n // 9 % 3]
            await client.set(f"fastapi:temp:data:{HOSTILE if n % 4 == 0 else f'import-{n}'}", bad, ex=3600)
        if n % 40 == 0:
            await client.set(
                f"fabric:data:chart:trial-{n}:hourly", '{"result": [{"name": "a", "state": "on"}]}', ex=300
            )
        await asyncio.sleep(0.05)  # the rate of the clients


async def _write_session(client: redis.asyncio.Redis, chance: random.Random, n: int) -> None:
    """Sign in or out; now and then another user takes over a session, or one has no expiry."""
    place = chance.randrange(len(TOKENS))
    key = f"nextauth:session:{TOKENS[place]}"
    user = {"userId": f"u-{1040 + (place * place + (n % 90 == 0)) % 5}"}
    if chance.random() < 0.25:
        await client.delete(key)
    elif n % 75 == 0:
        await client.set(key, json.dumps(user))
    else:
        await client.set(key, json.dumps(user | {"expires": "2036-01-01T00:00:00.000Z"}), ex=3600)


async def bury_many(app: App, number: int) -> None:
    """Dead letters of a few reasons."""
    errors = (
        Rejected("JSON is cut short"),
        TimeoutError(),
        Rejected("rows found at `records`, but no column of numbers"),
    )
    for n in range(number):
        key, content = f"fastapi:temp:data:import-{n:05}".encode(), f'{{"records": [{n}'.encode()
        await dead_letters.bury(app, "batches", key, errors[n % 7 % 3], Payload("string", f"{n:040x}", [content]))


async def main(folder: Path) -> None:
    executable = chromium.find()
    if executable is None or shutil.which("pngquant") is None:
        sys.exit("Chromium and pngquant are needed; on Debian: apt-get install -y chromium pngquant")
    with tempfile.TemporaryDirectory() as temporary:
        async with (
            chromium.launched(executable) as browser,
            RedisProcess(Path(temporary)) as server,
            azurite() as storage,
        ):
            if storage is None:
                sys.exit("Azurite cannot be started here: it needs Node.js")
            connection = f"127.0.0.1:{server.port}"
            app = open_app(parse({"Redis": connection, "AUDIT_KEY": "an audit key of the screenshots"}))
            settings = {
                "FUNCTIONS_LOCAL_KEY": KEY,
                "AUDIT_KEY": app.settings.audit_key,
                "AzureWebJobsStorage": storage.connection_string,
                "LEASE_S": f"{Settings().lease_s:g}",
            }
            host = HostProcess(connection, Path(temporary) / "host.log", **settings)
            client = redis.asyncio.Redis(port=server.port)
            await host.start()
            try:
                await _take_all(Studio(browser, host, client, app, folder))
            finally:
                await host.end()
                await client.aclose()
                await app.redis.aclose()


async def _take_all(studio: Studio) -> None:
    await studio.take(EMPTY)
    await write_history(studio.redis)
    await write_traffic(studio.redis, TRAFFIC_S)
    await studio.redis.delete(namespaces.build(namespaces.KEYSPACE_LEASE))  # count the keys again at once
    await studio.redis.delete(namespaces.build(namespaces.KEYSPACE_SURVEY))
    for picture in BUSY:
        await studio.take(picture)
    await bury_many(studio.app, MANY)
    await studio.take(LETTERS)
    await studio.take_away(Picture("away", "dark", whole=False))


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    asyncio.run(main(target))
    pictures = sorted(str(path) for path in target.glob("monitor-*.png"))
    subprocess.run(["pngquant", "--ext", ".png", "--force", "--strip", "--speed", "1", "64", *pictures], check=True)
