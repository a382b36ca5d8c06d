"""The phantom of a session: its last recorded state, a hash of the app's own. Pure.

    the life      fingerprint, key_id, life (its beginning in us, which tells apart the lives of a token),
                  first_seen_ms, sequence (number of its records), recorded_ms (of its last record, for the throttle
                  of refreshes), touches (changes that were counted since), unbounded (1 after that record),
                  prior_end_ms (end of the previous life, if it was recorded or reported)
    the session   user_id ('' for none), digest, expires_ms (what counts), told_ms (its `expires`), cookie_ms (its
                  `cookie.expires`); a time that the session does not have is left out
    its end       missing_ms, missing_by while the key is missing without a reason; ended_ms after the end
    no life yet   heard_ms alone: an event announced the session, but its key was gone already
    refusals      pending: records that Redis refused to append, as MessagePack
    the format    v: 2. Version 1 had no `v`, `heard_ms` and `pending`, and pseudonyms by HMAC-SHA-1

A field that is empty counts as missing, but for user_id. Each version reads the other's hashes: version 1 takes no
notice of what it does not know, and drops it.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from shared.sessions.forms import MAX_TIME_MS, MAX_USER_BYTES
from shared.sessions.records import Record

VERSION = 2
FIELDS = (
    *("digest", "ended_ms", "missing_ms", "user_id", "fingerprint"),  # look_session.lua reads these
    *("key_id", "life", "first_seen_ms", "sequence", "recorded_ms", "touches", "unbounded", "prior_end_ms"),
    *("expires_ms", "told_ms", "cookie_ms", "missing_by", "heard_ms", "pending", "v"),
)
"""The fields in the order in which the scripts read them."""
_HEX, _DIGITS = re.compile(rb"[0-9a-fA-F]{1,32}"), re.compile(rb"\d{1,15}")


class Phantom(msgspec.Struct, kw_only=True):
    fingerprint: str
    key_id: str
    life: str
    first_seen_ms: int
    recorded_ms: int
    digest: str
    sequence: int = 0
    touches: int = 0
    unbounded: bool = False
    prior_end_ms: int | None = None
    user_id: str = ""
    expires_ms: int | None = None
    told_ms: int | None = None
    cookie_ms: int | None = None
    missing_ms: int | None = None
    missing_by: str = ""
    ended_ms: int | None = None

    @property
    def alive(self) -> bool:
        return self.ended_ms is None


class Stored(NamedTuple):
    """What the hash holds. `phantom` is None without a valid one; `newer` says that a newer version wrote it."""

    phantom: Phantom | None
    heard_ms: int | None
    pending: Sequence[Record]
    newer: bool


type Values = Sequence[bytes | None]
_pending = msgspec.msgpack.Decoder(list[Record])


def read(values: Values) -> Stored:
    """The phantom in the values of FIELDS, [] for none. Whatever another application wrote there is checked: what goes
    into a record without escaping, and what is computed with."""
    fields = {
        name: value
        for name, value in zip(FIELDS, values, strict=False)
        if value or (name == "user_id" and value is not None)
    }
    if not fields:
        return Stored(None, None, (), newer=False)
    version = _whole(fields.get("v"))
    newer = version is not None and version > VERSION
    return Stored(_phantom(fields), _time(fields.get("heard_ms")), _pending_of(fields.get("pending")), newer)


def changes(values: Values, phantom: Phantom | None, heard_ms: int | None) -> list[str]:
    """Names and values of the fields to set, in turn, so that a hash with these values holds the phantom, or the note
    of an announced session; [] if both are None. A field is emptied, not deleted: one command writes all. `sequence` is
    left to apply_session.lua, which counts the records."""
    fields: dict[str, str] = {}
    if phantom is not None:
        stored = {name: getattr(phantom, name, None) for name in FIELDS if name != "sequence"}
        stored |= {"unbounded": phantom.unbounded or None, "missing_by": phantom.missing_by or None, "v": VERSION}
        fields = {
            name: value if isinstance(value, str) else str(int(value))
            for name, value in stored.items()
            if value is not None
        }
    elif heard_ms is not None:
        fields = {"heard_ms": str(heard_ms), "v": str(VERSION)}
    else:
        return []
    before = {name: value for name, value in zip(FIELDS, values, strict=False) if value is not None}
    emptied = {name: "" for name, value in before.items() if value and name not in {"sequence", "pending", *fields}}
    return [
        part
        for name, value in (fields | emptied).items()
        if before.get(name) != value.encode()
        for part in (name, value)
    ]


def _phantom(fields: dict[str, bytes]) -> Phantom | None:
    names = [fields.get(name, b"") for name in ("fingerprint", "key_id", "life")]
    numbers = [_whole(fields.get(name)) for name in ("first_seen_ms", "recorded_ms", "sequence", "touches")]
    user_id = _text(fields.get("user_id"))
    digest = _text(fields.get("digest"))
    life_is_number = names[2].isdigit()
    if not all(map(_HEX.fullmatch, names)) or not life_is_number or None in numbers or user_id is None or not digest:
        return None
    first_seen_ms, recorded_ms, sequence, touches = (number or 0 for number in numbers)
    fingerprint, key_id, life = (name.decode() for name in names)
    return Phantom(
        fingerprint=fingerprint,
        key_id=key_id,
        life=life,
        first_seen_ms=first_seen_ms,
        recorded_ms=recorded_ms,
        sequence=sequence,
        touches=touches,
        digest=digest,
        user_id=user_id,
        unbounded=bool(fields.get("unbounded")),
        missing_by="" if "missing_by" not in fields else "schedule" if fields["missing_by"] == b"schedule" else "sweep",
        prior_end_ms=_time(fields.get("prior_end_ms")),
        expires_ms=_time(fields.get("expires_ms")),
        told_ms=_time(fields.get("told_ms")),
        cookie_ms=_time(fields.get("cookie_ms")),
        missing_ms=_time(fields.get("missing_ms")),
        ended_ms=_time(fields.get("ended_ms")),
    )


def _whole(value: bytes | None) -> int | None:
    return int(value) if value is not None and _DIGITS.fullmatch(value) else None


def _time(value: bytes | None) -> int | None:
    number = _whole(value)
    return number if number is not None and number <= MAX_TIME_MS else None


def _text(value: bytes | None) -> str | None:
    """A short text in UTF-8; None for any other value."""
    if value is None or len(value) > MAX_USER_BYTES:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _pending_of(value: bytes | None) -> Sequence[Record]:
    try:
        return _pending.decode(value) if value else ()
    except (ValueError, RecursionError):
        return ()
