"""Answers that no HTTP library sends: bounded in time and memory, refused, and never a fault of the app."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import cycle

import aiohttp  # noqa: F401  # before the clock runs
import pytest

from shared.errors import SourceDown
from shared.sources.addresses import parse_hosts
from shared.sources.client import Client
from shared.sources.config import Source

HOSTS, _ = parse_hosts("127.0.0.1")
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

type Measured = Callable[[str, float, str], None]
type Send = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def sending(send: Send) -> AsyncIterator[Source]:
    """A source on loopback whose answer `send` writes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await send(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the app hung up
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield Source("*", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x", timeout_s=0.5)


def text(answer: bytes) -> Send:
    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return send


def endless(start: bytes, piece: bytes) -> Send:
    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(piece)
            await writer.drain()

    return send


async def drip(writer: asyncio.StreamWriter) -> None:
    for byte in cycle(OK):
        writer.write(bytes([byte]))
        await asyncio.sleep(0.02)


ANSWERS: dict[str, Send] = {
    "a byte now and then": drip,
    "headers without end": endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000),
    "a header without end": endless(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 65536),
    "continue without end": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "a chunk without end": endless(CHUNKED + b"FFFFFFFFFFFFFFF\r\n", b" " * 65536),
    "an extension of a chunk without end": endless(CHUNKED + b"1;", b"x" * 65536),
    "trailers without end": endless(CHUNKED + b"2\r\n[]\r\n0\r\n", b"X: y\r\n" * 1000),
    "no HTTP": text(b"SSH-2.0-x\r\n"),
    "nothing": text(b""),
    "cut short": text(OK + b"Content-Length: 100\r\n\r\n[]"),
    "a length beyond all": text(OK + b"Content-Length: 99999999999999999999999999\r\n\r\n[]"),
    "a length below zero": text(OK + b"Content-Length: -5\r\n\r\n[]"),
    "two lengths": text(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n[]1"),
    "no content": text(b"HTTP/1.1 204 No Content\r\n\r\n"),
}


@pytest.mark.parametrize("kind", ANSWERS)
async def test_what_is_no_answer_of_http_is_refused_in_time(kind: str) -> None:
    started_s = time.monotonic()
    async with sending(ANSWERS[kind]) as source:
        client = Client(HOSTS)
        try:
            with pytest.raises(SourceDown) as error:
                await client.fetch(source, b"c", b"d", 100_000)
        finally:
            await client.close()
    assert not error.value.of_chart
    assert time.monotonic() - started_s < 5


LOCATIONS = [
    *(
        b"http://127.0.0.1 @evil.test/",
        b"http://user@127.0.0.1/",
        b"http://[::1",
        b"//[",
        b"",
        b"/\x01",
        b"/x y HTTP/1.1",
    ),
    *(b"http://127.0.0.1.evil.test/", b"http://127.0.0.1:99999999/", b"https://127.0.0.1/", "/\xe9".encode(), b"\xff"),
]


@pytest.mark.parametrize("location", LOCATIONS, ids=repr)
async def test_a_redirect_to_anywhere_else_is_not_followed(location: bytes) -> None:
    requests = []

    async def redirect(writer: asyncio.StreamWriter) -> None:
        requests.append(1)
        await text(b"HTTP/1.1 302 x\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n")(writer)

    async with sending(redirect) as source:
        client = Client(HOSTS)
        try:
            with pytest.raises(SourceDown, match=r"redirects to another host|no connection"):
                await client.fetch(source, b"c", b"d", 100_000)
        finally:
            await client.close()
    assert len(requests) == 1


PATIENCE = {
    b"7": 7.0,
    b"9" * 400: 3600.0,
    b"Mon, 01 Jan 0001 00:00:00 GMT": 0.0,
    b"Fri, 31 Dec 9999 23:59:59 -2359": 3600.0,
    b"-1": None,
    b"1e5": None,
    b"0x10": None,
    b"Mon, 99 Foo": None,
    b"Thu, 01 Jan 2026 00:00:00 +99999999999999999999999": None,
    b",,,": None,
}


@pytest.mark.parametrize("value", PATIENCE, ids=lambda value: value.decode()[:20])
async def test_patience_in_any_words_is_read_or_passed_over(value: bytes) -> None:
    answer = b"HTTP/1.1 503 x\r\nRetry-After: " + value + b"\r\nContent-Length: 0\r\n\r\n"
    async with sending(text(answer)) as source:
        client = Client(HOSTS)
        try:
            with pytest.raises(SourceDown, match="HTTP 503") as error:
                await client.fetch(source, b"c", b"d", 100_000)
        finally:
            await client.close()
    assert error.value.retry_after_s == PATIENCE[value]


@pytest.mark.parametrize(("date", "wait_s"), [(b"Sat, 01 Jan 2000 00:00:00 GMT", 7.0), (b"now", 0.0), (b"", 0.0)])
async def test_a_date_of_patience_is_by_the_clock_of_the_source(date: bytes, wait_s: float) -> None:
    until = b"Retry-After: Sat, 01 Jan 2000 00:00:07 GMT\r\n"
    answer = b"HTTP/1.1 429 x\r\nDate: " + date + b"\r\n" + until + b"Content-Length: 0\r\n\r\n"
    async with sending(text(answer)) as source:
        client = Client(HOSTS)
        try:
            with pytest.raises(SourceDown, match="HTTP 429") as error:
                await client.fetch(source, b"c", b"d", 100_000)
        finally:
            await client.close()
    assert error.value.retry_after_s == wait_s


@contextmanager
def flooding(start: bytes, piece: bytes) -> Iterator[Source]:
    """A source in a thread of its own: in the event loop of the app it would be as slow as the app."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):  # the app hangs up
                connection.recv(65536)
                connection.sendall(start)
                while True:
                    connection.sendall(piece)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Source("*", f"http://127.0.0.1:{listener.getsockname()[1]}/x", timeout_s=0.5)
        thread.join(10)
        assert not thread.is_alive()


FLOODS = {
    "interim responses": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000),
    "tiny chunks": (CHUNKED, b"1\r\n \r\n" * 40_000),
    "extensions": (CHUNKED, b"1;" + b"x" * 8000 + b"\r\n \r\n"),
}


@pytest.mark.parametrize("kind", FLOODS)
async def test_a_flood_beside_the_content_holds_no_other_function_up(kind: str, measured: Measured) -> None:
    gaps_s = [0.0]

    async def beat() -> None:
        while True:
            began_s = time.monotonic()
            await asyncio.sleep(0.001)
            gaps_s.append(time.monotonic() - began_s)

    with flooding(*FLOODS[kind]) as source:
        client = Client(HOSTS)
        await client._open()  # imports take their time
        heart = asyncio.create_task(beat())
        try:
            with pytest.raises(SourceDown):
                await client.fetch(source, b"c", b"d", 8 << 20)
        finally:
            heart.cancel()
            await asyncio.wait([heart])
            await client.close()
    measured(f"event loop held by a flood of {kind}", max(gaps_s) * 1000, "ms")
    assert max(gaps_s) < 1  # 0.05 s on a machine for itself; unbounded, interim responses hold it for 5 s


@pytest.mark.parametrize("size", [3, 10, 4000, 100_000, None])
async def test_content_in_chunks_of_any_size_is_read_on_one_connection(size: int | None) -> None:
    """Twice; None for one with a length."""
    content = b"[" + b" " * 2_000_000 + b"]" if size is None or size > 1000 else b"[" + b" " * 50_000 + b"]"
    chunks = [content[start : start + size] for start in range(0, len(content), size)] if size else []
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    answer = CHUNKED + chunked if size else OK + b"Content-Length: %d\r\n\r\n" % len(content) + content
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await text(answer)(writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        source = Source("*", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x", timeout_s=10)
        client = Client(HOSTS)
        try:
            for _ in range(2):
                assert await client.fetch(source, b"c", b"d", 8 << 20) == content
        finally:
            await client.close()
    assert connections == 1
