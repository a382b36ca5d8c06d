"""Drives azure-functions-runtime, the library of the Azure worker process, without the host's gRPC channel.

The library keeps one registry of functions per process, and a FunctionApp rejects function names that it has already
indexed. So a process runs one app at a time, and the app's modules are removed from sys.modules when its worker stops:
several apps, or the same app several times, can run in one process one after the other, each freshly imported.
"""

import asyncio
import importlib
import json
import sys
import threading
import uuid
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import azure_functions_runtime as runtime
from azure_functions_runtime.bindings.datumdef import Datum
from azure_functions_runtime.native_invocation import invocation_request_native

from local.host.bindings import Function

__all__ = ["AppLoadError", "Datum", "InvocationResult", "Worker", "in_invocation"]

_NOT_DEPLOYED = {"local", "tests"}
"""Folders beside an app that are not part of it: this host and the tests."""

_in_use = threading.Lock()

_invocation: ContextVar[str] = ContextVar("local_host_invocation", default="")
_running: set[str] = set()


def in_invocation() -> bool:
    """Whether the real host would keep a log line that is written now: the present task, or the one that created it, is
    that of an invocation, and the invocation has not ended."""
    return _invocation.get() in _running


class AppLoadError(RuntimeError):
    """The app cannot be indexed. The text is the worker's; the stack trace is attached as a note."""


@dataclass(frozen=True)
class InvocationResult:
    """The result of an invocation."""

    ok: bool
    value: Any
    """The Datum that the function returned; None if it returned nothing or failed."""
    error: str | None
    """The exception as the worker writes it; None if the function returned."""


class _Enum(SimpleNamespace):
    """A protobuf message class with enum values: indexing reads the values and constructs messages."""

    def __call__(self, **fields: object) -> SimpleNamespace:
        return SimpleNamespace(**fields)


# The library compares these numbers with BindingDirection and DataType of azure.functions.
_PROTOS = SimpleNamespace(
    BindingInfo=_Enum(**{"in": 0}, out=1, inout=2, undefined=0, string=1, binary=2, stream=3),
    StatusResult=_Enum(Failure=0, Success=1),
    FunctionLoadResponse=SimpleNamespace,
    FunctionMetadataResponse=SimpleNamespace,
    RpcException=SimpleNamespace,
    RpcFunctionMetadata=SimpleNamespace,
    RpcRetryOptions=SimpleNamespace,
    WorkerInitResponse=SimpleNamespace,
    WorkerMetadata=SimpleNamespace,
)


class Worker:
    """Indexes and invokes the functions of an app folder as the Azure worker does."""

    def __init__(self, app_dir: Path) -> None:
        self._app_dir = app_dir.resolve()
        self._modules_before: dict[str, ModuleType] = {}
        self._id_prefix = str(uuid.uuid4())[:24]
        self._invocations = 0

    async def start(self) -> tuple[Function, ...]:
        """Import and index function_app.py. Raises AppLoadError with the worker's exception text."""
        if not _in_use.acquire(blocking=False):
            raise AppLoadError("this process already runs an app, and the worker library has one registry")
        self._modules_before = _take_modules(self._app_dir)
        sys.path.insert(0, str(self._app_dir))
        importlib.invalidate_caches()
        try:
            runtime.start_threadpool_executor()
            return await self._index()
        except BaseException:
            self.stop()
            raise

    async def _index(self) -> tuple[Function, ...]:
        init = SimpleNamespace(capabilities={}, function_app_directory=str(self._app_dir))
        response = await runtime.worker_init_request(
            SimpleNamespace(
                request=SimpleNamespace(worker_init_request=init),
                properties={"host": "127.0.0.1", "protos": _PROTOS},
            )
        )
        if response.result.status != _PROTOS.StatusResult.Success:
            error = AppLoadError(response.result.exception.message)
            error.add_note(response.result.exception.stack_trace)
            raise error
        metadata = (await runtime.functions_metadata_request(None)).function_metadata_results
        if not metadata:
            raise AppLoadError(f"{self._app_dir} has no function_app.py that defines a function")
        for function in metadata:
            load = SimpleNamespace(function_id=function.function_id)
            await runtime.function_load_request(SimpleNamespace(request=SimpleNamespace(function_load_request=load)))
        return tuple(
            Function(function.name, function.function_id, tuple(json.loads(text) for text in function.raw_bindings))
            for function in metadata
        )

    async def invoke(self, function: Function, parameter: str, datum: Datum) -> InvocationResult:
        """Call a function with its trigger's datum as the argument `parameter`. Never raises the function's exception.

        The caller runs each invocation in a separate asyncio task, as the real worker does: the library keeps the
        invocation id, which log records carry, per task.
        """
        self._invocations += 1
        invocation_id = f"{self._id_prefix}{self._invocations:012x}"
        token = _invocation.set(invocation_id)
        _running.add(invocation_id)
        try:
            ok, value, _, error, _ = await invocation_request_native(
                invocation_id, function.function_id, [(parameter, datum)], {}
            )
        finally:
            _running.discard(invocation_id)
            _invocation.reset(token)
        return InvocationResult(ok, value, error)

    async def end_tasks(self) -> None:
        """Cancel the tasks that the app left running: the real worker is killed with its host and finishes nothing."""
        tasks = [task for task in asyncio.all_tasks() if _is_of_app(task, self._app_dir)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def stop(self) -> None:
        """Remove the app from the process. Threads of its pool end at once, or when their function returns."""
        executor = runtime.get_threadpool_executor()
        if executor is not None:
            executor.shutdown(wait=False, cancel_futures=True)
        sys.path.remove(str(self._app_dir))
        _take_modules(self._app_dir)
        sys.modules.update(self._modules_before)
        _in_use.release()


def _is_of_app(task: asyncio.Task[Any], app_dir: Path) -> bool:
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and _is_deployed(code.co_filename, app_dir)


def _take_modules(app_dir: Path) -> dict[str, ModuleType]:
    """Remove the app's modules from sys.modules and return them by name."""
    loaded = sys.modules.copy()  # a thread of the app may be importing
    names = [name for name, module in loaded.items() if _belongs(name, module, app_dir)]
    return {name: sys.modules.pop(name) for name in names}


def _belongs(name: str, module: ModuleType, app_dir: Path) -> bool:
    """Whether the module is part of the app: loaded from its folder, but not from a package installed there."""
    origin = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    return name != "__main__" and isinstance(origin, str) and _is_deployed(origin, app_dir)


def _is_deployed(file: str, app_dir: Path) -> bool:
    if not Path(file).is_relative_to(app_dir):
        return False
    parts = Path(file).relative_to(app_dir).parts
    return parts[0] not in _NOT_DEPLOYED and not any(part.startswith(".") or part == "site-packages" for part in parts)
