"""`./run`: starts the app in the foreground with everything it needs, and stops everything in order."""

import asyncio
import logging
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Annotated, Any

import typer
from redis.exceptions import RedisError
from rich.console import Console

from local.host import event_loop
from local.host.app_settings import AppSettingsError, load_app_settings
from local.host.faults import Fault, Faults, Planned, parse_fault
from local.host.overhead import parse_duration
from local.repo.bootstrap import ROOT
from local.run import servers
from local.run.console import (
    LiveLog,
    Started,
    describe_trigger,
    first_key_commands,
    open_console,
    show_banner,
    show_ready,
    show_summary,
    show_what_next,
)
from local.run.hosts import StartError, func_host, until_ready
from local.run.servers import LOCALHOST, ServerError
from local.run.state import RunState, published
from shared.errors import ConfigurationError
from shared.operations.doctor.products import change_flags
from shared.operations.doctor.reach import explain
from shared.operations.health import check
from shared.operations.notification_flags import REQUIRED, missing_flags, wanted_flags
from shared.store.connection import ConnectionOptions, open_client, parse_connection_string
from shared.store.connection_setting import variables

EMULATED_STORAGE = "UseDevelopmentStorage=true"
READY_TIMEOUT_S = {"local": 10.0, "func": 120.0}


class HostKind(StrEnum):
    AUTO = "auto"
    LOCAL = "local"
    FUNC = "func"


@dataclass(frozen=True)
class Options:
    """The options of the command line, validated."""

    redis: str | None
    """A StackExchange.Redis connection string; None starts a server."""
    port: int
    demo: bool
    once: bool
    loop: bool
    host: HostKind
    verbose: bool = False
    faults: tuple[Planned, ...] = ()
    """For the local host's Redis trigger."""
    overhead_s: float = 0.0
    """Of the local host, between two invocations of a Redis-triggered function."""


def main(
    redis: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Use this Redis instead of starting one.")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, metavar="N", help="HTTP port.")] = 7071,
    demo: Annotated[bool, typer.Option("--demo", help="Write sample batches, charts and sessions.")] = False,
    once: Annotated[
        bool, typer.Option("--once", help="With --demo: stop after the demo; exit code 0 if it succeeded.")
    ] = False,
    loop: Annotated[
        bool, typer.Option("--loop", help="With --demo: go on with traffic of batches, charts and sessions.")
    ] = False,
    host: Annotated[
        HostKind, typer.Option(help="Functions host; auto: func if it is on PATH, else local.")
    ] = HostKind.AUTO,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show all functions, and events with nothing to react to.")
    ] = False,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[@SECONDS]",
            help="Let the local host's Redis trigger fail as the real one can, from SECONDS on, or between SIGUSR1 and"
            f" SIGUSR2 (NAME@signal): {', '.join(Fault)}.",
        ),
    ] = None,
    invocation_overhead: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Time between two invocations of a Redis-triggered function on the local host. Recorded from the real"
            " host: 0.65ms, with three functions busy 1.2ms.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Start the app in the foreground with everything it needs. Ctrl-C stops it."""
    if once and not demo:
        raise typer.BadParameter("requires --demo", param_hint="--once")
    if loop and (once or not demo):
        raise typer.BadParameter("requires --demo, and not --once", param_hint="--loop")
    func = shutil.which("func")
    if host is HostKind.FUNC and func is None:
        raise typer.BadParameter("func (Azure Functions Core Tools) is not on PATH", param_hint="--host")
    if host is HostKind.AUTO:
        host = HostKind.LOCAL if func is None else HostKind.FUNC
    try:
        faults = tuple(parse_fault(text) for text in fault or ())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--fault") from None
    try:
        overhead_s = parse_duration(invocation_overhead or "0ms")
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--invocation-overhead") from None
    for option, given in (("--fault", faults), ("--invocation-overhead", invocation_overhead)):
        if given and host is HostKind.FUNC:
            raise typer.BadParameter("needs --host local", param_hint=option)
    options = Options(redis, port, demo, once, loop, host, verbose, faults, overhead_s)
    code = event_loop.run(_until_stopped(options))
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: at exit redis-py imports a module, and a thread that just imports NumPy then holds the import lock.
    os._exit(code)


