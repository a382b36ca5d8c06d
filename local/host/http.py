"""HTTP triggers: Azure's routes, methods and keys in front of the worker, and both conversions."""

import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from aiohttp import web
from multidict import MultiMapping

from local.host.bindings import BindingError, Function
from local.host.worker import Datum, Outcome

DEFAULT_PREFIX = "api"
MAX_BODY_BYTES = 100 * 1024 * 1024
"""Azure's limit of a request body (FUNCTIONS_REQUEST_BODY_SIZE_LIMIT)."""

_LEVELS = ("anonymous", "function", "admin")
_CONSTRAINTS = {
    "int": r"[+-]?\d+",
    "long": r"[+-]?\d+",
    "bool": "true|false",
    "alpha": "[a-z]+",
    "guid": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
}
_SET_BY_THE_SERVER = {"content-length", "transfer-encoding", "connection"}

type Invoke = Callable[[Function, Datum], Awaitable[Outcome]]


@dataclass(frozen=True)
class Endpoint:
    """One HTTP function: what it answers to. No methods means all of them."""

    function: Function
    path: re.Pattern[str]
    precedence: tuple[int, ...]
    methods: frozenset[str]
    level: str


def parse_endpoint(function: Function, trigger: Mapping[str, Any], prefix: str) -> Endpoint:
    """The endpoint of an httpTrigger binding under a route prefix. Raises BindingError for what cannot be routed."""
    level = str(trigger.get("authLevel") or "function").lower()
    if level not in _LEVELS:
        raise BindingError(f"The authLevel {level!r} is none of {', '.join(_LEVELS)}")
    route = trigger.get("route")
    path, precedence = _parse_route(f"{prefix}/{function.name if route is None else route}")
    methods = frozenset(str(method).upper() for method in trigger.get("methods") or ())
    return Endpoint(function, path, precedence, methods, level)


def _parse_route(template: str) -> tuple[re.Pattern[str], tuple[int, ...]]:
    """ASP.NET's route template as a pattern, and its rank: a literal goes before a parameter before a catch-all."""
    pattern, precedence = "", []
    for segment in filter(None, template.split("/")):
        if found := re.fullmatch(r"\{(\*{1,2})?(\w+)(\?)?\}", segment):
            value, optional = (".*", True) if found[1] else ("[^/]+", bool(found[3]))
            pattern += f"(?:/(?P<{found[2]}>{value})){'?' if optional else ''}"
            precedence.append(3 if found[1] else 2)
        else:
            parts = re.split(r"\{([^{}]*)\}", segment)
            pattern += "/" + "".join(
                _parse_parameter(part, template) if index % 2 else re.escape(quote(part))
                for index, part in enumerate(parts)
            )
            precedence.append(1 if len(parts) > 1 else 0)
    try:
        return re.compile(pattern + "/?", re.IGNORECASE | re.ASCII), tuple(precedence)
    except re.error as fault:
        raise BindingError(f"The route {template!r} is wrong: {fault.msg}") from None


def _parse_parameter(text: str, template: str) -> str:
    name, _, constraint = text.partition(":")
    if not name.isidentifier():
        raise BindingError(f"The route {template!r} has a parameter that the local host cannot read")
    if constraint and constraint not in _CONSTRAINTS:
        raise BindingError(f"The route {template!r} has the constraint {constraint!r}, which the local host lacks")
    return f"(?P<{name}>{_CONSTRAINTS.get(constraint, '[^/]+')})"


@asynccontextmanager
async def serve(
    endpoints: Iterable[Endpoint], invoke: Invoke, *, key: str, host: str, port: int, stop_s: float
) -> AsyncIterator[str]:
    """Serve the endpoints, and give the base URL. On leaving, running requests have `stop_s` seconds to end.

    Raises OSError where the address cannot be had. Port 0 is a free port.
    """
    in_order = sorted(endpoints, key=lambda endpoint: endpoint.precedence)

    async def answer(request: web.Request) -> web.Response:
        return await _answer(request, in_order, invoke, key)

    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=stop_s)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _answer(request: web.Request, endpoints: Iterable[Endpoint], invoke: Invoke, key: str) -> web.Response:
    path = request.rel_url.raw_path
    for endpoint in endpoints:
        found = endpoint.path.fullmatch(path)
        if found is None or (endpoint.methods and request.method not in endpoint.methods):
            continue
        given = request.headers.get("x-functions-key") or request.query.get("code", "")
        if endpoint.level != "anonymous" and not secrets.compare_digest(
            given.encode(errors="surrogateescape"), key.encode()
        ):
            return web.Response(status=401)
        params = {name: unquote(value) for name, value in found.groupdict().items() if value is not None}
        outcome = await invoke(endpoint.function, await _request_datum(request, params))
        return _response(outcome)
    return web.Response(status=404)  # also for a method that the route does not take: the real host has no 405


async def _request_datum(request: web.Request, params: Mapping[str, str]) -> Datum:
    """The request as the host hands it over: names of headers in lower case, repeats joined, empty values dropped."""
    return Datum(
        {
            "method": Datum(request.method, "string"),
            "url": Datum(str(request.url), "string"),
            "headers": _strings({name.lower(): value for name, value in _joined(request.headers).items()}),
            "params": _strings(params),
            "query": _strings(_joined(request.query)),
            "body": Datum(await request.read(), "bytes"),
        },
        "http",
    )


def _joined(pairs: MultiMapping[str]) -> dict[str, str]:
    joined = {name: ",".join(pairs.getall(name)) for name in pairs}
    return {name: value for name, value in joined.items() if value}


def _strings(values: Mapping[str, str]) -> dict[str, Datum]:
    return {name: Datum(value, "string") for name, value in values.items()}


def _response(outcome: Outcome) -> web.Response:
    if not outcome.ok:
        return web.Response(status=500)
    if outcome.value is None:
        return web.Response(status=204)
    if outcome.value.type == "string":
        return web.Response(text=outcome.value.value)
    fields = outcome.value.value
    response = web.Response(status=int(fields["status_code"].value), body=fields["body"].value)
    for name, header in fields["headers"].items():
        if name.lower() not in _SET_BY_THE_SERVER:
            response.headers[name] = header.value
    for cookies in fields["cookies"] or ():
        for cookie in cookies.values():
            response.headers.add("Set-Cookie", cookie.OutputString())
    return response
