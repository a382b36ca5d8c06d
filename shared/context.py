"""What a reactor works with: the settings, the Redis client, the scripts. One per worker process."""

import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from shared import settings as settings_module
from shared.baseline import NO_FOLD, Baseline, Fold
from shared.connection import open_client, parse_connection_string
from shared.settings import Settings

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.commands.core import AsyncScript

_LUA = Path(__file__).parent / "lua"


@dataclass
class BaselineCopy:
    """This worker's copy of the baseline. Scores may use one that is a little old; the model itself is in Redis."""

    value: Baseline = field(default_factory=Baseline)
    read_s: float | None = None
    _fold: Fold = NO_FOLD

    def fresh(self, max_age_s: float) -> bool:
        return self.read_s is not None and time.monotonic() - self.read_s < max_age_s

    def replace(self, value: Baseline) -> None:
        self.value, self.read_s, self._fold = value, time.monotonic(), value.fold

    def take_fold(self) -> Fold:
        """The fold that the copy calls for, for one commit to carry."""
        fold, self._fold = self._fold, NO_FOLD
        return fold


@dataclass(frozen=True)
class Context:
    settings: Settings
    redis: "Redis"
    baseline: BaselineCopy = field(default_factory=BaselineCopy)

    def script(self, name: str) -> "AsyncScript":
        """The script of lua/NAME.lua: `await script(keys=[...], args=[...])`. A flushed script cache reloads it."""
        return self.redis.register_script(_source(name))


@cache
def _source(name: str) -> str:
    return (_LUA / f"{name}.lua").read_text(encoding="utf-8")


def open_context(settings: Settings) -> Context:
    """A context with a client of its own; the caller closes `context.redis`."""
    return Context(settings, open_client(parse_connection_string(settings.redis)))


@cache
def current() -> Context:
    """The context of this process, opened on first use: a cold start pays for the Redis client with its first event."""
    return open_context(settings_module.current())
