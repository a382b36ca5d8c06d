"""Checks a function's bindings as the Functions host does before it runs the function.

Pure functions over the binding JSON that the worker reports. A function with a wrong binding is in error, with the
text of the real host where that is known; the other functions of the app run.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from shared.store.connection_setting import ConnectionSetting, find

PUBSUB = "redisPubSubTrigger"
TIMER = "timerTrigger"
HTTP = "httpTrigger"

_STREAM_PROPERTIES = ("connection", "key", "pollingIntervalInMs", "maxBatchSize")
# The host picks the attribute's constructor for which the JSON has every parameter; it ignores C# default values.
_CONSTRUCTORS: dict[str, tuple[str, ...]] = {
    PUBSUB: ("connection", "channel", "pattern"),
    "redisStreamTrigger": _STREAM_PROPERTIES,
    "redisListTrigger": (*_STREAM_PROPERTIES, "listDirection"),
    TIMER: ("schedule",),
    HTTP: (),
}
_SUPPORTED = (PUBSUB, TIMER, HTTP)
_RESOLVED = ("channel", "key", "schedule")
"""The properties in which the host replaces `%NAME%`."""


class BindingError(ValueError):
    """The host does not run the function. The text is the reason."""


@dataclass(frozen=True)
class Function:
    """An indexed function: its name, the id that the worker gave it, and its bindings as parsed JSON."""

    name: str
    function_id: str
    bindings: tuple[dict[str, Any], ...]

    @cached_property
    def trigger(self) -> dict[str, Any]:
        """The binding that starts the function. Raises BindingError if there is none."""
        for binding in self.bindings:
            if str(binding.get("direction")).lower() == "in" and str(binding.get("type")).endswith("Trigger"):
                return binding
        raise BindingError("the function has no trigger")


def checked_trigger(function: Function, settings: Mapping[str, str]) -> dict[str, Any]:
    """The function's trigger binding after all checks, with `%NAME%` replaced by the app setting NAME.

    Raises BindingError if the real host refuses the binding, or if only the real host supports it.
    """
    trigger = function.trigger
    kind = trigger["type"]
    if kind not in _CONSTRUCTORS:
        raise BindingError(f"unknown trigger type {kind!r}; the local host runs {', '.join(_SUPPORTED)}")
    missing = [name for name in _CONSTRUCTORS[kind] if trigger.get(name) is None]
    if missing:
        raise BindingError(f"Can't figure out which ctor to call. {kind} lacks {', '.join(missing)}")
    if kind not in _SUPPORTED:
        raise BindingError(f"{kind} needs the real host; the local host runs {', '.join(_SUPPORTED)}")
    for binding in function.bindings:
        if binding is not trigger and binding["type"] != "http":
            raise BindingError(f"the binding {binding.get('name')!r} of type {binding['type']!r} needs the real host")
    resolved = trigger | {name: resolve(trigger[name], settings) for name in _RESOLVED if name in trigger}
    if "connection" in trigger:
        connection_of(trigger, settings)
    if kind == PUBSUB:
        _check_pubsub(resolved)
    return resolved


def connection_of(trigger: Mapping[str, Any], settings: Mapping[str, str]) -> ConnectionSetting:
    """The connection that a trigger names. Raises BindingError, or ConfigurationError for a contradictory one."""
    connection = find(settings, trigger["connection"])
    if connection is None:
        raise BindingError(f"the connection setting {trigger['connection']!r} is missing or empty")
    return connection


def resolve(text: object, settings: Mapping[str, str]) -> object:
    """The app setting NAME if the whole text is `%NAME%`, else `text`. Raises BindingError if there is no NAME."""
    match = re.fullmatch("%([^%]+)%", text) if isinstance(text, str) else None
    if match is None:
        return text
    if match[1] not in settings:
        raise BindingError(f"'{text}' does not resolve to a value.")
    return settings[match[1]]


def _check_pubsub(trigger: Mapping[str, Any]) -> None:
    if not isinstance(trigger["channel"], str) or not trigger["channel"]:
        raise BindingError("channel must be a string that is not empty")
    if not isinstance(trigger["pattern"], bool):
        raise BindingError("pattern must be true or false")
