"""The doctor, over real servers in bad states: each fault is a finding with its fix, and no secret is shown."""

import asyncio
import json
import re
import shlex
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
from shared import namespaces, telemetry
from shared.app import App, open_app
from shared.intake import heartbeat
from shared.intake.server_watch import ServerWatch
from shared.namespaces import Owner
from shared.operations import redis_users
from shared.operations.doctor import access, app_state, server, triggers
from shared.operations.doctor.examination import examine, refuses_two_slots
from shared.operations.doctor.findings import Finding, Severity, worst
from shared.operations.doctor.notifications import check_flags
from shared.operations.doctor.own_keys import TYPES, check_own_keys
from shared.operations.doctor.products import change_eviction, change_flags, is_local, redis_cli
from shared.operations.notification_flags import REQUIRED, missing_flags, wanted_flags
from shared.reactor import CHANNEL_PREFIX
from shared.registry import REACTORS
from shared.settings import Settings, parse
from shared.store.connection import ConnectionOptions
from tests.conftest import SERVER
from tests.support.certificates import self_signed

AZURE_CACHE = "plant.redis.cache.windows.net"
AZURE_MANAGED = "plant.westeurope.redis.azure.net"
LOCAL = ConnectionOptions("127.0.0.1", 6379)
PASSWORD = "hunter2hunter2"
Start = Callable[..., AbstractContextManager[int]]


