"""The client under faults of networks and servers: an error at once, and no reply reaches another call."""

import asyncio
import contextlib
import inspect
import socket
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import hiredis
import pytest
import redis.asyncio
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.store.connection import open_client, parse_connection_string
from tests.support.certificates import self_signed
from tests.support.proxy import TlsProxy

NESTED = b"*5\r\n$12\r\nwith\r\n\r\nCRLF\r\n:-7\r\n*2\r\n_\r\n$0\r\n\r\n%1\r\n+a\r\n#t\r\n*1\r\n,1.5\r\n"
PUSH = b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$5\r\nhello\r\n"
SUBSCRIBED = b">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"
pytestmark = pytest.mark.both_loops

SHORT_TIMEOUT_S = 0.2

type Reply = Callable[[list[bytes], StreamWriter], Awaitable[None]]


class Server:
    """Answers the commands that set up a connection, and calls `reply` for every other command."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.connections: list[StreamWriter] = []

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.connections.append(writer)
        commands = hiredis.Reader(notEnoughData=self)
        while chunk := await reader.read(65536):
            commands.feed(chunk)
            while (command := commands.gets()) is not self:
                if command[0] in {b"HELLO", b"CLIENT"}:
                    writer.write(b"+OK\r\n")
                else:
                    await self.reply(command, writer)


@asynccontextmanager
async def serving(reply: Reply, options: str = "") -> AsyncIterator[tuple[Server, redis.asyncio.Redis]]:
    """A Server on a free port, and a client of it."""
    server = Server(reply)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    client = open_client(parse_connection_string(f"127.0.0.1:{port}{options}"))
    try:
        yield server, client
    finally:
        await client.aclose()
        listening.close()
        for writer in server.connections:
            writer.transport.abort()
        await listening.wait_closed()


def client_of(port: int, options: str = "") -> redis.asyncio.Redis:
    return open_client(parse_connection_string(f"127.0.0.1:{port}{options}"))


async def only_connection(client: redis.asyncio.Redis, command: str = "PING") -> Any:
    """Run `command`; returns the client's only connection, idle in its pool."""
    await client.execute_command(command)
    (connection,) = client.connection_pool._available_connections
    return connection


