"""The format of the audit log: lines that each carry the hash of the previous line, and the names of their blobs.

    line 1: record, prev = 000...,          hash = h1, mac
    line 2: record, prev = h1,              hash = h2, mac
    line 3: FILE_CLOSED, next = other blob, prev = h2, hash = h3, mac    (last line of this blob)

A line is one JSON object in canonical form (RFC 8785) and a newline: a record plus the fields `LINK_FIELDS`. `hash` is
the SHA-256 of the canonical form without `hash` and `mac`. `mac` signs the hash under AUDIT_KEY, so nobody who can
write to storage but has no key can forge a line. A chain runs through many blobs; the last line of every blob except
the newest has the type `FILE_CLOSED` and names the next blob. This module does no I/O.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared.clock import iso_utc
from shared.privacy.keyring import Keyring

GENESIS = "0" * 64
"""`prev` of the first line of a chain."""
START = "0-0"
"""The stream position before every entry."""
LINK_FIELDS = ("chain", "seq", "prev", "hash", "mac", "entry", "n")
MAX_LINE_BYTES = 128 * 1024
"""Longest line, newline included. A record of this app has about 500 bytes."""
SOURCE = "urn:keyspace-functions:audit"
OWN_TYPES = "functions.audit."
"""Prefix of the types of the exporter's own records."""
FILE_CLOSED = OWN_TYPES + "file_closed"
CHAIN_BROKEN = OWN_TYPES + "chain_broken"
RESET = OWN_TYPES + "reset"
GAP = OWN_TYPES + "gap"
UNREADABLE = OWN_TYPES + "unreadable"

ROOT = "sessions/"
_BLOB = re.compile(r"sessions/(\d{4})/(\d{2})/(\d{2})/(\d{8}T\d{9}Z-[0-9a-f]{8})(?:\.p(\d{1,4}))?\.jsonl")
_ENTRY = re.compile(r"\d{1,20}-\d{1,20}")
MAX_WHOLE = 2**53 - 1
"""Largest integer that every JSON parser reads exactly (RFC 8785, RFC 7493)."""


