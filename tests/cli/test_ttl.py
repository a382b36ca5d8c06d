"""`ttl check` finds TTLs that differ from the table; `ttl fix` sets a TTL on keys without one and on no others."""

import json
from collections.abc import Callable

import pytest

from cli import ttl
from cli.terminal import Refused
from cli.ttl import SET_MISSING_TTLS
from shared import namespaces
from shared.app import App
from shared.operations.census import Pace
from shared.operations.key_selection import Selection
from tests.cli.conftest import HALF_KEYSPACE, CostMeter, Manage

UNLIMITED = Pace(None)


async def fix(app: App, *kinds: str, include_sessions: bool = False, dry_run: bool = False) -> dict[str, int]:
    fixed: dict[str, int] = {}
    selection = Selection(kinds=frozenset(kinds))
    await ttl.fix_ttls(app, selection, fixed, include_sessions=include_sessions, dry_run=dry_run, pace=UNLIMITED)
    return fixed


async def test_keys_with_the_ttls_of_the_table_are_no_findings(app: App) -> None:
    for kind in namespaces.TABLE:
        await app.redis.set(kind.example, "x", ex=kind.ttl_s)
    await app.redis.set("nextauth:user:with-a-ttl-of-its-own", "x", ex=10)
    report = await ttl.check_ttls(app)
    assert (report.keys, report.findings) == (len(namespaces.TABLE) + 1, [])


@pytest.mark.parametrize("kind", [kind for kind in namespaces.TABLE if kind.ttl_s], ids=lambda kind: kind.name)
async def test_a_missing_ttl_and_a_ttl_that_is_too_long_are_found_for_each_kind(
    app: App, kind: namespaces.Kind
) -> None:
    await app.redis.set(kind.example, "x")
    (missing,) = (await ttl.check_ttls(app)).findings
    assert (missing.kind, missing.fault, missing.keys, missing.table_ttl_s) == (kind.name, "missing", 1, kind.ttl_s)
    await app.redis.expire(kind.example, (kind.ttl_s or 0) + 60)
    (longer,) = (await ttl.check_ttls(app)).findings
    assert (longer.kind, longer.fault) == (kind.name, "longer")
    assert longer.longest_s == pytest.approx((kind.ttl_s or 0) + 60, abs=5)


async def test_findings_are_summarised_with_a_few_masked_examples(app: App, manage: Manage) -> None:
    for number in range(50):
        await app.redis.set(f"nextauth:session:secret-{number}", "x")
        await app.redis.set(f"session:secret-{number}", "x")
    code, output, stderr = manage("ttl", "check")
    assert code == 1
    assert "secret" not in output + stderr
    assert "100 keys checked, 100 with findings" in stderr
    assert ttl.SESSION_NOTE in stderr
    code, output, _ = manage("ttl", "check", "--json")
    report = json.loads(output)
    assert code == 1
    assert [(finding["kind"], finding["fault"], finding["keys"]) for finding in report["findings"]] == [
        ("session", "missing", 50),
        ("unknown", "unknown", 50),
    ]
    assert [len(finding["examples"]) for finding in report["findings"]] == [ttl.EXAMPLES, ttl.EXAMPLES]


async def test_a_check_without_findings_ends_with_0(app: App, manage: Manage) -> None:
    await app.redis.set("fastapi:temp:data:1", "x", ex=3600)
    assert manage("ttl", "check") == (0, "", "1 key checked, 0 with findings\n")


async def test_missing_ttls_are_set_to_those_of_the_table(app: App) -> None:
    kinds = [kind for kind in namespaces.TABLE if kind is not namespaces.SESSION]
    for kind in kinds:
        await app.redis.set(kind.example, "x")
    fixed = await fix(app)
    assert fixed == {kind.name: 1 for kind in kinds if kind.ttl_s}
    for kind in kinds:
        assert await app.redis.ttl(kind.example) == pytest.approx(kind.ttl_s or -1, abs=5)
    assert await fix(app) == {}


