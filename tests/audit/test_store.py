"""The store: outages, refusals and lost replies of storage, wrong settings, and secrets that stay out of logs."""

import logging
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from azure.storage.blob import ContainerSasPermissions, generate_container_sas

from local.run import servers
from shared import telemetry
from shared.app import App, open_app
from shared.audit import state
from shared.audit import store as store_module
from shared.audit.export import export
from shared.audit.store import CONTAINER, Moved, Store, open_store
from shared.audit.verify import verify
from shared.errors import ConfigurationError
from shared.settings import Settings
from tests.audit.conftest import Box, Measured, Writer, ids, open_box
from tests.support.proxy import CUT_ANSWER, TcpProxy


async def test_a_block_is_appended_only_at_the_expected_end_of_the_blob(box: Box) -> None:
    blob = "sessions/2026/11/22/x.jsonl"
    assert await box.store.append(blob, b"one\n", 0) == 1
    assert await box.store.append(blob, b"two\n", 4) == 2
    for position in (0, 4, 100):
        with pytest.raises(Moved):
            await box.store.append(blob, b"three\n", position)
    with pytest.raises(Moved):
        await box.store.append("sessions/2026/11/22/gone.jsonl", b"x\n", 4)
    assert await box.raw(blob) == b"one\ntwo\n"
    assert await box.store.size(blob) == 8
    assert await box.store.size("sessions/2026/11/22/gone.jsonl") is None


async def test_a_blob_that_is_written_once_is_never_overwritten(box: Box) -> None:
    await box.client.create_container()
    assert await box.store.create("a", b"first")
    assert not await box.store.create("a", b"second")
    assert await box.raw("a") == b"first"


