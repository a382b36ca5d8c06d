"""Whether events flow: the notification flags, and the number of subscribers."""

from collections.abc import Mapping

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from shared.operations.doctor.findings import Finding, error, info, ok, warning
from shared.operations.doctor.products import change_flags
from shared.operations.doctor.triggers import check_heartbeats
from shared.operations.notification_flags import REQUIRED, missing_classes, missing_flags, readable, wanted_flags
from shared.reactor import CHANNEL_PREFIX
from shared.registry import REACTORS
from shared.store.connection import ConnectionOptions

INERT = "keymiss"
"""An event that every reactor ignores; published to count the subscribers."""


def check_flags(flags: str | None, options: ConnectionOptions) -> list[Finding]:
    """`flags` is the server's notify-keyspace-events, None where it does not show them."""
    if flags is None:
        change = change_flags(options, REQUIRED)
        return [
            info(
                "notifications",
                "the server does not show its notification flags (Azure blocks CONFIG)",
                f"Without {REQUIRED}, some or all events do not reach the triggers.",
                "python3 manage.py patterns test shows which events arrive. "
                f"notify-keyspace-events must contain {REQUIRED}. {change.words}",
                change.commands,
            )
        ]
    flags = readable(flags)
    if missing_flags(flags):
        return [_wrong_flags(flags, options)]
    if "m" in flags:
        return [
            info(
                "notifications",
                f"{flags} has the required flags, and m (keymiss)",
                "Each read of a key that does not exist is an event too, also the app's own reads. Each costs an "
                "invocation and changes nothing.",
                "Remove m unless another application needs it.",
            )
        ]
    return [ok("notifications", f"{flags}: every flag that the triggers need")]


def _wrong_flags(flags: str, options: ConnectionOptions) -> Finding:
    wanted = wanted_flags(flags)
    change = change_flags(options, wanted)
    if not flags:
        observation, why = "notifications are off: notify-keyspace-events is empty", "Redis publishes no key events."
    elif "K" not in flags:
        observation = f"notify-keyspace-events is {flags}: no event reaches the triggers"
        only = " (here only for keys that expire)" if set(flags) == {"E", "x"} else ""
        why = (
            f"Without K Redis publishes on __keyevent@0__ channels only{only}, and the triggers subscribe to "
            f"{CHANNEL_PREFIX}<key>. "
        )
    else:
        observation = f"notify-keyspace-events is {flags}: some events do not reach the triggers"
        why = "; ".join(missing_classes(flags)) + ". "
    late = "Until then only the sweep finds changes, late, and ends of sessions are recorded without a reason."
    return error(
        "notifications", observation, f"{why.strip()} {late}", f"Set it to {wanted}. {change.words}", change.commands
    )


async def check_listeners(redis: Redis, options: ConnectionOptions) -> list[Finding]:
    """How many subscribers receive a message on each pattern, as Redis counts them, and whether the app may publish
    there. The message changes nothing.

    Raises what the Redis client raises.
    """
    counts: dict[str, int] = {}
    refused = []
    for reactor in REACTORS:
        channel = f"{CHANNEL_PREFIX}{reactor.kind.prefix.decode()}"
        try:
            counts[reactor.function] = int(await redis.publish(channel, INERT))
        except NoPermissionError:
            refused.append(channel)
    heartbeats = check_heartbeats(refused, options)
    if refused:
        return [heartbeats, info("listeners", "not checked: Redis refuses PUBLISH")]
    return [heartbeats, _listeners(counts)]


def _listeners(counts: Mapping[str, int]) -> Finding:
    unheard = [f"{reactor.function} ({reactor.pattern})" for reactor in REACTORS if not counts[reactor.function]]
    if not unheard:
        subscribers = ", ".join(f"{function} {count}" for function, count in counts.items())
        return ok("listeners", f"subscribers: {subscribers}")
    return warning(
        "listeners",
        f"no subscriber for {', '.join(unheard)}",
        "Only the sweep finds changes of these keys; while the app is down, it finds them after the next start.",
        "Start the function app, and check its log for errors of the triggers. Redis triggers need a Premium or "
        "Dedicated plan with Always On.",
    )
