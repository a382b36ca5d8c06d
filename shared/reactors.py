"""The three reactors, for whoever serves all of them: sweeps, retries, replays."""

from collections.abc import Sequence
from typing import Protocol

from shared import batches, charts, sessions
from shared.replay import Replayed
from shared.sweep import SweptReactor


class Reactor(SweptReactor, Replayed, Protocol):
    """What each of them offers."""


REACTORS: Sequence[Reactor] = (batches, charts, sessions)
