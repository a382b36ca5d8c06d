"""`manage.py deadletters`: list, show, replay and discard; secrets are never shown."""

import json
import re

import pytest

from cli import dead_letters as command
from cli.audit_key_check import refuse_other_audit_key
from cli.letter_selection import full_id
from cli.terminal import Refused
from shared import namespaces
from shared.app import App
from shared.delivery import dead_letters
from shared.delivery.dead_letters import Payload
from shared.errors import Rejected
from shared.operations import key_search
from shared.operations.letter_selection import LetterSelection
from shared.operations.payload import MAX_SHOWN_CHARS, beginning
from shared.privacy import keyring
from shared.sessions import reactor as sessions
from shared.settings import parse
from tests.cli.conftest import Manage
from tests.support.causes import cause

KEY = b"fastapi:temp:data:b1"
GOOD = Payload("string", "d" * 40, [json.dumps([{"metric": "m", "ts": 1, "value": 2.0}]).encode()])
BAD = Payload("string", "e" * 40, [b"\x1b[31mno\nbatch"])
TOKEN = b"a-session-token-nobody-may-see"


async def bury(app: App, key: bytes = KEY, payload: Payload | None = GOOD, reactor: str = "batches") -> str:
    return await dead_letters.bury(app, reactor, key, ValueError("it\x1b[31m was bad"), payload)


async def bury_session(app: App) -> None:
    """Write a session that cannot be read, so that it becomes a dead letter."""
    await app.redis.set(b"nextauth:session:" + TOKEN, "no object")
    await sessions.react(app, [b"nextauth:session:" + TOKEN], cause("set"))


async def test_letters_are_listed_with_keys_masked(manage: Manage, app: App) -> None:
    await bury(app, b"fastapi:temp:data:ann@example.com")
    await bury_session(app)
    code, output, stderr = manage("deadletters", "list")
    assert code == 1
    assert stderr.startswith("2 listed of 2 dead letters, ")
    assert len(output.splitlines()) == 3
    fingerprint = keyring.keyring(app.settings.audit_key).fingerprint(TOKEN)[:12]
    assert f"nextauth:session:~{fingerprint}" in output
    assert await key_search.find(app, f"nextauth:session:~{fingerprint}".encode()) == b"nextauth:session:" + TOKEN
    assert "@" not in output
    assert TOKEN.decode() not in output
    assert "\x1b" not in output


async def test_the_json_pages_have_every_letter(manage: Manage, app: App) -> None:
    ids = {await bury(app, b"fastapi:temp:data:b%d" % number) for number in range(5)}
    seen: list[str] = []
    cursor: list[str] = []
    while True:
        code, output, _ = manage("deadletters", "list", "--limit", "2", "--json", *cursor)
        page = json.loads(output)
        assert code == 1
        seen += [letter["id"] for letter in page["letters"]]
        if page["nextCursor"] is None:
            break
        cursor = ["--cursor", page["nextCursor"]]
    assert sorted(seen) == sorted(ids)


async def test_without_letters_the_list_ends_with_0(manage: Manage, app: App) -> None:
    assert manage("deadletters", "list")[0] == 0


async def test_a_payload_is_shown_escaped_and_only_on_request(manage: Manage, app: App) -> None:
    letter_id = await bury(app, payload=BAD)
    _, without_payload, _ = manage("deadletters", "show", letter_id)
    code, output, _ = manage("deadletters", "show", letter_id, "--payload")
    assert "no\\nbatch" not in without_payload
    assert (code, "\\x1b[31mno\\nbatch" in output, "\x1b" in output) == (0, True, False)


async def test_the_letter_of_an_unreadable_payload_is_explained(manage: Manage, app: App) -> None:
    rows = [{"ts": "2026-03-01T06:00:00Z", "temp": "warm"}]
    payload = Payload("string", "f" * 40, [json.dumps({"result": rows}).encode()])
    letter_id = await dead_letters.bury(app, "batches", KEY, Rejected("no readings"), payload)
    code, output, _ = manage("deadletters", "show", letter_id)
    assert code == 0
    text = " ".join(output.split())
    assert "Batch: rejected: rows found at `result`, but no column of numbers: `temp` holds text" in text
    assert "Encoding: JSON" in text
    assert "Table: rows, 1 row at `result`" in text
    explanation = json.loads(manage("deadletters", "show", letter_id, "--json")[1])["explanation"]
    assert (explanation["outcome"], explanation["encoding"]) == ("rejected", ["JSON"])
    other_id = await bury(app, payload=BAD)  # another error than Rejected
    assert json.loads(manage("deadletters", "show", other_id, "--json")[1])["explanation"] is None


