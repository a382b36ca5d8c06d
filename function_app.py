"""Composition only: the function app and its blueprints.

The settings are read here, at import, so that an app which is set up wrongly says so at start-up, where the host
shows it, and not with its first event.
"""

import azure.functions as func

from shared import settings, telemetry
from triggers import http, invocations, keyspace, monitor, timers

_settings = settings.current()
telemetry.start_export(_settings.application_insights, by_worker=_settings.worker_exports)

app = func.FunctionApp()
app.register_functions(keyspace.blueprint)
app.register_functions(timers.blueprint)
app.register_functions(http.blueprint)
app.register_functions(monitor.blueprint)

invocations.begin_repair()
