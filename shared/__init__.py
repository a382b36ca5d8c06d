"""The app without Azure: everything but the triggers. Imports go down this list only (pyproject.toml enforces it).

registry.py     the reactors; whatever serves all of them derives from it
operations/     what operators see: health, activity, census of keys, monitor page, OpenAPI, doctor
batches/        fastapi:temp:data:*   -> analysis results, and the baseline that readings are scored against
charts/         fabric:data:chart:*   -> caches ready to be drawn
sessions/       nextauth:session:*    -> audit records, one per transition
intake/         from a message to a reactor: events, heartbeats, lanes, shares, collector; the app's own ear
delivery/       what makes it certain: reconciliation, retries, failures, dead letters, replay
audit/          audit records on their way to storage: chain, export, verification
app.py          settings, Redis client and scripts of this process; no state of a feature
settings.py     every setting
telemetry/      log records, metrics, spans, counts per minute
reading/        from a client's bytes to named series
store/          Redis: connection, sign-in by identity, subscription, scripts, refusals, glob matching
privacy/        keyed fingerprints, sealed tokens, masking
runtime/        threads, malloc, lazy NumPy
reactor.py      THE contract: Cause, Outcome, Scanned, Reactor
namespaces.py   every key: pattern, owner, TTL
platform_variables.py   what the platform's environment variables say
errors.py       the tree of errors
clock.py        times as text
"""

from shared.runtime import redis_import  # noqa: F401  # before any module imports redis
