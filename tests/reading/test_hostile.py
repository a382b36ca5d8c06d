"""Hostile input: whatever is written, the reader gives finite readings or a reason, in bounded time and memory."""

import base64
import gzip
import json
import math
import pickle
import struct
import zlib
from collections.abc import Callable
from time import thread_time
from typing import Any

import msgspec
import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import NotReady, Rejected
from shared.reading import explain
from shared.reading.limits import Limits
from shared.reading.overrides import NONE
from shared.reading.read import read_batch, read_chart
from shared.reading.recognisers import exposition, grafana, kusto, line_protocol, opc_ua, senml, typed_arrays
from tests.reading.gallery import ENTRIES

PACKS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "zstd": zstd.compress,
    "base64": base64.b64encode,
    "base64 of gzip": lambda raw: base64.b64encode(gzip.compress(raw)),
    "JSON": lambda raw: json.dumps(raw.decode("latin-1")).encode(),
}
HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \r\n\t",
    "only a BOM": b"\xef\xbb\xbf",
    "null": b"null",
    "a number": b"42",
    "a text": b'"text"',
    "truncated": b'{"readings":[{"metric":"m","ts":1,"va',
    "cut in a text": b'{"secret": "hunter2',
    "deep lists": b"[" * 2000 + b"]" * 2000,
    "deep objects": b'{"a":' * 2000 + b"1" + b"}" * 2000,
    "200,000 levels": b"[" * 200_000,
    "deep beside NaN": b"[NaN," + b"[" * 2000 + b"]" * 2000 + b"]",
    "lone surrogate": b'[{"metric":"m\\ud800","ts":"\\udfff","value":1}]',
    "duplicate fields": b'[{"metric":"m","ts":1,"value":1,"value":2}]',
    "integers beyond 2^53": b'[{"metric":"m","ts":1,"value":9007199254740993}]',
    "400 digits": b'[{"metric":"m","ts":1,"value":' + b"9" * 400 + b"}]",
    "5,000 digits": b"[" + b"1" * 5000 + b"]",
    "NaN and infinity": b'[{"metric":"m","ts":1,"value":NaN},{"metric":"m","ts":1,"value":-Infinity}]',
    "raw bytes": b"\xff\xfe\x00\x01",
    "control characters": bytes(range(32)) * 10,
    "1 MiB of one text": b'"' + b"x" * 2**20 + b'"',
    "1 MiB of brackets in a text": b'["' + b"[" * 2**20 + b'"]',
    "huge name": b'[{"ts":1,"' + b"n" * 100_000 + b'":1}]',
    "many columns": json.dumps([{f"c{i}": i for i in range(5000)}]).encode(),
    "rows that all differ": json.dumps([{f"c{i}": i, "ts": i} for i in range(5000)]).encode(),
    "many lists": json.dumps([[[i]] for i in range(2_000)]).encode(),
    "many objects": json.dumps({f"k{i}": {"a": {"b": i}} for i in range(2_000)}).encode(),
    "long text of digits": b'[{"ts":1,"v":"' + b"1" * 1_000_000 + b'"}]',
    "long date": b'[{"ts":"2026-01-01T' + b"0" * 100_000 + b'Z","v":1}]',
    "regex bait": json.dumps([{"ts": "1." * 40, "v": "1,000," * 10}] * 50).encode(),
    "long CSV field": b'a,b\n"' + b"x" * 300_000 + b'",1\n',
    "open quote in CSV": b'a,b\n"x,1\n2,3\n' * 3,
    "pickle": pickle.dumps([{"ts": 1, "v": 2}]),
}


def check_reason(reason: str) -> None:
    assert 0 < len(reason) < 300


def check(raw: bytes, *, kinds: int = 4) -> None:
    """Reads raw as everything; every outcome is finite readings or a reason, and can be explained."""
    keys = (
        ("string", [raw]),
        ("list", [raw, raw]),
        ("hash", [b"a", raw, b"ts", b"5"]),
        ("stream", [b"5-0", b"1", b"data", raw]),
    )
    for kind, parts in keys[:kinds]:
        try:
            reading = read_batch(kind, parts)
        except (Rejected, NotReady) as fault:
            check_reason(str(fault))
        else:
            assert reading.count > 0
            for name, series in reading.series.items():
                assert 0 < len(name) <= 128
                name.encode()
                assert len(series.values) == len(series.raw_times) == len(series.sensors)
                assert all(map(math.isfinite, series.values))
            assert list(reading.series) == sorted(reading.series)
            json.dumps([list(series.raw_times) for series in reading.series.values()], allow_nan=False).encode()
        explain.to_text(explain.explain_batch(kind, parts)).encode()
    try:
        line = read_chart(raw)
    except Rejected as fault:
        check_reason(str(fault))
    else:
        for series in line.series.values():
            assert len(series.values) == len(series.x) > 0
            assert all(map(math.isfinite, series.values))
            if line.x == "time":
                assert all(0 <= ms <= 253_402_300_799_999 for ms in series.x)
                assert list(series.x) == sorted(set(series.x))
    explanation = explain.explain_chart(raw)
    explain.to_text(explanation).encode()
    msgspec.json.decode(explain.to_json(explanation))


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_in_every_encoding(name: str, pack: str) -> None:
    started_s = thread_time()
    check(PACKS[pack](HOSTILE[name]), kinds=4 if pack == "plain" else 1)
    assert thread_time() - started_s < 20


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_values_in_messagepack(name: str) -> None:
    check(msgspec.msgpack.encode([{"ts": 1, "v": HOSTILE[name]}, {"ts": 2, "v": 1.5}]), kinds=1)


