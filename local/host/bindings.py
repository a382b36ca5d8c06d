"""What the Functions host reads in a function's bindings before it runs it: settings, connections, constructors.

Pure functions over the binding JSON that the worker reports. A function whose binding is wrong is in error, with the
host's reason where it has one; the other functions of the app run.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

PUBSUB = "redisPubSubTrigger"
TIMER = "timerTrigger"
HTTP = "httpTrigger"

_STREAM_PROPERTIES = ("connection", "key", "pollingIntervalInMs", "maxBatchSize")
# The host takes the attribute constructor whose every parameter is in the JSON; C# default values do not count.
_CONSTRUCTORS: dict[str, tuple[str, ...]] = {
    PUBSUB: ("connection", "channel", "pattern"),
    "redisStreamTrigger": _STREAM_PROPERTIES,
    "redisListTrigger": (*_STREAM_PROPERTIES, "listDirection"),
    TIMER: ("schedule",),
    HTTP: (),
}
_RUN_HERE = (PUBSUB, TIMER, HTTP)
_RESOLVED = ("channel", "key", "schedule")
"""The properties in which the host replaces `%NAME%`."""


class BindingError(ValueError):
    """A function that the host would not run. The text is the reason."""


@dataclass(frozen=True)
class Function:
    """An indexed function: its name, the worker's id for it, and its bindings as the host reads them."""

    name: str
    function_id: str
    bindings: tuple[dict[str, Any], ...]

    @cached_property
    def trigger(self) -> dict[str, Any]:
        """The binding that starts the function. Raises BindingError where there is none."""
        for binding in self.bindings:
            if str(binding.get("direction")).lower() == "in" and str(binding.get("type")).endswith("Trigger"):
                return binding
        raise BindingError("the function has no trigger")


def checked_trigger(function: Function, settings: Mapping[str, str]) -> dict[str, Any]:
    """The function's trigger binding, complete, with app settings in place of `%NAME%`.

    Raises BindingError for what the host refuses, and for what only the real host runs.
    """
    trigger = function.trigger
    kind = trigger["type"]
    if kind not in _CONSTRUCTORS:
        raise BindingError(f"The trigger type {kind!r} is not known; the local host runs {_listed(_RUN_HERE)}")
    missing = [name for name in _CONSTRUCTORS[kind] if trigger.get(name) is None]
    if missing:
        raise BindingError(f"Can't figure out which ctor to call. {kind} lacks {_listed(missing)}")
    if kind not in _RUN_HERE:
        raise BindingError(f"The local host runs {_listed(_RUN_HERE)}; a {kind} needs the real host")
    for binding in function.bindings:
        if binding is not trigger and binding["type"] != "http":
            raise BindingError(f"The binding {binding['type']!r} of {binding.get('name')!r} needs the real host")
    resolved = trigger | {name: resolve(trigger[name], settings) for name in _RESOLVED if name in trigger}
    if "connection" in trigger and not settings.get(trigger["connection"]):
        raise BindingError(f"The connection setting {trigger['connection']!r} does not exist")
    if kind == PUBSUB:
        _check_pubsub(resolved)
    return resolved


def resolve(text: object, settings: Mapping[str, str]) -> object:
    """The app setting NAME where `text` is wholly `%NAME%`, else `text` itself. Raises BindingError for an unknown."""
    found = re.fullmatch("%([^%]+)%", text) if isinstance(text, str) else None
    if not found:
        return text
    if found[1] not in settings:
        raise BindingError(f"'{text}' does not resolve to a value.")
    return settings[found[1]]


def _check_pubsub(trigger: Mapping[str, Any]) -> None:
    if not isinstance(trigger["channel"], str) or not trigger["channel"]:
        raise BindingError("channel has to be a text that is not empty")
    if not isinstance(trigger["pattern"], bool):
        raise BindingError("pattern has to be true or false")


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names)
