"""The reactors of this app. Triggers, timers, statistics, health, the command line and the monitor page read this list.

CONTRIBUTING.md walks through adding a reactor.
"""

from shared import namespaces
from shared.app import App
from shared.batches import reactor as batches
from shared.charts import reactor as charts
from shared.reactor import Reactor
from shared.sessions import reactor as sessions

BATCHES = Reactor(
    name=batches.NAME,
    function="process_fastapi_data",
    kind=namespaces.BATCH,
    effect="analysed into fastapi:results:analysis:{batchId}",
    react=batches.react,
    replay=batches.replay,
    scanned=batches.SCANNED,
    inert=batches.INERT,
    bulk=True,
)
CHARTS = Reactor(
    name=charts.NAME,
    function="update_charts",
    kind=namespaces.CHART_DATA,
    effect="rendered into fabric:cache:chart:{chartId}:{dataType}",
    react=charts.react,
    replay=charts.replay,
    scanned=charts.SCANNED,
    inert=charts.INERT,
)
SESSIONS = Reactor(
    name=sessions.NAME,
    function="handle_session_changes",
    kind=namespaces.SESSION,
    effect="compared with its last-known state, a change is recorded",
    react=sessions.react,
    replay=sessions.replay,
    scanned=sessions.SCANNED,
    take_due=sessions.take_due,
    source=sessions.source,
    bulk=True,
    ordered=True,
)

REACTORS: tuple[Reactor, ...] = (BATCHES, CHARTS, SESSIONS)
NAMES: tuple[str, ...] = tuple(reactor.name for reactor in REACTORS)


def source_of(app: App, name: str, key: bytes) -> bytes:
    """The client's key for a key of a dead letter of the reactor with this name; see Reactor.source."""
    return next((reactor.source(app, key) for reactor in REACTORS if reactor.name == name), key)
