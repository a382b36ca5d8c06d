"""The state of one run of the export."""

from collections import Counter
from dataclasses import dataclass, field

from shared.app import App
from shared.audit.chain import Head
from shared.audit.records import Written
from shared.audit.state import Place
from shared.audit.store import Store
from shared.privacy.keyring import Keyring


@dataclass
class Run:
    """The state of a run since it last read the end of the chain. `expected` is the place that Redis should name,
    `sealed` the last day that has a heads.json."""

    app: App
    store: Store
    head: Head
    expected: Place
    sealed: str
    now_ms: int
    written: int = 0
    pending: list[Written] = field(default_factory=list)
    """Lines to append next, all to the same blob."""
    counters: Counter[str] = field(default_factory=Counter)

    @property
    def tip(self) -> Head:
        """The head after the pending lines."""
        return self.pending[-1].head if self.pending else self.head

    @property
    def keyring(self) -> Keyring:
        return self.app.keyrings[0]


class Outdated(Exception):
    """Redis names another place than expected: another exporter has moved on, or Redis was flushed."""
