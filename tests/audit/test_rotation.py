"""AUDIT_KEY is changed while sessions begin and end, on two instances that restart one after the other."""

import asyncio
import random
from collections import Counter

import msgspec

from shared.app import App, open_app
from shared.audit import state
from shared.audit.export import export
from shared.audit.verify import verify
from shared.reactor import Cause
from shared.registry import SESSIONS
from tests.audit.conftest import Box, ids
from tests.support.looks import lives, nextauth, records

OLD, NEW = "an audit key of the tests", "the next audit key of the tests"
STEPS = (
    [(OLD, ""), (OLD, "")],
    [(OLD, NEW), (OLD, "")],
    [(OLD, NEW), (OLD, NEW)],
    [(NEW, OLD), (OLD, NEW)],
    [(NEW, OLD), (NEW, OLD)],
)
"""AUDIT_KEY and AUDIT_KEY_PREVIOUS of the two instances, as docs/audit.md has them changed."""
SESSIONS_PER_STEP = 8


class Fleet:
    """Two instances: each hears each event, after a time of its own."""

    def __init__(self, app: App, box: Box) -> None:
        self.app, self.box, self.rng = app, box, random.Random(7)
        self.instances: list[App] = []
        self.opened: list[App] = []
        self.living: list[asyncio.Task[None]] = []
        self.restarted = asyncio.Event()

    def restart(self, keys: list[tuple[str, str]]) -> None:
        changes = [{"audit_key": key, "audit_key_previous": previous} for key, previous in keys]
        settings = [msgspec.structs.replace(self.app.settings, session_lost_after_s=0, **change) for change in changes]
        self.instances = [open_app(each) for each in settings]
        self.opened += self.instances
        self.restarted.set()
        self.restarted = asyncio.Event()

    async def hear(self, key: bytes, cause: Cause) -> None:
        await asyncio.gather(*(self._react(instance, key, cause) for instance in self.instances))

    async def _react(self, instance: App, key: bytes, cause: Cause) -> None:
        await asyncio.sleep(self.rng.uniform(0, 0.01))
        await SESSIONS.react(instance, [key], cause)

    async def live(self, key: bytes) -> None:
        """A session from its beginning to its logout, over at least one restart."""
        await self.app.redis.set(key, nextauth())
        await self.hear(key, Cause.WRITTEN)
        restarted = self.restarted
        await restarted.wait()
        await asyncio.sleep(self.rng.uniform(0, 0.1))
        await self.app.redis.set(key, nextauth(lastSeen=1))
        await self.hear(key, Cause.WRITTEN)
        await self.app.redis.delete(key)
        await self.hear(key, Cause.DELETED)

    async def step(self, keys: list[tuple[str, str]], sessions: list[bytes]) -> None:
        """Restart with `keys` while former sessions go on, begin `sessions`, and export twice at once."""
        self.restart(keys)
        for key in sessions:
            self.living.append(asyncio.create_task(self.live(key)))
        await asyncio.gather(*(export(instance, self.box.store) for instance in self.instances))
        await asyncio.sleep(0.1)


async def test_a_change_of_the_key_under_load_loses_and_repeats_no_record_and_the_log_verifies(
    app: App, box: Box
) -> None:
    fleet = Fleet(app, box)
    for step, keys in enumerate(STEPS):
        numbers = range(step * SESSIONS_PER_STEP, (step + 1) * SESSIONS_PER_STEP)
        await fleet.step(keys, [b"nextauth:session:token-%d" % number for number in numbers])
    fleet.restart(STEPS[-1])
    await asyncio.gather(*fleet.living)
    last = fleet.instances[0]
    assert (await export(last, box.store)).finished
    assert Counter(map(tuple, await lives(app))) == {("created", "ended"): len(fleet.living)}
    lines = await box.all()
    assert ids(lines) == [record["id"] for record in await records(app)]
    assert {line["mac"].partition(".")[0] for line in lines} == {ring.key_id for ring in last.keyrings}
    assert (await verify(box.store, last.keyrings, head=(await state.state(app)).head)).fault is None
    for instance in fleet.opened:
        await instance.redis.aclose()
