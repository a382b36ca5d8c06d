"""The doctor names what is wrong with real servers in bad states, says what to set, and shows no secret."""

import asyncio
import json
import re
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis.asyncio

from local.host import bindings as local_bindings
from local.run.servers import free_port
from shared.app import App, open_app
from shared.operations.doctor import access, app_state, server
from shared.operations.doctor.examination import examine, refuses_two_slots
from shared.operations.doctor.findings import Finding, Severity, worst
from shared.operations.doctor.notifications import check_flags, wanted_flags
from shared.operations.doctor.products import change_eviction, change_flags, is_local
from shared.operations.notification_flags import REQUIRED, missing_flags
from shared.registry import REACTORS
from shared.settings import Settings, parse
from tests.conftest import SERVER
from tests.support.certificates import self_signed

AZURE_CACHE = "plant.redis.cache.windows.net"
AZURE_MANAGED = "plant.westeurope.redis.azure.net"
PASSWORD = "hunter2hunter2"
Start = Callable[..., AbstractContextManager[int]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """A server of the test's own: `with start("--maxmemory", "10mb") as port`."""

    @contextmanager
    def started(*options: str) -> Iterator[int]:
        port = free_port()
        command = [SERVER, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path), *options]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            wait_for(port, process)
            yield port
        finally:
            process.kill()
            process.wait(10)

    return started


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until_s = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except ConnectionRefusedError:
            assert process.poll() is None, "the server did not start"
            assert time.monotonic() < until_s, "the server does not answer"


async def examined(connection: str, **settings: str) -> dict[str, Finding]:
    """What the doctor finds, by id."""
    app = open_app(parse({"Redis": connection, "AUDIT_KEY": "an audit key of the tests"} | settings))
    try:
        findings = await examine(app)
    finally:
        await app.redis.aclose()
    text = msgspec.json.encode(findings).decode()
    assert PASSWORD not in text
    assert "an audit key" not in text
    for one in findings:
        assert one.severity in {Severity.OK, Severity.INFO} or (one.why and one.fix), one
    return {one.id: one for one in findings}


async def test_a_healthy_server_has_no_warning_of_its_own(start: Start) -> None:
    with start("--notify-keyspace-events", REQUIRED, "--appendonly", "yes") as port:
        found = await examined(f"127.0.0.1:{port}")
    serious = {id_ for id_, one in found.items() if one.severity in {Severity.WARNING, Severity.ERROR}}
    assert serious == {"listeners", "sweep", "storage"}  # the app does not run here
    for id_ in (
        "connection",
        "version",
        "cluster",
        "role",
        "persistence",
        "eviction",
        "access",
        "clock",
        "notifications",
    ):
        assert found[id_].severity is Severity.OK, found[id_]


async def test_flags_ex_are_told_with_the_setting_to_change(start: Start) -> None:
    with start("--notify-keyspace-events", "Ex") as port:
        found = (await examined(f"127.0.0.1:{port}"))["notifications"]
        assert found.severity is Severity.ERROR
        assert "is Ex: no event reaches the triggers" in found.found
        assert "__keyevent@0__" in found.why
        assert found.commands == ("redis-cli CONFIG SET notify-keyspace-events 'KEg$hlxe'",)
        assert "redis.conf" in found.fix
        async with redis.asyncio.Redis(port=port) as client:
            await client.config_set("notify-keyspace-events", "KEg$hlxe")
        assert (await examined(f"127.0.0.1:{port}"))["notifications"].severity is Severity.OK


async def test_no_flags_at_all_are_an_error(start: Start) -> None:
    with start() as port:
        found = (await examined(f"127.0.0.1:{port}"))["notifications"]
    assert found.severity is Severity.ERROR
    assert "off" in found.found


@pytest.mark.parametrize("flags", ["", "Ex", "xE", "KEA", "AE", "K$h", "mE", "KEglxe"])
def test_the_value_to_set_suffices_and_keeps_what_was_set(flags: str) -> None:
    wanted = wanted_flags(flags)
    assert missing_flags(wanted) == ()
    assert set(flags) <= set(wanted)


