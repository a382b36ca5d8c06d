"""The format of the audit log: lines that each carry the hash of the line before, and the names of their blobs.

A line is one JSON object in canonical form (RFC 8785) and a newline: a record, and the fields `LINK_FIELDS`. Its `hash`
is the SHA-256 of the canonical form without `hash` and `mac`, and `mac` signs the hash under AUDIT_KEY: without it, who
can write to storage could add lines that nobody can tell from those of the exporter. A chain runs through many blobs;
the last line of each but the newest is of the type `FILE_CLOSED` and names the blob in which the chain goes on. Nothing
here does I/O.
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
"""Longest line, its newline included. Records of this app have about 500 bytes."""
SOURCE = "urn:keyspace-functions:audit"
OWN_TYPES = "functions.audit."
"""What the types of the exporter's own records begin with."""
FILE_CLOSED = OWN_TYPES + "file_closed"
CHAIN_BROKEN = OWN_TYPES + "chain_broken"
RESET = OWN_TYPES + "reset"
GAP = OWN_TYPES + "gap"
UNREADABLE = OWN_TYPES + "unreadable"

ROOT = "sessions/"
_BLOB = re.compile(r"sessions/(\d{4})/(\d{2})/(\d{2})/(\d{8}T\d{9}Z-[0-9a-f]{8})(?:\.p(\d{1,4}))?\.jsonl")
_ENTRY = re.compile(r"\d{1,20}-\d{1,20}")
MAX_WHOLE = 2**53 - 1
"""Largest integer that JSON carries exactly everywhere (RFC 8785, RFC 7493)."""


class BadLine(ValueError):
    """A line that is not as it was written. `kind` is `unreadable` or `altered`; the text never quotes the line."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True)
class Head:
    """Where a chain ends: behind line `seq`, whose hash is `hash`, at `position` bytes of `blob`.

    `entry` and `n` are the last stream entry and the number of the last record that the chain has told of. `next` names
    the blob that goes on, when that line closed its own. A chain with no line yet has seq 0.
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
    """The name of a blob of lines: `sessions/2026/11/22/{chain}.jsonl`; the second one of a day ends in `.p2.jsonl`."""

    day: str
    chain: str
    part: int = 1

    def __str__(self) -> str:
        suffix = f".p{self.part}" if self.part > 1 else ""
        return f"{day_prefix(self.day)}{self.chain}{suffix}.jsonl"

    @classmethod
    def parse(cls, name: str) -> "BlobName":
        """Raises ValueError when it is no such name."""
        found = _BLOB.fullmatch(name)
        if found is None:
            raise ValueError("not the name of a blob of the audit log")
        return cls("-".join(found.groups()[:3]), found[4], int(found[5] or 1))


@dataclass(frozen=True)
class Line:
    """One line that is what its hash says. `record` holds all of its fields."""

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
    """RFC 8785. Raises ValueError for what it cannot say exactly: NaN, integers past 2^53, lone surrogates; and
    RecursionError for what is nested too deep."""
    import rfc8785

    return rfc8785.dumps(value)


