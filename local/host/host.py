"""The local host: loads a function app, starts its triggers and stops them in order."""

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import msgspec

from local.host import app_settings, bindings, http, timers
from local.host.bindings import BindingError, Function
from local.host.faults import Faults
from local.host.locks import LockTimes, TimerLock, parse_times
from local.host.pubsub import Lane, SubscribeError, Trigger
from local.host.worker import AppLoadError, Datum, InvocationResult, Worker
from local.host.worker_processes import WorkerProcesses
from shared.errors import ConfigurationError
from shared.platform_variables import disabled_functions
from shared.store.connection import ConnectionOptions

__all__ = ["Function", "Host", "HostStartError", "Invocation"]

STOP_S = 10.0
"""How long running invocations may go on after the host was told to stop."""

log = logging.getLogger("local.host")


class _HttpJson(msgspec.Struct):
    prefix: str = msgspec.field(name="routePrefix", default=http.DEFAULT_PREFIX)


class _ExtensionsJson(msgspec.Struct):
    http: _HttpJson = msgspec.field(default_factory=_HttpJson)


class _SingletonJson(msgspec.Struct):
    period: str | None = msgspec.field(name="listenerLockPeriod", default=None)
    recovery: str | None = msgspec.field(name="listenerLockRecoveryPollingInterval", default=None)


class _HostJson(msgspec.Struct):
    """The part of host.json that this host reads."""

    extensions: _ExtensionsJson = msgspec.field(default_factory=_ExtensionsJson)
    singleton: _SingletonJson = msgspec.field(default_factory=_SingletonJson)


class HostStartError(RuntimeError):
    """The host cannot start. The text is the reason; for an app that fails at import, it is the worker's text."""


@dataclass(frozen=True)
class Invocation:
    """An invocation that has ended, as `on_invocation` receives it."""

    function: str
    trigger: str
    """The trigger's type, such as "redisPubSubTrigger"."""
    ok: bool
    error: str | None
    """The exception as the worker writes it; None if the function returned."""
    duration_ms: float
    message: str | None
    """The JSON text that a pub/sub function received; None for other triggers."""


