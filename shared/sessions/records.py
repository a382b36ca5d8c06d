"""Audit records of sessions, as apply_session.lua appends them: CloudEvents 1.0 in JSON. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from shared.sessions.phantom import Phantom

SOURCE = "urn:keyspace-functions:sessions"
CREATED = "nextauth.session.created"
REFRESHED = "nextauth.session.refreshed"
CHANGED = "nextauth.session.changed"
ENDED = "nextauth.session.ended"
UNBOUNDED = "nextauth.session.unbounded"
EXCESS = "nextauth.session.excess"
REVOKED = "fabric.tokens.revoked"
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 -- in UTC, without the offset in its text
_CONDITIONS = {EXCESS: "excess", REVOKED: "revoked"}
"""Records that are appended only if a condition holds in Redis."""


class Record(msgspec.Struct, array_like=True):
    """A record in two parts, `head` and `tail`: between them stands its number in its life.

    `condition` is '', 'excess' (the user has more live sessions than the limit; their number and the end of the JSON
    follow `tail`), or 'revoked' (the user has no live session any more, and there were tokens to delete). `number` is 0
    for the next number of the phantom's life. `user_id` is the user whom a condition is about.
    """

    type: str
    condition: str
    number: int
    head: str
    tail: str
    user_id: str


def make(life: "Phantom", type_: str, data: Mapping[str, Any], now_ms: int, *, number: int = 0) -> Record:
    """The next record of a life."""
    rest = msgspec.json.encode(
        {
            "source": SOURCE,
            "type": type_,
            "subject": life.fingerprint,
            "time": time_of(now_ms),
            "datacontenttype": "application/json",
            "keyid": life.key_id,
            "data": data,
        }
    ).decode()
    condition = _CONDITIONS.get(type_, "")
    tail = rest[1:-2] + ',"sessions":' if condition == "excess" else rest[1:]
    user_id = life.user_id if condition else ""
    return Record(type_, condition, number, head_of(life), '",' + tail, user_id)


def head_of(life: "Phantom") -> str:
    return f'{{"specversion":"1.0","id":"{life.fingerprint}.{life.life}.'


def time_of(ms: int | None) -> str | None:
    """RFC 3339 in UTC with milliseconds, of a time from 1970 to 9999."""
    return None if ms is None else f"{(_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec='milliseconds')}Z"
