"""Dead letters in tables."""

from collections.abc import Sequence
from typing import Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cli.terminal import open_console


def print_rows(rows: Sequence[dict[str, Any]], last_header: str) -> None:
    """A row per letter of a replay or a discard: see `letter_selection.letter_row`."""
    if rows:
        print_letters(
            ("ID", "Reactor"),
            [
                (
                    (row["id"], row["reactor"]),
                    (
                        row["key"],
                        *([f"{row['outcome']}: {row['reason'] or 'no reason given'}"] if row["outcome"] else ()),
                    ),
                )
                for row in rows
            ],
            last_header,
        )


def print_letters(
    headers: tuple[str, ...], rows: Sequence[tuple[tuple[str, ...], tuple[str, ...]]], last_header: str
) -> None:
    """A row per letter: cells, then long texts. On a terminal each text has lines of its own, since keys are long; in a
    pipe a letter is one line."""
    console = open_console()
    if not console.is_terminal:
        table = plain_table(*headers, last_header)
        for cells, texts in rows:
            table.add_row(*cells, "  ".join(texts))
        console.print(table)
        return
    widths = [max(len(header), *(len(cells[number]) for cells, _ in rows)) for number, header in enumerate(headers)]
    for cells, texts in ((headers, (last_header,)), *rows):
        line = "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()
        # A line that is too long is left to the terminal: a wrapped time would look like a row.
        console.print(line, style="bold" if cells is headers else "", soft_wrap=True)
        for text in texts:
            console.print(Padding(Text(text, overflow="fold"), (0, 0, 0, 2)))


def plain_table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for header in headers[:-1]:
        table.add_column(header, no_wrap=True)
    table.add_column(headers[-1], overflow="fold")
    return table
