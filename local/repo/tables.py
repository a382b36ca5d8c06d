"""Generates tables in the documentation, and files, from code: `python -m local.repo.tables` updates them.

A generated table is between `<!-- table: NAME -->` and `<!-- end -->`. A test checks that all are up to date.
"""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from local.repo.bootstrap import ROOT
from local.repo.input_examples import EXAMPLES, Example
from shared import namespaces, settings, telemetry
from shared.operations import redis_users
from shared.reading.read import read_batch, read_chart

DOCUMENTS = ("docs/inputs.md", "docs/keys.md", "docs/metrics.md", "docs/security.md", "docs/settings.md")
_TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def settings_table() -> str:
    """A row per setting: name, default, meaning."""
    defaults = settings.parse({})
    rows = [
        (f"`{settings.variable(name)}`", _default(getattr(defaults, name)), settings.description(name))
        for name in settings.names()
    ]
    return _table(("Setting", "Default", "Meaning"), rows)


def keys_table() -> str:
    """A row per kind of key: pattern, owner, purpose, TTL, example."""
    rows = [
        (
            f"`{kind.pattern}`",
            kind.owner.value,
            kind.purpose,
            "" if kind.ttl_s is None else str(kind.ttl_s),
            f"`{kind.example}`",
        )
        for kind in namespaces.TABLE
    ]
    return _table(("Pattern", "Owner", "Purpose", "TTL, s", "Example"), rows)


def metrics_table() -> str:
    """A row per metric: name, kind, unit, attributes, meaning."""
    rows = [
        (
            f"`{metric.name}`",
            metric.kind,
            metric.unit,
            ", ".join(f"`{name}`" for name in metric.attributes),
            metric.description,
        )
        for metric in telemetry.METRICS
    ]
    return _table(("Metric", "Kind", "Unit", "Attributes", "Meaning"), rows)


def acl_table() -> str:
    """The Redis users as an ACL file."""
    return f"```text\n{redis_users.acl_file()}```"


def inputs_table() -> str:
    """A row per example of a payload: kind, example, and what the reader makes of it now."""
    rows = [(f"{example.group}: {example.name}", f"`{example.text}`", _read_as(example)) for example in EXAMPLES]
    return _table(("Kind", "Example", "Series: values"), rows)


def _read_as(example: Example) -> str:
    reads = {"b": lambda: read_batch(example.shape, example.parts), "c": lambda: read_chart(example.parts[0])}
    reading = reads[example.reads[-1]]()
    series = ", ".join(f"`{name}`: {len(line.values)}" for name, line in reading.series.items())
    only = {"b": "; batches only", "c": f"; charts only, `x` is `{reading.x}`", "bc": ""}[example.reads]
    return series + only


TABLES: dict[str, Callable[[], str]] = {
    "settings": settings_table,
    "keys": keys_table,
    "metrics": metrics_table,
    "inputs": inputs_table,
    "acl": acl_table,
}
FILES: dict[str, Callable[[], str]] = {"infra/redis-access.txt": lambda: redis_users.access_string() + "\n"}
"""Files that are generated as a whole."""


def update_tables(text: str) -> str:
    """The text of a document with its tables generated from the current code."""
    return _TABLE.sub(lambda match: f"{match[1]}{TABLES[match[2]]()}\n{match[3]}", text)


def _default(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f"`{text}`"


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    os.chdir(ROOT)
    for name in DOCUMENTS:
        Path(name).write_text(update_tables(Path(name).read_text(encoding="utf-8")), encoding="utf-8")
    for name, content in FILES.items():
        Path(name).write_text(content(), encoding="utf-8")