def azure(host: str) -> ConnectionOptions:
    return ConnectionOptions(host, 6380, password=PASSWORD, ssl=True)


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts a server for one test: `with start("--maxmemory", "10mb") as port`."""

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
    deadline_s = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except ConnectionRefusedError:
            assert process.poll() is None, "the server did not start"
            assert time.monotonic() < deadline_s, "the server does not answer"


async def examined(connection: str, **settings: str) -> dict[str, Finding]:
    """The findings of an examination, by id. Checks that none contains a secret and that each fault has a fix."""
    app = open_app(parse({"Redis": connection, "AUDIT_KEY": "an audit key of the tests"} | settings))
    try:
        findings = await examine(app)
    finally:
        await app.redis.aclose()
    text = msgspec.json.encode(findings).decode()
    assert PASSWORD not in text
    assert "an audit key" not in text
    for finding in findings:
        assert finding.severity in {Severity.OK, Severity.INFO} or (finding.why and finding.fix), finding
    return {finding.id: finding for finding in findings}


async def test_a_healthy_server_has_no_warning_about_the_server(start: Start) -> None:
    with start("--notify-keyspace-events", REQUIRED, "--appendonly", "yes") as port:
        findings = await examined(f"127.0.0.1:{port}")
    serious = {id_ for id_, finding in findings.items() if finding.severity in {Severity.WARNING, Severity.ERROR}}
    assert serious == {"listeners", "sweep", "storage"}  # no app runs in this test
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
        "heartbeats",
    ):
        assert findings[id_].severity is Severity.OK, findings[id_]


async def test_the_flags_ex_are_an_error_with_the_command_that_changes_them(start: Start) -> None:
    with start("--notify-keyspace-events", "Ex") as port:
        finding = (await examined(f"127.0.0.1:{port}"))["notifications"]
        assert finding.severity is Severity.ERROR
        assert "is Ex: no event reaches the triggers" in finding.found
        assert "__keyevent@0__" in finding.why
        assert finding.commands == (f"redis-cli -h 127.0.0.1 -p {port} CONFIG SET notify-keyspace-events 'KExg$hle'",)
        assert "redis.conf" in finding.fix
        async with redis.asyncio.Redis(port=port) as client:
            await client.config_set("notify-keyspace-events", "KExg$hle")
        assert (await examined(f"127.0.0.1:{port}"))["notifications"].severity is Severity.OK


async def test_empty_flags_are_an_error(start: Start) -> None:
    with start() as port:
        finding = (await examined(f"127.0.0.1:{port}"))["notifications"]
    assert finding.severity is Severity.ERROR
    assert "off" in finding.found


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [("", "Kg$hlxe"), ("xE", "KExg$hle"), ("AE", "KEA"), ("g$lxeK", "Kg$lxeh"), ("AK", "KA"), ("AKEm", "KEAm")],
)
def test_the_advised_flags_keep_those_that_are_set(flags: str, wanted: str) -> None:
    assert wanted_flags(flags) == wanted
    if sentences := missing_flags(flags):
        assert sentences[-1].endswith(f"Set notify-keyspace-events to {wanted}")


def test_a_command_names_host_port_tls_and_user_and_asks_for_the_password() -> None:
    secured = ConnectionOptions("cache.example.org", 6380, username="app", password="hidden", ssl=True)
    assert redis_cli(secured, "CONFIG", "SET", "x", "a$b") == (
        "redis-cli -h cache.example.org -p 6380 --tls --user app --askpass CONFIG SET x 'a$b'"
    )
    assert redis_cli(secured, "ACL", "LIST", as_admin=True).endswith("--tls --askpass ACL LIST")
    assert redis_cli(LOCAL, "PING") == "redis-cli -h 127.0.0.1 -p 6379 PING"


@pytest.mark.parametrize("flags", ["", "Ex", "xE", "KEA", "AE", "K$h", "mE", "KEglxe"])
def test_the_advised_flags_suffice_and_include_the_present_flags(flags: str) -> None:
    wanted = wanted_flags(flags)
    assert missing_flags(wanted) == ()
    assert set(flags) <= set(wanted)


def test_the_advice_depends_on_the_product() -> None:
    (cache,) = check_flags("Ex", azure(AZURE_CACHE))
    assert "Advanced settings" in cache.fix
    assert "Basic" in cache.fix
    assert cache.commands == (
        "az redis update --name plant --resource-group GROUP "
        "--set 'redisConfiguration.notify-keyspace-events=KExg$hle'",
    )
    (managed,) = check_flags("Ex", azure(AZURE_MANAGED))
    (command,) = managed.commands
    assert "redisEnterprise/plant/databases/default?api-version=2026-02-01-preview" in command
    assert json.loads(command.split("--body ")[1].strip("'")) == {"properties": {"notifyKeyspaceEvents": "KExg$hle"}}
    assert change_flags(azure("old.redisenterprise.cache.azure.net"), "K").commands[0].startswith("az rest")
    assert "VolatileTTL" in change_eviction(azure(AZURE_MANAGED), "volatile-ttl").commands[0]
    assert "maxmemory-policy=volatile-ttl" in change_eviction(azure(AZURE_CACHE), "volatile-ttl").commands[0]


def test_flags_that_cannot_be_read_are_an_info_with_a_way_to_check_them() -> None:
    (finding,) = check_flags(None, azure(AZURE_CACHE))
    assert finding.severity is Severity.INFO
    assert "patterns test" in finding.fix
    assert finding.commands


async def test_an_eviction_policy_that_may_evict_anything_is_a_warning(start: Start) -> None:
    with start("--maxmemory", "8mb", "--maxmemory-policy", "allkeys-lru") as port:
        async with redis.asyncio.Redis(port=port) as client:
            for number in range(9):
                await client.set(f"filler:{number}", b"x" * 1_000_000)
        findings = await examined(f"127.0.0.1:{port}")
    assert findings["eviction"].severity is Severity.WARNING
    assert "audit" in findings["eviction"].why
    assert "volatile-ttl" in findings["eviction"].fix
    assert findings["memory"].severity in {Severity.WARNING, Severity.ERROR}
    assert findings["evicted"].severity is Severity.WARNING


async def test_a_full_server_that_refuses_writes_is_an_error(start: Start) -> None:
    with start("--maxmemory", "500kb", "--maxmemory-policy", "noeviction") as port:
        findings = await examined(f"127.0.0.1:{port}")
    assert findings["memory"].severity is Severity.ERROR
    assert findings["eviction"].severity is Severity.OK


async def test_each_missing_permission_of_the_user_is_named(start: Start) -> None:
    with start("--notify-keyspace-events", REQUIRED) as port:
        async with redis.asyncio.Redis(port=port) as client:
            await client.execute_command(
                *("ACL SETUSER", "few", "on", f">{PASSWORD}", "~fastapi:*", "~functions:*", "resetchannels"),
                *("+@all", "-config", "-info", "-client|list", "-xadd", "-evalsha", "-scan"),
            )
        findings = await examined(f"127.0.0.1:{port},user=few,password={PASSWORD}")
    missing = findings["access"].found
    assert findings["access"].severity is Severity.ERROR
    for name in ("XADD", "EVALSHA", "SCAN", "keys nextauth:session:*", "PSUBSCRIBE __keyspace@0__:nextauth:session:*"):
        assert name in missing
    for name in ("HSET", "keys fastapi:"):
        assert name not in missing
    assert "'few'" in missing
    assert findings["notifications"].severity is Severity.INFO
    assert findings["server"].severity is Severity.INFO


async def test_the_advised_acl_rules_suffice(start: Start) -> None:
    with start("--notify-keyspace-events", REQUIRED) as port:
        async with redis.asyncio.Redis(port=port) as client:
            rules = redis_users.rules("operator", redis_users.version(await client.info("server"))).split()
            await client.execute_command("ACL", "SETUSER", "app", "on", f">{PASSWORD}", *rules)
        connection = f"127.0.0.1:{port},user=app,password={PASSWORD}"
        findings = await examined(connection)
        async with redis.asyncio.Redis(port=port) as client:
            assert await client.dbsize() == 0
        heartbeats, watch = await sent_and_watched(connection)
    for id_ in ("access", "heartbeats", "notifications"):
        assert findings[id_].severity is Severity.OK, findings[id_]
    assert (heartbeats.refused, len(heartbeats.lanes)) == ("", len(REACTORS))
    assert None not in watch.seen.values()


async def sent_and_watched(connection: str) -> tuple[heartbeat.Reply, ServerWatch]:
    """What Redis answers to the heartbeats of this user, and what it lets it see of the server."""
    app, watch = open_app(parse({"Redis": connection})), ServerWatch()
    try:
        await watch.look(app)
        channels = [CHANNEL_PREFIX + reactor.kind.prefix.decode() for reactor in REACTORS]
        return await heartbeat.send(app, "here", "starting", [(channel, 0, 0) for channel in channels]), watch
    finally:
        await app.redis.aclose()


async def test_a_user_who_may_not_publish_heartbeats_gets_the_rule_to_add(start: Start) -> None:
    with start("--notify-keyspace-events", REQUIRED) as port:
        async with redis.asyncio.Redis(port=port) as client:
            rules = (
                redis_users.rules("operator", redis_users.version(await client.info("server")))
                .replace("+publish", "")
                .split()
            )
            await client.execute_command("ACL", "SETUSER", "app", "on", f">{PASSWORD}", *rules)
            connection = f"127.0.0.1:{port},user=app,password={PASSWORD}"
            refused, _ = await sent_and_watched(connection)
            finding = (await examined(connection))["heartbeats"]
            (command,) = finding.commands
            words = shlex.split(command)
            await client.execute_command(*words[words.index("ACL") :])
            permitted, _ = await sent_and_watched(connection)
    assert "publish" in refused.refused
    assert finding.severity is Severity.WARNING
    assert "__keyspace@0__:nextauth:session:" in finding.found
    assert permitted.refused == ""


async def test_a_key_of_the_app_that_another_application_wrote_is_named_with_a_command_that_moves_it(app: App) -> None:
    """Its figures are missing on the page and in the metrics, and nothing else would say why."""
    assert [finding.severity for finding in await check_own_keys(app)] == [Severity.OK]
    telemetry.count("batches", "swept")
    await app.write_minute_counts()
    assert [finding.severity for finding in await check_own_keys(app)] == [Severity.OK]
    key = "functions:stats:total"
    await app.redis.set(key, "another's")
    await app.redis.set("functions:retry:due", "another's")
    findings = await check_own_keys(app)
    assert {(finding.id, finding.severity) for finding in findings} == {("own-keys", Severity.WARNING)}
    (finding,) = [finding for finding in findings if key in finding.found]
    assert finding.found == "functions:stats:total is a string, not a hash: another application has written it"
    command = shlex.split(finding.commands[0])
    await app.redis.execute_command(*command[command.index("RENAMENX") :])
    telemetry.count("batches", "swept")
    await app.write_minute_counts()
    assert await app.redis.type(key) == b"hash"
    assert await app.redis.get(f"moved:{{{key}}}") == b"another's"


def test_all_keys_of_the_app_that_there_are_once_are_looked_at() -> None:
    single = {kind.pattern for kind in namespaces.TABLE if kind.owner is Owner.APP and not kind.part_names}
    assert single - TYPES.keys() == {"functions:audit:aside"}, "a stream that only a repair has"


async def test_each_instance_whose_trigger_is_deaf_is_a_finding_with_the_fix(app: App) -> None:
    assert [finding.severity for finding in await triggers.check_instances(app)] == [Severity.INFO]
    for identity, state in (("one-1", "trigger"), ("two-\x1b[31m2", "behind")):
        await heartbeat.send(app, identity, state, [])
    (hears,) = await triggers.check_instances(app)
    assert (hears.id, hears.severity) == ("instances", Severity.OK)
    assert re.fullmatch(
        r"2: one-1 \(trigger, (\d+)% of the keys\), two-\\x1b\[31m2 \(behind, (\d+)% of the keys\)", hears.found
    )
    await heartbeat.send(app, "three-3", "ear", [])
    await heartbeat.send(app, "four-4", "deaf", [])
    deaf, by_ear = await triggers.check_instances(app)
    assert (deaf.id, deaf.severity, "four-4" in deaf.found) == ("trigger-deaf", Severity.ERROR, True)
    assert (by_ear.id, by_ear.severity, "three-3" in by_ear.found) == ("trigger-deaf", Severity.WARNING, True)
    for finding in (deaf, by_ear):
        assert "Restart" in finding.fix
        assert finding.commands == ("az functionapp restart --name APP_NAME --resource-group GROUP",)


def test_every_command_of_the_scripts_is_among_the_access_trials() -> None:
    """Only the scripts of the functions in Azure; the command line has others."""
    root = Path(__file__).parents[2]
    scripts = (root / "shared").rglob("*.lua")
    used = set(
        re.findall(r"(?:call|own|attempt|must|written)\('([A-Z]+)'", "".join(path.read_text() for path in scripts))
    )
    tried = {command[0].decode() for command in access.trials(b"KEY")}
    assert len(used) > 20
    assert used - {"PUBLISH"} <= tried


def test_what_is_set_wrong_but_starts_is_a_warning() -> None:
    settings = parse(
        {"Redis": "127.0.0.1:1", "AzureWebJobs.sweep.Disabled": "1", "AUDIT_KEY": "an audit key of the tests"}
    )
    (finding,) = app_state.check_settings(settings)
    assert finding.severity is Severity.WARNING
    assert "sweep is disabled" in finding.found


async def test_a_user_without_ping_gets_the_rule_to_add(start: Start) -> None:
    with start() as port:
        async with redis.asyncio.Redis(port=port) as client:
            await client.acl_setuser("mute", enabled=True, nopass=True, commands=["+@all", "-ping"], keys=["*"])
        finding = (await examined(f"127.0.0.1:{port},user=mute,password={PASSWORD}"))["connection"]
    assert "PING" in finding.found
    assert "+ping" in finding.fix


async def test_a_read_only_replica_is_an_error(start: Start) -> None:
    with start() as primary, start("--replicaof", "127.0.0.1", str(primary)) as port:
        findings = await examined(f"127.0.0.1:{port}")
    assert findings["role"].severity is Severity.ERROR
    assert "replica" in findings["role"].found


def clustered(folder: Path) -> list[str]:
    """Options of a cluster node. The default port of its bus, port + 10,000, may be above 65,535."""
    bus = str(free_port())
    return ["--cluster-enabled", "yes", "--cluster-config-file", str(folder / "nodes.conf"), "--cluster-port", bus]


async def test_a_cluster_is_an_error(start: Start, tmp_path: Path) -> None:
    with start(*clustered(tmp_path)) as port:
        findings = await examined(f"127.0.0.1:{port}")
    assert findings["cluster"].severity is Severity.ERROR
    assert "events of some keys only" in findings["cluster"].why
    assert "NoCluster" in server.check_cluster({"cluster_enabled": 1}, AZURE_MANAGED)[0].fix


async def test_a_cluster_behind_one_address_is_recognised_by_its_refusal_of_two_slots(
    start: Start, tmp_path: Path
) -> None:
    """The policy EnterpriseCluster of Azure Managed Redis: INFO reports no cluster, but scripts over two slots fail."""
    with start(*clustered(tmp_path)) as port:
        async with redis.asyncio.Redis(port=port) as client:
            await client.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
            async with asyncio.timeout(10):
                while not await refuses_two_slots(client):
                    await client.ping()  # the node serves its slots after about a second
    with start() as port:
        async with redis.asyncio.Redis(port=port) as client:
            assert not await refuses_two_slots(client)
    (finding,) = server.check_cluster({"cluster_enabled": 0}, AZURE_MANAGED, one_slot=True)
    assert finding.severity is Severity.ERROR
    assert "EnterpriseCluster are not supported" in finding.fix


async def test_a_user_with_all_commands_but_without_the_app_s_keys_is_refused_those_keys(start: Start) -> None:
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
        missing = (await examined(f"127.0.0.1:{port},user=few,password={PASSWORD}"))["access"].found
    assert missing == "user 'few' is refused: keys functions:doctor:*, keys functions:stats:*"


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({}, ""),
        ({"CHART_SOURCES": '[{"match": "*", "url": "https://a.example.com/x"}]'}, "keys fabric:data:chart:*"),
        ({"REVOKE_TOKENS_ON_LAST_LOGOUT": "true"}, "keys fabric:user:*"),
        ({"DELETE_LAPSED_SESSIONS": "true"}, "keys nextauth:session:*"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value), "none"),
)
async def test_the_right_to_write_a_client_s_keys_is_missed_only_by_a_feature_that_writes_them(
    start: Start, settings: dict[str, str], refused: str
) -> None:
    with start("--notify-keyspace-events", REQUIRED) as port:
        async with redis.asyncio.Redis(port=port) as client:
            rules = [
                f"%R{rule}" if rule in {"~fabric:data:chart:*", "~fabric:user:*", "~nextauth:session:*"} else rule
                for rule in redis_users.rules("app", redis_users.version(await client.info("server"))).split()
            ]
            await client.execute_command("ACL", "SETUSER", "reader", "on", f">{PASSWORD}", *rules, "+acl|whoami")
        hosts = {"CHART_SOURCE_HOSTS": "a.example.com"} if "CHART_SOURCES" in settings else {}
        found = (await examined(f"127.0.0.1:{port},user=reader,password={PASSWORD}", **settings, **hosts))[
            "access"
        ].found
    assert found == (
        f"user 'reader' is refused: {refused}" if refused else "user 'reader' has every permission that the app needs"
    )


def test_a_policy_that_may_evict_the_app_s_state_before_charts_is_an_info() -> None:
    """volatile-lru is the default of Azure Cache for Redis."""
    (finding,) = server.check_eviction({"maxmemory_policy": "volatile-lru", "maxmemory": 1}, azure(AZURE_CACHE))
    assert (finding.severity, finding.commands[0].rpartition("=")[2]) == (Severity.INFO, "volatile-ttl'")
    assert "retries, dead letters" in finding.why
    for policy in ("noeviction", "volatile-ttl"):
        (finding,) = server.check_eviction({"maxmemory_policy": policy}, azure(AZURE_CACHE))
        assert finding.severity is Severity.OK


async def test_a_wrong_or_missing_password_is_an_error_that_does_not_show_it(start: Start) -> None:
    with start("--requirepass", "another") as port:
        with_wrong_password = await examined(f"127.0.0.1:{port},password={PASSWORD}")
        without_password = await examined(f"127.0.0.1:{port}")
    for findings in (with_wrong_password, without_password):
        assert findings["connection"].severity is Severity.ERROR
        assert "refused" in findings["connection"].found
        assert "portal" not in findings["connection"].fix, "the server is on this machine"
        assert set(findings) >= {"connection", "rest", "settings"}


async def test_an_unreachable_or_silent_server_is_reported_within_5_s(
    measured: Callable[[str, float, str], None],
) -> None:
    started_s = time.perf_counter()
    findings = await examined(f"127.0.0.1:{free_port()}")
    assert "nothing listens" in findings["connection"].found
    with closing(socket.socket()) as silent_socket:
        silent_socket.bind(("127.0.0.1", 0))
        silent_socket.listen()
        findings_if_silent = await examined(
            f"127.0.0.1:{silent_socket.getsockname()[1]}", AzureWebJobsStorage="UseDevelopmentStorage=true"
        )
    assert "no answer" in findings_if_silent["connection"].found
    assert "emulator does not answer" in findings_if_silent["storage"].found
    assert "./run" in findings_if_silent["storage"].fix
    took_s = time.perf_counter() - started_s
    measured("doctor, Redis away and Redis silent", took_s, "s")
    assert took_s < 5


async def test_unreachable_or_misconfigured_storage_is_an_error_that_does_not_show_its_key(start: Start) -> None:
    unreachable = f"DefaultEndpointsProtocol=http;AccountName=a;AccountKey=aHVudGVyMg==;BlobEndpoint=http://127.0.0.1:{free_port()}/a"
    with start() as port:
        findings = await examined(f"127.0.0.1:{port}", AzureWebJobsStorage=unreachable)
        unusable = await examined(f"127.0.0.1:{port}", AzureWebJobsStorage=f"junk={PASSWORD}")
    assert findings["storage"].severity is Severity.ERROR
    assert "aHVudGVyMg" not in str(findings)
    assert "neither a connection string" in unusable["storage"].found


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A folder with a self-signed certificate in cert.pem and key.pem."""
    return self_signed(tmp_path, "elsewhere")