LIMITS = Limits(expanded_bytes=2**20)
ZEROS = b"0" * (8 * 2**20)


@pytest.mark.parametrize(
    "bomb",
    [
        gzip.compress(ZEROS),
        zlib.compress(ZEROS),
        zstd.compress(ZEROS),
        gzip.compress(gzip.compress(ZEROS)),
        base64.b64encode(gzip.compress(ZEROS)),
        base64.b64encode(zstd.compress(ZEROS)),
        json.dumps({"value": base64.b64encode(gzip.compress(ZEROS)).decode()}).encode(),
        json.dumps({"a": {"b": [{"body": base64.b64encode(zstd.compress(ZEROS)).decode()}]}}).encode(),
        gzip.compress(b"[" + b"1," * 2**20 + b"1]") * 8,
    ],
    ids=[
        "gzip",
        "zlib",
        "zstd",
        "gzip twice",
        "base64 of gzip",
        "base64 of zstd",
        "in a member",
        "deep in a member",
        "many members",
    ],
)
def test_a_bomb_is_refused_as_soon_as_it_passes_the_limit(bomb: bytes) -> None:
    with pytest.raises(Rejected, match="more than 1 MiB after expansion"):
        read_batch("string", [bomb], NONE, LIMITS)
    with pytest.raises(Rejected, match="more than 1 MiB after expansion"):
        read_chart(bomb, NONE, LIMITS)
    with pytest.raises(Rejected, match="more than 1 MiB after expansion"):
        read_batch("hash", [b"data", bomb], NONE, LIMITS) if bomb[:1] not in b"SK{" else read_batch(
            "string", [bomb], NONE, LIMITS
        )


def test_a_window_that_zstd_only_announces_takes_no_memory() -> None:
    frame = b"\x28\xb5\x2f\xfd\x00" + bytes([0xF8]) + b"\x01\x00\x00"  # a window of 2^41 bytes
    with pytest.raises(Rejected, match="zstd is damaged"):
        read_batch("string", [frame])


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, zstd.compress], ids=["gzip", "zlib", "zstd"])
def test_damaged_and_cut_compression_is_told(pack: Callable[[bytes], bytes]) -> None:
    raw = pack(json.dumps([{"ts": f"2026-03-01T06:00:{i:02d}Z", "v": i * 1.25} for i in range(50)]).encode())
    with pytest.raises(Rejected, match=r"cut short|damaged"):
        read_batch("string", [raw[:-20]])
    with pytest.raises(Rejected, match=r"damaged|cut short"):
        read_batch("string", [raw[:12] + b"\xff" * 20 + raw[32:]])


def test_layers_without_end_are_refused() -> None:
    raw = b'[{"ts":1,"v":1}]'
    for _ in range(20):
        raw = gzip.compress(raw)
    with pytest.raises(Rejected, match="encoded too many times over"):
        read_batch("string", [raw])
    text = '[{"ts":1,"v":1}]'
    for _ in range(12):
        text = json.dumps(text)
    with pytest.raises(Rejected):
        read_batch("string", [text.encode()])


def test_a_pickle_is_never_unpacked(tmp_path: Any) -> None:
    trap = tmp_path / "trap"

    class Trap:
        def __reduce__(self) -> Any:
            return trap.touch, ()

    for protocol in range(6):
        raw = pickle.dumps(Trap(), protocol=protocol)
        for pack in PACKS.values():
            with pytest.raises((Rejected, NotReady)):
                read_batch("string", [pack(raw)])
    assert not trap.exists()


