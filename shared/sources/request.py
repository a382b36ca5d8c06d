"""The request for one chart: its ids put into a source's URL and body. Pure.

Ids come from key names, which anybody who can write to Redis chooses. In the URL they are percent-encoded; in its path
they are one segment or a part of one: many servers, FastAPI's among them, decode `%2F` before they choose the route.
In a body an id that is a whole text (a variable, a query parameter) may be anything, since JSON escapes it; within a
longer text, such as a query, it would be code, so only plain ids are taken.

An id that makes no request is SourceDown of that chart alone.
"""

import re
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import msgspec

from shared.errors import SourceDown
from shared.sources.config import Source

_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_STEPS = re.compile(rb"[/\\]|^\.{0,2}$")
"""What a server could take for other segments of a path: a slash, `.` or `..`."""
_PLACEHOLDER = re.compile(r"\{(chartId|dataType)\}")
MAX_ID_BYTES = 1000


def url_of(source: Source, chart_id: bytes, data_type: bytes) -> str:
    """The URL, percent-encoded. Raises SourceDown for an id that cannot be part of one."""
    ids = _bounded(chart_id, data_type)
    path, mark, query = source.url.partition("?")

    def segment(placeholder: re.Match[str]) -> str:
        value = ids[placeholder[1]]
        # Once more decoded: of two servers in a row each may decode.
        if _STEPS.search(value) or _STEPS.search(unquote_to_bytes(value)):
            raise SourceDown("the chart's id cannot be part of a URL's path", of_chart=True)
        return quote(value, safe="")

    def parameter(placeholder: re.Match[str]) -> str:
        return quote(ids[placeholder[1]], safe="")

    return _PLACEHOLDER.sub(segment, path) + mark + _PLACEHOLDER.sub(parameter, query)


def body_of(source: Source, chart_id: bytes, data_type: bytes) -> bytes | None:
    """The body as JSON; None without one. Raises SourceDown for an id that cannot be part of it."""
    if source.method == "GET":
        return None
    try:
        ids = {name: value.decode() for name, value in _bounded(chart_id, data_type).items()}
    except UnicodeDecodeError:
        raise SourceDown("the chart's id is not UTF-8", of_chart=True) from None
    return msgspec.json.encode(_filled(source.body, ids))


def _bounded(chart_id: bytes, data_type: bytes) -> dict[str, bytes]:
    if len(chart_id) + len(data_type) > MAX_ID_BYTES:
        raise SourceDown(f"the chart's id has more than {MAX_ID_BYTES} bytes", of_chart=True)
    return {"chartId": chart_id, "dataType": data_type}


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
        raise SourceDown("the chart's id cannot be part of a text of the body; it can be a whole one", of_chart=True)
    return value
