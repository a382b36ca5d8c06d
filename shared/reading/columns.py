"""What the values of a column are: numbers, texts, flags or nothing. Pure."""

import math
import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

import msgspec

from shared.reading import numbers
from shared.reading.names import Hint, NameHint, hint, is_container
from shared.reading.numbers import Numbers
from shared.reading.tree import ENTRY_ID, Column

_BRACKETED = re.compile(r"[^\[\]]*\[([^\[\]]+)\]")
_NONE = type(None)
_SAMPLE = 8
_NAMING = (Hint.LABEL, Hint.SENSOR, Hint.IDENTIFIER, Hint.NOTE, Hint.PLACE)
_WORDS = re.compile(r"\s*(?:[A-Za-z_][A-Za-z_ -]{0,40}[A-Za-z_]|\d{4}-\d{2}-\d{2}.*)")


class Profile(msgspec.Struct):
    """A column with what its values and its name say. `kind`: number, text, flag, moment, empty or other.

    A text column is a number where more than half of its texts are numbers, besides those that stand for nothing.
    """

    column: Column
    kind: str
    hint: NameHint
    name: str
    numbers: Numbers | None = None
    integral: bool = False
    """Whether all numbers are whole."""


@lru_cache(4096)
def own_name(part: str) -> str:
    """A column's name without the table in front of it: `R[temp]` and `[temp]` are temp."""
    match = _BRACKETED.fullmatch(part)
    return match[1] if match else part


@lru_cache(4096)
def _named(parts: tuple[str, ...]) -> tuple[str, NameHint]:
    last = own_name(parts[-1])
    role = hint(last)
    if len(parts) > 1 and role.hint in (Hint.VALUE, Hint.AGGREGATE) and not is_container(parts[-2]):
        parent = own_name(parts[-2])
        if role.hint is Hint.VALUE:
            return parent, hint(parent)
    return last, role


def profile(column: Column, *, decimal_comma: bool = False) -> Profile:
    """Look at a column once; everything later works on the result."""
    name, role = _named(column.parts)
    kinds = set(map(type, column.values))
    if name == ENTRY_ID:
        column.origin = "entry"
    found = Profile(column, "other", role, name)
    if kinds <= {int, float, _NONE}:
        if kinds == {_NONE}:
            found.kind = "empty"
        else:
            found.kind = "number"
            found.integral = kinds <= {int, _NONE} or _whole(column.values)
    elif kinds <= {bool, _NONE}:
        found.kind = "flag"
    elif str in kinds:
        _profile_text(found, column.values, decimal_comma=decimal_comma)
    elif int in kinds or float in kinds:
        found.kind = "number"
    elif datetime in kinds:
        found.kind = "moment"
    return found


def _profile_text(found: Profile, values: Sequence[object], *, decimal_comma: bool) -> None:
    found.kind = "text"
    sample = values[:: len(values) // _SAMPLE] if len(values) > 2 * _SAMPLE else values
    if len(values) > 2 and all(map(_is_plain_text, sample)):
        return
    present, numeric, plain = _census(values[:256])
    naming = found.hint.hint in _NAMING
    if not present:
        texts = [value for value in values if type(value) is str and value]
        if any(text.strip().lower() in numbers.NOT_FINITE for text in texts):
            found.kind = "number"
        elif not any(text.strip() for text in texts) and not (naming and texts):
            found.kind = "empty"
    elif (numeric == present) if naming else (numeric * 2 > present or (numeric * 2 == present and plain)):
        _profile_numbers(found, numbers.read(values, decimal_comma=decimal_comma))


def _census(values: Sequence[object]) -> tuple[int, int, bool]:
    """How many values there are, how many of them are numbers or texts that are, and whether any is a number."""
    present = numeric = 0
    plain = False
    for value in values:
        if type(value) is str:
            if value.strip().lower() not in numbers.MISSING:
                present += 1
                numeric += numbers.is_number_text(value)
        elif type(value) is int or type(value) is float:
            present += 1
            numeric += 1
            plain = True
    return present, numeric, plain


def _profile_numbers(found: Profile, read: Numbers) -> None:
    usable = [value for value in read.values if not math.isnan(value)]
    if not usable:
        return
    found.kind, found.numbers = "number", read
    points = any(type(value) is str and "." in value for value in found.column.values[:64])
    found.integral = not points and all(value == int(value) for value in usable if abs(value) < 1e300)


def _is_plain_text(value: object) -> bool:
    """Whether a value is a word or an ISO date: surely neither a number nor one that is missing."""
    return type(value) is str and _WORDS.match(value) is not None and value.strip().lower() not in numbers.MISSING


def _whole(values: Sequence[object]) -> bool:
    return all(type(value) is int or value is None or (type(value) is float and value.is_integer()) for value in values)


def numbers_of(found: Profile, *, decimal_comma: bool = False) -> Numbers:
    """The numbers of a column, read once."""
    if found.numbers is None:
        found.numbers = numbers.read(found.column.values, decimal_comma=decimal_comma)
    return found.numbers


def distinct(values: Sequence[object]) -> int:
    """How many different values, None apart."""
    try:
        return len(set(values) - {None})
    except TypeError:
        return len({str(value) for value in values if value is not None})
