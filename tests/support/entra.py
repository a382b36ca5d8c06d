"""A stand-in for sign-in by identity as Azure has it: an endpoint of tokens, and a Redis that takes them.

identity endpoint   what App Service gives an app with a managed identity (IDENTITY_ENDPOINT, api-version 2019-08-01).
                    Each answer is a new token, which is then a password of the identity's ACL user in Redis
front door          speaks TLS, reads who signs in, and ends the connections whose token has expired, as Azure does.
                    Redis itself would keep them
"""

import asyncio
import math
import secrets
import ssl
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import hiredis
import redis.asyncio
from aiohttp import web

from tests.support.proxy import Proxy

RESOURCE = "https://redis.azure.com"
PRINCIPAL = "11111111-2222-3333-4444-555555555555"
_HEADER = "the secret of the identity endpoint"


class Entra:
    """Issues tokens with a life of `life_s`, below 300 s: azure-identity keeps those that live longer by itself.

    `expired` counts those whose time has come.
    """

    def __init__(self, admin: redis.asyncio.Redis, life_s: float) -> None:
        self.life_s = life_s
        self.issued: list[str] = []
        self.expired = 0
        self.refuses = False
        self.answers = asyncio.Event()
        """While it is not set, requests wait."""
        self.answers.set()
        self.requested = asyncio.Event()
        self.at_expiry: Callable[[str], None] = lambda token: None
        self._admin = admin
        self._tasks: set[asyncio.Task[None]] = set()

    async def grant(self, *rules: str) -> None:
        """Change the ACL user of the identity, such as by "off"."""
        await self._admin.execute_command("ACL", "SETUSER", PRINCIPAL, *rules)

    async def issue(self, request: web.Request) -> web.Response:
        assert request.headers["X-IDENTITY-HEADER"] == _HEADER
        assert request.query["resource"] == RESOURCE
        self.requested.set()
        await self.answers.wait()
        if self.refuses:  # 400 is what azure-identity does not repeat by itself
            return web.json_response({"statusCode": 400, "message": "no identity"}, status=400)
        token = f"token-{len(self.issued)}-{secrets.token_urlsafe(600)}"
        expires_on = math.ceil(time.time() + self.life_s)
        await self.grant(f">{token}")
        self.issued.append(token)
        task = asyncio.create_task(self._expire(token, expires_on))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        answer = {"access_token": token, "expires_on": str(expires_on), "resource": RESOURCE, "token_type": "Bearer"}
        return web.json_response(answer)

    async def _expire(self, token: str, expires_on: float) -> None:
        await asyncio.sleep(max(0.0, expires_on - time.time()))
        await self.grant(f"<{token}")
        self.at_expiry(token)
        self.expired += 1

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class FrontDoor(Proxy):
    """`signed_in` maps each connection to its latest token; `cut` counts the connections that were ended."""

    def __init__(self, target_port: int, certificate: Path) -> None:
        super().__init__(target_port)
        self.signed_in: dict[StreamWriter, str] = {}
        self.again = 0
        """How often a connection that had signed in signed in again."""
        self.cut = 0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")

    async def __aenter__(self) -> "FrontDoor":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def end(self, token: str) -> None:
        for client, latest in list(self.signed_in.items()):
            if latest == token:
                self.cut += 1
                client.transport.abort()

    async def _connect(
        self, client_reader: StreamReader, client: StreamWriter, server_reader: StreamReader, server: StreamWriter
    ) -> None:
        commands = asyncio.ensure_future(self._forward(client_reader, server, client))
        replies = asyncio.ensure_future(self._forward(server_reader, client))
        try:
            await asyncio.wait({commands, replies}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in (commands, replies):
                direction.cancel()
            await asyncio.gather(commands, replies, return_exceptions=True)
            self.signed_in.pop(client, None)

    async def _forward(self, reader: StreamReader, writer: StreamWriter, client: StreamWriter | None = None) -> None:
        parser = hiredis.Reader(notEnoughData=self)
        while chunk := await reader.read(65536):
            if client:
                parser.feed(chunk)
                while (command := parser.gets()) is not self:
                    self._note(command, client)
            writer.write(chunk)
            await writer.drain()

    def _note(self, command: list[Any], client: StreamWriter) -> None:
        if command[0].upper() in {b"AUTH", b"HELLO"} and PRINCIPAL.encode() in command:
            self.again += client in self.signed_in
            self.signed_in[client] = command[command.index(PRINCIPAL.encode()) + 1].decode()


@asynccontextmanager
async def entra(admin: redis.asyncio.Redis, life_s: float) -> AsyncIterator[tuple[Entra, dict[str, str]]]:
    """The endpoint of tokens, and the variables by which azure-identity finds it."""
    stand_in = Entra(admin, life_s)
    await stand_in.grant("reset", "on", "allkeys", "allchannels", "+@all")
    application = web.Application()
    application.router.add_get("/msi/token", stand_in.issue)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield stand_in, {"IDENTITY_ENDPOINT": f"http://127.0.0.1:{port}/msi/token", "IDENTITY_HEADER": _HEADER}
    finally:
        stand_in.answers.set()
        await stand_in.stop()
        await runner.cleanup()
        await admin.execute_command("ACL", "DELUSER", PRINCIPAL)
