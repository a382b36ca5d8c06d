"""The settings CHART_SOURCES and CHART_SOURCE_HOSTS: what is refused, and what an id may do to a request."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from shared import settings
from shared.errors import ConfigurationError, SourceDown
from shared.sources.addresses import Hosts, parse_hosts
from shared.sources.client import Client
from shared.sources.config import Source, parse
from shared.sources.request import body_of, url_of
from tests.support.chart_source import ChartSource, serving

HOST = "https://api.example.com"
URL = HOST + "/charts/{chartId}/{dataType}"


def source(**members: Any) -> dict[str, Any]:
    return {"match": "co2-*", "url": URL} | members


def faults(*sources: Any, hosts: str = "api.example.com", **values: str) -> list[str]:
    try:
        parse(json.dumps(list(sources)), hosts, tuple(values.items()))
    except ConfigurationError as error:
        return list(error.faults)
    return []


def test_the_defaults_are_those_of_the_documentation() -> None:
    (entry,) = parse(json.dumps([source()]), "api.example.com", ()).entries
    assert (entry.method, entry.ttl_s, entry.refresh_ahead_s, entry.timeout_s) == ("GET", 300, 30, 10)


def test_a_chart_has_the_first_source_whose_glob_matches() -> None:
    entries = [source(match="co2-flow:real*"), source(match="co2-*"), source(match="[ab]:d")]
    sources = parse(json.dumps(entries), "api.example.com", ())
    matches = {
        (b"co2-flow", b"realtime"): "co2-flow:real*",
        (b"co2-flow", b"daily"): "co2-*",
        (b"a", b"d"): "[ab]:d",
        (b"CO2-flow", b"d"): None,
        (b"\xff", b"d"): None,
    }
    for parts, glob in matches.items():
        entry = sources.of(*parts)
        assert (entry.match if entry else None) == glob


def test_all_faults_are_reported_together_and_none_shows_a_secret() -> None:
    with pytest.raises(ConfigurationError) as error:
        settings.parse(
            {
                "CHART_SOURCES": json.dumps(
                    [
                        source(headers={"x-functions-key": "hunter2"}),
                        source(match="b", url="http://other.example.com/"),
                        source(match="c", ttl_s=0.5),
                    ]
                ),
                "CHART_SOURCE_HOSTS": "api.example.com, not a host",
                "RETRY_BASE_S": "x",
            }
        )
    text = str(error.value)
    assert "hunter2" not in text
    for part in ("[0].headers.x-functions-key", "[1].url", "[2]", "'not a host'", "RETRY_BASE_S"):
        assert part in text


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ({"url": "ftp://api.example.com/"}, "does not begin with"),
        ({"url": "https://api.example.com.evil.com/"}, "is not in CHART_SOURCE_HOSTS"),
        ({"url": "https://api.example.com@evil.com/"}, "user and password"),
        ({"url": "https://{chartId}.example.com/"}, "has to be written out"),
        ({"url": "https://{chartId}/"}, "has to be written out"),
        ({"url": "https://%API_HOST%/"}, "has to be written out"),
        ({"url": "https://169.254.169.254/metadata"}, "is not in CHART_SOURCE_HOSTS"),
        ({"url": "https://2852039166/metadata"}, "is not in CHART_SOURCE_HOSTS"),
        ({"url": "https://api.example.com/#x"}, "percent-encode"),
        ({"url": "https://api.example.com/{id}"}, "is unknown"),
        ({"url": "https://api.example.com/?code=abc"}, "holds a secret"),
        ({"url": "https://api.example.com:x/"}, "no URL"),
        ({"headers": {"Authorization": "Bearer abc"}}, "holds a secret"),
        ({"headers": {"X-Api-Key": "abc"}}, "holds a secret"),
        ({"headers": {"X-Api-Key": "%NOT_SET%"}}, "NOT_SET is not set"),
        ({"headers": {"Host": "evil.com"}}, "is set by the app"),
        ({"headers": {"x": "a\r\nb: c"}}, "is no header"),
        ({"headers": {"x": "Bearer %LINE%"}}, "the value of LINE cannot be in a header"),
        ({"headers": {"x": "{chartId}"}}, "may stand in the URL and in the body"),
        ({"headers": {"x-signature": "abc"}}, "holds a secret"),
        ({"body": {"pwd": "abc"}, "method": "POST"}, "holds a secret"),
        ({"url": URL + "?code=%BROKEN%"}, "the setting BROKEN is not text"),
        ({"headers": {"authorization": "%KEY%"}, "scope": "https://x/.default"}, "is set by the app"),
        ({"body": {"a": 1}}, "needs method POST"),
        ({"body": {"apiKey": "abc"}, "method": "POST"}, "holds a secret"),
        ({"select": "rows["}, "no JMESPath"),
        ({"ttl_s": 30, "refresh_ahead_s": 20}, "above half of ttl_s"),
        ({"ttl": 30}, "unknown field"),
        ({"method": "DELETE"}, "Invalid enum value"),
    ],
)
def test_what_makes_no_safe_request_is_refused(members: dict[str, Any], fault: str) -> None:
    (found,) = faults(source(**members), KEY="value of the key", LINE="abc\n", BROKEN="\udcff")
    assert fault in found
    assert "abc" not in found.replace("abc'", "")


def test_a_secret_travels_by_tls_only() -> None:
    plain = source(url="http://10.1.2.3/", headers={"X-Key": "%KEY%"})
    assert "needs https" in faults(plain, hosts="10.1.2.3", KEY="secret")[0]
    assert not faults(source(url="http://127.0.0.1/", headers={"X-Key": "%KEY%"}), hosts="127.0.0.1", KEY="secret")


def test_a_reference_is_replaced_and_its_value_shown_nowhere() -> None:
    environ = {
        "CHART_SOURCES": json.dumps(
            [
                source(
                    url=URL + "?code=%FUNC_KEY%",
                    headers={"Authorization": "Bearer %FUNC_KEY%"},
                    method="POST",
                    body={"a": ["%FUNC_KEY%"]},
                )
            ]
        ),
        "CHART_SOURCE_HOSTS": "api.example.com",
        "FUNC_KEY": "hunter2+/=",
    }
    parsed = settings.parse(environ)
    (entry,) = parsed.sources.entries
    assert entry.url.endswith("?code=hunter2%2B%2F%3D")
    assert entry.headers["Authorization"] == "Bearer hunter2+/="
    assert entry.body == {"a": ["hunter2+/="]}
    assert "hunter2" not in repr(parsed) + repr(entry) + repr(parsed.sources) + entry.shown


def test_ids_are_percent_encoded_and_cannot_leave_their_place() -> None:
    entry = Source("*", URL)
    assert (
        url_of(entry, b"a b?c=d&e#f@g:h", b"\xff%").removeprefix(HOST) == "/charts/a%20b%3Fc%3Dd%26e%23f%40g%3Ah/%FF%25"
    )
    steps = (b"..", b".", b"../admin", b"a/../b", b"a\\..\\b", b"a/", b"/a", b"x/y", b"%2e%2e", b"..%2fadmin", b"a%5Cb")
    for id_ in (*steps, b"x" * 2000):
        for ids in ((id_, b"d"), (b"c", id_)):
            with pytest.raises(SourceDown) as error:
                url_of(entry, *ids)
            assert error.value.of_chart
    in_query = Source("*", HOST + "/chart?id={chartId}&type={dataType}")
    for id_ in steps:
        url = urlsplit(url_of(in_query, id_, b"&x=1"))
        assert (url.path, parse_qs(url.query)) == ("/chart", {"id": [id_.decode()], "type": ["&x=1"]})


async def test_an_id_reaches_the_route_of_its_source_and_no_other() -> None:
    """FastAPI decodes a path before it chooses a route: ids with slashes would choose one."""
    source = ChartSource()
    others: list[str] = []

    @source.app.get("/{path:path}")
    async def other(path: str) -> None:
        others.append(path)

    hosts, _ = parse_hosts("127.0.0.1")
    async with serving(source.app) as source.port:
        client, entry = Client(hosts), Source("*", source.url, timeout_s=5)
        try:
            for id_ in (
                b"a b",
                b"a?b",
                b"a#b",
                b"\xc3\xa9",
                b"a\r\nHost: evil",
                b"a;b=c",
                b"a@b:80",
                "\uff0f..".encode(),
            ):
                await client.fetch(entry, id_, b"d", 10_000)
            for id_ in (b"x/y", b"../admin", b"..", b"%2e%2e%2fadmin"):
                with pytest.raises(SourceDown):
                    await client.fetch(entry, id_, b"d", 10_000)
        finally:
            await client.close()
    expected = ["a b:d", "a?b:d", "a#b:d", "\xe9:d", "a\r\nHost: evil:d", "a;b=c:d", "a@b:80:d", "\uff0f..:d"]
    assert [chart for _, chart in source.requests] == expected
    assert not others


def test_in_a_body_an_id_is_data_and_never_code() -> None:
    body = {
        "variables": {"id": "{chartId}"},
        "query": 'EVALUATE FILTER(c, c[id] = "{chartId}")',
        "n": [1, "{dataType}"],
    }
    entry = Source("*", URL, method="POST", body=body)
    assert json.loads(body_of(entry, b"co2-flow", b"d") or b"") == {
        "variables": {"id": "co2-flow"},
        "query": 'EVALUATE FILTER(c, c[id] = "co2-flow")',
        "n": [1, "d"],
    }
    hostile = b'x") || TRUE() //'
    with pytest.raises(SourceDown):
        body_of(entry, hostile, b"d")
    only_variables = Source("*", URL, method="POST", body={"variables": {"id": "{chartId}"}})
    assert json.loads(body_of(only_variables, hostile, b"d") or b"") == {"variables": {"id": hostile.decode()}}
    for id_ in (b"x" * 2000, b"\xff"):
        with pytest.raises(SourceDown) as error:
            body_of(only_variables, id_, b"d")
        assert error.value.of_chart


PRIVATE = [
    *("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "168.63.129.16", "100.100.100.200"),
    *("0.0.0.0", "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1"),  # noqa: S104
    *("::1", "::", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "::ffff:10.0.0.1", "::ffff:169.254.169.254"),
    *("64:ff9b::a00:1", "2002:a00:1::", "ff02::1", "fec0::1", "not an address"),
]


def test_an_address_that_stands_for_several_is_not_listed_with_one_of_them() -> None:
    """Teredo: its server is in the list, the machine behind it (10.0.0.1) is not."""
    hosts, _ = parse_hosts("10.4.0.0/16")
    assert not hosts.has_address("2001:0:0a04:0001:0:ffff:f5ff:fffe")
    itself, _ = parse_hosts("2001::/32")
    assert itself.has_address("2001:0:0a04:0001:0:ffff:f5ff:fffe")


def test_a_setting_that_is_no_text_is_a_fault_and_no_crash() -> None:
    with pytest.raises(ConfigurationError, match="CHART_SOURCES is not JSON"):
        settings.parse({"CHART_SOURCES": '[{"match": "\udcff"}]', "CHART_SOURCE_HOSTS": "api.example.com"})


@pytest.mark.parametrize("address", PRIVATE)
def test_private_and_special_addresses_are_refused_unless_listed(address: str) -> None:
    assert not Hosts(frozenset({"api.example.com"})).has_address(address)
    if address != "not an address":
        hosts, _ = parse_hosts(address.partition("%")[0])
        assert hosts.has_address(address)


def test_public_addresses_and_listed_networks_are_allowed() -> None:
    hosts, found = parse_hosts("API.example.com., 10.4.0.0/16, [fd12::1]")
    assert not found
    for address in ("8.8.8.8", "2606:4700::1111", "10.4.7.7", "::ffff:10.4.7.7", "fd12::1"):
        assert hosts.has_address(address)
    assert not hosts.has_address("10.5.0.1")
    assert hosts.has_name("api.EXAMPLE.com")
    assert hosts.has_name("10.4.0.9")
    assert not hosts.has_name("example.com")
    assert not hosts.has_name("8.8.8.8")
