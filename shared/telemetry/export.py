"""Who exports what to Application Insights. docs/metrics.md has the table.

The host exports log lines, unless the worker said that it exports them itself; then it drops them. The worker library
exports everything with PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY. With PYTHON_ENABLE_OPENTELEMETRY it exports nothing
and leaves it to the app.
"""

import logging
import sys

from shared.telemetry.logger import logger

_NO_LOGGER = "keyspace_functions.exported_by_the_host"
"""No record goes to this logger: the distribution ignores `disable_logging`, and would export each line again."""
_INSTRUMENTED = ("azure_sdk", "django", "fastapi", "flask", "psycopg2", "requests", "urllib", "urllib3")


def start_export(connection_string: str, *, by_worker: bool, host_leaves_logs: bool) -> None:
    """Start exporting metrics and spans, and log lines where the host leaves them to the app.

    The exporter takes a second or more to import, so it is imported only if a connection string is set. Without one,
    log lines that the host leaves go to stderr, which it always shows.
    """
    if by_worker:
        return
    if not connection_string:
        if host_leaves_logs:
            logger.addHandler(logging.StreamHandler(sys.stderr))
        return
    from azure.monitor.opentelemetry import configure_azure_monitor
    from opentelemetry.resource.detector.azure import AzureFunctionsResourceDetector

    configure_azure_monitor(
        connection_string=connection_string,
        logger_name=logger.name if host_leaves_logs else _NO_LOGGER,
        resource=AzureFunctionsResourceDetector().detect(),
        instrumentation_options={name: {"enabled": False} for name in _INSTRUMENTED},
    )
