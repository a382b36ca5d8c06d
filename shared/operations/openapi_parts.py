"""What the paths of the OpenAPI document are made of."""

from typing import Any

REF = "#/components/schemas/"


def json(description: str, schema: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": {"$ref": REF + schema}}}}


BAD = {"400": json("A parameter is invalid", "Error")}
UNKNOWN = {"404": json("There is no such letter", "Error")}
AWAY = {"503": json("Redis does not answer", "Error")}


def operation(
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


def query(name: str, schema: dict[str, Any], description: str = "") -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


def integer(name: str, default: int, maximum: int, description: str) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 1, "maximum": maximum, "default": default}
    return query(name, schema, description)
