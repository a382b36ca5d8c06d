"""The paths of the OpenAPI document about one key, and about activity over hours and days."""

from typing import Any

from shared.operations import activity
from shared.operations.openapi_parts import AWAY, BAD, REF, json, operation, query


def paths() -> dict[str, Any]:
    """The paths of keys and of the history."""
    question = {"required": True, "content": {"application/json": {"schema": {"$ref": REF + "KeyQuestion"}}}}
    return {
        "/api/stats/history": {
            "get": operation(
                "statsHistory",
                "Outcomes of all instances over hours or days",
                {"200": json("The outcomes, by 10 minutes or by hour", "History"), **BAD, **AWAY},
                parameters=[query("range", {"enum": [of.value for of in activity.Range], "default": "24h"}, "")],
            )
        },
        "/api/keys/show": {
            "post": operation(
                "showKey",
                "What Redis and the app know of a key; in the body, because a key may hold a token",
                {
                    "200": json("The report", "KeyReport"),
                    **BAD,
                    "404": json("No key, or more than one, is shown like this", "Error"),
                    "413": json("The body is too large", "Error"),
                    "503": json("Redis does not answer, or the search takes too long", "Error"),
                },
            )
            | {"requestBody": question}
        },
    }