async def serve_tls(folder: Path) -> AsyncIterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")

    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    listening = await asyncio.start_server(close, "127.0.0.1", 0, ssl=context)
    async with listening:
        yield listening.sockets[0].getsockname()[1]


async def test_an_untrusted_certificate_is_explained(certificate: Path) -> None:
    async for port in serve_tls(certificate):
        finding = (await examined(f"127.0.0.1:{port},ssl=True,password={PASSWORD}"))["connection"]
        assert "certificate is not accepted: self-signed" in finding.found
        assert "host name that the certificate is for" in finding.fix
        plain = (await examined(f"127.0.0.1:{port},password={PASSWORD}"))["connection"]
        assert "ssl=True" in plain.fix


async def test_tls_to_a_port_without_tls_is_explained(start: Start) -> None:
    with start() as port:
        finding = (await examined(f"127.0.0.1:{port},ssl=True"))["connection"]
    assert finding.severity is Severity.ERROR
    assert "does not use TLS" in finding.fix or "TLS handshake" in finding.found


def test_only_loopback_addresses_are_local() -> None:
    assert is_local("localhost")
    assert is_local("127.0.0.2")
    assert is_local("::1")
    assert not is_local("10.0.0.4")
    assert not is_local("localhost.example.com")


async def test_subscribers_are_counted_and_receive_only_keymiss_events_of_the_examination(redis_port: int) -> None:
    async with redis.asyncio.Redis(port=redis_port) as client, client.pubsub() as pubsub:
        await pubsub.psubscribe(*(reactor.channel for reactor in REACTORS))
        for _ in REACTORS:
            await pubsub.get_message(timeout=5)
        finding = (await examined(f"127.0.0.1:{redis_port}"))["listeners"]
        received = [message async for message in _received(pubsub)]
    assert finding.severity is Severity.OK
    assert "handle_session_changes 1" in finding.found
    assert [message["data"] for message in received] == [b"keymiss"] * 3


