"""Metrics, spans, a log line per effect, two log lines per outage."""

from shared.telemetry.export import start_export
from shared.telemetry.logger import logger
from shared.telemetry.metrics import METRICS, backlog, count, counts, lag
from shared.telemetry.outages import in_outage, outage, outages_begun, recovered
from shared.telemetry.records import malformed, record, record_group

__all__ = [
    "METRICS",
    "backlog",
    "count",
    "counts",
    "in_outage",
    "lag",
    "logger",
    "malformed",
    "outage",
    "outages_begun",
    "record",
    "record_group",
    "recovered",
    "start_export",
]
