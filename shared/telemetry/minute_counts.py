"""What this process has to add to the statistics in Redis: counted here, and carried along by scripts that run anyway.

Once a second at the most, the next pipeline of scripts takes what was counted with it (Context.run_many), so the
statistics cost no round trip; the timer of the retries writes what none took. shared/operations/activity.py reads them.

They are for the eye, not for accounts: a count is written up to a few seconds late, to the minute in which it is
written (what was counted while Redis was away, to that of its return); a process that dies loses those seconds; when
the answer to a pipeline is lost, its counts may be written twice; what Redis refuses (it is full) is lost.

Fields of a minute's hash:  `n REACTOR SOURCE OUTCOME` how many reactions ended so,
`d REACTOR BUCKET` how many reactions to events took so long, `l REACTOR BUCKET` how many effects came so long after
their write; BUCKET is an index into BUCKETS_MS. SOURCE is event, sweep, retry, schedule or replay.
"""

import time
from bisect import bisect_left
from collections import defaultdict
from typing import Final

from shared.reactor import Source

FLUSH_S = 1.0
BUCKETS_MS: Final = tuple(0.1 * 10 ** (step / 8) for step in range(57))
"""Upper bounds, eight to a factor of ten, 0.1 ms to 1,000 s: a percentile is exact to 15 %. The last one is open."""
_LAST = len(BUCKETS_MS) - 1

_counts: defaultdict[tuple[str | int, ...], int] = defaultdict(int)
"""By the words of a field: they are put together when they are taken, once a second and not for each."""
_taken_s = 0.0


def outcome(reactor: str, source: Source, result: str, duration_ms: float | None = None, n: int = 1) -> None:
    """Count `n` outcomes of a reactor, and the duration of reactions to events."""
    _counts["n", reactor, source.value, result] += n
    if duration_ms is not None and source is Source.EVENT:
        _counts["d", reactor, bucket(duration_ms)] += n


def lag(reactor: str, lag_ms: float) -> None:
    """Count one effect that came `lag_ms` after its write."""
    _counts["l", reactor, bucket(lag_ms)] += 1


def bucket(value_ms: float) -> int:
    """The index of the first bound that is not below `value_ms`."""
    return bisect_left(BUCKETS_MS, value_ms, 0, _LAST)


def take(*, now: bool = False) -> dict[str, int]:
    """What is due to be written, by field; the caller writes it or gives it back. Nothing within FLUSH_S of the last
    time, unless `now`."""
    global _taken_s  # noqa: PLW0603 (one process, one tally)
    if not _counts or not (now or time.monotonic() - _taken_s >= FLUSH_S):
        return {}
    _taken_s = time.monotonic()
    taken: defaultdict[str, int] = defaultdict(int)
    for words, count in _counts.items():
        taken[" ".join(map(str, words))] += count
    _counts.clear()
    return taken


def give_back(counts: dict[str, int]) -> None:
    """It was not written: the next one to `take` has it too."""
    for field, count in counts.items():
        _counts[field,] += count
