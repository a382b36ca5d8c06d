"""Rules of the layout beyond the import contract: Azure, cold start, the environment, and script contracts."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import redis.asyncio

ROOT = Path(__file__).parents[2]
IMPORT_BUDGET_MS = 400
MOST_OVER_LIBRARIES = 1.35
SCRIPTS = sorted([*(ROOT / "shared").rglob("*.lua"), *(ROOT / "cli").rglob("*.lua")])
HEAVY = {"numpy", "tsdownsample", "azure.identity", "aiohttp"}


def imports(path: Path, *, top_level: bool = False) -> set[str]:
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level else ast.walk(tree)
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_only_the_triggers_import_azure_functions() -> None:
    for path in (ROOT / "shared").rglob("*.py"):
        assert not {name for name in imports(path) if name.startswith("azure.functions")}, path.name


def test_heavy_packages_are_imported_only_where_they_are_used() -> None:
    for path in [*(ROOT / "shared").rglob("*.py"), *(ROOT / "triggers").rglob("*.py")]:
        assert not imports(path, top_level=True) & HEAVY, path.name


def test_only_the_settings_read_the_environment() -> None:
    for path in [*(ROOT / "shared").rglob("*.py"), *(ROOT / "triggers").rglob("*.py")]:
        if path.name != "settings.py":
            assert "os" not in imports(path), path.name


def import_ms(modules: str) -> float:
    """CPU time of the import in a new process, without the start of the interpreter."""
    code = f"import time; start = time.process_time(); import {modules}; print(time.process_time() - start)"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return float(run.stdout) * 1000


def test_the_app_imports_within_its_budget(measured: Callable[[str, float, str], None]) -> None:
    """The budget is that of a machine for itself. On a slow one, and beside other tests, the two libraries that cannot
    be done without take longer than that alone: there, the app may add a share to what they take in the same minute."""
    app_ms, libraries_ms = [], []
    for _ in range(4):
        libraries_ms.append(import_ms("azure.functions, redis.asyncio"))
        app_ms.append(import_ms("function_app"))
    measured("import of function_app", min(app_ms), "ms")
    measured("import of azure.functions and redis alone", min(libraries_ms), "ms")
    assert min(app_ms) < max(IMPORT_BUDGET_MS, MOST_OVER_LIBRARIES * min(libraries_ms))


def test_a_script_starts_with_a_comment() -> None:
    scripts = SCRIPTS
    assert len(scripts) >= 6
    for path in scripts:
        head = path.read_text().split("\n\n")[0]
        assert head.startswith("-- "), path.name


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_s_contract_names_keys_arguments_returns_and_invariant(path: Path) -> None:
    header = "\n".join(line for line in path.read_text().splitlines() if line.startswith("--"))
    for word in ("KEYS", "ARGV", "Returns", "Invariant"):
        assert word in header, f"the contract of {path.name} has no {word}"


async def test_every_command_of_the_scripts_exists_in_redis_6_0(
    redis_client: redis.asyncio.Redis, server_version: tuple[int, int]
) -> None:
    """According to the server's documentation of its commands."""
    if server_version < (7, 0):
        pytest.skip("only servers from 7.0 on document the version of a command")
    source = "".join(path.read_text() for path in SCRIPTS)
    names = set(re.findall(r"redis\.p?call\('(\w+)'", source)) | {"LLEN", "HLEN", "SCAN", "INFO", "HMGET", "ZSCORE"}
    assert len(names) > 20
    reply = await redis_client.eval("return redis.call('COMMAND', 'DOCS', unpack(ARGV))", 0, *names)
    docs = {
        name: dict(zip(fields[::2], fields[1::2], strict=True))
        for name, fields in zip(reply[::2], reply[1::2], strict=True)
    }
    assert len(docs) == len(names)
    for name, doc in docs.items():
        since = tuple(int(part) for part in doc[b"since"].decode().split("."))
        assert since <= (6, 0, 9), f"{name!r} exists since {since}"
    newer = re.findall(r"'(?:GETDEL|GETEX|COPY|SMISMEMBER|ZMSCORE|XAUTOCLAIM|LMOVE|EXPIRETIME|PEXPIRETIME)'", source)
    assert newer == []
