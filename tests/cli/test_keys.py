"""`keys list`, `keys stats`, `keys show`: complete, masked, and without blocking the server."""

import hashlib
import json
import re
from collections.abc import Callable

import pytest

from cli import keys
from cli.terminal import shown
from shared import namespaces
from shared.app import App
from shared.batches import reactor as batches
from shared.charts import reactor as charts
from shared.errors import KeyspaceError
from shared.operations import key_facts, key_search, key_value
from shared.operations.key_selection import Namespace, Selection, kind_of
from shared.sessions import reactor as sessions
from tests.cli.conftest import KEYSPACE_KEYS, CostMeter, Manage
from tests.support.causes import cause

TOKEN = "a-session-token-that-nobody-may-see"
SESSION = namespaces.build(namespaces.SESSION, TOKEN)
USER = {
    "id": "user-1",
    "email": "somebody@example.com",
    "profile": {"name": "Some Body", "picture": None},
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b": True,
    "roles": ["admin"],
    "visits": 12345678,
}
BATCH = b'{"records":[{"timestamp":"2026-01-01T00:00:00Z","data":{"temp":24.1}}]}'
CHART = b'[{"timestamp":"2026-01-01T00:00:00Z","co2Flow":1.5}]'


def session(user: str = "user-1") -> str:
    return json.dumps({"sessionToken": TOKEN, "userId": user, "expires": "2999-01-01T00:00:00.000Z"})


async def facts(app: App, key: bytes) -> dict[str, object]:
    return await key_facts.app_facts(app, key, kind_of(key))


async def value(app: App, key: bytes) -> dict[str, object]:
    return await key_value.describe(app, key, kind_of(key), await key_facts.redis_facts(app, key))


@pytest.mark.parametrize("limit", [1, 7, 50, 1000])
async def test_the_pages_of_a_list_have_every_key_of_the_selection(app: App, limit: int) -> None:
    session_keys = {f"nextauth:session:{number}".encode() for number in range(120)}
    for key in session_keys:
        await app.redis.set(key, "x")
    for number in range(600):
        await app.redis.set(f"other:{number}", "x")
    selection = Selection(Namespace.NEXTAUTH, frozenset({"session"}))
    looks, cursor = await keys.page(app, selection, 0, limit)
    listed = {look.key for look in looks}
    while cursor:
        looks, cursor = await keys.page(app, selection, cursor, limit)
        listed |= {look.key for look in looks}
    assert listed == session_keys


async def test_a_listed_key_is_masked_and_escaped_with_kind_and_ttl(app: App, manage: Manage) -> None:
    await app.redis.set(SESSION, "x", ex=1000)
    await app.redis.set(b"fastapi:temp:data:a\x1b[31m\nb", "x")
    code, output, stderr = manage("keys", "list")
    assert code == 0
    assert stderr == "2 listed, no more\n"
    lines = sorted(line.split(maxsplit=2) for line in output.splitlines()[1:])
    batch, live = [[cell.rstrip() for cell in line] for line in lines]
    assert batch == ["batch", "-", r"fastapi:temp:data:a\x1b[31m\nb"]
    assert live == ["session", "16m", shown(app, SESSION)]
    assert TOKEN not in output


async def test_a_json_list_has_the_cursor_of_the_next_page(app: App, manage: Manage) -> None:
    for number in range(300):
        await app.redis.set(f"fabric:data:chart:{number}:realtime", "x", ex=300)
    code, output, _ = manage("keys", "list", "fabric", "--kind", "chart-data", "--limit", "10", "--json")
    page = json.loads(output)
    assert code == 0
    assert 10 <= len(page["keys"]) < 100
    assert page["keys"][0].keys() == {"key", "namespace", "kind", "ttlS"}
    code, output, _ = manage("keys", "list", "fabric", "--cursor", page["cursor"], "--limit", "1000", "--json")
    assert json.loads(output)["cursor"] is None