def test_the_change_is_told_for_each_product() -> None:
    (cache,) = check_flags("Ex", AZURE_CACHE)
    assert "Advanced settings" in cache.fix
    assert "Basic" in cache.fix
    assert cache.commands == (
        "az redis update --name plant --resource-group GROUP "
        "--set 'redisConfiguration.notify-keyspace-events=KEg$hlxe'",
    )
    (managed,) = check_flags("Ex", AZURE_MANAGED)
    (command,) = managed.commands
    assert "redisEnterprise/plant/databases/default?api-version=2026-02-01-preview" in command
    assert json.loads(command.split("--body ")[1].strip("'")) == {"properties": {"notifyKeyspaceEvents": "KEg$hlxe"}}
    assert change_flags("old.redisenterprise.cache.azure.net", "K").commands[0].startswith("az rest")
    assert "VolatileTTL" in change_eviction(AZURE_MANAGED, "volatile-ttl").commands[0]
    assert "maxmemory-policy=volatile-ttl" in change_eviction(AZURE_CACHE, "volatile-ttl").commands[0]


def test_flags_that_cannot_be_read_are_an_info_that_says_where_to_look() -> None:
    (found,) = check_flags(None, AZURE_CACHE)
    assert found.severity is Severity.INFO
    assert "patterns test" in found.fix
    assert found.commands


async def test_an_eviction_policy_that_may_evict_anything_is_a_warning(start: Start) -> None:
    with start("--maxmemory", "8mb", "--maxmemory-policy", "allkeys-lru") as port:
        async with redis.asyncio.Redis(port=port) as client:
            for number in range(9):
                await client.set(f"filler:{number}", b"x" * 1_000_000)
        found = await examined(f"127.0.0.1:{port}")
    assert found["eviction"].severity is Severity.WARNING
    assert "audit" in found["eviction"].why
    assert "volatile-ttl" in found["eviction"].fix
    assert found["memory"].severity in {Severity.WARNING, Severity.ERROR}
    assert found["evicted"].severity is Severity.WARNING


async def test_a_server_that_is_full_and_refuses_writes_is_told(start: Start) -> None:
    with start("--maxmemory", "500kb", "--maxmemory-policy", "noeviction") as port:
        found = await examined(f"127.0.0.1:{port}")
    assert found["memory"].severity is Severity.ERROR
    assert found["eviction"].severity is Severity.OK


async def test_a_user_with_few_permissions_is_told_what_it_lacks(start: Start) -> None:
    with start("--notify-keyspace-events", REQUIRED) as port:
        async with redis.asyncio.Redis(port=port) as client:
            await client.execute_command(
                *("ACL SETUSER", "few", "on", f">{PASSWORD}", "~fastapi:*", "~functions:*", "resetchannels"),
                *("+@all", "-config", "-info", "-client|list", "-xadd", "-evalsha", "-scan"),
            )
        found = await examined(f"127.0.0.1:{port},user=few,password={PASSWORD}")
    lacks = found["access"].found
    assert found["access"].severity is Severity.ERROR
    for name in ("XADD", "EVALSHA", "SCAN", "keys nextauth:session:*", "PSUBSCRIBE __keyspace@0__:nextauth:session:*"):
        assert name in lacks
    for name in ("HSET", "keys fastapi:"):
        assert name not in lacks
    assert "'few'" in lacks
    assert found["notifications"].severity is Severity.INFO
    assert found["server"].severity is Severity.INFO


async def test_the_rules_that_are_advised_suffice(start: Start) -> None:
    with start("--notify-keyspace-events", REQUIRED) as port:
        async with redis.asyncio.Redis(port=port) as client:
            await client.execute_command(*access.acl_rules().replace("NAME on", f"app on >{PASSWORD}").split())
        found = await examined(f"127.0.0.1:{port},user=app,password={PASSWORD}")
        async with redis.asyncio.Redis(port=port) as client:
            assert await client.dbsize() == 0
    assert found["access"].severity is Severity.OK, found["access"]


def test_every_command_of_the_scripts_is_tried() -> None:
    """Those that the functions run; the command line has some of its own."""
    root = Path(__file__).parents[2]
    scripts = (root / "shared").rglob("*.lua")
    used = set(re.findall(r"(?:call|own)\('([A-Z]+)'", "".join(path.read_text() for path in scripts)))
    tried = {command[0].decode() for command in access.trials(b"KEY")}
    assert len(used) > 20
    assert used - {"PUBLISH"} <= tried


