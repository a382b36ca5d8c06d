"""Parses key events from the JSON text that the Redis extension passes to a pub/sub trigger."""

import json

import msgspec

from shared.errors import MalformedEvent
from shared.reactor import Cause

MAX_MESSAGE_CHARS = 8 * 1024 * 1024
MAX_DATABASE_DIGITS = 9
_PREFIX = "__keyspace@"


class KeyEvent(msgspec.Struct, frozen=True):
    """One notification: the event `name`, such as `set`, of `key` in `database`."""

    key: bytes
    name: str
    database: int

    @property
    def cause(self) -> Cause:
        return cause_of(self.name)


_CAUSES = {
    "expire": Cause.TOUCHED,
    "persist": Cause.TOUCHED,
    "del": Cause.DELETED,
    "expired": Cause.EXPIRED,
    "evicted": Cause.EVICTED,
    "rename_from": Cause.RENAMED,
    "move_from": Cause.RENAMED,
    "keymiss": Cause.NOTHING,
    "new": Cause.NOTHING,
    "overwritten": Cause.NOTHING,
    "type_changed": Cause.NOTHING,
}


def cause_of(name: str) -> Cause:
    """The cause for an event name of Redis. An unknown event counts as a write, since it may bring content."""
    return _CAUSES.get(name, Cause.WRITTEN)


class _Message(msgspec.Struct, rename="pascal"):
    channel: str
    message: str


_decoder = msgspec.json.Decoder(_Message)


def parse_event(text: str) -> KeyEvent:
    """The key event in a trigger message.

    Lone surrogates in the key, which can represent bytes that are not UTF-8 in JSON, are converted back to these bytes.
    (The extension itself replaces such bytes by U+FFFD: mangled.py finds the key.)

    Raises MalformedEvent with a reason that never quotes the message.
    """
    if len(text) > MAX_MESSAGE_CHARS:
        raise MalformedEvent("message is too long")
    try:
        message = _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        message = _decode_leniently(text)
    prefix, _, name = message.channel.partition("__:")
    database = prefix.removeprefix(_PREFIX)
    if not (name and prefix.startswith(_PREFIX) and database.isdecimal() and len(database) <= MAX_DATABASE_DIGITS):
        raise MalformedEvent("Channel is not __keyspace@<db>__:<key>")
    if not message.message:
        raise MalformedEvent("Message holds no event name")
    try:
        key = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        key = name.encode("utf-8", "surrogatepass")
    return KeyEvent(key, message.message, int(database))


def _decode_leniently(text: str) -> _Message:
    """Decode with the standard library, which is slower but accepts lone surrogates. Raises MalformedEvent."""
    try:
        return msgspec.convert(json.loads(text), _Message)
    except (ValueError, RecursionError, msgspec.ValidationError) as fault:
        raise MalformedEvent("message is not the JSON object of a pub/sub trigger") from fault
