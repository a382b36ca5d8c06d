"""The HTTP trigger: routes, methods, keys, requests and responses."""

import json

import aiohttp
import pytest
from yarl import URL

from local.host.bindings import BindingError, Function
from local.host.host import Host
from local.host.http import decoded, parse_endpoint

ECHO = """
import json

def echo(req):
    return json.dumps({
        "method": req.method, "url": req.url, "route": dict(req.route_params), "query": dict(req.params),
        "header": req.headers.get("X-Probe"), "body": req.get_body().decode(),
    })

@app.route("items/{kind}/{number:int}", auth_level="anonymous")
async def item(req: func.HttpRequest) -> str:
    return echo(req)

@app.route("items/special/7", methods=["GET"], auth_level="anonymous")
async def special(req: func.HttpRequest) -> str:
    return "special"

@app.route("files/{*rest}", auth_level="anonymous")
def files(req: func.HttpRequest) -> str:
    return echo(req)

@app.route("only", methods=["GET", "PUT"], auth_level="anonymous")
async def only(req: func.HttpRequest) -> str:
    return req.method

@app.route(auth_level="anonymous")
async def unnamed(req: func.HttpRequest) -> str:
    return "by its function name"

@app.function_name("under_b")
@app.route("under/{name}", auth_level="anonymous")
async def under_parameter(req: func.HttpRequest) -> str:
    return "under_b"

@app.function_name("underZ")
@app.route("under/literal", auth_level="anonymous")
async def under_literal(req: func.HttpRequest) -> str:
    return "underZ"

@app.route("closed")
async def closed(req: func.HttpRequest) -> str:
    return "open"

@app.route("master", auth_level="admin")
async def master(req: func.HttpRequest) -> str:
    return "open"

@app.route("fails", auth_level="anonymous")
async def fails(req: func.HttpRequest) -> str:
    raise RuntimeError("a secret detail")

@app.route("full", auth_level="anonymous")
async def full(req: func.HttpRequest) -> func.HttpResponse:
    response = func.HttpResponse(b"\\x00body", status_code=202, headers={"X-Own": "yes"}, mimetype="image/png")
    response.headers.add("Set-Cookie", "a=1; Path=/; HttpOnly")
    response.headers.add("Set-Cookie", "b=2; Secure")
    return response
"""


@pytest.fixture
async def http_app(make_app):
    async with (
        Host(make_app(ECHO), http_port=0) as host,
        aiohttp.ClientSession(host.url, cookie_jar=aiohttp.DummyCookieJar()) as client,
    ):
        assert host.errors == {}
        yield host, client


async def test_a_request_reaches_its_function_completely(http_app):
    host, client = http_app
    url = URL("/api/Items/a%2Fb%20c/12?q=1&q=2&empty=&sp=%20", encoded=True)
    async with client.post(url, data=b"text \xc3\xa9", headers={"X-Probe": "p"}) as response:
        assert (response.status, response.content_type) == (200, "text/plain")
        assert await response.json(content_type=None) == {
            "method": "POST",
            "url": f"{host.url}/api/Items/a%2Fb%20c/12?q=1&q=2&empty=&sp=%20",
            "route": {"kind": "a%2Fb c", "number": "12"},
            "query": {"q": "1,2", "sp": " "},
            "header": "p",
            "body": "text é",
        }


@pytest.mark.parametrize(
    ("path", "rest"), [("/api/files", {}), ("/api/files/", {"rest": ""}), ("/api/files/a/b.txt", {"rest": "a/b.txt"})]
)
async def test_a_catch_all_matches_the_rest_of_the_path(http_app, path, rest):
    async with http_app[1].get(path) as response:
        assert (await response.json(content_type=None))["route"] == rest


@pytest.mark.parametrize(
    ("path", "text"), [("/api/unnamed", "by its function name"), ("/api/UNNAMED/", "by its function name")]
)
async def test_a_function_s_default_route_is_its_name(http_app, path, text):
    async with http_app[1].get(path) as response:
        assert (response.status, await response.text()) == (200, text)


async def test_the_first_route_in_the_order_of_names_answers_whatever_is_literal(http_app):
    async with http_app[1].get("/api/items/special/7") as response:
        assert json.loads(await response.text())["route"] == {"kind": "special", "number": "7"}, (
            "item is before special"
        )


async def test_names_are_compared_in_upper_case_where_the_underscore_comes_after_the_letters(http_app):
    for path, name in (("/api/under/literal", "underZ"), ("/api/under/other", "under_b")):
        async with http_app[1].get(path) as response:
            assert await response.text() == name


@pytest.mark.parametrize("path", ["/", "/api", "/items/a/1", "/api/items/a/x", "/api/items/a", "/api/only/more"])
async def test_an_unknown_path_is_not_found(http_app, path):
    async with http_app[1].get(path) as response:
        assert response.status == 404


