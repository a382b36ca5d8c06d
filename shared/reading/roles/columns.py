"""What the values of a column are: numbers, texts, flags or nothing. Pure."""

import math
import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec

from shared.reading.texts import numbers
from shared.reading.texts.names import Hint, NameHint, hint, is_container
from shared.reading.texts.numbers import Numbers
from shared.reading.tree import ENTRY_ID, Column

_BRACKETED = re.compile(r"((?:[^\[\]]*[^\[\]\s])?)\[([^\[\]]+)\]")
_NONE = type(None)
_SAMPLE = 8
_NAMING = (Hint.LABEL, Hint.SENSOR, Hint.IDENTIFIER, Hint.NOTE, Hint.PLACE)
_WORDS = re.compile(r"\s*(?:[A-Za-z_]|\d{4}-\d{2}-\d{2}.*)")


class Profile(msgspec.Struct):
    """A column with what its values and its name say. `kind`: number, text, flag, moment, empty or other.

    A text column is a number where more than half of its texts are numbers, besides those that stand for nothing.
    """

    column: Column
    kind: str
    hint: NameHint
    name: str
    parts: tuple[str, ...] = ()
    """The column's parts without the table in front of them."""
    numbers: Numbers | None = None
    integral: bool = False
    """Whether all numbers are whole."""


def are_qualified(columns: Sequence[Column]) -> bool:
    """Whether all columns are written `Table[Column]` with one table, or `[Column]`, as DAX has it.

    A bracket in some of the names only, or with different words in front, holds a unit: `CO2 [ppm]`.
    """
    names = [column.parts[-1] for column in columns if column.origin == "cell"]
    if not names or names[0][-1:] != "]":
        return False
    matches = [match for name in names if (match := _BRACKETED.fullmatch(name)) is not None]
    own = {match[2] for match in matches}
    return len(matches) == len(names) == len(own) and len({match[1] for match in matches} - {""}) <= 1


@lru_cache(4096)
def _own_name(part: str) -> str:
    match = _BRACKETED.fullmatch(part)
    return match[2] if match else part


@lru_cache(4096)
def _named(parts: tuple[str, ...]) -> tuple[str, NameHint]:
    last = parts[-1]
    role = hint(last)
    if len(parts) > 1 and role.hint in (Hint.VALUE, Hint.AGGREGATE) and not is_container(parts[-2]):
        parent = parts[-2]
        if role.hint is Hint.VALUE:
            return parent, hint(parent)
    return last, role


def profile_of(column: Column, *, decimal_comma: bool = False, qualified: bool = False) -> Profile:
    """Look at a column once; everything later works on the result. `qualified`: its name is `Table[Column]`."""
    parts = tuple(map(_own_name, column.parts)) if qualified else column.parts
    name, role = _named(parts)
    kinds = set(map(type, column.values))
    if list in kinds or dict in kinds:
        # A cell that is no value: counted where numbers stand, and no label.
        column.values = [False if type(value) in (list, dict) else value for value in column.values]
        kinds = set(map(type, column.values))
    if name == ENTRY_ID:
        column.origin = "entry"
    profile = Profile(column, "other", role, name, parts)
    if kinds <= {int, float, _NONE}:
        if kinds == {_NONE}:
            profile.kind = "empty"
        else:
            profile.kind = "number"
            profile.integral = kinds <= {int, _NONE} or _whole(column.values)
    elif kinds <= {bool, _NONE}:
        profile.kind = "flag"
    elif str in kinds:
        _profile_text(profile, column.values, decimal_comma=decimal_comma)
    elif int in kinds or float in kinds:
        profile.kind = "number"
    elif datetime in kinds:
        profile.kind = "moment"
    return profile


def _profile_text(profile: Profile, values: Sequence[Any], *, decimal_comma: bool) -> None:
    profile.kind = "text"
    sample = values[:: len(values) // _SAMPLE] if len(values) > 2 * _SAMPLE else values
    if len(values) > 2 and all(map(_is_plain_text, sample)):
        return
    alike = set(map(type, values)) == {str} and not decimal_comma
    plain_numbers = numbers.quick(values) if alike else None
    if plain_numbers is not None:
        _profile_numbers(profile, Numbers(plain_numbers, all(map(math.isfinite, plain_numbers))))
        return
    if decimal_comma and set(map(type, values)) <= {str, _NONE} and (read := numbers.quick_commas(values)) is not None:
        _profile_numbers(profile, Numbers(read, all(map(math.isfinite, read))))
        return
    present, numeric, plain = _census(values[:256])
    naming = profile.hint.hint in _NAMING
    if not present:
        texts = [value for value in values if type(value) is str and value]
        if any(text.strip().lower() in numbers.NOT_FINITE for text in texts):
            profile.kind = "number"
        elif not any(text.strip() for text in texts) and not (naming and texts):
            profile.kind = "empty"
    elif (numeric == present) if naming else (numeric * 2 > present or (numeric * 2 == present and plain)):
        _profile_numbers(profile, numbers.read(values, decimal_comma=decimal_comma))


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


def _profile_numbers(profile: Profile, read: Numbers) -> None:
    usable = [value for value in read.values if not math.isnan(value)]
    if not usable:
        return
    profile.kind, profile.numbers = "number", read
    points = any(type(value) is str and "." in value for value in profile.column.values[:64])
    profile.integral = not points and all(value == int(value) for value in usable if abs(value) < 1e300)


def _is_plain_text(value: object) -> bool:
    """Whether a value is a word or an ISO date: surely neither a number nor one that is missing."""
    return type(value) is str and _WORDS.match(value) is not None and value.strip().lower() not in numbers.MISSING


def _whole(values: Sequence[object]) -> bool:
    return all(type(value) is int or value is None or (type(value) is float and value.is_integer()) for value in values)


def numbers_of(profile: Profile, *, decimal_comma: bool = False) -> Numbers:
    """The numbers of a column, read once."""
    if profile.numbers is None:
        profile.numbers = numbers.read(profile.column.values, decimal_comma=decimal_comma)
    return profile.numbers


def distinct(values: Sequence[object]) -> int:
    """How many different values, None apart."""
    try:
        return len(set(values) - {None})
    except TypeError:
        return len({str(value) for value in values if value is not None})
