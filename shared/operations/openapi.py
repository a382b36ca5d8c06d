"""The OpenAPI document of the HTTP functions. Its schemas are generated from the types of the answers."""

from functools import cache
from typing import Any

import msgspec

from shared.delivery.dead_letters import MAX_PAGE
from shared.operations import activity, debug, explanations, letter_selection, monitor_document
from shared.operations.debug import MAX_USER_CHARS
from shared.reactor import Result
from shared.registry import NAMES

_REF = "#/components/schemas/"
_LETTER = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"}}
_OBJECT = {"type": "object"}
_ETAG = {"ETag": {"schema": {"type": "string"}, "description": "Of the file's content, for If-None-Match."}}


class Error(msgspec.Struct):
    """An error: the reason."""

    error: str


class Groups(msgspec.Struct):
    """Letters by reactor and reason."""

    groups: list[letter_selection.LetterGroup]


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
        Groups,
        Replay,
        debug.Report,
        explanations.ExplainedLetter,
        letter_selection.LetterAction,
        letter_selection.LetterResults,
        monitor_document.DeadLetters,
        monitor_document.Monitor,
        activity.Stats,
    ]
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
            "get": _operation(
                "health",
                "The app's status, for a probe",
                {"200": _json("Events flow", "Status"), "503": _json("Events do not flow", "Status")},
                anonymous=True,
            )
        },
        "/api/health/details": {
            "get": _operation(
                "healthDetails",
                "The app's status, the reasons and the figures behind them",
                {"200": _json("Events flow", "Health"), "503": _json("Events do not flow", "Health")},
            )
        },
        "/api/stats": {
            "get": _operation(
                "stats",
                "Activity of all instances by minute",
                {"200": _json("The last minutes", "Stats"), **_BAD, **_AWAY},
                parameters=[
                    _integer("minutes", 60, activity.MAX_MINUTES, "Number of minutes, the current one included")
                ],
            )
        },
        "/api/debug/session": {
            "get": _operation(
                "debugSession",
                "Keys by namespace, masked, and a user's sessions and tokens; off unless DEBUG_ENDPOINT_ENABLED",
                {
                    "200": _json("The report", "Report"),
                    **_BAD,
                    "404": _json("The endpoint is off", "Error"),
                    "429": _json("There is no census of the keys yet", "Error")
                    | {"headers": {"Retry-After": {"schema": {"type": "string"}, "description": "Seconds"}}},
                    **_AWAY,
                },
                parameters=[_query("userId", {"type": "string", "maxLength": MAX_USER_CHARS})],
            )
        },
        **_dead_letter_paths(),
        **_letter_group_paths(),
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
                {"200": _json("A page of letters", "DeadLetters"), **_BAD, **_AWAY},
                parameters=[
                    *_FILTERS,
                    _query(
                        "cursor",
                        {"type": "string", "pattern": letter_selection.CURSOR},
                        "`nextCursor` of the previous page",
                    ),
                    _integer("limit", 50, MAX_PAGE, "Maximum number of letters on a page"),
                ],
            )
        },
        "/api/events/dead/{id}": {
            "get": _operation(
                "deadLetter",
                "A letter with what the reader makes of its payload: encoding, table, columns, series",
                {
                    "200": _json("The letter", "ExplainedLetter"),
                    **_UNKNOWN,
                    "409": _json("The letter cannot be read", "Error"),
                    **_AWAY,
                },
                parameters=[_LETTER],
            )
        },
        "/api/events/dead/{id}/replay": {
            "post": _operation(
                "replayDeadLetter",
                "Replay a letter; it is removed when its effect is in place",
                {
                    "200": _json("The outcome", "Replay"),
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
                "Remove a letter permanently; the same content is not buried again",
                {"204": {"description": "The letter is removed"}, **_UNKNOWN, **_AWAY},
                parameters=[_LETTER],
            )
        },
    }


def _letter_group_paths() -> dict[str, Any]:
    def action(name: str, summary: str) -> dict[str, Any]:
        too_large = {"413": _json("The body is too large", "Error")}
        done = {"200": _json("What happened to each letter", "LetterResults")}
        operation = _operation(name, summary, {**done, **_BAD, **too_large, **_AWAY})
        body = {"required": True, "content": {"application/json": {"schema": {"$ref": _REF + "LetterAction"}}}}
        return {"post": operation | {"requestBody": body}}

    return {
        "/api/events/dead-groups": {
            "get": _operation(
                "deadLetterGroups",
                "Dead letters by reactor and reason, the most frequent first",
                {"200": _json("The groups", "Groups"), **_BAD, **_AWAY},
                parameters=_FILTERS,
            )
        },
        "/api/events/dead-groups/replay": action(
            "replayDeadLetters", "Replay selected letters, some at a time; nextCursor goes on"
        ),
        "/api/events/dead-groups/discard": action(
            "discardDeadLetters", "Discard selected letters, some at a time; nextCursor goes on"
        ),
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
                    "308": {"description": "The page's address: this one without the trailing slash"},
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
                    "304": {"description": "The file is the one that If-None-Match names", "headers": _ETAG},
                    "404": _json("There is no such file", "Error"),
                },
                parameters=[{"name": "file", "in": "path", "required": True, "schema": {"type": "string"}}],
                anonymous=True,
            )
        },
        "/api/monitor/data": {
            "get": _operation(
                "monitorData", "All data of the page", {"200": _json("The current data", "Monitor"), **_AWAY}
            )
        },
    }


def _json(description: str, schema: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": {"$ref": _REF + schema}}}}


_BAD = {"400": _json("A parameter is invalid", "Error")}
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
        responses = responses | {"401": {"description": "The function key is missing or wrong"}}
    return {
        "operationId": name,
        "summary": summary,
        "parameters": parameters or [],
        "security": [] if anonymous else [{"functionKey": []}],
        "responses": responses,
    }


def _query(name: str, schema: dict[str, Any], description: str = "") -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


def _integer(name: str, default: int, maximum: int, description: str) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 1, "maximum": maximum, "default": default}
    return _query(name, schema, description)


_FILTERS = [
    _query("reactor", {"enum": list(NAMES)}),
    _query("reason", {"type": "string", "maxLength": 200}, "Text in the error and its message"),
    _query("match", {"type": "string", "maxLength": 200}, "Glob of Redis over keys as they are shown"),
    _query("olderThan_s", {"type": "integer", "minimum": 1}, "Buried longer ago"),
    _query("newerThan_s", {"type": "integer", "minimum": 1}, "Buried since"),
]
