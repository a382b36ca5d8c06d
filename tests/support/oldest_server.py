"""What Redis 6.0, the oldest version that the app supports, does not have, as the server's own documentation says."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import redis
import redis.asyncio
from redis.exceptions import ResponseError

OLDEST = (6, 0)


@dataclass(frozen=True)
class Command:
    """`is_newer`: Redis 6.0 does not have the command. `newer_tokens` are the options that it does not have."""

    is_newer: bool
    newer_tokens: frozenset[str]
    subcommands: Mapping[str, "Command"] = field(default_factory=dict)


def commands(port: int) -> dict[str, Command]:
    """The commands of the server by name in upper case; empty if it documents none (before 7.0)."""
    with redis.Redis(port=port, protocol=2, decode_responses=True) as client:
        try:
            reply: Any = client.execute_command("COMMAND DOCS")  # one word: redis-py misreads the reply to COMMAND
        except ResponseError:
            return {}
    return _by_name(reply)


async def all_channels(client: redis.asyncio.Redis) -> list[str]:
    """The ACL rule that grants a user all channels; none in Redis 6.0, which has no rights to channels."""
    return ["&*"] if "channels" in await client.acl_getuser("default") else []


def refuse_newer_commands(port: int) -> None:
    """Take the commands that Redis 6.0 does not have from every client of the server, but for COMMAND DOCS."""
    if rights := [f"-{name}" for name in _newer(commands(port)) if name != "command|docs"]:
        with redis.Redis(port=port) as client:
            client.acl_setuser("default", enabled=True, commands=rights)


def _newer(by_name: Mapping[str, Command], prefix: str = "") -> Iterator[str]:
    for name, command in by_name.items():
        if command.is_newer:
            yield f"{prefix}{name.lower()}"
        else:
            yield from _newer(command.subcommands, f"{prefix}{name.lower()}|")


def _by_name(reply: list[Any]) -> dict[str, Command]:
    return {
        name.rpartition("|")[2].upper(): _command(_pairs(documentation))
        for name, documentation in _pairs(reply).items()
    }


def _command(documentation: Mapping[str, Any]) -> Command:
    tokens = frozenset(_newer_tokens(documentation.get("arguments", []), within_newer=False))
    return Command(_is_newer(documentation), tokens, _by_name(documentation.get("subcommands", [])))


def _newer_tokens(arguments: list[Any], *, within_newer: bool) -> Iterator[str]:
    for argument in map(_pairs, arguments):
        newer = within_newer or _is_newer(argument)
        if newer and "token" in argument:
            yield argument["token"]
        yield from _newer_tokens(argument.get("arguments", []), within_newer=newer)


def _is_newer(documentation: Mapping[str, Any]) -> bool:
    return tuple(int(part) for part in documentation.get("since", "1.0").split(".")[:2]) > OLDEST


def _pairs(flat: list[Any]) -> dict[str, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
