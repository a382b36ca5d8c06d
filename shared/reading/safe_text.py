"""Names from a payload, fit to be shown: bounded, on one line, without what looks like a secret. Pure."""

import re

from shared.words import escaped

NAME_CHARS = 128
SHOWN_CHARS = 48

_TOKEN = re.compile(
    r"(?=[^\s]*\d)(?=[^\s]*[A-Za-z])[A-Za-z0-9+/=_.~-]{24,}|[0-9a-fA-F]{24,}|.*@.*\..*|eyJ[A-Za-z0-9_-]{10,}.*"
)
_WORD = re.compile(r"[^\s:;,|()\[\]{}<>\"'·]+")
_EXAMINED_CHARS = 1024
"""A secret behind these is cut off: at most SHOWN_CHARS are shown."""


def bounded(text: str, limit: int = NAME_CHARS) -> str:
    """`text` with lone surrogates escaped, cut to `limit` characters."""
    if text.isascii():
        return text[:limit]
    return text[:limit].encode("utf-8", "backslashreplace").decode()[:limit]


def quoted(name: str) -> str:
    """A name in backquotes for a reason or an explanation; masked when it looks like a token or an address."""
    return f"`{shown(name)}`"


def without_secrets(text: str) -> str:
    """`text` with every word masked that looks like a token or an address. For up to some thousand characters."""
    return _WORD.sub(lambda match: "***" if _TOKEN.fullmatch(match[0]) else match[0], text)


def shown(name: str) -> str:
    """A name fit to be shown, at most SHOWN_CHARS characters."""
    if not name:
        return "(no name)"
    text = name[:_EXAMINED_CHARS]
    if _TOKEN.fullmatch(text):
        return "***"
    text = without_secrets(text)[: 4 * SHOWN_CHARS]
    text = escaped(text).replace("`", "'")
    return text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 1]}…"


def shown_path(path: tuple[str | int, ...]) -> str:
    """A place in a document, such as `data.items`; `the top` for the document itself."""
    steps = [("[]" if isinstance(step, int) else shown(step)) for step in path[:8]]
    text = ""
    for step in steps:
        text += step if step == "[]" or not text else f".{step}"
    return f"`{text}`" if text else "the top"
