"""Whether the triggers of the living instances hear, and whether the app may publish the heartbeats that tell."""

from collections.abc import Sequence

from shared.app import App
from shared.intake.intake import State
from shared.operations import instances
from shared.operations.doctor.findings import Finding, error, info, ok, warning
from shared.operations.doctor.products import redis_cli
from shared.operations.instances import Instance
from shared.store.connection import ConnectionOptions
from shared.words import counted

RESTART = "az functionapp restart --name APP_NAME --resource-group GROUP"
_HEAL = (
    "Restart the app: after most faults the trigger does not come back by itself. Turn on the platform's health check "
    "for /api/health, which replaces such an instance (DEAF_UNHEALTHY_S). Why it happens: docs/delivery.md, A trigger "
    "goes deaf."
)


def check_heartbeats(refused: Sequence[str], options: ConnectionOptions) -> Finding:
    """`refused` are the channels on which this user may not publish."""
    if not refused:
        return ok("heartbeats", "this user may publish them on the channel of each function")
    rules = ["ACL", "SETUSER", options.username or "NAME", "+publish", *(f"&{channel}" for channel in refused)]
    return warning(
        "heartbeats",
        f"this user may not publish on {', '.join(refused)}",
        "Heartbeats show a trigger that is deaf or far behind. Without them each instance also listens by a "
        "subscription of its own all the time.",
        "Permit PUBLISH on these channels:",
        (redis_cli(options, *rules, as_admin=True),),
    )


async def check_instances(app: App) -> list[Finding]:
    """A finding per instance whose trigger is deaf, or one that all is well. Raises what the Redis client raises."""
    living = await instances.read(app)
    if not living:
        return [
            info(
                "instances",
                "no instance of the app has reported within 5 s",
                "The app does not run, or it may not write functions:instances: then each instance reacts to all keys.",
            )
        ]
    # Those that do not hear by themselves come first.
    deaf = sorted((one for one in living if one.state in instances.UNABLE), key=lambda one: one.state == State.EAR)
    if deaf:
        return [*map(_deaf, deaf[: instances.NAMED]), *_further(deaf[instances.NAMED :])]
    more = len(living) - instances.NAMED
    named = ", ".join(map(_in_words, living[: instances.NAMED]))
    return [ok("instances", f"{len(living)}: {named}{f', and {more} more' if more > 0 else ''}")]


def _in_words(one: Instance) -> str:
    return f"{one.instance} ({one.state}, {one.share:.0%} of the keys)"


def _further(deaf: list[Instance]) -> list[Finding]:
    if not deaf:
        return []
    unable = sum(one.state == State.DEAF for one in deaf)
    return [
        (error if unable else warning)(
            "trigger-deaf",
            f"the triggers of {counted(len(deaf), 'further instance')} are deaf; {unable} do not hear by themselves",
            "So many at once have one cause: Redis, its network, or the notification flags.",
            _HEAL,
            (RESTART,),
        )
    ]


def _deaf(one: Instance) -> Finding:
    if one.state == State.EAR:
        return warning(
            "trigger-deaf",
            f"the trigger of instance {one.instance} is deaf",
            "Nothing is lost: the instance hears events by a subscription of its own.",
            _HEAL,
            (RESTART,),
        )
    return error(
        "trigger-deaf",
        f"the trigger of instance {one.instance} is deaf, and the instance does not hear by itself",
        "Other instances take over its keys. If there are none, only the sweep finds changes, and ends of sessions are "
        "recorded without a reason.",
        f"See the finding access: the instance may not subscribe. {_HEAL}",
        (RESTART,),
    )
