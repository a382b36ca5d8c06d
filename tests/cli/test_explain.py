"""`manage.py explain`: keys of every type, files and stdin; bounded, masked, with the exit codes of all commands."""

import base64
import gzip
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from shared.app import App
from shared.batches.claims import MAX_PARTS
from shared.errors import Rejected
from shared.operations import explanations, payload
from shared.reading.overrides import parse
from tests.cli.conftest import Manage
from tests.support.looks import with_settings

BATCH = b"fastapi:temp:data:b1"
CHART = b"fabric:data:chart:co2-flow:realtime"
ROWS: list[dict[str, Any]] = [
    {"id": 7, "ts": "2026-03-01T06:00:00Z", "temp": 20.5},
    {"id": 8, "ts": "2026-03-01T06:01:00Z", "temp": 21.25},
]
SECRET = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0LXRva2VuLXZhbHVl"


async def as_string(app: App) -> None:
    await app.redis.set(BATCH, base64.b64encode(gzip.compress(json.dumps({"result": ROWS}).encode())))


async def as_list(app: App) -> None:
    await app.redis.rpush(BATCH, *map(json.dumps, ROWS))


async def as_hash(app: App) -> None:
    await app.redis.hset(BATCH, mapping={"readings": json.dumps(ROWS), "site": "north"})


async def as_stream(app: App) -> None:
    for row in ROWS:
        await app.redis.xadd(BATCH, {name: str(value) for name, value in row.items()})


@pytest.mark.parametrize("write", [as_string, as_list, as_hash, as_stream])
async def test_a_key_of_every_type_is_explained_as_the_reader_reads_it(
    manage: Manage, app: App, write: Callable[[App], Awaitable[None]]
) -> None:
    await write(app)
    code, output, complaint = manage("explain", BATCH, "--json")
    report = json.loads(output)
    assert (code, complaint, report["kind"], report["outcome"]) == (0, "", "batch", "read")
    assert [(item["name"], item["count"]) for item in report["series"]] == [("temp", 2)]
    assert [point[1] for point in report["series"][0]["first"]] == ["20.5", "21.25"]
    assert next(column["role"] for column in report["columns"] if column["name"] == "id") == "identifier"
    assert report["glob"] == "fastapi:temp:data:*"
    assert await app.redis.exists(BATCH) == 1


async def test_the_text_names_encoding_table_roles_series_and_the_entry(manage: Manage, app: App) -> None:
    await app.redis.set(CHART, json.dumps({"data": {"rows": ROWS}}))
    code, output, _ = manage("explain", CHART)
    lines = output.splitlines()
    assert code == 0
    assert lines[:3] == ["Chart: read, 1 series, 2 values", "Encoding: JSON", "Table: rows, 2 rows at `data.rows`"]
    assert "  temp: measure (numbers)" in lines
    assert "  2 x an identifier is no measurement" in lines
    assert any("2026-03-01T06:00:00.000Z = 20.5" in line for line in lines)
    setting = output.partition("INPUTS:\n")[2]
    assert json.loads(setting) == {CHART.decode(): {"rows": "data.rows", "time": "ts", "measures": ["temp"]}}
    assert parse(setting).override(CHART).rows == "data.rows"


async def test_the_entry_of_inputs_for_the_key_counts(app: App) -> None:
    await app.redis.set(CHART, json.dumps([{**row, "co2": 400} for row in ROWS]))
    changed = with_settings(app, inputs=json.dumps({"fabric:data:chart:*": {"ignore": ["temp"]}}))
    explanation = await explanations.explain(changed, "chart", CHART, *await payload.read(app, CHART))
    assert [note.name for note in explanation.series] == ["co2"]


async def test_files_and_stdin_need_a_kind(manage: Manage, app: App, tmp_path: Path) -> None:
    file = tmp_path / "payload.csv"
    file.write_text("ts,temp\n2026-03-01 06:00:00,20.5\n2026-03-01 06:01:00,21\n")
    code, output, _ = manage("explain", str(file), "--kind", "batch")
    assert (code, "Encoding: CSV" in output) == (0, True)
    code, output, _ = manage("explain", "-", "--kind", "chart", input=json.dumps(ROWS))
    assert (code, output.splitlines()[0]) == (0, "Chart: read, 1 series, 2 values")
    code, output, complaint = manage("explain", str(file))
    assert (code, output) == (2, "")
    assert "--kind" in complaint


