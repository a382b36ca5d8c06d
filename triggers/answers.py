"""Shared by all HTTP functions: JSON answers, errors as answers, checked parameters."""

import re
import traceback
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import PurePath
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import azure.functions as func
import msgspec
from redis.exceptions import RedisError, ResponseError

from shared import telemetry
from triggers.invocations import invocation

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

type Handler = Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]
type Function = Callable[[func.HttpRequest, func.Context], Awaitable[func.HttpResponse]]


class Refusal(Exception):
    """A request that is answered with an error: the status, and the reason in a few words without input."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.headers = headers or {}


def json_answer(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> func.HttpResponse:
    """`document`, anything that msgspec encodes, as JSON."""
    body = msgspec.json.encode(document)
    return func.HttpResponse(
        body, status_code=status, mimetype="application/json", headers={**HEADERS, **(headers or {})}
    )


def answering(handler: Handler) -> Function:
    """A function that raises nothing: errors become answers, without the text of the exception, which may quote
    input."""

    async def answer(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        with invocation(context):
            return await _answer(handler, req)

    answer.__name__, answer.__doc__ = (
        handler.__name__,
        handler.__doc__,
    )  # not __wrapped__: the worker reads the signature
    return answer


async def _answer(handler: Handler, req: func.HttpRequest) -> func.HttpResponse:
    try:
        return await handler(req)
    except Refusal as refusal:
        return json_answer({"error": str(refusal)}, refusal.status, refusal.headers)
    except FileNotFoundError:
        return json_answer({"error": "a file of the app is missing"}, 500)
    except ResponseError as error:
        return json_answer({"error": f"Redis refuses: {type(error).__name__}"}, 503)
    except (RedisError, OSError) as error:
        telemetry.outage("Redis", error)
        return json_answer({"error": f"Redis does not answer: {type(error).__name__}"}, 503)
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{PurePath(place.filename).name}:{place.lineno}"
        telemetry.logger.error("%s failed: %s at %s", handler.__name__, type(error).__name__, where)
        return json_answer({"error": f"failed: {type(error).__name__}"}, 500)


def integer_parameter(req: func.HttpRequest, name: str, default: int, *, maximum: int) -> int:
    """A query parameter that is an integer from 1 to `maximum`. Raises Refusal."""
    text: str | None = req.params.get(name)
    if text is None and not _is_empty(req, name):
        return default
    if text is None or not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= maximum:
        raise Refusal(400, f"{name} must be an integer from 1 to {maximum}")
    return int(text)


def _is_empty(req: func.HttpRequest, name: str) -> bool:
    """Whether the parameter is there without a value: the host leaves such a one out."""
    return name in dict(parse_qsl(urlsplit(req.url).query, keep_blank_values=True))


def choice_parameter(req: func.HttpRequest, name: str, values: Collection[str]) -> str | None:
    """A query parameter that is one of `values`; None where it is missing. Raises Refusal."""
    text: str | None = req.params.get(name)
    if text is not None and text not in values:
        raise Refusal(400, f"{name} must be one of: {', '.join(values)}")
    return text


def text_parameter(req: func.HttpRequest, name: str, *, max_chars: int) -> str | None:
    """A query parameter of up to `max_chars` characters; None where it is missing. Raises Refusal."""
    text: str | None = req.params.get(name)
    if text is None:
        return None
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refusal(400, f"{name} is not UTF-8") from None
    if len(text) > max_chars:
        raise Refusal(400, f"{name} is longer than {max_chars} characters")
    return text
