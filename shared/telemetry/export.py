"""Export of metrics and spans to Application Insights."""


def start_export(connection_string: str, *, by_worker: bool) -> None:
    """Have metrics and spans sent to Application Insights, unless there is none or the worker library does it.

    Importing what does that takes a second or more, which is why it happens only where a connection string is set.
    Log lines go through the host, as always: it exports them.
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