async def test_statistics_are_a_table_that_fits_a_terminal(app: App, manage: Manage) -> None:
    await app.redis.set("fastapi:temp:data:1", "x" * 4000, ex=3600)
    await app.redis.set("fastapi:temp:data:2", "x")
    await app.redis.set(SESSION, session())
    code, output, _ = manage("keys", "stats")
    assert code == 0
    rows = {line.split()[0]: line for line in output.splitlines()}
    assert list(rows) == ["Kind", "nextauth", "session", "fastapi", "batch", "all"]
    assert re.search(r"batch +2 +[\d.]+ KiB  exact  █+\S?  +59m 59m 59m +1 +\ds", rows["batch"])
    assert max(map(len, output.splitlines())) <= 100


async def test_statistics_show_keys_of_no_known_kind_as_a_tree_of_their_shapes(app: App, manage: Manage) -> None:
    carts = {f"cart:{number:08x}": "x" * 500 for number in range(0x7F000000, 0x7F000014)}
    queues = {f"bull:emails:{number}": "x" for number in range(5)} | {"bull:emails:wait": "x"}
    await app.redis.mset({**carts, **queues, "fastapi:temp:Data:b-1": "x", "user:alice:tokens": "x"})
    code, output, _ = manage("keys", "stats")
    assert code == 0
    rows = [re.match(r" *[^ ]+", line)[0] for line in output.splitlines()]  # type: ignore[index]
    assert rows == [
        *("Kind", "fastapi", "  unknown", "    fastapi:temp:Data:*"),
        *("unknown", "  unknown", "    cart:*", "    bull:", "      bull:emails:*", "      bull:emails:wait"),
        *("    user:*:tokens", "all"),
    ]
    assert re.search(r"cart:\* +20 +[\d.]+ KiB", output)
    code, output, _ = manage("cleanup", "unknown", "--dry-run")
    assert re.search(r"^ +27  unknown\n +20    cart:\*\n +5    bull:emails:\*\n", output)


async def test_statistics_of_200_000_keys_do_not_block_the_server_and_use_bounded_memory(
    cost_meter: CostMeter, measured: Callable[[str, float, str], None]
) -> None:
    cost = await cost_meter.run_within_bounds("keys", "stats", "--json")
    report = json.loads(cost.output)
    counts = {entry["kind"]: entry["keys"] for entry in report["kinds"]}
    assert counts == {
        "session": 60_000,
        "user-tokens": 20_000,
        "chart-data": 20_000,
        "batch": 80_000,
        "unknown": 20_000,
    }
    assert report["keys"] == KEYSPACE_KEYS
    measured("keys stats, 200,000 keys: slowest command of the server", cost.longest_ms, "ms")
    measured("keys stats, 200,000 keys: took", report["tookS"], "s")
    measured("keys stats, 200,000 keys: memory of the process", cost.peak_mib, "MiB")


async def test_a_session_is_shown_without_token_and_user_for_every_form_of_its_key(app: App, manage: Manage) -> None:
    await app.redis.set(SESSION, session())
    await sessions.react(app, [SESSION], cause("set"))
    fingerprint = app.keyrings[0].fingerprint(TOKEN.encode())
    for arguments, stdin in (
        (["-"], SESSION.decode() + "\n"),
        ([SESSION.decode()], ""),
        ([shown(app, SESSION)], ""),
        ([f"@{fingerprint}"], ""),
        ([f"@{fingerprint[:12]}", "--json"], ""),
    ):
        code, output, stderr = manage("keys", "show", *arguments, input=stdin)
        assert code == 0, stderr
        assert shown(app, SESSION) in output
        assert "sessionToken: text of 35" in output
        assert TOKEN not in output + stderr
    report = json.loads(output)
    assert report["app"]["fingerprint"] == fingerprint
    assert report["app"]["phantom"] == "alive"
    assert report["app"]["records"] == 1
    assert report["value"] == {
        "masked": True,
        "shape": ["sessionToken: text of 35", "userId: text of 6", "expires: text of 24"],
    }


async def test_an_ended_session_is_found_by_its_fingerprint(app: App) -> None:
    await app.redis.set(SESSION, session())
    await sessions.react(app, [SESSION], cause("set"))
    await app.redis.delete(SESSION)
    fingerprint = app.keyrings[0].fingerprint(TOKEN.encode())
    assert await key_search.find(app, f"@{fingerprint}".encode()) == SESSION
    described = await facts(app, SESSION)
    assert (described["session"], described["phantom"], described["fingerprint"]) == ("missing", "alive", fingerprint)
    await sessions.react(app, [SESSION], cause("del"))
    assert (await facts(app, SESSION))["phantom"] == "ended"


