"""Settings that contradict each other, or that a type cannot check. Pure."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from shared import schedules
from shared.platform_variables import disabled_functions, is_azure, is_on

if TYPE_CHECKING:
    from shared.settings import Settings

MIN_KEY_CHARS = 16
_NEVER_ABORTS = re.compile(r"\.redis\.cache\.|\.redisenterprise\.cache\.azure\.net", re.IGNORECASE)
"""Host names for which the trigger's client has abortConnect=False by default; not those of Azure Managed Redis."""
_ORIGIN = r"https?://[A-Za-z0-9.\-\[\]:]+"


def of(settings: "Settings") -> list[str]:
    """What is wrong, each with its variable and without secret values."""
    timeout_s, faults = settings.function_timeout_s, []
    if 0 < settings.lease_s < 0.01:
        faults.append(f"LEASE_S ({settings.lease_s:g}) is below 0.01; 0 is a quarter of functionTimeout")
    if settings.lease_s > timeout_s:
        faults.append(f"LEASE_S ({settings.lease_s:g}) is longer than functionTimeout ({timeout_s:g} s)")
    if settings.work_timeout_s >= timeout_s:
        faults.append(f"WORK_TIMEOUT_S ({settings.work_timeout_s:g}) is not below functionTimeout ({timeout_s:g} s)")
    for name in ("sweep_schedule", "retry_schedule", "expiry_schedule", "audit_schedule"):
        fault = schedules.fault(getattr(settings, name))
        faults += [f"{name.upper()}: {fault}"] if fault else []
    if settings.retry_base_s > settings.retry_cap_s:
        faults.append(f"RETRY_BASE_S ({settings.retry_base_s:g}) is above RETRY_CAP_S ({settings.retry_cap_s:g})")
    if settings.chart_keep_s < settings.chart_active_s:
        faults.append(f"CHART_KEEP_S ({settings.chart_keep_s:g}) is below CHART_ACTIVE_S ({settings.chart_active_s:g})")
    bad_origins = [text for text in settings.cors_origins if text != "*" and not re.fullmatch(_ORIGIN, text)]
    faults += [
        f"CHART_CORS_ORIGINS: {text[:80]!r} is no origin such as https://dash.example.com" for text in bad_origins
    ]
    if settings.audit_key_previous and len(settings.audit_key_previous) < MIN_KEY_CHARS:
        faults.append(f"AUDIT_KEY_PREVIOUS: has fewer than {MIN_KEY_CHARS} characters")
    if settings.audit_key_previous == settings.audit_key:
        faults.append("AUDIT_KEY_PREVIOUS: must differ from AUDIT_KEY")
    if settings.revoke_tokens_on_last_logout and settings.audit_pseudonymise_users:
        faults.append("REVOKE_TOKENS_ON_LAST_LOGOUT: needs user ids, which AUDIT_PSEUDONYMISE_USERS does not keep")
    if settings.dead_letters_max_bytes < settings.max_payload_bytes:
        faults.append(
            f"DEAD_LETTERS_MAX_BYTES ({settings.dead_letters_max_bytes}) is below MAX_PAYLOAD_BYTES "
            f"({settings.max_payload_bytes}): the largest payload would never be kept"
        )
    return faults


def concerns(environ: Mapping[str, str], settings: "Settings") -> list[str]:
    """What is set wrong although the app can start."""
    found = []
    if (
        is_on(environ, "PYTHON_ENABLE_OPENTELEMETRY")
        and not is_on(environ, "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY")
        and not environ.get("APPLICATIONINSIGHTS_CONNECTION_STRING")
    ):
        found.append(
            "PYTHON_ENABLE_OPENTELEMETRY: the host leaves log lines to the app's own export, and there is none: remove "
            "it, or set APPLICATIONINSIGHTS_CONNECTION_STRING"
        )
    if settings.standby:
        found.append("STANDBY: this app has no triggers and timers, and reacts to nothing by itself")
    redis = settings.redis_options
    if is_azure(environ) and redis.abort_connect and not _NEVER_ABORTS.search(redis.host):
        found.append("Redis: add abortConnect=False; without it a trigger that starts while Redis is away stays off")
    for function, name in disabled_functions(environ).items():
        found.append(f"the function {function} is disabled by the app setting {name}")
    return found
