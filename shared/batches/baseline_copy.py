"""This worker's copy of the baseline. The model itself is in Redis; scores may use a slightly outdated copy."""

import asyncio
import time
from dataclasses import dataclass, field

from shared.app import App
from shared.batches.baseline import NO_FOLD, Baseline, Fold

EMPTY_MAX_AGE_S = 0.1
"""Maximum age of an empty copy: the first batches create a baseline within moments."""


@dataclass
class BaselineCopy:
    """`read_s` is when it was read (time.monotonic), None before the first read."""

    value: Baseline = field(default_factory=Baseline)
    read_s: float | None = None
    being_read: bool = False
    """Whether a call in progress also reads the model."""
    _fold: Fold = NO_FOLD
    _renewing: asyncio.Task[Baseline] | None = None

    def fresh(self, max_age_s: float) -> bool:
        """Whether the copy is younger than `max_age_s`; an empty one has to be younger than EMPTY_MAX_AGE_S too."""
        age_limit_s = max_age_s if self.value.sketches else min(max_age_s, EMPTY_MAX_AGE_S)
        return self.read_s is not None and time.monotonic() - self.read_s < age_limit_s

    def replace(self, value: Baseline) -> None:
        self.value, self.read_s, self._fold = value, time.monotonic(), value.fold

    def renew(self, decoding: asyncio.Task[Baseline]) -> None:
        """Replace the copy with the result of `decoding`. Until then it counts as fresh; if decoding fails, the model
        is read anew once the copy is too old."""
        self.read_s = time.monotonic()
        self._renewing = decoding
        decoding.add_done_callback(self._renewed)

    def _renewed(self, decoding: asyncio.Task[Baseline]) -> None:
        if not decoding.cancelled() and decoding.exception() is None:
            self.replace(decoding.result())

    def take_fold(self) -> Fold:
        """The fold that is due, returned once: a single commit carries it."""
        fold, self._fold = self._fold, NO_FOLD
        return fold


def baseline_copy(app: App) -> BaselineCopy:
    """The copy of this app."""
    return app.state(BaselineCopy)
