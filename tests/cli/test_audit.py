"""`manage.py audit`: tail, verify, user, export and state, over a real Azurite."""

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
from tests.support.json_style import faults

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
    """The container of the app, emptied before each test."""
    async with audit.open_box(app_settings, "audit") as opened:
        for name in await opened.names():
            await opened.delete(name)
        yield opened


def at(day: date, clock: str) -> str:
    return f"{day.isoformat()}T{clock}Z"


async def add_life(app: App, user: str, life: str, *times: str, n: int) -> None:
    """Append one record for each time; the last one, if there are several, is the end of the session."""
    for number, time in enumerate(times, 1):
        ended = number == len(times) > 1
        fields = record(number, time, user)
        fields |= {"id": f"{life}.{number}", "subject": life.partition(".")[0]}
        if ended:
            fields |= {"type": "nextauth.session.ended"}
            fields["data"] |= {"reason": "logout", "duration_s": 1.5, "touches": 3}
        await app.redis.xadd(STREAM, {"event": json.dumps(fields), "n": n + number - 1})
    await app.redis.hset(STATE, "appended", n + len(times) - 1)


async def test_tail_shows_the_latest_records_exported_or_not(manage: Manage, app: App, writer: Writer) -> None:
    await writer.add(3, time=at(TODAY, "00:00:00.001"))
    await export(app)
    await writer.add(2, time=at(TODAY, "00:00:00.002"), user="ann\x1b[31m@example.com")
    code, output, stderr = manage("audit", "tail", "-n", "4")
    lines = output.splitlines()
    assert (code, stderr, len(lines)) == (0, "", 4)
    assert [line.split()[1] for line in lines] == ["00:00:00.001"] * 2 + ["00:00:00.002"] * 2
    assert "created" in lines[0]
    assert "\x1b" not in output
    assert "@" not in output
    _, output, _ = manage("audit", "tail", "-n", "1", "--json")
    assert json.loads(output)["id"] == writer.written[-1]


async def test_an_entry_that_is_not_a_record_is_reported_and_never_shown(manage: Manage, writer: Writer) -> None:
    await writer.junk({"event": "no record \x1b[31m"})
    await writer.junk({"event": '{"id": 1}'})
    await writer.add()
    code, output, stderr = manage("audit", "tail")
    assert (code, len(output.splitlines())) == (0, 1)
    assert stderr == "an entry that is not a record\n" * 2


async def test_follow_shows_new_records_also_after_a_flush(
    manage_environment: dict[str, str], app: App, writer: Writer
) -> None:
    await writer.add(2)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "manage.py", "audit", "tail", "-n", "1", "--follow", "--json"),
        cwd=ROOT,
        env=manage_environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    assert process.stderr
    shown_ids = [json.loads(await process.stdout.readline())["id"]]
    await writer.add(3)
    shown_ids += [json.loads(await process.stdout.readline())["id"] for _ in range(3)]
    assert shown_ids == writer.written[-4:]
    await app.redis.flushall()
    assert b"the stream was restarted" in await process.stderr.readline()
    await writer.add()
    assert json.loads(await process.stdout.readline())["id"] == writer.written[-1]
    process.send_signal(signal.SIGINT)
    _, stderr = await process.communicate()
    assert process.returncode == 130
    assert b"interrupted: " in stderr


async def export_two_days(app: App, writer: Writer) -> None:
    await writer.add(3, time=at(TODAY - timedelta(days=1), "10:00:00.000"))
    await export(app)
    await writer.add(3, time=at(TODAY, "00:00:00.001"))
    await export(app)


async def test_an_unaltered_log_is_verified(manage: Manage, app: App, writer: Writer) -> None:
    await export_two_days(app, writer)
    code, output, stderr = manage("audit", "verify")
    assert (code, stderr) == (0, "")
    assert output.startswith("Unaltered: records 7, chains 1, files 2, signed heads 1")
    report = json.loads(manage("audit", "verify", "--json", "--since", str(TODAY))[1])
    assert list(faults(report)) == []
    assert (report["verified"], report["redisAsked"], report["records"], report["fault"]) == (True, True, 3, None)


