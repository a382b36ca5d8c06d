"""The exporter writes every record once and in order, whatever fails in between."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared import telemetry
from shared.app import App, open_app
from shared.audit import chain, state
from shared.audit import export as export_module
from shared.audit.export import export
from shared.audit.store import Store
from shared.audit.verify import verify
from tests.audit.conftest import STATE, STREAM, Box, Measured, Writer, ids, own, record, today


def day(offset: int = 0) -> str:
    return (datetime.now(UTC).date() + timedelta(days=offset)).isoformat()


async def assert_exactly_once(app: App, box: Box, writer: Writer) -> None:
    lines = await box.all()
    assert ids(lines) == writer.written
    progress = await state.state(app)
    assert progress.pending == 0
    verification = await verify(box.store, app.keyrings, head=progress.head)
    assert verification.fault is None
    assert verification.records == len(lines)


async def test_every_record_is_written_once_and_in_order(app: App, box: Box, writer: Writer) -> None:
    await writer.add(2500)
    assert (await state.state(app)).pending == 2500
    report = await export(app, box.store)
    assert (report.written, report.finished, report.error) == (2500, True, None)
    await writer.add(3)
    assert (await export(app, box.store)).written == 3
    assert (await export(app, box.store)).written == 0
    await assert_exactly_once(app, box, writer)
    (blob,) = await box.files()
    assert blob.startswith(f"sessions/{day().replace('-', '/')}/")
    progress = await state.state(app)
    assert progress.head
    assert (progress.head.seq, progress.head.n, progress.head.blob) == (2503, 2503, blob)
    assert progress.last_success_age_s is not None
    assert progress.last_success_age_s < 30


async def test_a_line_has_the_record_and_its_place_in_the_chain(app: App, box: Box, writer: Writer) -> None:
    await writer.add(2)
    await export(app, box.store)
    first, second = await box.all()
    (entry, _), _ = await app.redis.xrange(STREAM)
    assert {name: first[name] for name in record(1, today())} == record(1, today())
    assert (first["seq"], first["prev"], first["n"], first["entry"]) == (1, "0" * 64, 1, entry.decode())
    body = {name: value for name, value in second.items() if name not in {"hash", "mac"}}
    assert second["hash"] == hashlib.sha256(chain.canonical(body)).hexdigest()
    assert second["mac"] == f"{app.keyrings[0].key_id}.{app.keyrings[0].sign(second['hash'].encode())}"
    assert second["prev"] == first["hash"]


async def test_the_stream_keeps_the_newest_written_entries_and_all_pending_ones(
    app: App, box: Box, writer: Writer
) -> None:
    await writer.add(3500)
    await export(app, box.store)
    await export(app, box.store)
    assert await app.redis.xlen(STREAM) == state.KEPT_ENTRIES
    await writer.add(1200)
    assert await app.redis.xlen(STREAM) == state.KEPT_ENTRIES + 1200
    await export(app, box.store)
    await assert_exactly_once(app, box, writer)


class Killed(BaseException):
    """Simulates the end of the process."""


class Faulty(Store):
    """A store that raises `error` once, at the `at`-th `call`: `before` it is made, or `after` (its reply is lost)."""

    def __init__(self, store: Store, call: str, moment: str, error: BaseException, at: int = 1) -> None:
        super().__init__(store._container)
        self.call, self.moment, self.error, self.calls_left = call, moment, error, at

    def _fail_if_due(self, call: str, moment: str) -> None:
        if (call, moment) == (self.call, self.moment):
            self.calls_left -= 1
            if self.calls_left == 0:
                raise self.error

    async def append(self, blob: str, data: bytes, position: int) -> int:
        self._fail_if_due("append", "before")
        blocks = await super().append(blob, data, position)
        self._fail_if_due("append", "after")
        return blocks

    async def create(self, blob: str, data: bytes) -> bool:
        self._fail_if_due("create", "before")
        created = await super().create(blob, data)
        self._fail_if_due("create", "after")
        return created


def connection_lost() -> Exception:
    from azure.core.exceptions import ServiceResponseError

    return ServiceResponseError("the reply is lost")


@pytest.fixture
def no_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease that ends at once: only the blob separates exporters, and a killed one does not block the next."""
    monkeypatch.setattr(export_module, "LEASE_S", 0)


