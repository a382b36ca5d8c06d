"""Times as text: ISO 8601 in UTC, ending in Z."""

from datetime import UTC, datetime
from typing import Literal

type Precision = Literal["seconds", "milliseconds"]


def iso_utc(time_s: float, precision: Precision = "milliseconds") -> str:
    """`time_s` (seconds since 1970) as in `2026-11-22T20:59:43.420Z`.

    Raises ValueError for a time outside of the years 1 to 9999.
    """
    try:
        return datetime.fromtimestamp(time_s, UTC).isoformat(timespec=precision).replace("+00:00", "Z")
    except (OverflowError, OSError) as error:
        raise ValueError("outside of the years 1 to 9999") from error


def now_iso() -> str:
    """The time of this machine's clock, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
