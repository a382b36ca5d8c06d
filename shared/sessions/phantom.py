"""The phantom of a session: its last recorded state, a hash of the app's own. Pure.

    the life      fingerprint, key_id, life (its beginning in us, which tells apart the lives of a token),
                  first_seen_ms, sequence (number of its records), recorded_ms (of its last record, for the throttle
                  of refreshes), touches (changes that were counted since), unbounded (1 after that record),
                  prior_end_ms (end of the previous life, if it was recorded or reported)
    the session   user_id ('' for none), digest, expires_ms (what counts), told_ms (its `expires`), cookie_ms (its
                  `cookie.expires`); a time that the session does not have is left out
    its end       missing_ms, missing_by while the key is missing without a reason; ended_ms after the end
    no life yet   heard_ms alone: an event announced the session, but its key was gone already
    refusals      pending: records that Redis refused to append, as JSON
    the format    v: 2. Version 1 had no `v`, `heard_ms` and `pending`, and pseudonyms by HMAC-SHA-1

A field that is empty counts as missing, but for user_id. Each version reads the other's hashes: version 1 takes no
notice of what it does not know, and drops it.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple, cast

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
_TIMES = ("ended_ms", "missing_ms", "prior_end_ms", "expires_ms", "told_ms", "cookie_ms")
_HEX = re.compile(rb"[0-9a-fA-F]{1,32}")
_ABSENT: Sequence[bytes | None] = [None] * len(FIELDS)


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
    pending_bytes: int = 0


type Values = Sequence[bytes | None]
_pending = msgspec.json.Decoder(list[Record])


def read(values: Values) -> Stored:
    """The phantom in the values of FIELDS, [] for none. Whatever another application wrote there is checked: what goes
    into a record without escaping, and what is computed with."""
    if not values:
        return _NOTHING
    heard, pending, version = values[-3:]
    newer = (_whole(version) or 0) > VERSION
    waiting = _pending_of(pending) if pending else ()
    return Stored(_phantom(values), _time(heard), waiting, newer, len(pending or b""))


def _phantom(values: Values) -> Phantom | None:
    digest, ended, missing, user, fingerprint, key_id, life, first_seen, sequence, recorded, touches = values[:11]
    unbounded, prior_end, expires, told, cookie, missing_by = values[11:17]
    numbers = _whole(first_seen), _whole(recorded), _whole(sequence), _whole(touches)
    user_id = _text(user)
    if None in numbers or user_id is None or not digest or len(digest) > MAX_USER_BYTES or not digest.isascii():
        return None
    if not (_is_hex(fingerprint) and _is_hex(key_id) and life and _is_hex(life) and life.isdigit()):
        return None
    first_seen_ms, recorded_ms, count, touched = cast("tuple[int, int, int, int]", numbers)
    return Phantom(
        fingerprint=cast("bytes", fingerprint).decode(),
        key_id=cast("bytes", key_id).decode(),
        life=life.decode(),
        first_seen_ms=first_seen_ms,
        recorded_ms=recorded_ms,
        sequence=count,
        touches=touched,
        digest=digest.decode(),
        user_id=user_id,
        unbounded=bool(unbounded),
        missing_by="" if not missing_by else "schedule" if missing_by == b"schedule" else "sweep",
        prior_end_ms=_time(prior_end),
        expires_ms=_time(expires),
        told_ms=_time(told),
        cookie_ms=_time(cookie),
        missing_ms=_time(missing),
        ended_ms=_time(ended),
    )


def changes(values: Values, phantom: Phantom | None, heard_ms: int | None) -> list[str]:
    """Names and values of the fields to set, in turn, so that a hash with these values holds the phantom, or the note
    of an announced session; [] if both are None. A field is emptied, not deleted: one command writes all. `sequence`
    and `pending` are left to apply_session.lua."""
    if phantom is not None:
        after = _fields_of(phantom)
    elif heard_ms is not None:
        after = {"heard_ms": str(heard_ms), "v": str(VERSION)}
    else:
        return []
    fields: list[str] = []
    for name, before in zip(FIELDS, values or _ABSENT, strict=True):
        value = after.get(name)
        same = not before if value is None else before == value.encode()
        if not same and name not in {"sequence", "pending"}:
            fields += (name, value or "")
    return fields


def _fields_of(phantom: Phantom) -> dict[str, str]:
    """All fields but `sequence`; one that is not there is left out."""
    fields = {
        "digest": phantom.digest,
        "user_id": phantom.user_id,
        "fingerprint": phantom.fingerprint,
        "key_id": phantom.key_id,
        "life": phantom.life,
        "first_seen_ms": str(phantom.first_seen_ms),
        "recorded_ms": str(phantom.recorded_ms),
        "touches": str(phantom.touches),
        "v": str(VERSION),
    }
    for name in _TIMES:
        if (ms := getattr(phantom, name)) is not None:
            fields[name] = str(ms)
    if phantom.unbounded:
        fields["unbounded"] = "1"
    if phantom.missing_by:
        fields["missing_by"] = phantom.missing_by
    return fields


def _is_hex(value: bytes | None) -> bool:
    return bool(value and _HEX.fullmatch(value))


def _whole(value: bytes | None) -> int | None:
    return int(value) if value and len(value) <= 15 and value.isdigit() else None


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


def _pending_of(value: bytes) -> Sequence[Record]:
    try:
        return _pending.decode(value)
    except (ValueError, RecursionError):
        return ()


_NOTHING = Stored(None, None, (), newer=False)
