"""Formats that are refused by name, told by their first bytes. Nothing of them is ever run or unpacked. Pure."""

import re

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xac\xed\x00\x05", "Java serialisation"),
    (b"\x93NUMPY", "NumPy .npy"),
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "a zip archive"),
    (b"PAR1", "Parquet"),
    (b"ARROW1", "an Arrow file"),
    (b"FEA1", "Feather"),
    (b"\xff\xff\xff\xff", "an Arrow stream"),
    (b"Obj\x01", "Avro"),
    (b"ORC", "ORC"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"RIFF", "a RIFF file"),
    (b"%PDF", "PDF"),
    (b"\x89HDF", "HDF5"),
    (b"SQLite format 3", "SQLite"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\xff\x06\x00\x00sNaPpY", "snappy"),
    (b"\x82SNAPPY\x00", "snappy"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (b"\xd9\xd9\xf7", "CBOR"),
    (b"\x04\x08", "Ruby Marshal"),
    (b"\x7fELF", "an executable"),
    (b"\xca\xfe\xba\xbe", "Java bytecode"),
)
_TEXTS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"\s*<(\?xml|!DOCTYPE|html|svg|[A-Za-z][\w:.-]*[\s>/])", re.IGNORECASE), "XML or HTML"),
    (re.compile(rb"(a:\d+:\{|O:\d+:\"|s:\d+:\")"), "PHP serialisation"),
    (re.compile(rb"\s*[\[({]+\s*'"), "Python's repr, not JSON"),
    (re.compile(rb"\s*[\[({]+\s*(datetime|Decimal|Timestamp|array|OrderedDict)\("), "Python's repr, not JSON"),
)
_MAX_CBOR_ITEMS, _MAX_CBOR_DEPTH = 100_000, 200
_OLD_PICKLE = re.compile(rb"(\(lp\d|\(dp\d|c[A-Za-z_][\w.]*\n[A-Za-z_]\w*\n|\(c[A-Za-z_][\w.]*\n|\(i[A-Za-z_][\w.]*\n)")


def other_format(raw: bytes) -> str | None:
    """The name of a format that is refused; None for anything else."""
    if not raw:
        return None
    for magic, name in _MAGIC:
        if raw.startswith(magic):
            return name
    if is_pickle(raw):
        return "pickle"
    if raw[0] in b"!." and is_pickle(raw[1:]):  # what cachelib and others put in front
        return "pickle"
    if _is_bson(raw):
        return "BSON"
    return None


def other_text(raw: bytes) -> str | None:
    """The name of a text format that is refused."""
    return next((name for pattern, name in _TEXTS if pattern.match(raw[:512])), None)


def is_pickle(raw: bytes) -> bool:
    if raw[:1] == b"\x80" and raw[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") and raw.endswith(b"."):
        return True
    return bool(_OLD_PICKLE.match(raw[:256])) and raw.rstrip().endswith(b".")


def is_cbor(raw: bytes) -> bool:
    """Whether bytes are well-formed CBOR (RFC 8949): an array or a map from the first byte to the last."""
    if not raw or raw[0] >> 5 not in (4, 5):
        return False
    place, open_items, steps = 0, [1], 0
    while open_items:
        if open_items[-1] == 0:
            open_items.pop()
            continue
        if place >= len(raw) or steps > _MAX_CBOR_ITEMS or len(open_items) > _MAX_CBOR_DEPTH:
            return False
        steps += 1
        major, short = raw[place] >> 5, raw[place] & 0x1F
        place += 1
        if raw[place - 1] == 0xFF and open_items[-1] < 0:
            open_items.pop()
            continue
        if 28 <= short <= 30 or (short == 31 and major in (0, 1, 6)):
            return False
        size = 1 << (short - 24) if 24 <= short < 28 else 0
        number = int.from_bytes(raw[place : place + size]) if size else short
        place += size
        open_items[-1] -= 1 if open_items[-1] > 0 else 0
        if major in (2, 3) and short != 31:
            place += number
        elif major in (2, 3, 4, 5) and short == 31:
            open_items.append(-1)
        elif major in (4, 5):
            open_items.append(number * (major - 3))
        elif major == 6:
            open_items.append(1)
    return place == len(raw)


def _is_bson(raw: bytes) -> bool:
    return (
        len(raw) >= 5
        and raw.endswith(b"\x00")
        and int.from_bytes(raw[:4], "little") == len(raw)
        and 1 <= raw[4] <= 0x13
    )