async def _received(pubsub: redis.asyncio.client.PubSub) -> AsyncIterator[dict[str, Any]]:
    while (message := await pubsub.get_message(timeout=0.2)) is not None:
        yield message


async def test_dead_letters_and_overdue_retries_are_warnings(app: App, redis_client: redis.asyncio.Redis) -> None:
    await redis_client.zadd("functions:dead:index", {"0" * 32: 1})
    await redis_client.zadd("functions:retry:due", {"batches fastapi:temp:data:1": 1})
    findings = {finding.id: finding for finding in await app_state.check_backlog(app)}
    assert {id_: finding.severity for id_, finding in findings.items()} == {
        "sweep": Severity.WARNING,
        "retries": Severity.WARNING,
        "dead-letters": Severity.WARNING,
    }
    assert "1 of 1" in findings["retries"].found


def test_valid_but_unwise_settings_are_reported() -> None:
    settings = parse({"Redis": f"{AZURE_MANAGED}:10000,ssl=True,password={PASSWORD}", "LEASE_S": "2"})
    ids = {finding.id for finding in app_state.check_settings(settings)}
    assert ids == {"audit-key", "lease", "abort-connect"}
    assert PASSWORD not in str(app_state.check_settings(settings))
    local = app_state.check_settings(parse({"AUDIT_KEY_PREVIOUS": "the key from before"}))
    assert [(finding.id, finding.severity) for finding in local] == [("audit-key-previous", Severity.INFO)]


