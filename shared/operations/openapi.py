"""The OpenAPI document of the HTTP functions. Schemas are those of the types that the answers are made of."""

from functools import cache
from typing import Any

import msgspec

from shared.delivery.dead_letters import MAX_PAGE
from shared.operations import activity, debug, monitor_document
from shared.operations.debug import MAX_USER_CHARS
from shared.reactor import Result
from shared.registry import NAMES

_REF = "#/components/schemas/"
_LETTER = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"}}
_OBJECT = {"type": "object"}
_ETAG = {"ETag": {"schema": {"type": "string"}, "description": "Of the file's content, for If-None-Match."}}


class Error(msgspec.Struct):
    """Why there is no other answer."""

    error: str


class Replay(msgspec.Struct):
    """How a replay ended, and whether the letter is gone."""

    id: str
    outcome: Result
    reason: str | None
    removed: bool


@cache
def document() -> dict[str, Any]:
    """The document, OpenAPI 3.1."""
    types = [Error, Replay, debug.Report, monitor_document.DeadLetters, monitor_document.Monitor, activity.Stats]
    _, schemas = msgspec.json.schema_components(types, ref_template=_REF + "{name}")
    for schema in schemas.values():
        if schema.get("type") == "object" and "properties" in schema:
            schema["additionalProperties"] = False
    schemas |= {"Status": _STATUS, "Health": _HEALTH}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Keyspace Functions",
            "version": "1",
            "description": "What the app says of itself. Keys are masked; no answer holds a token. Answers are JSON.",
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
    "description": "ok; degraded: events flow, and something needs attention; failed: they "
    "do not, or nothing can come of them.",
    "properties": {"status": {"enum": ["ok", "degraded", "failed"]}},
    "required": ["status"],
    "additionalProperties": False,
}
_HEALTH = {
    "type": "object",
    "description": "The status, the reasons why it is not ok, and what they follow from, where that can be known.",
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
    },
    "required": ["status", "reasons", "redis"],
}


def _paths() -> dict[str, Any]:
    return {
        "/api/health": {
            "get": _operation(
                "health",
                "The app's status, for a probe",
                {"200": _json("Events flow", "Status"), "503": _json("They do not", "Status")},
                anonymous=True,
            )
        },
        "/api/health/details": {
            "get": _operation(
                "healthDetails",
                "The app's status, why, and what it follows from",
                {"200": _json("Events flow", "Health"), "503": _json("They do not", "Health")},
            )
        },
        "/api/stats": {
            "get": _operation(
                "stats",
                "What all instances did, by minute",
                {"200": _json("The last minutes", "Stats"), **_BAD, **_AWAY},
                parameters=[_whole("minutes", 60, activity.MAX_MINUTES, "How many minutes, the present one included")],
            )
        },
        "/api/debug/session": {
            "get": _operation(
                "debugSession",
                "Keys by namespace, masked, and what there is of a user; off unless DEBUG_ENDPOINT_ENABLED",
                {
                    "200": _json("What there is", "Report"),
                    **_BAD,
                    "404": _json("The endpoint is off", "Error"),
                    "429": _json("The keys are not counted yet", "Error")
                    | {"headers": {"Retry-After": {"schema": {"type": "string"}, "description": "Seconds"}}},
                    **_AWAY,
                },
                parameters=[_query("userId", {"type": "string", "maxLength": MAX_USER_CHARS})],
            )
        },
        **_dead_letter_paths(),
        **_monitor_paths(),
        "/api/openapi.json": {
            "get": _operation(
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
            "get": _operation(
                "deadLetters",
                "Dead letters, newest first",
                {"200": _json("A page of them", "DeadLetters"), **_BAD, **_AWAY},
                parameters=[
                    _query("reactor", {"enum": list(NAMES)}),
                    _query(
                        "cursor",
                        {"type": "string", "pattern": monitor_document.CURSOR},
                        "`nextCursor` of the page before",
                    ),
                    _whole("limit", 50, MAX_PAGE, "Letters on a page at the most"),
                ],
            )
        },
        "/api/events/dead/{id}/replay": {
            "post": _operation(
                "replayDeadLetter",
                "Try a letter again; it goes when there is an effect",
                {
                    "200": _json("How it ended", "Replay"),
                    **_UNKNOWN,
                    "409": _json("The letter cannot be replayed", "Error"),
                    **_AWAY,
                },
                parameters=[_LETTER],
            )
        },
        "/api/events/dead/{id}/discard": {
            "post": _operation(
                "discardDeadLetter",
                "Remove a letter for good",
                {"204": {"description": "It is gone"}, **_UNKNOWN, **_AWAY},
                parameters=[_LETTER],
            )
        },
    }


def _monitor_paths() -> dict[str, Any]:
    text = {"schema": {"type": "string"}}
    return {
        "/api/monitor": {
            "get": _operation(
                "monitor",
                "The monitor page, without data",
                {
                    "200": {"description": "The page", "content": {"text/html": text}},
                    "308": {"description": "The page's own address: this one without the slash at its end"},
                },
                anonymous=True,
            )
        },
        "/api/monitor/{file}": {
            "get": _operation(
                "monitorFile",
                "A script or style of the page",
                {
                    "200": {
                        "description": "The file",
                        "headers": _ETAG,
                        "content": {"text/css": text, "text/javascript": text},
                    },
                    "304": {"description": "It is the one that If-None-Match names", "headers": _ETAG},
                    "404": _json("There is no such file", "Error"),
                },
                parameters=[{"name": "file", "in": "path", "required": True, "schema": {"type": "string"}}],
                anonymous=True,
            )
        },
        "/api/monitor/data": {
            "get": _operation(
                "monitorData", "Everything that the page shows", {"200": _json("Now", "Monitor"), **_AWAY}
            )
        },
    }


def _json(description: str, schema: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": {"$ref": _REF + schema}}}}


_BAD = {"400": _json("A parameter is wrong", "Error")}
_UNKNOWN = {"404": _json("There is no such letter", "Error")}
_AWAY = {"503": _json("Redis does not answer", "Error")}


def _operation(
    name: str,
    summary: str,
    responses: dict[str, Any],
    *,
    parameters: list[dict[str, Any]] | None = None,
    anonymous: bool = False,
) -> dict[str, Any]:
    if not anonymous:
        responses = responses | {"401": {"description": "No function key, or a wrong one"}}
    return {
        "operationId": name,
        "summary": summary,
        "parameters": parameters or [],
        "security": [] if anonymous else [{"functionKey": []}],
        "responses": responses,
    }


def _query(name: str, schema: dict[str, Any], description: str = "") -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


def _whole(name: str, default: int, most: int, description: str) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    return _query(name, schema, description)