REFUSED = {
    "pickle": pickle.dumps([1, 2]),
    "Java serialisation": b"\xac\xed\x00\x05sr\x00\x13java.util.ArrayList",
    "NumPy .npy": b"\x93NUMPY\x01\x00v\x00{'descr': '<f8'}",
    "Parquet": b"PAR1\x15\x04PAR1",
    "an Arrow file": b"ARROW1\x00\x00\xff\xff",
    "an Arrow stream": b"\xff\xff\xff\xff\x78\x00\x00\x00",
    "Feather": b"FEA1\x00\x00\x00\x00",
    "CBOR": bytes.fromhex("82a262747318646474656d7002a2627473036474656d7004"),
    "BSON": struct.pack("<i", 14) + b"\x10ts\x00\x01\x00\x00\x00\x00\x00",
    "a PNG image": b"\x89PNG\r\n\x1a\n",
    "a JPEG image": b"\xff\xd8\xff\xe0\x00\x10JFIF",
    "PDF": b"%PDF-1.7\n",
    "a zip archive": b"PK\x03\x04\x14\x00",
    "Avro": b"Obj\x01\x04\x14avro.codec",
    "bzip2": b"BZh91AY&SY",
    "xz": b"\xfd7zXZ\x00\x00\x04",
    "XML or HTML": b"<?xml version='1.0'?><rows/>",
    "PHP serialisation": b'a:1:{s:2:"ts";i:1;}',
    "Python's repr": b"[{'timestamp': '2026-03-01', 'temp': 20.5}]",
    "Ruby Marshal": b"\x04\x08[\x06i\x06",
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("pack", ["plain", "gzip", "base64 of gzip"])
def test_other_formats_are_refused_by_name(name: str, pack: str) -> None:
    for read in (read_chart, lambda raw: read_batch("string", [raw])):
        with pytest.raises(Rejected) as caught:
            read(PACKS[pack](REFUSED[name]))
        assert name in str(caught.value)


def test_a_reason_holds_no_value_and_masks_what_looks_like_a_token() -> None:
    secret = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0LXRva2VuLXZhbHVl"
    for value in (
        {secret: [{"ts": "2026-03-01", "a": "x"}]},
        [{"ts": "2026-03-01", secret: "hot", "b": secret}],
        {"a": secret},
    ):
        raw = json.dumps(value).encode()
        text = explain.to_text(explain.explain_batch("string", [raw])) + explain.to_text(explain.explain_chart(raw))
        assert secret not in text
        assert secret[:20] not in text


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(
        [
            "2026-03-01T06:00:00Z",
            "1.5",
            "1,5",
            "x",
            "\ud800",
            "[1,2]",
            '{"a":1}',
            1772344800000,
            "03/04/2026",
            "6:00",
            "",
        ]
    )
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(
            st.sampled_from(
                [
                    "ts",
                    "time",
                    "x",
                    "y",
                    "value",
                    "data",
                    "labels",
                    "datasets",
                    "name",
                    "id",
                    "unit",
                    "quality",
                    "columns",
                    "rows",
                    "values",
                    "series",
                    "metric",
                    "t",
                    "v",
                    "n",
                    "bn",
                    "bt",
                    "Messages",
                    "Payload",
                    "0",
                    "1",
                ]
            )
            | st.text(max_size=4),
            inner,
            max_size=5,
        )
        | st.lists(st.fixed_dictionaries({"t": inner, "a": inner}, optional={"b": inner}), max_size=4)
        | st.lists(st.lists(inner, min_size=2, max_size=2), max_size=4)
    ),
    max_leaves=40,
)


@settings(deadline=None, max_examples=150)
@given(
    JSON_VALUES.map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=200)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_whatever_is_written_gives_finite_readings_or_a_reason(raw: bytes) -> None:
    check(raw)


@settings(deadline=None, max_examples=100)
@given(entry=st.sampled_from(ENTRIES), place=st.floats(0, 1), cut=st.integers(0, 3), junk=st.binary(max_size=4))
def test_a_damaged_payload_of_the_gallery_does_no_harm(entry: Any, place: float, cut: int, junk: bytes) -> None:
    raw = entry[2]
    at = int(place * len(raw))
    check(raw[:at] + junk + raw[at + cut :])


@settings(deadline=None, max_examples=100)
@given(JSON_VALUES)
def test_recognisers_take_anything(value: Any) -> None:
    if isinstance(value, list):
        for read in (senml.read, opc_ua.read, kusto.read_frames):
            assert read(value) is None or isinstance(read(value), list | dict)
    if isinstance(value, dict):
        for read_object in (grafana.read, kusto.read_tables, typed_arrays.numbers_of, typed_arrays.buffer_of):
            read_object(value)


@settings(deadline=None, max_examples=100)
@given(
    st.text(max_size=100)
    | st.from_regex(r"[a-z]+(,[a-z]+=[a-z\\ ]+)* [a-z]+=[0-9.ie\"]+( [0-9]{1,19})?(\n.*)?", fullmatch=True)
)
def test_recognisers_of_text_take_anything(text: str) -> None:
    for read in (line_protocol.read, exposition.read):
        rows = read(text)
        assert rows is None or all(isinstance(row, dict) for row in rows)
