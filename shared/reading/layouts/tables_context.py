"""What the objects around a table say of it: labels, units, and the name of the member that holds it. Pure."""

from typing import Any

from shared.reading.layouts import rows
from shared.reading.layouts.fragments import Fragment
from shared.reading.texts.names import Hint, hint, is_aside, is_container, states_zone, words
from shared.reading.tree import Column

_MAX_CONTEXT = 48
_WRAPPING = ("data", "dataset", "values", "points", "rows", "items", "records", "samples", "readings", "results")
_MAX_NESTED_CONTEXT = 32
_MAX_CONTEXT_CHARS = 1024
_SCALARS = (int, float, str, bool)
_DESCRIBING = ("schema", "meta", "metadata", "info", "header", "context")
"""Members beside a table that may hold its labels."""


def context_columns(fragments: list[Fragment], keys: list[str] | None, present: set[tuple[str, ...]]) -> list[Column]:
    """What the objects around the fragments say of them: the members that differ, and those whose name has a role."""
    flat = [_context_of(fragment) for fragment in fragments]
    if keys is not None:
        for members, key in zip(flat, keys, strict=True):
            members[("(member)",)] = key
    names = list(dict.fromkeys(name for members in flat for name in members))[:_MAX_CONTEXT]
    columns = []
    for name in names:
        values = [members.get(name) for members in flat]
        varies = len(fragments) > 1 and any(value != values[0] for value in values)
        role = hint(name[-1])
        useful = (
            (name[-1].lower() == "id" and type(values[-1]) is str)
            or role.hint in (Hint.LABEL, Hint.SENSOR, Hint.UNIT, Hint.PLACE)
            or (role.hint is Hint.TIME and role.rank <= 1)
        )
        if not (varies or useful or name == ("(member)",)):
            continue
        shown = name if name not in present else ("(around)", *name)
        cells: list[Any] = []
        for value, fragment in zip(values, fragments, strict=True):
            cells.extend([value] * fragment.length)
        columns.append(Column(shown, cells, "key" if name == ("(member)",) else "context"))
    if keys is None:
        own = own_key(fragments)
        if own is not None:
            columns.append(Column(("(member)",), [own] * sum(fragment.length for fragment in fragments), "key"))
    return columns


def own_key(fragments: list[Fragment]) -> str | None:
    """The name of the member that holds the table, where it can be the name of what was measured."""
    keys = {str(fragment.path[-1]) for fragment in fragments if fragment.path and isinstance(fragment.path[-1], str)}
    if len(keys) != 1 or any(fragment.shape == "values" for fragment in fragments):
        return None
    (key,) = keys
    if words(key) and words(key)[-1].endswith(_WRAPPING):
        return None
    return None if is_aside(key) or any(map(is_container, words(key))) or not words(key) else key


def _context_of(fragment: Fragment) -> dict[tuple[str, ...], Any]:
    flat: dict[tuple[str, ...], Any] = {}
    for path, members in fragment.context:
        if len(members) > 1000:
            continue
        for name, value in members.items():
            value = rows.cell(value)  # noqa: PLW2901
            if _is_small(value):
                flat[(name,)] = value
            elif (
                type(value) is dict
                and len(value) <= _MAX_NESTED_CONTEXT
                and (not is_aside(name) or name in _DESCRIBING)
            ):
                if (*path, name) == fragment.path[: len(path) + 1]:
                    continue
                flat.update({(name, key): inner for key, inner in value.items() if _is_small(inner)})
    return flat


def _is_small(value: Any) -> bool:
    return isinstance(value, _SCALARS) and (type(value) is not str or len(value) <= _MAX_CONTEXT_CHARS)


def units_of(fragment: Fragment) -> dict[str, str]:
    """Units that an object around the table gives for its columns by name."""
    if not fragment.context:
        return {}
    names = {column.parts[-1] for column in fragment.columns}
    for _, members in reversed(fragment.context):
        for key, value in members.items():
            if type(value) is dict and {"unit", "units"} & set(words(key)) and names & value.keys():
                return {name: unit for name, unit in value.items() if type(unit) is str and len(unit) <= 32}
    return {}


def zones_of(fragments: list[Fragment]) -> tuple[tuple[str, Any], ...]:
    """The members around the fragments that state a zone, the nearest objects first."""
    stated: dict[tuple[str, Any], None] = {}
    for fragment in fragments[:_MAX_CONTEXT]:
        for _, members in reversed(fragment.context):
            if len(members) > 1000:
                continue
            around = [
                members,
                *(inner for inner in members.values() if type(inner) is dict and len(inner) <= _MAX_CONTEXT),
            ]
            for outer in around:
                for name, value in outer.items():
                    if type(value) in (str, int, float) and states_zone(name):
                        stated[name, value] = None
            if stated:
                break
    return tuple(stated)
