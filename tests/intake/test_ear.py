"""The app's own ear hears every message, notices each way of losing its connection, and can be stopped at any time."""

import asyncio
import socket
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from random import Random

import msgspec
import pytest
import redis
from redis.asyncio import Redis
from redis.credentials import CredentialProvider

from shared import telemetry
from shared.app import App, open_app
from shared.intake import ear as ear_module
from shared.intake.ear import ALIVE_S, LOST_TICKS, PING_TICKS, RETRY_S, TICK_S, Ear
from shared.registry import REACTORS
from shared.settings import Settings
from shared.store import subscription
from shared.store.connection import leave_server
from shared.telemetry import outages
from tests.support.certificates import self_signed
from tests.support.proxy import STALL, TcpProxy, TlsProxy, server_context
from tests.support.rig import RedisProcess

PATTERNS = [reactor.channel for reactor in REACTORS]
BATCHES = b"__keyspace@0__:fastapi:temp:data:*"
BATCH = "__keyspace@0__:fastapi:temp:data:b"
PUBLISH_MANY = "for i = 1, ARGV[1] do redis.call('PUBLISH', KEYS[1] .. i, 'set') end"
SHORT_TICK_S = 0.02
PATIENT_TICKS = 500
"""Of SHORT_TICK_S: a loss that a slow machine cannot cause."""
SOON_S = 10.0
"""Limit of waiting for what comes at once, on a loaded machine."""

type Message = tuple[bytes, bytes, bytes]