async def test_a_file_is_read_as_the_value_of_a_key_with_its_entry_of_inputs(
    manage: Manage, manage_environment: dict[str, str], app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "payload.json"
    file.write_text(json.dumps([{**row, "co2": 400.5 + row["id"]} for row in ROWS]))
    code, output, _ = manage("explain", str(file), "--as", CHART)
    assert (code, output.splitlines()[0]) == (0, "Chart: read, 2 series, 4 values")
    entry = {"fabric:data:chart:co2-*": {"ignore": ["temp"]}}
    monkeypatch.setitem(manage_environment, "INPUTS", json.dumps(entry))
    code, output, _ = manage("explain", str(file), "--as", CHART)
    assert (code, output.splitlines()[0]) == (0, "Chart: read, 1 series, 2 values")
    code, _, complaint = manage("explain", str(tmp_path / "none.json"), "--as", CHART)
    assert (code, "there is no such file" in complaint) == (2, True)


async def test_what_is_refused_exits_with_1_and_the_reason(manage: Manage, app: App) -> None:
    await app.redis.set(CHART, json.dumps({"result": [{"ts": "2026-03-01T06:00:00Z", "temp": "warm"}]}))
    code, output, _ = manage("explain", CHART)
    assert code == 1
    assert "rows found at `result`, but no column of numbers" in " ".join(output.split())
    await app.redis.set(BATCH, '{"status":"processing"}')
    code, output, _ = manage("explain", BATCH, "--json")
    assert (code, json.loads(output)["outcome"]) == (1, "not ready")
    await app.redis.delete(CHART)
    await app.redis.rpush(CHART, "[]")
    code, output, _ = manage("explain", CHART, "--json")
    assert (code, json.loads(output)["reason"]) == (1, "a list, not a string")


@pytest.mark.parametrize(
    "key",
    [f"nextauth:session:{SECRET}", f"nextauth:other:{SECRET}", "fabric:user:u1:tokens", "functions:dead:payloads"],
)
async def test_keys_of_sessions_tokens_and_the_app_are_refused(manage: Manage, app: App, key: str) -> None:
    await app.redis.set(key, json.dumps(ROWS))
    code, output, complaint = manage("explain", key, "--kind", "batch")
    assert (code, output) == (2, "")
    assert "not explained" in complaint
    assert SECRET not in complaint


async def test_other_keys_need_a_kind_and_missing_ones_are_named(manage: Manage, app: App) -> None:
    await app.redis.set("plant:latest", json.dumps(ROWS))
    assert manage("explain", "plant:latest")[0] == 2
    assert manage("explain", "plant:latest", "--kind", "chart")[0] == 0
    assert manage("explain", CHART, "--kind", "batch")[0] == 2
    code, _, complaint = manage("explain", BATCH)
    assert code == 2
    assert f"there is no key {BATCH.decode()}" in complaint


async def test_nothing_that_looks_like_a_secret_is_shown(manage: Manage, app: App) -> None:
    rows = [
        {**row, SECRET: 1.5, "who": f"Bearer {SECRET}{number}", "mail": f"ann{number}@example.com"}
        for row in ROWS
        for number in (1, 2)
    ]
    await app.redis.set(CHART, json.dumps(rows))
    code, output, _ = manage("explain", CHART)
    assert code == 0
    assert SECRET not in output
    assert SECRET[:20] not in output
    assert "ann@" not in output


async def test_no_more_is_read_than_the_app_reads(app: App) -> None:
    small = with_settings(app, max_payload_bytes=1000)
    await app.redis.set(CHART, b"x" * 1001)
    with pytest.raises(Rejected, match="1001 bytes, more than MAX_PAYLOAD_BYTES"):
        await payload.read(small, CHART)
    await app.redis.rpush(BATCH, *[b"x" * 100] * 11)
    with pytest.raises(Rejected, match="1100 bytes"):
        await payload.read(small, BATCH)
    await app.redis.delete(BATCH)
    await app.redis.rpush(BATCH, *[b"1"] * (MAX_PARTS + 1))
    with pytest.raises(Rejected, match=f"{MAX_PARTS + 1} elements"):
        await payload.read(app, BATCH)
    await app.redis.delete(BATCH)
    await app.redis.zadd(BATCH, {"member": 1.0})
    with pytest.raises(Rejected, match="a zset is not read"):
        await payload.read(app, BATCH)


async def test_large_collections_are_read_completely_in_pages(app: App) -> None:
    for number in range(1203):
        await app.redis.rpush(b"a-list", b"%d" % number)
        await app.redis.hset(b"a-hash", b"%d" % number, b"v")
        await app.redis.xadd(b"a-stream", {b"n": b"%d" % number})
    assert await payload.read(app, b"a-list") == ("list", [b"%d" % number for number in range(1203)])
    _, fields = await payload.read(app, b"a-hash")
    assert fields[::2] == sorted(b"%d" % number for number in range(1203))
    _, entries = await payload.read(app, b"a-stream")
    assert entries[3::4] == [b"%d" % number for number in range(1203)]
    assert set(entries[1::4]) == {b"1"}


async def test_a_file_above_the_limit_is_not_explained(manage: Manage, app: App, tmp_path: Path) -> None:
    file = tmp_path / "large"
    with file.open("wb") as out:
        out.truncate(9 * 1024 * 1024)
    code, output, _ = manage("explain", str(file), "--kind", "chart", "--json")
    assert (code, json.loads(output)["reason"]) == (1, "more than MAX_PAYLOAD_BYTES (8388608)")
