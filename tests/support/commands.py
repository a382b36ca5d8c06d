"""manage.py without its start for each command: a process that has imported the commands forks for each of them."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60.0
_SERVER = """
import json, os, sys, tempfile
from cli.app import app

def run(line, environment):
    os.environ.update(environment)
    try:
        code = app(line)
    except SystemExit as ended:
        code = ended.code
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0)

for request in sys.stdin.buffer:
    line, typed, environment = json.loads(request)
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(typed.encode())
        given.seek(0)
        child = os.fork()
        if not child:
            for number, file in enumerate((given, out, err)):
                os.dup2(file.fileno(), number)
            run(line, environment)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    print(json.dumps([code, *texts]), flush=True)
"""


@dataclass(frozen=True)
class Answer:
    """What a command did."""

    code: int
    output: str
    errors: str

    @property
    def text(self) -> str:
        return self.output + self.errors


class Commands:
    """Runs commands of manage.py one after another. `environment` is that of all of them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._process: Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _SERVER), cwd=ROOT, env=self._environment, stdin=PIPE, stdout=PIPE, limit=2**26
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        await asyncio.wait_for(self._process.wait(), 10)

    async def run(self, arguments: Sequence[str], *, typed: str = "", **environment: str) -> Answer:
        """Run a command; `typed` is its stdin, `environment` is added to that of all."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([list(arguments), typed, environment]).encode() + b"\n")
        line = await asyncio.wait_for(self._process.stdout.readline(), TIMEOUT_S)
        return Answer(*json.loads(line))
