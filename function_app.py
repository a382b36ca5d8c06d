"""Composition only: the function app and its blueprints.

Of an exception at import the host shows nothing but "0 functions loaded", while what is written to stderr always
appears. So the settings are read before anything else is imported, and any failure is named there.
"""

import sys

from shared.startup import reported

with reported(sys.stderr):
    from shared import settings

    _settings = settings.current()

    import azure.functions as func

    from shared import telemetry

    telemetry.start_export(
        _settings.application_insights,
        by_worker=_settings.worker_exports,
        host_leaves_logs=_settings.host_leaves_logs,
    )

    from triggers import charts, dead_letters, http, invocations, keys, keyspace, monitor, timers

    app = func.FunctionApp()
    if not _settings.standby:
        app.register_functions(keyspace.blueprint)
        app.register_functions(timers.blueprint)
    app.register_functions(http.blueprint)
    app.register_functions(charts.blueprint)
    app.register_functions(dead_letters.blueprint)
    app.register_functions(keys.blueprint)
    app.register_functions(monitor.blueprint)

    invocations.begin_repair()