def test_only_the_beginning_of_a_large_payload_is_shown() -> None:
    shown = beginning(Payload("list", "d", [b"ab " * 100_000] * 1000))
    assert sum(map(len, shown["parts"])) <= MAX_SHOWN_CHARS
    assert (len(shown["parts"]), shown["moreParts"], shown["cut"]) == (20, 980, True)


async def test_the_letter_of_a_session_has_no_content_to_show(manage: Manage, app: App) -> None:
    await bury_session(app)
    (letter,) = (await dead_letters.list_page(app)).letters
    code, output, stderr = manage("deadletters", "show", letter.id, "--payload")
    assert code == 0
    assert "no content" in stderr
    assert "no object" not in output


async def test_a_replay_has_its_effect_and_removes_the_letter(manage: Manage, app: App) -> None:
    letter_id = await bury(app)
    code, output, _ = manage("deadletters", "replay", letter_id)
    assert (code, output) == (0, "1 of 1 replayed, 0 stay\n")
    assert json.loads(await app.redis.get(b"fastapi:results:analysis:b1"))["metrics"]["m"]["mean"] == 2
    assert await dead_letters.get(app, letter_id) is None


async def test_a_letter_whose_replay_fails_is_kept_and_the_command_ends_with_1(manage: Manage, app: App) -> None:
    good, bad = await bury(app), await bury(app, b"fastapi:temp:data:b2", BAD)
    await bury_session(app)
    code, output, _ = manage("deadletters", "replay", "--all", "--json")
    rows = {row["id"]: row for row in json.loads(output)["letters"]}
    assert code == 1
    assert (rows[good]["outcome"], rows[good]["removed"]) == ("processed", True)
    assert (rows[bad]["outcome"], rows[bad]["reason"], rows[bad]["removed"]) == ("rejected", "not JSON", False)
    assert sorted(row["reactor"] for row in rows.values()) == ["batches", "batches", "sessions"]
    assert (await dead_letters.totals(app)).count == 2


async def test_a_replayed_session_that_is_readable_now_is_recorded(manage: Manage, app: App) -> None:
    await bury_session(app)
    await app.redis.set(b"nextauth:session:" + TOKEN, '{"userId": "u-1"}', ex=100)
    code, output, _ = manage("deadletters", "replay", "--all", "--reactor", "sessions")
    assert (code, output) == (0, "1 of 1 replayed, 0 stay\n")
    assert await app.redis.xlen(namespaces.build(namespaces.AUDIT_STREAM)) >= 1


async def test_a_dry_run_changes_nothing(manage: Manage, app: App) -> None:
    await bury(app)
    for action in ("replay", "discard"):
        code, output, _ = manage("deadletters", action, "--all", "--dry-run")
        assert (code, output.splitlines()[-1].split()[0]) == (0, "1")
    assert (await dead_letters.totals(app)).count == 1
    assert not await app.redis.exists(b"fastapi:results:analysis:b1")


async def test_a_discard_needs_confirmation(manage: Manage, app: App) -> None:
    letter_id = await bury(app)
    code, _, stderr = manage("deadletters", "discard", letter_id, input="yes\n")
    assert (code, "aborted, nothing removed: expected `discard`" in stderr) == (2, True)
    assert await dead_letters.get(app, letter_id)
    assert manage("deadletters", "discard", letter_id, input="discard\n")[0] == 0
    assert await dead_letters.get(app, letter_id) is None


async def test_discard_all_with_a_reactor_discards_only_its_letters(manage: Manage, app: App) -> None:
    await bury(app)
    chart = await bury(app, b"fabric:data:chart:c:d", reactor="charts")
    code, output, _ = manage("deadletters", "discard", "--all", "--reactor", "batches", "--confirm")
    assert (code, output.splitlines()[-1]) == (0, "1 removed")
    assert [letter.id for letter in await command.chosen(app, None)] == [chart]


