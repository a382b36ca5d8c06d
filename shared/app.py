"""The app object that every reactor uses: settings, Redis client, script calls. One per worker process."""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import NoScriptError

from shared import namespaces
from shared import settings as settings_module
from shared.privacy.keyring import Keyring, keyrings
from shared.privacy.masking import mask_key
from shared.settings import Settings
from shared.store.connection import open_client
from shared.store.script import Script
from shared.telemetry import effects, minute_counts, tracing

ADD_COUNTS = Script(minute_counts.__file__, "add_counts")
ADD_TOTALS = Script(minute_counts.__file__, "add_totals")
_TOTALS = namespaces.build(namespaces.TOTALS)
_STATISTICS_TTLS_S = (
    namespaces.STATISTICS_TTL_S,
    namespaces.STATISTICS_10_MIN_TTL_S,
    namespaces.STATISTICS_HOUR_TTL_S,
    namespaces.EFFECTS_TTL_S,
)

type Call = tuple[Sequence[bytes], Sequence[bytes | str | int | float]]
"""KEYS and ARGV of one call of a script."""


@dataclass(frozen=True, eq=False)
class App:
    settings: Settings
    redis: Redis
    owner: str = field(default_factory=lambda: secrets.token_hex(8))
    """Identifies this process in claims and leases; a restarted process has a new owner."""
    _states: dict[Callable[[], Any], Any] = field(default_factory=dict, repr=False)

    def state[S](self, kind: Callable[[], S]) -> S:
        """State that a feature keeps per app, such as a local copy or a lock; `kind()` creates it on first use."""
        if kind not in self._states:
            self._states[kind] = kind()
        state: S = self._states[kind]
        return state

    @property
    def keyrings(self) -> Sequence[Keyring]:
        """The keyring of AUDIT_KEY, followed by that of AUDIT_KEY_PREVIOUS if it is set."""
        return keyrings(self.settings.audit_key, self.settings.audit_key_previous)

    def shown(self, key: bytes) -> str:
        """The key, masked and on one line."""
        return mask_key(key, self.settings.audit_key, hide_users=self.settings.audit_pseudonymise_users)

    async def run(
        self, script: Script, *, keys: Sequence[bytes] = (), args: Sequence[bytes | str | int | float] = ()
    ) -> Any:
        """The reply of one call of a script: one round trip, two if Redis does not have the script yet.

        Raises redis.exceptions.RedisError or OSError.
        """
        registered = self.redis.register_script(script.source)
        with tracing.span(script.name, calls=1):
            return await registered(keys=keys, args=args)

    async def run_many(self, script: Script, calls: Sequence[Call]) -> list[Any]:
        """A reply or an exception per call of a script, in order: one round trip, three if Redis lacks the script.

        Raises only if the round trip itself fails; then it is unknown which calls ran. The pipeline must not raise the
        errors of single calls: redis-py would quote their keys, which may hold secrets.
        """
        with tracing.span(script.name, calls=len(calls)):
            replies = await self._pipeline(script, calls)
        missing = [index for index, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if missing:
            await self.redis.script_load(script.source)
            repeated = await self._pipeline(script, [calls[index] for index in missing])
            for index, reply in zip(missing, repeated, strict=True):
                replies[index] = reply
        return replies

    async def _pipeline(self, script: Script, calls: Sequence[Call]) -> list[Any]:
        pipeline = self.redis.pipeline(transaction=False)
        for keys, args in calls:
            pipeline.evalsha(script.sha, len(keys), *keys, *args)
        counts = minute_counts.take()
        if counts:
            self._add_counts(pipeline, counts)
        try:
            replies: list[Any] = await pipeline.execute(raise_on_error=False)
        except BaseException:
            minute_counts.give_back(counts)
            raise
        return replies[: len(calls)]

    async def write_minute_counts(self) -> None:
        """Write the counts that no script call has written yet. Raises what the Redis client raises."""
        if counts := minute_counts.take(now=True):
            pipeline = self.redis.pipeline(transaction=False)
            self._add_counts(pipeline, counts)
            try:
                await pipeline.execute(raise_on_error=False)
            except BaseException:
                minute_counts.give_back(counts)
                raise

    def _add_counts(self, pipeline: "Pipeline", counts: dict[str, int]) -> None:
        """Add counts to the present minute, ten minutes and hour by this machine's clock, which is accurate enough for
        statistics, and the latest effects to the feed.

        EVAL, once a second: with EVALSHA the counts would be lost whenever Redis does not have the script.
        """
        minute = int(time.time()) // 60
        keys = (
            namespaces.build(namespaces.STATISTICS, str(minute)),
            namespaces.build(namespaces.STATISTICS_10_MIN, str(minute // 10)),
            namespaces.build(namespaces.STATISTICS_HOUR, str(minute // 60)),
            namespaces.build(namespaces.EFFECTS),
        )
        shown = effects.take(self.settings.audit_key, hide_users=self.settings.audit_pseudonymise_users)
        of_minute, totals = minute_counts.split(counts)
        fixed = (*_STATISTICS_TTLS_S, effects.FEED_LENGTH, len(shown))
        pipeline.eval(ADD_COUNTS.source, len(keys), *keys, *fixed, *shown, *_flat(of_minute))
        if totals:
            pipeline.eval(ADD_TOTALS.source, 1, _TOTALS, namespaces.TOTALS_TTL_S, *_flat(totals))


def _flat(counts: dict[str, int]) -> list[str | int]:
    """Field and increment, alternating."""
    return [part for pair in counts.items() for part in pair]


def open_app(settings: Settings) -> App:
    """A new app with its own Redis client; the caller closes `app.redis`."""
    return App(settings, open_client(settings.redis_options))


@cache
def current_app() -> App:
    """The app of this process, opened on first use, so that a cold start does not wait for the Redis client."""
    return open_app(settings_module.current())