async def test_a_user_who_may_not_name_its_connection_is_told(start: Start) -> None:
    with start() as port:
        async with redis.asyncio.Redis(port=port) as client:
            await client.acl_setuser("mute", enabled=True, nopass=True, commands=["+@all", "-client"], keys=["*"])
        found = (await examined(f"127.0.0.1:{port},user=mute,password={PASSWORD}"))["connection"]
    assert "CLIENT SETNAME" in found.found
    assert "+client|setname" in found.fix


async def test_a_read_only_replica_is_an_error(start: Start) -> None:
    with start() as primary, start("--replicaof", "127.0.0.1", str(primary)) as port:
        found = await examined(f"127.0.0.1:{port}")
    assert found["role"].severity is Severity.ERROR
    assert "replica" in found["role"].found


def clustered(folder: Path) -> list[str]:
    """Options of a cluster's node. By itself it takes port + 10,000 for its bus, which may be past the last one."""
    bus = str(free_port())
    return ["--cluster-enabled", "yes", "--cluster-config-file", str(folder / "nodes.conf"), "--cluster-port", bus]


async def test_a_cluster_is_an_error(start: Start, tmp_path: Path) -> None:
    with start(*clustered(tmp_path)) as port:
        found = await examined(f"127.0.0.1:{port}")
    assert found["cluster"].severity is Severity.ERROR
    assert "events of some keys only" in found["cluster"].why
    assert "NoCluster" in server.check_cluster({"cluster_enabled": 1}, AZURE_MANAGED)[0].fix


async def test_a_cluster_that_hides_as_one_server_is_told_by_what_it_refuses(start: Start, tmp_path: Path) -> None:
    """Azure Managed Redis' policy EnterpriseCluster: INFO tells of no cluster, and scripts over two slots fail."""
    with start(*clustered(tmp_path)) as port:
        async with redis.asyncio.Redis(port=port) as client:
            await client.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
            async with asyncio.timeout(10):
                while not await refuses_two_slots(client):
                    await client.ping()  # its own slots are served within a second or so
    with start() as port:
        async with redis.asyncio.Redis(port=port) as client:
            assert not await refuses_two_slots(client)
    (found,) = server.check_cluster({"cluster_enabled": 0}, AZURE_MANAGED, one_slot=True)
    assert found.severity is Severity.ERROR
    assert "EnterpriseCluster are not supported" in found.fix


async def test_a_user_who_may_run_all_and_not_touch_the_app_s_keys_is_told_of_the_keys(start: Start) -> None:
    with start("--notify-keyspace-events", REQUIRED) as port:
        async with redis.asyncio.Redis(port=port) as client:
            rules = (
                "ACL SETUSER",
                "few",
                "on",
                f">{PASSWORD}",
                "~fastapi:*",
                "~nextauth:*",
                "~fabric:*",
                "&*",
                "+@all",
            )
            await client.execute_command(*rules)
        lacks = (await examined(f"127.0.0.1:{port},user=few,password={PASSWORD}"))["access"].found
    assert lacks == "user 'few' is refused: keys functions:doctor:*, keys functions:stats:*"


def test_a_policy_that_evicts_the_app_s_state_before_charts_is_told() -> None:
    """volatile-lru is the default of Azure Cache for Redis."""
    (found,) = server.check_eviction({"maxmemory_policy": "volatile-lru", "maxmemory": 1}, AZURE_CACHE)
    assert (found.severity, found.commands[0].rpartition("=")[2]) == (Severity.INFO, "volatile-ttl'")
    assert "retries, dead letters" in found.why
    for policy in ("noeviction", "volatile-ttl"):
        (found,) = server.check_eviction({"maxmemory_policy": policy}, AZURE_CACHE)
        assert found.severity is Severity.OK


async def test_a_wrong_password_is_told_without_it(start: Start) -> None:
    with start("--requirepass", "another") as port:
        wrong = await examined(f"127.0.0.1:{port},password={PASSWORD}")
        none = await examined(f"127.0.0.1:{port}")
    for found in (wrong, none):
        assert found["connection"].severity is Severity.ERROR
        assert "refused" in found["connection"].found
        assert set(found) >= {"connection", "rest", "settings"}


