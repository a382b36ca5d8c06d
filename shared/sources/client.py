"""Asking a source for a chart: one HTTP request through a shared pool of connections.

Bounded in time and size. Redirects are followed within the same host only. A connection is opened to an address that
was checked right before, so a DNS answer that changes leads nowhere else.
"""

import asyncio
import importlib
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from shared.errors import SourceDown
from shared.sources.addresses import Hosts
from shared.sources.config import Source
from shared.sources.request import body_of, url_of

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession
    from aiohttp.abc import AbstractResolver

MAX_REDIRECTS = 3
MAX_RETRY_AFTER_S = 3600.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEEP_METHOD = frozenset({307, 308})
_LOCATION = re.compile(r"[!-~]+")
_UNKNOWN_CHART = frozenset({404, 410})
_PIECE_BYTES = 64 * 1024


class Client:
    """The HTTP client of an app. `resolver` answers DNS queries; None for the machine's own. Close it with `close`.

    aiohttp and azure-identity are imported with the first request: an app without sources does not pay for them.
    """

    def __init__(self, hosts: Hosts, resolver: "AbstractResolver | None" = None) -> None:
        self._hosts = hosts
        self._resolver = resolver
        self._session: ClientSession | None = None
        self._credential: Any = None
        self._opening = asyncio.Lock()

    async def fetch(
        self, source: Source, chart_id: bytes, data_type: bytes, max_bytes: int, until_s: float = float("inf")
    ) -> bytes:
        """The body of the source's answer for a chart: JSON by its content type, at most `max_bytes` long.

        Raises SourceDown for anything else. No request is in progress after `until_s`, by the event loop's clock.
        """
        url, body = url_of(source, chart_id, data_type), body_of(source, chart_id, data_type)
        session = await self._open()
        credential = await self._sign_in() if source.scope else None
        try:
            async with asyncio.timeout_at(min(asyncio.get_running_loop().time() + source.timeout_s, until_s)):
                headers = dict(source.headers)
                if credential and source.scope:
                    headers["Authorization"] = f"Bearer {await _token(credential, source.scope)}"
                await asyncio.sleep(0)  # ends here if it is too late to begin
                return await self._request(session, source, url, body, headers, max_bytes)
        except TimeoutError:
            raise SourceDown(f"no answer within {source.timeout_s:g} s") from None

    async def close(self) -> None:
        if self._session:
            await self._session.close()
        if self._credential:
            await self._credential.close()
        self._session = self._credential = None

    async def _request(
        self,
        session: "ClientSession",
        source: Source,
        url: str,
        body: bytes | None,
        headers: Mapping[str, str],
        max_bytes: int,
    ) -> bytes:
        import aiohttp
        from yarl import URL

        method = source.method
        sent = {"Accept": "application/json", **headers}
        for _ in range(1 + MAX_REDIRECTS):
            if body is not None:
                sent["Content-Type"] = "application/json; charset=utf-8"
            # No compression: a small answer could expand to any size.
            sent["Accept-Encoding"] = "identity"
            try:
                async with session.request(
                    method, URL(url, encoded=True), data=body, headers=sent, allow_redirects=False
                ) as response:
                    if response.status not in _REDIRECTS:
                        return await _body_of(response, max_bytes)
                    location = response.headers.get("Location", "")
                    if response.status not in _KEEP_METHOD and method == "POST":
                        raise SourceDown(f"HTTP {response.status} to a POST")
            except (aiohttp.ClientError, OSError, RuntimeError, ValueError) as error:  # RuntimeError: of uvloop
                raise SourceDown(_reason_of(error)) from None
            url = _within_origin(url, location)
        raise SourceDown(f"more than {MAX_REDIRECTS} redirects")

    async def _open(self) -> "ClientSession":
        async with self._opening:
            if self._session is None:
                await asyncio.to_thread(importlib.import_module, "aiohttp")
                import aiohttp

                from shared.sources.protocol import bound
                from shared.sources.resolver import checked_resolver

                connector = aiohttp.TCPConnector(
                    limit=0,  # CHART_FETCH_CONCURRENCY limits them: a slow source must not use up those of others
                    use_dns_cache=False,
                    resolver=checked_resolver(self._hosts, self._resolver),
                )
                self._session = aiohttp.ClientSession(
                    connector=bound(connector),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    timeout=aiohttp.ClientTimeout(total=None),
                    auto_decompress=False,
                    trust_env=False,
                    headers={"User-Agent": "keyspace-functions"},
                )
        return self._session

    async def _sign_in(self) -> Any:
        """The app's identity; it keeps its tokens until shortly before their end."""
        async with self._opening:
            if self._credential is None:
                await asyncio.to_thread(importlib.import_module, "azure.identity.aio")
                from azure.identity.aio import DefaultAzureCredential

                try:
                    self._credential = DefaultAzureCredential()
                except ValueError as error:  # its settings, such as AZURE_TENANT_ID
                    raise SourceDown(f"no token: {type(error).__name__}") from None
        return self._credential