@pytest.mark.usefixtures("no_lease")
@pytest.mark.parametrize("error", [Killed, connection_lost])
@pytest.mark.parametrize(
    ("call", "moment", "at"),
    [
        *(("append", moment, at) for moment in ("before", "after") for at in range(1, 5)),
        *(("create", moment, at) for moment in ("before", "after") for at in range(1, 3)),
    ],
)
async def test_a_run_that_ends_at_any_call_leaves_no_gap_and_no_duplicate(
    app: App,
    box: Box,
    writer: Writer,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    moment: str,
    at: int,
    error: Callable[[], BaseException],
) -> None:
    """Three days, so that files are closed, sealed and opened: four appends and two seals."""
    monkeypatch.setattr(state, "PAGE_ENTRIES", 50)
    await writer.add(60, time=f"{day(-2)}T10:00:00Z")
    await writer.add(10, time=f"{day(-1)}T10:00:00Z")
    await writer.add(10)
    faulty = Faulty(box.store, call, moment, error(), at)
    try:
        assert (await export(app, faulty)).error == "ServiceResponseError"
    except Killed:
        assert (await state.state(app)).error == "Killed"
    assert faulty.calls_left == 0
    await writer.add(5)
    assert (await export(app, box.store)).finished
    await assert_exactly_once(app, box, writer)
    assert own(await box.all()) == ["file_closed", "file_closed"]


@pytest.mark.usefixtures("no_lease")
async def test_a_crash_before_the_first_line_of_a_chain_begins_no_second_chain(
    app: App, box: Box, writer: Writer
) -> None:
    await writer.add(3)
    with pytest.raises(Killed):
        await export(app, Faulty(box.store, "append", "before", Killed()))
    await app.redis.xadd(STREAM, {"event": json.dumps(record(4, today())), "n": 4})
    writer.written.append(record(4, today())["id"])
    await export(app, box.store)
    await assert_exactly_once(app, box, writer)


@pytest.mark.usefixtures("no_lease")
async def test_concurrent_exporters_write_every_record_once(app: App, box: Box, writer: Writer) -> None:
    others = [open_app(app.settings) for _ in range(2)]
    try:
        for round_ in range(12):
            await writer.add(150, time=f"{day(-12 + round_)}T23:59:59.999Z")
            await asyncio.gather(*(export(instance, box.store) for instance in (app, *others)))
        await export(app, box.store)
    finally:
        for other in others:
            await other.redis.aclose()
    await assert_exactly_once(app, box, writer)
    assert len({line["chain"] for line in await box.all()}) == 1


async def test_the_lease_lets_one_exporter_run_at_a_time(app: App, box: Box, writer: Writer) -> None:
    await writer.add(1500)
    reports = await asyncio.gather(*(export(app, box.store) for _ in range(3)))
    assert sorted(report.held_by_other for report in reports) == [False, True, True]
    assert not (await export(app, box.store)).held_by_other


async def test_a_state_that_went_back_in_time_causes_no_duplicate(app: App, box: Box, writer: Writer) -> None:
    """As after a failover to a replica that lagged, or a restored backup."""
    await writer.add(5, time=f"{day(-1)}T10:00:00Z")
    await export(app, box.store)
    before = await app.redis.hgetall(STATE)
    await writer.add(20)
    await export(app, box.store)
    await app.redis.delete(STATE)
    await app.redis.hset(STATE, mapping={**before, b"appended": writer.n})
    await writer.add(3)
    await export(app, box.store)
    await assert_exactly_once(app, box, writer)


async def test_a_lost_state_is_recovered_from_the_container(app: App, box: Box, writer: Writer) -> None:
    await writer.add(20)
    await export(app, box.store)
    await app.redis.delete(STATE)
    await writer.add(3)
    await export(app, box.store)
    await assert_exactly_once(app, box, writer)
    assert own(await box.all()) == []


@pytest.mark.usefixtures("no_lease")
@pytest.mark.parametrize("killed", [None, "before", "after"])
@pytest.mark.parametrize("lived", ["today", "yesterday"])
async def test_after_a_flush_the_chain_continues_with_a_reset(
    app: App, box: Box, writer: Writer, killed: str | None, lived: str
) -> None:
    await writer.add(5, time=today() if lived == "today" else f"{day(-1)}T10:00:00Z")
    await export(app, box.store)
    last = (await box.all())[4]
    await app.redis.flushall()
    writer.n = 0
    await writer.add(2)
    if killed:
        with pytest.raises(Killed):
            await export(app, Faulty(box.store, "append", killed, Killed()))
    await export(app, box.store)
    lines = await box.all()
    assert ids(lines) == writer.written
    (reset,) = [line for line in lines if line["type"] == chain.RESET]
    assert reset["data"] == {"last_n": 5, "last_entry": last["entry"], "begins_with_n": 1}
    assert len({line["chain"] for line in lines}) == 1
    progress = await state.state(app)
    assert progress.resets == (0 if killed == "after" else 1)
    assert (await verify(box.store, app.keyrings, head=progress.head)).fault is None


