"""One request to a source that is slow, hostile or elsewhere: bounded, refused, and never led to another host."""

import asyncio
import gzip
import json
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse, StreamingResponse

from shared.errors import SourceDown
from shared.sources.addresses import Hosts, parse_hosts
from shared.sources.client import Client
from shared.sources.config import Source
from tests.support.chart_source import ChartSource, serving

LOOPBACK, _ = parse_hosts("127.0.0.1, charts.test")
MAX_BYTES = 100_000


@pytest.fixture
async def source() -> AsyncIterator[ChartSource]:
    source = ChartSource()
    async with serving(source.app) as source.port:
        yield source


async def fetch(source: ChartSource, hosts: Hosts = LOOPBACK, resolver: Any = None, **members: Any) -> bytes:
    entry = Source(**{"match": "*", "url": source.url, "timeout_s": 5} | members)
    client = Client(hosts, resolver)
    try:
        return await client.fetch(entry, b"co2-flow", b"realtime", MAX_BYTES)
    finally:
        await client.close()


async def reason(source: ChartSource, **arguments: Any) -> str:
    started_s = time.monotonic()
    with pytest.raises(SourceDown) as error:
        await fetch(source, **arguments)
    assert time.monotonic() - started_s < 10
    return str(error.value)


def answers(source: ChartSource, answer: Any) -> None:
    async def respond(request: Request, chart_id: str, data_type: str) -> Response:
        return answer if isinstance(answer, Response) else answer(request)

    source.answer = respond


async def test_an_answer_is_returned_as_it_was_sent(source: ChartSource) -> None:
    assert json.loads(await fetch(source))[0]["v"] == 1.0
    assert source.headers[0]["accept-encoding"] == "identity"


async def test_a_post_sends_the_body_as_json(source: ChartSource) -> None:
    await fetch(source, method="POST", body={"id": "{chartId}", "type": "{dataType}"})
    assert source.bodies == [{"id": "co2-flow", "type": "realtime"}]


async def endless() -> AsyncIterator[bytes]:
    yield b"["
    while True:
        yield b"1,"
        await asyncio.sleep(0.01)


async def huge() -> AsyncIterator[bytes]:
    for _ in range(10_000):
        yield b" " * 100_000