def link(record: Mapping[str, Any], head: Head, entry: str, n: int, keyring: Keyring) -> tuple[bytes, Head]:
    """The line that adds `record` behind `head`, and the head after it. `entry` and `n` are the stream position that is
    then told of; `keyring` signs. Raises ValueError when the record cannot be said in canonical form, holds a field of
    LINK_FIELDS, or makes a line longer than MAX_LINE_BYTES."""
    if any(name in record for name in LINK_FIELDS):
        raise ValueError("has a field of the chain")
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
    """The line, newline included, if it is what its hash says and written as `link` writes. Who wrote it, `authentic`
    tells. Raises BadLine."""
    if not line.endswith(b"\n"):
        raise BadLine("unreadable", "the line has no end" if len(line) < MAX_LINE_BYTES else "the line is too long")
    try:
        fields = json.loads(line.decode(), parse_int=_number)
        if not isinstance(fields, dict):
            raise BadLine("unreadable", "the line is no JSON object")
        found = Line(
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
    if hashlib.sha256(body).hexdigest() != found.hash:
        raise BadLine("altered", "the line is not what its hash says")
    if not _ENTRY.fullmatch(found.entry):
        raise BadLine("unreadable", "entry is no stream id")
    return found


def authentic(line: bytes, keyrings: Sequence[Keyring]) -> Line:
    """`parse`, of a line that one of the keys signed. Raises BadLine."""
    found = parse(line)
    key_id, _, signature = found.mac.partition(".")
    if fault := _signature_fault(found.hash.encode(), key_id, signature, keyrings):
        raise BadLine("altered", f"the line {fault}")
    return found


def follow(line: bytes, head: Head, keyrings: Sequence[Keyring]) -> Line:
    """`authentic`, of a line that stands right behind `head`. Raises BadLine when it does not belong there."""
    found = authentic(line, keyrings)
    if (found.chain, found.seq, found.prev) != (head.chain, head.seq + 1, head.hash):
        raise BadLine("altered", "the line does not follow the one before")
    return found


def head_of(line: Line, blob: str, position: int, line_bytes: int) -> Head:
    """The head after a line that ends at `position` of `blob`."""
    return Head(line.chain, blob, line.seq, line.hash, position, line_bytes, line.entry, line.n, line.next)


def opened(head: Head) -> Head:
    """The head to write behind: at the start of the next blob, when the last line closed its own."""
    return replace(head, blob=head.next, position=0, line_bytes=0, next="") if head.next else head


def own_record(type_: str, head: Head, time: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """A record of the exporter itself, to stand right behind `head`."""
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
    """What is told of a chain that cannot be trusted behind `head`; `broken_head` reads it."""
    return {
        "chain": head.chain,
        "blob": head.blob,
        "reason": reason,
        "seq": head.seq,
        "hash": head.hash,
        "bytes": head.position,
    }


def broken_head(record: Mapping[str, Any]) -> Head | None:
    """The last good line of the chain that the one of `record` takes the place of; None when it takes no place."""
    data = record.get("data")
    if record.get("type") != CHAIN_BROKEN or not isinstance(data, Mapping):
        return None
    try:
        name, seq, position = BlobName.parse(str(data.get("blob"))), int(data["seq"]), int(data["bytes"])
    except (KeyError, ValueError, TypeError):
        return None
    return Head(name.chain, str(name), seq, str(data.get("hash")), position)


def sign_heads(day: str, heads: Sequence[Head], keyring: Keyring) -> bytes:
    """heads.json of a day: the last head of each chain in it, signed (HMAC-SHA-256) over the canonical form without
    `hmac`."""
    body = {
        "day": day,
        "heads": [
            {"chain": head.chain, "seq": head.seq, "hash": head.hash, "blob": head.blob, "bytes": head.position}
            for head in sorted(heads, key=lambda one: one.chain)
        ],
        "keyid": keyring.key_id,
    }
    return canonical({**body, "hmac": keyring.sign(canonical(body))}) + b"\n"


def check_heads(raw: bytes, day: str, keyrings: Sequence[Keyring]) -> list[Head]:
    """The heads of heads.json, when one of the keys signed it for this day. Raises ValueError that says why not."""
    try:
        found = json.loads(raw.decode(), parse_int=_number)
        signature = str(found.pop("hmac"))
        body = canonical(found)
        signed_day, key_id = found["day"], found["keyid"]
        heads = [
            Head(str(one["chain"]), str(one["blob"]), int(one["seq"]), str(one["hash"]), int(one["bytes"]))
            for one in found["heads"]
        ]
        whole = canonical({**found, "hmac": signature}) + b"\n"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError("it cannot be read") from None
    if whole != raw:
        raise ValueError("it is not in canonical form")
    if fault := _signature_fault(body, key_id, signature, keyrings):
        raise ValueError(f"it {fault}")
    if signed_day != day:
        raise ValueError("it is that of another day")
    return heads


def day_prefix(day: str) -> str:
    """What the names of all blobs of a day (YYYY-MM-DD) begin with."""
    return f"{ROOT}{day.replace('-', '/')}/"


def heads_name(day: str) -> str:
    return day_prefix(day) + "heads.json"


def day_of(time_ms: int) -> str:
    return iso(time_ms)[:10]


def iso(time_ms: int) -> str:
    """RFC 3339 in UTC, to the millisecond; times that no calendar has become the nearest that it has."""
    return iso_utc(min(max(time_ms, 0), 253_402_300_799_999) / 1000)


def _signature_fault(data: bytes, key_id: object, signature: str, keyrings: Sequence[Keyring]) -> str:
    """Why `signature` is not that of `data` under the key `key_id`; '' when it is."""
    known = [keyring for keyring in keyrings if keyring.key_id == key_id]
    if not known:
        return "is signed under a key that was not given"
    signed = signature.isascii() and any(hmac.compare_digest(keyring.sign(data), signature) for keyring in known)
    return "" if signed else "has a wrong signature"


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
        raise BadLine("unreadable", f"{name} is missing or no {type_.__name__}")
    return value


def _number(text: str) -> int | float:
    """An integer of a line. Past 2^53 it was written from a float, and is read as one again."""
    whole = float(text)
    return int(text) if abs(whole) <= MAX_WHOLE else whole