async def test_a_server_that_is_away_is_told_within_5_s(measured: Callable[[str, float, str], None]) -> None:
    started_s = time.perf_counter()
    found = await examined(f"127.0.0.1:{free_port()}")
    assert "nothing listens" in found["connection"].found
    with closing(socket.socket()) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        hung = await examined(f"127.0.0.1:{silent.getsockname()[1]}", AzureWebJobsStorage="UseDevelopmentStorage=true")
    assert "no answer" in hung["connection"].found
    took_s = time.perf_counter() - started_s
    measured("doctor, Redis away and Redis silent", took_s, "s")
    assert took_s < 5


async def test_storage_that_is_away_or_unusable_is_an_error_without_its_key(start: Start) -> None:
    away = f"DefaultEndpointsProtocol=http;AccountName=a;AccountKey=aHVudGVyMg==;BlobEndpoint=http://127.0.0.1:{free_port()}/a"
    with start() as port:
        found = await examined(f"127.0.0.1:{port}", AzureWebJobsStorage=away)
        unusable = await examined(f"127.0.0.1:{port}", AzureWebJobsStorage=f"junk={PASSWORD}")
    assert found["storage"].severity is Severity.ERROR
    assert "aHVudGVyMg" not in str(found)
    assert "neither a connection string" in unusable["storage"].found


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """The folder of a certificate of nobody's, in cert.pem and key.pem."""
    return self_signed(tmp_path, "elsewhere")


async def serve_tls(folder: Path) -> AsyncIterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")

    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    listening = await asyncio.start_server(close, "127.0.0.1", 0, ssl=context)
    async with listening:
        yield listening.sockets[0].getsockname()[1]


async def test_a_certificate_that_is_not_accepted_is_explained(certificate: Path) -> None:
    async for port in serve_tls(certificate):
        found = (await examined(f"127.0.0.1:{port},ssl=True,password={PASSWORD}"))["connection"]
        assert "certificate is not accepted: self-signed" in found.found
        assert "host name that the certificate is for" in found.fix
        plain = (await examined(f"127.0.0.1:{port},password={PASSWORD}"))["connection"]
        assert "ssl=True" in plain.fix


async def test_tls_to_a_port_that_speaks_none_is_explained(start: Start) -> None:
    with start() as port:
        found = (await examined(f"127.0.0.1:{port},ssl=True"))["connection"]
    assert found.severity is Severity.ERROR
    assert "does not use TLS" in found.fix or "TLS handshake" in found.found


def test_only_this_machine_is_local() -> None:
    assert is_local("localhost")
    assert is_local("127.0.0.2")
    assert is_local("::1")
    assert not is_local("10.0.0.4")
    assert not is_local("localhost.example.com")


async def test_who_listens_is_counted_and_hears_nothing_that_does_something(redis_port: int) -> None:
    async with redis.asyncio.Redis(port=redis_port) as client, client.pubsub() as pubsub:
        await pubsub.psubscribe(*(reactor.channel for reactor in REACTORS))
        for _ in REACTORS:
            await pubsub.get_message(timeout=5)
        found = (await examined(f"127.0.0.1:{redis_port}"))["listeners"]
        heard = [message async for message in _waiting(pubsub)]
    assert found.severity is Severity.OK
    assert "handle_session_changes 1" in found.found
    assert [message["data"] for message in heard] == [b"keymiss"] * 3


async def _waiting(pubsub: redis.asyncio.client.PubSub) -> AsyncIterator[dict[str, Any]]:
    while (message := await pubsub.get_message(timeout=0.2)) is not None:
        yield message


async def test_dead_letters_and_overdue_retries_are_warnings(app: App, redis_client: redis.asyncio.Redis) -> None:
    await redis_client.zadd("functions:dead:index", {"0" * 32: 1})
    await redis_client.zadd("functions:retry:due", {"batches fastapi:temp:data:1": 1})
    found = {one.id: one for one in await app_state.check_backlog(app)}
    assert {id_: one.severity for id_, one in found.items()} == {
        "sweep": Severity.WARNING,
        "retries": Severity.WARNING,
        "dead-letters": Severity.WARNING,
    }
    assert "1 of 1" in found["retries"].found


