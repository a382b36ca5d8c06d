"""The OpenAPI document of the HTTP functions. Its schemas are generated from the types of the answers."""

from functools import cache
from typing import Any

import msgspec

from shared.delivery.dead_letters import MAX_PAGE
from shared.operations import (
    activity,
    chart_list,
    debug,
    effects,
    explanations,
    key_report,
    letter_selection,
    monitor_document,
    openapi_charts,
    openapi_keys,
)
from shared.operations.debug import MAX_USER_CHARS
from shared.operations.letter_selection import MAX_AGE_S
from shared.operations.openapi_parts import AWAY, BAD, REF, UNKNOWN, integer, json, operation, query
from shared.reactor import Result
from shared.registry import NAMES

_LETTER = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"}}
_OBJECT = {"type": "object"}
_FILTERS = [
    query("reactor", {"enum": list(NAMES)}),
    query("reason", {"type": "string", "maxLength": 200}, "Text in the error and its message"),
    query("match", {"type": "string", "maxLength": 200}, "Glob of Redis over keys as they are shown"),
    query("olderThanS", {"type": "integer", "minimum": 1, "maximum": MAX_AGE_S}, "Buried longer ago"),
    query("newerThanS", {"type": "integer", "minimum": 1, "maximum": MAX_AGE_S}, "Buried since"),
    query("group", {"type": "string", "maxLength": letter_selection.MAX_GROUP_CHARS}, "`reason` of a group, exactly"),
]
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
        letter_selection.LetterGroups,
        Replay,
        debug.Report,
        explanations.DetailedLetter,
        key_report.KeyQuestion,
        key_report.KeyReport,
        letter_selection.LetterAction,
        letter_selection.LetterResults,
        monitor_document.DeadLetters,
        monitor_document.Monitor,
        activity.Stats,
        activity.History,
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
                    "ageS": {"type": "number"},
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
        "/api/metrics": {
            "get": operation(
                "metrics",
                "The metrics of all instances, for Prometheus (text format 0.0.4)",
                {
                    "200": {"description": "The metrics", "content": {"text/plain": {"schema": {"type": "string"}}}},
                    **AWAY,
                },
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
        **_letter_group_paths(),
        **openapi_keys.paths(),
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
                    *_FILTERS,
                    query(
                        "cursor",
                        {"type": "string", "pattern": letter_selection.CURSOR},
                        "`nextCursor` of the previous page",
                    ),
                    integer("limit", 50, MAX_PAGE, "Maximum number of letters on a page"),
                ],
            )
        },
        "/api/events/dead/{id}": {
            "get": operation(
                "deadLetter",
                "A letter with the beginning of its payload, masked, and what the reader makes of it",
                {
                    "200": json("The letter", "DetailedLetter"),
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
                "Remove a letter permanently; the same content is not buried again",
                {"204": {"description": "The letter is removed"}, **UNKNOWN, **AWAY},
                parameters=[_LETTER],
            )
        },
    }


def _letter_group_paths() -> dict[str, Any]:
    def action(name: str, summary: str) -> dict[str, Any]:
        too_large = {"413": json("The body is too large", "Error")}
        done = {"200": json("What happened to each letter", "LetterResults")}
        done_by = operation(name, summary, {**done, **BAD, **too_large, **AWAY})
        body = {"required": True, "content": {"application/json": {"schema": {"$ref": REF + "LetterAction"}}}}
        return {"post": done_by | {"requestBody": body}}

    return {
        "/api/events/dead-groups": {
            "get": operation(
                "deadLetterGroups",
                "Dead letters by reactor and reason, the most frequent first",
                {"200": json("The groups", "LetterGroups"), **BAD, **AWAY},
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
                "monitorData",
                "All data of the page",
                {"200": json("The current data", "Monitor"), **BAD, **AWAY},
                parameters=[
                    query("effectsAfter", {"type": "string", "pattern": effects.ID}, "Only effects after this id")
                ],
            )
        },
    }
