"""Export of metrics and spans to Application Insights."""


def start_export(connection_string: str, *, by_worker: bool) -> None:
    """Start exporting metrics and spans, unless there is no connection string or the worker library exports them.

    The exporter takes a second or more to import, so it is imported only if a connection string is set. The host
    exports the log lines.
    """
    if not connection_string or by_worker:
        return
    from azure.monitor.opentelemetry import configure_azure_monitor

    instrumented = ("azure_sdk", "django", "fastapi", "flask", "psycopg2", "requests", "urllib", "urllib3")
    configure_azure_monitor(
        connection_string=connection_string,
        disable_logging=True,
        instrumentation_options={name: {"enabled": False} for name in instrumented},
    )
