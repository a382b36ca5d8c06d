"""The app on a Functions host in a process of its own, seen from outside: `./test --host func` or `--host local`."""

import shutil

import pytest

from local.compare_hosts import REQUESTS, differences, run_on


async def test_every_effect_and_every_answer_arrives_on_the_host(request: pytest.FixtureRequest) -> None:
    kind = request.config.getoption("--host")
    if kind is None:
        pytest.skip("needs --host func (Azure Functions Core Tools) or --host local")
    if kind == "func" and shutil.which("func") is None:
        pytest.skip("func is not installed: npm install --global azure-functions-core-tools@4")
    seen = await run_on(kind)
    assert {name for name, value in seen.items() if value is None} == set()
    assert seen["batch records"]["readings"] == 40
    assert seen["chart"]["points"] == 200
    assert seen["stale chart"]["stale"] is True
    assert seen["dead letters"] == 1
    assert seen["session"] == [["nextauth.session.created", None], ["nextauth.session.ended", "logout"]]
    assert seen["GET /api/health"] == [200, "application/json"]
    assert seen["HEAD /api/health"] == [404, "empty"]
    assert seen["GET /api/monitor/data"][0] == 200, "not taken by monitor/{file}"
    assert len(seen) == len(REQUESTS) + 8


def test_differences_are_named_with_their_place() -> None:
    assert list(differences({"a": [1, {"b": 2}], "c": 1}, {"a": [1, {"b": 3}]})) == ["a/1/b: 2 | 3", "c: 1 | null"]
    assert list(differences({"a": [1]}, {"a": [1, 2]})) == ["a: [1] | [1, 2]"]
    assert list(differences({"a": 1}, {"a": 1})) == []
