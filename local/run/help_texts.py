"""The answers to `--help` as a file, so that they need no packages: `python -m local.run.help_texts` writes it.

bootstrap.py prints them while the environment does not exist. A test checks that they are up to date.
"""

import json
from typing import Any

from local.repo.bootstrap import HELP_FILE, ROOT

_WIDTH = 80


def help_texts() -> str:
    """The content of HELP_FILE: the answer of each command by its words, such as `manage.py keys list`."""
    import typer

    from cli.app import app as manage
    from local.repo.checks import HELP
    from local.run.__main__ import app as run

    texts = {"test": HELP}
    for words, application in (("run", run), ("manage.py", manage)):
        _collect(texts, typer.main.get_command(application), words, str(application.info.name), None)
    return json.dumps(texts, indent=1, ensure_ascii=False) + "\n"


def _collect(texts: dict[str, str], command: Any, words: str, name: str, parent: Any) -> None:
    context = command.make_context(name, [], parent=parent, resilient_parsing=True, terminal_width=_WIDTH)
    texts[words] = command.get_help(context)
    for subcommand in getattr(command, "commands", {}).values():
        _collect(texts, subcommand, f"{words} {subcommand.name}", subcommand.name, context)


if __name__ == "__main__":
    (ROOT / HELP_FILE).write_text(help_texts(), encoding="utf-8")
