"""What the steps of reading hand to each other. Plain data."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from shared.errors import Rejected

type Path = tuple[str | int, ...]

HEADER_ALONE = "a header without rows"
"""The reason of a text that only names columns; for a batch, it is a placeholder."""
ENTRY_ID = "(entry id)"
"""The column that holds the time in the ids of a stream's entries."""


class Grid(msgspec.Struct, frozen=True):
    """A table that was text: `columns[i]` holds the cells under `names[i]`, None where a cell is empty."""

    names: tuple[str, ...]
    columns: tuple[Sequence[object], ...]
    decimal_comma: bool = False


class Decoded(msgspec.Struct, frozen=True):
    """`value`: dict, list, Grid or a scalar. `chain`: the encodings from the outside in, such as base64, gzip, JSON."""

    value: object
    chain: tuple[str, ...]


class Column(msgspec.Struct):
    """One column of a table: as many values as the table has rows, None where a row has none.

    `parts`: its name, with the names of the members that it was nested in. `origin`: "cell", "context" (a member
    beside the rows), "key" (the name of a member), "index", "entry" (the id of a stream's entry).
    """

    parts: tuple[str, ...]
    values: Sequence[Any]
    origin: str = "cell"
    name: str = ""


class Table(msgspec.Struct):
    """Equal-length columns, found at `path`. `rejected` counts what was no row; `notes` says how the table was read."""

    path: Path
    shape: str
    length: int
    columns: list[Column]
    rejected: Counter[str] = msgspec.field(default_factory=Counter)
    notes: list[str] = []
    decimal_comma: bool = False
    ordered_names: bool = True
    units: dict[str, str] = {}
    """`ordered_names` is false where the columns have no names of their own; `units`: by the name of a column."""
    zones: tuple[tuple[str, Any], ...] = ()
    """Members around the table that state the zone of its times, name and value."""


class Budget:
    """What is left of the bytes, layers and nodes that one payload may take. Raises Rejected when it is used up."""

    def __init__(self, expanded_bytes: int, layers: int, nodes: int) -> None:
        self.limit_bytes = self.left_bytes = expanded_bytes
        self.layers = layers
        self.nodes = nodes
        self.steps: list[tuple[str, ...]] = []
        """The encodings of members, as they were met."""

    def spend(self, count: int) -> None:
        self.left_bytes -= count
        if self.left_bytes < 0:
            raise self.too_large()

    def too_large(self) -> Rejected:
        size = self.limit_bytes
        shown = f"{size // 2**20} MiB" if size >= 2**20 else f"{size:,} bytes"
        return Rejected(f"more than {shown} after expansion")

    def visit(self) -> None:
        self.nodes -= 1
        if self.nodes < 0:
            raise Rejected("too many objects and lists to search for a table")