async def test_an_overwritten_letter_can_be_discarded(manage: Manage, app: App) -> None:
    letter_id = await bury(app)
    await app.redis.hset(namespaces.build(namespaces.DEAD_LETTERS), letter_id, "junk")
    assert manage("deadletters", "show", letter_id)[0] == 2
    code, output, _ = manage("deadletters", "discard", letter_id, "--confirm")
    assert (code, output.splitlines()[-1]) == (0, "1 removed")


async def test_an_id_may_be_shortened_to_what_is_unique(app: App) -> None:
    first, second = [await bury(app, b"fastapi:temp:data:b%d" % number) for number in range(2)]
    unique = next(length for length in range(1, 33) if first[:length] != second[:length])
    assert await full_id(app, first[:unique]) == first
    assert await full_id(app, second) == second
    for text in ("0" * 33, "*", "\x1b", "[a-f]"):
        assert await full_id(app, text) == text
    await app.redis.zadd(namespaces.build(namespaces.DEAD_INDEX), {f"{first[:31]}{digit}": 0 for digit in "0f"})
    with pytest.raises(Refused, match="several dead letters begin with"):
        await full_id(app, first[:31])


@pytest.mark.parametrize("arguments", [("show", "0" * 32), ("replay", "\x1b[31m"), ("discard", "x", "--confirm")])
async def test_an_unknown_letter_ends_with_1(manage: Manage, app: App, arguments: tuple[str, ...]) -> None:
    code, output, stderr = manage("deadletters", *arguments)
    assert (code, output) == (1, "")
    assert re.match(r"there is no dead letter \S+\n", stderr)
    assert "\x1b" not in stderr


@pytest.mark.parametrize(
    "arguments", [("replay",), ("replay", "x", "--all"), ("discard",), ("replay", "x", "--reactor", "charts")]
)
def test_either_a_letter_or_all_must_be_named(manage: Manage, arguments: tuple[str, ...]) -> None:
    assert manage("deadletters", *arguments)[0] == 2


async def test_letters_are_chosen_oldest_first(app: App) -> None:
    ids = [await bury(app, b"fastapi:temp:data:b%d" % number) for number in range(3)]
    times = namespaces.build(namespaces.DEAD_INDEX)
    seconds, _ = await app.redis.time()
    await app.redis.zadd(times, {letter_id: 1000 * (seconds - 60) + number for number, letter_id in enumerate(ids)})
    assert [letter.id for letter in await command.chosen(app, None, LetterSelection("batches"))] == ids


async def test_a_letter_that_was_removed_meanwhile_is_skipped(app: App) -> None:
    await bury(app)
    letters = await command.chosen(app, None)
    await dead_letters.discard(app, letters[0].id)
    assert [row async for row in command.replayed(app, letters)] == []


async def test_an_audit_key_other_than_that_of_the_app_is_refused(manage: Manage, app: App) -> None:
    await app.redis.set(b"nextauth:session:t", '{"userId": "u-1"}', ex=100)
    await sessions.react(app, [b"nextauth:session:t"], cause("set"))
    await refuse_other_audit_key(app)
    changed = App(parse({"Redis": app.settings.redis, "AUDIT_KEY": "another key of the tests"}), app.redis)
    with pytest.raises(Refused, match="AUDIT_KEY is not that of the app"):
        await refuse_other_audit_key(changed)
    rotated = App(
        parse(
            {
                "Redis": app.settings.redis,
                "AUDIT_KEY": "another key of the tests",
                "AUDIT_KEY_PREVIOUS": app.settings.audit_key,
            }
        ),
        app.redis,
    )
    await refuse_other_audit_key(rotated)


async def test_the_development_key_is_refused_on_a_remote_redis(app: App) -> None:
    """There are no sealed tokens to compare the key with."""
    elsewhere = App(parse({"Redis": "redis.example.com:6379"}), app.redis)
    with pytest.raises(Refused):
        await refuse_other_audit_key(elsewhere)
    await refuse_other_audit_key(App(parse({"Redis": app.settings.redis}), app.redis))


def test_an_unknown_reactor_is_refused_with_a_list_of_the_reactors(manage: Manage) -> None:
    code, _, stderr = manage("deadletters", "list", "--reactor", "other")
    assert code == 2
    assert "batches, charts, sessions" in stderr
