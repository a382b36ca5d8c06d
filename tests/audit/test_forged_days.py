"""Whoever may write to Redis, to the container, or to both, but has no key: heads and files forged for several days."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.app import App
from shared.audit import chain, state
from shared.audit.export import export
from shared.audit.verify import verify
from shared.privacy.keyring import Keyring
from tests.audit.conftest import STATE, Box, Writer, ids

FORGER = Keyring("a key of the attacker")
HEAD = ("chain", "blob", "seq", "hash", "position", "line_bytes", "next", "entry", "n")


def day(offset: int) -> str:
    return (datetime.now(UTC).date() + timedelta(days=offset)).isoformat()


def forged_file(name: str, blob: str, n: int) -> bytes:
    """A file whose only line is consistent, but signed with another key."""
    record = chain.own_record(chain.RESET, chain.Head(name, blob), f"{blob[9:19].replace('/', '-')}T00:00:00.000Z", {})
    line, _ = chain.link(record, chain.Head(name, blob), f"{2**63}-0", n, FORGER)
    return line


class Log:
    """Three days of records and today's, exported; `heads` are the fields of the state at the end of each."""

    def __init__(self, app: App, box: Box, writer: Writer) -> None:
        self.app, self.box, self.writer = app, box, writer
        self.heads: list[dict[str, Any]] = []

    async def write(self) -> None:
        for offset in (-3, -2, -1, 0):
            await self.writer.add(2, time=f"{day(offset)}T00:00:00.000Z")
        await export(self.app, self.box.store)
        for blob in await self.box.files():
            *_, last = await self.box.lines(blob)
            head = chain.head_of(chain.parse(last), blob, len(await self.box.raw(blob)), len(last))
            self.heads.append({name: getattr(head, name) for name in HEAD})

    async def put(self, blob: str, data: bytes) -> None:
        client = self.box.client.get_blob_client(blob)
        await client.create_append_blob()
        await client.append_block(data)

    async def set_head(self, **fields: Any) -> None:
        await self.app.redis.hset(STATE, mapping=fields)


async def roll_back_to_the_first_day(log: Log) -> None:
    await log.app.redis.hset(STATE, mapping=log.heads[0])


async def point_to_a_day_in_the_future(log: Log) -> None:
    name = log.heads[-1]["chain"]
    await log.set_head(blob=str(chain.BlobName("2099-01-01", name)), next="")


async def point_to_another_chain_in_the_past(log: Log) -> None:
    name = "20200101T000000000Z-0badc0de"
    blob = str(chain.BlobName(day(-2), name))
    line = forged_file(name, blob, 10**6)
    await log.put(blob, line)
    await log.set_head(
        chain=name, blob=blob, seq=1, hash=json.loads(line)["hash"], position=len(line), line_bytes=len(line), n=10**6
    )


async def delete_the_head_and_forge_a_later_chain(log: Log) -> None:
    await log.app.redis.hdel(STATE, *HEAD)
    name = "99990101T000000000Z-0badc0de"
    blob = str(chain.BlobName("2099-01-01", name))
    await log.put(blob, forged_file(name, blob, 10**6))


async def extend_yesterday(log: Log) -> None:
    blob = log.heads[2]["blob"]
    await log.box.client.get_blob_client(blob).append_block(forged_file(log.heads[2]["chain"], blob, 99))
    await log.app.redis.hset(STATE, mapping=log.heads[2])


async def sign_a_day_ahead(log: Log) -> None:
    """heads.json of today, before the exporter signs it."""
    heads = chain.sign_heads(day(0), [chain.Head("20200101T000000000Z-0badc0de", "x")], FORGER)
    await log.box.client.upload_blob(chain.heads_name(day(0)), heads)


FORGERIES: dict[Callable[[Log], Awaitable[None]], tuple[bool, int]] = {
    roll_back_to_the_first_day: (False, 0),
    point_to_a_day_in_the_future: (False, 0),
    point_to_another_chain_in_the_past: (True, 0),
    delete_the_head_and_forge_a_later_chain: (True, 0),
    extend_yesterday: (True, 2),
    sign_a_day_ahead: (True, 0),
}
"""Whether a verification names it: a head in Redis is no part of the log. And how many records are exported again:
those after the last line that can be trusted."""


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
async def test_a_forged_day_loses_no_record_and_later_records_go_to_the_file_of_their_day(
    app: App, box: Box, writer: Writer, forge: Callable[[Log], Awaitable[None]]
) -> None:
    log = Log(app, box, writer)
    await log.write()
    before = set(await box.files())
    await forge(log)
    forged = set(await box.files()) - before
    for _ in range(2):
        await writer.add(2)
        assert (await export(app, box.store)).finished
    files = set(await box.files())
    exported = ids([record for record in await box.all() if not record["mac"].startswith(FORGER.key_id)])
    is_named, repeated = FORGERIES[forge]
    assert set(exported) == set(writer.written)
    assert len(exported) == len(writer.written) + repeated
    assert {name[9:19].replace("/", "-") for name in files - forged} == {day(offset) for offset in (-3, -2, -1, 0)}
    fault = (await verify(box.store, app.keyrings, head=(await state.state(app)).head)).fault
    assert (fault is not None) == is_named