def test_settings_that_are_valid_and_unwise_are_told() -> None:
    settings = parse({"Redis": f"{AZURE_MANAGED}:10000,ssl=True,password={PASSWORD}", "LEASE_S": "2"})
    ids = {one.id for one in app_state.check_settings(settings)}
    assert ids == {"audit-key", "lease", "abort-connect"}
    assert PASSWORD not in str(app_state.check_settings(settings))
    local = app_state.check_settings(parse({"AUDIT_KEY_PREVIOUS": "the key from before"}))
    assert [(one.id, one.severity) for one in local] == [("audit-key-previous", Severity.INFO)]


def test_bindings_that_the_host_refuses_are_errors() -> None:
    trigger = {"type": "redisPubSubTrigger", "direction": "in", "connection": "Redis", "channel": "a*"}
    (found,) = app_state.check_bindings({"f": [trigger]}, ["Redis"])
    assert found.severity is Severity.ERROR
    assert "f: redisPubSubTrigger lacks pattern" in found.found
    (found,) = app_state.check_bindings({"f": [trigger | {"pattern": False, "connection": "Other"}]}, ["Redis"])
    assert "never fires" in found.found
    assert "there is no setting Other" in found.found
    assert "handle_session_changes does not subscribe" in found.found


def test_the_properties_of_a_binding_are_those_that_the_local_host_asks_for() -> None:
    required = {kind: names for kind, names in local_bindings._CONSTRUCTORS.items() if names}
    assert required == app_state.PROPERTIES


@pytest.mark.parametrize(
    ("about", "id_", "severity"),
    [
        ({"redis_version": "5.0.14"}, "version", Severity.ERROR),
        ({"redis_version": "6.0.9"}, "version", Severity.OK),
        ({"redis_version": "7.2.4", "valkey_version": "8.1.8"}, "version", Severity.OK),
        ({}, "version", Severity.OK),
    ],
)
def test_a_server_older_than_6_0_is_an_error(about: dict[str, Any], id_: str, severity: Severity) -> None:
    (found,) = server.check_version(about)
    assert (found.id, found.severity) == (id_, severity)


def test_a_server_that_does_not_tell_the_time_is_not_said_to_take_snapshots() -> None:
    """Redis 6.0: at its start it takes that time for the last save."""
    about = {"rdb_last_save_time": int(time.time()) - 1000, "uptime_in_seconds": 1000}
    (found,) = server.check_persistence(about)
    assert "no snapshot" in found.found
    (found,) = server.check_persistence(about | {"rdb_last_save_time": int(time.time()) - 10})
    assert "snapshots are taken" in found.found


def test_a_disk_that_cannot_be_written_is_an_error() -> None:
    (found,) = server.check_persistence({"rdb_last_bgsave_status": "err"})
    assert found.severity is Severity.ERROR


def test_a_subscriber_that_is_behind_is_a_warning() -> None:
    limits = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"
    (fine,) = server.check_output_buffer(limits, [{"omem": "0"}])
    assert (fine.severity, "32.0 MiB" in fine.found) == (Severity.OK, True)
    (behind,) = server.check_output_buffer(None, [{"omem": str(20 * 2**20)}])
    assert behind.severity is Severity.WARNING


def test_fragmentation_matters_only_where_it_takes_much() -> None:
    big = {"used_memory": 2**30, "used_memory_rss": 2 * 2**30, "mem_fragmentation_ratio": 2.0}
    assert "fragmentation" in {one.id for one in server.check_memory(big)}
    small = {"used_memory": 2**20, "used_memory_rss": 8 * 2**20, "mem_fragmentation_ratio": 8.0}
    assert "fragmentation" not in {one.id for one in server.check_memory(small)}


def test_the_worst_finding_is_the_status() -> None:
    assert worst([]) is Severity.OK
    assert worst(server.check_version({"redis_version": "5.0.1"})) is Severity.ERROR


async def test_a_clock_that_is_off_is_told_with_the_error_of_the_measurement(app: App) -> None:
    (found,) = await app_state.check_clock(app)
    assert found.severity is Severity.OK
    assert "±" in found.found


def test_the_usual_local_settings_are_fine(app_settings: Settings) -> None:
    assert app_state.check_settings(app_settings)[0].severity is Severity.OK
