"""The living instances and the state of their triggers, as operators see them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

from shared.app import App
from shared.intake import heartbeat
from shared.intake.heartbeat import Member
from shared.intake.intake import SHARING, State
from shared.intake.sharing import division
from shared.privacy.masking import printable

MAX_NAME_CHARS = 80
NAMED = 5
"""Instances that findings name one by one; of a hundred that an outage made deaf, the rest are counted."""
UNABLE = frozenset({State.DEAF, State.EAR})
"""States in which the platform's trigger is deaf."""
MEANINGS: Mapping[str, str] = {
    State.STARTING: "has not heard a heartbeat of each function yet",
    State.TRIGGER: "events come through the triggers",
    State.BEHIND: "the triggers are far behind: it listens itself",
    State.EAR: "the triggers are deaf: it listens itself",
    State.DEAF: "the triggers are deaf, and it does not hear by itself",
}


class Instance(msgspec.Struct, frozen=True, rename="camel"):
    """A living instance: the process of a host or, where it has several, one of them (HOST/PROCESS). `share` is the
    part of the keys that is the host's (sessions are not shared; each version of the app that divides them in another
    way reacts to all), `ageS` the time since it last reported."""

    instance: str
    state: str
    share: float
    age_s: float


def shown(members: Sequence[Member]) -> list[Instance]:
    """The instances by name. Names are printable: any client can write to the key that holds them."""
    sharing = defaultdict(set)
    for member in members:
        if member.state in SHARING:
            sharing[member.division].add(member.host)
    shares = {division: _shares(frozenset(hosts)) for division, hosts in sharing.items()}
    return [
        Instance(
            printable(member.identity.encode(errors="surrogatepass"), MAX_NAME_CHARS),
            printable(member.state.encode(), MAX_NAME_CHARS),
            round(shares.get(member.division, {}).get(member.host, 0.0), 3),
            member.age_ms / 1000,
        )
        for member in sorted(members)
    ]


async def read(app: App) -> list[Instance]:
    """Raises what the Redis client raises."""
    return shown(await heartbeat.members(app))


@lru_cache(maxsize=4)
def _shares(members: frozenset[str]) -> dict[str, float]:
    return division(members)
