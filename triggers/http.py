"""The HTTP functions: health, statistics, metrics, debugging. Those of dead letters are in dead_letters.py.

shared/operations/openapi.py describes them; GET /api/openapi.json returns the description.
"""

import asyncio
import time

import azure.functions as func

from shared.app import current_app
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


@blueprint.function_name("stats_history")
@blueprint.route(route="stats/history", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answering
async def stats_history(req: func.HttpRequest) -> func.HttpResponse:
    """Outcomes of all instances over hours or days, in steps of 10 minutes or an hour."""
    from shared.operations import activity

    of = choice_parameter(req, "range", [of.value for of in activity.Range])
    return json_answer(await activity.history(current_app(), activity.Range(of or activity.Range.HOURS_24)))


@blueprint.function_name("metrics")
@blueprint.route(route="metrics", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answering
async def metrics(req: func.HttpRequest) -> func.HttpResponse:
    """The metrics of docs/metrics.md as Prometheus reads them."""
    from shared.operations import exposition

    text = await exposition.text(current_app())
    return func.HttpResponse(text, mimetype=exposition.CONTENT_TYPE, headers=HEADERS)


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


@blueprint.function_name("openapi")
@blueprint.route(route="openapi.json", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@answering
async def openapi(req: func.HttpRequest) -> func.HttpResponse:
    """The OpenAPI document of all HTTP functions."""
    from shared.operations import openapi

    return json_answer(openapi.document())
