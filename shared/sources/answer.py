"""What a source answered: JSON, without a reported error, and the selected part of it. Pure."""

from typing import Any

import msgspec

from shared.errors import Rejected, SourceDown
from shared.sources.config import Source, compiled

_BOM = b"\xef\xbb\xbf"


def chart_of(source: Source, body: bytes) -> bytes:
    """The value that becomes the chart: the body as it was sent, or what `select` finds in it, as JSON again.

    Raises SourceDown with the reason, which holds nothing of the body. Power BI sends a byte order mark first.
    """
    body = body.removeprefix(_BOM)
    try:
        document = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise SourceDown("the answer is not JSON") from None
    if reports_error(document):
        raise SourceDown("the answer reports an error")
    if source.select is None:
        return body
    return msgspec.json.encode(_selected(source.select, document))


def reports_error(document: Any) -> bool:
    """Whether an answer with status 200 says that it failed, also if only in part: GraphQL's `errors`, Power BI's
    `error` (of the answer or of a result), Kusto's `Exceptions` (v1) and `HasErrors` (v2)."""
    if isinstance(document, list):
        return any(isinstance(frame, dict) and frame.get("HasErrors") is True for frame in document)
    if not isinstance(document, dict):
        return False
    results = document.get("results")
    parts = [document, *(results if isinstance(results, list) else [])]
    return any(
        isinstance(part, dict) and any(_holds(part.get(name)) for name in ("errors", "error", "Exceptions"))
        for part in parts
    )


def _holds(value: Any) -> bool:
    """Whether it is a report: a column of numbers, in a list or keyed by row, may be called `error`."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, dict | str) for item in value)
    if isinstance(value, dict):
        return any(isinstance(item, dict | list | str) for item in value.values()) or "code" in value
    return value is True or (isinstance(value, str) and bool(value))


def _selected(expression: str, document: Any) -> Any:
    from jmespath.exceptions import JMESPathError

    try:
        selected = compiled(expression).search(document)
    except (JMESPathError, RecursionError, TypeError, ValueError):
        raise SourceDown("`select` cannot be applied to the answer") from None
    if selected in (None, [], {}):
        raise SourceDown("`select` finds nothing in the answer")
    return selected


def no_chart(fault: Rejected) -> SourceDown:
    """What the reader says about the answer, as a fault of the source."""
    return SourceDown(f"the answer is no chart: {fault}")
