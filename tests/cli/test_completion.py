"""Completion in shells: `manage.py` on PATH, with the line that docs/getting-started.md gives."""

import os
import shutil
import subprocess

import pytest

from tests.cli.conftest import ROOT


def completed(environment: dict[str, str], line: str) -> list[str]:
    """What bash offers after `line`, with the function that --show-completion printed."""
    words = line.split(" ")
    program = f"""
source <(manage.py --show-completion)
COMP_WORDS=({line!s} {"''" if line.endswith(" ") else ""}) COMP_CWORD={len(words) - 1}
specification=($(complete -p manage.py))
${{specification[4]}} manage.py
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    output = subprocess.run(
        ["bash", "-c", program], env=environment, capture_output=True, text=True, timeout=30, check=True
    ).stdout
    return output.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_commands_and_options(manage_environment: dict[str, str]) -> None:
    environment = manage_environment | {"PATH": f"{ROOT}{os.pathsep}{os.environ['PATH']}"}
    assert completed(environment, "manage.py deadl") == ["deadletters"]
    assert completed(environment, "manage.py keys ") == ["list", "stats", "show"]
    assert "--by-reason" in completed(environment, "manage.py deadletters list --by")
