"""Metrics, spans, a log line per effect, two log lines per outage."""

from shared.telemetry.export import start_export
from shared.telemetry.held_lines import background, invocation
from shared.telemetry.logger import logger
from shared.telemetry.metrics import METRICS, backlog, count, counts, lag, triggers
from shared.telemetry.outages import forget, in_outage, outage, outages_begun, outages_ended, recovered, refused_parts
from shared.telemetry.records import malformed, record, record_group

__all__ = [
    "METRICS",
    "background",
    "backlog",
    "count",
    "counts",
    "forget",
    "in_outage",
    "invocation",
    "lag",
    "logger",
    "malformed",
    "outage",
    "outages_begun",
    "outages_ended",
    "record",
    "record_group",
    "recovered",
    "refused_parts",
    "start_export",
    "triggers",
]
