"""`keys list`, `keys stats`, `keys show`: complete, masked, and light on the server."""

import hashlib
import json
import re
from collections.abc import Callable

import pytest

from cli import key_facts, key_value, keys
from cli.terminal import Refused, shown
from shared import namespaces
from shared.app import App
from shared.batches import reactor as batches
from shared.charts import reactor as charts
from shared.operations.key_selection import Namespace, Selection, kind_of
from shared.sessions import reactor as sessions
from tests.cli.conftest import MANY, Costly, Manage
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
    sessions_there = {f"nextauth:session:{number}".encode() for number in range(120)}
    for key in sessions_there:
        await app.redis.set(key, "x")
    for number in range(600):
        await app.redis.set(f"other:{number}", "x")
    selection = Selection(Namespace.NEXTAUTH, frozenset({"session"}))
    looks, cursor = await keys.page(app, selection, 0, limit)
    found = {one.key for one in looks}
    while cursor:
        looks, cursor = await keys.page(app, selection, cursor, limit)
        found |= {one.key for one in looks}
    assert found == sessions_there


async def test_a_listed_key_is_masked_and_escaped_with_kind_and_ttl(app: App, manage: Manage) -> None:
    await app.redis.set(SESSION, "x", ex=1000)
    await app.redis.set(b"fastapi:temp:data:a\x1b[31m\nb", "x")
    code, output, complaints = manage("keys", "list")
    assert code == 0
    assert complaints == "2 listed, no more\n"
    lines = sorted(line.split(maxsplit=2) for line in output.splitlines()[1:])
    batch, live = [[cell.rstrip() for cell in line] for line in lines]
    assert batch == ["batch", "-", r"fastapi:temp:data:a\x1b[31m\nb"]
    assert live == ["session", "16m", shown(app, SESSION)]
    assert TOKEN not in output


async def test_a_list_as_json_says_where_to_go_on(app: App, manage: Manage) -> None:
    for number in range(300):
        await app.redis.set(f"fabric:data:chart:{number}:realtime", "x", ex=300)
    code, output, _ = manage("keys", "list", "fabric", "--kind", "chart-data", "--limit", "10", "--json")
    page = json.loads(output)
    assert code == 0
    assert 10 <= len(page["keys"]) < 100
    assert page["keys"][0].keys() == {"key", "namespace", "kind", "ttl_s"}
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


async def test_statistics_of_200000_keys_hold_up_nobody_and_take_bounded_memory(
    costly: Costly, measured: Callable[[str, float, str], None]
) -> None:
    cost = await costly.held_within_bounds("keys", "stats", "--json")
    found = json.loads(cost.output)
    counts = {one["kind"]: one["keys"] for one in found["kinds"]}
    assert counts == {
        "session": 60_000,
        "user-tokens": 20_000,
        "chart-data": 20_000,
        "batch": 80_000,
        "unknown": 20_000,
    }
    assert found["keys"] == MANY
    measured("keys stats, 200,000 keys: slowest command of the server", cost.longest_ms, "ms")
    measured("keys stats, 200,000 keys: took", found["took_s"], "s")
    measured("keys stats, 200,000 keys: memory of the process", cost.peak_mib, "MiB")


async def test_a_session_is_shown_without_its_token_or_user_whatever_form_of_its_key_is_given(
    app: App, manage: Manage
) -> None:
    await app.redis.set(SESSION, session())
    await sessions.react(app, [SESSION], cause("set"))
    fingerprint = app.keyrings[0].fingerprint(TOKEN.encode())
    for arguments, given in (
        (["-"], SESSION.decode() + "\n"),
        ([SESSION.decode()], ""),
        ([shown(app, SESSION)], ""),
        ([f"@{fingerprint}"], ""),
        ([f"@{fingerprint[:12]}", "--json"], ""),
    ):
        code, output, complaints = manage("keys", "show", *arguments, input=given)
        assert code == 0, complaints
        assert shown(app, SESSION) in output
        assert "sessionToken: text of 35" in output
        assert TOKEN not in output + complaints
    report = json.loads(output)
    assert report["app"]["fingerprint"] == fingerprint
    assert report["app"]["phantom"] == "alive"
    assert report["app"]["records"] == 1
    assert report["value"] == {
        "masked": True,
        "shape": ["sessionToken: text of 35", "userId: text of 6", "expires: text of 24"],
    }


async def test_a_session_that_ended_is_found_by_its_fingerprint(app: App) -> None:
    await app.redis.set(SESSION, session())
    await sessions.react(app, [SESSION], cause("set"))
    await app.redis.delete(SESSION)
    fingerprint = app.keyrings[0].fingerprint(TOKEN.encode())
    assert await keys.find(app, f"@{fingerprint}".encode()) == SESSION
    found = await facts(app, SESSION)
    assert (found["session"], found["phantom"], found["fingerprint"]) == ("missing", "alive", fingerprint)
    await sessions.react(app, [SESSION], cause("del"))
    assert (await facts(app, SESSION))["phantom"] == "ended"


async def test_a_form_that_no_key_has_is_refused(app: App) -> None:
    await app.redis.set(SESSION, session())
    for given in (b"nextauth:session:~000000000000", b"@000000000000"):
        with pytest.raises(Refused):
            await keys.find(app, given)
    assert await keys.find(app, b"@12") == b"@12"


