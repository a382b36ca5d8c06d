"""Recompute the expectations with pandas from the payloads themselves, to show that the fixtures are right.

A case with a hint (`pandas` in the fixture) must agree. For the others, every table that pandas can make of the decoded
document is tried: they are confirmed if one of them has the expected series, figures and first time. Counts per theme
are printed; `--open` lists what pandas alone does not read. Exit code 1: a hinted case disagrees.
"""

import base64
import binascii
import gzip
import io
import json
import math
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pandas as pd
import zstandard

sys.path.insert(0, str(Path(__file__).parents[3]))
from tests.reading.cases import Case, Expectation, load

UNITS = ("s", "ms", "us", "ns")


def unpack(data: bytes) -> bytes:
    """Undo compression and base64, as often as they occur."""
    for _ in range(4):
        try:
            if data[:2] == b"\x1f\x8b":
                data = gzip.decompress(data)
            elif data[:4] == b"\x28\xb5\x2f\xfd":
                data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
            elif data[:1] == b"\x78" and data[:2] != b"x,":
                data = zlib.decompress(data)
            else:
                data = base64.b64decode(b"".join(data.split()), validate=True)
        except (binascii.Error, zlib.error, ValueError, zstandard.ZstdError):
            break
    return data.removeprefix(b"\xef\xbb\xbf")


def parsed(data: bytes) -> Iterator[Any]:
    text = data.decode("utf-8", "replace")
    try:
        yield json.loads(text)
    except ValueError:
        lines = [line for line in text.splitlines() if line.strip()]
        try:
            yield [json.loads(line) for line in lines]
        except ValueError:
            for separator in ",;\t|":
                try:
                    frame = pd.read_csv(io.StringIO(text), sep=separator)
                except (ValueError, pd.errors.ParserError):
                    continue
                if frame.shape[1] > 1:
                    yield frame
            try:
                yield msgpack.unpackb(data, timestamp=3)
            except (ValueError, msgpack.exceptions.UnpackException):
                return


def documents(case: Case) -> Iterator[Any]:
    if isinstance(case.value, bytes):
        yield from parsed(unpack(case.value))
    elif case.shape == "list":
        yield from ([next(parsed(unpack(part)), None) for part in case.value],)
    elif case.shape == "hash":
        parts = [next(parsed(unpack(part)), None) if i % 2 else part.decode() for i, part in enumerate(case.value)]
        fields = dict(zip(parts[::2], parts[1::2], strict=True))
        yield fields
        yield [value if isinstance(value, dict) else {"value": value} for value in fields.values()]
    else:
        entries = [[part.decode("utf-8", "replace") for part in entry] for entry in case.value]
        yield [dict(zip(entry[::2], entry[1::2], strict=True)) for entry in entries]


def frames(document: Any, depth: int = 0) -> Iterator[pd.DataFrame]:
    """Every table that pandas makes of a part of the document."""
    if isinstance(document, pd.DataFrame):
        yield document
    elif isinstance(document, str) and depth < 8 and document[:1] in '[{"eHy':
        for inner in parsed(unpack(document.encode())):
            yield from frames(inner, depth + 3)
    elif isinstance(document, dict):
        yield from of_object(document)
        for value in document.values():
            if depth < 9:
                yield from frames(value, depth + 1)
    elif isinstance(document, list) and document:
        if all(isinstance(row, dict) for row in document):
            yield pd.json_normalize(document)
        elif all(isinstance(row, list) for row in document) and all(isinstance(name, str) for name in document[0]):
            yield pd.DataFrame(document[1:], columns=document[0])
        for value in document[:40]:
            if depth < 9 and not isinstance(value, int | float):
                yield from frames(value, depth + 1)


def column_name(name: Any) -> str:
    if not isinstance(name, dict):
        return str(name)
    return next((str(name[key]) for key in ("name", "ColumnName", "text", "label", "id") if key in name), "?")


