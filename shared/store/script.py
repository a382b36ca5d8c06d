"""Lua scripts, each in a file beside the module that calls it."""

import hashlib
from functools import cached_property
from pathlib import Path


class Script:
    """The script NAME.lua in the folder of `module_file`, read on first use, behind PRELUDE.lua if there is one: local
    functions that several scripts need.

    `App` calls it by the SHA-1 of its source and loads the source when Redis does not have it.
    """

    def __init__(self, module_file: str, name: str, prelude: str = "") -> None:
        self.name = name
        self._paths = [Path(module_file).with_name(f"{part}.lua") for part in (prelude, name) if part]

    @cached_property
    def source(self) -> str:
        return "\n".join(path.read_text(encoding="utf-8") for path in self._paths)

    @cached_property
    def sha(self) -> str:
        return hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def __repr__(self) -> str:
        return f"Script({self.name})"
