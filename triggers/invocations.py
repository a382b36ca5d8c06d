"""What every function of the app does around its own work."""

from collections.abc import Iterator
from contextlib import contextmanager

from shared import telemetry
from shared.app import current_app
from shared.delivery.self_repair import SelfRepair
from shared.registry import REACTORS

repair = SelfRepair()


@contextmanager
def invocation() -> Iterator[None]:
    """Around the body of each function: log lines that were held are written, and the process repairs itself."""
    with telemetry.invocation():
        if repair.waits_for_loop:
            begin_repair()
        yield
        repair.look_after(current_app(), REACTORS)


def begin_repair() -> None:
    """Begin to stand in for the timers, once per process. function_app.py calls it at import, which the worker does in
    its event loop; if it did not, the first invocation begins."""
    with telemetry.background():
        try:
            repair.stand_in(current_app, REACTORS)
        except RuntimeError:
            repair.waits_for_loop = True
        else:
            repair.waits_for_loop = False
