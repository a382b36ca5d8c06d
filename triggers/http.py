"""The HTTP functions: health, statistics, debugging, dead letters.

shared/operations/openapi.py describes them; GET /api/openapi.json returns the description.
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
from triggers.answers import (
    HEADERS,
    Refusal,
    answering,
    choice_parameter,
    integer_parameter,
    json_answer,
    text_parameter,
)

blueprint = func.Blueprint()

HEALTH_EVERY_S = 1.0
"""How long an anonymous health answer is reused: bounds the load that anonymous requests put on Redis."""
_ID = re.compile(r"[0-9a-f]{32}")


class _Status:
    """The app's status, cached for HEALTH_EVERY_S."""

    def __init__(self) -> None:
        self._checked_s = float("-inf")
        self._status = ""
        self._lock = asyncio.Lock()

    async def current(self) -> str:
        from shared.operations.health import check_app

        async with self._lock:
            if time.monotonic() - self._checked_s >= HEALTH_EVERY_S:
                self._status = (await check_app(current_app())).status
                self._checked_s = time.monotonic()
            return self._status


_status = _Status()


@blueprint.function_name("health")
@blueprint.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@answering
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """200 when events can flow, 503 when they cannot. Anonymous, so it answers with the status only."""
    status = await _status.current()
    return json_answer({"status": status}, 503 if status == "failed" else 200)


@blueprint.function_name("health_details")
@blueprint.route(route="health/details", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answering
async def health_details(req: func.HttpRequest) -> func.HttpResponse:
    """The status with the reasons and the figures behind them."""
    from shared.operations.health import check_app

    report = await check_app(current_app())
    return json_answer(report.as_dict(), 503 if report.status == "failed" else 200)


@blueprint.function_name("stats")
@blueprint.route(route="stats", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answering
async def stats(req: func.HttpRequest) -> func.HttpResponse:
    """Activity of all instances in the last minutes, by minute."""
    from shared.operations import activity

    minutes = integer_parameter(req, "minutes", 60, maximum=activity.MAX_MINUTES)
    return json_answer(await activity.read(current_app(), minutes))


@blueprint.function_name("debug_session")
@blueprint.route(route="debug/session", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answering
async def debug_session(req: func.HttpRequest) -> func.HttpResponse:
    """Keys by namespace, masked, and a user's sessions and tokens. Off unless DEBUG_ENDPOINT_ENABLED."""
    app = current_app()
    if not app.settings.debug_endpoint_enabled:
        raise Refusal(404, "the debug endpoint is off; DEBUG_ENDPOINT_ENABLED=true turns it on")
    from shared.operations import debug, stored_census

    report = await debug.report(app, text_parameter(req, "userId", max_chars=debug.MAX_USER_CHARS))
    if report is None:
        wait_s = await stored_census.due_in_s(app)
        raise Refusal(429, "there is no census of the keys yet", {"Retry-After": str(wait_s)})
    return json_answer(report)


@blueprint.function_name("dead_letters")
@blueprint.route(route="events/dead", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answering
async def dead_letters(req: func.HttpRequest) -> func.HttpResponse:
    """A page of dead letters, newest first."""
    from shared.delivery.dead_letters import MAX_PAGE
    from shared.operations import monitor_document

    reactor = choice_parameter(req, "reactor", NAMES)
    cursor: str | None = req.params.get("cursor")
    if cursor is not None and not re.fullmatch(monitor_document.CURSOR, cursor):
        raise Refusal(400, "not a cursor of this list")
    limit = integer_parameter(req, "limit", 50, maximum=MAX_PAGE)
    return json_answer(
        await monitor_document.letters(current_app(), reactor=reactor, cursor=cursor or None, limit=limit)
    )


@blueprint.function_name("dead_letter")
@blueprint.route(route="events/dead/{id}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answering
async def dead_letter(req: func.HttpRequest) -> func.HttpResponse:
    """A letter with what the reader makes of its payload."""
    from shared.delivery import dead_letters
    from shared.operations import explanations

    app = current_app()
    try:
        letter = await dead_letters.get(app, _letter_id(req))
    except KeyspaceError as error:  # another application has written over it
        raise Refusal(409, str(error)) from None
    if letter is None:
        raise _no_such_letter()
    return json_answer(await explanations.explained_letter(app, letter))


@blueprint.function_name("replay_dead_letter")
@blueprint.route(route="events/dead/{id}/replay", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@answering
async def replay_dead_letter(req: func.HttpRequest) -> func.HttpResponse:
    """Replay a letter. It is removed when its effect is in place, and stays otherwise."""
    from shared.delivery import dead_letters, replay

    app, letter_id, started_s = current_app(), _letter_id(req), time.perf_counter()
    try:
        letter = await dead_letters.get(app, letter_id)
    except KeyspaceError as error:  # another application has written over it
        raise Refusal(409, str(error)) from None
    if letter is None:
        raise _no_such_letter()
    if letter.reactor not in NAMES:
        raise Refusal(409, "no reactor of this app replays the letter")
    try:
        outcome = await replay.replay(app, REACTORS, letter_id)
    except KeyspaceError:  # it was removed or written over meanwhile
        raise _no_such_letter() from None
    duration_ms = (time.perf_counter() - started_s) * 1000
    telemetry.record("replay_dead_letter", letter.reactor, Source.REPLAY, outcome, duration_ms, app.settings.audit_key)
    removed = await dead_letters.get(app, letter_id) is None
    return json_answer({"id": letter_id, "outcome": outcome.result, "reason": outcome.detail, "removed": removed})


@blueprint.function_name("discard_dead_letter")
@blueprint.route(route="events/dead/{id}/discard", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@answering
async def discard_dead_letter(req: func.HttpRequest) -> func.HttpResponse:
    """Remove a letter permanently; the same content is not buried again."""
    from shared.delivery import dead_letters

    if not await dead_letters.discard(current_app(), _letter_id(req)):
        raise _no_such_letter()
    return func.HttpResponse(status_code=204, headers=HEADERS)


@blueprint.function_name("openapi")
@blueprint.route(route="openapi.json", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@answering
async def openapi(req: func.HttpRequest) -> func.HttpResponse:
    """The OpenAPI document of all HTTP functions."""
    from shared.operations import openapi

    return json_answer(openapi.document())


def _letter_id(req: func.HttpRequest) -> str:
    letter_id: str = req.route_params.get("id", "")
    if not _ID.fullmatch(letter_id):
        raise _no_such_letter()
    return letter_id


def _no_such_letter() -> Refusal:
    return Refusal(404, "there is no such dead letter")
