"""The same rows in every encoding, and in combinations of encodings."""

import base64
import bz2
import csv
import gzip
import io
import json
import lzma
import zlib

import msgpack
import msgspec
import orjson
import pandas as pd
import simplejson
import ujson
import zstandard
from kit import Row, Theme, iso, lib, rows, table, wave, wide


def sample(count: int = 24) -> pd.DataFrame:
    return table(
        {
            "Temperature (°C)": wave(count, 61, 5, 0.3),
            "CO2 [ppm]": wave(count, 421, 14, 1, digits=1),
            "Δp": wave(count, -0.4, 0.3, 2, digits=3),
        },
        start="2026-06-21T04:00:00Z",
        step_s=120,
    )


def as_csv(frame: pd.DataFrame, **how: object) -> str:
    sheet = io.StringIO()
    writer = csv.writer(sheet, **how)
    writer.writerow(frame.columns)
    writer.writerows([iso(row[0]), *row[1:]] for row in frame.itertuples(index=False, name=None))
    return sheet.getvalue()


def json_writers(theme: Theme, frame: pd.DataFrame, records: list[Row]) -> None:
    truth = wide(frame)
    text = json.dumps(records)
    theme.add("b", "BOM before JSON", "Python 3.13 utf-8-sig", text.encode("utf-8-sig"), truth)
    theme.add(
        "c",
        "JSON with unescaped names",
        "Python 3.13 json.dumps ensure_ascii=False",
        json.dumps(records, ensure_ascii=False, indent=2),
        truth,
    )
    theme.add(
        "c",
        "JSON in UTF-16 with BOM",
        "PowerShell 5 Out-File",
        text.encode("utf-16"),
        truth,
        or_refuse=True,
        doubt="UTF-16 is no JSON by RFC 8259; reading it is welcome, refusing it is allowed.",
    )
    theme.add("b", "orjson", f"{lib('orjson')} dumps", orjson.dumps(records, option=orjson.OPT_INDENT_2), truth)
    theme.add(
        "c",
        "ujson with escaped slashes",
        f"{lib('ujson')} dumps",
        ujson.dumps({"readings": records, "source": "line/1"}, escape_forward_slashes=True),
        truth,
    )
    theme.add(
        "b",
        "simplejson of Decimals as text",
        f"{lib('simplejson')} dumps",
        simplejson.dumps(
            [{name: value if name == "ts" else f"{value:.4f}" for name, value in record.items()} for record in records]
        ),
        truth,
    )
    theme.add(
        "bc",
        "JSON text in JSON below a member",
        "Python 3.13 json.dumps twice",
        json.dumps({"batchId": "b-71", "payload": text}),
        truth,
    )
    theme.add("c", "JSON three times", "Python 3.13 json.dumps three times", json.dumps(json.dumps(text)), truth)
    theme.add(
        "b",
        "list of JSON texts in JSON",
        "Python 3.13 json.dumps of json.dumps",
        json.dumps([json.dumps(record) for record in records]),
        truth,
    )
    theme.add(
        "c",
        "JSON lines, CRLF and empty last line",
        "line-delimited log",
        "\r\n".join(json.dumps(record) for record in records) + "\r\n\r\n",
        truth,
    )
    theme.add(
        "b", "JSON lines, one line only", "line-delimited log", json.dumps(records[0]) + "\n", wide(frame.head(1))
    )
    theme.add(
        "c",
        "JSON text sequence (RFC 7464)",
        "RFC 7464, JSON Text Sequences",
        "".join("\x1e" + json.dumps(record) + "\n" for record in records),
        truth,
        or_refuse=True,
        doubt="Rare; a refusal is allowed.",
    )
    theme.add("b", "white space around", "hand-written", "\n\t " + text + " \n", truth)


