"""DNS for sources: only addresses that may be called. Imported with aiohttp, by the first request."""

import socket
from typing import TYPE_CHECKING

from shared.sources.addresses import Hosts

if TYPE_CHECKING:
    from aiohttp.abc import AbstractResolver, ResolveResult


class AddressRefused(OSError):
    """The name resolves to private, link-local, metadata or other special addresses only."""


def checked_resolver(hosts: Hosts, resolver: "AbstractResolver | None") -> "AbstractResolver":
    """A resolver for aiohttp's connector, which opens connections to exactly the addresses that it returns."""
    from aiohttp import abc
    from aiohttp.resolver import ThreadedResolver

    inner = resolver or ThreadedResolver()

    class Checked(abc.AbstractResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
        ) -> "list[ResolveResult]":
            results = await inner.resolve(host, port, family)
            allowed = [result for result in results if hosts.has_address(result["host"])]
            if results and not allowed:
                raise AddressRefused
            return allowed

        async def close(self) -> None:
            await inner.close()

    return Checked()
