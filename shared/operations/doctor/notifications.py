"""Whether events can flow: the notification flags, and whether anybody listens."""

from typing import TYPE_CHECKING

from shared.operations.doctor.findings import Finding, error, info, ok, warning
from shared.operations.doctor.products import change_flags
from shared.operations.notification_flags import REQUIRED, missing_flags
from shared.reactor import CHANNEL_PREFIX
from shared.registry import REACTORS

if TYPE_CHECKING:
    from redis.asyncio import Redis

_IN_A = frozenset("g$lshzxetd")
INERT = "keymiss"
"""An event that no reactor does anything with: what is published to count who hears it."""


def wanted_flags(flags: str) -> str:
    """The value to set: what the triggers need, and what is set already, for somebody else may need it."""
    kept = [flag for flag in flags if flag not in REQUIRED and not ("A" in flags and flag in _IN_A)]
    return _readable(REQUIRED + "".join(kept))


def _readable(flags: str) -> str:
    """K and E first, as people write them; servers report another order."""
    return "".join(sorted(flags, key=lambda flag: "KE".find(flag) % 3))


def check_flags(flags: str | None, host: str) -> list[Finding]:
    """`flags` is the server's notify-keyspace-events, None where it does not tell."""
    if flags is None:
        change = change_flags(host, REQUIRED)
        return [
            info(
                "notifications",
                "the server does not let its notification flags be read (Azure blocks CONFIG)",
                f"Without at least {REQUIRED} nothing, or not everything, reaches the triggers.",
                "python manage.py patterns test shows which events arrive. "
                f"notify-keyspace-events has to hold {REQUIRED}. {change.words}",
                change.commands,
            )
        ]
    flags = _readable(flags)
    faults = missing_flags(flags)
    if faults:
        return [_wrong_flags(flags, faults, host)]
    if "m" in flags:
        return [
            info(
                "notifications",
                f"{flags} has what is needed, and m (keymiss)",
                "Each look at a key that is not there is an event too, the app's own looks included. They cost an "
                "invocation each and change nothing.",
                "Leave m out unless somebody needs it.",
            )
        ]
    return [ok("notifications", f"{flags}: every class that the triggers need")]


def _wrong_flags(flags: str, faults: tuple[str, ...], host: str) -> Finding:
    wanted = wanted_flags(flags)
    change = change_flags(host, wanted)
    if not flags:
        found, why = "notifications are off: notify-keyspace-events is empty", "Redis publishes no key event at all."
    elif "K" not in flags:
        found = f"notify-keyspace-events is {flags}: nothing reaches the triggers"
        only = " (here only of keys that expire)" if set(flags) == {"E", "x"} else ""
        why = (
            f"Without K Redis publishes on __keyevent@0__ channels only{only}, and the triggers subscribe to "
            f"{CHANNEL_PREFIX}<key>. "
        )
    else:
        found = f"notify-keyspace-events is {flags}: some events do not reach the triggers"
        why = "; ".join(faults) + ". "
    late = (
        "Until then only the sweep finds work, up to 30 s late, and ends of sessions are recorded without their reason."
    )
    return error(
        "notifications", found, f"{why.strip()} {late}", f"Set it to {wanted}. {change.words}", change.commands
    )


async def check_listeners(redis: "Redis") -> list[Finding]:
    """Who hears a message on each pattern: Redis counts them. The message is one that changes nothing.

    Raises what the Redis client raises.
    """
    counts = {
        reactor.function: int(await redis.publish(f"{CHANNEL_PREFIX}{reactor.kind.prefix.decode()}", INERT))
        for reactor in REACTORS
    }
    deaf = [f"{reactor.function} ({reactor.pattern})" for reactor in REACTORS if not counts[reactor.function]]
    if not deaf:
        heard = ", ".join(f"{function} {count}" for function, count in counts.items())
        return [ok("listeners", f"subscribers: {heard}")]
    return [
        warning(
            "listeners",
            f"nobody listens for {', '.join(deaf)}",
            "What happens there is found by the sweep only, or, when the app is down, once it is up again.",
            "Start the function app, and look in its log for a trigger in error. Redis triggers need a Premium or "
            "Dedicated plan with Always On.",
        )
    ]
