"""The HTTP functions of charts: a chart's cache for dashboards, with ETag and CORS; the list; a refresh now.

shared/operations/openapi.py describes them.
"""

import re

import azure.functions as func

from shared import namespaces
from shared.app import App, current_app
from triggers.answers import HEADERS, Refusal, answering, integer_parameter, json_answer

blueprint = func.Blueprint()

_CORS_METHODS = "GET"
_CORS_REQUEST = "x-functions-key, if-none-match"
_CORS_SHOWN = "ETag, Chart-Stale, Chart-Stale-Since"
_PREFLIGHT_S = "600"
_CURSOR = re.compile(r"[0-9]{1,19}")


@blueprint.function_name("charts")
@blueprint.route(route="charts", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answering
async def charts(req: func.HttpRequest) -> func.HttpResponse:
    """A page of charts with age, TTL, state and source, and the state of the sources."""
    from shared.operations import chart_list

    app = current_app()
    limit = integer_parameter(req, "limit", 100, maximum=chart_list.MAX_PAGE)
    cursor: str = req.params.get("cursor", "0")
    if not _CURSOR.fullmatch(cursor):
        raise Refusal(400, "not a cursor of this list")
    return json_answer(await chart_list.read(app, int(cursor), limit), headers=_cors(app, req))


@blueprint.function_name("chart")
@blueprint.route(route="charts/{chartId}/{dataType}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answering
async def chart(req: func.HttpRequest) -> func.HttpResponse:
    """A chart's cache, or 304 where the client has it. Counts as a use: the chart is refreshed before it expires."""
    from shared.charts import schedule, served

    app, key = current_app(), _source_key(req)
    cors = _cors(app, req)
    cache = await served.read(app, key) if key else None
    if key is None or cache is None:
        source = schedule.chart_of(app, key) if key else None
        is_asked = source is not None and any(await schedule.note(app, [source], "used"))
        raise Refusal(404, "there is no cache of this chart", cors | ({"Retry-After": "1"} if is_asked else {}))
    if app.settings.chart_sources:
        await schedule.used(app, [key])
    headers = (
        HEADERS
        | cors
        | {
            "ETag": f'"{cache.digest}"',
            "Cache-Control": f"private, max-age={cache.fresh_s}" if cache.fresh_s else "private, no-cache",
            "Chart-Stale": "true" if cache.stale else "false",
        }
    )
    if cache.stale_since:
        headers["Chart-Stale-Since"] = cache.stale_since
    if served.matches(req.headers.get("if-none-match", ""), cache.digest):
        return func.HttpResponse(status_code=304, headers=headers)
    return func.HttpResponse(cache.document, mimetype="application/json", headers=headers)


@blueprint.function_name("chart_refresh")
@blueprint.route(route="charts/{chartId}/{dataType}/refresh", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@answering
async def chart_refresh(req: func.HttpRequest) -> func.HttpResponse:
    """Have a chart fetched from its source now."""
    from shared.charts import schedule

    app, key = current_app(), _source_key(req)
    found = schedule.chart_of(app, key) if key else None
    if found is None:
        raise Refusal(409, "the chart has no source")
    if not any(await schedule.note(app, [found], "asked")):
        raise Refusal(409, "the value does not expire, or is no chart: it is not replaced")
    return json_answer({"scheduled": True}, 202)


@blueprint.function_name("charts_preflight")
@blueprint.route(route="charts", methods=["OPTIONS"], auth_level=func.AuthLevel.ANONYMOUS)
@answering
async def charts_preflight(req: func.HttpRequest) -> func.HttpResponse:
    """What a browser asks before it sends the function key from a page of another origin."""
    return _preflight(req)


@blueprint.function_name("chart_preflight")
@blueprint.route(route="charts/{chartId}/{dataType}", methods=["OPTIONS"], auth_level=func.AuthLevel.ANONYMOUS)
@answering
async def chart_preflight(req: func.HttpRequest) -> func.HttpResponse:
    """The same, for a single chart."""
    return _preflight(req)


def _preflight(req: func.HttpRequest) -> func.HttpResponse:
    from shared import settings

    allowed = _allowed_origin(settings.current().cors_origins, req)
    headers = HEADERS | {"Vary": "Origin"}
    if allowed:
        headers |= {
            "Access-Control-Allow-Origin": allowed,
            "Access-Control-Allow-Methods": _CORS_METHODS,
            "Access-Control-Allow-Headers": _CORS_REQUEST,
            "Access-Control-Max-Age": _PREFLIGHT_S,
        }
    return func.HttpResponse(status_code=204, headers=headers)


def _cors(app: App, req: func.HttpRequest) -> dict[str, str]:
    origins = app.settings.cors_origins
    if not origins:
        return {}
    allowed = _allowed_origin(origins, req)
    if not allowed:
        return {"Vary": "Origin"}
    return {
        "Access-Control-Allow-Origin": allowed,
        "Access-Control-Expose-Headers": _CORS_SHOWN,
        "Vary": "Origin",
    }


def _allowed_origin(origins: tuple[str, ...], req: func.HttpRequest) -> str | None:
    if "*" in origins:
        return "*"
    origin: str = req.headers.get("origin", "")
    return origin if origin in origins else None


def _source_key(req: func.HttpRequest) -> bytes | None:
    """The source key that the route names; None for ids that make no chart. The host leaves a slash of an id
    percent-encoded."""
    parts = [
        re.sub("%2f", "/", req.route_params.get(name, ""), flags=re.IGNORECASE) for name in ("chartId", "dataType")
    ]
    try:
        return namespaces.build(namespaces.CHART_DATA, *parts)
    except ValueError:  # also a lone surrogate
        return None
