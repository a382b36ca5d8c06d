"""Nothing needs more than Redis 6.0. The server of the tests refuses newer commands (tests/conftest.py), so every test
shows that for the commands that it runs; here, for the options of commands, in all scripts and calls."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import redis.asyncio
from redis.exceptions import NoPermissionError

from tests.support import oldest_server
from tests.support.oldest_server import Command

ROOT = Path(__file__).parents[2]
SOURCES = ("shared", "triggers", "cli", "local")
SCRIPTS = sorted(path for folder in SOURCES for path in (ROOT / folder).rglob("*.lua"))
LUA_FUNCTIONS = {"call", "pcall", "sha1hex", "error_reply", "status_reply", "log", "replicate_commands"}
"""What `redis` has in a script of Redis 6.0, and this app uses."""
_CALL = re.compile(r"[\w.]+\(")
_COMMENT = re.compile(r"--[^\n]*")
_LITERAL = re.compile(r"'([^']*)'")
_PIECE = re.compile(r"'([^']*)'|[()]|[^'()]+")


@pytest.fixture
def commands(redis_port: int) -> dict[str, Command]:
    documented = oldest_server.commands(redis_port)
    if not documented:
        pytest.skip("this server does not document its commands")
    return documented


def faults(commands: Mapping[str, Command], words: list[str]) -> list[str]:
    """What Redis 6.0 does not have of a command and its literal arguments; nothing if the first word is no command."""
    name, *rest = [word.upper() for word in words]
    if (command := commands.get(name)) is None:
        return []
    if command.subcommands and rest and rest[0] in command.subcommands:
        return [f"{name} {fault}" for fault in faults(command.subcommands, rest)]
    newer = sorted(command.newer_tokens & set(rest))
    exclusive = name in {"XRANGE", "XREVRANGE"} and any(word.startswith("(") for word in rest)
    return [name] * command.is_newer + [f"{name} {token}" for token in newer] + [f"{name} (id"] * exclusive


def calls_of(script: str) -> Iterator[list[str]]:
    """The literals of each call of a function in a script, in order: of Redis, or of one that passes them on to it."""
    text = _COMMENT.sub("", script)
    for match in _CALL.finditer(text):
        literals, depth = [], 1
        for piece in _PIECE.finditer(text, match.end()):
            depth += {"(": 1, ")": -1}.get(piece[0], 0)
            if depth == 0:
                break
            if piece[1] is not None:
                literals.append(piece[1])
        if literals:
            yield literals
    yield from ([literal] for literal in _LITERAL.findall(text))


def newer_options(commands: Mapping[str, Command], words: list[str]) -> list[str]:
    """The options of a call of the client that Redis 6.0 does not have."""
    name, *rest = [word.upper() for word in words]
    return [f"{name} {token}" for token in sorted(commands[name].newer_tokens & set(rest))] if name in commands else []


def client_calls(source: str) -> Iterator[list[str]]:
    """Name and options of each call of a method in Python, in the words of the protocol: `set(key, px=1)` is SET PX. A
    method of something else with the name of a command counts as well."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            options = [word.arg.replace("_", "") for word in node.keywords if word.arg]
            literals = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
            yield [node.func.attr.replace("_", ""), *options, *(text for text in literals if isinstance(text, str))]


async def test_the_server_of_the_tests_refuses_commands_that_redis_6_0_does_not_have(
    commands: dict[str, Command], redis_client: redis.asyncio.Redis
) -> None:
    for call in (["GETDEL", "key"], ["CLIENT", "NO-EVICT", "ON"]):
        with pytest.raises(NoPermissionError):
            await redis_client.execute_command(*call)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_no_script_uses_an_option_or_function_newer_than_redis_6_0(commands: dict[str, Command], path: Path) -> None:
    script = _COMMENT.sub("", path.read_text())
    assert [fault for words in calls_of(script) for fault in faults(commands, words)] == []
    assert set(re.findall(r"\bredis\.(\w+)", script)) <= LUA_FUNCTIONS


def test_no_call_of_the_client_uses_an_option_newer_than_redis_6_0(commands: dict[str, Command]) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {fault}"
        for folder in SOURCES
        for path in (ROOT / folder).rglob("*.py")
        if "redis" in (source := path.read_text()) or "pipeline" in source
        for words in client_calls(source)
        for fault in newer_options(commands, words)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("redis.call('ZADD', KEYS[1], 'GT', number(ARGV[1], f(2)), 'm')", ["ZADD GT"]),
        ("redis.pcall('GETDEL', KEYS[1])", ["GETDEL"]),
        ("redis.call('SET', KEYS[1], '', 'EXAT', '9')", ["SET EXAT"]),
        ("redis.call('XRANGE', KEYS[1], '(' .. last, '+')", ["XRANGE (id"]),
        ("redis.call('OBJECT', 'HELP')", ["OBJECT HELP"]),
        ("write('EXPIRE', KEYS[1], 5, 'NX')", ["EXPIRE NX"]),
        ("local COUNT = { list = 'LLEN', hash = 'HLEN', x = 'LMPOP' }", ["LMPOP"]),
    ],
)
def test_newer_commands_and_options_are_found(commands: dict[str, Command], script: str, expected: list[str]) -> None:
    assert {fault for words in calls_of(script) for fault in faults(commands, words)} == set(expected)


def test_newer_options_of_the_client_are_found(commands: dict[str, Command]) -> None:
    source = "await redis.set(key, value, px=5, get=True)\nawait pipeline.xadd(key, fields, nomkstream=True)"
    found = [fault for words in client_calls(source) for fault in newer_options(commands, words)]
    assert found == ["SET GET", "XADD NOMKSTREAM"]
