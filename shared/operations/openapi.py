"""The OpenAPI document of the HTTP functions. Its schemas are generated from the types of the answers."""

from functools import cache
from typing import Any

import msgspec

from shared.delivery.dead_letters import MAX_PAGE
from shared.operations import activity, chart_list, debug, explanations, monitor_document, openapi_charts
from shared.operations.debug import MAX_USER_CHARS
from shared.operations.openapi_parts import AWAY, BAD, REF, UNKNOWN, integer, json, operation, query
from shared.reactor import Result
from shared.registry import NAMES

_LETTER = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"}}
_OBJECT = {"type": "object"}
_ETAG = {"ETag": {"schema": {"type": "string"}, "description": "Of the file's content, for If-None-Match."}}


class Error(msgspec.Struct):
    """An error: the reason."""

    error: str


class Replay(msgspec.Struct):
    """The outcome of a replay, and whether the letter was removed."""

    id: str
    outcome: Result
    reason: str | None
    removed: bool


@cache
def document() -> dict[str, Any]:
    """The document, OpenAPI 3.1."""
    types = [
        Error,
        Replay,
        debug.Report,
        explanations.ExplainedLetter,
        monitor_document.DeadLetters,
        monitor_document.Monitor,
        activity.Stats,
        chart_list.Charts,
        openapi_charts.Scheduled,
    ]
    _, schemas = msgspec.json.schema_components(types, ref_template=REF + "{name}")
    for schema in schemas.values():
        if schema.get("type") == "object" and "properties" in schema:
            schema["additionalProperties"] = False
    schemas |= {"Status": _STATUS, "Health": _HEALTH, "ChartCache": openapi_charts.CHART_CACHE}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Keyspace Functions",
            "version": "1",
            "description": "Health, statistics and dead letters, as JSON. Keys are masked; no answer holds a token.",
        },
        "servers": [{"url": "/"}],
        "paths": _paths(),
        "components": {
            "schemas": schemas,
            "securitySchemes": {"functionKey": {"type": "apiKey", "in": "header", "name": "x-functions-key"}},
        },
    }


_STATUS = {
    "type": "object",
    "description": "ok; degraded: events flow, and something needs attention; failed: "
    "events do not flow, or their effects cannot be written.",
    "properties": {"status": {"enum": ["ok", "degraded", "failed"]}},
    "required": ["status"],
    "additionalProperties": False,
}
_HEALTH = {
    "type": "object",
    "description": "The status, the reasons why it is not ok, and the figures behind them, where they are known.",
    "properties": {
        "status": {"enum": ["ok", "degraded", "failed"]},
        "reasons": {"type": "array", "items": {"type": "string"}},
        "redis": {
            "type": "object",
            "properties": {
                "roundTripMs": {"type": ["number", "null"]},
                "notifyKeyspaceEvents": {"type": ["string", "null"]},
            },
            "required": ["roundTripMs", "notifyKeyspaceEvents"],
        },
        "retries": {"type": "object"},
        "deadLetters": {"type": ["object", "null"]},
        "sweep": {"type": ["object", "null"]},
        "audit": {"type": ["object", "null"]},
        "timers": {"type": ["object", "null"]},
        "trigger": {
            "type": ["object", "null"],
            "description": "The triggers of the instance that answers: their state and how long it has lasted, how "
            "long they have been deaf, how far each function is behind, and the instance's part of the keys.",
        },
        "instances": {
            "type": "array",
            "description": "The living instances",
            "items": {
                "type": "object",
                "properties": {
                    "instance": {"type": "string"},
                    "state": {"type": "string", "description": "starting, trigger, behind, ear or deaf"},
                    "share": {"type": "number"},
                    "age_s": {"type": "number"},
                },
            },
        },
    },
    "required": ["status", "reasons", "redis"],
}


