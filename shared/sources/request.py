"""The request for one chart: its ids put into a source's URL and body. Pure.

Ids come from key names, which anybody who can write to Redis chooses. In the URL they are percent-encoded, and cannot
step out of their place in the path. In a body an id that is a whole text (a variable, a query parameter) may be
anything, since JSON escapes it; within a longer text, such as a query, it would be code, so only plain ids are taken.
"""

import re
from typing import Any
from urllib.parse import quote

import msgspec

from shared.errors import SourceDown
from shared.sources.config import Source

_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_STEPS = re.compile(rb"(?:^|[/\\])\.{0,2}(?:$|[/\\])")
"""A segment of a path that is empty, `.` or `..`: a server could decode it and take another path."""
_PLACEHOLDER = re.compile(r"\{(chartId|dataType)\}")
MAX_ID_BYTES = 1000


def url_of(source: Source, chart_id: bytes, data_type: bytes) -> str:
    """The URL, percent-encoded. Raises SourceDown for an id that cannot be part of one."""
    ids = {"chartId": chart_id, "dataType": data_type}

    def encoded(placeholder: re.Match[str]) -> str:
        value = ids[placeholder[1]]
        if len(value) > MAX_ID_BYTES or _STEPS.search(value):
            raise SourceDown("the chart's id cannot be part of a URL")
        return quote(value, safe="")

    return _PLACEHOLDER.sub(encoded, source.url)


def body_of(source: Source, chart_id: bytes, data_type: bytes) -> bytes | None:
    """The body as JSON; None without one. Raises SourceDown for an id that cannot be part of it."""
    if source.method == "GET":
        return None
    try:
        ids = {"chartId": chart_id.decode(), "dataType": data_type.decode()}
    except UnicodeDecodeError:
        raise SourceDown("the chart's id is not UTF-8") from None
    return msgspec.json.encode(_filled(source.body, ids))


def _filled(value: Any, ids: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_filled(item, ids) for item in value]
    if isinstance(value, dict):
        return {name: _filled(item, ids) for name, item in value.items()}
    if not isinstance(value, str):
        return value
    if whole := _PLACEHOLDER.fullmatch(value):
        return ids[whole[1]]
    return _PLACEHOLDER.sub(lambda placeholder: _plain(ids[placeholder[1]]), value)


def _plain(value: str) -> str:
    if not _PLAIN.fullmatch(value):
        raise SourceDown("the chart's id cannot be part of a text of the body: make it a whole text there")
    return value
