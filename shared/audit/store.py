"""The container `audit` of the storage account: append blobs that only grow, and blobs that are written once.

Raises azure.core.exceptions.AzureError (and what a stuck connection raises as TimeoutError) when storage is away or
refuses; `Moved` when a blob is not where the caller thought it was.
"""

import asyncio
import importlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shared.audit.chain import MAX_LINE_BYTES
from shared.errors import ConfigurationError
from shared.settings import Settings

if TYPE_CHECKING:
    from azure.storage.blob.aio import BlobServiceClient, ContainerClient

CONTAINER = "audit"
CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 20
RETRIES = 2
"""A timer runs the export each minute; more tries within a run would only hold it up."""
_READ_BYTES = 2 * 1024 * 1024
# The account of Azurite that `UseDevelopmentStorage=true` stands for, with its published key: not a secret.
_DEVELOPMENT = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1"
)


class Moved(Exception):
    """A blob does not end where it was expected to: somebody else has added to it, or it is gone."""


class Unusable(Exception):
    """Nothing can ever be added to a blob: it is no append blob, was sealed, or is full."""


class Store:
    """One container. Names of blobs are those of chain.BlobName and chain.heads_name."""

    def __init__(self, container: "ContainerClient") -> None:
        self._container = container

    async def append(self, blob: str, data: bytes, position: int) -> int:
        """Add `data` (at most 4 MiB) to a blob of `position` bytes; an empty one, and the container, are created where
        there are none. Returns how many blocks the blob has (Azure ends at 50,000). Raises Moved and Unusable."""
        from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

        client = self._container.get_blob_client(blob)
        try:
            if position == 0:
                await self._create(blob)
            done = await client.append_block(data, length=len(data), appendpos_condition=position)
        except ResourceNotFoundError:
            raise Moved from None
        except HttpResponseError as fault:
            code = _code(fault)
            if code == "AppendPositionConditionNotMet":
                raise Moved from None
            if code in {"InvalidBlobType", "BlobIsSealed", "BlockCountExceedsLimit"}:
                raise Unusable from None
            raise  # somebody holds a lease on it, say: who can end that has to know
        return int(str(done["blob_committed_block_count"]))

    async def create(self, blob: str, data: bytes) -> bool:
        """Write a blob unless it is there already; False when it is."""
        from azure.core.exceptions import ResourceExistsError

        client = self._container.get_blob_client(blob)
        try:
            await self._in_container(lambda: client.upload_blob(data, length=len(data), overwrite=False))
        except ResourceExistsError:
            if await self.size(blob) is None:  # it is something else that exists, or is in the way
                raise
            return False
        return True

    async def size(self, blob: str) -> int | None:
        """Bytes of a blob, None where it is not there."""
        from azure.core.exceptions import ResourceNotFoundError

        try:
            about = await self._container.get_blob_client(blob).get_blob_properties()
        except ResourceNotFoundError:
            return None
        return int(about.size)

    async def read(self, blob: str, start: int, length: int) -> bytes:
        """Bytes of a blob, fewer where it ends before; b"" where it is not there."""
        from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

        try:
            stream = await self._container.download_blob(blob, offset=start, length=length)
            return await stream.readall()
        except ResourceNotFoundError:
            return b""
        except HttpResponseError as fault:
            if fault.status_code == 416:  # the blob ends before `start`
                return b""
            raise

    async def lines(self, blob: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The lines of a blob from byte `start` on, each with its newline. A last one without newline is the rest of
        the blob, or MAX_LINE_BYTES of a line that is longer: then it ends there."""
        rest = b""
        while end is None or start < end:
            length = _READ_BYTES if end is None else min(_READ_BYTES, end - start)
            piece = await self.read(blob, start, length)
            start += len(piece)
            *whole, rest = (rest + piece).split(b"\n")
            for number, line in enumerate(whole):
                if number % 50 == 0:  # events have their turns between
                    await asyncio.sleep(0)
                yield line[:MAX_LINE_BYTES] if len(line) >= MAX_LINE_BYTES else line + b"\n"
            if len(piece) < length or len(rest) >= MAX_LINE_BYTES:
                break
        if rest:
            yield rest[:MAX_LINE_BYTES]

    async def names(self, prefix: str) -> AsyncIterator[tuple[str, int]]:
        """Name and bytes of each blob whose name begins with `prefix`, in the order of their names."""
        from azure.core.exceptions import ResourceNotFoundError

        try:
            async for one in self._container.list_blobs(name_starts_with=prefix):
                yield str(one.name), int(one.size)
        except ResourceNotFoundError:  # no container yet
            return

    async def _create(self, blob: str) -> None:
        """An empty append blob, where there is none of this name."""
        from azure.core import MatchConditions
        from azure.core.exceptions import ResourceExistsError, ResourceModifiedError

        client = self._container.get_blob_client(blob)
        try:
            await self._in_container(lambda: client.create_append_blob(match_condition=MatchConditions.IfMissing))
        except (ResourceExistsError, ResourceModifiedError):
            return

    async def _in_container(self, write: Callable[[], Awaitable[object]]) -> None:
        """Do `write`; where there is no container, with a new one."""
        from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

        try:
            await write()
        except ResourceNotFoundError:
            with suppress(ResourceExistsError):  # another instance was quicker
                await self._container.create_container()
            await write()


def _code(fault: Exception) -> str:
    """Storage's own name of an error."""
    code = getattr(fault, "error_code", None)
    return str(getattr(code, "value", code))


async def load_client() -> None:
    """Import Azure's client: 0.6 s once, in a thread, so that other functions get their turns meanwhile."""
    await asyncio.to_thread(importlib.import_module, "azure.storage.blob.aio")


@asynccontextmanager
async def open_store(settings: Settings, container: str = CONTAINER) -> AsyncIterator[Store]:
    """The store that the settings name. Raises ConfigurationError when `storage` is no connection string and no https
    URL of a blob service; the message does not quote it."""
    await load_client()
    # Azure's clients log each request with its headers at INFO. They redact secrets; it is noise all the same.
    logging.getLogger("azure").setLevel(logging.WARNING)
    async with AsyncExitStack() as stack:
        service = await _service(settings, stack)
        yield Store(service.get_container_client(container))


async def _service(settings: Settings, stack: AsyncExitStack) -> "BlobServiceClient":
    from azure.storage.blob.aio import BlobServiceClient, LinearRetry

    options: dict[str, Any] = {
        "retry_policy": LinearRetry(backoff=1, retry_total=RETRIES, random_jitter_range=1),
        "connection_timeout": CONNECT_TIMEOUT_S,
        "read_timeout": READ_TIMEOUT_S,
        "max_single_get_size": _READ_BYTES,
        "max_chunk_get_size": _READ_BYTES,
    }
    text = settings.storage.strip()
    if _is_service_url(text):
        credential = await stack.enter_async_context(_credential(settings.storage_client_id))
        return await stack.enter_async_context(BlobServiceClient(text, credential=credential, **options))
    if _setting(text, "UseDevelopmentStorage").lower() == "true":
        text = _DEVELOPMENT
    if not (_setting(text, "AccountKey") or _setting(text, "SharedAccessSignature")):
        raise _unusable()
    try:
        client = BlobServiceClient.from_connection_string(text, **options)
    except (ValueError, TypeError, KeyError):  # their texts may hold a part of it
        raise _unusable() from None
    return await stack.enter_async_context(client)


def _unusable() -> ConfigurationError:
    return ConfigurationError(
        "AzureWebJobsStorage: neither a connection string of a storage account nor the https URL of a blob service"
    )


def _is_service_url(text: str) -> bool:
    try:
        url = urlsplit(text)
    except ValueError:
        return False
    return url.scheme == "https" and bool(url.hostname) and not (url.query or url.fragment or url.username)


def _setting(text: str, name: str) -> str:
    """A setting of a connection string, '' where it has none."""
    pairs = (part.partition("=") for part in text.split(";"))
    return next((value.strip() for found, _, value in pairs if found.strip().lower() == name.lower()), "")


def _credential(client_id: str) -> Any:
    from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential

    return ManagedIdentityCredential(client_id=client_id) if client_id else DefaultAzureCredential()
