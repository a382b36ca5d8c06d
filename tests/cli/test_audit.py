"""`manage.py audit`: the log as it comes, whether it is whole, what somebody's sessions did; over a real Azurite."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest

from cli import audit_display, audit_user
from local.run.servers import free_port
from shared.app import App, open_app
from shared.audit import chain, state
from shared.audit.export import export
from shared.privacy.keyring import Keyring
from shared.settings import Settings
from tests.audit import conftest as audit
from tests.audit.conftest import STATE, STREAM, Box, Writer, record
from tests.cli.conftest import ROOT, Manage

USER = "12345678-1234-1234-1234-123456789abc"
TODAY = datetime.now(UTC).date()
FORMER_KEY = "a former audit key of the tests"

azurite = audit.azurite
app_settings = audit.app_settings
writer = audit.writer


@pytest.fixture
def manage_environment(manage_environment: dict[str, str], app_settings: Settings) -> dict[str, str]:
    return manage_environment | {"AzureWebJobsStorage": app_settings.storage, "AUDIT_KEY_PREVIOUS": FORMER_KEY}


@pytest.fixture(autouse=True)
async def box(app_settings: Settings) -> AsyncIterator[Box]:
    """The app's own container, empty."""
    async with audit.open_box(app_settings, "audit") as opened:
        for name in await opened.names():
            await opened.delete(name)
        yield opened


def at(day: date, clock: str) -> str:
    return f"{day.isoformat()}T{clock}Z"


async def add_life(app: App, user: str, life: str, *times: str, n: int) -> None:
    """A life of a session: a record for each time, the last one its end."""
    for number, time in enumerate(times, 1):
        ended = number == len(times) > 1
        one = record(number, time, user)
        one |= {"id": f"{life}.{number}", "subject": life.partition(".")[0]}
        if ended:
            one |= {"type": "nextauth.session.ended"}
            one["data"] |= {"reason": "logout", "duration_s": 1.5, "touches": 3}
        await app.redis.xadd(STREAM, {"event": json.dumps(one), "n": n + number - 1})
    await app.redis.hset(STATE, "appended", n + len(times) - 1)


async def test_the_tail_has_the_latest_records_shipped_or_not(manage: Manage, app: App, writer: Writer) -> None:
    await writer.add(3, time=at(TODAY, "00:00:00.001"))
    await export(app)
    await writer.add(2, time=at(TODAY, "00:00:00.002"), user="ann\x1b[31m@example.com")
    code, output, complaint = manage("audit", "tail", "-n", "4")
    lines = output.splitlines()
    assert (code, complaint, len(lines)) == (0, "", 4)
    assert [line.split()[1] for line in lines] == ["00:00:00.001"] * 2 + ["00:00:00.002"] * 2
    assert "created" in lines[0]
    assert "\x1b" not in output
    assert "@" not in output
    _, output, _ = manage("audit", "tail", "-n", "1", "--json")
    assert json.loads(output)["id"] == writer.written[-1]


async def test_what_is_no_record_is_told_and_shown_nowhere(manage: Manage, writer: Writer) -> None:
    await writer.junk({"event": "no record \x1b[31m"})
    await writer.junk({"event": '{"id": 1}'})
    await writer.add()
    code, output, complaint = manage("audit", "tail")
    assert (code, len(output.splitlines())) == (0, 1)
    assert complaint == "an entry that is not a record\n" * 2


async def test_follow_goes_on_with_what_comes_also_after_a_flush(
    manage_environment: dict[str, str], app: App, writer: Writer
) -> None:
    await writer.add(2)
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "manage.py", "audit", "tail", "-n", "1", "--follow", "--json"),
        cwd=ROOT,
        env=manage_environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert started.stdout
    assert started.stderr
    told = [json.loads(await started.stdout.readline())["id"]]
    await writer.add(3)
    told += [json.loads(await started.stdout.readline())["id"] for _ in range(3)]
    assert told == writer.written[-4:]
    await app.redis.flushall()
    assert b"the stream was restarted" in await started.stderr.readline()
    await writer.add()
    assert json.loads(await started.stdout.readline())["id"] == writer.written[-1]
    started.send_signal(signal.SIGINT)
    _, complaint = await started.communicate()
    assert started.returncode == 130
    assert b"interrupted: " in complaint


async def ship_two_days(app: App, writer: Writer) -> None:
    await writer.add(3, time=at(TODAY - timedelta(days=1), "10:00:00.000"))
    await export(app)
    await writer.add(3, time=at(TODAY, "00:00:00.001"))
    await export(app)


async def test_a_log_as_it_was_written_is_verified(manage: Manage, app: App, writer: Writer) -> None:
    await ship_two_days(app, writer)
    code, output, complaint = manage("audit", "verify")
    assert (code, complaint) == (0, "")
    assert output.startswith("Unaltered: records 7, chains 1, files 2, signed heads 1")
    found = json.loads(manage("audit", "verify", "--json", "--since", str(TODAY))[1])
    assert (found["verified"], found["redis_asked"], found["records"], found["fault"]) == (True, True, 3, None)


