"""Step 1 of reading: bytes -> document. The encoding is recognised, the expansion bounded. Pure."""

import re
from collections.abc import Mapping, Sequence

from shared.errors import Rejected
from shared.reading.documents import signatures
from shared.reading.documents.expansion import compression, decompress, from_base64
from shared.reading.documents.json_text import decode_json
from shared.reading.documents.msgpack import decode_msgpack, starts_like_msgpack
from shared.reading.tree import ENTRY_ID, Budget, Decoded

_BOM = b"\xef\xbb\xbf"
_CALLBACK = re.compile(rb"(?:/\*.{0,40}?\*/\s*)?[A-Za-z_$][\w$.]{0,80}\s*\(\s*(?=[\[{])")
_GUARD = re.compile(rb"\s*(?:\)\]\}',?|while\(1\);|for\(;;\);)\s*")
_JSON_STARTS = b'{["-0123456789tfnNI'


class OtherFormat(Rejected):
    """A format that is refused by name."""


def decode(raw: bytes, budget: Budget) -> Decoded:
    """The document in a payload. Raises Rejected with the reason, which never holds input."""
    if budget.layers <= 0:
        raise Rejected("encoded too many times over")
    budget.layers -= 1
    try:
        return _decode(raw, budget)
    finally:
        budget.layers += 1


def _decode(raw: bytes, budget: Budget) -> Decoded:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) and not raw.startswith(b"\xff\xff"):
        return _from_utf16(raw, budget)
    raw = raw.removeprefix(_BOM)
    if not raw.strip():
        raise Rejected("empty")
    method = compression(raw)
    if method is not None:
        try:
            inner = decode(decompress(raw, method, budget), budget)
        except Rejected:
            if method != "zlib" or not raw[:64].isascii():
                raise
        else:
            return Decoded(inner.value, (method, *inner.chain))
    name = signatures.other_format(raw)
    if name is not None:
        raise OtherFormat(f"{name} is not read")
    if raw[0] >= 0x80 and starts_like_msgpack(raw):
        return _from_msgpack(raw, budget)
    return _from_text(raw, budget)


def _from_utf16(raw: bytes, budget: Budget) -> Decoded:
    try:
        text = raw.decode("utf-16")
    except UnicodeDecodeError:
        raise Rejected("neither JSON nor UTF-8 text") from None
    if not text.isprintable() and re.search(r"[^\S\r\n\t ]|[\x00-\x08]", text[:1000]):
        raise Rejected("neither JSON nor UTF-8 text")
    inner = decode(text.encode("utf-8", "surrogatepass"), budget)
    return Decoded(inner.value, ("UTF-16", *inner.chain))