def packed(theme: Theme, frame: pd.DataFrame, records: list[Row]) -> None:
    truth = wide(frame)
    text = json.dumps(records).encode()
    theme.add("b", "zlib", "Python 3.13 zlib.compress", zlib.compress(text), truth)
    theme.add("c", "zlib level 1", "Python 3.13 zlib.compress(level=1)", zlib.compress(text, 1), truth)
    theme.add("bc", "zstd", f"{lib('zstandard')} ZstdCompressor", zstandard.compress(text), truth)
    stream = io.BytesIO()
    with zstandard.ZstdCompressor().stream_writer(stream, closefd=False) as writer:
        writer.write("\n".join(json.dumps(record) for record in records).encode())
    theme.add(
        "c",
        "JSON lines in a zstd stream without content size",
        f"{lib('zstandard')} stream_writer",
        stream.getvalue(),
        truth,
    )
    theme.add(
        "b",
        "gzip of csv",
        "Python 3.13 gzip.compress",
        gzip.compress(as_csv(frame).encode(), mtime=0),
        truth,
        pandas={"call": "read_csv", "time": "ts"},
    )
    half = len(text) // 2
    theme.add(
        "c",
        "gzip of two members",
        "two appended gzip files",
        gzip.compress(text[:half], mtime=0) + gzip.compress(text[half:], mtime=0),
        truth,
    )
    theme.add(
        "b",
        "raw deflate",
        "Python 3.13 zlib.compressobj(wbits=-15)",
        zlib.compress(text, wbits=-15),
        truth,
        or_refuse=True,
        doubt="Raw deflate has no magic bytes; a refusal is allowed.",
    )
    theme.add(
        "c",
        "bz2",
        "Python 3.13 bz2.compress",
        bz2.compress(text),
        truth,
        or_refuse=True,
        doubt="Not among the kinds of the specification; a refusal by name is allowed.",
    )
    theme.add(
        "b",
        "xz",
        "Python 3.13 lzma.compress",
        lzma.compress(text),
        truth,
        or_refuse=True,
        doubt="Not among the kinds of the specification; a refusal by name is allowed.",
    )
    theme.add(
        "b",
        "base64 of zlib of msgpack",
        f"{lib('msgpack')}, zlib, base64",
        base64.b64encode(zlib.compress(msgpack.packb(records))),
        truth,
    )
    theme.add("c", "base64 of JSON", "Python 3.13 base64.b64encode", base64.b64encode(text), truth)
    theme.add("c", "base64 in lines of 76", "Python 3.13 base64.encodebytes", base64.encodebytes(text), truth)
    theme.add(
        "b",
        "base64 url alphabet without padding",
        "Python 3.13 base64.urlsafe_b64encode",
        base64.urlsafe_b64encode(gzip.compress(text, mtime=0)).rstrip(b"="),
        truth,
    )
    theme.add(
        "b",
        "data URL",
        "RFC 2397",
        b"data:application/json;base64," + base64.b64encode(text),
        truth,
        or_refuse=True,
        doubt="Rare; a refusal is allowed.",
    )
    theme.add(
        "bc",
        "base64 of gzip below a member",
        "message envelope",
        json.dumps({"encoding": "gzip+base64", "body": base64.b64encode(gzip.compress(text, mtime=0)).decode()}),
        truth,
    )
    theme.add(
        "c", "gzip of base64 of JSON", "two layers the other way", gzip.compress(base64.b64encode(text), mtime=0), truth
    )
    theme.add(
        "b",
        "zstd of msgpack",
        f"{lib('msgpack')} and {lib('zstandard')}",
        zstandard.compress(msgpack.packb(records)),
        truth,
    )


