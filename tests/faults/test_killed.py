"""A host is killed with its worker: nothing depends on what a process does when it ends."""

import asyncio
from pathlib import Path

from local.run.servers import azurite
from shared.app import App, open_app
from shared.audit.state import state
from shared.audit.store import open_store
from shared.audit.verify import verify
from shared.settings import parse
from tests.support.rig import FAST, HostProcess, RedisProcess

ONCE_A_YEAR, EACH_SECOND = "0 0 0 1 1 *", "* * * * * *"
SESSION = '{"userId":"u","expires":"2036-01-01T00:00:00.000Z"}'


async def test_records_of_a_killed_host_are_exported_by_the_next_one(tmp_path: Path) -> None:
    async with azurite() as storage, RedisProcess(tmp_path) as server:
        assert storage is not None, "Azurite cannot be started here"
        connection = f"127.0.0.1:{server.port}"
        account = {"AzureWebJobsStorage": storage.connection_string}
        settings = parse(FAST | account | {"Redis": connection})
        app = open_app(settings)
        killed = HostProcess(connection, tmp_path / "killed.log", AUDIT_SCHEDULE=ONCE_A_YEAR, **account)
        await killed.start()
        await app.redis.mset({f"nextauth:session:{number}": SESSION for number in range(50)})
        await until_pending(app, 50)
        await killed.kill()
        next_host = HostProcess(connection, tmp_path / "next.log", AUDIT_SCHEDULE=EACH_SECOND, **account)
        await next_host.start()
        await until_pending(app, 0)
        await next_host.kill()
        async with open_store(settings) as store:
            verification = await verify(store, app.keyrings)
        await app.redis.aclose()
    assert (verification.records, verification.fault) == (50, None)


async def until_pending(app: App, records: int) -> None:
    async with asyncio.timeout(15):
        while (await state(app)).pending != records:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
