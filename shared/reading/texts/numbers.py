"""A column of numbers, also of numbers written as text, read as doubles. Pure.

How a text shows its fraction and its thousands is decided for the column as a whole: `1,234` alone could be 1234 or
1.234, and counts only when another row tells which. A text that is no number is left out, never guessed.
"""

import math
import re
from array import array
from collections.abc import Sequence
from typing import cast

import msgspec

NOT_FINITE = frozenset(("nan", "inf", "+inf", "-inf", "infinity", "-infinity"))
MISSING = NOT_FINITE | frozenset(
    """;null;none;na;n/a;n.a.;#n/a;-;--;?;nil;nat;undefined;missing;no data;nodata;no result;pt created;bad input
;unavailable;unknown;offline;invalid;error;fault;bad;timeout;overflow;underflow;#value!;#ref!;#div/0!""".replace(
        "\n", ""
    ).split(";")
)
"""Texts that stand for a value that is not there. As in JSON, NaN and infinity are no readings."""
MAX_CHARS = 64

_PLAIN = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
_THOUSANDS_DOT = re.compile(r"[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?")
_THOUSANDS_COMMA = re.compile(r"[+-]?[0-9]{1,3}([.' \u00a0\u202f][0-9]{3})+(,[0-9]+)?")
_COMMA = re.compile(r"[+-]?(?:0|[1-9][0-9]*),[0-9]+([eE][+-]?[0-9]{1,4})?")
_NUMBER_MARKS = re.compile(r"[0-9eE+\-.]*")
_SUFFIXED = re.compile(
    r"([+-]?[0-9]+(?:[.,][0-9]+)?)(\s?[°%‰]\s?[A-Za-z]{0,3}|\s[A-Za-zµμ°%Ωω][A-Za-z0-9µμ°%Ωω/²³^·*.-]{0,11})"
)
_COLUMNS = {
    style: re.compile(rf"(?:(?:{one})?\n)*+")
    for style, one in {
        "plain": _PLAIN.pattern,
        "comma": r"[+-]?(?:(?:[0-9]+|(?:0|[1-9][0-9]*),[0-9]+)(?:[eE][+-]?[0-9]{1,4})?"
        r"|[0-9]{1,3}(?:\.[0-9]{3})++(?:,[0-9]+)?)",
        "thousands": rf"[+-]?[0-9]{{1,3}}(?:,[0-9]{{3}})++(?:\.[0-9]+)?|{_PLAIN.pattern}",
    }.items()
}
"""Whole columns, one text in each line, as `_value` reads a single one."""
_DOTS_AFTER = re.compile(r"^[+-]?[0-9]{1,3}(?:,[0-9]{3})+\.[0-9]+$", re.MULTILINE)
_FEW, _MAX_ODD = 16, 8
NAN = math.nan


class Numbers(msgspec.Struct, frozen=True, gc=False):
    """`values[i]` is the number of item i, NaN where `usable[i]` is false. `unit` is one that every text ended with."""

    values: array[float]
    clean: bool
    """Whether every item is a finite number."""
    unit: str | None = None


def is_number(value: object) -> bool:
    return type(value) is float or type(value) is int


def is_number_text(text: str) -> bool:
    """Whether a text alone is a number, whatever its column says about commas."""
    if len(text) > MAX_CHARS or text[:1].isalpha():
        return False
    text = text.strip()
    return bool(
        _PLAIN.fullmatch(text)
        or (("," in text or "'" in text or "\u00a0" in text or text.count(".") > 1) and _separated(text))
        or _SUFFIXED.fullmatch(text)
    )


def _separated(text: str) -> bool:
    return bool(_THOUSANDS_DOT.fullmatch(text) or _THOUSANDS_COMMA.fullmatch(text) or _COMMA.fullmatch(text))


def read(values: Sequence[object], *, decimal_comma: bool = False) -> Numbers:
    """The numbers of a column. decimal_comma: whether texts are known to write 1,5 for one and a half."""
    kinds = set(map(type, values))
    if kinds <= {int, float}:
        try:
            doubles = array("d", cast("Sequence[float]", values))
        except OverflowError:
            doubles = array("d", [_float(value) for value in values])
        return Numbers(doubles, _all_finite(doubles))
    style, unit = _style(values, decimal_comma=decimal_comma) if str in kinds else ("plain", None)
    if style == "plain" and kinds == {str} and unit is None:
        plain = quick(cast("Sequence[str]", values))
        if plain is not None:
            return Numbers(plain, _all_finite(plain))
    if style != "suffixed" and kinds <= {str, type(None)} and len(values) > _FEW:
        plain = _at_once(values, style)
        if plain is not None:
            return Numbers(plain, _all_finite(plain))
    doubles = array("d", [_value(value, style) for value in values])
    return Numbers(doubles, _all_finite(doubles), unit)


def quick(values: Sequence[str]) -> "array[float] | None":
    """The numbers of texts that are all plain ones, many times as fast; None for any other column."""
    if _NUMBER_MARKS.fullmatch("".join(values)) is None:
        return None
    try:
        return array("d", map(float, values))
    except ValueError:
        return None