class BadLine(ValueError):
    """A line that `link` did not write. `kind` is `unreadable` or `altered`; the message never quotes the line."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True)
class Head:
    """The end of a chain: line `seq` with the hash `hash` ends at byte `position` of `blob` and has `line_bytes` bytes.

    `entry` and `n` are the id of the last stream entry and the number of the last record that the chain covers. `next`
    names the next blob when line `seq` closed its own. A chain without lines has seq 0.
    """

    chain: str
    blob: str
    seq: int = 0
    hash: str = GENESIS
    position: int = 0
    line_bytes: int = 0
    entry: str = START
    n: int = 0
    next: str = ""

    @property
    def day(self) -> str:
        return BlobName.parse(self.blob).day


@dataclass(frozen=True)
class BlobName:
    """The name of a blob of lines: `sessions/2026/11/22/{chain}.jsonl`; the second part of a day is `.p2.jsonl`."""

    day: str
    chain: str
    part: int = 1

    def __str__(self) -> str:
        suffix = f".p{self.part}" if self.part > 1 else ""
        return f"{day_prefix(self.day)}{self.chain}{suffix}.jsonl"

    @classmethod
    def parse(cls, name: str) -> "BlobName":
        """Raises ValueError for any other name."""
        match = _BLOB.fullmatch(name)
        if match is None:
            raise ValueError("not the name of an audit blob")
        return cls("-".join(match.groups()[:3]), match[4], int(match[5] or 1))


@dataclass(frozen=True)
class Line:
    """A line whose hash was checked. `record` holds all of its fields."""

    record: Mapping[str, Any]
    chain: str
    seq: int
    prev: str
    hash: str
    mac: str
    entry: str
    n: int
    next: str


def canonical(value: Any) -> bytes:
    """Serialise to canonical JSON (RFC 8785).

    Raises ValueError for values without an exact form (NaN, integers past 2^53, lone surrogates) and RecursionError for
    values nested too deep.
    """
    import rfc8785

    return rfc8785.dumps(value)


def link(record: Mapping[str, Any], head: Head, entry: str, n: int, keyring: Keyring) -> tuple[bytes, Head]:
    """The line that appends `record` after `head`, and the new head. `entry` and `n` are the stream position that the
    chain then covers; `keyring` signs.

    Raises ValueError when the record has no canonical form, holds a field of LINK_FIELDS, or makes a line longer than
    MAX_LINE_BYTES, and RecursionError when it is nested too deep.
    """
    if any(name in record for name in LINK_FIELDS):
        raise ValueError("has a field name that is reserved for the chain")
    fields = {**record, "chain": head.chain, "seq": head.seq + 1, "prev": head.hash, "entry": entry, "n": n}
    digest = hashlib.sha256(canonical(fields)).hexdigest()
    line = canonical({**fields, "hash": digest, "mac": f"{keyring.key_id}.{keyring.sign(digest.encode())}"}) + b"\n"
    if len(line) > MAX_LINE_BYTES:
        raise ValueError("is too long")
    after = replace(
        head,
        seq=head.seq + 1,
        hash=digest,
        position=head.position + len(line),
        line_bytes=len(line),
        entry=entry,
        n=n,
        next=_next_of(record),
    )
    return line, after


def parse(line: bytes) -> Line:
    """Read a line, newline included, and check its hash and its canonical form, but not its signature: see `authentic`.

    Raises BadLine.
    """
    if not line.endswith(b"\n"):
        raise BadLine("unreadable", "the line has no newline" if len(line) < MAX_LINE_BYTES else "the line is too long")
    try:
        fields = json.loads(line.decode(), parse_int=_number)
        if not isinstance(fields, dict):
            raise BadLine("unreadable", "the line is not a JSON object")
        parsed = Line(
            fields,
            _field(fields, "chain", str),
            _field(fields, "seq", int),
            _field(fields, "prev", str),
            _field(fields, "hash", str),
            _field(fields, "mac", str),
            _field(fields, "entry", str),
            _field(fields, "n", int),
            _next_of(fields),
        )
        whole = canonical(fields)
        body = canonical({name: value for name, value in fields.items() if name not in {"hash", "mac"}})
    except BadLine:
        raise
    except (ValueError, RecursionError):
        raise BadLine("unreadable", "the line is not JSON") from None
    if whole != line[:-1]:
        raise BadLine("altered", "the line is not in canonical form")
    if hashlib.sha256(body).hexdigest() != parsed.hash:
        raise BadLine("altered", "the line does not match its hash")
    if not _ENTRY.fullmatch(parsed.entry):
        raise BadLine("unreadable", "entry is not a stream id")
    return parsed


def authentic(line: bytes, keyrings: Sequence[Keyring]) -> Line:
    """`parse` a line and check that one of `keyrings` signed it. Raises BadLine."""
    parsed = parse(line)
    key_id, _, signature = parsed.mac.partition(".")
    if fault := _signature_fault(parsed.hash.encode(), key_id, signature, keyrings):
        raise BadLine("altered", f"the line {fault}")
    return parsed


def follow(line: bytes, head: Head, keyrings: Sequence[Keyring]) -> Line:
    """Check that `line` is `authentic` and the next line after `head`. Raises BadLine."""
    parsed = authentic(line, keyrings)
    if (parsed.chain, parsed.seq, parsed.prev) != (head.chain, head.seq + 1, head.hash):
        raise BadLine("altered", "the line does not follow the previous one")
    return parsed


def head_of(line: Line, blob: str, position: int, line_bytes: int) -> Head:
    """The head after `line`, which ends at byte `position` of `blob`."""
    return Head(line.chain, blob, line.seq, line.hash, position, line_bytes, line.entry, line.n, line.next)


def opened(head: Head) -> Head:
    """The head to append after: at the start of the next blob if the last line closed its own, else `head`."""
    return replace(head, blob=head.next, position=0, line_bytes=0, next="") if head.next else head


def own_record(type_: str, head: Head, time: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """A record of the exporter's own, to be the next line after `head`."""
    return {
        "specversion": "1.0",
        "id": f"{head.chain}.{head.seq + 1}",
        "source": SOURCE,
        "type": type_,
        "time": time,
        "datacontenttype": "application/json",
        "data": data,
    }


