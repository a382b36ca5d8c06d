"""Kusto and Log Analytics: which of several tables in an answer is the result. Pure.

Source: Azure Data Explorer documentation, "Query/management HTTP response": in v2 the frames of kind PrimaryResult; in
v1 the last table is a table of contents, whose rows name the kind of each table ("QueryResult").
"""

from typing import Any


def read_frames(frames: list[Any]) -> Any:
    """The primary results of a v2 answer; None where there is none."""
    tables = [_plain(frame) for frame in frames if type(frame) is dict and frame.get("TableKind") == "PrimaryResult"]
    return (tables[0] if len(tables) == 1 else tables) or None


def read_tables(answer: dict[str, Any]) -> Any:
    """The query results of a v1 answer with several tables; None for any other."""
    tables = answer.get("Tables", answer.get("tables"))
    if type(tables) is not list or len(tables) < 2 or not all(type(table) is dict for table in tables):
        return None
    named = [table for table in tables if table.get("name", table.get("TableName")) == "PrimaryResult"]
    if named:
        return _plain(named[0]) if len(named) == 1 else None
    contents = tables[-1]
    columns = contents.get("Columns", contents.get("columns"))
    rows = contents.get("Rows", contents.get("rows"))
    if type(columns) is not list or type(rows) is not list:
        return None
    names = [column.get("ColumnName", column.get("name")) for column in columns if type(column) is dict]
    if "Kind" not in names or "Ordinal" not in names:
        return None
    results = []
    for row in rows:
        if type(row) is not list or len(row) != len(names):
            return None
        entry = dict(zip(names, row, strict=True))
        place = entry["Ordinal"]
        if entry["Kind"] == "QueryResult" and type(place) is int and 0 <= place < len(tables):
            results.append(_plain(tables[place]))
    return (results[0] if len(results) == 1 else results) or None


def _plain(table: dict[str, Any]) -> dict[str, Any]:
    rows = table.get("Rows", table.get("rows"))
    return {"columns": table.get("Columns", table.get("columns")), "rows": rows}
