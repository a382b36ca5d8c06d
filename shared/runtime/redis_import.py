"""Imports redis-py without OpenTelemetry's SDK, which redis-py imports for its own metrics if it is installed.

The app does not use those metrics, and the SDK takes as long to import as redis-py itself. shared/__init__.py imports
this module first, so no other import of redis comes before it. If the SDK is imported already, there is nothing to
save.
"""

import sys

_SDK = "opentelemetry.sdk.metrics"

if _SDK in sys.modules:
    import redis.asyncio
else:
    sys.modules[_SDK] = None  # type: ignore[assignment]  # makes its import fail
    try:
        import redis.asyncio  # noqa: F401
    finally:
        del sys.modules[_SDK]