async def test_a_flush_is_recorded_once_although_no_record_follows(app: App, box: Box, writer: Writer) -> None:
    await writer.add(5)
    await export(app, box.store)
    await app.redis.flushall()
    await export(app, box.store)
    await export(app, box.store)
    writer.n = 0
    await writer.add(1)
    await export(app, box.store)
    lines = await box.all()
    assert own(lines) == ["reset"]
    assert ids(lines) == writer.written


async def test_a_stream_that_starts_again_with_lower_ids_is_read(app: App, box: Box, writer: Writer) -> None:
    """An entry with an id in the future was added, and the stream was deleted to repair that."""
    await app.redis.xadd(STREAM, {"event": json.dumps(record(1, today())), "n": 1}, id="99999999999999-0")
    await export(app, box.store)
    await app.redis.delete(STREAM)
    writer.n = 1
    await writer.add(4)
    await export(app, box.store)
    assert ids(await box.all()) == [record(1, today())["id"], *writer.written]


async def test_records_that_were_lost_before_the_export_are_recorded_as_a_gap(
    app: App, box: Box, writer: Writer
) -> None:
    await writer.add(5)
    await export(app, box.store)
    await writer.add(100)
    entries = await app.redis.xrange(STREAM)
    await app.redis.xtrim(STREAM, maxlen=10, approximate=False)
    await export(app, box.store)
    lines = await box.all()
    (gap,) = [line for line in lines if line["type"] == chain.GAP]
    assert gap["data"] == {
        "missing": 90,
        "after_entry": entries[4][0].decode(),
        "before_entry": entries[95][0].decode(),
    }
    assert ids(lines) == writer.written[:5] + writer.written[95:]
    assert (await state.state(app)).gaps == 1


JUNK: list[tuple[dict[Any, Any], str]] = [
    ({"event": b"secret\xff", "n": "1"}, "not JSON"),
    ({"event": b"[" * 5000, "n": "1"}, "not JSON"),
    ({"event": b"[]", "n": "1"}, "not a JSON object"),
    ({"other": b"secret"}, "no field 'event'"),
    ({"event": b"{}", "n": "1"}, "a CloudEvents attribute is missing"),
    ({"event": json.dumps(record(1, today())), "n": "x"}, "no running number"),
    ({"event": json.dumps(record(1, today(), user="\ud800")), "n": "1"}, "no exact form in canonical JSON"),
    ({"event": json.dumps(record(1, today(), big=2**60)), "n": "1"}, "no exact form in canonical JSON"),
    ({"event": json.dumps(record(1, today(), big=float("nan"))), "n": "1"}, "no exact form in canonical JSON"),
    ({"event": json.dumps(record(1, "yesterday")), "n": "1"}, "time is not RFC 3339"),
    (
        {"event": json.dumps({**record(1, today()), "hash": "x"}), "n": "1"},
        "a field name that is reserved for the chain",
    ),
    (
        {"event": json.dumps({**record(1, today()), "type": chain.FILE_CLOSED}), "n": "1"},
        "a type that is reserved for the exporter",
    ),
    ({"event": b"secret" * 100_000, "n": "1"}, "too large"),
]


@pytest.mark.parametrize(("fields", "reason"), JUNK, ids=[f"{at}: {reason}" for at, (_, reason) in enumerate(JUNK)])
async def test_an_invalid_entry_is_recorded_without_its_content_and_blocks_nothing(
    app: App, box: Box, writer: Writer, fields: dict[Any, Any], reason: str
) -> None:
    await writer.junk(fields)
    writer.n = 1 if fields.get("n") == "1" and reason != "too large" else 0
    await writer.add(3)
    await export(app, box.store)
    lines = await box.all()
    assert lines[0]["type"] == chain.UNREADABLE
    assert lines[0]["data"]["reason"] == reason
    assert lines[0]["data"]["bytes"] > 0
    assert b"secret" not in await box.raw((await box.files())[0])
    assert ids(lines) == writer.written
    assert own(lines) == ["unreadable"]
    assert (await state.state(app)).unreadable == 1
    assert (await verify(box.store, app.keyrings)).fault is None


async def test_a_record_time_in_the_future_creates_no_file_of_that_day(app: App, box: Box, writer: Writer) -> None:
    await writer.add(1, time="9999-12-31T23:59:59Z")
    await writer.add(1)
    await export(app, box.store)
    (blob,) = await box.files()
    assert blob.startswith(f"sessions/{day().replace('-', '/')}/")


