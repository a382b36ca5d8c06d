"""Lists in which values refer to each other by position, as devalue and flatted write them. Pure.

Source: the formats' own descriptions. devalue: element 0 is the root, each number inside an array or object is the
position of its value, negative ones stand for undefined, a gap, NaN, the infinities and -0; `["Date", text]` and the
like are typed values. flatted: the same with positions as texts, while numbers stand as they are.
"""

from collections.abc import Callable
from typing import Any

from shared.errors import Rejected

_SPECIAL = {-1: None, -2: None, -3: None, -4: None, -5: None, -6: -0.0}
_TYPED = frozenset(("Date", "BigInt", "Object"))
_MAX_DEPTH, _MAX_COPIES = 12, 4
_LEAST_ITEMS = 3


def read_devalue(items: list[Any]) -> Any:
    """The value that devalue wrote; None where the list is none of its."""
    if len(items) < _LEAST_ITEMS or not _are_positions(items[0], int):
        return None
    used: set[int] = set()
    for item in items:
        if _is_typed(item):
            if type(item[1]) is int and item[0] == "Object":
                used.add(item[1])
            continue
        for part in _parts(item):
            if type(part) is not int or not -6 <= part < len(items):
                return None
            used.add(part)
    if not _are_all(used, items):
        return None
    return _Hydration(items, _devalue_position).value(0, 0)


def read_flatted(items: list[Any]) -> Any:
    """The value that flatted wrote; None where the list is none of its."""
    if len(items) < _LEAST_ITEMS or not _are_positions(items[0], str):
        return None
    used: set[int] = set()
    for item in items:
        for part in _parts(item):
            if type(part) is str:
                if not (part.isdecimal() and part.isascii() and len(part) < 9 and int(part) < len(items)):
                    return None
                used.add(int(part))
            elif type(part) in (list, dict):
                return None
    in_turn = _parts(items[0]) == [str(place) for place in range(1, len(items))]
    if not in_turn and not _are_all(used, items):
        return None
    return _Hydration(items, _flatted_position).value(0, 0)


class _Hydration:
    """References followed, bounded in depth and in the number of values, so that none of them can multiply."""

    def __init__(self, items: list[Any], position: Callable[[Any], int | None]) -> None:
        self.items, self.position = items, position
        self.left = _MAX_COPIES * len(items) + 1000

    def value(self, place: int, depth: int) -> Any:
        self.left -= 1
        if depth > _MAX_DEPTH or self.left < 0:
            raise Rejected("references by position that are too deep or too many")
        if place < 0:
            return _SPECIAL.get(place)
        item = self.items[place]
        if self.position is _devalue_position and _is_typed(item):
            return self.value(item[1], depth + 1) if item[0] == "Object" and type(item[1]) is int else item[1]
        if type(item) is list:
            return [self._part(part, depth) for part in item]
        return {name: self._part(part, depth) for name, part in item.items()} if type(item) is dict else item

    def _part(self, part: Any, depth: int) -> Any:
        place = self.position(part)
        return part if place is None else self.value(place, depth + 1)


def _devalue_position(part: Any) -> int | None:
    return part if type(part) is int else None


def _flatted_position(part: Any) -> int | None:
    return int(part) if type(part) is str else None


def _parts(item: Any) -> list[Any]:
    if type(item) is dict:
        return list(item.values())
    return item if type(item) is list else []


def _is_typed(item: Any) -> bool:
    return type(item) is list and len(item) == 2 and type(item[0]) is str and item[0] in _TYPED


def _are_positions(first: Any, kind: type) -> bool:
    parts = _parts(first)
    if kind is str:
        return any(type(part) is str for part in parts) and all(part.isdecimal() for part in parts if type(part) is str)
    return bool(parts) and set(map(type, parts)) == {kind}


def _are_all(used: set[int], items: list[Any]) -> bool:
    """Whether every value is referred to, and some of them are plain: lists of numbers alone are no references."""
    return used.issuperset(range(1, len(items))) and any(type(item) not in (list, dict) for item in items)
