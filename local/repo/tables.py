"""The tables in the documentation that are made from code: `python -m local.repo.tables` writes them anew.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; a test holds that they are up to date.
"""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from local.repo.bootstrap import ROOT
from shared import namespaces, settings, telemetry

DOCUMENTS = ("README.md", "docs/keys.md", "docs/metrics.md")
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
        (f"`{one.name}`", one.kind, one.unit, ", ".join(f"`{name}`" for name in one.attributes), one.description)
        for one in telemetry.METRICS
    ]
    return _table(("Metric", "Kind", "Unit", "Attributes", "Meaning"), rows)


TABLES: dict[str, Callable[[], str]] = {"settings": settings_table, "keys": keys_table, "metrics": metrics_table}


def rendered(text: str) -> str:
    """A document with its tables as the code says them now."""
    return _TABLE.sub(lambda match: f"{match[1]}{TABLES[match[2]]()}\n{match[3]}", text)


def _default(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f"`{text}`"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    os.chdir(ROOT)
    for name in DOCUMENTS:
        Path(name).write_text(rendered(Path(name).read_text(encoding="utf-8")), encoding="utf-8")
