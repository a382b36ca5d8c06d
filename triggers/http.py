"""The HTTP functions for people, probes and scripts: health, statistics, debugging, dead letters.

shared/operations/openapi.py describes them all, and GET /api/openapi.json with it.
"""

import asyncio
import re
import time

import azure.functions as func

from shared import telemetry
from shared.app import current_app
from shared.errors import KeyspaceError
from shared.reactor import Source
from shared.registry import NAMES, REACTORS
from triggers.answers import HEADERS, Refusal, answered, answering, one_of, text_of, whole

blueprint = func.Blueprint()

HEALTH_EVERY_S = 1.0
"""How long an anonymous answer about health holds: whoever asks, Redis is asked no more often."""
_ID = re.compile(r"[0-9a-f]{32}")


class _Status:
    """The app's status as of a moment ago."""

    def __init__(self) -> None:
        self._at_s = float("-inf")
        self._status = ""
        self._turn = asyncio.Lock()

    async def current(self) -> str:
        from shared.operations.health import check_app

        async with self._turn:
            if time.monotonic() - self._at_s >= HEALTH_EVERY_S:
                self._status = (await check_app(current_app())).status
                self._at_s = time.monotonic()
            return self._status


_status = _Status()


@blueprint.function_name("health")
@blueprint.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@answering
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """200 when events can flow, 503 when they cannot; nothing else, for whoever asks."""
    status = await _status.current()
    return answered({"status": status}, 503 if status == "failed" else 200)


@blueprint.function_name("health_details")
@blueprint.route(route="health/details", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answering
async def health_details(req: func.HttpRequest) -> func.HttpResponse:
    """The same with the reasons, and what they follow from."""
    from shared.operations.health import check_app

    found = await check_app(current_app())
    return answered(found.as_dict(), 503 if found.status == "failed" else 200)


@blueprint.function_name("stats")
@blueprint.route(route="stats", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answering
async def stats(req: func.HttpRequest) -> func.HttpResponse:
    """What all instances did in the last minutes, minute by minute."""
    from shared.operations import activity

    minutes = whole(req, "minutes", 60, most=activity.MAX_MINUTES)
    return answered(await activity.read(current_app(), minutes))


@blueprint.function_name("debug_session")
@blueprint.route(route="debug/session", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answering
async def debug_session(req: func.HttpRequest) -> func.HttpResponse:
    """Keys by namespace, masked, and what there is of a user. Off unless DEBUG_ENDPOINT_ENABLED."""
    app = current_app()
    if not app.settings.debug_endpoint_enabled:
        raise Refusal(404, "the debug endpoint is off; DEBUG_ENDPOINT_ENABLED=true turns it on")
    from shared.operations import debug, stored_census

    found = await debug.report(app, text_of(req, "userId", most=debug.MAX_USER_CHARS))
    if found is None:
        wait_s = await stored_census.due_in_s(app)
        raise Refusal(429, "the keys are not counted yet", {"Retry-After": str(wait_s)})
    return answered(found)


@blueprint.function_name("dead_letters")
@blueprint.route(route="events/dead", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answering
async def dead_letters(req: func.HttpRequest) -> func.HttpResponse:
    """A page of dead letters, newest first."""
    from shared.delivery.dead_letters import MAX_PAGE
    from shared.operations import monitor_document

    reactor = one_of(req, "reactor", NAMES)
    cursor: str | None = req.params.get("cursor")
    if cursor is not None and not re.fullmatch(monitor_document.CURSOR, cursor):
        raise Refusal(400, "not a cursor of this list")
    limit = whole(req, "limit", 50, most=MAX_PAGE)
    return answered(await monitor_document.letters(current_app(), reactor=reactor, cursor=cursor or None, limit=limit))


@blueprint.function_name("replay_dead_letter")
@blueprint.route(route="events/dead/{id}/replay", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@answering
async def replay_dead_letter(req: func.HttpRequest) -> func.HttpResponse:
    """Try a letter again. It goes when there is an effect, and stays otherwise."""
    from shared.delivery import dead_letters, replay

    app, letter_id, started_s = current_app(), _letter_id(req), time.perf_counter()
    try:
        letter = await dead_letters.get(app, letter_id)
    except KeyspaceError as fault:  # written over by another application
        raise Refusal(409, str(fault)) from None
    if letter is None:
        raise _unknown()
    if letter.reactor not in NAMES:
        raise Refusal(409, "the letter is of a reactor that does not replay")
    try:
        outcome = await replay.replay(app, REACTORS, letter_id)
    except KeyspaceError:  # somebody removed it meanwhile, or wrote over it
        raise _unknown() from None
    duration_ms = (time.perf_counter() - started_s) * 1000
    telemetry.record("replay_dead_letter", letter.reactor, Source.REPLAY, outcome, duration_ms, app.settings.audit_key)
    removed = await dead_letters.get(app, letter_id) is None
    return answered({"id": letter_id, "outcome": outcome.result, "reason": outcome.detail, "removed": removed})


@blueprint.function_name("discard_dead_letter")
@blueprint.route(route="events/dead/{id}/discard", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@answering
async def discard_dead_letter(req: func.HttpRequest) -> func.HttpResponse:
    """Remove a letter for good."""
    from shared.delivery import dead_letters

    if not await dead_letters.discard(current_app(), _letter_id(req)):
        raise _unknown()
    return func.HttpResponse(status_code=204, headers=HEADERS)


@blueprint.function_name("openapi")
@blueprint.route(route="openapi.json", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@answering
async def openapi(req: func.HttpRequest) -> func.HttpResponse:
    """The description of all HTTP functions."""
    from shared.operations import openapi

    return answered(openapi.document())


def _letter_id(req: func.HttpRequest) -> str:
    letter_id: str = req.route_params.get("id", "")
    if not _ID.fullmatch(letter_id):
        raise _unknown()
    return letter_id


def _unknown() -> Refusal:
    return Refusal(404, "there is no such dead letter")
