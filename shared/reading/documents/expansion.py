"""Compressed and base64 bytes, expanded within a budget. Pure.

Every decompressor writes into a bounded buffer, so that a bomb is refused when it passes the budget, not after.
"""

import base64
import binascii
import re
import zlib

from shared.errors import Rejected
from shared.reading.tree import Budget

MIN_BASE64_CHARS = 16
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]+={0,2}")
_BLANKS = re.compile(rb"\s+")
_DATA_URI = re.compile(rb"data:[\w.+/;=-]{0,100}?;base64,")


def compression(raw: bytes) -> str | None:
    """gzip, zstd or zlib by the first bytes."""
    if raw.startswith(b"\x1f\x8b"):
        return "gzip"
    if raw.startswith(b"\x28\xb5\x2f\xfd"):
        return "zstd"
    if len(raw) >= 8 and raw[0] == 0x78 and (raw[0] << 8 | raw[1]) % 31 == 0 and not raw[1] & 0x20:
        return "zlib"
    return None


def decompress(raw: bytes, method: str, budget: Budget) -> bytes:
    """Raises Rejected when the data is damaged or larger than the budget."""
    return _zstd(raw, budget) if method == "zstd" else _deflate(raw, method, budget)


def _deflate(raw: bytes, method: str, budget: Budget) -> bytes:
    parts: list[bytes] = []
    data = raw
    while data:
        stream = zlib.decompressobj(31 if method == "gzip" else 15)
        try:
            part = stream.decompress(data, budget.left_bytes + 1)
        except zlib.error:
            raise Rejected(f"{method} is damaged") from None
        budget.spend(len(part))
        parts.append(part)
        if not stream.eof:
            raise Rejected(f"{method} is cut short")
        data = stream.unused_data.lstrip(b"\x00") if method == "gzip" else b""
        if data and not data.startswith(b"\x1f\x8b"):
            raise Rejected(f"{method} is damaged")
        if len(parts) > 1000:
            raise Rejected(f"{method} has too many members")
    return b"".join(parts)


def _zstd(raw: bytes, budget: Budget) -> bytes:
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]  # Python 3.14
    except ImportError:
        from backports import zstd  # type: ignore[attr-defined,unused-ignore]
    parts: list[bytes] = []
    data = raw
    while data:
        # 128 MiB of window at most, which is only taken as data comes.
        stream = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: 27})
        try:
            part = stream.decompress(data, budget.left_bytes + 1)
        except (zstd.ZstdError, ValueError, MemoryError):
            raise Rejected("zstd is damaged") from None
        budget.spend(len(part))
        parts.append(part)
        if not stream.eof:
            raise Rejected("zstd is cut short")
        data = stream.unused_data
        if len(parts) > 1000:
            raise Rejected("zstd has too many frames")
    return b"".join(parts)


def from_base64(raw: bytes, budget: Budget) -> bytes | None:
    """The bytes behind base64, standard or URL-safe, with or without padding and line breaks; None if it is none."""
    match = _DATA_URI.match(raw)
    if match is not None:
        raw = raw[match.end() :]
    elif raw.startswith(b":base64:"):  # how Keyv writes a Buffer
        raw = raw[8:]
    if len(raw) < MIN_BASE64_CHARS:
        return None
    if not raw[:1].isalnum() and raw[:1] not in b"+/_-":
        return None
    text = raw if _BASE64.fullmatch(raw) else _BLANKS.sub(b"", raw)
    if text is not raw and (not _BASE64.fullmatch(text) or _has_words(raw)):
        return None
    text = text.rstrip(b"=")
    if len(text) % 4 == 1:
        return None
    budget.spend(len(text) * 3 // 4)
    try:
        return base64.b64decode(text.translate(_URL_SAFE) + b"=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def _has_words(raw: bytes) -> bool:
    """Whether blanks stand where base64 has none: it is wrapped after a fixed number of characters."""
    lines = raw.split()
    return len(lines) > 1 and len({len(line) for line in lines[:-1]}) > 1
