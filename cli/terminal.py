"""Shared by all commands: the app's settings and Redis, exit codes, output for people and for scripts.

Keys, values and reasons that came from clients are shown on one line, without control characters and with secrets
masked: see `shown`. Results go to stdout, progress and messages to stderr.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import fields, is_dataclass
from enum import IntEnum
from typing import Annotated, Any, NoReturn

import msgspec
import typer
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from rich.console import Console

from local.host.app_settings import AppSettingsError, apply, load_app_settings
from local.repo.bootstrap import ROOT
from local.run.state import STORAGE, running, settings_of_running
from shared import settings
from shared.app import App, open_app
from shared.errors import KeyspaceError
from shared.privacy.masking import mask_key
from shared.settings import Settings
from shared.words import camel

_PIPED_WIDTH = 10_000


class Exit(IntEnum):
    """Exit codes of every command."""

    OK = 0
    ATTENTION = 1
    """Success, and something needs attention: a finding, a conflict, a missing key."""
    FAILED = 2
    """Failed: invalid arguments or settings, Redis or storage away."""
    INTERRUPTED = 130


Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]


class Refused(Exception):
    """A command that refuses to run; the text gives the reason and what to do instead."""


def open_console(*, stderr: bool = False) -> Console:
    """A console as wide as its terminal; without a limit in a pipe, so that grep sees whole lines."""
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _PIPED_WIDTH
    return console


def load_settings() -> Settings:
    """The app's settings: environment variables, else local.settings.json, else its example. Where these name no Redis,
    that of the `./run` in this checkout, with its storage; a line on stderr says so.

    Raises AppSettingsError or ConfigurationError.
    """
    of_run = settings_of_running(ROOT, os.environ)
    if apply(of_run):
        and_storage = ", and its storage" if STORAGE in of_run else ""
        complain(f"using the Redis of the running ./run, {of_run['Redis']}{and_storage}")
    apply(load_app_settings(ROOT))
    return settings.current()


@asynccontextmanager
async def opened() -> AsyncIterator[App]:
    """The app's settings and a Redis client of the command's own."""
    app = open_app(load_settings())
    try:
        yield app
    finally:
        await app.redis.aclose()


def run(work: Callable[[App], Awaitable[Exit]]) -> NoReturn:
    """Run a command's work and exit with its code.

    Ctrl-C cancels it: the work catches CancelledError, says how to continue and raises it again. A second Ctrl-C ends
    the process.
    """
    sys.exit(asyncio.run(_guarded(work)))


async def _guarded(work: Callable[[App], Awaitable[Exit]]) -> int:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(_with_app(work))
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _interrupt, task, number)
    try:
        return await task
    except asyncio.CancelledError:
        return Exit.INTERRUPTED
    except BrokenPipeError:  # the reader of the pipe has ended, such as `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except (AppSettingsError, KeyspaceError, Refused) as error:
        complain(str(error))
    except RedisError as error:
        complain(_trouble(error))
    except OSError as error:  # such as a full disk behind stdout; redis-py converts those of connections
        complain(f"{error.strerror or type(error).__name__}; if the disk is not full, see python3 manage.py doctor")
    return Exit.FAILED


def _trouble(error: RedisError) -> str:
    """What an error of Redis means, with the address. Goes by the error's class: its text may quote arguments."""
    from shared.operations.doctor.products import is_local
    from shared.operations.doctor.reach import NOBODY_LISTENS, explain

    options = settings.current().redis_options
    address = f"Redis at {options.host}:{options.port}"
    if isinstance(error, RedisConnectionError | RedisTimeoutError):
        meaning, fix = explain(error, options)
        nobody = meaning == NOBODY_LISTENS and is_local(options.host) and not running(ROOT)
        return f"{address}: {meaning}. {fix}{' No ./run is running in this folder.' if nobody else ''}"
    return f"{address}: {type(error).__name__}; see python3 manage.py doctor"


async def _with_app(work: Callable[[App], Awaitable[Exit]]) -> Exit:
    async with opened() as app:
        return await work(app)


def _interrupt(task: "asyncio.Task[Exit]", number: int) -> None:
    task.cancel()
    asyncio.get_running_loop().remove_signal_handler(number)


def complain(text: str) -> None:
    """One line to stderr."""
    print(text, file=sys.stderr, flush=True)


def show_json(value: Any) -> None:
    """Print `value` as one JSON document: see `json_value`. Keys must already be masked by `shown`."""
    print(msgspec.json.format(msgspec.json.encode(json_value(value)), indent=2).decode())


def json_value(value: Any) -> Any:
    """`value`, anything that msgspec encodes, with the fields of dataclasses under their names in JSON."""
    match value:
        case dict():
            return {name: json_value(item) for name, item in value.items()}
        case list() | tuple():
            return [json_value(item) for item in value]
        case _ if is_dataclass(value):
            return {camel(field.name): json_value(getattr(value, field.name)) for field in fields(value)}
    return value


def shown(app: App, key: bytes) -> str:
    """The key, masked and on one line."""
    return mask_key(key, app.settings.audit_key, hide_users=app.settings.audit_pseudonymise_users)