async def test_an_existing_ttl_is_kept(app: App) -> None:
    await app.redis.set("fastapi:temp:data:short", "x", ex=20)
    await app.redis.set("fastapi:temp:data:long", "x", ex=9000)
    assert await fix(app) == {}
    # Also a TTL that was set after the key was checked: the script checks again.
    reply = await app.run(
        SET_MISSING_TTLS,
        keys=["fastapi:temp:data:short", "fastapi:temp:data:long", "fastapi:temp:data:gone"],
        args=[3600] * 3,
    )
    assert reply == [0, 0, 0]
    assert await app.redis.ttl("fastapi:temp:data:short") <= 20
    assert await app.redis.ttl("fastapi:temp:data:long") > 8990


async def test_sessions_are_fixed_only_with_include_sessions(app: App, manage: Manage) -> None:
    await app.redis.set("nextauth:session:1", "x")
    await app.redis.set("fastapi:temp:data:1", "x")
    code, output, _ = manage("ttl", "fix", "--json")
    assert (code, json.loads(output)) == (0, {"dryRun": False, "keys": {"batch": 1}, "sessionsLeftAlone": 1})
    assert await app.redis.ttl("nextauth:session:1") == -1
    assert await fix(app, include_sessions=True) == {"session": 1}
    assert await app.redis.ttl("nextauth:session:1") > 3590


async def test_a_kind_that_cannot_be_fixed_is_refused(app: App) -> None:
    for kinds, reason in ((["session"], "include-sessions"), (["user"], "no TTL for user"), (["unknown"], "unknown")):
        with pytest.raises(Refused, match=reason):
            ttl.refuse_kinds(frozenset(kinds), include_sessions=False)
    ttl.refuse_kinds(frozenset({"session", "batch"}), include_sessions=True)


async def test_only_the_chosen_kinds_are_fixed(app: App) -> None:
    for key in ("fastapi:temp:data:1", "fabric:cache:query:1", "fastapi:results:analysis:1"):
        await app.redis.set(key, "x")
    assert await fix(app, "batch", "query-cache") == {"query-cache": 1, "batch": 1}
    assert await app.redis.ttl("fastapi:results:analysis:1") == -1


async def test_a_dry_run_reports_the_changes_and_makes_none(app: App, manage: Manage) -> None:
    for number in range(300):
        await app.redis.set(f"fastapi:temp:data:{number}", "x")
    code, output, stderr = manage("ttl", "fix", "--dry-run")
    assert (code, output.split()) == (0, ["300", "batch:", "60m"])
    assert "300 keys would get a TTL" in stderr
    assert (await fix(app)) == {"batch": 300}


async def test_checking_200_000_keys_does_not_block_the_server(
    cost_meter: CostMeter, measured: Callable[[str, float, str], None]
) -> None:
    cost = await cost_meter.run_within_bounds("ttl", "check", "--json")
    counts = {(finding["kind"], finding["fault"]): finding["keys"] for finding in json.loads(cost.output)["findings"]}
    assert counts == {
        ("session", "missing"): 60_000,
        ("batch", "missing"): 80_000,
        ("user-tokens", "longer"): 20_000,
        ("unknown", "unknown"): 20_000,
    }
    measured("ttl check, 200,000 keys: slowest command of the server", cost.longest_ms, "ms")
    measured("ttl check, 200,000 keys: memory of the process", cost.peak_mib, "MiB")


@HALF_KEYSPACE
async def test_setting_missing_ttls_in_a_large_keyspace_does_not_block_the_server(
    app: App, cost_meter: CostMeter, measured: Callable[[str, float, str], None]
) -> None:
    cost = await cost_meter.run_within_bounds("ttl", "fix", "--rate", "1000000", "--json")
    assert cost.code == 0
    assert [finding.fault for finding in (await ttl.check_ttls(app)).findings if finding.kind == "batch"] == []
    measured(f"ttl fix, 4 of 10 of {cost_meter.keys:,} keys: slowest command of the server", cost.longest_ms, "ms")
