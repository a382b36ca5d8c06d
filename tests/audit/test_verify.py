"""Tampering is detected, and the fault names the first place that is wrong."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import pytest

from shared.app import App
from shared.audit import chain, state
from shared.audit.chain import Head
from shared.audit.export import export
from shared.audit.verify import Verification, records, verify
from shared.privacy.keyring import Keyring
from tests.audit.conftest import Box, Writer, today

TODAY = datetime.now(UTC).date()
KEYS = [Keyring("an audit key of the tests")]
FOREIGN = "20260101T000000000Z-0123abcd"


def at(offset: int) -> date:
    return TODAY + timedelta(days=offset)


@dataclass
class Log:
    """Three days with five records each; the files of the first two days have a sixth line, which closes them.

    `head` is the head in Redis.
    """

    box: Box
    files: list[str]
    head: Head

    async def edit(self, file: int, change: Callable[[list[bytes]], list[bytes]]) -> None:
        blob = self.files[file]
        await self.box.rewrite(blob, b"".join(change(await self.box.lines(blob))))

    def heads(self, file: int) -> str:
        return self.files[file].rpartition("/")[0] + "/heads.json"


@pytest.fixture
async def log(app: App, box: Box, writer: Writer) -> Log:
    await writer.add(5, time=f"{at(-2)}T10:00:00Z")
    await writer.add(5, time=f"{at(-1)}T10:00:00Z")
    await writer.add(5)
    await export(app, box.store)
    head = (await state.state(app)).head
    assert head
    return Log(box, await box.files(), head)


def rehashed(line: bytes, keyring: Keyring = KEYS[0], **changes: object) -> bytes:
    """The line with changed fields, a matching hash and a signature, by default a valid one: then only the chain can
    show the change."""
    fields = {**json.loads(line), **changes}
    del fields["hash"], fields["mac"]
    position = {name: fields.pop(name) for name in ("chain", "seq", "prev", "entry", "n")}
    head = Head(position["chain"], "", position["seq"] - 1, position["prev"])
    return chain.link(fields, head, position["entry"], position["n"], keyring)[0]


def recomputed(lines: list[bytes], **changes: object) -> list[bytes]:
    """The lines with changed fields in the first one, and all later lines linked to it."""
    relinked = [rehashed(lines[0], KEYS[0], **changes)]
    for line in lines[1:]:
        relinked.append(rehashed(line, prev=json.loads(relinked[-1])["hash"]))
    return relinked


def with_line(lines: list[bytes], index: int, line: bytes) -> list[bytes]:
    return [*lines[:index], line, *lines[index:]]


def edited(file: int, change: Callable[[list[bytes]], list[bytes]]) -> Callable[[Log], Awaitable[None]]:
    return lambda log: log.edit(file, change)


def deleted(*, file: int | None = None, heads: int | None = None) -> Callable[[Log], Awaitable[None]]:
    async def act(log: Log) -> None:
        if file is not None:
            await log.box.delete(log.files[file])
        if heads is not None:
            await log.box.delete(log.heads(heads))

    return act


async def emptied(log: Log) -> None:
    for name in await log.box.names():
        await log.box.delete(name)


async def all_recomputed(log: Log, keyring: Keyring | None = None) -> None:
    """Relink all lines, as anyone with write access to the container can; with `keyring`, also sign the heads again."""
    previous = None
    for file, blob in enumerate(log.files):
        lines = await log.box.lines(blob)
        lines = recomputed(lines, **({"prev": previous} if previous else {"type": "x"}))
        previous = json.loads(lines[-1])["hash"]
        await log.box.rewrite(blob, b"".join(lines))
        if keyring and file < 2:
            head = Head(log.head.chain, blob, 6 * file + 6, previous, len(b"".join(lines)))
            await log.box.delete(log.heads(file))
            signed = chain.sign_heads(str(at(file - 2)), [head], keyring)
            await log.box.store.create(log.heads(file), signed)


async def all_recomputed_and_signed(log: Log) -> None:
    await all_recomputed(log, Keyring("an attacker's key"))


def chain_added(file: int) -> Callable[[Log], Awaitable[None]]:
    async def act(log: Log) -> None:
        blob = log.files[file].replace(log.head.chain, FOREIGN)
        line, _ = chain.link({"type": "x", "time": today()}, Head(FOREIGN, blob), "1-0", 1, KEYS[0])
        await log.box.store.append(blob, line, 0)

    return act


async def heads_rewritten(log: Log) -> None:
    raw = (await log.box.raw(log.heads(1))).replace(b'"seq":12', b'"seq":11')
    await log.box.delete(log.heads(1))
    await log.box.store.create(log.heads(1), raw)


async def heads_of_another_day(log: Log) -> None:
    await log.box.delete(log.heads(1))
    await log.box.store.create(log.heads(1), await log.box.raw(log.heads(0)))


async def today_recomputed_without_key(log: Log) -> None:
    """And no head in Redis, so that only the signature shows it."""
    lines = await log.box.lines(log.files[2])
    await log.box.rewrite(
        log.files[2], b"".join([*lines[:4], rehashed(lines[4], Keyring("an attacker's key"), type="x")])
    )
    log.head = replace(log.head, seq=0)


async def today_truncated_and_forged(log: Log) -> None:
    lines = await log.box.lines(log.files[2])
    forged = rehashed(lines[3], type="x").replace(b'"mac":"', b'"mac":"0')
    await log.box.rewrite(log.files[2], b"".join([*lines[:3], forged]))
    log.head = replace(log.head, seq=0)


async def self_replacing_chain(log: Log) -> None:
    blob = log.files[2].replace(log.head.chain, FOREIGN)
    head = Head(FOREIGN, blob)
    data = chain.broken_record(replace(head, seq=1), "none")
    line, _ = chain.link(
        chain.own_record(chain.CHAIN_BROKEN, head, today(), data), head, "1-0", 1, Keyring("an attacker's key")
    )
    await log.box.store.append(blob, line, 0)


async def file_of_another_name(log: Log) -> None:
    await log.box.store.create(log.files[1].replace(".jsonl", ".bak"), b"x")


type Where = tuple[str, int | str | None, int | None, int | None]
"""Kind, file (its number, or `h` and the number of the day of the heads.json), line, seq."""

TAMPERED: dict[str, tuple[Callable[[Log], Awaitable[None]], Where]] = {
    "altered": (
        edited(0, lambda lines: [*lines[:2], lines[2].replace(b"u-1", b"u-2"), *lines[3:]]),
        ("altered", 0, 3, 3),
    ),
    "altered and rehashed": (
        edited(0, lambda lines: [*lines[:2], rehashed(lines[2], type="x"), *lines[3:]]),
        ("altered", 0, 3, 3),
    ),
    "last line of a file altered and rehashed": (
        edited(0, lambda lines: [*lines[:5], rehashed(lines[5], time="x")]),
        ("altered", 0, 6, 6),
    ),
    "dropped": (edited(0, lambda lines: lines[:2] + lines[3:]), ("missing", 0, 3, 3)),
    "first of a file dropped": (edited(1, lambda lines: lines[1:]), ("missing", 1, 1, 7)),
    "first of all dropped": (edited(0, lambda lines: lines[1:]), ("missing", 0, 1, 1)),
    "swapped": (
        edited(0, lambda lines: [lines[0], lines[2], lines[1], *lines[3:]]),
        ("reordered", 0, 2, 3),
    ),
    "copy inserted": (edited(0, lambda lines: with_line(lines, 4, lines[1])), ("inserted", 0, 5, 2)),
    "forged line inserted": (
        edited(0, lambda lines: with_line(lines, 2, rehashed(lines[2], type="x"))),
        ("inserted", 0, 3, 3),
    ),
    "forged line inserted after the original": (
        edited(0, lambda lines: with_line(lines, 3, rehashed(lines[2], type="x"))),
        ("inserted", 0, 4, 3),
    ),
    "text inserted": (edited(0, lambda lines: with_line(lines, 2, b"x\n")), ("unreadable", 0, 3, 3)),
    "endless line": (edited(0, lambda lines: [*lines[:2], b"x" * 300_000, *lines[2:]]), ("unreadable", 0, 3, 3)),
    "line of another file inserted": (
        edited(0, lambda lines: [*lines, rehashed(lines[5], seq=7, prev=json.loads(lines[5])["hash"])]),
        ("inserted", 0, 7, 7),
    ),
    "end of a sealed day cut off": (edited(0, lambda lines: lines[:4]), ("truncated", 0, 5, 5)),
    "end of the last sealed day cut off": (edited(1, lambda lines: lines[:-1]), ("truncated", 1, 6, 12)),
    "cut within a line": (edited(0, lambda lines: [*lines[:4], lines[4][:50]]), ("truncated", 0, 5, 5)),
    "end of a sealed day cut off, heads.json too": (
        lambda log: both(edited(0, lambda lines: lines[:4]), deleted(heads=0), log),
        ("heads missing", "h0", None, None),
    ),
    "end of today cut off": (edited(2, lambda lines: lines[:3]), ("truncated", 2, 4, 16)),
    "today recomputed": (
        edited(2, lambda lines: [*lines[:1], *recomputed(lines[1:], type="x")]),
        ("altered", 2, 5, 17),
    ),
    "file dropped": (deleted(file=0), ("missing", 0, None, 1)),
    "file in the middle dropped": (deleted(file=1), ("missing", 1, None, 7)),
    "whole day dropped": (deleted(file=1, heads=1), ("missing", 1, None, 7)),
    "today dropped": (deleted(file=2), ("missing", 2, None, 13)),
    "everything dropped": (emptied, ("missing", 2, None, 1)),
    "heads.json altered": (heads_rewritten, ("heads altered", "h1", None, None)),
    "last line recomputed without the key": (today_recomputed_without_key, ("altered", 2, 5, 17)),
    "today cut and forged": (today_truncated_and_forged, ("altered", 2, 4, 16)),
    "chain added that claims to replace itself": (self_replacing_chain, ("altered", 2, 1, 1)),
    "heads.json of another day": (heads_of_another_day, ("heads altered", "h1", None, None)),
    "heads.json removed": (deleted(heads=1), ("heads missing", "h1", None, None)),
    "all recomputed": (all_recomputed, ("altered", 0, 6, 6)),
    "all recomputed and signed": (all_recomputed_and_signed, ("heads altered", "h0", None, None)),
    "chain added to a sealed day": (chain_added(1), ("inserted", 1, None, None)),
    "chain added to today": (chain_added(2), ("inserted", 2, None, None)),
    "file of another name": (file_of_another_name, ("inserted", "bak", None, None)),
}


async def both(first: Callable[[Log], Awaitable[None]], second: Callable[[Log], Awaitable[None]], log: Log) -> None:
    await first(log)
    await second(log)


@pytest.mark.parametrize("how", TAMPERED)
async def test_tampering_is_detected_and_its_place_named(log: Log, how: str) -> None:
    assert (await verify(log.box.store, KEYS, head=log.head)).fault is None
    tamper, (kind, place, line, seq) = TAMPERED[how]
    await tamper(log)
    fault = (await verify(log.box.store, KEYS, head=log.head)).fault
    assert fault, how
    blob = log.files[place] if isinstance(place, int) else log.heads(int(place[1])) if place[0] == "h" else fault.blob
    if "chain added" in how:
        blob = blob.replace(log.head.chain, FOREIGN)
    assert (fault.kind, fault.blob, fault.line, fault.seq) == (kind, blob, line, seq), fault.detail


async def test_an_intact_log_has_no_fault_and_its_lines_are_counted(log: Log) -> None:
    assert await verify(log.box.store, KEYS, head=log.head) == Verification(17, 1, 3, 2, 5)
    assert await verify(log.box.store, KEYS, since=at(-1)) == Verification(11, 1, 2, 1, 5)
    assert await verify(log.box.store, KEYS, until=at(-1), head=log.head) == Verification(12, 1, 2, 2, 0)
    assert await verify(log.box.store, [Keyring("the next audit key"), *KEYS], head=log.head) == Verification(
        17, 1, 3, 2, 5
    )


async def test_an_empty_or_missing_container_has_no_fault(box: Box) -> None:
    assert await verify(box.store, KEYS) == Verification()
    await box.client.create_container()
    assert await verify(box.store, KEYS) == Verification()


async def test_a_truncation_of_today_is_not_detected_without_the_head_in_redis(log: Log) -> None:
    await log.edit(2, lambda lines: lines[:3])
    assert await verify(log.box.store, KEYS) == Verification(15, 1, 3, 2, 3)


async def test_records_are_selected_by_day_and_user(app: App, box: Box, writer: Writer) -> None:
    await writer.add(2, time=f"{at(-2)}T10:00:00Z", user="u-7")
    await writer.add(1, time=f"{at(-2)}T11:00:00Z", user="u-8")
    await writer.add(1, time=f"{at(-1)}T00:00:00Z", user="u-8")
    await writer.add(1, time=f"{at(-2)}T23:59:59.999Z", user="u-7")  # written late, so in the file of the next day
    await writer.add(1, time=f"{at(-1)}T12:00:00Z", user="u-7")
    await export(app, box.store)
    selected = [line["id"] async for line in records(box.store, at(-2), user_id="u-7")]
    assert selected == [writer.written[index] for index in (0, 1, 4)]
    selected = [line["id"] async for line in records(box.store, at(-2), at(-1), user_id="u-8")]
    assert selected == [writer.written[index] for index in (2, 3)]
    everything = [line["id"] async for line in records(box.store, at(-2), at(0))]
    assert set(writer.written) <= set(everything)
