"""Any table, written by any writer in any encoding and envelope, reads back as the same series."""

import base64
import csv
import gzip
import io
import json
import random
import zlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.reading.texts import numbers
from tests.reading.reads import batch, chart, points, values

type Rows = list[dict[str, Any]]

NAMES = ["temp", "co2", "pH", "flow_rate", "waterLevel", "pressure kPa", "NH4", "Größe", "tank3 level", "x1"]
NUMBERS = st.integers(-1000, 10_000).map(lambda number: number / 8)
FIRST_MS = 1_772_344_800_000


def iso(ms: int) -> str:
    import datetime

    return (
        datetime.datetime.fromtimestamp(ms / 1000, datetime.UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


@st.composite
def tables(draw: st.DrawFn, min_rows: int = 2) -> dict[str, list[Any]]:
    """`ms`: times that rise; the other columns: numbers."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    count = draw(st.integers(min_rows, 8))
    steps = draw(st.lists(st.integers(1, 3_600_000), min_size=count, max_size=count))
    ms = [FIRST_MS + sum(steps[:row]) for row in range(count)]
    return {"ms": ms, **{name: draw(st.lists(NUMBERS, min_size=count, max_size=count)) for name in names}}


def rows_of(table: dict[str, list[Any]], time: str, write: Callable[[int], Any]) -> Rows:
    names = [name for name in table if name != "ms"]
    return [{time: write(ms), **{name: table[name][row] for name in names}} for row, ms in enumerate(table["ms"])]


def as_long(rows: Rows, time: str, label: str = "metric", value: str = "value") -> Rows:
    return [{time: row[time], label: name, value: row[name]} for row in rows for name in row if name != time]


def as_csv(rows: Rows, mark: str) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=mark, lineterminator="\n")
    writer.writerow(list(rows[0]))
    for row in rows:
        cells = [
            str(cell).replace(".", ",") if mark == ";" and isinstance(cell, float) else cell for cell in row.values()
        ]
        writer.writerow(cells)
    return out.getvalue().encode()


SHAPES: dict[str, Callable[[Rows, str], Any]] = {
    "rows": lambda rows, time: rows,
    "long": as_long,
    "long by name": lambda rows, time: as_long(rows, time, "name", "v"),
    "long by sensor": lambda rows, time: as_long(rows, time, "sensorId", "reading"),
    "columns": lambda rows, time: {name: [row[name] for row in rows] for name in rows[0]},
    "split": lambda rows, time: {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]},
    "header row": lambda rows, time: [list(rows[0]), *(list(row.values()) for row in rows)],
    "by row number": lambda rows, time: {str(number): row for number, row in enumerate(rows)},
    "columns by row number": lambda rows, time: {
        name: {str(number): row[name] for number, row in enumerate(rows)} for name in rows[0]
    },
    "nested": lambda rows, time: [
        {time: row[time], "data": {k: v for k, v in row.items() if k != time}} for row in rows
    ],
    "named pairs": lambda rows, time: [
        {"name": name, "data": [[row[time], row[name]] for row in rows]} for name in rows[0] if name != time
    ],
    "named points": lambda rows, time: [
        {"id": name, "data": [{"x": row[time], "y": row[name]} for row in rows]} for name in rows[0] if name != time
    ],
    "points by name": lambda rows, time: {
        name: [{"ts": row[time], "value": row[name]} for row in rows] for name in rows[0] if name != time
    },
    "labels": lambda rows, time: {
        "labels": [row[time] for row in rows],
        "datasets": [{"label": name, "data": [row[name] for row in rows]} for name in rows[0] if name != time],
    },
}
TIMES: dict[str, Callable[[int], Any]] = {
    "ISO": iso,
    "epoch ms": lambda ms: ms,
    "SQL": lambda ms: iso(ms).replace("T", " ").removesuffix("Z"),
    "offset": lambda ms: iso(ms).replace("Z", "+00:00"),
    "epoch us": lambda ms: ms * 1000,
}
ENVELOPES: dict[str, Callable[[Any], Any]] = {
    "bare": lambda value: value,
    "result": lambda value: {"status": "SUCCESS", "task_id": "x", "result": value},
    "cache": lambda value: {"value": value, "expires": 1_772_344_900_000},
    "deep": lambda value: {"data": {"page": {"number": 1}, "readings": {"items": value, "hasNextPage": False}}},
    "text": lambda value: {"value": json.dumps(value), "expires": None},
    "list": lambda value: (
        {"results": [{"tables": [{"rows": value}]}]} if isinstance(value, list) else {"results": value}
    ),
}
ENCODINGS: dict[str, Callable[[Any], bytes]] = {
    "JSON": lambda value: json.dumps(value).encode(),
    "JSON with a BOM": lambda value: b"\xef\xbb\xbf" + json.dumps(value, ensure_ascii=False).encode(),
    "JSON twice": lambda value: json.dumps(json.dumps(value)).encode(),
    "gzip": lambda value: gzip.compress(json.dumps(value).encode()),
    "zlib": lambda value: zlib.compress(json.dumps(value).encode()),
    "zstd": lambda value: zstd.compress(json.dumps(value).encode()),
    "base64": lambda value: base64.b64encode(json.dumps(value).encode()),
    "base64 of zstd": lambda value: base64.urlsafe_b64encode(zstd.compress(json.dumps(value).encode())),
    "MessagePack": msgspec.msgpack.encode,
    "gzip of MessagePack": lambda value: gzip.compress(msgspec.msgpack.encode(value)),
}


def expected(table: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return {name: column for name, column in table.items() if name != "ms"}


@settings(deadline=None, max_examples=400)
@given(
    table=tables(),
    time=st.sampled_from(["timestamp", "ts", "Time", "date", "measured_at"]),
    written=st.sampled_from(sorted(TIMES)),
    shape=st.sampled_from(sorted(SHAPES)),
    envelope=st.sampled_from(sorted(ENVELOPES)),
    encoding=st.sampled_from(sorted(ENCODINGS)),
)
def test_a_table_reads_back(
    table: dict[str, list[Any]], time: str, written: str, shape: str, envelope: str, encoding: str
) -> None:
    rows = rows_of(table, time, TIMES[written])
    raw = ENCODINGS[encoding](ENVELOPES[envelope](SHAPES[shape](rows, time)))
    right = expected(table)
    assert values(batch(raw)) == right
    assert points(chart(raw)) == {name: list(zip(table["ms"], column, strict=True)) for name, column in right.items()}


@settings(deadline=None)
@given(
    table=tables(),
    mark=st.sampled_from([",", ";", "\t", "|"]),
    pack=st.sampled_from([bytes, gzip.compress, base64.b64encode, zstd.compress]),
)
def test_delimited_text_reads_back(table: dict[str, list[Any]], mark: str, pack: Callable[[bytes], bytes]) -> None:
    raw = pack(as_csv(rows_of(table, "time", TIMES["SQL"]), mark))
    assert values(batch(raw)) == expected(table)
    assert points(chart(raw)) == {
        name: list(zip(table["ms"], column, strict=True)) for name, column in expected(table).items()
    }


MORE: dict[str, Callable[[int], Any]] = {
    "id": lambda row: 5000 + row * 3,
    "reading_id": lambda row: f"r{row}",
    "recordId": lambda row: 17,
    "uuid": lambda row: f"{row:08x}-0000-4000-8000-000000000000",
    "index": lambda row: row,
    "row_number": lambda row: row + 1,
    "seq": lambda row: 1000 + row,
    "#": lambda row: row,
    "": lambda row: row,
    "unit": lambda row: "kPa",
    "units": lambda row: "mg/l",
    "quality": lambda row: "good",
    "Quality": lambda row: 192,
    "status": lambda row: "OK",
    "qc_flag": lambda row: 1,
    "is_valid": lambda row: True,
    "epoch_ms": lambda row: None,
    "version": lambda row: 3,
    "expiresAt": lambda row: 1_772_400_000_000,
}


@settings(deadline=None)
@given(table=tables(), name=st.sampled_from(sorted(MORE)), first=st.booleans(), long=st.booleans(), text=st.booleans())
def test_a_column_that_is_no_measurement_changes_nothing(
    table: dict[str, list[Any]], name: str, first: bool, long: bool, text: bool
) -> None:
    rows = rows_of(table, "timestamp", iso)
    if long:
        rows = as_long(rows, "timestamp")
    more = []
    for number, row in enumerate(rows):
        value = FIRST_MS + number if name == "epoch_ms" else MORE[name](number)
        value = str(value) if text and type(value) is int and name != "qc_flag" else value
        more.append({name: value, **row} if first else {**row, name: value})
    assert values(batch(more)) == expected(table)
    assert points(chart(more)) == points(chart(rows))


@settings(deadline=None)
@given(table=tables(), long=st.booleans(), seed=st.integers(0, 99))
def test_the_order_of_rows_and_columns_does_not_matter(table: dict[str, list[Any]], long: bool, seed: int) -> None:
    rows = rows_of(table, "timestamp", iso)
    if long:
        rows = as_long(rows, "timestamp")
    mixed = [dict(random.Random(seed).sample(list(row.items()), len(row))) for row in rows]
    random.Random(seed).shuffle(mixed)
    assert points(chart(mixed)) == points(chart(rows))
    assert {name: sorted(column) for name, column in values(batch(mixed)).items()} == {
        name: sorted(column) for name, column in values(batch(rows)).items()
    }


@settings(deadline=None)
@given(table=tables(), hidden=st.sampled_from([None, "NaN", "", "unavailable"]), place=st.integers(0, 7))
def test_a_value_that_is_missing_is_left_out_alone(table: dict[str, list[Any]], hidden: Any, place: int) -> None:
    rows = rows_of(table, "timestamp", iso)
    name = next(key for key in rows[0] if key != "timestamp")
    if len(rows) < 3:
        return
    rows[place % len(rows)][name] = hidden
    right = expected(table)
    right[name] = [value for row, value in enumerate(right[name]) if row != place % len(rows)]
    assert values(batch(rows)) == right


@settings(deadline=None)
@given(table=tables(), suffix=st.sampled_from([" °C", " kPa", "%"]))
def test_numbers_as_text_are_numbers(table: dict[str, list[Any]], suffix: str) -> None:
    rows = rows_of(table, "timestamp", iso)
    texts = [{key: str(cell) if key != "timestamp" else cell for key, cell in row.items()} for row in rows]
    assert values(batch(texts)) == expected(table)
    with_units = [{key: f"{cell}{suffix}" if key != "timestamp" else cell for key, cell in row.items()} for row in rows]
    reading = batch(with_units)
    assert values(reading) == expected(table)
    assert {item.unit for item in reading.series.values()} == {suffix.strip()}


@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
def test_every_encoding_is_told_in_the_chain(encoding: str) -> None:
    from shared.reading.explain import explain_batch

    raw = ENCODINGS[encoding]([{"timestamp": iso(FIRST_MS), "temp": 1.5}])
    chain = " of ".join(explain_batch("string", [raw]).encoding)
    for word in encoding.split(" of "):
        assert word.removesuffix(" with a BOM").removesuffix(" twice") in chain


COMMON = ["1", "-2", "1.5", "1,5", "-0,25", "1.234", "1,234", "1.234,5", "1,234.5", "1e3", "1,5e3", "007", "+0080,1"]
ODD = ["", "NaN", "n/a", "---", "inf", " 2", "3 ", "2\n5", "2\r5", "1 234", "1'234", "x", "5 %", "9" * 70, None]
TEXTS = st.sampled_from([*COMMON, *ODD])


@settings(deadline=None, max_examples=300)
@given(st.lists(TEXTS, min_size=17, max_size=24), st.booleans())
def test_a_long_column_is_read_as_each_of_its_texts(texts: list[str | None], comma: bool) -> None:
    whole = numbers.read(texts, decimal_comma=comma)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numbers, "_FEW", 10**9)
        alone = numbers.read(texts, decimal_comma=comma)
    assert list(map(repr, whole.values)) == list(map(repr, alone.values))
    assert (whole.clean, whole.unit) == (alone.clean, alone.unit)


@settings(deadline=None, max_examples=300)
@given(st.lists(TEXTS, min_size=1, max_size=24))
def test_a_column_of_decimal_commas_is_read_at_once_as_each_of_its_texts(texts: list[str | None]) -> None:
    quick = numbers.quick_commas(texts)
    if quick is not None:
        assert list(map(repr, quick)) == list(map(repr, numbers.read(texts, decimal_comma=True).values))
