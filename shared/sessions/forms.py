"""Reads the user and the expiry from the text of a session, in the forms of docs/sessions.md. Pure.

Reading is bounded: each name is looked up in at most 1 + 4 + 16 objects, texts within texts are parsed to
MAX_JSON_LEVELS, and JSON deeper than MAX_DEPTH is refused.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, cast

import msgspec

from shared.errors import Rejected

MAX_JSON_LEVELS = 2
"""Levels of JSON texts within the JSON text."""
MAX_WRAPPERS = 2
"""Objects around a session."""
MAX_DEPTH = 1000
MAX_USER_BYTES = 256
MAX_TIME_MS = 253_402_300_799_999
"""The last millisecond of the year 9999."""
SECONDS_BELOW = 1e11
"""A smaller epoch number is in seconds (to the year 5138), a larger one in ms (from 1973)."""
FIRST_NUMBER_MS = 1e12
"""September 2001: a number that would be an earlier time is a duration."""

_BOM = b"\xef\xbb\xbf"
_OBJECT = re.compile(r"[ \t\r\n]*\{")
_TEXT = re.compile(r"[ \t\r\n]*\"")
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):?(\d\d))", re.ASCII)
_LONG = re.compile(r"-?\d{1,19}", re.ASCII)
_EPOCH, _MS = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
_PLAIN_USER = re.compile(r'[^\s@"{\[]+')
_ESCAPE = re.compile(r"\\(?:u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w|(u[dD][89a-fA-F]\w\w)|.)", re.DOTALL | re.ASCII)
"""An escape in a JSON text; group 1 is one of half a surrogate pair."""
_IDS = ("id", "_id", "userId", "user_id", "sub", "$oid", "$uuid", "$numberLong", "$numberInt")
_OWN_ID_BESIDE = frozenset(
    {
        *("userId", "user", "user_id", "sub", "passport", "session", "value", "data", "json", "sessionToken"),
        *("session_token", "sessionId", "session_id", "sid", "token", "_user_id", "_fresh", "_permanent"),
    }
)
"""Beside one of these, `_id` is the id of the session: of a row or a wrapper of a store, of Flask-Login."""
_OAUTH = frozenset({"access_token", "accessToken", "refresh_token", "refreshToken", "id_token", "idToken"})
"""Beside one of these, only `expires` is the expiry of the session."""
_EXPIRIES = ("expiresAt", "expires_at", "exp", "_expire")
_WRAPPERS = ("session", "value", "data", "json")

type Object = Mapping[str, Any]
type Id = str | int | float


class Form(NamedTuple):
    """What the text of a session says. `user_id` is '' for none; `told_ms` is the earliest time that ends the session,
    `cookie_ms` the expiry of its cookie."""

    user_id: str
    told_ms: int | None
    cookie_ms: int | None


class _Level(NamedTuple):
    """An object, how many levels of JSON texts may follow in its members, and whether numbers in it were read as texts,
    with their digits as they were written."""

    members: Object
    texts: int
    exact: bool


def read_form(text: bytes, token: bytes) -> Form:
    """Read a session of `token`. Raises Rejected with the reason, which quotes nothing."""
    raw = text.removeprefix(_BOM)
    reader = _Reader(token)
    reader.read(_object_of(raw, MAX_JSON_LEVELS, exact=False), None, MAX_WRAPPERS, has_expiry=True)
    user_id = reader.user_id
    if isinstance(user_id, float) or user_id == 0:  # read it again as a text: 1.50, -0
        again = _Reader(token)
        again.read(_object_of(raw, MAX_JSON_LEVELS, exact=True), None, MAX_WRAPPERS, has_expiry=False)
        user_id = again.user_id
    return Form("" if user_id is None else recorded_id(str(user_id)), reader.told_ms, reader.cookie_ms)


def recorded_id(user_id: str) -> str:
    """A user's id as it is recorded without pseudonyms. One that is too long or not UTF-8 is recorded as its readable
    beginning, `~` and its SHA-1."""
    raw = user_id.encode("utf-8", "surrogateescape")
    if len(raw) <= MAX_USER_BYTES and is_utf8(raw):
        return user_id
    beginning = "".join(chr(byte) if 32 <= byte <= 126 else "?" for byte in raw[: MAX_USER_BYTES - 41])
    return f"{beginning}~{hashlib.sha1(raw, usedforsecurity=False).hexdigest()}"


def is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


class _Reader:
    """Collects the user and the expiry of one session from its objects."""

    def __init__(self, token: bytes) -> None:
        self.user_id: Id | None = None
        self.told_ms: int | None = None
        self.cookie_ms: int | None = None
        self._token = token.decode("utf-8", "surrogateescape")

    def read(self, level: _Level, wrapper: str | None, depth: int, *, has_expiry: bool) -> None:
        """Read an object's own members, then what it wraps for a store or a cache (`json`: superjson).

        If it names a user, only `session` is a wrapper. If it has a cookie, it is the session itself, so an expiry in
        its `data` is the application's own; so is an expiry in `data` beside which there is no user. `has_expiry`:
        whether the expiry in the object is that of the session.
        """
        members = level.members
        user_id = self._user_in(level, wrapper)
        if self.user_id is None:
            self.user_id = user_id
        cookie = _object_in(level, "cookie")
        if has_expiry and (wrapper != "data" or user_id is not None):
            self._read_expiry(members, cookie)
        if depth == 0:
            return
        for name in _WRAPPERS:
            if name in members and (name == "session" or self.user_id is None):
                inner = _object_in(level, name)
                if inner is not None:
                    has_inner = has_expiry and (name == "session" or cookie is None)
                    self.read(inner, name, depth - 1, has_expiry=has_inner)

    def _read_expiry(self, members: Object, cookie: _Level | None) -> None:
        told_ms = _expiry_in(members)
        if told_ms is not None:
            self.told_ms = told_ms if self.told_ms is None else min(told_ms, self.told_ms)
        if self.cookie_ms is None and cookie is not None:
            self.cookie_ms = _first_instant(cookie.members, ("expires", "_expires"))

    def _user_in(self, level: _Level, wrapper: str | None) -> Id | None:
        """The user that an object itself names; docs/sessions.md lists the names in this order."""
        members = level.members
        user, passport = _object_in(level, "user"), _object_in(level, "passport")
        found = _id_in(level, "userId", 2)
        if found is None and user is not None:
            found = _id_of(user, 2)
        found = _first_id(level, ("user_id", "sub"), 2) if found is None else found
        if found is None and passport is not None:
            found = _id_in(passport, "user", 2)
        found = _first_id(level, ("_user_id", "_auth_user_id"), 0) if found is None else found
        if found is not None:
            return found
        name = members.get("user")  # not a name, an e-mail address or JSON
        if _is_number(name) or (isinstance(name, str) and _PLAIN_USER.fullmatch(name)):
            return cast("Id", name)
        if "_id" not in members or wrapper == "session" or not _OWN_ID_BESIDE.isdisjoint(members):
            return None
        own = _id_in(level, "_id", 2)
        return None if own is not None and str(own) == self._token else own


def _first_id(level: _Level, names: Sequence[str], depth: int) -> Id | None:
    return next((found for name in names if (found := _id_in(level, name, depth)) is not None), None)


def _id_in(level: _Level, name: str, depth: int) -> Id | None:
    """The id that a member holds: a text, a number, or an object that has one of them as its id, down to `depth`
    objects."""
    value = level.members.get(name)
    if value is None:
        return None
    inner = _object_in(level, name)
    if inner is not None:
        return _id_of(inner, depth)
    return cast("Id", value) if _is_number(value) or (isinstance(value, str) and value) else None


def _id_of(level: _Level, depth: int) -> Id | None:
    return _first_id(level, _IDS, depth - 1) if depth else None


def _is_number(value: object) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _object_in(level: _Level, name: str) -> _Level | None:
    """A member that is an object, or a JSON text of one; None for any other value. A list has no members."""
    value = level.members.get(name)
    if type(value) is dict or type(value) is list:
        return _Level(value if type(value) is dict else {}, level.texts, level.exact)
    if type(value) is not str or level.texts == 0 or not (_OBJECT.match(value) or _TEXT.match(value)):
        return None
    try:
        return _object_of(value.encode("utf-8", "surrogateescape"), level.texts - 1, exact=level.exact)
    except Rejected:
        return None


def _object_of(json_text: bytes, texts: int, *, exact: bool) -> _Level:
    """The object in a JSON text, or in a JSON text within it. Raises Rejected."""
    start = json_text.lstrip(b" \t\r\n")[:1]
    if start == b"{":
        try:
            members = _decode(json_text, exact=exact)
            return _Level(cast("Object", members), texts, exact)
        except (ValueError, RecursionError):
            raise Rejected("the value is not valid JSON") from None
    if start == b'"' and texts > 0:
        try:
            inner = _decode(json_text, exact=exact)
        except (ValueError, RecursionError):
            inner = None
        if isinstance(inner, str):
            return _object_of(inner.encode("utf-8", "surrogateescape"), texts - 1, exact=exact)
    raise Rejected("the value is not a JSON object")


def _decode(json_text: bytes, *, exact: bool) -> object:
    """The value of a JSON text; bytes that are not UTF-8 become lone surrogates. `exact`: numbers become texts.

    Raises ValueError and RecursionError.
    """
    value: object
    if exact:
        value = _decode_leniently(json_text, int_of=str, float_of=str)
    else:
        try:
            value = msgspec.json.decode(json_text)
        except ValueError:  # msgspec's own errors are ValueErrors too
            value = _decode_leniently(json_text, int_of=_int, float_of=float)
    if json_text.count(b"{") + json_text.count(b"[") > MAX_DEPTH:
        _check_depth(value)
    return value


def _decode_leniently(
    json_text: bytes, *, int_of: Callable[[str], object], float_of: Callable[[str], object]
) -> object:
    """Decode what msgspec refuses: bytes that are not UTF-8, NaN (as None), control characters in texts, and half a
    surrogate pair, which JavaScript writes for a text that was cut within an emoji (as U+FFFD)."""
    text = json_text.decode("utf-8", "surrogateescape")
    text = _ESCAPE.sub(lambda match: "\\ufffd" if match[1] else match[0], text)
    return cast(
        "object",
        json.loads(text, strict=False, parse_int=int_of, parse_float=float_of, parse_constant=lambda _: None),
    )


def _int(digits: str) -> int | float:
    """Python refuses more than 4,300 digits; a double has 309 at most."""
    return int(digits) if len(digits) < 400 else float(digits)


def _check_depth(value: object) -> None:
    """Raises RecursionError for a value deeper than MAX_DEPTH."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else cast("list[object]", outer))
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return
    raise RecursionError


