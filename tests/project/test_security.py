"""What the threat model in SECURITY.md promises of the code as a whole."""

import ast
import json
import re
from pathlib import Path

from triggers.dead_letters import MAX_BODY_BYTES

ROOT = Path(__file__).parents[2]
CODE = [ROOT / "function_app.py", *sorted((ROOT / "triggers").rglob("*.py")), *sorted((ROOT / "shared").rglob("*.py"))]
UNSAFE_MODULES = {"pickle", "marshal", "shelve", "subprocess", "ctypes", "yaml", "dill", "xml", "socketserver"}
ALLOWED = {("shared/runtime/malloc.py", "ctypes")}
"""malloc.py calls mallopt of the C library with constants."""
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__"}
PASSED_ON = {"...", "command", "unpack(former", "COUNT_COMMANDS[kind]", "COUNT[kind]"}
"""Of scripts: a command that a caller in the same script wrote, or an entry of a table there."""
NAMES_OF_SECRETS = re.compile(r"(?i)(password|_secret|signature|hmac)$")


def test_nothing_is_unpickled_evaluated_or_started_and_secrets_are_compared_in_constant_time() -> None:
    assert len(CODE) > 100
    for path in CODE:
        name = str(path.relative_to(ROOT))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Import(names=names):
                    modules = {alias.name.partition(".")[0] for alias in names}
                    assert {(name, module) for module in modules & UNSAFE_MODULES} <= ALLOWED
                case ast.ImportFrom(module=str(module)):
                    assert module.partition(".")[0] not in UNSAFE_MODULES, f"{name}: {module}"
                case ast.Call(func=ast.Name(id=called)):
                    assert called not in UNSAFE_CALLS, f"{name}: {called}"
                case ast.Compare(ops=[ast.Eq() | ast.NotEq()]):
                    sides = (node.left, *node.comparators)
                    compared = [getattr(side, "id", getattr(side, "attr", "")) for side in sides]
                    assert not any(map(NAMES_OF_SECRETS.search, compared)), f"{name}:{node.lineno}: compare_digest"


def test_scripts_take_input_as_data_never_as_code_a_command_or_a_pattern() -> None:
    scripts = sorted([*(ROOT / "shared").rglob("*.lua"), *(ROOT / "cli").rglob("*.lua")])
    assert len(scripts) > 30
    for path in scripts:
        code = re.sub(r"--.*", "", path.read_text(encoding="utf-8"))
        assert not re.search(r"\b(?:loadstring|load|dofile|setfenv)\b\s*\(", code), path.name
        patterns = re.findall(r":(?:find|match|gmatch|gsub)\((.)|string\.(?:find|match|gmatch|gsub)\([^,]+, *(.)", code)
        assert {"".join(pair) for pair in patterns} <= {"'", '"'}, f"{path.name}: a pattern that is not written there"
        for argument in re.findall(r"redis\.p?call\(\s*([^,)\s]+)", code):
            assert argument.startswith(("'", '"')) or argument in PASSED_ON, f"{path.name}: {argument}"


def test_http_is_limited_by_the_host() -> None:
    http = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))["extensions"]["http"]
    assert 0 < http["maxConcurrentRequests"] <= http["maxOutstandingRequests"] <= 1000
    assert http["hsts"]["isEnabled"]


def test_the_template_limits_bodies_to_what_the_app_reads() -> None:
    """The host would read 100 MB of any request into memory, of an anonymous one too."""
    text = (ROOT / "infra" / "modules" / "app.bicep").read_text(encoding="utf-8")
    (limit,) = re.findall(r"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: '(\d+)'", text)
    assert MAX_BODY_BYTES < int(limit) <= 64 * 1024


def test_every_promise_of_the_threat_model_names_a_test_that_exists() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)`", text)
    assert len(named) >= 15
    for name in named:
        assert (ROOT / name).is_file(), name