def test_bindings_that_the_host_refuses_are_errors() -> None:
    trigger = {"type": "redisPubSubTrigger", "direction": "in", "connection": "Redis", "channel": "a*"}
    (finding,) = app_state.check_bindings({"f": [trigger]}, ["Redis"])
    assert finding.severity is Severity.ERROR
    assert "f: redisPubSubTrigger lacks pattern" in finding.found
    (finding,) = app_state.check_bindings({"f": [trigger | {"pattern": False, "connection": "Other"}]}, ["Redis"])
    assert "never fires" in finding.found
    assert "there is no setting Other" in finding.found
    assert "handle_session_changes does not subscribe" in finding.found


def test_the_required_properties_of_a_binding_are_those_of_the_local_host() -> None:
    required = {kind: names for kind, names in local_bindings._CONSTRUCTORS.items() if names}
    assert required == app_state.PROPERTIES


@pytest.mark.parametrize(
    ("info", "id_", "severity"),
    [
        ({"redis_version": "5.0.14"}, "version", Severity.ERROR),
        ({"redis_version": "6.0.9"}, "version", Severity.OK),
        ({"redis_version": "7.2.4", "valkey_version": "8.1.8"}, "version", Severity.OK),
        ({}, "version", Severity.OK),
    ],
)
def test_a_server_older_than_6_0_is_an_error(info: dict[str, Any], id_: str, severity: Severity) -> None:
    (finding,) = server.check_version(info)
    assert (finding.id, finding.severity) == (id_, severity)