def quick_commas(values: Sequence[object]) -> "array[float] | None":
    """The numbers of texts that all may have a decimal comma, and of gaps; None for any other column."""
    texts = ["" if value is None else value for value in cast("Sequence[str | None]", values)]
    joined = "\n".join(texts) + "\n"
    if joined.count("\n") != len(texts) or max(map(len, texts)) > MAX_CHARS:
        return None
    if _COLUMNS["comma"].fullmatch(joined) is None:
        return None
    plain = joined[:-1].replace(".", "").replace(",", ".").split("\n")
    return array("d", [float(text) if text else NAN for text in plain])


def _at_once(values: Sequence[object], style: str) -> "array[float] | None":
    """The numbers of a long column of texts and gaps, checked by one expression for all of them; None where more than
    a few kinds of texts are no numbers."""
    texts = ["" if value is None else value for value in cast("Sequence[str | None]", values)]
    if max(map(len, texts)) > MAX_CHARS:
        return None
    odd: dict[str, float] = {}
    for _ in range(_MAX_ODD):
        joined = "\n".join(texts) + "\n"
        if joined.count("\n") != len(texts):
            return None  # a line feed within a text
        match = _COLUMNS[style].match(joined)
        end = match.end() if match is not None else 0
        if end == len(joined):
            break
        text = joined[end : joined.index("\n", end)]
        odd[text] = _value(text, style)
        texts = ["" if item == text else item for item in texts]
    else:
        return None
    if style == "comma":
        joined = joined.replace(".", "").replace(",", ".")
    elif style == "thousands":
        joined = joined.replace(",", "")
    doubles = array("d", [float(text) if text else NAN for text in joined[:-1].split("\n")])
    if not all(map(math.isnan, odd.values())):
        for row, value in enumerate(values):
            if value in odd:
                doubles[row] = odd[value]
    return doubles


def _all_finite(doubles: "array[float]") -> bool:
    """A sum is finite only if each summand is, but may overflow: then each is looked at."""
    return math.isfinite(sum(doubles)) or all(map(math.isfinite, doubles))


def _float(value: object) -> float:
    try:
        return float(value) if type(value) is int or type(value) is float else NAN
    except OverflowError:
        return math.inf


def _value(value: object, style: str) -> float:
    if type(value) is not str:
        return _float(value)
    text = value.strip()
    if len(text) > MAX_CHARS:
        return NAN
    if style == "suffixed":
        match = _SUFFIXED.fullmatch(text)
        text = match[1].replace(",", ".") if match else text
    elif style == "comma":
        if _PLAIN.fullmatch(text) and "." not in text:
            return float(text)
        if not (_COMMA.fullmatch(text) or _THOUSANDS_COMMA.fullmatch(text)):
            return math.inf if text.lower() in NOT_FINITE else NAN
        text = re.sub(r"[.' \u00a0\u202f]", "", text).replace(",", ".")
    elif style == "thousands" and _THOUSANDS_DOT.fullmatch(text):
        text = text.replace(",", "")
    if _PLAIN.fullmatch(text):
        return float(text)
    return math.inf if text.lower() in NOT_FINITE else NAN


def _style(values: Sequence[object], *, decimal_comma: bool) -> tuple[str, str | None]:
    """How the texts write fractions: "plain", "comma", "thousands" (1,234.5), "suffixed" (21.5 °C) with its unit."""
    with_comma = [
        text for value in values if type(value) is str and len(value) <= MAX_CHARS and "," in (text := value.strip())
    ]
    if not with_comma:
        units = _units(values)
        if units is not None:
            return "suffixed", units
        dotted = [value for value in values if type(value) is str and "." in value]
        if decimal_comma and dotted and all(_THOUSANDS_COMMA.fullmatch(text.strip()) for text in dotted):
            return "comma", None
        if decimal_comma or not any(
            type(value) is str and ("'" in value or "\u00a0" in value or value.count(".") > 1) for value in values
        ):
            return "plain", None
        return "comma", None
    dots_after = _DOTS_AFTER.search("\n".join(with_comma)) is not None
    commas = any(
        (_COMMA.fullmatch(text) and not _THOUSANDS_DOT.fullmatch(text))
        or (_THOUSANDS_COMMA.fullmatch(text) and "." in text)
        for text in with_comma
    )
    if dots_after and not commas:
        return "thousands", None
    if (commas or decimal_comma) and not dots_after:
        return "comma", None
    if any(text.count(",") > 1 for text in with_comma) and not commas:
        return "thousands", None
    units = _units(values)
    return ("suffixed", units) if units is not None else ("plain", None)


def _units(values: Sequence[object]) -> str | None:
    """The unit behind every number of the column, if it is the same everywhere."""
    unit: str | None = None
    for value in values:
        if type(value) is not str or value.strip().lower() in MISSING:
            continue
        match = _SUFFIXED.fullmatch(value.strip()) if len(value) <= MAX_CHARS else None
        if match is None or (unit is not None and match[2].strip() != unit):
            return None
        unit = match[2].strip()
    return unit
