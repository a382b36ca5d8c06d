"""The live feed: the latest effects of all instances, which shared/telemetry/effects.py collects."""

import re

import msgspec

from shared import namespaces
from shared.app import App
from shared.clock import iso_utc
from shared.privacy.masking import printable
from shared.store.script import Script
from shared.telemetry.effects import FEED_LENGTH, Stored

READ_EFFECTS = Script(__file__, "read_effects")

ID = "^([0-9]{1,19}-[0-9]{1,19})?$"
"""Pattern of an effect's id; an empty one means that all are wanted. Any client can choose the id of what it adds, and
all later ids are larger."""
_MAX_BYTES = 4096
_FEED = namespaces.build(namespaces.EFFECTS)
_PHANTOM, _SESSION = (f"{kind.prefix.decode()}~" for kind in (namespaces.PHANTOM, namespaces.SESSION))


class Effect(msgspec.Struct, frozen=True, rename="camel"):
    """What the app made of one key. `operation` is Redis' name of the event, or the source (sweep, schedule, retry,
    replay); of a group of keys, `duration_ms` is that of the whole group. `key` is masked."""

    id: str
    time: str
    reactor: str
    operation: str
    outcome: str
    key: str
    duration_ms: float
    reason: str | None


async def read(app: App, after: str | None = None) -> list[Effect]:
    """The effects after the one with this id, newest first, at most FEED_LENGTH.

    Raises what the Redis client raises.
    """
    reply = await app.run(READ_EFFECTS, keys=[_FEED], args=[FEED_LENGTH, _MAX_BYTES, after or "-"])
    rows = ((effect_id.decode(), raw) for effect_id, raw in zip(reply[::2], reply[1::2], strict=True))
    shown = (_effect(effect_id, raw) for effect_id, raw in rows if re.fullmatch(ID, effect_id))
    return [effect for effect in shown if effect is not None]


def _effect(effect_id: str, raw: bytes) -> Effect | None:
    """None for what the app did not write: any client can add to a stream."""
    try:
        stored = msgspec.json.decode(raw, type=Stored)
        time = iso_utc(stored.time_ms / 1000)
    except (ValueError, UnicodeDecodeError):  # msgspec's errors are ValueErrors
        return None
    key = stored.key.replace(_PHANTOM, _SESSION, 1) if stored.key.startswith(_PHANTOM) else stored.key
    return Effect(
        id=effect_id,
        time=time,
        reactor=_line(stored.reactor),
        operation=_line(stored.operation),
        outcome=_line(stored.outcome),
        key=_line(key),
        duration_ms=stored.duration_ms,
        reason=None if stored.reason is None else _line(stored.reason),
    )


def _line(text: str) -> str:
    return printable(text.encode(errors="surrogatepass"))
