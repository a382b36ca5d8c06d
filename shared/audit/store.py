"""The container `audit` of the storage account: append blobs, and blobs that are written once.

Every call raises azure.core.exceptions.AzureError (TimeoutError for a connection that hangs) when storage is away or
refuses the request.
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
"""A timer runs the export every minute, so more retries within a run would only delay it."""
_READ_BYTES = 2 * 1024 * 1024
# The account of Azurite that `UseDevelopmentStorage=true` stands for, with its published key: not a secret.
_DEVELOPMENT = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1"
)


class Moved(Exception):
    """A blob does not end at the expected position: somebody else has appended to it, or it is gone."""


class Unusable(Exception):
    """A blob can never be appended to: it is not an append blob, was sealed, or is full."""


class Store:
    """One container. Blobs are named by chain.BlobName and chain.heads_name."""

    def __init__(self, container: "ContainerClient") -> None:
        self._container = container

    async def append(self, blob: str, data: bytes, position: int) -> int:
        """Append `data` (at most 4 MiB) as one block to a blob of `position` bytes. With position 0 the blob and the
        container are created if needed. Returns how many blocks the blob has (Azure's limit is 50,000).

        Raises Moved and Unusable.
        """
        from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

        client = self._container.get_blob_client(blob)
        try:
            if position == 0:
                await self._create(blob)
            properties = await client.append_block(data, length=len(data), appendpos_condition=position)
        except ResourceNotFoundError:
            raise Moved from None
        except HttpResponseError as fault:
            code = _code(fault)
            if code == "AppendPositionConditionNotMet":
                raise Moved from None
            if code in {"InvalidBlobType", "BlobIsSealed", "BlockCountExceedsLimit"}:
                raise Unusable from None
            raise  # such as a lease on the blob, which an operator has to end
        return int(str(properties["blob_committed_block_count"]))

    async def create(self, blob: str, data: bytes) -> bool:
        """Write a blob; False if it exists already."""
        from azure.core.exceptions import ResourceExistsError

        client = self._container.get_blob_client(blob)
        try:
            await self._in_container(lambda: client.upload_blob(data, length=len(data), overwrite=False))
        except ResourceExistsError:
            if await self.size(blob) is None:  # the error is about something other than this blob
                raise
            return False
        return True

    async def size(self, blob: str) -> int | None:
        """Size of a blob in bytes; None if it does not exist."""
        from azure.core.exceptions import ResourceNotFoundError

        try:
            properties = await self._container.get_blob_client(blob).get_blob_properties()
        except ResourceNotFoundError:
            return None
        return int(properties.size)

    async def read(self, blob: str, start: int, length: int) -> bytes:
        """`length` bytes of a blob from byte `start` on, fewer at its end; b"" if it does not exist."""
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
        """The lines of a blob from byte `start` to byte `end`, each with its newline.

        A last line without newline is the rest of the blob, or the first MAX_LINE_BYTES of a longer line; no line after
        that is read.
        """
        rest = b""
        while end is None or start < end:
            length = _READ_BYTES if end is None else min(_READ_BYTES, end - start)
            piece = await self.read(blob, start, length)
            start += len(piece)
            *whole, rest = (rest + piece).split(b"\n")
            for number, line in enumerate(whole):
                if number % 50 == 0:  # let other tasks run
                    await asyncio.sleep(0)
                yield line[:MAX_LINE_BYTES] if len(line) >= MAX_LINE_BYTES else line + b"\n"
            if len(piece) < length or len(rest) >= MAX_LINE_BYTES:
                break
        if rest:
            yield rest[:MAX_LINE_BYTES]

    async def names(self, prefix: str) -> AsyncIterator[tuple[str, int]]:
        """Name and size in bytes of each blob whose name begins with `prefix`, in the order of the names."""
        from azure.core.exceptions import ResourceNotFoundError

        try:
            async for properties in self._container.list_blobs(name_starts_with=prefix):
                yield str(properties.name), int(properties.size)
        except ResourceNotFoundError:  # no container yet
            return

    async def _create(self, blob: str) -> None:
        """Create an empty append blob, unless a blob of this name exists."""
        from azure.core import MatchConditions
        from azure.core.exceptions import ResourceExistsError, ResourceModifiedError

        client = self._container.get_blob_client(blob)
        try:
            await self._in_container(lambda: client.create_append_blob(match_condition=MatchConditions.IfMissing))
        except (ResourceExistsError, ResourceModifiedError):
            return

    async def _in_container(self, write: Callable[[], Awaitable[object]]) -> None:
        """Call `write`; if the container does not exist, create it and call `write` again."""
        from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

        try:
            await write()
        except ResourceNotFoundError:
            with suppress(ResourceExistsError):  # another instance created it
                await self._container.create_container()
            await write()


def _code(fault: Exception) -> str:
    """The error code of the storage service."""
    code = getattr(fault, "error_code", None)
    return str(getattr(code, "value", code))


async def load_client() -> None:
    """Import Azure's client in a thread: it takes 0.6 s, and other functions run meanwhile."""
    await asyncio.to_thread(importlib.import_module, "azure.storage.blob.aio")


@asynccontextmanager
async def open_store(settings: Settings, container: str = CONTAINER) -> AsyncIterator[Store]:
    """The store of the settings. Raises ConfigurationError if `storage` is neither a connection string nor the https
    URL of a blob service; the message does not quote it."""
    await load_client()
    # Azure's clients log each request with its headers (secrets redacted) at INFO: noise.
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
    if is_emulator(settings):
        text = _DEVELOPMENT
    if not (_setting(text, "AccountKey") or _setting(text, "SharedAccessSignature")):
        raise _not_an_account()
    try:
        client = BlobServiceClient.from_connection_string(text, **options)
    except (ValueError, TypeError, KeyError):  # the message may quote a part of the secret
        raise _not_an_account() from None
    return await stack.enter_async_context(client)


def _not_an_account() -> ConfigurationError:
    return ConfigurationError(
        "AzureWebJobsStorage: neither a connection string of a storage account nor the https URL of a blob service"
    )


def _is_service_url(text: str) -> bool:
    try:
        url = urlsplit(text)
    except ValueError:
        return False
    return url.scheme == "https" and bool(url.hostname) and not (url.query or url.fragment or url.username)


def is_emulator(settings: Settings) -> bool:
    """Whether the setting stands for Azurite on this machine."""
    return _setting(settings.storage, "UseDevelopmentStorage").lower() == "true"


def _setting(text: str, name: str) -> str:
    """The value of `name` in a connection string, '' if it is not there."""
    pairs = (part.partition("=") for part in text.split(";"))
    return next((value.strip() for key, _, value in pairs if key.strip().lower() == name.lower()), "")


def _credential(client_id: str) -> Any:
    from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential

    return ManagedIdentityCredential(client_id=client_id) if client_id else DefaultAzureCredential()
