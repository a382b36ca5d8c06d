"""The readings that the parts of `refusals` write, and their theme."""

import io
import json
import zipfile
from hashlib import sha256

import fastavro
import numpy as np
import openpyxl
import pyarrow as pa
from kit import Theme, plant, rows
from PIL import Image
from pyarrow import feather, orc, parquet

theme = Theme("refusals")

FRAME = plant(24)

ROWS = rows(FRAME)

TEXT = json.dumps(ROWS)


def noise(count: int) -> bytes:
    """Bytes that look encrypted, the same in every run."""
    blocks = (sha256(f"block {i}".encode()).digest() for i in range(count // 32 + 1))
    return b"".join(blocks)[:count]


def java_stream() -> bytes:
    """A java.util.ArrayList of one Double, as ObjectOutputStream writes it."""
    return bytes.fromhex(
        "aced0005737200136a6176612e7574696c2e41727261794c6973747881d21d99c7619d03000149000473697a6578700000000177040000"
        "0001737200106a6176612e6c616e672e446f75626c6580b3c24a296bfb0402000144000576616c7565787200106a6176612e6c616e67"
        "2e4e756d62657286ac951d0b94e08b0200007870403450000000000078"
    )


def images() -> dict[str, bytes]:
    written = {}
    for form in ("PNG", "JPEG", "GIF", "WEBP"):
        sink = io.BytesIO()
        Image.new("RGB", (32, 32), (200, 30, 30)).save(sink, form)
        written[form] = sink.getvalue()
    return written


def tables() -> dict[str, bytes]:
    arrow = pa.Table.from_pandas(FRAME)
    sinks = {
        name: io.BytesIO()
        for name in ("stream", "file", "parquet", "feather", "orc", "npy", "npz", "avro", "xlsx", "zip")
    }
    with pa.ipc.new_stream(sinks["stream"], arrow.schema) as writer:
        writer.write_table(arrow)
    with pa.ipc.new_file(sinks["file"], arrow.schema) as writer:
        writer.write_table(arrow)
    parquet.write_table(arrow, sinks["parquet"])
    feather.write_feather(arrow, sinks["feather"])
    orc.write_table(arrow.drop(["ts"]), sinks["orc"])
    numbers = FRAME[["co2_flow_rate", "water_temp"]].to_numpy()
    np.save(sinks["npy"], numbers)
    np.savez(sinks["npz"], readings=numbers)
    schema = {
        "type": "record",
        "name": "r",
        "fields": [
            {"name": "ts", "type": "string"},
            {"name": "co2_flow_rate", "type": "double"},
            {"name": "water_temp", "type": "double"},
        ],
    }
    fastavro.writer(sinks["avro"], fastavro.parse_schema(schema), ROWS, sync_marker=b"0123456789abcdef")
    book = openpyxl.Workbook()
    for row in ROWS:
        book.active.append(list(row.values()))
    book.save(sinks["xlsx"])
    with zipfile.ZipFile(sinks["zip"], "w") as archive:
        archive.writestr(zipfile.ZipInfo("readings.json", (2026, 1, 1, 0, 0, 0)), TEXT)
    return {name: sink.getvalue() for name, sink in sinks.items()}