async def test_a_stream_or_state_key_of_another_type_does_not_block_the_export(
    app: App, box: Box, writer: Writer
) -> None:
    await app.redis.set(STREAM, "x")
    await app.redis.set(STATE, "x")
    assert (await export(app, box.store)).finished
    await app.redis.delete(STREAM)
    await writer.add(2)
    await export(app, box.store)
    await assert_exactly_once(app, box, writer)


async def test_each_day_has_its_file_and_its_signed_heads(app: App, box: Box, writer: Writer) -> None:
    await writer.add(2, time=f"{day(-2)}T23:59:59.999Z")
    await writer.add(2, time=f"{day(-1)}T00:00:00.000Z")
    await writer.add(1, time=f"{day(-2)}T23:59:59.999Z")  # late: the chain never returns to an older file
    await writer.add(1, time=f"{day()}T00:30:00.000+01:00")  # yesterday in UTC
    await writer.add(1)
    await export(app, box.store)
    names = [name.removeprefix("sessions/").replace("/", "-", 2) for name in await box.names()]
    assert [name.partition("/")[0] for name in names] == [day(-2), day(-2), day(-1), day(-1), day()]
    files = await box.files()
    assert [len(await box.lines(blob)) for blob in files] == [3, 5, 1]
    assert [json.loads(line)["seq"] for blob in files for line in await box.lines(blob)] == list(range(1, 10))
    heads = json.loads(await box.raw(chain.heads_name(day(-2))))
    last = json.loads((await box.lines(files[0]))[-1])
    assert last["data"] == {"next": files[1]}
    assert heads["heads"] == [
        {
            "chain": last["chain"],
            "seq": 3,
            "hash": last["hash"],
            "blob": files[0],
            "bytes": len(await box.raw(files[0])),
        }
    ]
    signed = chain.canonical({name: value for name, value in heads.items() if name != "hmac"})
    assert heads["hmac"] == app.keyrings[0].sign(signed)
    assert heads["keyid"] == app.keyrings[0].key_id
    verification = await verify(box.store, app.keyrings)
    assert (verification.records, verification.files, verification.heads) == (9, 3, 2)
    assert (verification.chains, verification.unsealed_records, verification.fault) == (1, 1, None)


async def test_yesterday_is_sealed_without_a_new_record(app: App, box: Box, writer: Writer) -> None:
    await writer.add(2, time=f"{day(-1)}T10:00:00Z")
    await export(app, box.store)
    assert len(await box.names()) == 2
    verification = await verify(box.store, app.keyrings)
    assert (verification.records, verification.heads, verification.unsealed_records) == (3, 1, 0)
    await export(app, box.store)
    assert len(await box.names()) == 2


async def test_a_chain_continues_after_days_without_records(app: App, box: Box, writer: Writer) -> None:
    await writer.add(2, time=f"{day(-5)}T10:00:00Z")
    await export(app, box.store)
    closed = (await state.state(app)).head
    assert closed
    # as if the file had been closed on the next day
    (blob,) = await box.files()
    await box.delete(chain.heads_name(day(-5)))
    lines = await box.lines(blob)
    head = chain.Head(closed.chain, blob)
    for line in lines[:2]:
        head = chain.head_of(chain.follow(line, head, app.keyrings), blob, head.position + len(line), len(line))
    following = blob.replace(day(-5).replace("-", "/"), day(-4).replace("-", "/"))
    closing = chain.own_record(chain.FILE_CLOSED, head, f"{day(-4)}T00:01:00.000Z", {"next": following})
    line, head = chain.link(closing, head, head.entry, head.n, app.keyrings[0])
    await box.rewrite(blob, b"".join(lines[:2]) + line)
    await app.redis.hset(
        STATE, mapping={name: getattr(head, name) for name in ("hash", "position", "line_bytes", "next")}
    )
    await app.redis.hdel(STATE, "sealed")
    await writer.add(2)
    await export(app, box.store)
    assert [name.split("/")[1:4] for name in await box.files()] == [day(offset).split("-") for offset in (-5, -4, 0)]
    await assert_exactly_once(app, box, writer)