def of_object(document: dict[str, Any]) -> Iterator[pd.DataFrame]:
    """Rows of lists under names, equal-length columns, columns keyed by row, and the object as one row."""
    lists = {key: value for key, value in document.items() if isinstance(value, list)}
    names = next((lists[key] for key in ("columns", "names", "fields", "labels", "cols", "keys") if key in lists), [])
    labels = [column_name(name) for name in names]
    for value in lists.values():
        if labels and value and isinstance(value[0], list) and len(value[0]) == len(labels):
            frame = pd.DataFrame(value, columns=labels)
            index = document.get("index")
            yield frame.assign(index=index) if isinstance(index, list) and len(index) == len(frame) else frame
    lengths = {len(value) for value in lists.values() if value and not isinstance(value[0], dict | list)}
    if len(lists) > 1 and len(lengths) == 1:
        yield pd.DataFrame({key: value for key, value in lists.items() if len(value) in lengths})
    if document and all(isinstance(value, dict) for value in document.values()):
        frame = pd.DataFrame(document)
        for side in (frame, frame.T):
            yield side.rename_axis("row key").reset_index() if "row key" not in side.columns else side
    yield pd.json_normalize(document)


def views(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The frame, and its columns by the last part of their names, and long rows by each text column."""
    yield frame
    tails = [str(name).rsplit(".", 1)[-1].strip("[]").rsplit("[", 1)[-1] for name in frame.columns]
    if len(set(tails)) == len(tails):
        yield frame.set_axis(tails, axis=1)


def numbers(column: pd.Series) -> pd.Series:
    values = pd.to_numeric(column, errors="coerce").astype("float64")
    return values[values.notna() & ~values.isin([math.inf, -math.inf])]


def close(figure: float | None, right: float | None) -> bool:
    return figure is not None and right is not None and math.isclose(figure, right, rel_tol=1e-9, abs_tol=1e-12)


def moments(frame: pd.DataFrame, right: float | None) -> bool:
    """Whether some column holds the first time in some form that pandas reads."""
    if right is None:
        return True
    for name in frame.columns:
        column = frame[name]
        for unit in UNITS:
            try:
                stamps = pd.to_numeric(column) * {"s": 1e3, "ms": 1, "us": 1e-3, "ns": 1e-6}[unit]
            except (ValueError, TypeError, AttributeError):
                break
            if stamps.notna().any() and round(stamps.min()) == right:
                return True
        for how in (
            {"format": "ISO8601", "utc": True},
            {"utc": True, "format": "mixed"},
            {"utc": True, "format": "mixed", "dayfirst": True},
        ):
            try:
                stamps = pd.to_datetime(column, **how)
            except (ValueError, TypeError, AttributeError):
                continue
            if stamps.notna().any() and round(stamps.min().timestamp() * 1000) == right:
                return True
    return False


def same(case: Case, right: Expectation, series: dict[str, pd.Series], frame: pd.DataFrame) -> bool:
    if not set(right) <= set(series):
        return False
    for name, figures in right.items():
        values = numbers(series[name])
        if len(values) != figures[0]:
            return False
        if case.kind == "batch":
            if not close(float(values.mean()), figures[1]):
                return False
        elif not (
            close(float(values.min()), figures[1])
            and close(float(values.max()), figures[2])
            and moments(frame, figures[3])
        ):
            return False
    return True


def agrees(case: Case, frame: pd.DataFrame) -> bool:
    for view in views(frame):
        wide = {str(name): view.iloc[:, position] for position, name in enumerate(view.columns)}
        if any(same(case, right, wide, view) for right in case.right):
            return True
        for label in view.columns:
            groups = view[label].astype(str)
            if groups.nunique() != len(case.right[0]):
                continue
            for value in view.columns:
                long = {str(name): part for name, part in view[value].groupby(groups)}
                if any(same(case, right, long, view) for right in case.right):
                    return True
    return False


def columns(document: Any, depth: int = 0) -> Iterator[pd.Series]:
    """Every column of numbers in the document, whatever its name."""
    for frame in frames(document):
        for position in range(min(frame.shape[1], 200)):
            yield frame.iloc[:, position]
    stack = [document]
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            stack.extend(part.values())
            yield pd.Series(list(part.values()), dtype="object")
        elif isinstance(part, list) and part:
            if all(isinstance(row, list) for row in part):
                frame = pd.DataFrame(part)
                for position in range(min(frame.shape[1], 200)):
                    yield frame.iloc[:, position]
            elif all(isinstance(row, dict) for row in part):
                frame = pd.json_normalize(part)
                for name in frame.columns:
                    yield frame[name]
            else:
                yield pd.Series(part, dtype="object")
            stack.extend(value for value in part if isinstance(value, dict | list))


def figures_alone(case: Case) -> bool:
    """Whether each expected series has the count and the figures of some column, names and times aside."""
    pool = []
    for document in documents(case):
        for column in columns(document):
            values = numbers(column)
            if len(values):
                pool.append((len(values), float(values.mean()), float(values.min()), float(values.max())))

    def present(figures: list[float | None]) -> bool:
        if case.kind == "batch":
            return any(count == figures[0] and close(mean, figures[1]) for count, mean, _, _ in pool)
        return any(
            count == figures[0] and close(low, figures[1]) and close(high, figures[2]) for count, _, low, high in pool
        )

    return any(all(present(figures) for figures in right.values()) for right in case.right)


def hinted(case: Case) -> pd.DataFrame:
    hint = dict(case.pandas or {})
    text = unpack(case.value if isinstance(case.value, bytes) else b"").decode("utf-8")
    call = hint.pop("call")
    time, drop, pivot = hint.pop("time"), hint.pop("drop", []), hint.pop("pivot", None)
    dayfirst = hint.pop("dayfirst", False)
    frame = (
        pd.read_csv(io.StringIO(text), **hint)
        if call == "read_csv"
        else pd.read_json(
            io.StringIO(text), orient=hint["orient"], convert_dates=False, convert_axes=hint["orient"] != "table"
        )
    )
    if time == "index":
        frame = frame.rename_axis("index").reset_index()
    frame = frame.drop(columns=drop)
    stamps = (
        pd.to_datetime(frame[time], utc=True, dayfirst=dayfirst)
        if not pd.api.types.is_numeric_dtype(frame[time])
        else frame[time]
    )
    frame = frame.assign(
        **{
            time: stamps.dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            if (hasattr(stamps, "dt") and stamps.dtype.kind == "M") or str(stamps.dtype).startswith("datetime64")
            else stamps
        }
    )
    return frame.pivot_table(index=time, columns=pivot[0], values=pivot[1]).reset_index() if pivot else frame


def main() -> int:
    checked: Counter[str] = Counter()
    confirmed: Counter[str] = Counter()
    alike: Counter[str] = Counter()
    disagree, unread = [], []
    for case in load():
        if not case.right:
            continue
        checked[case.theme] += 1
        if case.pandas:
            if agrees(case, hinted(case)):
                confirmed[case.theme] += 1
            else:
                disagree.append(case.id)
        elif any(
            agrees(case, frame)
            for document in documents(case)
            for frame in frames(document)
            if 0 < frame.shape[1] < 2000
        ):
            confirmed[case.theme] += 1
        elif figures_alone(case):
            alike[case.theme] += 1
        else:
            unread.append(case.id)
    for theme, count in sorted(checked.items()):
        sys.stdout.write(
            f"{confirmed[theme]:4d} of {count:4d} confirmed, {alike[theme]:3d} more in their figures alone  {theme}\n"
        )
    sys.stdout.write(
        f"{confirmed.total():4d} of {checked.total():4d} confirmed, {alike.total()} more in their figures alone; "
        f"{len(disagree)} with a hint disagree\n"
    )
    for name in disagree:
        sys.stdout.write(f"DISAGREES {name}\n")
    if "--open" in sys.argv:
        sys.stdout.writelines(f"open {name}\n" for name in unread)
    return 1 if disagree else 0


if __name__ == "__main__":
    sys.exit(main())