async def until(condition: Callable[[], bool]) -> None:
    """Run the event loop until `condition` holds; for conditions without an event to await."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_a_reply_that_arrives_byte_by_byte_is_parsed_the_same() -> None:
    async def byte_by_byte(_: list[bytes], writer: StreamWriter) -> None:
        for byte in PUSH + NESTED:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)

    whole = hiredis.Reader()
    whole.feed(NESTED)
    expected = whole.gets()
    async with serving(byte_by_byte) as (_, client):
        for _ in range(2):
            assert await client.execute_command("READ") == expected


@pytest.mark.parametrize("how", ["closed", "half-closed", "reset"])
async def test_a_connection_cut_at_any_byte_of_a_reply_is_an_error_and_is_replaced(how: str) -> None:
    async def cut(command: list[bytes], writer: StreamWriter) -> None:
        if command[0] == b"WHOLE":
            writer.write(NESTED)
            return
        writer.write(NESTED[: int(command[1])])
        match how:
            case "closed":
                writer.close()
            case "half-closed":
                writer.write_eof()
            case "reset":
                await writer.drain()
                no_linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
                writer.transport.abort()

    async with serving(cut) as (server, client):
        for length in range(len(NESTED)):
            with pytest.raises(RedisConnectionError, match="reset by peer" if how == "reset" else "closed"):
                await client.execute_command("CUT", length)
            assert len(server.connections) == length + 1
        assert len(await client.execute_command("WHOLE")) == 5


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 100, b"$-7\r\n", b"*1\r\n?\r\n"])
async def test_malformed_bytes_are_an_error_and_their_connection_is_replaced(
    garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def reply(command: list[bytes], writer: StreamWriter) -> None:
        writer.write(garbage + b"+OK\r\n" if command[0] == b"GARBAGE" else b"+fine\r\n")

    async with serving(reply) as (server, client):
        with pytest.raises(InvalidResponse):
            await client.execute_command("GARBAGE")
        assert await client.execute_command("READ") == b"fine"
        assert len(server.connections) == 2
    assert not caplog.records


async def test_a_server_that_stalls_is_a_timeout_and_its_late_reply_reaches_no_call() -> None:
    stalled: list[StreamWriter] = []

    async def reply(command: list[bytes], writer: StreamWriter) -> None:
        if command[0] == b"STALL":
            writer.write(NESTED[:10])
            stalled.append(writer)
            return
        for stalled_writer in stalled:
            stalled_writer.write(NESTED[10:] + b"+late\r\n")
        writer.write(b"+in time\r\n")

    async with serving(reply, f",syncTimeout={SHORT_TIMEOUT_S * 1000:.0f}") as (server, client):
        with pytest.raises(RedisTimeoutError):
            await client.execute_command("STALL")
        assert await client.execute_command("READ") == b"in time"
        assert await client.execute_command("READ") == b"in time"
        assert len(server.connections) == 2


async def test_a_call_cancelled_in_the_middle_of_its_reply_leaves_no_bytes_to_the_next_call() -> None:
    begun = asyncio.Event()

    async def reply(command: list[bytes], writer: StreamWriter) -> None:
        writer.write(NESTED[:20] if command[0] == b"CANCEL" else b"+whole\r\n")
        begun.set()

    async with serving(reply) as (server, client):
        call = asyncio.create_task(client.execute_command("CANCEL"))
        await begun.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await client.execute_command("READ") == b"whole"
        assert len(server.connections) == 2


async def test_a_command_that_the_server_does_not_read_is_a_timeout() -> None:
    taken = asyncio.Event()

    async def reply(command: list[bytes], writer: StreamWriter) -> None:
        if command[0] == b"STOP":
            writer.write(b"+stopped\r\n")
            await taken.wait()
        writer.write(b"+OK\r\n")

    async with serving(reply, f",syncTimeout={SHORT_TIMEOUT_S * 1000:.0f}") as (server, client):
        await client.execute_command("STOP")
        with pytest.raises(RedisTimeoutError):
            await client.set("key", b"x" * 32 * 1024 * 1024)
        taken.set()
        await client.set("key", b"x")
        assert len(server.connections) == 2


async def test_a_large_command_waits_for_a_slow_server() -> None:
    may_read = asyncio.Event()

    async def reply(command: list[bytes], writer: StreamWriter) -> None:
        if command[0] == b"STOP":
            writer.write(b"+stopped\r\n")
            await may_read.wait()
        else:
            writer.write(b":%d\r\n" % len(command[2]))

    async with serving(reply) as (server, client):
        connection = await only_connection(client, "STOP")
        call = asyncio.create_task(client.execute_command("LENGTH", "key", b"x" * 32 * 1024 * 1024))
        await until(lambda: connection._writer.transport.get_write_buffer_size() > 0)
        may_read.set()
        assert await call == 32 * 1024 * 1024
        assert len(server.connections) == 1


async def test_a_connection_cut_in_the_middle_of_a_command_is_an_error_at_once() -> None:
    async def reply(_: list[bytes], writer: StreamWriter) -> None:
        writer.write(b"+stopped\r\n")
        await asyncio.Event().wait()

    async with serving(reply) as (server, client):
        connection = await only_connection(client, "STOP")
        call = asyncio.create_task(client.set("key", b"x" * 32 * 1024 * 1024))
        await until(lambda: connection._writer.transport.get_write_buffer_size() > 0)
        server.connections[0].transport.abort()
        with pytest.raises(RedisConnectionError):
            await call


async def test_reading_from_the_socket_pauses_while_no_call_reads_messages() -> None:
    messages = 400
    message = b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$100000\r\n" + b"x" * 100_000 + b"\r\n"
    sent = asyncio.Event()

    async def publish(_: list[bytes], writer: StreamWriter) -> None:
        writer.write(SUBSCRIBED)
        for _ in range(messages):
            writer.write(message)
            await writer.drain()
        sent.set()

    async with serving(publish) as (_, client), client.pubsub() as pubsub:
        await pubsub.subscribe("c")
        assert (await pubsub.get_message(timeout=5))["type"] == "subscribe"
        stream = pubsub.connection._reader
        await until(lambda: len(stream._buffer) > stream._limit)
        await asyncio.sleep(0.05)  # nothing should happen, so there is no event to await
        assert len(stream._buffer) < 4 * stream._limit
        assert not sent.is_set()
        for _ in range(messages):
            assert len((await pubsub.get_message(timeout=5))["data"]) == 100_000
        await asyncio.wait_for(sent.wait(), 5)


async def test_a_message_that_is_incomplete_when_a_wait_times_out_is_complete_for_the_next_wait() -> None:
    writers: list[StreamWriter] = []

    async def subscribe(_: list[bytes], writer: StreamWriter) -> None:
        writer.write(SUBSCRIBED + PUSH[:15])
        writers.append(writer)

    async with serving(subscribe) as (_, client), client.pubsub() as pubsub:
        await pubsub.subscribe("c")
        assert (await pubsub.get_message(timeout=5))["type"] == "subscribe"
        for _ in range(3):
            assert await pubsub.get_message(timeout=0.02) is None
            writers[0].write(PUSH[15:] + PUSH[:15])
            assert (await pubsub.get_message(timeout=5))["data"] == b"hello"


async def test_a_connection_with_an_unread_reply_is_replaced() -> None:
    """With RESP2. With RESP3 redis-py keeps the connection: the unread bytes may be a push message."""

    async def reply(command: list[bytes], writer: StreamWriter) -> None:
        writer.write(b"+one\r\n+two\r\n" if command[0] == b"TWO" else b"+own\r\n")

    async with serving(reply, ",protocol=resp2") as (server, client):
        assert await client.execute_command("TWO") == b"one"
        for _ in range(2):
            assert await client.execute_command("READ") == b"own"
        assert len(server.connections) == 2


async def test_push_messages_between_replies_are_not_taken_for_replies() -> None:
    async def reply(_: list[bytes], writer: StreamWriter) -> None:
        writer.write(PUSH + b"+own\r\n" + PUSH)

    async with serving(reply) as (server, client):
        for _ in range(3):
            assert await client.execute_command("READ") == b"own"
        assert len(server.connections) == 1


@pytest.mark.parametrize("options", ["", ",protocol=resp2"])
async def test_a_connection_that_ended_in_the_pool_is_replaced(redis_port: int, options: str) -> None:
    client = client_of(redis_port, options)
    connection = await only_connection(client)
    stream = connection._reader
    async with redis.asyncio.Redis(port=redis_port) as other:
        await other.client_kill_filter(_id=str(await client.client_id()))
    await until(stream.at_eof)
    assert await client.ping()
    assert connection._reader is not stream
    await client.aclose()


async def test_a_command_on_a_connection_that_ended_is_a_connection_error(redis_port: int) -> None:
    client = client_of(redis_port)
    connection = await only_connection(client)
    client_id = await client.client_id()
    async with redis.asyncio.Redis(port=redis_port) as other:
        await other.client_kill_filter(_id=str(client_id))
    await until(connection._reader.at_eof)
    with contextlib.suppress(RedisConnectionError):  # a transport may report it with the write or with the read
        await connection.send_command("PING")
    with pytest.raises(RedisConnectionError):
        await connection.read_response()
    assert not connection.is_connected
    await client.aclose()


async def test_a_write_to_a_connection_that_has_ended_is_a_connection_error(redis_port: int) -> None:
    """The loops raise RuntimeError and AttributeError once the loss was reported by an earlier write."""
    client = client_of(redis_port)
    connection = await only_connection(client)
    connection._writer.transport.abort()
    await until(connection._reader.at_eof)
    with contextlib.suppress(OSError, RuntimeError, AttributeError):
        connection._writer.writelines([b"x"])
        await connection._writer.drain()
    with pytest.raises(RedisConnectionError):
        await connection.send_command("PING")
    assert not connection.is_connected
    assert await client.ping()
    await client.aclose()


async def test_values_of_8_mib_are_written_and_read(redis_client: redis.asyncio.Redis, redis_port: int) -> None:
    value = bytes(range(256)) * 4096 * 8
    client = client_of(redis_port)
    await client.set("large", value)
    assert await client.get("large") == value
    assert await client.mget(["large", "none", "large"]) == [value, None, value]
    assert await redis_client.get("large") == value
    await client.aclose()


async def test_the_replies_of_a_pipeline_are_in_order_with_errors_in_their_places(
    redis_client: redis.asyncio.Redis, redis_port: int
) -> None:
    client = client_of(redis_port)
    pipeline = client.pipeline(transaction=False)
    for number in range(3000):
        pipeline.execute_command(
            *(("INCR", "text") if number % 1000 == 1 else ("ECHO", str(number) * (number % 50 + 1)))
        )
    pipeline.set("text", "text")
    await redis_client.set("text", "text")
    replies = await pipeline.execute(raise_on_error=False)
    for number, reply in enumerate(replies[:-1]):
        if number % 1000 == 1:
            assert isinstance(reply, ResponseError)
        else:
            assert reply == str(number).encode() * (number % 50 + 1)
    assert replies[-1] is True
    await client.aclose()


async def test_concurrent_calls_each_get_their_own_reply(redis_client: redis.asyncio.Redis, redis_port: int) -> None:
    client = client_of(redis_port)
    texts = [str(number).encode() * (100 * number + 1) for number in range(90)]
    for _ in range(5):
        assert await asyncio.gather(*(client.echo(text) for text in texts)) == texts
    await client.aclose()


async def test_a_command_name_of_two_words_is_sent_as_two_arguments(redis_port: int) -> None:
    client = client_of(redis_port)
    assert await client.execute_command("CONFIG GET", "port") == await client.config_get("port")
    await client.aclose()


async def test_connections_have_tcp_keepalive_and_nodelay(redis_port: int) -> None:
    client = client_of(redis_port)
    connection_socket = (await only_connection(client))._writer.get_extra_info("socket")
    assert connection_socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert connection_socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    for option, value in client.connection_pool.make_connection().socket_keepalive_options.items():
        assert connection_socket.getsockopt(socket.IPPROTO_TCP, option) == value
    await client.aclose()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A folder with a certificate for 127.0.0.1: cert.pem and key.pem."""
    return self_signed(tmp_path, "here", "-addext", "subjectAltName=IP:127.0.0.1")