async def test_lines_are_complete_whatever_the_size_of_a_read(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_READ_BYTES", 7)
    text = b"".join(b"x" * length + b"\n" for length in range(20)) + b"rest"
    await box.store.append("a", text, 0)
    assert [line async for line in box.store.lines("a")] == text.splitlines(keepends=True)
    assert [line async for line in box.store.lines("a", 3)] == text[3:].splitlines(keepends=True)
    assert [line async for line in box.store.lines("b")] == []


@pytest.mark.parametrize(
    "text",
    [
        "nonsense-SECRET",
        "http://account.blob.core.windows.net/SECRET",
        "https://account.blob.core.windows.net/?sig=SECRET",
        "AccountName=SECRET",
        "AccountName=SECRET;AccountKey=SECRET;;===",
        "DefaultEndpointsProtocol=https;AccountKey=SECRET",
    ],
)
async def test_an_invalid_storage_setting_is_named_but_not_quoted(
    app: App, app_settings: Settings, writer: Writer, text: str
) -> None:
    misconfigured = open_app(msgspec.structs.replace(app_settings, storage=text))
    try:
        await writer.add(1)
        with pytest.raises(ConfigurationError) as raised:
            await export(misconfigured)
        assert "AzureWebJobsStorage" in str(raised.value)
        assert "SECRET" not in f"{raised.value!r} {raised.value.__cause__!r}"
        assert (await state.state(app)).error == "ConfigurationError"
    finally:
        await misconfigured.redis.aclose()


async def test_use_development_storage_means_the_emulators_account(app_settings: Settings) -> None:
    settings = msgspec.structs.replace(app_settings, storage="UseDevelopmentStorage=true")
    async with open_store(settings) as store:
        assert store._container.url == "http://127.0.0.1:10000/devstoreaccount1/audit"


@pytest.mark.parametrize("client_id", ["", "11111111-2222-3333-4444-555555555555"])
async def test_a_service_url_is_opened_with_a_managed_identity(app_settings: Settings, client_id: str) -> None:
    settings = msgspec.structs.replace(
        app_settings, storage="https://account.blob.core.windows.net", storage_client_id=client_id
    )
    async with open_store(settings) as store:
        assert store._container.url == "https://account.blob.core.windows.net/audit"
        assert store._container.credential is not None
        expected = "ManagedIdentityCredential" if client_id else "DefaultAzureCredential"
        assert type(store._container.credential).__name__ == expected


async def test_export_writes_to_the_container_audit_of_the_account_in_the_settings(app: App, writer: Writer) -> None:
    async with open_box(app.settings, CONTAINER) as box:
        if await box.client.exists():
            for name in await box.names():
                await box.delete(name)
        await writer.add(3)
        assert (await export(app)).written == 3
        assert ids(await box.all()) == writer.written


async def test_an_outage_of_storage_loses_no_record_and_is_logged_once(
    app: App,
    box: Box,
    app_settings: Settings,
    writer: Writer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store_module, "RETRIES", 0)  # within a run; they only take time here
    port = servers.free_port()
    text = f"DefaultEndpointsProtocol=http;AccountName=a;AccountKey=U0VDUkVU;BlobEndpoint=http://127.0.0.1:{port}/a;"
    away = open_app(msgspec.structs.replace(app_settings, storage=text))
    telemetry.recovered("storage")
    await writer.add(3)
    try:
        with caplog.at_level(logging.DEBUG):
            for _ in range(2):
                report = await export(away)
                assert (report.error, report.finished) == ("ServiceRequestError", False)
            progress = await state.state(app)
            assert (progress.error, progress.pending) == ("ServiceRequestError", 3)
            assert (await export(app, box.store)).finished
    finally:
        await away.redis.aclose()
    messages = [record.message for record in caplog.records if record.name == telemetry.logger.name]
    assert [message.partition(" after")[0] for message in messages] == [
        "storage is away (ServiceRequestError)",
        "storage is back",
    ]
    assert ids(await box.all()) == writer.written
    progress = await state.state(app)
    assert (progress.error, progress.pending) == (None, 0)


async def test_a_lost_reply_to_an_append_leaves_no_duplicate(
    app: App, box: Box, azurite: servers.Azurite, app_settings: Settings, writer: Writer
) -> None:
    """The block was appended but its reply is lost; the retry is refused because the blob has grown."""
    async with TcpProxy(azurite.blob_port, random.Random(1)) as proxy:
        text = azurite.connection_string.replace(str(azurite.blob_port), str(proxy.port))
        settings = msgspec.structs.replace(app_settings, storage=text)
        async with open_store(settings, box.client.container_name) as proxied:

            class Cut(Store):
                async def append(self, blob: str, data: bytes, position: int) -> int:
                    if not proxy.injected[CUT_ANSWER]:
                        await super()._create(blob)
                        proxy.chances = {CUT_ANSWER: 1.0}
                        blob_client = self._container.get_blob_client(blob)
                        from azure.core.exceptions import AzureError

                        with pytest.raises(AzureError):
                            await blob_client.append_block(
                                data, length=len(data), appendpos_condition=position, retry_total=0
                            )
                        proxy.chances = {}
                    return await super().append(blob, data, position)

            await writer.add(30)
            report = await export(app, Cut(proxied._container))
            assert proxy.injected[CUT_ANSWER] >= 1
            assert report.finished
    assert ids(await box.all()) == writer.written
    assert (await verify(box.store, app.keyrings, head=(await state.state(app)).head)).fault is None


async def test_no_log_line_and_no_error_contains_an_account_key_or_a_signature(
    app: App,
    azurite: servers.Azurite,
    app_settings: Settings,
    box: Box,
    writer: Writer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    parts = dict(part.split("=", 1) for part in azurite.connection_string.split(";") if part)
    await box.client.create_container()
    sas = generate_container_sas(
        parts["AccountName"],
        box.client.container_name,
        parts["AccountKey"],
        permission=ContainerSasPermissions(read=True, list=True),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    signature = sas.partition("sig=")[2].partition("&")[0]
    text = f"BlobEndpoint={parts['BlobEndpoint']};SharedAccessSignature={sas}"
    await writer.add(3)
    with caplog.at_level(logging.DEBUG):
        assert (await export(app, box.store)).finished  # with the account key
        await writer.add(1)
        settings = msgspec.structs.replace(app_settings, storage=text)
        async with open_store(settings, box.client.container_name) as store:  # with a read-only signature
            assert (await verify(store, app.keyrings)).records == 3
            report = await export(app, store)
            assert report.error is not None
    assert len(signature) > 40
    for secret in (signature, parts["AccountKey"], "SharedKey "):
        assert secret not in caplog.text
        assert secret not in str(await app.redis.hgetall(b"functions:audit:state"))


def test_importing_the_export_does_not_import_azures_client(measured: Measured) -> None:
    code = (
        "import sys, time, shared.audit.export, shared.audit.verify\n"
        "assert not any(name.startswith(('azure', 'aiohttp', 'rfc8785')) for name in sys.modules)\n"
        "start = time.perf_counter()\n"
        "import azure.storage.blob.aio\n"
        "print(time.perf_counter() - start)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    measured("import of azure.storage.blob.aio", float(run.stdout) * 1000, "ms")
