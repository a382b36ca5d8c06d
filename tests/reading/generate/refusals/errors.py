"""What must not be read: formats refused by name, broken documents, errors, placeholders: errors."""

from typing import Any

from refusals.readings import ROWS, theme

documents: list[tuple[str, str, str, Any]] = [
    (
        "bc",
        "error document of an Azure API",
        "Microsoft REST API guidelines, error response",
        {
            "error": {
                "code": "ExpiredAuthenticationToken",
                "message": "The access token expiry time is earlier than now.",
                "innererror": {"retryAfter": 30},
            }
        },
    ),
    (
        "b",
        "problem details",
        "RFC 9457",
        {
            "type": "about:blank",
            "title": "Not Found",
            "status": 404,
            "detail": "no such batch",
            "instance": "/b/17",
        },
    ),
    (
        "b",
        "NestJS error",
        "NestJS exception filter",
        {"statusCode": 503, "message": "upstream", "error": "Service Unavailable", "timestamp": ROWS[0]["ts"]},
    ),
    (
        "c",
        "GraphQL errors without data",
        "GraphQL specification, errors",
        {
            "data": None,
            "errors": [{"message": "timeout", "locations": [{"line": 2, "column": 3}], "path": ["readings"]}],
        },
    ),
    (
        "b",
        "Elasticsearch error",
        "Elasticsearch error response",
        {"error": {"root_cause": [{"type": "index_not_found_exception"}]}, "status": 404},
    ),
    (
        "b",
        "DRF throttled",
        "Django REST framework",
        {"detail": "Request was throttled. Expected available in 34 seconds."},
    ),
    (
        "c",
        "health document",
        "Spring Boot Actuator health",
        {
            "status": "UP",
            "components": {
                "diskSpace": {
                    "status": "UP",
                    "details": {"total": 250790436864, "free": 100327518208, "threshold": 10485760},
                }
            },
        },
    ),
]
for kinds, name, source, payload in documents:
    theme.add(
        kinds,
        name,
        source,
        payload,
        None,
        refuse="",
        doubt="Numbers of an error or a health document are no readings."
        if name in ("problem details", "NestJS error", "Elasticsearch error", "health document")
        else None,
    )
