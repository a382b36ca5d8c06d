"""One Azurite per test process, one container per test, and a writer of stream entries."""

import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from azure.storage.blob.aio import ContainerClient

from local.run import servers
from shared import namespaces
from shared.app import App
from shared.audit.store import Store, open_store
from shared.settings import Settings

STREAM = namespaces.build(namespaces.AUDIT_STREAM)
STATE = namespaces.build(namespaces.AUDIT_STATE)


@pytest.fixture(scope="session")
async def azurite() -> AsyncIterator[servers.Azurite]:
    async with servers.azurite() as emulator:
        assert emulator is not None, servers.azurite_missing()
        yield emulator


@pytest.fixture
def app_settings(app_settings: Settings, azurite: servers.Azurite) -> Settings:
    return msgspec.structs.replace(app_settings, storage=azurite.connection_string)


@dataclass
class Box:
    """The container of a test: `store` as the exporter sees it, `client` for tampering with it."""

    store: Store
    client: ContainerClient

    async def names(self) -> list[str]:
        return [name async for name, _ in self.store.names("")]

    async def files(self) -> list[str]:
        return [name for name in await self.names() if name.endswith(".jsonl")]

    async def raw(self, blob: str) -> bytes:
        return await (await self.client.download_blob(blob)).readall()

    async def lines(self, blob: str) -> list[bytes]:
        return (await self.raw(blob)).splitlines(keepends=True)

    async def all(self) -> list[dict[str, Any]]:
        """All lines of all files, in order."""
        return [json.loads(line) for blob in await self.files() for line in await self.lines(blob)]

    async def rewrite(self, blob: str, data: bytes) -> None:
        """Replace a blob by an append blob with the content `data`."""
        client = self.client.get_blob_client(blob)
        await client.delete_blob()
        await client.create_append_blob()
        if data:
            await client.append_block(data)

    async def delete(self, blob: str) -> None:
        await self.client.delete_blob(blob)


@pytest.fixture
async def box(app_settings: Settings) -> AsyncIterator[Box]:
    async with open_box(app_settings, f"test-{secrets.token_hex(8)}") as box:
        yield box


@asynccontextmanager
async def open_box(settings: Settings, name: str) -> AsyncIterator[Box]:
    async with (
        open_store(settings, name) as store,
        ContainerClient.from_connection_string(settings.storage, name) as client,
    ):
        yield Box(store, client)


def record(n: int, time: str, user: str = "u-1", **data: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"6f1ed002ab5595859014ebf0951522d9.1795381088021050.{n}",
        "source": "urn:keyspace-functions:sessions",
        "type": "nextauth.session.created",
        "subject": "6f1ed002ab5595859014ebf0951522d9",
        "time": time,
        "datacontenttype": "application/json",
        "keyid": "0123abcd",
        "data": {"userId": user, "expires": "2026-12-22T21:00:00.000Z", "detectedBy": "event", **data},
    }


def today(clock: str = "00:00:00.000") -> str:
    return f"{datetime.now(UTC).date().isoformat()}T{clock}Z"


@dataclass
class Writer:
    """Adds entries to the stream as apply_session.lua does. `n` is the running number of the last entry, `written`
    has the ids of the records."""

    app: App
    n: int = 0
    written: list[str] = field(default_factory=list)

    async def add(self, count: int = 1, *, time: str | None = None, user: str = "u-1") -> None:
        pipeline = self.app.redis.pipeline(transaction=True)
        for _ in range(count):
            self.n += 1
            event = record(self.n, time or today(), user)
            self.written.append(event["id"])
            pipeline.xadd(STREAM, {"event": json.dumps(event), "n": self.n})
        pipeline.hset(STATE, "appended", self.n)
        await pipeline.execute()

    async def junk(self, fields: dict[Any, Any]) -> None:
        await self.app.redis.xadd(STREAM, fields)


@pytest.fixture
def writer(app: App) -> Writer:
    return Writer(app)


def ids(lines: list[dict[str, Any]]) -> list[str]:
    """Ids of the session records among `lines`."""
    return [line["id"] for line in lines if line["source"] == "urn:keyspace-functions:sessions"]


def own(lines: list[dict[str, Any]]) -> list[str]:
    """Types of the exporter's own records among `lines`."""
    return [line["type"].rpartition(".")[2] for line in lines if line["source"] == "urn:keyspace-functions:audit"]


type Measured = Callable[[str, float, str], None]
