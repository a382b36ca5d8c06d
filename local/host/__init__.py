"""A stand-in for the Azure Functions host on one machine, over the real Python worker library.

- host: loads an app, checks its bindings, starts its triggers and stops them.
- worker: drives azure-functions-runtime, the library of the Azure worker process.
- bindings: what the host requires of a function's bindings.
- pubsub, timers, http: the three kinds of trigger. faults, locks: how the first two fail in Azure.
- app_settings: local.settings.json.

`python -m local.host` runs one app.
"""
