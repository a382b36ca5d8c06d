"""An app that is stopped exports its audit records."""

import asyncio
from pathlib import Path

from local.run.servers import azurite
from shared.app import open_app
from shared.audit.state import state
from shared.audit.store import open_store
from shared.audit.verify import verify
from shared.settings import parse
from tests.support.rig import FAST, RedisProcess, hosts

ONCE_A_YEAR = "0 0 0 1 1 *"


async def test_records_are_in_storage_after_the_app_was_stopped(tmp_path: Path) -> None:
    async with azurite() as storage, RedisProcess(tmp_path) as server:
        assert storage is not None, "Azurite cannot be started here"
        connection = f"127.0.0.1:{server.port}"
        account = {"AzureWebJobsStorage": storage.connection_string}
        settings = parse(FAST | account | {"Redis": connection})
        app = open_app(settings)
        async with hosts(1, connection, tmp_path, AUDIT_SCHEDULE=ONCE_A_YEAR, **account):
            await app.redis.set("nextauth:session:t", '{"userId":"u","expires":"2036-01-01T00:00:00.000Z"}')
            async with asyncio.timeout(10):
                while True:
                    if (await state(app)).pending == 1:
                        break
                    await asyncio.sleep(0.02)
        assert (await state(app)).pending == 0
        async with open_store(settings) as store:
            verification = await verify(store, app.keyrings)
        await app.redis.aclose()
    assert (verification.records, verification.fault) == (1, None)