async def test_a_method_that_the_route_does_not_accept_is_not_found_as_in_azure(http_app):
    async with http_app[1].delete("/api/only") as response:
        assert response.status == 404
    async with http_app[1].put("/api/only") as response:
        assert (response.status, await response.text()) == (200, "PUT")


@pytest.mark.parametrize("path", ["/api/closed", "/api/master"])
async def test_a_function_with_a_key_accepts_only_that_key(http_app, path):
    host, client = http_app
    statuses = []
    for query, headers in [
        ({}, {}),
        ({"code": "wrong"}, {}),
        ({}, {"x-functions-key": "wrong é"}),
        ({"code": host.function_key}, {}),
        ({}, {"x-functions-key": host.function_key}),
    ]:
        async with client.get(path, params=query, headers=headers) as response:
            statuses.append(response.status)
    assert statuses == [401, 401, 401, 200, 200]


async def test_the_environment_can_set_the_key(make_app, monkeypatch):
    monkeypatch.setenv("FUNCTIONS_LOCAL_KEY", "chosen")
    async with (
        Host(make_app(ECHO), http_port=0) as host,
        aiohttp.ClientSession(host.url) as client,
        client.get("/api/closed", headers={"x-functions-key": "chosen"}) as response,
    ):
        assert (response.status, await response.text()) == (200, "open")


async def test_a_failing_function_answers_500_without_details(http_app):
    async with http_app[1].get("/api/fails") as response:
        assert (response.status, await response.text()) == (500, "")
        assert "secret" not in str(response.headers)


async def test_a_response_reaches_the_client_completely(http_app):
    async with http_app[1].get("/api/full") as response:
        assert (response.status, await response.read()) == (202, b"\x00body")
        assert (response.headers["X-Own"], response.headers["Content-Type"]) == ("yes", "image/png")
        cookies = [set(text.split("; ")) for text in response.headers.getall("Set-Cookie")]
        assert cookies == [{"a=1", "Path=/", "HttpOnly"}, {"b=2", "Secure"}]


async def test_a_body_above_azures_limit_is_refused(http_app):
    async def endless():
        for _ in range(101):
            yield bytes(1024 * 1024)

    async with http_app[1].post("/api/files", data=endless()) as response:
        assert response.status == 413


async def test_the_environment_can_set_the_limit_of_bodies(make_app, monkeypatch):
    monkeypatch.setenv("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", "1000")
    async with Host(make_app(ECHO), http_port=0) as host, aiohttp.ClientSession(host.url) as client:
        for size, status in ((1000, 200), (1001, 413)):
            async with client.post("/api/files", data=b"x" * size) as response:
                assert response.status == status


async def test_the_route_prefix_comes_from_host_json(make_app):
    files = {"host.json": '{"version": "2.0", "extensions": {"http": {"routePrefix": ""}}}'}
    async with Host(make_app(ECHO, files=files), http_port=0) as host, aiohttp.ClientSession(host.url) as client:
        async with client.get("/unnamed") as response:
            assert response.status == 200
        async with client.get("/api/unnamed") as response:
            assert response.status == 404


@pytest.mark.parametrize(
    ("route", "path", "params"),
    [
        ("a/{id?}", "/api/a", {"id": None}),
        ("a/{id?}", "/api/a/1", {"id": "1"}),
        ("a/{name}.{ext:alpha}", "/api/a/x.y.png", {"name": "x.y", "ext": "png"}),
        ("{flag:bool}", "/api/TRUE", {"flag": "TRUE"}),
        ("{id:guid}", "/api/0f8fad5b-d9cb-469f-a165-70867728950e", {"id": "0f8fad5b-d9cb-469f-a165-70867728950e"}),
        ("a+b/ü", "/api/a%2Bb/%C3%BC", {}),
        ("{a}/{b}", "/api/x%2fy/%E2%82%AC%25", {"a": "x%2fy", "b": "€%"}),
        ("{a}", "/api/x%0Ay", {"a": "x\ny"}),
        ("a%/{b}", "/%61pi/a%25/1", {"b": "1"}),
    ],
)
def test_a_route_template_matches_its_paths(route, path, params):
    match = parse_endpoint(Function("f", "id", ()), {"route": route}, "api").path.fullmatch(decoded(path))
    assert match is not None
    assert match.groupdict() == params


@pytest.mark.parametrize(
    "binding",
    [{"route": "{a:regex(x)}"}, {"route": "{a}/{a}"}, {"route": "{a-b}"}, {"route": "x{1}"}, {"authLevel": "user"}],
)
def test_a_binding_that_cannot_be_routed_is_refused(binding):
    with pytest.raises(BindingError, match=r"route|authLevel"):
        parse_endpoint(Function("f", "id", ()), binding, "api")