@pytest.fixture
async def tls(redis_port: int, certificate: Path) -> AsyncIterator[TlsProxy]:
    async with TlsProxy(redis_port, certificate) as proxy:
        yield proxy


async def test_replies_over_tls_are_the_same(
    tls: TlsProxy, certificate: Path, redis_client: redis.asyncio.Redis
) -> None:
    client = client_of(tls.port, ",ssl=True")
    with pytest.raises(RedisConnectionError, match="certificate"):
        await client.ping()
    client.connection_pool.connection_kwargs["ssl_ca_certs"] = str(certificate / "cert.pem")
    client.connection_pool.reset()
    value = bytes(range(256)) * 4096 * 8
    await client.set("large", value)
    assert await client.get("large") == value
    pipeline = client.pipeline(transaction=False)
    for number in range(2000):
        pipeline.echo(str(number) * (number % 50 + 1))
    assert await pipeline.execute() == [str(number).encode() * (number % 50 + 1) for number in range(2000)]
    assert len(tls.clients) == 1
    await client.aclose()


async def test_a_tls_connection_that_ended_in_the_pool_is_replaced(tls: TlsProxy, certificate: Path) -> None:
    client = client_of(tls.port, ",ssl=True")
    client.connection_pool.connection_kwargs["ssl_ca_certs"] = str(certificate / "cert.pem")
    stream = (await only_connection(client))._reader
    tls.clients[0].close()
    await until(stream.at_eof)
    assert await client.ping()
    assert len(tls.clients) == 2
    await client.aclose()


async def test_a_refused_connection_and_a_silent_server_raise_different_errors() -> None:
    short = f",syncTimeout={SHORT_TIMEOUT_S * 1000:.0f},connectTimeout={SHORT_TIMEOUT_S * 1000:.0f}"
    with closing(socket.socket()) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        with pytest.raises(RedisConnectionError, match=r"Connect call failed|Connection refused"):
            await client_of(port, short).ping()
        silent.listen()
        with pytest.raises(RedisTimeoutError, match="reading"):
            await client_of(port, short).ping()
        with pytest.raises(RedisTimeoutError, match="connecting"):
            await client_of(port, f"{short},ssl=True").ping()


def test_redis_py_still_calls_the_methods_that_are_overridden() -> None:
    """With the expected parameters; an override that redis-py no longer calls would have no effect."""
    for connection_class in (redis.asyncio.Connection, redis.asyncio.SSLConnection):
        assert list(inspect.signature(connection_class.pack_command).parameters) == ["self", "args"]
        assert "self.pack_command(" in inspect.getsource(connection_class.send_command)
        assert list(inspect.signature(connection_class.can_read).parameters) == ["self"]
    assert ".can_read()" in inspect.getsource(redis.asyncio.ConnectionPool.ensure_connection)
