"""What can go wrong, and what to do about it: the error carries the decision.

KeyspaceError
+-- ConfigurationError    the app does not start; the message lists every fault
+-- MalformedEvent        a trigger message that is none: counted, logged, dropped
+-- Rejected              input that can never be read as it stands: a dead letter at once, outputs left alone
+-- NotReady              a placeholder: ignored until its data is written
+-- KeyTaken              another application uses the key of a claim: retried, then a dead letter
+-- SourceMoved           a chart was written again at every attempt: retried
+-- WorkTimeout           the computation for one key took too long: retried
+-- WorkerLost            every worker that claimed a content died on it: a dead letter
"""


class KeyspaceError(Exception):
    """Base of every error that this app raises itself."""


class ConfigurationError(KeyspaceError):
    """Settings that are wrong or contradict each other; names each of them, never a secret value."""


class MalformedEvent(KeyspaceError):
    """A trigger message that does not hold a key event."""


class Rejected(KeyspaceError):
    """Input that no retry can make readable.

    `str(error)` is the reason in a few words, the same for the same kind of fault, and never holds input.
    """


class NotReady(KeyspaceError):
    """A value that announces data and holds none yet; the write that brings it will be an event of its own."""


class KeyTaken(KeyspaceError):
    """A key that this app needs holds something of another application, which is left alone."""


class SourceMoved(KeyspaceError):
    """The source was written again each time that it was read."""


class WorkTimeout(KeyspaceError):
    """The computation for one key took longer than WORK_TIMEOUT_S."""


class WorkerLost(KeyspaceError):
    """Every worker that claimed this content died on it, or was slower than its lease."""