async def test_a_masked_form_that_matches_no_key_is_refused(app: App) -> None:
    await app.redis.set(SESSION, session())
    for masked in (b"nextauth:session:~000000000000", b"@000000000000"):
        with pytest.raises(KeyspaceError):
            await key_search.find(app, masked)
    assert await key_search.find(app, b"@12") == b"@12"


async def test_a_masked_form_that_matches_two_keys_is_refused(app: App) -> None:
    long = "k" * 300
    for end in ("1", "2"):
        await app.redis.set(f"fastapi:temp:data:~{long}{end}", "x")
    with pytest.raises(KeyspaceError, match="2 keys match"):
        await key_search.find(app, shown(app, f"fastapi:temp:data:~{long}1".encode()).encode())


@pytest.mark.parametrize(
    "key",
    [
        b"fastapi:temp:data:a\r\nb\x1b[31m",
        b"fastapi:temp:data:\xff\xfe",
        "fastapi:temp:data:a\u202egpj.exe".encode(),
        b"fastapi:temp:data:" + b"k" * 300,
        b"cart:3f2a77c1",
        b"bull:emails:17*[:lock",
        b"nextauth:user:somebody@example.com",
    ],
)
async def test_a_key_is_found_by_what_is_shown_of_it(app: App, key: bytes) -> None:
    await app.redis.mset({key: "x", key + b"-other": "x", b"fastapi:temp:data:other": "x"})
    text = shown(app, key)
    if not text.endswith("…"):  # two long keys that begin alike are shown alike
        assert await key_search.find(app, text.encode()) == key
    await app.redis.delete(key + b"-other")
    assert await key_search.find(app, text.encode()) == key
    literal = b"fastapi:temp:data:a\\xff"
    assert await key_search.find(app, literal) == literal


async def test_a_missing_key_ends_with_1(app: App, manage: Manage) -> None:
    code, output, _ = manage("keys", "show", "fastapi:temp:data:none")
    assert code == 1
    assert re.search(r"^exists +no *$", output, re.MULTILINE)


async def test_a_batch_is_shown_with_the_state_of_its_result_and_its_dead_letters(app: App) -> None:
    key = namespaces.build(namespaces.BATCH, "b")
    await app.redis.set(key, BATCH)
    assert (await facts(app, key))["result"] == "none"
    await batches.react(app, [key], cause("set"))
    described = await facts(app, key)
    assert described["result"] == "of this content"
    assert described["batch_content"] == hashlib.sha1(BATCH, usedforsecurity=False).hexdigest()
    assert await facts(app, namespaces.build(namespaces.RESULT, "b")) == described
    await app.redis.set(key, "no batch at all")
    assert (await facts(app, key))["result"] == "of other content"
    await batches.react(app, [key], cause("set"))
    described = await facts(app, key)
    assert described["dead_mark"] == "this content"
    (letter,) = described["dead_letters"]  # type: ignore[misc]
    assert re.fullmatch(r"[0-9a-f]{32} Rejected: not JSON", letter)


@pytest.mark.parametrize("shape", ["hash", "list"])
async def test_the_digest_of_a_hash_or_list_equals_that_of_its_result(app: App, shape: str) -> None:
    key = namespaces.build(namespaces.BATCH, "b")
    record = '{"timestamp":"2026-01-01T00:00:00Z","data":{"temp":24.1}}'
    if shape == "hash":
        await app.redis.hset(key, mapping={"records": f"[{record}]", "batchId": "b", "a": "1"})
    else:
        await app.redis.rpush(key, *[record] * 2500)
    await batches.react(app, [key], cause("hset"))
    assert (await facts(app, key))["result"] == "of this content"


async def test_a_claim_is_shown_with_its_owner_and_its_lease(app: App) -> None:
    key, claim = namespaces.build(namespaces.BATCH, "b"), namespaces.build(namespaces.PROCESSING, "b")
    seconds, _ = await app.redis.time()
    fields = {"owner": "0123456789abcdef", "token": "7", "attempt": "2", "lease_until_ms": str((seconds + 60) * 1000)}
    await app.redis.hset(claim, mapping=fields)
    described = await facts(app, key)
    assert re.fullmatch(r"held, lease ends in (59|60)\.\d s", str(described["claim"]))
    assert (described["claim_owner"], described["claim_attempt"]) == ("0123456789abcdef", 2)
    await app.redis.hset(claim, "lease_until_ms", "1")
    assert (await facts(app, key))["claim"] == "lease expired"
    await app.redis.set(claim, "foreign")
    assert (await facts(app, key))["claim"] == "another application's"


