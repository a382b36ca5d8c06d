"""A file per running `./run`, with its Redis and storage, for commands in the same checkout.

`./run` holds a lock on its file while it runs, so a file that a killed process left behind is recognised. Only its
owner can read it. It holds no password: for a Redis that needs one, commands have to be given the setting.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec

from local.host.app_settings import EXAMPLE_FILE, load_app_settings, read_values
from shared.errors import ConfigurationError
from shared.store.connection_setting import find

FOLDER = ".run"
STORAGE = "AzureWebJobsStorage"
_MAX_BYTES = 16 * 1024


class RunState(msgspec.Struct, frozen=True):
    """A running `./run`: the setting Redis, and the connection string of the Azurite that it started. Either is "" if
    commands have to be given the setting: for a Redis with a password, and a storage account."""

    redis: str
    storage: str


@contextmanager
def published(root: Path, state: RunState) -> Iterator[None]:
    """Publish the state within the context."""
    with ExitStack() as stack:
        with suppress(OSError):  # without the file, such as in a folder of others, ./run works too
            (root / FOLDER).mkdir(exist_ok=True)
            descriptor, name = tempfile.mkstemp(suffix=".json", dir=root / FOLDER)  # mode 0600
            stack.callback(os.close, descriptor)
            stack.callback(Path(name).unlink, missing_ok=True)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.write(descriptor, msgspec.json.encode(state))
        yield


def running(root: Path) -> RunState | None:
    """The state of the `./run` of this checkout that started last; None if none runs."""
    with suppress(OSError):
        files = sorted((root / FOLDER).glob("*.json"), key=lambda path: -path.stat().st_mtime_ns)
        return next(filter(None, map(_read, files)), None)
    return None


def _read(path: Path) -> RunState | None:
    with suppress(OSError, msgspec.MsgspecError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return msgspec.json.decode(file.read(_MAX_BYTES), type=RunState)
        path.unlink()  # a killed process left it behind
    return None


def settings_of_running(root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The settings that a command takes from the `./run` of this checkout; {} if it uses none.

    Used unless the environment or local.settings.json names another Redis or another storage account. A value of the
    example counts as none.
    """
    state = running(root)
    if state is None or not state.redis:
        return {}
    example = read_values(root / EXAMPLE_FILE) if (root / EXAMPLE_FILE).is_file() else {}
    own = {name: value for name, value in load_app_settings(root).items() if value != example.get(name)}
    given = own | {name: value for name, value in environ.items() if value}
    try:
        redis = find(given, "Redis")
    except ConfigurationError:
        return {}  # the settings are read next, which reports it
    if redis is not None and (redis.identity or redis.text != state.redis):
        return {}
    if not state.storage:
        return {"Redis": state.redis}
    if any(name.startswith(STORAGE) and value != state.storage for name, value in given.items()):
        return {}
    return {"Redis": state.redis, STORAGE: state.storage}