def _paths() -> dict[str, Any]:
    return {
        "/api/health": {
            "get": operation(
                "health",
                "The app's status, for a probe",
                {"200": json("Events flow", "Status"), "503": json("Events do not flow", "Status")},
                anonymous=True,
            )
        },
        "/api/health/details": {
            "get": operation(
                "healthDetails",
                "The app's status, the reasons and the figures behind them",
                {"200": json("Events flow", "Health"), "503": json("Events do not flow", "Health")},
            )
        },
        "/api/stats": {
            "get": operation(
                "stats",
                "Activity of all instances by minute",
                {"200": json("The last minutes", "Stats"), **BAD, **AWAY},
                parameters=[
                    integer("minutes", 60, activity.MAX_MINUTES, "Number of minutes, the current one included")
                ],
            )
        },
        "/api/debug/session": {
            "get": operation(
                "debugSession",
                "Keys by namespace, masked, and a user's sessions and tokens; off unless DEBUG_ENDPOINT_ENABLED",
                {
                    "200": json("The report", "Report"),
                    **BAD,
                    "404": json("The endpoint is off", "Error"),
                    "429": json("There is no census of the keys yet", "Error")
                    | {"headers": {"Retry-After": {"schema": {"type": "string"}, "description": "Seconds"}}},
                    **AWAY,
                },
                parameters=[query("userId", {"type": "string", "maxLength": MAX_USER_CHARS})],
            )
        },
        **_dead_letter_paths(),
        **openapi_charts.paths(),
        **_monitor_paths(),
        "/api/openapi.json": {
            "get": operation(
                "openapi",
                "This document",
                {
                    "200": {
                        "description": "OpenAPI 3.1",
                        "content": {"application/json": {"schema": _OBJECT}},
                    }
                },
                anonymous=True,
            )
        },
    }


def _dead_letter_paths() -> dict[str, Any]:
    return {
        "/api/events/dead": {
            "get": operation(
                "deadLetters",
                "Dead letters, newest first",
                {"200": json("A page of letters", "DeadLetters"), **BAD, **AWAY},
                parameters=[
                    query("reactor", {"enum": list(NAMES)}),
                    query(
                        "cursor",
                        {"type": "string", "pattern": monitor_document.CURSOR},
                        "`nextCursor` of the previous page",
                    ),
                    integer("limit", 50, MAX_PAGE, "Maximum number of letters on a page"),
                ],
            )
        },
        "/api/events/dead/{id}": {
            "get": operation(
                "deadLetter",
                "A letter with what the reader makes of its payload: encoding, table, columns, series",
                {
                    "200": json("The letter", "ExplainedLetter"),
                    **UNKNOWN,
                    "409": json("The letter cannot be read", "Error"),
                    **AWAY,
                },
                parameters=[_LETTER],
            )
        },
        "/api/events/dead/{id}/replay": {
            "post": operation(
                "replayDeadLetter",
                "Replay a letter; it is removed when its effect is in place",
                {
                    "200": json("The outcome", "Replay"),
                    **UNKNOWN,
                    "409": json("The letter cannot be replayed", "Error"),
                    **AWAY,
                },
                parameters=[_LETTER],
            )
        },
        "/api/events/dead/{id}/discard": {
            "post": operation(
                "discardDeadLetter",
                "Remove a letter permanently",
                {"204": {"description": "The letter is removed"}, **UNKNOWN, **AWAY},
                parameters=[_LETTER],
            )
        },
    }


def _monitor_paths() -> dict[str, Any]:
    text = {"schema": {"type": "string"}}
    return {
        "/api/monitor": {
            "get": operation(
                "monitor",
                "The monitor page, without data",
                {
                    "200": {"description": "The page", "content": {"text/html": text}},
                    "308": {"description": "The page's address: this one without the trailing slash"},
                },
                anonymous=True,
            )
        },
        "/api/monitor/{file}": {
            "get": operation(
                "monitorFile",
                "A script or style of the page",
                {
                    "200": {
                        "description": "The file",
                        "headers": _ETAG,
                        "content": {"text/css": text, "text/javascript": text},
                    },
                    "304": {"description": "The file is the one that If-None-Match names", "headers": _ETAG},
                    "404": json("There is no such file", "Error"),
                },
                parameters=[{"name": "file", "in": "path", "required": True, "schema": {"type": "string"}}],
                anonymous=True,
            )
        },
        "/api/monitor/data": {
            "get": operation(
                "monitorData", "All data of the page", {"200": json("The current data", "Monitor"), **AWAY}
            )
        },
    }