def _from_msgpack(raw: bytes, budget: Budget) -> Decoded:
    try:
        value = decode_msgpack(raw)
    except Rejected:
        if signatures.is_cbor(raw):
            raise OtherFormat("CBOR is not read") from None
        if raw[0] >= 0xC2:  # may be text in UTF-8
            return _from_text(raw, budget)
        raise
    if isinstance(value, str | bytes):
        inner = decode(value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass"), budget)
        return Decoded(inner.value, ("MessagePack", *inner.chain))
    return Decoded(value, ("MessagePack",))


def _from_text(raw: bytes, budget: Budget) -> Decoded:
    stripped = raw.strip()
    fault = Rejected("not JSON")
    if stripped[0] in _JSON_STARTS:
        try:
            return _from_json(stripped, budget)
        except Rejected as caught:
            if str(caught).startswith(("more than", "encoded", "a number has")) or isinstance(caught, OtherFormat):
                raise
            fault = caught
    plain = _unframed(stripped)
    if plain is not None:
        return decode(plain, budget)
    other = signatures.other_text(stripped)
    if other is not None:
        raise OtherFormat(other if "not JSON" in other else f"{other} is not read")
    for reader in (_from_base64, _from_lines):
        decoded = reader(stripped, budget)
        if decoded is not None:
            return decoded
    decoded = _from_delimited(raw)
    if decoded is None:
        raise fault
    return decoded


def _from_json(raw: bytes, budget: Budget) -> Decoded:
    value = decode_json(raw)
    if isinstance(value, str):
        if not value.strip():
            raise Rejected("empty")
        try:
            inner = decode(value.encode("utf-8", "surrogatepass"), budget)
        except Rejected as caught:
            if str(caught) == "not JSON":
                raise Rejected("neither an object nor a list") from None
            raise
        return Decoded(inner.value, ("JSON", *inner.chain))
    return Decoded(value, ("JSON",))


def _unframed(raw: bytes) -> bytes | None:
    """What is inside a JSONP callback, a guard against script inclusion, server-sent events or record separators."""
    match = _GUARD.match(raw)
    if match is not None:
        return raw[match.end() :]
    match = _CALLBACK.match(raw)
    if match is not None and raw.rstrip(b"; \r\n").endswith(b")"):
        return raw[match.end() : raw.rstrip(b"; \r\n").rfind(b")")]
    if raw.startswith(b"\x1e"):
        return raw.replace(b"\x1e", b"\n")
    if raw.startswith(b"data:") and b"\n" in raw and not raw.startswith(b"data:text/"):
        lines = [line.strip() for line in raw.splitlines()]
        return b"\n".join(line[5:].strip() for line in lines if line.startswith(b"data:"))
    return None


def _from_base64(raw: bytes, budget: Budget) -> Decoded | None:
    before = budget.left_bytes
    inner_raw = from_base64(raw, budget)
    if inner_raw is None or not inner_raw:
        budget.left_bytes = before
        return None
    try:
        inner = decode(inner_raw, budget)
    except OtherFormat:
        raise
    except Rejected as caught:
        if compression(inner_raw) is not None or str(caught).startswith(("more than", "encoded")):
            raise
        return None
    return (
        Decoded(inner.value, ("base64", *inner.chain)) if isinstance(inner.value, dict | list) or inner.chain else None
    )


def _from_lines(raw: bytes, budget: Budget) -> Decoded | None:
    """JSON lines: an object or a list on each. A last line that is cut short is an error, not dropped."""
    if raw[:1] not in (b"{", b"["):
        return _from_recognised_text(raw, budget)
    lines = [line for line in raw.splitlines() if line.strip()]
    if len(lines) < 2:
        return None
    items: list[object] = []
    bad = 0
    for line in lines:
        try:
            items.append(decode_json(line.strip().rstrip(b",")))
        except Rejected as caught:
            if str(caught).startswith("more than"):
                raise
            bad += 1
            if bad * 10 > len(lines):
                return None
            items.append(BadItem(str(caught)))
    return Decoded(items, ("JSON lines",))


def _from_recognised_text(raw: bytes, budget: Budget) -> Decoded | None:
    from shared.reading.recognisers import exposition, line_protocol

    del budget
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None
    for recogniser, name in (
        (line_protocol.read, "InfluxDB line protocol"),
        (exposition.read, "Prometheus exposition"),
    ):
        value = recogniser(text)
        if value is not None:
            return Decoded(value, (name,))
    return None


def _from_delimited(raw: bytes) -> Decoded | None:
    from shared.reading.documents import delimited  # csv costs import time

    try:
        text = raw.decode()
    except UnicodeDecodeError:
        if signatures.is_cbor(raw):
            raise OtherFormat("CBOR is not read") from None
        if b"\x00" in raw or any(byte < 9 for byte in raw[:4096]):
            raise Rejected("neither JSON nor UTF-8 text") from None
        text = raw.decode("cp1252", "replace")
        if "\ufffd" in text or not re.search(r"[,;\t]", text[:4096]):
            raise Rejected("neither JSON nor UTF-8 text") from None
    if "\x00" in text[:4096]:
        raise Rejected("neither JSON nor UTF-8 text")
    grid = delimited.read(text)
    return None if grid is None else Decoded(grid[0], (grid[1],))


class BadItem:
    """An element of a list that could not be decoded, with its reason."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


def decode_member(text: str, budget: Budget) -> Decoded | None:
    """The document inside a member that is text: JSON, base64 of a document, CSV; None when it is only text.

    Raises Rejected only for an expansion past the budget.
    """
    if len(text) < 2:
        return None
    first = text[0]
    if first.isspace() or first == "\ufeff":
        text = text.lstrip("\ufeff \t\r\n")
        first = text[:1]
    if first not in '{["' and len(text) < MIN_MEMBER_CHARS:
        return None
    if (
        first not in '{["'
        and "\n" not in text
        and not (_MEMBER_BASE64.fullmatch(text) or text.startswith(("data:", ":base64:")))
    ):
        return None
    if first == '"' and not text.endswith('"'):
        return None
    before = budget.left_bytes
    try:
        decoded = decode(text.encode("utf-8", "surrogatepass"), budget)
    except Rejected as caught:
        if str(caught).startswith("more than"):
            raise
        budget.left_bytes = before
        return None
    if isinstance(decoded.value, str | int | float | bool | None):
        return None
    budget.steps.append(decoded.chain)
    return decoded


MIN_MEMBER_CHARS = 16
_MEMBER_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")


def decode_list(elements: Sequence[bytes], budget: Budget) -> Decoded:
    """The elements of a Redis list, each a document of its own. What cannot be decoded stays as a BadItem."""
    items: list[object] = []
    chain: tuple[str, ...] = ()
    for element in elements:
        try:
            decoded = decode(element, budget)
        except OtherFormat as fault:
            items.append(BadItem(str(fault)))
        except Rejected as fault:
            if str(fault).startswith("more than") and "expansion" in str(fault):
                raise
            items.append(BadItem(str(fault)))
        else:
            items.append(decoded.value)
            chain = chain or decoded.chain
    return Decoded(items, ("list", *chain))


def decode_hash(fields: Mapping[bytes, bytes], budget: Budget) -> Decoded:
    """A Redis hash: an object whose members are documents or plain text."""
    return Decoded(_fields(fields, budget), ("hash",))


def decode_stream(entries: Sequence[tuple[bytes, Mapping[bytes, bytes]]], budget: Budget) -> Decoded:
    """A Redis stream: a row for each entry, with the time in its id as a column of its own."""
    rows: list[object] = []
    for entry_id, fields in entries:
        row = _fields(fields, budget)
        ms = entry_id.split(b"-")[0]
        if ms.isdigit() and len(ms) <= 18:
            row[ENTRY_ID] = int(ms)
        rows.append(row)
    return Decoded(rows, ("stream",))


def _fields(fields: Mapping[bytes, bytes], budget: Budget) -> dict[str, object]:
    return {name.decode(errors="backslashreplace"): _field(value, budget) for name, value in fields.items()}


def _field(raw: bytes, budget: Budget) -> object:
    """A field's value: a document where it is one, else its text."""
    if raw[:1] in (b"{", b"[") or (raw[:1] and (raw[0] >= 0x80 or raw[0] in (0x1F, 0x28, 0x78))):
        try:
            decoded = decode(raw, budget)
        except Rejected as fault:
            if str(fault).startswith("more than"):
                raise
            if raw[:1] in (b"{", b"["):
                return BadItem(str(fault))
        else:
            budget.steps.append(decoded.chain)
            return decoded.value
    return raw.decode(errors="backslashreplace")