def broken_record(head: Head, reason: str) -> dict[str, Any]:
    """The data of a CHAIN_BROKEN record: `head` is the last line of the broken chain that is trusted, `reason` why.

    `broken_head` reads it back.
    """
    return {
        "chain": head.chain,
        "blob": head.blob,
        "reason": reason,
        "seq": head.seq,
        "hash": head.hash,
        "bytes": head.position,
    }


def broken_head(record: Mapping[str, Any]) -> Head | None:
    """The last trusted line of the chain that was replaced, from the first record of its replacement; None from any
    other record."""
    data = record.get("data")
    if record.get("type") != CHAIN_BROKEN or not isinstance(data, Mapping):
        return None
    try:
        name, seq, position = BlobName.parse(str(data.get("blob"))), int(data["seq"]), int(data["bytes"])
    except (KeyError, ValueError, TypeError):
        return None
    return Head(name.chain, str(name), seq, str(data.get("hash")), position)


def sign_heads(day: str, heads: Sequence[Head], keyring: Keyring) -> bytes:
    """heads.json of `day` (YYYY-MM-DD): the last head of each chain on that day, signed with HMAC-SHA-256 over the
    canonical form without `hmac`."""
    body = {
        "day": day,
        "heads": [
            {"chain": head.chain, "seq": head.seq, "hash": head.hash, "blob": head.blob, "bytes": head.position}
            for head in sorted(heads, key=lambda head: head.chain)
        ],
        "keyid": keyring.key_id,
    }
    return canonical({**body, "hmac": keyring.sign(canonical(body))}) + b"\n"


def check_heads(raw: bytes, day: str, keyrings: Sequence[Keyring]) -> list[Head]:
    """The heads in heads.json, if one of `keyrings` signed it for `day`; else raises ValueError with the reason."""
    try:
        document = json.loads(raw.decode(), parse_int=_number)
        signature = str(document.pop("hmac"))
        body = canonical(document)
        signed_day, key_id = document["day"], document["keyid"]
        heads = [
            Head(str(row["chain"]), str(row["blob"]), int(row["seq"]), str(row["hash"]), int(row["bytes"]))
            for row in document["heads"]
        ]
        whole = canonical({**document, "hmac": signature}) + b"\n"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError("it cannot be read") from None
    if whole != raw:
        raise ValueError("it is not in canonical form")
    if fault := _signature_fault(body, key_id, signature, keyrings):
        raise ValueError(f"it {fault}")
    if signed_day != day:
        raise ValueError("it is signed for another day")
    return heads


def day_prefix(day: str) -> str:
    """Prefix of the names of all blobs of a day (YYYY-MM-DD)."""
    return f"{ROOT}{day.replace('-', '/')}/"


def heads_name(day: str) -> str:
    return day_prefix(day) + "heads.json"


def day_of(time_ms: int) -> str:
    return iso(time_ms)[:10]


def iso(time_ms: int) -> str:
    """RFC 3339 in UTC with milliseconds; a time outside of 1970 to 9999 becomes the nearest one inside."""
    return iso_utc(min(max(time_ms, 0), 253_402_300_799_999) / 1000)


def _signature_fault(data: bytes, key_id: object, signature: str, keyrings: Sequence[Keyring]) -> str:
    """Why `signature` is not that of `data` under the key `key_id`; '' when it is."""
    signers = [keyring for keyring in keyrings if keyring.key_id == key_id]
    if not signers:
        return "is signed with an unknown key"
    valid = signature.isascii() and any(hmac.compare_digest(keyring.sign(data), signature) for keyring in signers)
    return "" if valid else "has an invalid signature"


def _next_of(record: Mapping[str, Any]) -> str:
    data = record.get("data")
    if record.get("type") != FILE_CLOSED or not isinstance(data, Mapping):
        return ""
    try:
        return str(BlobName.parse(str(data.get("next"))))
    except ValueError:
        return ""


def _field[T](fields: Mapping[str, Any], name: str, type_: type[T]) -> T:
    value = fields.get(name)
    if not isinstance(value, type_) or isinstance(value, bool):
        raise BadLine("unreadable", f"{name} is missing or not of type {type_.__name__}")
    return value


def _number(text: str) -> int | float:
    """An integer of a line. One past 2^53 was written from a float and is read as a float."""
    number = float(text)
    return int(text) if abs(number) <= MAX_WHOLE else number