def test_a_last_save_at_the_start_of_the_server_is_not_taken_for_a_snapshot() -> None:
    """Redis 6.0 reports the time of its start as the last save."""
    info = {"rdb_last_save_time": int(time.time()) - 1000, "uptime_in_seconds": 1000}
    (finding,) = server.check_persistence(info)
    assert "no snapshot" in finding.found
    (finding,) = server.check_persistence(info | {"rdb_last_save_time": int(time.time()) - 10})
    assert "snapshots are taken" in finding.found


def test_a_disk_that_cannot_be_written_is_an_error() -> None:
    (finding,) = server.check_persistence({"rdb_last_bgsave_status": "err"})
    assert finding.severity is Severity.ERROR


def test_a_subscriber_with_a_large_output_buffer_is_a_warning() -> None:
    limits = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"
    (fine,) = server.check_output_buffer(limits, [{"omem": "0"}], LOCAL)
    assert (fine.severity, "32.0 MiB" in fine.found) == (Severity.OK, True)
    (behind,) = server.check_output_buffer(None, [{"omem": str(20 * 2**20)}], LOCAL)
    assert behind.severity is Severity.WARNING


def test_fragmentation_is_reported_only_if_it_costs_much_memory() -> None:
    big = {"used_memory": 2**30, "used_memory_rss": 2 * 2**30, "mem_fragmentation_ratio": 2.0}
    assert "fragmentation" in {finding.id for finding in server.check_memory(big, LOCAL)}
    small = {"used_memory": 2**20, "used_memory_rss": 8 * 2**20, "mem_fragmentation_ratio": 8.0}
    assert "fragmentation" not in {finding.id for finding in server.check_memory(small, LOCAL)}


def test_the_status_is_the_worst_severity() -> None:
    assert worst([]) is Severity.OK
    assert worst(server.check_version({"redis_version": "5.0.1"})) is Severity.ERROR


async def test_the_clock_offset_is_reported_with_its_measurement_error(app: App) -> None:
    (finding,) = await app_state.check_clock(app)
    assert finding.severity is Severity.OK
    assert "±" in finding.found


def test_the_usual_local_settings_are_ok(app_settings: Settings) -> None:
    assert app_state.check_settings(app_settings)[0].severity is Severity.OK
