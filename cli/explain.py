"""`explain`: what the reader of batches and charts makes of a payload, and why."""

import os
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from redis.exceptions import RedisError

from cli import interaction
from cli.terminal import Exit, Json, Refused, run, show_json, shown
from shared import namespaces
from shared.app import App
from shared.errors import Rejected
from shared.operations import explanations, payload
from shared.operations.key_selection import Namespace, kind_of, namespace_of
from shared.operations.key_value import OPEN_KINDS
from shared.privacy.masking import printable
from shared.reading.explain import Explanation, to_text

STDIN = "-"


class PayloadKind(StrEnum):
    """What a payload is read as."""

    BATCH = explanations.BATCH
    CHART = explanations.CHART


_KIND_OF = {namespaces.BATCH: PayloadKind.BATCH, namespaces.CHART_DATA: PayloadKind.CHART}


def explain(
    source: Annotated[
        str, typer.Argument(metavar="KEY|FILE|-", help="A key of the app's Redis, a file, or - for stdin.")
    ],
    kind: Annotated[
        PayloadKind | None,
        typer.Option("--kind", help="Read it as this. The key of a batch or a chart decides itself."),
    ] = None,
    as_key: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="KEY", help="Read a file or stdin as the value of this key, with its INPUTS entry."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Explain how a payload is read. Shows encoding, table, columns with their roles, series, what is left out and why.

    Shows the entry of the setting INPUTS that states the decisions; change it to overrule them. To try an entry, run
    INPUTS='{"GLOB": {...}}' python3 manage.py explain KEY. Nothing is written. At most MAX_PAYLOAD_BYTES are read;
    values are abbreviated, and names that look like secrets masked. Keys of sessions are refused.

    Exits with 0 when the payload is read, with 1 when it is rejected or a placeholder. JSON: {"source", "kind",
    "outcome", "reason", "bytes", "encoding", "members", "path", "shape", "rows", "notes", "x", "columns", "series",
    "seriesOmitted", "rejected", "tables", "inputs", "glob"}.

    Example: python3 manage.py explain fabric:data:chart:co2-flow:realtime
    """
    run(partial(_explain, source=source, kind=kind, as_key=as_key, json=json))


async def _explain(app: App, *, source: str, kind: PayloadKind | None, as_key: str | None, json: bool) -> Exit:
    with interaction.explaining_interruption(lambda: "nothing was changed"):
        key = os.fsencode(source)
        if _is_file(source):
            name, explanation = printable(os.fsencode(source)), await _of_file(app, source, kind, as_key)
        elif as_key is not None:
            raise Refused("--as is for a file or stdin, and there is no such file")
        else:
            name, explanation = shown(app, key), await _of_key(app, key, kind)
    if json:
        report: dict[str, Any] = {"source": name, **msgspec.to_builtins(explanation)}
        show_json(report)
    else:
        print(to_text(explanation), end="")
    return Exit.OK if explanation.outcome == "read" else Exit.ATTENTION


def _is_file(source: str) -> bool:
    """Whether this is stdin or a file; a key that fits a row of docs/keys.md is always a key."""
    return source == STDIN or (kind_of(os.fsencode(source)) is None and Path(source).exists())


async def _of_file(app: App, source: str, kind: PayloadKind | None, as_key: str | None) -> Explanation:
    key = None if as_key is None else os.fsencode(as_key)
    kind = kind if key is None else _kind_of(key, kind)
    if kind is None:
        raise Refused("a file or stdin needs --kind batch, --kind chart, or --as with a key")
    limit = app.settings.max_payload_bytes
    try:
        raw = await interaction.read_bytes(None if source == STDIN else source, limit + 1)
    except OSError as error:
        raise Refused(f"the file cannot be read: {error.strerror or type(error).__name__}") from None
    if len(raw) > limit:
        return explanations.refused(kind, f"more than MAX_PAYLOAD_BYTES ({limit})", len(raw))
    return await explanations.explain(app, kind, key, "string", [raw])


def _kind_of(key: bytes, kind: PayloadKind | None) -> PayloadKind | None:
    """What the key is read as; `kind` is what the user asks for. Raises Refused for a key that is not explained."""
    read_as = _KIND_OF.get(row) if (row := kind_of(key)) else None
    if (row is not None and row not in OPEN_KINDS) or namespace_of(key) is Namespace.NEXTAUTH:
        raise Refused("keys of sessions, users and tokens, and the app's own keys, are not explained")
    if kind is not None and read_as not in (None, kind):
        raise Refused(f"the key is that of a {read_as}, not of a {kind}")
    return read_as or kind


async def _of_key(app: App, key: bytes, kind: PayloadKind | None) -> Explanation:
    read_as = _kind_of(key, kind)
    if read_as is None:
        raise Refused(
            "neither a file nor the key of a batch or chart; for another key add --kind batch or --kind chart"
        )
    is_known = kind_of(key) is not None
    try:
        shape, parts = await payload.read(app, key)
    except Rejected as fault:
        return explanations.refused(read_as, str(fault), 0)
    except (RedisError, OSError):
        if is_known:
            raise
        raise Refused(f"there is no file {printable(key)}, and Redis, where it could be a key, is away") from None
    if shape == "none":
        what = f"no key {shown(app, key)}" if is_known else f"neither a file nor a key {printable(key)}"
        raise Refused(f"there is {what}")
    return await explanations.explain(app, read_as, key, shape, parts)
