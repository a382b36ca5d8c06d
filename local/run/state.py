"""The state file of a running `./run`: its Redis and storage, for commands in the same checkout.

`./run` holds a lock on the file while it runs, so a file that a killed process left behind is recognised. The file is
readable by its owner only. It names no password: with a Redis that needs one, the commands need the setting.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec

from local.host.app_settings import EXAMPLE_FILE, load_app_settings, read_values
from shared.store.connection_setting import look_up

FILE = ".run.json"
STORAGE = "AzureWebJobsStorage"
_MAX_BYTES = 16 * 1024


class RunState(msgspec.Struct, frozen=True):
    """A running `./run`: the setting Redis, and the connection string of the Azurite that it started. Either is "" where
    commands have to be given the setting: a Redis with a password, a storage account."""

    redis: str
    storage: str


@contextmanager
def published(root: Path, state: RunState) -> Iterator[None]:
    """Publish the state within the context. A later `./run` in the same checkout takes its place."""
    cleaning = ExitStack()
    with suppress(OSError), ExitStack() as stack:  # without the file, such as in a folder of others, ./run works too
        descriptor, name = tempfile.mkstemp(prefix=FILE, dir=root)  # mode 0600
        stack.callback(os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, msgspec.json.encode(state))
        os.rename(name, root / FILE)
        stack.callback(_remove, root / FILE, descriptor)
        cleaning = stack.pop_all()
    try:
        yield
    finally:
        cleaning.close()


def _remove(path: Path, descriptor: int) -> None:
    """Remove the file unless a later `./run` has replaced it."""
    with suppress(OSError):
        if os.stat(path).st_ino == os.fstat(descriptor).st_ino:
            os.unlink(path)


def running(root: Path) -> RunState | None:
    """The state of the `./run` of this checkout that started last; None if none runs."""
    try:
        with (root / FILE).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return msgspec.json.decode(file.read(_MAX_BYTES), type=RunState)
    except (OSError, msgspec.MsgspecError):
        pass
    return None  # no file, or one that a killed process left behind


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
    if look_up(given, "Redis") not in ("", state.redis):
        return {}
    if not state.storage:
        return {"Redis": state.redis}
    if any(name.startswith(STORAGE) and value != state.storage for name, value in given.items()):
        return {}
    return {"Redis": state.redis, STORAGE: state.storage}