def binary(theme: Theme, frame: pd.DataFrame, records: list[Row]) -> None:
    truth = wide(frame)
    dated = [{**record, "ts": frame["ts"][i].to_pydatetime()} for i, record in enumerate(records)]
    theme.add(
        "bc",
        "msgpack with timestamp extension",
        f"{lib('msgpack')} packb(datetime=True)",
        msgpack.packb(dated, datetime=True),
        truth,
    )
    theme.add(
        "b",
        "msgpack, single floats",
        f"{lib('msgpack')} packb(use_single_float=True)",
        msgpack.packb(
            [{"ts": iso(row.ts), "t": row.t} for row in table({"t": [0.5 * i for i in range(12)]}).itertuples()],
            use_single_float=True,
        ),
        wide(table({"t": [0.5 * i for i in range(12)]})),
    )
    theme.add(
        "c",
        "msgpack, old raw strings",
        f"{lib('msgpack')} packb(use_bin_type=False)",
        msgpack.packb({"rows": records}, use_bin_type=False),
        truth,
    )
    theme.add(
        "b",
        "msgpack with names as bytes",
        f"{lib('msgpack')} packb of bytes",
        msgpack.packb([{name.encode(): value for name, value in record.items()} for record in records]),
        truth,
    )
    theme.add(
        "c",
        "msgpack columns",
        f"{lib('msgspec')} msgpack.encode",
        msgspec.msgpack.encode({name: [record[name] for record in records] for name in frame.columns}),
        truth,
    )
    theme.add(
        "b",
        "msgpack stream of rows",
        f"{lib('msgpack')} Packer, one object after another",
        b"".join(msgpack.packb(record) for record in records),
        truth,
        or_refuse=True,
        doubt="Objects one after another are no single document; a refusal is allowed, the first row alone is wrong.",
    )


def tables(theme: Theme, frame: pd.DataFrame) -> None:
    truth = wide(frame)
    theme.add(
        "bc",
        "csv with BOM",
        "spreadsheet export, UTF-8",
        as_csv(frame).encode("utf-8-sig"),
        truth,
        pandas={"call": "read_csv", "time": "ts"},
    )
    theme.add(
        "c",
        "csv with every cell quoted",
        "Python 3.13 csv QUOTE_ALL",
        as_csv(frame, quoting=csv.QUOTE_ALL),
        truth,
        pandas={"call": "read_csv", "time": "ts"},
    )
    theme.add(
        "b",
        "csv with bars",
        "Python 3.13 csv delimiter |",
        as_csv(frame, delimiter="|"),
        truth,
        pandas={"call": "read_csv", "sep": "|", "time": "ts"},
    )
    comma = frame.copy()
    theme.add(
        "c",
        "csv with decimal commas and semicolons",
        "pandas to_csv(sep=';', decimal=',')",
        comma.to_csv(index=False, sep=";", decimal=","),
        truth,
        pandas={"call": "read_csv", "sep": ";", "decimal": ",", "time": "ts"},
    )
    theme.add(
        "b",
        "csv in Windows-1252",
        "spreadsheet export, ANSI",
        as_csv(frame[["ts", "Temperature (°C)"]]).encode("cp1252"),
        wide(frame[["ts", "Temperature (°C)"]]),
        or_refuse=True,
        doubt="No UTF-8: reading it as Latin-1 is right, a refusal is allowed.",
    )
    theme.add(
        "c",
        "csv with comment lines",
        "data logger export",
        "# station: line 2\n# unit: mixed\n" + as_csv(frame),
        truth,
        or_refuse=True,
        pandas={"call": "read_csv", "comment": "#", "time": "ts"},
    )
    theme.add("b", "csv in JSON", "Power Automate body", json.dumps({"csv": as_csv(frame)}), truth)
    theme.add(
        "c",
        "csv with units in a second row",
        "data logger export",
        as_csv(frame).replace("\r\n", "\r\n,degC,ppm,bar\r\n", 1),
        truth,
        or_refuse=True,
        doubt="A row of units below the names: to be skipped and counted, or refused.",
    )


def build() -> Theme:
    theme = Theme("encodings")
    frame = sample()
    records = rows(frame)
    json_writers(theme, frame, records)
    packed(theme, frame, records)
    binary(theme, frame, records)
    tables(theme, frame)
    return theme
