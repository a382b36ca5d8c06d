"""Grafana data frames, as /api/ds/query returns them: values by field, names and labels in the schema. Pure.

Source: Grafana documentation, "Data frames" and the frame JSON of its Go SDK: `schema.fields[i]` describes
`data.values[i]`; a field is shown under config.displayNameFromDS, else under its labels, else under its name.
"""

from typing import Any

_GENERIC = ("value", "values", "")


def read(answer: dict[str, Any]) -> list[Any] | None:
    """An object of lists for each frame; None if there is no frame."""
    results = answer.get("results")
    holders = list(results.values()) if type(results) is dict else [answer]
    frames = [
        frame
        for holder in holders
        if type(holder) is dict and type(holder.get("frames")) is list
        for frame in holder["frames"]
    ]
    tables = []
    for frame in frames:
        match frame:
            case {"schema": {"fields": list(fields)} as schema, "data": {"values": list(values)}} if len(fields) == len(
                values
            ):
                if not all(type(field) is dict for field in fields) or not all(
                    type(column) is list for column in values
                ):
                    return None
                if not values or not values[0]:
                    continue
                table = _table(fields, values, schema.get("name"))
                if table is None:
                    return None
                tables.append(table)
            case _:
                return None
    return tables or None


def _table(fields: list[Any], values: list[Any], frame_name: object) -> dict[str, Any] | None:
    table: dict[str, Any] = {}
    numeric = sum(1 for field in fields if field.get("type") != "time")
    for field, column in zip(fields, values, strict=True):
        name = str(field.get("name", ""))
        if field.get("type") == "time":
            name = "Time" if "Time" not in table else name
        else:
            name = _shown(field, name, frame_name if numeric == 1 else None)
        if name in table:
            return None
        table[name] = column
    return table


def _shown(field: dict[str, Any], name: str, frame_name: object) -> str:
    config = field.get("config")
    if type(config) is dict:
        for key in ("displayName", "displayNameFromDS"):
            if type(config.get(key)) is str and config[key]:
                return str(config[key])
    labels: dict[str, Any] = field["labels"] if type(field.get("labels")) is dict else {}
    parts = [str(value) for value in labels.values()]
    if name.lower() in _GENERIC:
        if len(parts) > 1 and "__name__" in labels:
            parts = [str(labels["__name__"]), *(str(value) for key, value in labels.items() if key != "__name__")]
        if parts:
            return ".".join(parts[1:] + parts[:1]) if "__name__" in labels and len(parts) > 1 else ".".join(parts)
        return frame_name if isinstance(frame_name, str) and frame_name else name or "value"
    return ".".join((*parts, name))