class Listening:
    """An ear that listens, and what it heard."""

    def __init__(
        self, app: App, hear: Callable[..., None] | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.heard: list[Message] = []
        self.lives = 0
        self._live = asyncio.Queue[float]()
        self._awaited: tuple[int, asyncio.Event] = (0, asyncio.Event())
        self.ear = Ear(app, PATTERNS, hear or self._hear, now=now)
        self.task = asyncio.create_task(self.ear.listen(self._on_live))

    def _on_live(self) -> None:
        self.lives += 1
        self._live.put_nowait(time.monotonic())

    def _hear(self, *message: bytes) -> None:
        self.heard.append((message[0], message[1], message[2]))
        count, event = self._awaited
        if len(self.heard) >= count:
            event.set()

    async def until_live(self) -> float:
        """Wait for the next call of `on_live`; its time (time.monotonic)."""
        async with asyncio.timeout(SOON_S):
            return await self._live.get()

    async def until_heard(self, count: int) -> list[Message]:
        self._awaited = (count, event := asyncio.Event())
        if len(self.heard) < count:
            async with asyncio.timeout(SOON_S):
                await event.wait()
        return self.heard

    async def stop(self) -> None:
        """Cancel. It must end at once: in turns of the event loop, since seconds pass on a loaded machine."""
        self.task.cancel()
        for _ in range(20):
            await asyncio.sleep(0)
        assert self.task.cancelled()


@asynccontextmanager
async def listening(app: App, hear: Callable[..., None] | None = None) -> AsyncIterator[Listening]:
    """A new ear, after `on_live` was called for the first time."""
    listener = Listening(app, hear)
    try:
        await listener.until_live()
        assert listener.ear.live
        yield listener
    finally:
        if not listener.task.done():
            await listener.stop()
        assert not listener.ear.live


@asynccontextmanager
async def app_on(settings: Settings, connection: str) -> AsyncIterator[App]:
    """An app with another `Redis` setting."""
    app = open_app(msgspec.structs.replace(settings, redis=connection))
    yield app
    outages._current.clear()
    await app.redis.aclose()


async def ears(client: Redis) -> list[dict[str, str]]:
    """The ears that the server has as clients."""
    return [entry for entry in await client.client_list() if entry["name"].endswith("-ear")]


@pytest.fixture
def all_channels(server_version: tuple[int, int]) -> list[str]:
    """The rule that lets a user subscribe, where Redis has rules about channels."""
    return ["ALLCHANNELS"] if server_version >= (6, 2) else []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for 127.0.0.1: cert.pem and key.pem."""
    return self_signed(tmp_path_factory.mktemp("tls"), "here", "-addext", "subjectAltName=IP:127.0.0.1")


@pytest.fixture
def channel_rules(server_version: tuple[int, int]) -> None:
    if server_version < (6, 2):
        pytest.skip("Redis 6.0 has no rules about channels")


async def until(condition: Callable[[], bool]) -> None:
    """For conditions without an event to await."""
    async with asyncio.timeout(SOON_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


async def pings(client: Redis) -> int:
    """How many PINGs the server has had."""
    statistics = await client.info("commandstats")
    return int(statistics["cmdstat_ping"]["calls"]) if "cmdstat_ping" in statistics else 0


async def until_no_ears(client: Redis) -> None:
    async with asyncio.timeout(SOON_S):
        while await ears(client):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def away() -> bool:
    return outages.in_outage(ear_module.SERVICE)


@pytest.mark.both_loops
@pytest.mark.parametrize("protocol", ["", ",protocol=resp2"])
async def test_every_message_is_heard_in_order_with_its_pattern(
    app_settings: Settings, redis_client: Redis, protocol: str
) -> None:
    name = f"{app_settings.redis},name=plant-7{protocol}"
    async with app_on(app_settings, name) as app, listening(app) as listener:
        for number in range(50):
            await redis_client.set(f"fastapi:temp:data:{number}", "x")
        await redis_client.hset(b"fabric:data:chart:\xff\r\n", "field", "x")
        await redis_client.set("somebody:else", "x")
        await redis_client.set("nextauth:session:s", "x")
        batches = [(BATCHES, b"__keyspace@0__:fastapi:temp:data:%d" % number, b"set") for number in range(50)]
        assert await listener.until_heard(52) == [
            *batches,
            (b"__keyspace@0__:fabric:data:chart:*", b"__keyspace@0__:fabric:data:chart:\xff\r\n", b"hset"),
            (b"__keyspace@0__:nextauth:session:*", b"__keyspace@0__:nextauth:session:s", b"set"),
        ]
        (entry,) = await ears(redis_client)
        assert entry["name"] == "plant-7-ear"
        assert int(entry["psub"]) == len(PATTERNS)
    await until_no_ears(redis_client)


@pytest.mark.both_loops
@pytest.mark.parametrize("protocol", ["", ",protocol=resp2"])
async def test_a_message_of_a_burst_costs_at_most_6_us_and_other_tasks_run_meanwhile(
    request: pytest.FixtureRequest,
    app_settings: Settings,
    redis_client: Redis,
    protocol: str,
    measured: Callable[[str, float, str], None],
) -> None:
    messages = 100_000 if request.config.getoption("--soak") else 20_000
    heard, done, longest_turn_s = 0, asyncio.Event(), 0.0

    def hear(*_: bytes) -> None:
        nonlocal heard
        heard += 1
        if heard == messages:
            done.set()

    async def watch_turns() -> None:
        nonlocal longest_turn_s
        while True:
            begin_s = time.thread_time()  # CPU: other processes may take the core at any time
            await asyncio.sleep(0)
            longest_turn_s = max(longest_turn_s, time.thread_time() - begin_s)

    connection = f"{app_settings.redis}{protocol}"
    async with app_on(app_settings, connection) as app, listening(app, hear):
        turns = asyncio.create_task(watch_turns())
        publishing = asyncio.create_task(redis_client.eval(PUBLISH_MANY, 1, BATCH, str(messages)))
        await asyncio.wait_for(done.wait(), SOON_S)
        turns.cancel()
        await publishing
        done.clear()
        heard = 0
        publishing = asyncio.create_task(redis_client.eval(PUBLISH_MANY, 1, BATCH, str(messages)))
        begin_s = time.process_time()
        await asyncio.wait_for(done.wait(), SOON_S)
        cpu_us = (time.process_time() - begin_s) / messages * 1e6
        await publishing
    measured("CPU of a message", cpu_us, "us")
    measured("longest turn", longest_turn_s * 1000, "ms CPU")
    assert cpu_us <= 6
    assert longest_turn_s <= 0.02


@pytest.mark.both_loops
async def test_a_slow_listener_shares_the_loop(app: App, redis_client: Redis) -> None:
    def busy(*_: bytes) -> None:
        nonlocal heard
        heard += 1
        end_s = time.thread_time() + 0.0002
        while time.thread_time() < end_s:
            pass

    heard, turns = 0, list[float]()
    async with listening(app, busy):
        await redis_client.eval(PUBLISH_MANY, 1, BATCH, "250")  # 50 ms of work
        while heard < 250:
            begin_s = time.thread_time()
            await asyncio.sleep(0)
            turns.append(time.thread_time() - begin_s)
    assert max(turns) <= 0.02


@pytest.mark.both_loops
async def test_a_channel_of_8_mb_is_heard(app: App, redis_client: Redis) -> None:
    key = b"fastapi:temp:data:" + b"k" * 8_000_000
    async with listening(app) as listener:
        await redis_client.set(key, "x")
        await redis_client.set("fastapi:temp:data:next", "x")
        large, following = await listener.until_heard(2)
        assert large == (BATCHES, b"__keyspace@0__:" + key, b"set")
        assert following[1] == b"__keyspace@0__:fastapi:temp:data:next"
        assert listener.lives == 1


async def test_a_message_beyond_the_limit_ends_the_connection(
    app: App, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "MAX_MESSAGE_BYTES", 1_000_000)
    async with listening(app) as listener:
        await redis_client.publish(BATCH, b"x" * 4_000_000)
        await listener.until_live()
        await redis_client.publish(BATCH, b"small")
        assert [message for _, _, message in await listener.until_heard(1)] == [b"small"]


@pytest.mark.both_loops
async def test_a_connection_that_redis_ends_is_opened_again(
    app: App, redis_client: Redis, caplog: pytest.LogCaptureFixture, measured: Callable[[str, float, str], None]
) -> None:
    async with listening(app) as listener:
        (entry,) = await ears(redis_client)
        killed_s = time.monotonic()
        await redis_client.client_kill_filter(_id=entry["id"])
        measured("live again after CLIENT KILL", (await listener.until_live() - killed_s) * 1000, "ms")
        await redis_client.publish(BATCH, "set")
        await listener.until_heard(1)
        assert listener.lives == 2
    lines = [record.getMessage() for record in caplog.records if "pub/sub" in record.getMessage()]
    assert lines[0] == "Redis pub/sub is away (ConnectionError)"
    assert lines[1].startswith("Redis pub/sub is back after ")
    assert len(lines) == 2


async def test_an_output_buffer_above_redis_limit_is_a_lost_connection(app: App, redis_client: Redis) -> None:
    limit = "client-output-buffer-limit"
    default = (await redis_client.config_get(limit))[limit]
    await redis_client.config_set(limit, "pubsub 300000 0 0")
    try:
        async with listening(app) as listener:
            await redis_client.eval(PUBLISH_MANY, 1, BATCH, "20000")
            await listener.until_live()
            await redis_client.publish(BATCH, "last")
            while (await listener.until_heard(1))[-1][2] != b"last":
                await listener.until_heard(len(listener.heard) + 1)
    finally:
        await redis_client.config_set(limit, default)


async def test_connections_that_end_at_once_are_opened_ever_less_often(app: App, redis_client: Redis) -> None:
    async with listening(app) as listener:
        begin_s = time.monotonic()
        for _ in range(3):
            (entry,) = await ears(redis_client)
            await redis_client.client_kill_filter(_id=entry["id"])
            await listener.until_live()
        assert time.monotonic() - begin_s >= RETRY_S * 0.5 * (1 + 2 + 4)


@pytest.mark.both_loops
async def test_a_restart_of_the_server_is_noticed(
    app_settings: Settings, tmp_path: Path, measured: Callable[[str, float, str], None]
) -> None:
    async with (
        RedisProcess(tmp_path) as server,
        app_on(app_settings, f"127.0.0.1:{server.port}") as app,
        listening(app) as listener,
    ):
        await server.kill()
        await until(lambda: not listener.ear.live)
        await server.start()
        started_s = time.monotonic()
        measured("live again after a restart", max(0, await listener.until_live() - started_s) * 1000, "ms")
        async with Redis(port=server.port) as client:
            await client.set("fastapi:temp:data:1", "x")
        await listener.until_heard(1)


async def stalled(app_settings: Settings, redis_port: int) -> float:
    """Seconds until an ear is no longer live once its path swallows packets; it is live again when the path is well."""
    async with TcpProxy(redis_port, Random(0)) as proxy:
        connection = f"127.0.0.1:{proxy.port},syncTimeout=100"
        async with app_on(app_settings, connection) as app, listening(app) as listener:
            proxy.chances = {STALL: 1.0}
            begin_s = time.monotonic()
            await until(away)
            noticed_s = time.monotonic() - begin_s
            assert not listener.ear.live
            assert proxy.injected[STALL] >= 1
            proxy.chances = {}
            await listener.until_live()
            async with Redis(port=redis_port) as client, asyncio.timeout(SOON_S):
                while not listener.heard:
                    await client.publish(BATCH, "set")
                    await asyncio.sleep(0.01)
            return noticed_s


@pytest.mark.both_loops
async def test_a_path_that_swallows_packets_is_noticed_by_its_silence(
    app_settings: Settings, redis_port: int, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a shorter tick; the following test has the real one."""
    monkeypatch.setattr(ear_module, "TICK_S", SHORT_TICK_S)
    noticed_s = await stalled(app_settings, redis_port)
    assert noticed_s >= SHORT_TICK_S * PING_TICKS
    assert LOST_TICKS * TICK_S < 10
    await until_no_ears(redis_client)


@pytest.mark.both_loops
async def test_a_path_that_swallows_packets_is_noticed_within_10_s(
    request: pytest.FixtureRequest,
    app_settings: Settings,
    redis_port: int,
    measured: Callable[[str, float, str], None],
) -> None:
    if not request.config.getoption("--soak"):
        pytest.skip("takes 7 s: --soak")
    noticed_s = await stalled(app_settings, redis_port)
    measured("half-open path noticed after", noticed_s, "s")
    assert noticed_s < 10


async def test_silence_is_no_loss_while_redis_answers(
    app: App, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ear_module, "TICK_S", SHORT_TICK_S)
    monkeypatch.setattr(ear_module, "LOST_TICKS", PATIENT_TICKS)
    await redis_client.config_resetstat()
    async with listening(app) as listener:
        async with asyncio.timeout(SOON_S):
            while await pings(redis_client) < 3:  # noqa: ASYNC110
                await asyncio.sleep(SHORT_TICK_S)
        assert listener.ear.live
        assert listener.lives == 1


async def test_it_is_not_live_without_a_recent_byte(app: App) -> None:
    later_s = 0.0
    listener = Listening(app, now=lambda: time.monotonic() + later_s)
    await listener.until_live()
    later_s = ALIVE_S - 1
    assert listener.ear.live
    later_s = ALIVE_S + 1
    assert not listener.ear.live
    await listener.stop()


async def test_an_error_of_the_listener_does_not_end_it(app: App, redis_client: Redis) -> None:
    def fail_once(*_: bytes) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise KeyError
        heard.set()

    calls, heard = 0, asyncio.Event()
    async with listening(app, fail_once) as listener:
        await redis_client.publish(BATCH, "set")
        await listener.until_live()
        await redis_client.publish(BATCH, "set")
        await asyncio.wait_for(heard.wait(), SOON_S)


@pytest.mark.both_loops
async def test_a_blocked_event_loop_is_no_loss(app: App, redis_client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ear_module, "TICK_S", SHORT_TICK_S)
    monkeypatch.setattr(ear_module, "LOST_TICKS", 20)
    async with listening(app) as listener:
        time.sleep(SHORT_TICK_S * 25)  # noqa: ASYNC251  # as a function that does not await would
        await asyncio.sleep(SHORT_TICK_S)
        await redis_client.publish(BATCH, "set")
        await listener.until_heard(1)
        assert listener.lives == 1


@pytest.mark.usefixtures("channel_rules")
async def test_a_refusal_is_named_logged_once_and_over_when_the_right_is_granted(
    app_settings: Settings, redis_client: Redis, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ear_module, "MAX_RETRY_S", 0.05)
    rights = [*("RESETCHANNELS", "-@all", "+psubscribe", "+hello", "on", ">secret")]
    await redis_client.execute_command("ACL", "SETUSER", "deaf", *rights)
    attempts = telemetry.counts[ear_module.SERVICE, "outage"]
    try:
        async with app_on(app_settings, f"{app_settings.redis},user=deaf,password=secret") as app:
            listener = Listening(app)
            await until(lambda: away() and outages._current[ear_module.SERVICE].failures >= 3)
            assert listener.ear.refused == "NOPERM"
            assert not listener.ear.live
            assert telemetry.counts[ear_module.SERVICE, "outage"] == attempts + 1
            assert not telemetry.refused_parts("Redis")  # what the app does for its own refused work is not due
            await redis_client.execute_command("ACL", "SETUSER", "deaf", *(f"&{pattern}" for pattern in PATTERNS))
            await listener.until_live()
            assert listener.ear.refused is None
            await redis_client.publish(BATCH, "set")
            await listener.until_heard(1)
            await listener.stop()
    finally:
        await redis_client.execute_command("ACL", "DELUSER", "deaf")
    lines = [record.getMessage() for record in caplog.records if "pub/sub" in record.getMessage()]
    assert lines[0] == "Redis pub/sub refuses to serve (NOPERM)"
    assert len(lines) == 2
    assert "secret" not in caplog.text


@pytest.mark.usefixtures("channel_rules")
async def test_rights_taken_away_are_a_refusal_after_the_loss(
    app_settings: Settings, redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Redis ends the connection of a user whose channels are taken. The real trigger is deaf for good from then on."""
    user = ["ACL", "SETUSER", "taken", "on", ">secret", "+@all"]
    await redis_client.execute_command(*user, "ALLCHANNELS")
    try:
        connection = f"{app_settings.redis},user=taken,password=secret"
        async with app_on(app_settings, connection) as app, listening(app) as listener:
            await redis_client.execute_command(*user, "RESETCHANNELS")
            await until(lambda: listener.ear.refused is not None)
        lines = [record.getMessage() for record in caplog.records if "pub/sub" in record.getMessage()]
        assert lines[-1] == "Redis pub/sub refuses to serve (NOPERM)"
        assert not away()  # not listening any more
    finally:
        await redis_client.execute_command("ACL", "DELUSER", "taken")


async def test_a_right_to_ping_is_not_needed(
    app_settings: Settings, redis_client: Redis, all_channels: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis' refusal of PING proves the path as well as its reply."""
    monkeypatch.setattr(ear_module, "TICK_S", SHORT_TICK_S)
    monkeypatch.setattr(ear_module, "LOST_TICKS", PATIENT_TICKS)
    rights = ["-@all", "+psubscribe", "+hello", *all_channels, "on", ">secret"]
    await redis_client.execute_command("ACL", "SETUSER", "mute", *rights)
    try:
        connection = f"{app_settings.redis},user=mute,password=secret"
        async with app_on(app_settings, connection) as app, listening(app) as listener:
            first_s = listener.ear.last_heard_s
            await until(lambda: listener.ear.last_heard_s > first_s)
            await redis_client.publish(BATCH, "set")
            await listener.until_heard(1)
            assert listener.lives == 1
    finally:
        await redis_client.execute_command("ACL", "DELUSER", "mute")


async def test_a_server_that_was_found_to_be_a_replica_is_left(
    app: App, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ear_module, "TICK_S", SHORT_TICK_S)
    async with listening(app) as listener:
        (before,) = await ears(redis_client)
        leave_server(app.redis)
        await listener.until_live()
        assert before["id"] not in [entry["id"] for entry in await ears(redis_client)]


@pytest.mark.both_loops
async def test_it_listens_over_tls_with_user_and_password(
    app_settings: Settings, redis_client: Redis, redis_port: int, certificate: Path, all_channels: list[str]
) -> None:
    await redis_client.execute_command("ACL", "SETUSER", "tls", "on", ">secret", "+@all", *all_channels)
    try:
        async with TlsProxy(redis_port, certificate) as proxy:
            connection = f"127.0.0.1:{proxy.port},ssl=True,user=tls,password=secret"
            async with app_on(app_settings, connection) as app:
                app.redis.connection_pool.connection_kwargs["ssl_ca_certs"] = str(certificate / "cert.pem")
                async with listening(app) as listener:
                    (entry,) = await ears(redis_client)
                    assert entry["user"] == "tls"
                    await redis_client.eval(PUBLISH_MANY, 1, BATCH, "2000")
                    await listener.until_heard(2000)
                    proxy.clients[-1].transport.abort()
                    await listener.until_live()
    finally:
        await redis_client.execute_command("ACL", "DELUSER", "tls")


class Tokens(CredentialProvider):
    """Gives another password each time, as Entra gives another token."""

    def __init__(self, passwords: Sequence[str]) -> None:
        self.left = list(passwords)

    def get_credentials(self) -> tuple[str, str]:
        return "token", self.left.pop(0)


async def test_credentials_are_asked_for_with_each_connection(
    app_settings: Settings, redis_client: Redis, all_channels: list[str]
) -> None:
    await redis_client.execute_command("ACL", "SETUSER", "token", "on", ">t1", ">t2", "+@all", *all_channels)
    try:
        async with app_on(app_settings, app_settings.redis) as app:
            tokens = app.redis.connection_pool.connection_kwargs["credential_provider"] = Tokens(["t1", "t2"])
            async with listening(app) as listener:
                (entry,) = await ears(redis_client)
                assert entry["user"] == "token"
                await redis_client.client_kill_filter(_id=entry["id"])  # what Redis does when a token expires
                await listener.until_live()
                assert not tokens.left
    finally:
        await redis_client.execute_command("ACL", "DELUSER", "token")


class Silent:
    """A server that replies to nothing; with `until_subscribed`, to nothing from PSUBSCRIBE on."""

    def __init__(self, *, until_subscribed: bool) -> None:
        self.asked = asyncio.Event()
        self.ended = asyncio.Event()
        self._until_subscribed = until_subscribed

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        while b"PSUBSCRIBE" not in (chunk := await reader.read(65536)) and self._until_subscribed:
            writer.write(b"+OK\r\n" * chunk.count(b"CLIENT"))
        self.asked.set()
        with suppress(OSError):
            await reader.read()
        self.ended.set()
        writer.transport.abort()


@pytest.mark.both_loops
@pytest.mark.parametrize("silence", ["of the handshake of TLS", "over TLS", "to HELLO", "to PSUBSCRIBE"])
async def test_it_can_be_stopped_while_a_server_says_nothing(
    app_settings: Settings, certificate: Path, silence: str
) -> None:
    silent = Silent(until_subscribed=silence == "to PSUBSCRIBE")
    context = server_context(certificate) if silence == "over TLS" else None
    async with await asyncio.start_server(silent.serve, "127.0.0.1", 0, ssl=context) as server:
        options = ",ssl=True" if "TLS" in silence else ",protocol=resp2" if silence == "to PSUBSCRIBE" else ""
        async with app_on(app_settings, f"127.0.0.1:{server.sockets[0].getsockname()[1]}{options}") as app:
            if context:
                app.redis.connection_pool.connection_kwargs["ssl_ca_certs"] = str(certificate / "cert.pem")
            listener = Listening(app)
            await asyncio.wait_for(silent.asked.wait(), SOON_S)
            await listener.stop()
            await asyncio.wait_for(silent.ended.wait(), 1)


@pytest.mark.both_loops
@pytest.mark.parametrize("options", ["", ",ssl=True"])
async def test_it_can_be_stopped_on_a_dead_path(
    app_settings: Settings, redis_client: Redis, redis_port: int, certificate: Path, options: str
) -> None:
    """Over TLS a connection that is closed waits for the other side."""
    async with (
        TlsProxy(redis_port, certificate) as tls,
        TcpProxy(tls.port if options else redis_port, Random(0)) as proxy,
        app_on(app_settings, f"127.0.0.1:{proxy.port}{options}") as app,
    ):
        if options:
            app.redis.connection_pool.connection_kwargs["ssl_ca_certs"] = str(certificate / "cert.pem")
        async with listening(app) as listener:
            proxy.chances = {STALL: 1.0}
            await redis_client.publish(BATCH, "swallowed")
            await until(lambda: proxy.injected[STALL] > 0)
            await listener.stop()
            await until_no_ears(redis_client)


@pytest.mark.both_loops
async def test_it_can_be_stopped_while_redis_is_away(app_settings: Settings) -> None:
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        async with app_on(app_settings, f"127.0.0.1:{unused.getsockname()[1]}") as app:
            listener = Listening(app)
            await until(away)
            await listener.stop()
            assert not away()


@pytest.mark.both_loops
async def test_it_can_be_stopped_in_a_burst(app: App, redis_client: Redis) -> None:
    async with listening(app) as listener:
        await redis_client.eval(PUBLISH_MANY, 1, BATCH, "20000")
        await listener.until_heard(1)
        await listener.stop()
    await until_no_ears(redis_client)


@pytest.mark.both_loops
async def test_redis_py_8_1_has_what_a_subscription_takes_from_it(app: App, redis_client: Redis) -> None:
    """Stream and socket are private: with another version, look at shared/store/subscription.py again."""
    assert redis.__version__.startswith("8.1.")
    subscribed = subscription.Subscription(app.redis, "-ear")
    await subscribed.open(PATTERNS)
    connection = subscribed._connection
    assert isinstance(connection._reader, StreamReader)
    if user_timeout := getattr(socket, "TCP_USER_TIMEOUT", None):
        tcp = connection._writer.get_extra_info("socket")
        assert tcp.getsockopt(socket.IPPROTO_TCP, user_timeout) == subscription.UNACKNOWLEDGED_S * 1000
        assert tcp.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    await subscribed.close()
    await until_no_ears(redis_client)
