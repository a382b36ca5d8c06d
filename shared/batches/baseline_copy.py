"""This worker's copy of the baseline. The model itself is in Redis; scores may use a slightly outdated copy."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from shared import telemetry
from shared.app import App
from shared.batches.baseline import MAX_METRICS, NO_FOLD, Baseline, Fold

_WARNINGS = {
    "model_dropped": "fields of the baseline's model were dropped: another application wrote them",
    "model_full": f"the baseline has no room for more than {MAX_METRICS} metrics: new ones are scored without it",
}
EMPTY_MAX_AGE_S = 0.1
"""Maximum age of an empty copy: the first batches create a baseline within moments."""


@dataclass
class BaselineCopy:
    """`read_s` is when it was read (time.monotonic), None before the first read."""

    value: Baseline = field(default_factory=Baseline)
    read_s: float | None = None
    being_read: bool = False
    """Whether a call in progress also reads the model."""
    added: set[str] = field(default_factory=set)
    """Metrics that this worker added to the model since the copy was read."""
    _fold: Fold = NO_FOLD
    _renewing: asyncio.Task[Baseline] | None = None

    def fresh(self, max_age_s: float) -> bool:
        """Whether the copy is younger than `max_age_s`; an empty one has to be younger than EMPTY_MAX_AGE_S too."""
        age_limit_s = max_age_s if self.value.sketches else min(max_age_s, EMPTY_MAX_AGE_S)
        return self.read_s is not None and time.monotonic() - self.read_s < age_limit_s

    def replace(self, value: Baseline) -> None:
        self.value, self.read_s, self._fold = value, time.monotonic(), value.fold
        self.added.clear()
        self.count(dropped=value.dropped, left_out=value.left_out)

    def admit(self, metrics: Iterable[str]) -> set[str]:
        """The metrics whose values may be added to the model: those in it, and new ones while there is room."""
        known = self.value.sketches
        admitted = set()
        for metric in metrics:
            if metric in known or metric in self.added:
                admitted.add(metric)
            elif len(known) + len(self.added) < MAX_METRICS:
                self.added.add(metric)
                admitted.add(metric)
        return admitted

    def count(self, *, dropped: int = 0, left_out: int = 0) -> None:
        """Count fields of the model that were dropped, and metrics, or deltas, for which it had no room."""
        for event, number in (("model_dropped", dropped), ("model_full", left_out)):
            if number:
                if not telemetry.counts["batches", event]:
                    telemetry.logger.warning(_WARNINGS[event])
                telemetry.count("batches", event, number)

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