async def test_a_day_signed_under_the_key_before_is_verified(
    manage: Manage, app: App, app_settings: Settings, writer: Writer
) -> None:
    former = open_app(msgspec.structs.replace(app_settings, audit_key=FORMER_KEY))
    await ship_two_days(former, writer)
    await former.redis.aclose()
    code, output, _ = manage("audit", "verify")
    assert (code, "signed heads 1" in output) == (0, True)


async def test_the_first_fault_is_told_with_its_place(manage: Manage, app: App, writer: Writer, box: Box) -> None:
    await ship_two_days(app, writer)
    blob = (await box.files())[0]
    lines = await box.lines(blob)
    await box.rewrite(blob, b"".join([lines[0], lines[1].replace(b"u-1", b"u-2"), *lines[2:]]))
    code, output, _ = manage("audit", "verify")
    assert code == 1
    assert output.splitlines()[0] == "ALTERED: altered"
    assert [" ".join(line.split()) for line in output.splitlines()[1:4]] == [f"blob {blob}", "line 2", "seq 2"]
    fault = json.loads(manage("audit", "verify", "--json")[1])["fault"]
    assert (fault["kind"], fault["blob"], fault["line"], fault["seq"]) == ("altered", blob, 2, 2)


async def test_a_cut_of_today_is_found_by_what_redis_knows(manage: Manage, app: App, writer: Writer, box: Box) -> None:
    await writer.add(3)
    await export(app)
    blob = (await box.files())[0]
    await box.rewrite(blob, b"".join((await box.lines(blob))[:2]))
    code, output, _ = manage("audit", "verify")
    assert (code, "truncated" in output) == (1, True)


async def test_without_redis_the_verification_says_what_it_cannot_know(
    manage_environment: dict[str, str], manage: Manage, app: App, writer: Writer
) -> None:
    await writer.add(3)
    await export(app)
    manage_environment["Redis"] = f"127.0.0.1:{free_port()}"
    code, output, complaint = manage("audit", "verify")
    assert (code, "Redis is away" in complaint, "end was cut off is not known" in output) == (1, True, True)


async def test_storage_away_ends_with_2(manage_environment: dict[str, str], manage: Manage, writer: Writer) -> None:
    await writer.add()
    manage_environment["AzureWebJobsStorage"] = (
        "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=c2VjcmV0;"
        f"BlobEndpoint=http://127.0.0.1:{free_port()}/devstoreaccount1"
    )
    for command in (("verify",), ("export",)):
        code, output, complaint = manage("audit", *command)
        assert (code, output, "storage is away: ServiceRequestError" in complaint) == (2, "", True)
    manage_environment["AzureWebJobsStorage"] = " "
    for command in (("verify",), ("export",)):
        code, _, complaint = manage("audit", *command)
        assert (code, "AzureWebJobsStorage is not set" in complaint) == (2, True)
    code, output, complaint = manage("audit", "user", "u-1")
    assert (code, "from Redis alone" in complaint, "created" in output) == (1, True, True)


async def test_the_story_of_a_user_is_told_by_life_shipped_or_not(manage: Manage, app: App, writer: Writer) -> None:
    one, other = "a" * 32 + ".1", "b" * 32 + ".2"
    await add_life(app, USER, one, at(TODAY, "00:00:01.000"), at(TODAY, "00:00:09.000"), n=1)
    await add_life(app, "somebody else", "c" * 32 + ".3", at(TODAY, "00:00:02.000"), n=3)
    await export(app)
    await add_life(app, USER, other, at(TODAY, "00:00:10.000"), n=4)
    code, output, complaint = manage("audit", "user", USER)
    assert (code, complaint) == (0, "records 3, sessions 2; times are UTC\n")
    lines = output.splitlines()
    assert lines[0] == f"session {'a' * 12}  ended: logout"
    assert lines[1].split()[1:3] == ["00:00:01.000", "created"]
    assert "logout, after 1.5 s, touches 3" in lines[2]
    assert f"session {'b' * 12}  no end recorded" in lines
    assert [line.rstrip().endswith("(not exported yet)") for line in lines if " 00:00:" in line] == [False, False, True]
    assert "c" * 12 not in output


async def test_json_has_the_records_and_whether_they_are_shipped(manage: Manage, app: App) -> None:
    await add_life(app, USER, "a" * 32 + ".1", at(TODAY, "00:00:01.000"), n=1)
    code, output, _ = manage("audit", "user", "-", "--json", input=f"{USER}\n")
    answer = json.loads(output)
    assert (code, answer["complete"], answer["until"]) == (0, True, str(TODAY))
    ((told,),) = [session["records"] for session in answer["sessions"]]
    assert (told["shipped"], told["record"]["data"]["userId"]) == (False, USER)