async def _token(credential: Any, scope: str) -> str:
    """Raises SourceDown without the text of the error, which may quote the answer of the token service."""
    try:
        token = await credential.get_token(scope)
    except Exception as error:
        raise SourceDown(f"no token: {type(error).__name__}") from None
    return str(token.token)


async def _body_of(response: "ClientResponse", max_bytes: int) -> bytes:
    """Raises SourceDown unless the answer is JSON within the limit."""
    if not 200 <= response.status < 300:
        raise SourceDown(
            f"HTTP {response.status}", _retry_after_s(response), of_chart=response.status in _UNKNOWN_CHART
        )
    kind = response.content_type
    if kind not in {"application/json", "text/json"} and not kind.endswith("+json"):
        raise SourceDown("the answer is not JSON by its content type")
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise SourceDown("the answer is compressed although that was not asked for")
    too_large = SourceDown(f"the answer has more than {max_bytes} bytes")
    if (response.content_length or 0) > max_bytes:
        response.close()
        raise too_large
    pieces, size = [], 0
    async for piece in response.content.iter_chunked(_PIECE_BYTES):
        size += len(piece)
        if size > max_bytes:
            response.close()  # the rest is not read
            raise too_large
        pieces.append(piece)
    return b"".join(pieces)


def _retry_after_s(response: "ClientResponse") -> float | None:
    """How long the source asks to wait, at most MAX_RETRY_AFTER_S: seconds or a date, by its own clock (RFC 9110)."""
    text = response.headers.get("Retry-After", "").strip()
    if response.status not in {429, 503} or not text:
        return None
    if text.isdecimal():
        wait_s = float(text)
    elif (until_s := _seconds_of(text)) is not None:
        sent_s = _seconds_of(response.headers.get("Date", ""))
        wait_s = until_s - (time.time() if sent_s is None else sent_s)
    else:
        return None
    return min(max(wait_s, 0.0), MAX_RETRY_AFTER_S)


def _seconds_of(date: str) -> float | None:
    """Unix time of a date of HTTP; None for what is none."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None


def _within_origin(url: str, location: str) -> str:
    """The target of a redirect. Raises SourceDown where it is no URL, or on another host, port or scheme."""
    try:
        target = urlsplit(urljoin(url, location))
        here = urlsplit(url)
        same = (target.scheme, target.hostname, target.port) == (here.scheme, here.hostname, here.port)
    except ValueError:
        same = False
    if not _LOCATION.fullmatch(location) or not same or target.username is not None:
        raise SourceDown("redirects to another host")
    return target._replace(fragment="").geturl()


def _reason_of(error: Exception) -> str:
    """The class of an error, whose text may quote an address or a secret; of a refused address the reason."""
    from shared.sources.resolver import AddressRefused

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, AddressRefused):
            return "the host's address is private and not in CHART_SOURCE_HOSTS"
        cause = cause.__cause__ or cause.__context__
    return f"no connection: {type(error).__name__}"
