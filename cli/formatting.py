"""Durations, rates, sizes and cursors: as operators type them and as commands show them."""

import os
import re
from collections.abc import Callable, Sequence
from typing import Annotated

import typer
from rich.cells import cell_len

from cli.terminal import Refused, complain
from shared.privacy.masking import printable

MAX_LISTED = 10_000
GAP = 2
"""Spaces between the columns of a table."""
Cursor = Annotated[str, typer.Option(metavar="CURSOR", help="The cursor that the previous page ended with.")]
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def quoted(text: str) -> str:
    """What a user typed, for a message that refuses it: one line, quoted, cut to 40 characters."""
    return f"'{printable(os.fsencode(text), 40)}'"


def whole(least: int, most: int) -> Callable[[object], int]:
    """A parser of whole numbers from `least` to `most`. It raises typer.BadParameter, which names the value, as typer's
    own bounds do not."""

    def parse(value: object) -> int:  # a default is a number already
        text = str(value)
        if not re.fullmatch(r"\d{1,12}", text, re.ASCII) or not least <= int(text) <= most:
            raise typer.BadParameter(f"expected a number from {least} to {most}, not {quoted(text)}")
        return int(text)

    return parse


Limit = Annotated[
    int,
    typer.Option(parser=whole(1, MAX_LISTED), metavar="N", help="About how many; Redis returns keys in pages."),
]


def parse_duration(text: str) -> int:
    """`90s`, `15m`, `2h` or `7d` in seconds. Raises typer.BadParameter for anything else, and for 0."""
    match = re.fullmatch(r"(\d{1,9})([smhd])", text, re.ASCII)
    if not match or not int(match[1]):
        raise typer.BadParameter(f"expected a duration such as 90s, 15m, 2h or 7d, not {quoted(text)}")
    return int(match[1]) * _UNITS_S[match[2]]


def parse_rate(text: str) -> float:
    """`500` or `500/s`. Raises typer.BadParameter for anything else, and for 0."""
    match = re.fullmatch(r"(\d{1,7})(?:/s)?", text, re.ASCII)
    if not match or not int(match[1]):
        raise typer.BadParameter(f"expected a number of keys per second such as 500, not {quoted(text)}")
    return float(match[1])


def parse_cursor(text: str) -> int:
    """A cursor of SCAN. Raises Refused for text that cannot be one."""
    if not re.fullmatch(r"\d{1,20}", text, re.ASCII) or int(text) >= 2**64:
        raise Refused(f"--cursor: {quoted(text)} is not a cursor of this command")
    return int(text)


def columns_that_fit(rows: Sequence[Sequence[str]], width: int, optional: Sequence[int]) -> list[int]:
    """Numbers of the columns to show: those of `optional` are left out, in this order, until a row fits in `width`.

    rows: cells, the headers too; a row may be shorter than others.
    """
    widths = [
        max((cell_len(row[number]) for row in rows if number < len(row)), default=0) for number in range(len(rows[0]))
    ]
    shown = list(range(len(widths)))
    for number in optional:
        if sum(widths[left] + GAP for left in shown) - GAP <= width:
            break
        shown.remove(number)
    return shown


def print_page_end(count: int, next_cursor: int) -> None:
    """Say how many rows were listed, and the cursor of the next page; 0 is the end."""
    complain(f"{count} listed; more with --cursor {next_cursor}" if next_cursor else f"{count} listed, no more")


def duration(seconds: float | None) -> str:
    """`45s`, `12m`, `3h` or `40d`: rounded down, in the largest unit of which there are at least two."""
    if seconds is None:
        return ""
    for unit, length_s in reversed(_UNITS_S.items()):
        if seconds >= 2 * length_s and unit != "s":
            return f"{int(seconds // length_s)}{unit}"
    return f"{int(seconds)}s"


def size(count: float | None) -> str:
    """`812 B`, `4.1 KiB`, `63.0 MiB`."""
    if count is None:
        return "?"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"