async def test_pseudonyms_are_found_under_both_keys(manage: Manage, app: App) -> None:
    names = [app.keyrings[0].pseudonym(USER), Keyring(FORMER_KEY).pseudonym(USER), USER]
    for number, name in enumerate(names, 1):
        await add_life(app, name, f"{number:032x}.1", at(TODAY, "00:00:01.000"), n=number)
    _, _, complaint = manage("audit", "user", USER)
    assert complaint == "records 3, sessions 3; times are UTC\n"


async def test_only_the_days_asked_for_are_told(manage: Manage, app: App, box: Box) -> None:
    before = TODAY - timedelta(days=3)
    await add_life(app, USER, "a" * 32 + ".1", at(before, "23:59:59.000"), at(TODAY, "00:00:01.000"), n=1)
    await export(app)
    assert manage("audit", "user", USER)[2].startswith("records 1,")
    for since, until, expected in (
        (before, before, 1),
        (before, TODAY, 2),
        (TODAY, TODAY, 1),
        (before - timedelta(days=1), before - timedelta(days=1), 0),
    ):
        assert (await audit_user.story(app, box.store, USER, since, until)).count == expected


@pytest.mark.parametrize(
    "arguments",
    [
        ("--day", "yesterday"),
        ("--day", "2026-11-22", "--since", "2026-11-22"),
        ("--since", "2026-11-22", "--until", "2026-11-21"),
    ],
)
def test_days_without_sense_are_refused(manage: Manage, arguments: tuple[str, ...]) -> None:
    assert manage("audit", "user", USER, *arguments)[0] == 2


async def test_what_is_shipped_while_it_is_read_is_told_once(app: App, box: Box) -> None:
    await add_life(app, USER, "a" * 32 + ".1", at(TODAY, "00:00:01.000"), at(TODAY, "00:00:02.000"), n=1)
    await export(app)
    found = await audit_user.story(app, box.store, USER, TODAY, TODAY)
    assert [one.shipped for (records) in found.lives.values() for one in records] == [True, True]


async def test_what_the_log_says_of_itself_is_part_of_the_story(manage: Manage, app: App, writer: Writer) -> None:
    await writer.add(user=USER)
    writer.n += 5
    await writer.add(user=USER)
    await export(app)
    code, output, _ = manage("audit", "user", USER)
    assert (code, "the log itself: gap, " in output, "missing 5" in output) == (0, True, True)


async def test_the_story_is_bounded(app: App, writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_user, "MAX_RECORDS", 5)
    await writer.add(9, user=USER)
    await export(app)
    async with audit_display.storage(app) as store:
        found = await audit_user.story(app, store, USER, TODAY, TODAY)
    assert (found.count, found.more) == (5, 4)


async def test_export_ships_what_waits(manage: Manage, app: App, writer: Writer, box: Box) -> None:
    await writer.add(1500)
    assert manage("audit", "export", "--dry-run")[:2] == (0, "1,500 records would be exported\n")
    assert await box.files() == []
    assert manage("audit", "export")[:2] == (0, "1,500 lines written, 0 records wait\n")
    assert audit.ids(await box.all()) == writer.written
    assert json.loads(manage("audit", "export", "--json")[1])["written"] == 0


async def test_another_export_that_is_at_it_is_left_to_it(manage: Manage, app: App, writer: Writer) -> None:
    await writer.add()
    assert await state.begin(app, "somebody", 10_000)
    code, output, complaint = manage("audit", "export")
    assert (code, output, "another export" in complaint) == (1, "0 lines written, 1 records wait\n", True)


async def test_the_state_tells_what_needs_attention(manage: Manage, app: App, writer: Writer) -> None:
    await writer.add(2)
    await export(app)
    code, output, _ = manage("audit", "state")
    assert code == 0
    assert "line 2 of sessions/" in output
    await app.redis.hset(STATE, "error", "ServiceRequestError")
    await writer.add()
    code, output, _ = manage("audit", "state", "--json")
    found = json.loads(output)
    assert (code, found["error"], found["pending"], found["head"]["seq"]) == (1, "ServiceRequestError", 1, 2)


def test_what_comes_with_a_record_is_never_obeyed(app_settings: Settings) -> None:
    context = open_app(app_settings)
    hostile = {"reason": "\x1b[2J", "\x9bname": {"deep": "\u2028"}, "touches": ["x"], "previousUserId": "a@b"}
    shown = audit_display.details(context, {"data": hostile})
    assert all(char.isprintable() for char in shown)
    assert "a@b" not in shown
    assert audit_display.clock({"time": "never\n"}) == "never\\n"
    assert audit_display.what({"type": chain.GAP}) == "gap"