BOMB = gzip.compress(b" " * 50_000_000)
HOSTILE = {
    "never ends": (lambda _: StreamingResponse(endless(), media_type="application/json"), "no answer within 0.5 s"),
    "huge": (lambda _: StreamingResponse(huge(), media_type="application/json"), "more than 100000 bytes"),
    "huge, as it says": (lambda _: Response(b" " * 200_000, media_type="application/json"), "more than 100000 bytes"),
    "bomb": (
        lambda _: Response(BOMB, media_type="application/json", headers={"Content-Encoding": "gzip"}),
        "compressed",
    ),
    "not JSON": (lambda _: Response(b"[]", media_type="text/html"), "not JSON by its content type"),
    "error": (lambda _: JSONResponse({"detail": "hunter2"}, status_code=500), "HTTP 500"),
    "not found": (lambda _: JSONResponse([], status_code=404), "HTTP 404"),
    "elsewhere": (lambda _: RedirectResponse("http://169.254.169.254/latest"), "redirects to another host"),
    "another port": (lambda _: RedirectResponse("http://127.0.0.1:1/"), "redirects to another host"),
    "another scheme": (lambda _: RedirectResponse("file:///etc/passwd"), "redirects to another host"),
    "without protocol": (lambda _: RedirectResponse("//evil.test/x"), "redirects to another host"),
    "in a circle": (lambda request: RedirectResponse(str(request.url)), "more than 3 redirects"),
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_what_a_hostile_source_sends_is_refused_in_time(source: ChartSource, kind: str) -> None:
    answer, expected = HOSTILE[kind]
    answers(source, answer)
    found = await reason(source, timeout_s=0.5 if kind == "never ends" else 5)
    assert expected in found
    assert "hunter2" not in found
    assert len(source.requests) <= 4


async def test_a_slow_source_is_given_up_on_after_its_timeout(source: ChartSource) -> None:
    source.delay_s = 3
    assert await reason(source, timeout_s=0.2) == "no answer within 0.2 s"


async def test_a_redirect_on_the_same_host_is_followed(source: ChartSource) -> None:
    def moved(request: Request) -> Response:
        if request.url.path.startswith("/charts"):
            return RedirectResponse("/moved/co2-flow/realtime")
        return JSONResponse([1])

    answers(source, moved)
    assert await fetch(source) == b"[1]"


async def test_patience_is_asked_for_in_seconds_or_as_a_date(source: ChartSource) -> None:
    waits = {"7": 7.0, "9999999": 3600.0, "Fri, 01 Jan 2100 00:00:00 GMT": 3600.0, "soon": None, "-1": None}
    for text, wait_s in waits.items():
        answers(source, Response(status_code=503, headers={"Retry-After": text}))
        with pytest.raises(SourceDown) as error:
            await fetch(source)
        assert error.value.retry_after_s == wait_s


class Resolver(AbstractResolver):
    """Answers each query of a name with the next of these addresses, like a DNS server with a TTL of 0."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[Any]:
        address = self.addresses.pop(0)
        return [{"hostname": host, "host": address, "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        pass


async def test_a_name_that_resolves_to_another_address_later_is_refused_then(source: ChartSource) -> None:
    entry = Source("*", f"http://charts.test:{source.port}/charts/{{chartId}}/{{dataType}}", timeout_s=5)
    answers(source, JSONResponse([1], headers={"Connection": "close"}))
    client = Client(LOOPBACK, Resolver("127.0.0.1", "169.254.169.254", "10.0.0.1", "127.0.0.1"))
    try:
        assert await client.fetch(entry, b"c", b"d", MAX_BYTES) == b"[1]"
        for _ in range(2):
            with pytest.raises(SourceDown, match="private and not in CHART_SOURCE_HOSTS"):
                await client.fetch(entry, b"c", b"d", MAX_BYTES)
        assert await client.fetch(entry, b"c", b"d", MAX_BYTES) == b"[1]"
    finally:
        await client.close()
    assert len(source.requests) == 2


async def test_a_source_that_is_not_there_is_down(source: ChartSource) -> None:
    assert "no connection" in await reason(source, url="http://127.0.0.1:1/")


@pytest.mark.parametrize(("lives_s", "times"), [(3600, 1), (0, 2)])
async def test_a_token_of_the_app_s_identity_is_sent_and_fetched_again_when_it_has_expired(
    source: ChartSource, monkeypatch: pytest.MonkeyPatch, lives_s: int, times: int
) -> None:
    """DefaultAzureCredential as it is, against a token endpoint like that of App Service."""
    asked: list[dict[str, str]] = []
    identity = FastAPI()

    @identity.get("/msi/token")
    async def token(request: Request) -> dict[str, str]:
        asked.append(dict(request.query_params) | {"secret": request.headers["x-identity-header"]})
        return {
            "access_token": f"token {len(asked)}",
            "expires_on": str(int(time.time()) + lives_s),
            "resource": request.query_params["resource"],
            "token_type": "Bearer",
        }

    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    async with serving(identity) as port:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{port}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "the header")
        client = Client(LOOPBACK)
        entry = Source("*", source.url, scope="https://api.fabric.microsoft.com/.default", timeout_s=10)
        try:
            for _ in range(2):
                await client.fetch(entry, b"c", b"d", MAX_BYTES)
        finally:
            await client.close()
    assert [headers["authorization"] for headers in source.headers] == ["Bearer token 1", f"Bearer token {times}"]
    assert [(query["resource"], query["secret"]) for query in asked] == [
        ("https://api.fabric.microsoft.com", "the header")
    ] * times


async def test_an_identity_that_is_set_wrong_counts_as_no_token(
    source: ChartSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_TENANT_ID", "no tenant: hunter2")
    monkeypatch.setenv("AZURE_CLIENT_ID", "x")
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "hunter2")
    found = await reason(source, scope="https://x.example.com/.default", timeout_s=3)
    assert (found, source.requests) == ("no token: ValueError", [])


async def test_without_a_token_the_source_is_not_asked(source: ChartSource, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = FastAPI()
    async with serving(identity) as port:  # answers 404
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{port}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "the header")
        found = await reason(source, scope="https://x.example.com/.default", timeout_s=3)
    assert found.startswith(("no token", "no answer"))
    assert not source.requests
    assert aiohttp  # imported before any clock runs
