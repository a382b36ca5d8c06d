"""The errors that this app raises, and what the app does about each.

KeyspaceError
+-- ConfigurationError    the app does not start; the message lists every fault
+-- MalformedEvent        a trigger message without a key event: counted, logged, dropped
+-- Rejected              input that no retry can read: a dead letter at once, outputs unchanged
+-- NotReady              a placeholder: ignored until its data is written
+-- KeyTaken              another application uses the key of a claim: retried, then a dead letter
+-- SourceDown            a chart's source does not answer, or with no chart: asked again later
+-- WorkTimeout           the computation for a key took too long: retried
+-- WorkerLost            every worker that claimed a content died on it: a dead letter
"""


class KeyspaceError(Exception):
    """Base class of the errors that this app raises."""


class ConfigurationError(KeyspaceError):
    """Settings that are invalid or contradict each other. The message names each of them and holds no secret."""

    def __init__(self, *faults: str) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class MalformedEvent(KeyspaceError):
    """A trigger message that holds no key event."""


class Rejected(KeyspaceError):
    """Input that no retry can read.

    `str(error)` is the reason in a few words, equal for equal kinds of faults. It never holds input.
    """


class NotReady(KeyspaceError):
    """A placeholder that announces data. The write of the data will be an event of its own."""


class KeyTaken(KeyspaceError):
    """Another application uses a key that this app needs. The key is not changed."""


class SourceDown(KeyspaceError):
    """The source of a chart does not answer, refuses, or answers with something that is no chart.

    `str(error)` is the reason in a few words, with nothing of the answer but names of its columns. `retry_after_s` is
    how long the source asks to be left alone, None where it does not say. `of_chart`: whether the chart alone is the
    reason, such as an id that the source does not know; that says nothing about other charts of the source.
    """

    def __init__(self, reason: str, retry_after_s: float | None = None, *, of_chart: bool = False) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s
        self.of_chart = of_chart


class WorkTimeout(KeyspaceError):
    """The computation for one key took longer than WORK_TIMEOUT_S."""


class WorkerLost(KeyspaceError):
    """Every worker that claimed this content died, or was slower than its lease."""
