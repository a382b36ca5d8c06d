"""Every manage.py command of the documents runs, on a Redis that has what the documents speak of."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from shared.app import App, open_app
from shared.audit.export import export
from shared.charts import refresh
from shared.charts.refresher import Refresher
from shared.delivery import dead_letters
from shared.delivery.dead_letters import Payload
from shared.privacy.masking import fingerprint
from shared.settings import Settings
from tests.audit import conftest as audit
from tests.audit.conftest import Writer
from tests.cli.conftest import ROOT
from tests.cli.test_runbook import DOCUMENTED
from tests.support.chart_source import ChartSource, serving

BATCH, CHART = "fastapi:temp:data:batch-1", "fabric:data:chart:co2-flow:realtime"
ROWS = json.dumps([{"t": 1_767_225_600_000 + 1000 * n, "v": n % 7} for n in range(5)])
CHANGES = ("discard", "replay", "cleanup", "fix", "--now", "--apply", "--undo")
"""What changes the data comes after what looks at them, `--undo` after what it undoes."""
TOKEN = b"token-1"

azurite = audit.azurite
app_settings = audit.app_settings
writer = audit.writer

RUN = """
import glob, json, os, shlex, sys, tempfile
from cli.app import app
for line in json.loads(sys.argv[1]):
    words, code = shlex.split(line.replace("JOURNAL", max(glob.glob("migration-*.jsonl"), default="none"))), 0
    with tempfile.TemporaryFile() as output:
        outside = os.dup(1)
        os.dup2(output.fileno(), 1), os.dup2(output.fileno(), 2)
        try:
            app(words)
        except SystemExit as end:
            code = end.code or 0
        sys.stdout.flush()
        os.dup2(outside, 1), os.close(outside)
        output.seek(0)
        print(json.dumps([line, code, output.read().decode()]), flush=True)
"""


def in_order(lines: set[str]) -> list[str]:
    return sorted(
        lines, key=lambda line: (max((line.find(word) >= 0) * (1 + n) for n, word in enumerate(CHANGES)), line)
    )


async def staged(app: App, writer: Writer) -> str:
    """Write a batch, a chart, a session, keys of former names, records and letters. Returns the id of a letter."""
    await app.redis.set(BATCH, json.dumps([{"metric": "m", "ts": 1, "value": 2.0}]))
    await app.redis.set(CHART, ROWS, ex=300)
    await app.redis.set(
        "fabric:data:chart:tank-1:realtime", json.dumps({"plant": {"outlet": json.loads(ROWS)}}), ex=300
    )
    await app.redis.set(
        b"nextauth:session:" + TOKEN, json.dumps({"userId": "u", "expires": "2036-01-01T00:00:00.000Z"})
    )
    await app.redis.set("user:1:tokens", "{}")
    await app.redis.set("old:1", "x")
    await writer.add(3, user="12345678-1234-1234-1234-123456789abc")
    await export(app)
    payload = Payload("string", "d" * 40, [b'{"records": ['])
    for key in (BATCH, "fastapi:temp:data:batch-2"):
        letter = await dead_letters.bury(app, "batches", key.encode(), ValueError("JSON is cut short"), payload)
    return letter


@asynccontextmanager
async def keeping_charts_warm(settings: Settings) -> AsyncIterator[dict[str, str]]:
    """An instance of the app with a source of charts; the settings of that source."""
    source = ChartSource()
    async with serving(source.app) as source.port:
        sources = {
            "CHART_SOURCES": json.dumps([{"match": "co2-flow:*", "url": source.url}]),
            "CHART_SOURCE_HOSTS": "127.0.0.1",
        }
        app = open_app(msgspec.structs.replace(settings, **{name.lower(): value for name, value in sources.items()}))
        refresher = Refresher()
        refresher.look_after(lambda: app)
        try:
            yield sources
        finally:
            await refresher.stop(app)
            await refresh.close(app)
            await app.redis.aclose()


async def test_each_documented_command_ends_without_a_failure(
    app: App, app_settings: Settings, writer: Writer, tmp_path: Path
) -> None:
    """In one process, since each start takes half a second. Some wait for events or print for a second."""
    values = {
        "ID": (await staged(app, writer))[:12],
        "TEXT": "short",
        "FILE": "payload.json",
        "KEY": BATCH,
        "@0123456789ab": "@" + fingerprint(TOKEN, app_settings.audit_key)[:12],
        "30": "1",
    }
    lines = {" ".join(values.get(word, word) for word in line.split(" ")) for _, line in DOCUMENTED} - {"watch"}
    (tmp_path / "payload.json").write_text(ROWS, encoding="utf-8")
    async with keeping_charts_warm(app_settings) as sources:
        environment = {
            "Redis": app_settings.redis,
            "AUDIT_KEY": app_settings.audit_key,
            "AzureWebJobsStorage": app_settings.storage,
            "PYTHONPATH": str(ROOT),
        }
        ran = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", RUN, json.dumps(in_order(lines))],
            cwd=tmp_path,
            env=os.environ | sources | environment,
            input=ROWS,
            capture_output=True,
            text=True,
            check=False,
        )
    results = [msgspec.json.decode(line, type=tuple[str, int, str]) for line in ran.stdout.splitlines()]
    assert [line for line, _, _ in results] == in_order(lines), ran.stderr[-2000:]
    assert [result for result in results if result[1] not in {0, 1} or not result[2].strip()] == []