async def test_a_day_signed_under_the_previous_key_is_verified(
    manage: Manage, app: App, app_settings: Settings, writer: Writer
) -> None:
    former = open_app(msgspec.structs.replace(app_settings, audit_key=FORMER_KEY))
    await export_two_days(former, writer)
    await former.redis.aclose()
    code, output, _ = manage("audit", "verify")
    assert (code, "signed heads 1" in output) == (0, True)


async def test_the_first_fault_is_reported_with_its_place(manage: Manage, app: App, writer: Writer, box: Box) -> None:
    await export_two_days(app, writer)
    blob = (await box.files())[0]
    lines = await box.lines(blob)
    await box.rewrite(blob, b"".join([lines[0], lines[1].replace(b"u-1", b"u-2"), *lines[2:]]))
    code, output, _ = manage("audit", "verify")
    assert code == 1
    assert output.splitlines()[0] == "ALTERED: altered"
    assert [" ".join(line.split()) for line in output.splitlines()[1:4]] == [f"blob {blob}", "line 2", "seq 2"]
    fault = json.loads(manage("audit", "verify", "--json")[1])["fault"]
    assert (fault["kind"], fault["blob"], fault["line"], fault["seq"]) == ("altered", blob, 2, 2)


async def test_a_truncation_of_today_is_detected_by_the_head_in_redis(
    manage: Manage, app: App, writer: Writer, box: Box
) -> None:
    await writer.add(3)
    await export(app)
    blob = (await box.files())[0]
    await box.rewrite(blob, b"".join((await box.lines(blob))[:2]))
    code, output, _ = manage("audit", "verify")
    assert (code, "truncated" in output) == (1, True)


async def test_without_redis_verify_says_that_a_truncation_cannot_be_detected(
    manage_environment: dict[str, str], manage: Manage, app: App, writer: Writer
) -> None:
    await writer.add(3)
    await export(app)
    manage_environment["Redis"] = f"127.0.0.1:{free_port()}"
    code, output, stderr = manage("audit", "verify")
    assert (code, "Redis is away" in stderr, "end was cut off is not known" in output) == (1, True, True)


async def test_unreachable_or_missing_storage_ends_verify_and_export_with_2(
    manage_environment: dict[str, str], manage: Manage, writer: Writer
) -> None:
    await writer.add()
    manage_environment["AzureWebJobsStorage"] = (
        "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=c2VjcmV0;"
        f"BlobEndpoint=http://127.0.0.1:{free_port()}/devstoreaccount1"
    )
    for command in (("verify",), ("export",)):
        code, output, stderr = manage("audit", *command)
        assert (code, output, "storage is away: ServiceRequestError" in stderr) == (2, "", True)
    manage_environment["AzureWebJobsStorage"] = " "
    for command in (("verify",), ("export",)):
        code, _, stderr = manage("audit", *command)
        assert (code, "AzureWebJobsStorage is not set" in stderr) == (2, True)
    code, output, stderr = manage("audit", "user", "u-1")
    assert (code, "from Redis alone" in stderr, "created" in output) == (1, True, True)


async def test_the_records_of_a_user_are_grouped_by_session_exported_or_not(
    manage: Manage, app: App, writer: Writer
) -> None:
    first, second = "a" * 32 + ".1", "b" * 32 + ".2"
    await add_life(app, USER, first, at(TODAY, "00:00:01.000"), at(TODAY, "00:00:09.000"), n=1)
    await add_life(app, "somebody else", "c" * 32 + ".3", at(TODAY, "00:00:02.000"), n=3)
    await export(app)
    await add_life(app, USER, second, at(TODAY, "00:00:10.000"), n=4)
    code, output, stderr = manage("audit", "user", USER)
    assert (code, stderr) == (0, "records 3, sessions 2; times are UTC\n")
    lines = output.splitlines()
    assert lines[0] == f"session {'a' * 12}  ended: logout"
    assert lines[1].split()[1:3] == ["00:00:01.000", "created"]
    assert "logout, after 1.5 s, touches 3" in lines[2]
    assert f"session {'b' * 12}  no end recorded" in lines
    assert [line.rstrip().endswith("(not exported yet)") for line in lines if " 00:00:" in line] == [False, False, True]
    assert "c" * 12 not in output


