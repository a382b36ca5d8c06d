"""What must not be read: formats refused by name, broken documents, errors, placeholders: broken."""

import gzip

from refusals.readings import ROWS, TEXT, theme

for kinds, name, payload in (
    ("bc", "truncated JSON", TEXT[:-40]),
    ("b", "truncated gzip", gzip.compress(TEXT.encode(), mtime=0)[:-60]),
    ("b", "gzip with a wrong checksum", gzip.compress(TEXT.encode(), mtime=0)[:-8] + b"\0" * 8),
    ("b", "JSON with a trailing comma", '[{"ts": "2026-03-01T06:00:00Z", "temp": 20.5},]'),
    ("b", "Python repr of rows", repr(ROWS[:3])),
    ("b", "bytes that are no UTF-8 in a JSON name", b'[{"\xff\xfe": 1.5, "temp": 20}]'),
    ("b", "2,000 levels deep", "[" * 2000 + "1" + "]" * 2000),
    ("b", "[object Object]", "[object Object]"),
):
    theme.add(kinds, name, "damaged on the way" if "trunc" in name else "faulty writer", payload, None, refuse="")
