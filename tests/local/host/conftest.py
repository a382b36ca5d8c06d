"""Small function apps in temporary folders, on this test process's Redis."""

import socket
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

PREAMBLE = """\
import asyncio
import azure.functions as func

app = func.FunctionApp()


def on(channel, pattern=True, **binding):
    return app.generic_trigger(
        arg_name="message", type="redisPubSubTrigger", connection="Redis", channel=channel, pattern=pattern, **binding
    )

"""

type MakeApp = Callable[..., Path]


@pytest.fixture
def make_app(tmp_path: Path, redis_port: int, monkeypatch: pytest.MonkeyPatch) -> MakeApp:
    """Writes an app from the source of its functions and other files by name. Its `Redis` is this test process's."""
    monkeypatch.setenv("Redis", f"127.0.0.1:{redis_port},abortConnect=False")

    def make(source: str, name: str = "app", files: dict[str, str] | None = None) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "function_app.py").write_text(PREAMBLE + dedent(source))
        for file, text in (files or {}).items():
            (folder / file).write_text(text)
        return folder

    return make


@pytest.fixture
def loaded() -> Callable[[], Any]:
    """Returns the running app's function_app module, whose variables record what the functions received."""
    return lambda: sys.modules["function_app"]


@pytest.fixture
def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