def _expiry_in(members: Object) -> int | None:
    """The expiry that an object itself has."""
    told_ms = instant_ms(members.get("expires"))
    if told_ms is not None or not _OAUTH.isdisjoint(members):
        return told_ms
    return _first_instant(members, _EXPIRIES)


def _first_instant(members: Object, names: Sequence[str]) -> int | None:
    return next((ms for name in names if (ms := instant_ms(members.get(name))) is not None), None)


def instant_ms(value: object) -> int | None:
    """Epoch ms of a time in a session: a text, a number, or {"$date": ...}, MongoDB's extended JSON. None for any other
    value and outside of 1970 to 9999."""
    if type(value) is dict:
        value = value.get("$date")
        if type(value) is dict:
            digits = value.get("$numberLong")
            value = int(digits) if isinstance(digits, str) and _LONG.fullmatch(digits) else digits
    ms: int | None = None
    if isinstance(value, str):
        ms = _ms_of_iso(value)
    elif _is_number(value) and abs(number := cast("float", value)) <= MAX_TIME_MS:
        ms = math.floor((number * 1000 if number < SECONDS_BELOW else number) + 0.5)
        ms = ms if ms >= FIRST_NUMBER_MS else None
    return ms if ms is not None and 0 < ms <= MAX_TIME_MS else None


def _ms_of_iso(text: str) -> int | None:
    """Epoch ms of an ISO-8601 date and time with Z or an offset; None for any other text."""
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    date, time, fraction, sign, hours, minutes = match.groups()
    try:
        moment = datetime.fromisoformat(f"{date}T{time}+00:00")
    except ValueError:
        return None
    ms = (moment - _EPOCH) // _MS + int((fraction or "").ljust(3, "0")[:3])
    if sign is None:
        return ms
    if int(hours) > 23 or int(minutes) > 59:
        return None
    offset_ms = (int(hours) * 60 + int(minutes)) * 60_000
    return ms + offset_ms if sign == "-" else ms - offset_ms
