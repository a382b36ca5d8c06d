"""What every HTTP function does: JSON answers, faults told as such, parameters checked."""

import functools
import re
import traceback
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import PurePath
from typing import Any

import azure.functions as func
import msgspec

from shared import telemetry

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

type Handler = Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]


class Refusal(Exception):
    """A request that is answered with an error: its status, and why in a few words that hold no input."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.headers = headers or {}


def answered(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> func.HttpResponse:
    """`document`, anything that msgspec encodes, as JSON."""
    body = msgspec.json.encode(document)
    return func.HttpResponse(
        body, status_code=status, mimetype="application/json", headers={**HEADERS, **(headers or {})}
    )


def answering(handler: Handler) -> Handler:
    """A handler that raises nothing: what goes wrong is an answer, and told without what a message may quote."""

    @functools.wraps(handler)
    async def answer(req: func.HttpRequest) -> func.HttpResponse:
        from redis.exceptions import RedisError, ResponseError

        try:
            return await handler(req)
        except Refusal as refusal:
            return answered({"error": str(refusal)}, refusal.status, refusal.headers)
        except FileNotFoundError:
            return answered({"error": "a file of the app is missing"}, 500)
        except ResponseError as fault:
            return answered({"error": f"Redis refuses: {type(fault).__name__}"}, 503)
        except (RedisError, OSError) as fault:
            telemetry.outage("Redis", fault)
            return answered({"error": f"Redis does not answer: {type(fault).__name__}"}, 503)
        except Exception as fault:
            place = traceback.extract_tb(fault.__traceback__)[-1]
            where = f"{PurePath(place.filename).name}:{place.lineno}"
            telemetry.logger.error("%s failed: %s at %s", handler.__name__, type(fault).__name__, where)
            return answered({"error": f"failed: {type(fault).__name__}"}, 500)

    return answer


def whole(req: func.HttpRequest, name: str, default: int, *, most: int) -> int:
    """A parameter of the query that is a number from 1 to `most`. Raises Refusal."""
    text: str | None = req.params.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= most:
        raise Refusal(400, f"{name} has to be a whole number from 1 to {most}")
    return int(text)


def one_of(req: func.HttpRequest, name: str, values: Collection[str]) -> str | None:
    """A parameter of the query that is one of `values`, None where it is not given. Raises Refusal."""
    text: str | None = req.params.get(name)
    if text is not None and text not in values:
        raise Refusal(400, f"{name} has to be one of: {', '.join(values)}")
    return text


def text_of(req: func.HttpRequest, name: str, *, most: int) -> str | None:
    """A parameter of the query of up to `most` characters, None where it is not given. Raises Refusal."""
    text: str | None = req.params.get(name)
    if text is None:
        return None
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refusal(400, f"{name} is not UTF-8") from None
    if len(text) > most:
        raise Refusal(400, f"{name} is longer than {most} characters")
    return text
