"""SenML, RFC 8428: records whose names, times, values and units are relative to base fields before them. Pure.

Section 4.6 resolves a record: name = bn + n, time = bt + t (a value below 2^28 is relative to now, here unknown),
value = bv + v, sum = bs + s, unit = u or bu. Base fields hold until they are given again.
"""

from typing import Any

MARKS = frozenset(("bn", "bt", "bu", "bver", "n"))
_LABELS = frozenset(["bn", "bt", "bu", "bv", "bs", "bver", "n", "u", "v", "vs", "vb", "vd", "s", "t", "ut"])
_RELATIVE_BELOW = 2**28


def read(records: list[Any]) -> list[Any] | None:
    """A row for each numeric record; None if it is no SenML pack."""
    if not all(type(record) is dict and record and record.keys() <= _LABELS for record in records):
        return None
    if not all(map(_is_record, records)):
        return None
    if not any("v" in record or "s" in record for record in records):
        return None
    if not any(record.keys() & {"bn", "bt", "bver", "bu"} for record in records) and not all(
        "n" in record for record in records
    ):
        return None
    base: dict[str, Any] = {}
    rows: list[Any] = []
    for record in records:
        base.update({name: record[name] for name in ("bn", "bt", "bu", "bv", "bs") if name in record})
        if "v" not in record and "s" not in record and "vs" not in record and "vb" not in record:
            continue
        name = f"{base.get('bn', '')}{record.get('n', '')}"
        row: dict[str, Any] = {"metric": name, "value": _sum(base.get("bv"), record.get("v"))}
        if row["value"] is None and "s" in record:
            row["value"] = _sum(base.get("bs"), record["s"])
        if row["value"] is None:
            row["value"] = record.get("vs")
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


def _is_record(record: dict[str, Any]) -> bool:
    """Whether names are texts, and times and base values numbers."""
    return all(type(record[name]) is str for name in ("bn", "n", "u", "bu") if name in record) and all(
        type(record[name]) in (int, float) for name in ("bt", "t", "bv", "bs") if name in record
    )


def _sum(base: Any, own: Any) -> Any:
    numbers = [number for number in (base, own) if type(number) in (int, float)]
    return sum(numbers) if numbers else own