class Host:
    """Runs the function app in a folder, without the functions that an app setting switches off. A process runs one
    app at a time, because the worker library has one registry.

    Entering the context loads the app, checks its bindings, subscribes to Redis and listens for HTTP. It returns after
    Redis has confirmed every subscription; it raises HostStartError if the app cannot be loaded, Redis does not
    confirm, or the address is in use. Leaving the context stops the triggers and then waits up to 10 s for running
    invocations. With `locks`, a folder that several hosts share, each timer runs on one of them. Before each invocation
    of a Redis-triggered function pass `invocation_overhead_s`, see overhead.py. With `workers` the app runs in so
    many processes instead of this one, see worker_processes.py.
    """

    def __init__(
        self,
        app_dir: Path,
        *,
        http_host: str = "127.0.0.1",
        http_port: int = 7071,
        on_invocation: Callable[[Invocation], None] | None = None,
        invocation_overhead_s: float = 0.0,
        faults: Faults | None = None,
        locks: Path | None = None,
        workers: int | None = None,
    ) -> None:
        self.functions: tuple[Function, ...] = ()
        self.errors: dict[str, str] = {}
        """Name of each function that cannot run, and the reason."""
        self.url = ""
        self.function_key = os.environ.get("FUNCTIONS_LOCAL_KEY") or secrets.token_urlsafe()
        self._app_dir = app_dir
        self._http_address = (http_host, http_port)
        self._on_invocation = on_invocation
        self._invocation_overhead_s = invocation_overhead_s
        self._locks = locks
        self._worker = Worker(app_dir) if workers is None else WorkerProcesses(app_dir, workers)
        self.faults = faults or Faults()
        self._lanes: dict[ConnectionOptions, list[Lane]] = {}
        """The lanes of pub/sub functions, by the connection string that they share."""
        self._triggers: list[Trigger] = []
        self._endpoints: list[http.Endpoint] = []
        self._timers: list[timers.Timer] = []
        self._running: set[asyncio.Task[InvocationResult]] = set()
        self._exit = AsyncExitStack()
        self._stop_by_s = float("inf")

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            try:
                await self._start(stack)
            except (AppLoadError, app_settings.AppSettingsError, SubscribeError) as error:
                raise HostStartError(str(error)) from error
            self._exit = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop_by_s = time.monotonic() + STOP_S
        await self._exit.aclose()

    async def drained(self) -> None:
        """Return once every message that Redis sent before this call has been invoked."""
        await asyncio.gather(*(trigger.drained() for trigger in self._triggers))

    async def _start(self, stack: AsyncExitStack) -> None:
        """Start everything in the reverse order of the stop: triggers start last, so that they stop first."""
        prefix, lock_times = _read_host_json(self._app_dir)
        settings = app_settings.apply(app_settings.load_app_settings(self._app_dir))
        stack.callback(_unset, settings)
        self.functions = await self._worker.start()
        stack.callback(self._worker.stop)
        stack.push_async_callback(self._worker.end_tasks)
        stack.push_async_callback(self._finish_running)
        disabled = disabled_functions(os.environ)
        for function in self.functions:
            if function.name.lower() in disabled:
                continue
            try:
                self._prepare(function, prefix, lock_times)
            except (BindingError, ConfigurationError) as error:
                self.errors[function.name] = str(error)
                log.error("The '%s' function is in error: %s", function.name, error)
        host, port = self._http_address
        server = http.serve(
            self._endpoints,
            self._run_http,
            key=self.function_key,
            host=host,
            port=port,
            stop_s=STOP_S,
            max_body_bytes=int(os.environ.get("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT") or http.MAX_BODY_BYTES),
        )
        try:
            self.url = await stack.enter_async_context(server)
        except OSError as error:
            raise HostStartError(f"cannot listen on {host}:{port}: {error.strerror}") from error
        for timer in self._timers:
            await stack.enter_async_context(timer)
        self.faults.obey_signals()
        for connection, lanes in self._lanes.items():
            trigger = Trigger(lanes, connection, self.faults)
            self._triggers.append(await stack.enter_async_context(trigger))

    def _prepare(self, function: Function, prefix: str, lock_times: LockTimes) -> None:
        """Set up a function's trigger. Raises BindingError or ConfigurationError if the function cannot run."""
        trigger = bindings.checked_trigger(function, os.environ)
        if trigger["type"] == bindings.PUBSUB:
            connection = bindings.connection_of(trigger, os.environ).options()
            invoke = partial(self._run_message, function)
            lane = Lane(
                function.name,
                trigger["channel"],
                invoke,
                pattern=trigger["pattern"],
                overhead_s=self._invocation_overhead_s,
            )
            self._lanes.setdefault(connection, []).append(lane)
        elif trigger["type"] == bindings.TIMER:
            self._timers.append(
                timers.Timer(
                    timers.parse_schedule(trigger["schedule"]),
                    partial(self._run_timer, function),
                    at_start=bool(trigger.get("runOnStartup")),
                    lock=TimerLock(self._locks, function.name, lock_times) if self._locks else None,
                )
            )
        else:
            self._endpoints.append(http.parse_endpoint(function, trigger, prefix))

    async def _run_message(self, function: Function, text: str) -> None:
        await self._run(function, Datum(text, "string"), message=text)

    async def _run_timer(self, function: Function, text: str) -> None:
        await self._run(function, Datum(text, "json"))

    async def _run_http(self, function: Function, request: Datum) -> InvocationResult:
        return await self._run(function, request)

    async def _run(self, function: Function, datum: Datum, message: str | None = None) -> InvocationResult:
        """Invoke in a separate task, which continues when the trigger that waits for it is cancelled."""
        loop = asyncio.get_running_loop()
        # Eager: most invocations of a burst end without waiting, so they need no iteration of the event loop.
        task = asyncio.Task(self._invoke(function, datum, message), loop=loop, name=function.name, eager_start=True)
        if task.done():
            return task.result()
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _invoke(self, function: Function, datum: Datum, message: str | None) -> InvocationResult:
        trigger = function.trigger
        started_s = time.perf_counter()
        result = await self._worker.invoke(function, trigger["name"], datum)
        duration_ms = (time.perf_counter() - started_s) * 1000
        if not result.ok:
            log.error("Executed 'Functions.%s' (Failed, %.0f ms): %s", function.name, duration_ms, result.error)
        if self._on_invocation is not None:
            invocation = Invocation(function.name, trigger["type"], result.ok, result.error, duration_ms, message)
            # The event loop calls it, so that an exception in it does not end the function's lane.
            asyncio.get_running_loop().call_soon(self._on_invocation, invocation)
        return result

    async def _finish_running(self) -> None:
        if not self._running:
            return
        timeout_s = max(0.0, min(STOP_S, self._stop_by_s - time.monotonic()))
        _, unfinished = await asyncio.wait(self._running, timeout=timeout_s)
        for task in unfinished:
            log.error("The '%s' function did not end within %g s", task.get_name(), STOP_S)
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)


def _unset(names: Iterable[str]) -> None:
    for name in names:
        os.environ.pop(name, None)


def _read_host_json(app_dir: Path) -> tuple[str, LockTimes]:
    """The route prefix, and how long the locks of timers hold. Raises HostStartError if host.json is malformed."""
    path = app_dir / "host.json"
    if not path.is_file():
        return http.DEFAULT_PREFIX, LockTimes()
    try:
        document = msgspec.json.decode(path.read_bytes(), type=_HostJson)
        return document.extensions.http.prefix, parse_times(document.singleton.period, document.singleton.recovery)
    except (msgspec.MsgspecError, ValueError) as error:
        raise HostStartError(f"{path}: {error}") from None