async def test_json_has_the_records_and_whether_they_are_exported(manage: Manage, app: App) -> None:
    await add_life(app, USER, "a" * 32 + ".1", at(TODAY, "00:00:01.000"), n=1)
    code, output, _ = manage("audit", "user", "-", "--json", input=f"{USER}\n")
    answer = json.loads(output)
    assert (code, answer["complete"], answer["until"]) == (0, True, str(TODAY))
    ((entry,),) = [session["records"] for session in answer["sessions"]]
    assert (entry["shipped"], entry["record"]["data"]["userId"]) == (False, USER)


async def test_records_under_the_pseudonyms_of_both_keys_are_found(manage: Manage, app: App) -> None:
    names = [app.keyrings[0].pseudonym(USER), Keyring(FORMER_KEY).pseudonym(USER), USER]
    for number, name in enumerate(names, 1):
        await add_life(app, name, f"{number:032x}.1", at(TODAY, "00:00:01.000"), n=number)
    _, _, stderr = manage("audit", "user", USER)
    assert stderr == "records 3, sessions 3; times are UTC\n"


async def test_only_records_of_the_requested_days_are_returned(manage: Manage, app: App, box: Box) -> None:
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
async def test_invalid_days_are_refused(manage: Manage, arguments: tuple[str, ...]) -> None:
    assert manage("audit", "user", USER, *arguments)[0] == 2


async def test_exported_records_that_are_still_in_the_stream_are_returned_once(app: App, box: Box) -> None:
    await add_life(app, USER, "a" * 32 + ".1", at(TODAY, "00:00:01.000"), at(TODAY, "00:00:02.000"), n=1)
    await export(app)
    story = await audit_user.story(app, box.store, USER, TODAY, TODAY)
    assert [entry.shipped for (records) in story.lives.values() for entry in records] == [True, True]


async def test_records_about_the_log_itself_are_shown(manage: Manage, app: App, writer: Writer) -> None:
    await writer.add(user=USER)
    writer.n += 5
    await writer.add(user=USER)
    await export(app)
    code, output, _ = manage("audit", "user", USER)
    assert (code, "the log itself: gap, " in output, "missing 5" in output) == (0, True, True)


async def test_the_number_of_returned_records_is_bounded(
    app: App, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_user, "MAX_RECORDS", 5)
    await writer.add(9, user=USER)
    await export(app)
    async with audit_display.storage(app) as store:
        story = await audit_user.story(app, store, USER, TODAY, TODAY)
    assert (story.count, story.more) == (5, 4)


async def test_export_writes_all_pending_records(manage: Manage, app: App, writer: Writer, box: Box) -> None:
    await writer.add(1500)
    assert manage("audit", "export", "--dry-run")[:2] == (0, "1,500 records would be exported\n")
    assert await box.files() == []
    assert manage("audit", "export")[:2] == (0, "1,500 lines written, 0 records left\n")
    assert audit.ids(await box.all()) == writer.written
    nothing = json.loads(manage("audit", "export", "--json")[1])
    assert (nothing["written"], list(faults(nothing))) == (0, [])


async def test_export_does_nothing_while_another_export_runs(manage: Manage, app: App, writer: Writer) -> None:
    await writer.add()
    assert await state.begin(app, "somebody", 10_000)
    code, output, stderr = manage("audit", "export")
    assert (code, output, "another export" in stderr) == (1, "0 lines written, 1 record left\n", True)


async def test_state_shows_the_head_and_ends_with_1_after_an_error(manage: Manage, app: App, writer: Writer) -> None:
    await writer.add(2)
    await export(app)
    code, output, _ = manage("audit", "state")
    assert code == 0
    assert "line 2 of sessions/" in output
    await app.redis.hset(STATE, "error", "ServiceRequestError")
    await writer.add()
    code, output, _ = manage("audit", "state", "--json")
    reported = json.loads(output)
    assert (code, reported["error"], reported["pending"], reported["head"]["seq"]) == (1, "ServiceRequestError", 1, 2)


async def test_hostile_fields_of_a_record_are_escaped(app_settings: Settings) -> None:
    context = open_app(app_settings)
    hostile = {"reason": "\x1b[2J", "\x9bname": {"deep": "\u2028"}, "touches": ["x"], "previousUserId": "a@b"}
    shown = audit_display.details(context, {"data": hostile})
    assert all(char.isprintable() for char in shown)
    assert "a@b" not in shown
    assert audit_display.clock({"time": "never\n"}) == "never\\n"
    assert audit_display.what({"type": chain.GAP}) == "gap"