async def test_two_keys_of_one_masked_form_are_refused(app: App) -> None:
    long = "k" * 300
    for end in ("1", "2"):
        await app.redis.set(f"fastapi:temp:data:~{long}{end}", "x")
    with pytest.raises(Refused, match="2 keys match"):
        await keys.find(app, shown(app, f"fastapi:temp:data:~{long}1".encode()).encode())


async def test_a_key_that_is_not_there_ends_with_attention(app: App, manage: Manage) -> None:
    code, output, _ = manage("keys", "show", "fastapi:temp:data:none")
    assert code == 1
    assert re.search(r"^exists +no *$", output, re.MULTILINE)


async def test_a_batch_shows_its_result_claim_and_failures(app: App) -> None:
    key = namespaces.build(namespaces.BATCH, "b")
    await app.redis.set(key, BATCH)
    assert (await facts(app, key))["result"] == "none"
    await batches.react(app, [key], cause("set"))
    found = await facts(app, key)
    assert found["result"] == "of this content"
    assert found["batch_content"] == hashlib.sha1(BATCH, usedforsecurity=False).hexdigest()
    assert await facts(app, namespaces.build(namespaces.RESULT, "b")) == found
    await app.redis.set(key, "no batch at all")
    assert (await facts(app, key))["result"] == "of other content"
    await batches.react(app, [key], cause("set"))
    found = await facts(app, key)
    assert found["given_up"] == "this content"
    (letter,) = found["dead_letters"]  # type: ignore[misc]
    assert re.fullmatch(r"[0-9a-f]{32} Rejected: not JSON", letter)


@pytest.mark.parametrize("shape", ["hash", "list"])
async def test_the_digest_of_a_collection_is_that_of_the_claim(app: App, shape: str) -> None:
    key = namespaces.build(namespaces.BATCH, "b")
    record = '{"timestamp":"2026-01-01T00:00:00Z","data":{"temp":24.1}}'
    if shape == "hash":
        await app.redis.hset(key, mapping={"records": f"[{record}]", "batchId": "b", "a": "1"})
    else:
        await app.redis.rpush(key, *[record] * 2500)
    await batches.react(app, [key], cause("hset"))
    assert (await facts(app, key))["result"] == "of this content"


async def test_a_claim_shows_who_holds_it_for_how_long(app: App) -> None:
    key, claim = namespaces.build(namespaces.BATCH, "b"), namespaces.build(namespaces.PROCESSING, "b")
    seconds, _ = await app.redis.time()
    held = {"owner": "0123456789abcdef", "token": "7", "attempt": "2", "lease_until_ms": str((seconds + 60) * 1000)}
    await app.redis.hset(claim, mapping=held)
    found = await facts(app, key)
    assert re.fullmatch(r"held, lease ends in (59|60)\.\d s", str(found["claim"]))
    assert (found["claim_owner"], found["claim_attempt"]) == ("0123456789abcdef", 2)
    await app.redis.hset(claim, "lease_until_ms", "1")
    assert (await facts(app, key))["claim"] == "lease expired"
    await app.redis.set(claim, "foreign")
    assert (await facts(app, key))["claim"] == "another application's"


async def test_a_chart_shows_how_old_its_cache_is_and_whether_it_is_stale(app: App) -> None:
    key, cache = (namespaces.build(kind, "co2", "realtime") for kind in (namespaces.CHART_DATA, namespaces.CHART_CACHE))
    await app.redis.set(key, CHART, ex=300)
    assert (await facts(app, key))["cache"] == "none"
    await charts.react(app, [key], cause("set"))
    found = await facts(app, key)
    assert (found["cache"], found["cache_of_this_content"]) == ("fresh", True)
    assert str(found["cache_updated_at"]) == json.loads(await app.redis.get(cache) or b"")["updatedAt"]
    await app.redis.delete(key)
    await charts.react(app, [key], cause("del"))
    found = await facts(app, cache)
    assert (found["cache"], found["cache_of_this_content"]) == ("stale", False)


async def test_an_index_tells_which_session_it_names_without_its_token(app: App) -> None:
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
async def test_of_a_value_that_may_hold_secrets_only_the_shape_is_shown(app: App, key: str) -> None:
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
async def test_no_part_of_a_masked_value_is_shown_whatever_it_is(app: App, secret: str) -> None:
    for key in (SESSION, b"fabric:user:u:tokens"):
        await app.redis.set(key, secret)
        described = await value(app, key)
        assert described["masked"] is True
        assert "secret" not in repr(described)
    await app.redis.delete(SESSION)
    await app.redis.hset(SESSION, "secret-field", "secret-value")
    assert await value(app, SESSION) == {"masked": True, "parts": ["?: 12 bytes"]}


async def test_a_value_in_the_open_is_bounded_and_on_one_line(app: App) -> None:
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
async def test_wrong_arguments_are_told_and_nothing_is_listed(manage: Manage, arguments: list[str]) -> None:
    code, output, complaints = manage("keys", "list", *arguments)
    assert (code, output) == (2, "")
    assert complaints