async def _until_stopped(options: Options) -> int:
    """Run until a signal arrives, the host ends or, with --once, the demo ends.

    Returns the exit code, 128 + n after signal n. Every further signal cancels the current step of the shutdown.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(_run(options, open_console()))
    received: list[int] = []

    def stop(number: int) -> None:
        received.append(number)
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop, number)
    try:
        return await task
    except asyncio.CancelledError:
        return 128 + received[0]
    except (StartError, ServerError, ConfigurationError, AppSettingsError) as error:
        print(error, file=sys.stderr)
        return 1


async def _run(options: Options, console: Console) -> int:
    settings = load_app_settings(ROOT) | os.environ
    _check_port(options.port)
    async with AsyncExitStack() as stack:
        storage_starts = asyncio.create_task(_start_storage(stack, settings))  # takes as long as everything else
        stack.push_async_callback(_ended, storage_starts)
        if options.redis is None:
            server = await stack.enter_async_context(servers.redis_server(REQUIRED))
            connection = f"{server.host}:{server.port}"
            redis_text = f"{connection}  ({server.version}, started here, kept in memory only)"
            notices: tuple[str, ...] = ()
        else:
            connection = options.redis
            redis_text, notices = await _describe_redis(parse_connection_string(connection))
        if options.host is HostKind.LOCAL:
            import local.host.host  # noqa: F401 (imported now, while the storage emulator starts)
        storage, storage_text = await storage_starts
        redis = parse_connection_string(connection)
        started = Started(
            url=f"http://{LOCALHOST}:{options.port}",
            function_key=None,
            redis=redis_text,
            storage=storage_text,
            functions={},
            errors={},
            notices=notices,
            first_key=first_key_commands(redis, has_redis_cli=shutil.which("redis-cli") is not None),
            operate=_doctor_command(redis),
        )
        own = {name: "" if is_member else connection for name, is_member in variables(settings, "Redis")}
        environment = settings | own
        environment |= {"Redis": connection, "AzureWebJobsStorage": storage}
        start = partial(_local_host, options) if options.host is HostKind.LOCAL else _func_host
        started, ended = await stack.enter_async_context(start(started, environment, options.port, console))
        await until_ready(f"{started.url}/api/health", READY_TIMEOUT_S[options.host], ended)
        stack.enter_context(published(ROOT, _state(connection, storage)))
        show_banner(console, started, verbose=options.verbose)
        show_ready(console)
        return await _run_demo_or_wait(options, started, connection, console, ended)


async def _ended(task: "asyncio.Task[Any]") -> None:
    """End a task of `_run`, which may have failed before it awaited the task."""
    task.cancel()
    await asyncio.wait([task])


async def _run_demo_or_wait(
    options: Options, started: Started, connection: str, console: Console, ended: asyncio.Future[int]
) -> int:
    """Run the demo if asked to, then wait until the host ends, which raises StartError. Returns only with --once."""
    async with AsyncExitStack() as stack:
        if options.demo:
            from local.run.demo import demo, succeeded, traffic

            results = await stack.enter_async_context(demo(connection, keep=not options.once))
            show_summary(console, results)
            if options.once:
                return 0 if succeeded(results) else 1
            show_what_next(console, started, loop=options.loop)
            if options.loop:
                await stack.enter_async_context(traffic(connection))
        raise StartError(f"func ended unexpectedly with exit code {await ended}")


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOCALHOST, port))
        except OSError as error:
            raise StartError(f"HTTP port {port}: {error.strerror}. Choose another port with --port N.") from None


async def _describe_redis(options: ConnectionOptions) -> tuple[str, tuple[str, ...]]:
    """Describe the server of --redis, and name each of its settings that keeps events from arriving.

    Only reads the server's settings: they belong to its owner. Raises StartError if it does not answer.
    """
    address = f"{options.host}:{options.port}"
    client = open_client(options)
    try:
        await client.ping()
        health = await check(client)
    except (RedisError, OSError) as error:
        meaning, fix = explain(error, options)
        raise StartError(f"--redis {address}: {meaning}. {fix} Without --redis, ./run starts a Redis.") from None
    finally:
        await client.aclose()
    flags = health.notify_keyspace_events
    commands = change_flags(options, wanted_flags(flags)).commands if flags is not None and missing_flags(flags) else ()
    return f"{address}  (from --redis, its settings are not changed)", (*health.reasons, *commands)


async def _start_storage(stack: AsyncExitStack, settings: Mapping[str, str]) -> tuple[str, str]:
    """Start Azurite unless the settings name a storage account. Returns AzureWebJobsStorage and its description."""
    configured = settings.get("AzureWebJobsStorage", "")
    if configured not in ("", EMULATED_STORAGE):
        return configured, "the account in AzureWebJobsStorage"
    reason = servers.azurite_missing()
    if reason is None:
        if not servers.azurite_is_installed():
            print("installing Azurite with npm ci (once, about half a minute)", file=sys.stderr, flush=True)
        try:
            azurite = await stack.enter_async_context(servers.azurite())
        except ServerError as error:
            reason = str(error)
        else:
            if azurite is not None:
                return (
                    azurite.connection_string,
                    f"Azurite, blobs on {LOCALHOST}:{azurite.blob_port}, kept in memory only",
                )
    return configured, f"off: {reason}; features that need a storage account wait for one"


def _doctor_command(redis: ConnectionOptions) -> str:
    """The command finds this app by itself, except a Redis with a password, which is in no file and no output."""
    given = "" if redis.password is None else f"Redis='{redis.host}:{redis.port},password=...' "
    return f"{given}python3 manage.py doctor"


def _state(connection: str, storage: str) -> RunState:
    redis = connection if parse_connection_string(connection).password is None else ""
    return RunState(redis, storage if f"//{LOCALHOST}:" in storage else "")


type _Host = AsyncIterator[tuple[Started, asyncio.Future[int]]]


@asynccontextmanager
async def _local_host(
    options: Options,
    started: Started,
    environment: Mapping[str, str],
    port: int,
    console: Console,
) -> _Host:
    """Run the local host in this process, which reads its settings from the environment."""
    from local.host.host import Host, HostStartError

    os.environ.update(environment)
    log = LiveLog(console, verbose=options.verbose)
    logging.getLogger().addHandler(log)
    logging.getLogger("keyspace_functions").setLevel(logging.DEBUG)
    logging.getLogger("azure.functions").setLevel(logging.CRITICAL)  # the host logs the worker library's errors itself
    try:
        host_of_app = Host(
            ROOT, http_port=port, invocation_overhead_s=options.overhead_s, faults=Faults(options.faults)
        )
        async with host_of_app as host:
            triggers = {function.name: function for function in host.functions if function.name not in host.errors}
            yield (
                replace(
                    started,
                    url=host.url,
                    function_key=host.function_key,
                    functions={name: describe_trigger(function.trigger) for name, function in triggers.items()},
                    errors=host.errors,
                ),
                asyncio.get_running_loop().create_future(),
            )
    except HostStartError as error:
        raise StartError(f"The app cannot start: {error}") from error
    finally:
        logging.getLogger().removeHandler(log)


@asynccontextmanager
async def _func_host(started: Started, environment: Mapping[str, str], port: int, _: Console) -> _Host:
    """Run Azure Functions Core Tools, which print functions and events themselves."""
    async with func_host(environment, port) as process:
        ended = asyncio.ensure_future(process.wait())
        try:
            yield started, ended
        finally:
            ended.cancel()


app = typer.Typer(name="./run", add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.command()(main)

if __name__ == "__main__":
    app(prog_name="./run")
