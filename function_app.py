"""Composition only: the function app and its blueprints.

The settings are read here, at import, so that an app which is set up wrongly says so at start-up, where the host
shows it, and not with its first event.
"""

import azure.functions as func

from shared import settings
from triggers import http, keyspace, timers

settings.current()

app = func.FunctionApp()
app.register_functions(keyspace.blueprint)
app.register_functions(timers.blueprint)
app.register_functions(http.blueprint)