async def test_a_file_at_the_block_limit_continues_in_the_next_part(
    app: App, box: Box, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_module, "MAX_BLOCKS", 2)
    for _ in range(5):
        await writer.add(2)
        await export(app, box.store)
    files = await box.files()
    assert [blob.rpartition("-")[2].partition(".")[2] for blob in sorted(files)] == ["jsonl", "p2.jsonl", "p3.jsonl"]
    lines = sorted(await box.all(), key=lambda line: line["seq"])
    assert ids(lines) == writer.written
    verification = await verify(box.store, app.keyrings, head=(await state.state(app)).head)
    assert (verification.fault, verification.records, verification.files) == (None, len(lines), 3)


@pytest.mark.parametrize("offset", [0, -1])
async def test_an_altered_chain_is_left_as_it_is_and_a_new_chain_records_it(
    app: App, box: Box, writer: Writer, caplog: pytest.LogCaptureFixture, offset: int
) -> None:
    await writer.add(5, time=f"{day(offset)}T00:00:00Z")
    await export(app, box.store)
    old = (await state.state(app)).head
    assert old
    tampered = (await box.raw(old.blob)).replace(b'"specversion":"1.0"', b'"specversion":"1.1"')
    await box.rewrite(old.blob, tampered)
    await writer.add(3)
    with caplog.at_level(logging.ERROR):
        await export(app, box.store)
    assert "cannot be trusted" in caplog.text
    assert await box.raw(old.blob) == tampered
    (blob,) = [name for name in await box.files() if old.chain not in name]
    first, *rest = [json.loads(line) for line in await box.lines(blob)]
    assert first["type"] == chain.CHAIN_BROKEN
    assert (first["data"]["chain"], first["data"]["blob"]) == (old.chain, old.blob)
    assert (first["data"]["seq"], first["data"]["hash"]) == (old.seq, old.hash)
    assert ids(rest) == writer.written[5:]
    progress = await state.state(app)
    assert progress.broken is not None
    assert progress.broken["chain"] == old.chain
    fault = (await verify(box.store, app.keyrings, head=progress.head)).fault
    assert fault
    assert (fault.kind, fault.blob, fault.line) == ("altered", old.blob, 1)


@pytest.mark.usefixtures("no_lease")
@pytest.mark.parametrize("damage", ["truncated", "missing"])
async def test_a_truncated_or_missing_file_is_recorded_even_after_a_crash(
    app: App, box: Box, writer: Writer, damage: str
) -> None:
    await writer.add(5)
    await export(app, box.store)
    old = (await state.state(app)).head
    assert old
    if damage == "truncated":
        await box.rewrite(old.blob, b"".join((await box.lines(old.blob))[:3]))
    else:
        await box.delete(old.blob)
    await writer.add(1)
    with pytest.raises(Killed):
        await export(app, Faulty(box.store, "append", "before", Killed()))
    await export(app, box.store)
    progress = await state.state(app)
    assert progress.head
    lines = [json.loads(line) for line in await box.lines(progress.head.blob)]
    assert own(lines) == ["chain_broken"]
    assert lines[0]["data"]["seq"] == 5
    assert ids(lines) == writer.written[5:]
    fault = (await verify(box.store, app.keyrings, head=progress.head)).fault
    assert fault
    assert (fault.kind, fault.blob) == (damage, old.blob)


async def test_without_a_storage_account_nothing_is_exported_and_the_state_says_so(app: App, writer: Writer) -> None:
    import msgspec

    bare = replace(app, settings=msgspec.structs.replace(app.settings, storage=""))
    await writer.add(3)
    assert (await export(bare)).configured is False
    progress = await state.state(bare)
    assert (progress.configured, progress.pending, progress.last_success_age_s) == (False, 3, None)


async def test_a_run_stops_at_the_end_of_its_budget(app: App, box: Box, writer: Writer) -> None:
    await writer.add(3000)
    report = await export(app, box.store, budget_s=0)
    assert (report.written, report.finished) == (1000, False)
    assert (await state.state(app)).pending == 2000
    while not report.finished:
        report = await export(app, box.store, budget_s=0)
    await assert_exactly_once(app, box, writer)


async def test_export_and_verification_speed_is_measured(
    app: App, box: Box, writer: Writer, measured: Measured
) -> None:
    import time

    await writer.add(4_000)
    report = await export(app, box.store)
    assert report.finished
    measured("audit records exported", 4_000 / report.duration_s, "per s")
    await export(app, box.store)
    started_s = time.perf_counter()
    verification = await verify(box.store, app.keyrings)
    assert (verification.records, verification.fault) == (4_000, None)
    measured("audit records verified", 4_000 / (time.perf_counter() - started_s), "per s")
    await writer.add(1)
    report = await export(app, box.store)
    measured("export of one record", report.duration_s * 1000, "ms")
    assert telemetry.counts["audit", "written"] > 0
