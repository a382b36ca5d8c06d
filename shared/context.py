"""What a reactor works with: the settings, the Redis client, the scripts. One per worker process."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import namespaces, tally, tracing
from shared import settings as settings_module
from shared.baseline import NO_FOLD, Baseline, Fold
from shared.connection import open_client, parse_connection_string
from shared.keyring import Keyring, keyrings
from shared.settings import Settings

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.client import Pipeline
    from redis.commands.core import AsyncScript

EMPTY_MAX_AGE_S = 0.1
"""Age of an empty copy of the baseline from which on it is read anew."""
_LUA = Path(__file__).parent / "lua"


@dataclass
class BaselineCopy:
    """This worker's copy of the baseline. Scores may use one that is a little old; the model itself is in Redis."""

    value: Baseline = field(default_factory=Baseline)
    read_s: float | None = None
    being_read: bool = False
    """Whether a call that is under way reads it along."""
    _fold: Fold = NO_FOLD
    _renewing: "asyncio.Task[Baseline] | None" = None

    def fresh(self, max_age_s: float) -> bool:
        """Whether it is young enough. An empty one soon is not: the first batches make a baseline within moments."""
        age_limit_s = max_age_s if self.value.sketches else min(max_age_s, EMPTY_MAX_AGE_S)
        return self.read_s is not None and time.monotonic() - self.read_s < age_limit_s

    def replace(self, value: Baseline) -> None:
        self.value, self.read_s, self._fold = value, time.monotonic(), value.fold

    def renew(self, decoding: "asyncio.Task[Baseline]") -> None:
        """Take over what comes of `decoding`. Until then this copy counts as fresh; where it fails, it is read anew
        after its age."""
        self.read_s = time.monotonic()
        self._renewing = decoding
        decoding.add_done_callback(self._renewed)

    def _renewed(self, decoding: "asyncio.Task[Baseline]") -> None:
        if not decoding.cancelled() and decoding.exception() is None:
            self.replace(decoding.result())

    def take_fold(self) -> Fold:
        """The fold that the copy calls for, for one commit to carry."""
        fold, self._fold = self._fold, NO_FOLD
        return fold


type Script = Callable[..., Awaitable[Any]]

type Call = tuple[Sequence[bytes], Sequence[bytes | str | int | float]]
"""KEYS and ARGV of one call of a script."""


@dataclass(frozen=True)
class Context:
    settings: Settings
    redis: "Redis"
    baseline: BaselineCopy = field(default_factory=BaselineCopy)
    claiming: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while many batches are claimed: of calls that come together, Redis answers none before all are done."""
    computing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a group of batches is computed in the event loop."""
    drawing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a group of charts is drawn there."""
    owner: str = field(default_factory=lambda: secrets.token_hex(8))
    """Who holds a claim: unlike any other process, and unlike this one after a restart."""

    @property
    def keyrings(self) -> Sequence[Keyring]:
        """The keyring of AUDIT_KEY, and behind it that of AUDIT_KEY_PREVIOUS where there is one."""
        return keyrings(self.settings.audit_key, self.settings.audit_key_previous)

    def script(self, name: str) -> Script:
        """The script of lua/NAME.lua: `await script(keys=[...], args=[...])`. A flushed script cache reloads it."""
        registered = self.redis.register_script(_source(name))
        return registered if not tracing.enabled() else _traced(name, registered)

    async def run_many(self, name: str, calls: Sequence[Call]) -> list[Any]:
        """A reply or an exception per call of a script, in order: one round trip, three when Redis lacks the script.

        Raises only when the trip itself fails; then it is unknown which calls were made. The pipeline must not raise
        the errors of calls: redis-py would quote their keys, which may hold secrets.
        """
        from redis.exceptions import NoScriptError

        script = self.redis.register_script(_source(name))
        with tracing.span(name, calls=len(calls)):
            replies = await self._pipeline(script, calls)
        missing = [index for index, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if missing:
            await self.redis.script_load(script.script)
            again = await self._pipeline(script, [calls[index] for index in missing])
            for index, reply in zip(missing, again, strict=True):
                replies[index] = reply
        return replies

    async def _pipeline(self, script: "AsyncScript", calls: Sequence[Call]) -> list[Any]:
        pipeline = self.redis.pipeline(transaction=False)
        for keys, args in calls:
            pipeline.evalsha(script.sha, len(keys), *keys, *args)
        counts = tally.take()
        if counts:
            _add_counts(pipeline, counts)
        try:
            replies: list[Any] = await pipeline.execute(raise_on_error=False)
        except BaseException:
            tally.give_back(counts)
            raise
        return replies[: len(calls)]

    async def write_tally(self) -> None:
        """Write what was counted and no script carried along. Raises what the Redis client raises."""
        if counts := tally.take(now=True):
            pipeline = self.redis.pipeline(transaction=False)
            _add_counts(pipeline, counts)
            try:
                await pipeline.execute(raise_on_error=False)
            except BaseException:
                tally.give_back(counts)
                raise


def _add_counts(pipeline: "Pipeline", counts: dict[str, int]) -> None:
    """By this machine's clock, which is good enough for a minute."""
    key = namespaces.build(namespaces.STATISTICS, str(int(time.time()) // 60))
    for name, count in counts.items():
        pipeline.hincrby(key, name, count)
    pipeline.expire(key, namespaces.STATISTICS_TTL_S)


def _traced(name: str, script: Script) -> Script:
    async def run(**arguments: Any) -> Any:
        with tracing.span(name, calls=1):
            return await script(**arguments)

    return run


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
