"""SenML, RFC 8428: records whose names, times, values and units are relative to base fields before them. Pure.

Section 4.6 resolves a record: name = bn + n, time = bt + t (a value below 2^28 is relative to now, here unknown),
value = bv + v, sum = bs + s, unit = u or bu. Base fields hold until they are given again.
"""

from itertools import chain
from typing import Any

MARKS = frozenset(("bn", "bt", "bu", "bver", "n"))
_BASES = frozenset(("bn", "bt", "bu", "bv", "bs"))
_VALUES = frozenset(("v", "s", "vs", "vb"))
_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("bn", "n", "u", "bu"), (str,)),
    **dict.fromkeys(("bt", "t", "bv", "bs"), (int, float)),
    **dict.fromkeys(("bver", "v", "vs", "vb", "vd", "s", "ut"), ()),
}
"""The labels of a record, and of what type their values are; () for any."""
_RELATIVE_BELOW = 2**28


def read(records: list[Any]) -> list[Any] | None:
    """A row for each numeric record; None if it is no SenML pack."""
    if not all(map(_is_record, records)):
        return None
    names = frozenset(chain.from_iterable(records))
    if not names & {"v", "s"}:
        return None
    if not names & {"bn", "bt", "bver", "bu"} and not all("n" in record for record in records):
        return None
    base: dict[str, Any] = {}
    rows: list[Any] = []
    for record in records:
        if not _BASES.isdisjoint(record):
            base.update({name: record[name] for name in _BASES & record.keys()})
        if _VALUES.isdisjoint(record):
            continue
        value = _sum(base.get("bv"), record.get("v"))
        if value is None:
            value = _sum(base.get("bs"), record["s"]) if "s" in record else None
            value = record.get("vs") if value is None else value
        row = {"metric": base.get("bn", "") + record.get("n", ""), "value": value}
        time = _sum(base.get("bt"), record.get("t"))
        if time is not None and (time >= _RELATIVE_BELOW or "bt" in base):
            row["time"] = time
        unit = record.get("u", base.get("bu"))
        if unit is not None:
            row["unit"] = unit
        if base.get("bn") and "n" in record:
            row["sensor"] = base["bn"]
        rows.append(row)
    return rows or None


def _is_record(record: Any) -> bool:
    """Whether an object has the members of a record, names that are texts, times and base values that are numbers."""
    if type(record) is not dict or not record:
        return False
    for name, value in record.items():
        kinds = _KINDS.get(name)
        if kinds is None or (kinds and type(value) not in kinds):
            return False
    return True


def _sum(base: Any, own: Any) -> Any:
    if base is None:
        return own
    numbers = [number for number in (base, own) if type(number) in (int, float)]
    try:
        return sum(numbers) if numbers else own
    except OverflowError:  # an integer past the range of a double, and a double
        return None
