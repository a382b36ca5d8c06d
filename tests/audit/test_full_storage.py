"""A storage account that is full: the real client and the real emulator, and between them what Azure replies then."""

import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import msgspec
import pytest
from aiohttp import web
from yarl import URL

from local.run import servers
from shared import telemetry
from shared.app import App
from shared.audit import state
from shared.audit import store as store_module
from shared.audit.export import export
from shared.audit.store import open_store
from shared.audit.verify import verify
from shared.operations import health
from tests.audit.conftest import Box, Writer, ids

OF_THE_CONNECTION = {"connection", "keep-alive", "transfer-encoding"}


@dataclass
class FullStorage:
    """Passes requests on to `target`. While `full`, a write is refused with `status`: before it is passed on, or after
    it (`written`), as when the account runs full while it confirms a block."""

    target: str
    status: int = 507
    written: bool = False
    full: bool = False
    refused: Counter[str] = field(default_factory=Counter)

    async def handle(self, request: web.Request) -> web.Response:
        refused = self.full and request.method == "PUT"
        if refused:
            self.refused[request.query.get("comp", request.query.get("restype", "blob"))] += 1
        if not refused or self.written:
            reply = await self.pass_on(request)
            if not refused:
                return reply
        return web.Response(status=self.status, headers={"x-ms-error-code": "InsufficientStorage"})

    async def pass_on(self, request: web.Request) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        url = URL(self.target + request.raw_path, encoded=True)
        signed = {"data": await request.read(), "headers": headers, "skip_auto_headers": ["Content-Type"]}
        async with aiohttp.request(request.method, url, **signed) as reply:
            kept = [(name, value) for name, value in reply.headers.items() if name.lower() not in OF_THE_CONNECTION]
            return web.Response(status=reply.status, headers=dict(kept), body=await reply.read())


@asynccontextmanager
async def in_front_of(azurite: servers.Azurite, storage: FullStorage) -> AsyncIterator[str]:
    """The connection string of an account that is `storage`, in front of the emulator."""
    application = web.Application(client_max_size=2**24)
    application.router.add_route("*", "/{path:.*}", storage.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield azurite.connection_string.replace(str(azurite.blob_port), str(runner.addresses[0][1]))
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "written"), [(507, False), (500, False), (500, True)], ids=["507", "500", "500 after the write"]
)
async def test_a_full_storage_account_loses_and_repeats_no_record_is_named_once_and_needs_no_help(
    app: App,
    box: Box,
    azurite: servers.Azurite,
    writer: Writer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    written: bool,
) -> None:
    monkeypatch.setattr(store_module, "RETRIES", 0)  # within a run; the next run is the retry that matters here
    telemetry.recovered("storage")
    storage = FullStorage(f"http://127.0.0.1:{azurite.blob_port}", status, written)
    async with in_front_of(azurite, storage) as text:
        settings = msgspec.structs.replace(app.settings, storage=text)
        async with open_store(settings, box.client.container_name) as store:
            for times in (2, 4):  # before there is a file; and before a block
                storage.full = True
                for _ in range(times):
                    await writer.add(2)
                    report = await export(app, store)
                    assert (report.finished, report.error) == (False, "HttpResponseError")
                reasons = (await health.check_app(app)).reasons
                assert any("cannot be written to storage: HttpResponseError" in reason for reason in reasons)
                storage.full = False
                assert (await export(app, store)).finished
    assert storage.refused.keys() == {"blob", "appendblock"}
    lines = [record.message.partition(" after")[0] for record in caplog.records if record.levelno >= logging.WARNING]
    assert lines == ["storage is away (HttpResponseError)", "storage is back"] * 2
    assert ids(await box.all()) == writer.written
    progress = await state.state(app)
    assert (progress.error, progress.pending, progress.gaps) == (None, 0, 0)
    assert (await verify(box.store, app.keyrings, head=progress.head)).fault is None
