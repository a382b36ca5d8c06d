"""The HTTP trigger: routes, methods and keys as in Azure, and the conversion of requests and responses."""

import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from aiohttp import web
from multidict import MultiMapping

from local.host.bindings import BindingError, Function
from local.host.worker import Datum, InvocationResult

DEFAULT_PREFIX = "api"
MAX_BODY_BYTES = 100 * 1024 * 1024
"""Azure's limit of a request body, unless FUNCTIONS_REQUEST_BODY_SIZE_LIMIT is another."""

_LEVELS = ("anonymous", "function", "admin")
_CONSTRAINTS = {
    "int": r"[+-]?\d+",
    "long": r"[+-]?\d+",
    "bool": "true|false",
    "alpha": "[a-z]+",
    "guid": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
}
_SET_BY_THE_SERVER = {"content-length", "transfer-encoding", "connection"}

type Invoke = Callable[[Function, Datum], Awaitable[InvocationResult]]


@dataclass(frozen=True)
class Endpoint:
    """The requests that an HTTP function answers."""

    function: Function
    path: re.Pattern[str]
    """Matches the path of a request as `decoded` returns it."""
    methods: frozenset[str]
    """In upper case. Empty: all methods."""
    level: str
    """"anonymous", "function" or "admin"."""


def parse_endpoint(function: Function, trigger: Mapping[str, Any], prefix: str) -> Endpoint:
    """The endpoint of an httpTrigger binding under a route prefix. Raises BindingError for a bad route or level."""
    level = str(trigger.get("authLevel") or "function").lower()
    if level not in _LEVELS:
        raise BindingError(f"the authLevel {level!r} is none of {', '.join(_LEVELS)}")
    route = trigger.get("route")
    path = _parse_route(f"{prefix}/{function.name if route is None else route}")
    methods = frozenset(str(method).upper() for method in trigger.get("methods") or ())
    return Endpoint(function, path, methods, level)


def decoded(raw_path: str) -> str:
    """The path of a request as the real host matches it: percent-encoding is undone, except that of a slash."""
    parts = re.split("(%2F)", raw_path, flags=re.IGNORECASE)
    return "".join(part if index % 2 else unquote(part) for index, part in enumerate(parts))


def _parse_route(template: str) -> re.Pattern[str]:
    """The pattern of an ASP.NET route template."""
    pattern = ""
    for segment in filter(None, template.split("/")):
        if parameter := re.fullmatch(r"\{(\*{1,2})?(\w+)(\?)?\}", segment):
            value, optional = (".*", True) if parameter[1] else ("[^/]+", bool(parameter[3]))
            pattern += f"(?:/(?P<{parameter[2]}>{value})){'?' if optional else ''}"
        else:
            parts = re.split(r"\{([^{}]*)\}", segment)
            pattern += "/" + "".join(
                _parse_parameter(part, template) if index % 2 else re.escape(part) for index, part in enumerate(parts)
            )
    try:
        return re.compile(pattern + "/?", re.IGNORECASE | re.ASCII | re.DOTALL)
    except re.error as error:
        raise BindingError(f"the route {template!r} is invalid: {error.msg}") from None


def _parse_parameter(text: str, template: str) -> str:
    name, _, constraint = text.partition(":")
    if not name.isidentifier():
        raise BindingError(f"the route {template!r} has a parameter that the local host cannot parse")
    if constraint and constraint not in _CONSTRAINTS:
        raise BindingError(f"the route {template!r} has the constraint {constraint!r}, which the local host lacks")
    return f"(?P<{name}>{_CONSTRAINTS.get(constraint, '[^/]+')})"


@asynccontextmanager
async def serve(
    endpoints: Iterable[Endpoint],
    invoke: Invoke,
    *,
    key: str,
    host: str,
    port: int,
    stop_s: float,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> AsyncIterator[str]:
    """Serve the endpoints within the context, whose value is the base URL. Port 0 picks a free port.

    As on the real host, the first endpoint in the order of the functions' names that matches a request answers it: a
    literal has no precedence over a parameter. Names are compared in upper case, so that `a_b` comes after `aB`.

    Requests that run when the context is left may take `stop_s` seconds to end. Raises OSError if the server cannot
    listen on the address.
    """
    by_name = sorted(endpoints, key=lambda endpoint: endpoint.function.name.upper())

    async def answer(request: web.Request) -> web.Response:
        return await _answer(request, by_name, invoke, key)

    app = web.Application(client_max_size=max_body_bytes)
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=stop_s)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _answer(request: web.Request, endpoints: Iterable[Endpoint], invoke: Invoke, key: str) -> web.Response:
    path = decoded(request.rel_url.raw_path)
    for endpoint in endpoints:
        match = endpoint.path.fullmatch(path)
        if match is None or (endpoint.methods and request.method not in endpoint.methods):
            continue
        sent_key = request.headers.get("x-functions-key") or request.query.get("code", "")
        if endpoint.level != "anonymous" and not secrets.compare_digest(
            sent_key.encode(errors="surrogateescape"), key.encode()
        ):
            return web.Response(status=401)
        params = {name: value for name, value in match.groupdict().items() if value is not None}
        return _response(await invoke(endpoint.function, await _request_datum(request, params)))
    return web.Response(status=404)  # also for a method that the route does not accept: the real host never sends 405


async def _request_datum(request: web.Request, params: Mapping[str, str]) -> Datum:
    """The request as the host passes it: header names in lower case, repeated values joined, empty values left out."""
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


def _response(result: InvocationResult) -> web.Response:
    if not result.ok:
        return web.Response(status=500)
    if result.value is None:
        return web.Response(status=204)
    if result.value.type == "string":
        return web.Response(text=result.value.value)
    fields = result.value.value
    response = web.Response(status=int(fields["status_code"].value), body=fields["body"].value)
    for name, header in fields["headers"].items():
        if name.lower() not in _SET_BY_THE_SERVER:
            response.headers[name] = header.value
    for cookies in fields["cookies"] or ():
        for cookie in cookies.values():
            response.headers.add("Set-Cookie", cookie.OutputString())
    return response
