"""Audit records of sessions, as apply_session.lua appends them: CloudEvents 1.0 in JSON. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
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
_encode = msgspec.json.Encoder().encode
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 -- in UTC, without the offset in its text


class Record(msgspec.Struct, array_like=True):
    """A record in two parts, `head` and `tail`: between them stands its number in its life.

    `condition` is one of

        ''          none
        'excess'    the user has more live sessions than the limit; their number and the end of the JSON follow `tail`
        'revoked'   the user has no live session any more, and there were tokens to delete
        'left'      no record: the session `head` leaves the set of the user's sessions
        'deleted'   none, but if Redis refuses to delete the session, `otherwise` stands in place of `tail`

    `number` is 0 for the next number of the phantom's life. `user_id` is the user whom a condition is about.
    """

    type: str
    condition: str
    number: int
    head: str
    tail: str
    user_id: str = ""
    otherwise: str = ""


def make(life: "Phantom", type_: str, data: Mapping[str, Any], now_ms: int, *, number: int = 0) -> Record:
    """The next record of a life."""
    tail, user_id = _tail(life, type_, data, now_ms), life.user_id
    match type_:
        case "nextauth.session.excess":
            return Record(type_, "excess", number, head_of(life), tail[:-2] + ',"sessions":', user_id)
        case "fabric.tokens.revoked":
            return Record(type_, "revoked", number, head_of(life), tail, user_id)
        case "nextauth.session.ended" if data.get("deleted"):
            remains = {name: value for name, value in data.items() if name != "deleted"} | {"keyRemains": True}
            otherwise = _tail(life, type_, remains, now_ms)
            return Record(type_, "deleted", number, head_of(life), tail, otherwise=otherwise)
    return Record(type_, "", number, head_of(life), tail)


def leaving(fingerprint: str, user_id: str) -> Record:
    return Record("", "left", 1, fingerprint, "", user_id)


def _tail(life: "Phantom", type_: str, data: Mapping[str, Any], now_ms: int) -> str:
    """The JSON of the record after its number. Fingerprint and key id are hex digits."""
    return (
        f'","source":"{SOURCE}","type":"{type_}","subject":"{life.fingerprint}","time":"{time_of(now_ms)}",'
        f'"datacontenttype":"application/json","keyid":"{life.key_id}","data":{_encode(data).decode()}}}'
    )


def head_of(life: "Phantom") -> str:
    return f'{{"specversion":"1.0","id":"{life.fingerprint}.{life.life}.'


def time_of(ms: int | None) -> str | None:
    """RFC 3339 in UTC with milliseconds, of a time from 1970 to 9999."""
    if ms is None:
        return None
    seconds, rest_ms = divmod(ms, 1000)
    return f"{_time_of_second(seconds)}.{rest_ms:03}Z"


@lru_cache(maxsize=256)
def _time_of_second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()
