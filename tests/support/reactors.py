"""Reactors of the tests' own."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from shared import namespaces
from shared.app import App
from shared.reactor import Cause, Outcome, Payload, Reactor, Scanned


async def _no_replay(app: App, key: bytes, payload: Payload) -> Outcome:
    raise AssertionError("this reactor is not replayed")


def make_reactor(
    react: Callable[[App, Sequence[bytes], Cause], Awaitable[list[Outcome]]],
    *,
    name: str = "gate",
    function: str = "a_function",
    pattern: bytes = b"gate:*",
    **fields: Any,
) -> Reactor:
    """A reactor over `pattern` that has no more than a name and `react`."""
    return Reactor(
        name=name,
        function=function,
        kind=namespaces.BATCH,
        effect="for tests",
        react=react,
        replay=_no_replay,
        scanned=(Scanned(pattern),),
        **fields,
    )
