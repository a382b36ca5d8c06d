"""A damaged, foreign or missing state, blob or container neither blocks the export nor causes a duplicate."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from azure.storage.blob import BlobType
from azure.storage.blob.aio import BlobLeaseClient

from shared.app import App, open_app
from shared.audit import chain, recovery, repair, state
from shared.audit import export as export_module
from shared.audit.chain import BlobName, Head
from shared.audit.export import export
from shared.audit.store import Moved, Store
from shared.audit.verify import verify
from shared.privacy.keyring import Keyring
from tests.audit.conftest import STATE, STREAM, Box, Writer, ids, own, record, today

FOREIGN = "20260101T000000000Z-0123abcd"
YESTERDAY = f"{(datetime.now(UTC).date() - timedelta(days=1)).isoformat()}T10:00:00Z"


async def add_at(app: App, n: int, id_: str) -> str:
    """Add a record under the stream id `id_`; returns the id of the record."""
    event = record(n, today(), user=f"u-{id_}")
    event["id"] += f".{id_}"
    await app.redis.xadd(STREAM, {"event": json.dumps(event), "n": n}, id=id_)
    await app.redis.hset(STATE, "appended", n)
    return str(event["id"])


async def assert_new_chain(app: App, box: Box, written: list[str]) -> None:
    """The head in Redis is in a chain that replaced another one and that has the records `written` since."""
    progress = await state.state(app)
    assert progress.broken is not None
    assert progress.head
    lines = [json.loads(line) for line in await box.lines(progress.head.blob)]
    assert own(lines) == ["chain_broken"]
    assert ids(lines) == written


class Halted(BaseException):
    """Simulates the end of the process."""


class Dying(Store):
    """A store whose process ends right after an append."""

    def __init__(self, store: Store) -> None:
        super().__init__(store._container)

    async def append(self, blob: str, data: bytes, position: int) -> int:
        await super().append(blob, data, position)
        raise Halted


@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize("later", [[], ["2000-1"], ["1010-0", "1011-0"], ["1010-0", "2000-1"]], ids=str)
async def test_after_redis_went_back_in_time_no_record_is_duplicated_or_lost(
    app: App, box: Box, monkeypatch: pytest.MonkeyPatch, later: list[str], *, dies: bool
) -> None:
    """A failover to a replica that lagged. Its clock may lag too, so new ids can be lower than old ones."""
    monkeypatch.setattr(export_module, "LEASE_S", 0)
    expected = [await add_at(app, n, f"10{n:02}-0") for n in range(1, 6)]
    await export(app, box.store)
    expected += [await add_at(app, n, f"10{n:02}-0") for n in range(6, 9)]
    backup = {key: await app.redis.dump(key) for key in (STATE, STREAM)}  # 8 records, 5 of them acknowledged
    expected += [await add_at(app, n, f"10{n + 3:02}-0") for n in range(9, 15)]
    await export(app, box.store)
    for key, value in backup.items():
        assert value is not None
        await app.redis.restore(key, 0, value, replace=True)
    expected += [await add_at(app, 9 + index, id_) for index, id_ in enumerate(later)]
    if dies:
        with pytest.raises(Halted):
            await export(app, Dying(box.store))
    assert (await export(app, box.store)).finished
    assert (await export(app, box.store)).written == 0
    expected.append(await add_at(app, 9 + len(later), "3000-0"))
    await export(app, box.store)
    lines = await box.all()
    assert ids(lines) == expected
    (reset,) = [line for line in lines if line["type"].startswith(chain.OWN_TYPES)]
    assert (reset["type"], reset["data"]["last_n"]) == (chain.RESET, 14)
    assert (await verify(box.store, app.keyrings, head=(await state.state(app)).head)).fault is None


async def test_a_lease_on_the_blob_is_an_error_until_the_lease_ends(app: App, box: Box, writer: Writer) -> None:
    await writer.add(2)
    await export(app, box.store)
    (blob,) = await box.files()
    lease = BlobLeaseClient(box.client.get_blob_client(blob))
    await lease.acquire()
    await writer.add(1)
    await app.redis.hset(STATE, "ok_ms", 1)
    report = await export(app, box.store, budget_s=0.5)
    assert report.error is not None
    progress = await state.state(app)
    assert (progress.error, progress.pending) == (report.error, 1)
    assert progress.last_success_age_s is not None
    assert progress.last_success_age_s > 600
    await lease.break_lease(0)
    assert (await export(app, box.store)).finished
    assert (await state.state(app)).error is None
    assert ids(await box.all()) == writer.written


@pytest.mark.parametrize(
    "damage",
    [
        {"next": None},
        {"seq": "many"},
        {"seq": "1e99"},
        {"chain": b"\xff"},
        {"position": "-1"},
        {"gaps": "many"},
        {"n": ""},
    ],
    ids=str,
)
async def test_a_damaged_state_is_repaired(
    app: App, box: Box, writer: Writer, damage: dict[str, str | bytes | None]
) -> None:
    await writer.add(5)
    await export(app, box.store)
    for name, value in damage.items():
        await (app.redis.hdel(STATE, name) if value is None else app.redis.hset(STATE, name, value))
    await writer.add(2)
    writer.n += 3  # a gap, so that it is counted
    await writer.add(1)
    assert (await export(app, box.store, budget_s=2)).finished
    lines = await box.all()
    assert ids(lines) == writer.written
    assert own(lines) == ["gap"]
    progress = await state.state(app)
    assert (progress.pending, progress.gaps) == (0, 1)
    assert (await verify(box.store, app.keyrings, head=progress.head)).fault is None


@pytest.mark.parametrize("time", [YESTERDAY, today()])
async def test_a_deleted_container_is_created_again_and_the_loss_is_recorded(
    app: App, box: Box, writer: Writer, time: str
) -> None:
    await writer.add(3, time=time)
    await export(app, box.store)
    await box.client.delete_container()
    await app.redis.hdel(STATE, "sealed")  # as after a crash: yesterday may not be sealed yet
    await writer.add(2)
    report = await export(app, box.store)
    assert (report.error, report.finished) == (None, True)
    lines = await box.all()
    assert own(lines) == ["chain_broken"]
    assert ids(lines) == writer.written[3:]
    fault = (await verify(box.store, app.keyrings, head=(await state.state(app)).head)).fault
    assert fault
    assert fault.kind == "missing"


@pytest.mark.parametrize("content", [b"", b"x\n"])
async def test_a_foreign_blob_in_place_of_the_next_file_does_not_block_the_export(
    app: App, box: Box, writer: Writer, content: bytes
) -> None:
    await writer.add(2, time=YESTERDAY)
    await export(app, box.store)
    head = (await state.state(app)).head
    assert head
    assert head.next
    await box.client.upload_blob(head.next, content, blob_type=BlobType.BLOCKBLOB)
    await writer.add(2)
    report = await export(app, box.store)
    assert (report.error, report.finished) == (None, True)
    await assert_new_chain(app, box, writer.written[2:])


async def test_lines_added_without_the_key_are_not_accepted(app: App, box: Box, writer: Writer) -> None:
    """They are valid except for the signature, and cover records that were not written yet."""
    await writer.add(2)
    await export(app, box.store)
    head = (await state.state(app)).head
    assert head
    forged, _ = chain.link(record(9, today()), head, "9999999999999-0", 9, Keyring("an attacker's key"))
    await box.client.get_blob_client(head.blob).append_block(forged)
    await writer.add(3)
    assert (await export(app, box.store)).finished
    await assert_new_chain(app, box, writer.written[2:])
    fault = (await verify(box.store, app.keyrings, head=(await state.state(app)).head)).fault
    assert fault
    assert (fault.kind, fault.blob, fault.line) == ("altered", head.blob, 3)


async def test_the_exporter_does_not_sign_a_file_that_it_did_not_write(app: App, box: Box, writer: Writer) -> None:
    """Even if the lines are signed: the file may come from another container."""
    blob = str(BlobName(YESTERDAY[:10], FOREIGN))
    line, _ = chain.link(record(1, YESTERDAY), Head(FOREIGN, blob), "1-0", 1, app.keyrings[0])
    await box.store.append(blob, line, 0)
    await writer.add(2, time=YESTERDAY)
    await app.redis.hset(STATE, mapping=state_of_empty_chain())
    await export(app, box.store)
    assert b"heads" in await box.raw(chain.heads_name(YESTERDAY[:10]))
    fault = (await verify(box.store, app.keyrings, head=(await state.state(app)).head)).fault
    assert fault
    assert (fault.kind, fault.blob) == ("inserted", blob)


def state_of_empty_chain() -> dict[Any, Any]:
    """The state after a chain was begun, before its first line was written."""
    name = FOREIGN.replace("abcd", "abce")
    blob = str(BlobName(YESTERDAY[:10], name))
    texts = {"chain": name, "blob": blob, "hash": chain.GENESIS, "entry": chain.START, "next": ""}
    return {**texts, "seq": 0, "position": 0, "line_bytes": 0, "n": 0}


async def test_the_heads_of_a_day_include_the_chains_that_were_replaced_on_it(box: Box) -> None:
    key, day = Keyring("an audit key of the tests"), "2026-01-01"
    last: Head | None = None
    expected: list[Head] = []
    for number in range(3):
        name = FOREIGN.replace("abcd", f"abc{number}")
        head = Head(name, str(BlobName(day, name)))
        data = chain.broken_record(last, "for the test") if last else {}
        first = chain.own_record(chain.CHAIN_BROKEN, head, today(), data) if last else {"type": "x"}
        line, last = chain.link(first, head, "1-0", 1, key)
        await box.store.append(head.blob, line, 0)
        expected.insert(0, last)
    assert last
    heads = await recovery.heads_of_day(box.store, last, [key])
    assert [(head.chain, head.seq, head.hash, head.position) for head in heads] == [
        (head.chain, head.seq, head.hash, head.position) for head in expected
    ]
    assert await recovery.heads_of_day(box.store, Head(FOREIGN, str(BlobName(day, FOREIGN))), [key]) == []


async def test_a_run_ends_although_a_call_to_storage_hangs(
    app: App, box: Box, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stuck(Store):
        async def append(self, blob: str, data: bytes, position: int) -> int:
            blocks = await super().append(blob, data, position)
            await asyncio.Event().wait()
            return blocks

    monkeypatch.setattr(export_module, "LAST_CALL_S", 0.5)
    await writer.add(2)
    report = await export(app, Stuck(box.store._container), budget_s=0)
    assert (report.error, report.finished) == ("TimeoutError", False)
    assert (await state.state(app)).last_success_age_s is not None  # since its first attempt
    assert (await export(app, box.store)).finished
    assert ids(await box.all()) == writer.written


async def test_what_redis_refuses_beside_the_place_of_the_export_repeats_and_blocks_nothing(
    app: App, writer: Writer, box: Box
) -> None:
    """A Redis user without HINCRBY and XDEL for a while: the place is written before what could be doubled."""
    denied = {"enabled": True, "passwords": ["+secret"], "keys": ["*"], "reset": True}
    await app.redis.acl_setuser("restricted", commands=["+@all", "-hincrby", "-xdel"], **denied)
    settings = msgspec.structs.replace(app.settings, redis=f"{app.settings.redis},user=restricted,password=secret")
    restricted = open_app(settings)
    await writer.add(3)
    await writer.junk({"x": "y"})
    for _ in range(2):
        assert (await export(restricted, box.store)).finished
    await app.redis.acl_setuser("restricted", commands=["+@all"], **denied)
    await writer.add(2)
    await writer.junk({"x": "y"})
    assert (await export(restricted, box.store)).finished
    await restricted.redis.aclose()
    await app.redis.acl_deluser("restricted")
    assert ids(await box.all()) == writer.written
    assert own(await box.all()) == ["unreadable"] * 2
    assert (await state.state(app)).unreadable == 1, "that of the refused count is missing, and none is counted twice"


class Denying(Store):
    """A store that once denies a blob, or all of them, that it has: a spurious 404."""

    def __init__(self, store: Store, call: str) -> None:
        super().__init__(store._container)
        self.call = call

    def _denies(self, call: str) -> bool:
        denied, self.call = self.call == call, "" if self.call == call else self.call
        return denied

    async def read(self, blob: str, start: int, length: int) -> bytes:
        return b"" if self._denies("read") else await super().read(blob, start, length)

    async def size(self, blob: str) -> int | None:
        return None if self._denies("size") else await super().size(blob)

    async def names(self, prefix: str) -> AsyncIterator[tuple[str, int]]:
        if not self._denies("names"):
            async for found in super().names(prefix):
                yield found

    async def append(self, blob: str, data: bytes, position: int) -> int:
        if self._denies("append"):
            raise Moved
        return await super().append(blob, data, position)


@pytest.mark.parametrize("call", ["read", "size", "names", "append"])
@pytest.mark.parametrize("flushed", [False, True], ids=["with a head in Redis", "without"])
async def test_a_single_spurious_404_of_storage_breaks_no_chain(
    app: App, writer: Writer, box: Box, call: str, flushed: bool
) -> None:
    await writer.add(3, time=YESTERDAY)
    await export(app, box.store)
    if flushed:
        await app.redis.hdel(STATE, "chain", "seq")
    await writer.add(2)
    store = Denying(box.store, call)
    for _ in range(2):
        await export(app, store)
    assert (await state.state(app)).broken is None
    assert ids(await box.all()) == writer.written
    assert own(await box.all()) == ["file_closed"]
    assert (await verify(box.store, app.keyrings)).fault is None


@pytest.mark.parametrize("exported", [False, True], ids=["before it was exported", "after"])
async def test_a_stream_that_was_rebuilt_is_exported_once(
    app: App, writer: Writer, box: Box, exported: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody added an entry with the greatest possible id."""
    await writer.add(3)
    await export(app, box.store)
    await writer.add(2)
    greatest = f"{2**64 - 1}-{2**64 - 1}"
    await app.redis.xadd(STREAM, {"x": "y"}, id=greatest)
    if exported:
        for _ in range(2):
            report = await export(app, box.store)
            assert report.finished
    await repair.repair(app)
    writer.n += 1
    await writer.add(2)
    for _ in range(2):
        assert (await export(app, box.store)).finished
    lines = await box.all()
    assert own(lines) == (["unreadable"] if exported else [])
    kinds = [line["type"].rpartition(".")[2] for line in lines if line["type"] != chain.UNREADABLE]
    assert kinds == [*["created"] * 5, "repaired", *["created"] * 2]
    assert [line["n"] for line in lines] == sorted(line["n"] for line in lines)
    assert (await verify(box.store, app.keyrings)).fault is None
    await repair.repair(app)  # nothing to do
    assert [record.levelname for record in caplog.records if "rebuilt" in record.message] == ["ERROR"]