async def test_a_chart_is_shown_with_the_age_and_the_state_of_its_cache(app: App) -> None:
    key, cache = (namespaces.build(kind, "co2", "realtime") for kind in (namespaces.CHART_DATA, namespaces.CHART_CACHE))
    await app.redis.set(key, CHART, ex=300)
    assert (await facts(app, key))["cache"] == "none"
    await charts.react(app, [key], cause("set"))
    described = await facts(app, key)
    assert (described["cache"], described["cache_of_this_content"]) == ("fresh", True)
    assert str(described["cache_updated_at"]) == json.loads(await app.redis.get(cache) or b"")["updatedAt"]
    await app.redis.delete(key)
    await charts.react(app, [key], cause("del"))
    described = await facts(app, cache)
    assert (described["cache"], described["cache_of_this_content"]) == ("stale", False)


async def test_an_index_is_shown_with_its_session_but_without_the_token(app: App) -> None:
    index = namespaces.build(namespaces.SESSION_BY_USER, "user-1")
    await app.redis.set(SESSION, session())
    for named in (SESSION, TOKEN):
        await app.redis.set(index, named)
        assert await facts(app, index) == {"names": shown(app, SESSION), "which_is": "exists"}


@pytest.mark.parametrize(
    "key",
    [
        "nextauth:user:user-1",
        "nextauth:account:azure:user-1",
        "nextauth:unheard-of:user-1",
        "fabric:user:user-1:tokens",
        "user:1:tokens",
    ],
)
async def test_only_the_shape_of_a_value_that_may_hold_secrets_is_shown(app: App, key: str) -> None:
    await app.redis.set(key, json.dumps(USER))
    assert await value(app, key.encode()) == {
        "masked": True,
        "shape": [
            "id: text of 6",
            "email: text of 20",
            "profile: object of 2",
            "profile.name: text of 9",
            "profile.picture: null",
            "?: boolean",
            "roles: list of 1",
            "visits: number",
        ],
    }


@pytest.mark.parametrize("secret", ["secret-token", "{broken secret-token", '["secret-token"]', '"secret-token"', ""])
async def test_no_part_of_any_masked_value_is_shown(app: App, secret: str) -> None:
    for key in (SESSION, b"fabric:user:u:tokens"):
        await app.redis.set(key, secret)
        described = await value(app, key)
        assert described["masked"] is True
        assert "secret" not in repr(described)
    await app.redis.delete(SESSION)
    await app.redis.hset(SESSION, "secret-field", "secret-value")
    assert await value(app, SESSION) == {"masked": True, "parts": ["?: 12 bytes"]}


async def test_an_unmasked_value_is_bounded_and_on_one_line(app: App) -> None:
    key = namespaces.build(namespaces.BATCH, "b")
    await app.redis.set(key, b"\x1b[2J\n" + b"x" * 5_000_000)
    text = str((await value(app, key))["text"])
    assert text.startswith(r"\x1b[2J\nxxx")
    assert len(text) == key_value.SHOWN_CHARS
    await app.redis.delete(key)
    await app.redis.rpush(key, *[b"\n" * 500] * 100)
    parts = (await value(app, key))["parts"]
    assert isinstance(parts, list)
    assert (len(parts), parts[-1]) == (key_value.SHOWN_PARTS + 1, "and 80 more")
    assert all(len(part) <= key_value.SHOWN_CHARS for part in parts)


@pytest.mark.parametrize("arguments", [["--kind", "sessions"], ["--cursor", "x"], ["nonsense"], ["--limit", "0"]])
async def test_wrong_arguments_are_refused_with_a_reason_and_nothing_is_listed(
    manage: Manage, arguments: list[str]
) -> None:
    code, output, stderr = manage("keys", "list", *arguments)
    assert (code, output) == (2, "")
    assert stderr
