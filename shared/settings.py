"""The app's settings: the only place that reads os.environ.

Each setting is one field: its type says what is valid, its description what it does and why the default is what it
is. README.md's table is made from these fields.
"""

import json
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shared.errors import ConfigurationError
from shared.store.connection import parse_connection_string

DEVELOPMENT_AUDIT_KEY = "development-only-audit-key"
MIN_KEY_CHARS = 16
MIB = 1024 * 1024


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting, validated. Secrets are left out of the repr."""

    redis: Annotated[
        str,
        Meta(
            description="StackExchange.Redis connection string of the one Redis; the triggers and the app's own "
            "client both use it. Database 0."
        ),
    ] = "127.0.0.1:6379"
    audit_key: Annotated[
        str,
        Meta(
            min_length=MIN_KEY_CHARS,
            description="Secret under which session tokens become fingerprints and the audit log is signed. In Azure "
            "the app refuses to start on the development value.",
        ),
    ] = DEVELOPMENT_AUDIT_KEY
    audit_key_previous: Annotated[
        str,
        Meta(
            description="The AUDIT_KEY before the present one, for as long as sessions from before the change live and "
            "audit files from before it are verified; empty for none."
        ),
    ] = ""
    audit_buffer: Annotated[
        int,
        Meta(
            ge=1000,
            description="Audit records that the stream in Redis keeps at the most (approximately) while storage "
            "is away.",
        ),
    ] = 1_000_000
    audit_schedule: Annotated[
        str,
        Meta(min_length=1, description="NCRONTAB schedule by which audit records are shipped to storage."),
    ] = "0 * * * * *"
    audit_refresh_min_s: Annotated[
        float,
        Meta(
            ge=0,
            description="Least time between two `refreshed` records of one session, in seconds: some clients move the "
            "expiry with every request. Refreshes in between are counted, not recorded.",
        ),
    ] = 60
    audit_pseudonymise_users: Annotated[
        bool,
        Meta(description="Whether user ids are recorded as keyed pseudonyms, not as they are."),
    ] = False
    expiry_schedule: Annotated[
        str,
        Meta(
            min_length=1,
            description="NCRONTAB schedule by which sessions are looked at when they are due to expire; Redis' own "
            "event can be minutes late.",
        ),
    ] = "*/5 * * * * *"
    session_lost_after_s: Annotated[
        float,
        Meta(
            ge=0,
            description="How long the event that tells why a session is gone may still be on its way, in seconds; "
            "after that its end is recorded as `lost`.",
        ),
    ] = 10
    delete_lapsed_sessions: Annotated[
        bool,
        Meta(
            description="Whether a session whose `expires` has passed while its key lives on is deleted. NextAuth "
            "deletes it at the next read, so one that nobody reads stays for ever."
        ),
    ] = False
    max_sessions_per_user: Annotated[
        int,
        Meta(ge=0, description="Sessions of one user past which each further one is recorded as a signal; 0 is off."),
    ] = 0
    revoke_tokens_on_last_logout: Annotated[
        bool,
        Meta(description="Whether the end of a user's last session deletes `fabric:user:{userId}:tokens`."),
    ] = False
    max_payload_bytes: Annotated[
        int,
        Meta(
            ge=1024,
            le=512 * MIB,
            description="Largest batch or chart that is read; checked before reading. 8 MiB is about 100,000 readings. "
            "Sessions are bounded by 256 KiB, or by this if it is less.",
        ),
    ] = 8 * MIB
    lease_s: Annotated[
        float,
        Meta(
            ge=0,
            description="How long a claim on a batch holds without being renewed, in seconds; 0 is a quarter of "
            "host.json's functionTimeout. A batch whose worker died is taken over after this.",
        ),
    ] = 0
    work_timeout_s: Annotated[
        float,
        Meta(
            gt=0,
            description="How long the analysis of one batch or chart may take, in seconds, before it counts as failed "
            "and is retried. It bounds how long one key can hold up the others of its reactor.",
        ),
    ] = 20
    retry_base_s: Annotated[
        float,
        Meta(
            gt=0,
            description="Backoff of a failed key: the n-th retry waits a random time up to base * 2^(n-1) seconds.",
        ),
    ] = 2
    retry_cap_s: Annotated[float, Meta(gt=0, description="Longest backoff, in seconds.")] = 300
    retry_attempts: Annotated[
        int, Meta(ge=1, le=30, description="Attempts that a key gets before it becomes a dead letter.")
    ] = 6
    retry_schedule: Annotated[
        str, Meta(min_length=1, description="NCRONTAB schedule by which retries that are due are made.")
    ] = "*/5 * * * * *"
    dead_letters_max: Annotated[
        int,
        Meta(
            ge=1, le=100_000, description="Dead letters kept at the most; the oldest go first. Each is kept for 7 days."
        ),
    ] = 10_000
    dead_letters_max_bytes: Annotated[
        int, Meta(ge=1024, description="Bytes of dead letters (compressed) kept at the most; the oldest go first.")
    ] = 256 * MIB
    sweep_schedule: Annotated[
        str,
        Meta(min_length=1, description="NCRONTAB schedule of the sweep, which finds what no event told of."),
    ] = "*/30 * * * * *"
    burst_sweep: Annotated[
        bool,
        Meta(description="Whether a function whose messages queue up sweeps its keys in bulk until it has caught up."),
    ] = True
    anomaly_threshold: Annotated[
        float,
        Meta(
            gt=0,
            description="Modified z-score past which a reading is an anomaly (Iglewicz and Hoaglin: 3.5).",
        ),
    ] = 3.5
    baseline_min_samples: Annotated[
        int,
        Meta(
            ge=1,
            description="Samples that a metric's rolling baseline needs before readings are scored against it; below "
            "that a batch is scored against itself.",
        ),
    ] = 100
    baseline_max_age_s: Annotated[
        float,
        Meta(
            ge=0,
            description="Age of the copy of the baseline that a worker scores with, in seconds; 0 reads it anew.",
        ),
    ] = 1.0
    chart_max_points: Annotated[
        int,
        Meta(
            ge=3,
            le=100_000,
            description="Points per series in a chart cache; more are downsampled to it (LTTB).",
        ),
    ] = 500
    chart_queries: Annotated[
        dict[Annotated[str, Meta(min_length=1)], list[str]],
        Meta(
            description="Query caches that depend on charts, as JSON: query id to globs over the chart id, or over "
            "chartId:dataType where the glob has a ':'. A refreshed chart deletes them."
        ),
    ] = msgspec.field(default_factory=lambda: {"plant-overview": ["*"]})
    debug_endpoint_enabled: Annotated[
        bool,
        Meta(
            description="Whether `GET /api/debug/session` answers: counts and masked keys, and a user's sessions and "
            "tokens by when they end, never what they are."
        ),
    ] = False

    function_timeout_s: float = 0
    """The platform's functionTimeout, from host.json or its override; no setting of its own."""
    storage: str = ""
    """The platform's storage account: a connection string, or the URL of its blob service where an identity signs in.
    From AzureWebJobsStorage or its identity-based form; no setting of its own. Empty where there is none."""
    storage_client_id: str = ""
    """Client id of the user-assigned identity for it; empty for the default credential."""
    application_insights: str = ""
    """APPLICATIONINSIGHTS_CONNECTION_STRING; empty where nothing is sent there."""
    worker_exports: bool = False
    """Whether the worker library itself sends telemetry there (PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY)."""

    @property
    def lease_ms(self) -> int:
        return round((self.lease_s or self.function_timeout_s / 4) * 1000)

    def __repr__(self) -> str:
        shown = (f"{name}={'***' if name in SECRET else getattr(self, name)!r}" for name in self.__struct_fields__)
        return f"Settings({', '.join(shown)})"


SECRET = frozenset({"redis", "audit_key", "audit_key_previous", "storage", "application_insights"})
_OF_THE_PLATFORM = (
    "function_timeout_s",
    "storage",
    "storage_client_id",
    "application_insights",
    "worker_exports",
)

_HOST_JSON = Path(__file__).parent.parent / "host.json"
_FUNCTION_TIMEOUT_OVERRIDE = "AzureFunctionsJobHost__functionTimeout"
_TIME_SPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2})")


def names() -> tuple[str, ...]:
    """The fields that are settings."""
    return tuple(name for name in Settings.__struct_fields__ if name not in _OF_THE_PLATFORM)


def variable(field_name: str) -> str:
    """The environment variable of a field: upper case, but for `Redis`, which is also the triggers' connection."""
    return "Redis" if field_name == "redis" else field_name.upper()


def parse(environ: Mapping[str, str]) -> Settings:
    """Settings from environment variables; an empty value means the default.

    Raises ConfigurationError that lists all faults at once, each with its variable and without secret values.
    """
    values: dict[str, Any] = {}
    faults: list[str] = []
    for field in msgspec.structs.fields(Settings):
        if field.name not in names():
            continue
        name = variable(field.name)
        text = environ.get(name, "")
        if not text.strip():
            continue
        try:
            if field.name == "chart_queries":
                values[field.encode_name] = msgspec.json.decode(text, type=field.type)
            else:
                values[field.encode_name] = msgspec.convert(text, type=field.type, strict=False)
        except msgspec.MsgspecError as fault:
            faults.append(f"{name}: {fault}")
    try:
        values["function_timeout_s"] = _function_timeout_s(environ)
    except ConfigurationError as fault:
        faults.append(str(fault))
    values["storage"], values["storage_client_id"] = _storage(environ)
    values["application_insights"] = environ.get("APPLICATIONINSIGHTS_CONNECTION_STRING", "")
    enabled = environ.get("PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY", "")
    values["worker_exports"] = enabled.lower() in {"1", "true", "t", "yes", "y"}
    settings = Settings(**values)
    faults += _contradictions(settings)
    try:
        parse_connection_string(settings.redis)
    except ConfigurationError as fault:
        faults.append(str(fault))
    if "WEBSITE_INSTANCE_ID" in environ and settings.audit_key == DEVELOPMENT_AUDIT_KEY:
        faults.append("AUDIT_KEY: has to be set to a secret of your own in Azure, not left at its development value")
    if faults:
        raise ConfigurationError("; ".join(faults))
    return settings


def _contradictions(settings: Settings) -> list[str]:
    """Settings that cannot hold together."""
    timeout_s, faults = settings.function_timeout_s, []
    if 0 < settings.lease_s < 0.01:
        faults.append(f"LEASE_S ({settings.lease_s:g}) is below 0.01; 0 is a quarter of functionTimeout")
    if settings.lease_s > timeout_s:
        faults.append(f"LEASE_S ({settings.lease_s:g}) is longer than functionTimeout ({timeout_s:g} s)")
    if settings.work_timeout_s >= timeout_s:
        faults.append(f"WORK_TIMEOUT_S ({settings.work_timeout_s:g}) is not below functionTimeout ({timeout_s:g} s)")
    for name in ("sweep_schedule", "retry_schedule", "expiry_schedule", "audit_schedule"):
        text = getattr(settings, name)
        if len(text.split()) != 6 and not _TIME_SPAN.fullmatch(text):
            faults.append(f"{variable(name)}: neither an NCRONTAB expression of six fields nor hh:mm:ss")
    if settings.retry_base_s > settings.retry_cap_s:
        faults.append(f"RETRY_BASE_S ({settings.retry_base_s:g}) is above RETRY_CAP_S ({settings.retry_cap_s:g})")
    if settings.audit_key_previous and len(settings.audit_key_previous) < MIN_KEY_CHARS:
        faults.append(f"AUDIT_KEY_PREVIOUS: has fewer than {MIN_KEY_CHARS} characters")
    if settings.audit_key_previous == settings.audit_key:
        faults.append("AUDIT_KEY_PREVIOUS: is the same as AUDIT_KEY")
    if settings.revoke_tokens_on_last_logout and settings.audit_pseudonymise_users:
        faults.append(
            "REVOKE_TOKENS_ON_LAST_LOGOUT: needs the user ids, which are not kept with AUDIT_PSEUDONYMISE_USERS"
        )
    if settings.dead_letters_max_bytes < settings.max_payload_bytes:
        faults.append(
            f"DEAD_LETTERS_MAX_BYTES ({settings.dead_letters_max_bytes}) is below MAX_PAYLOAD_BYTES "
            f"({settings.max_payload_bytes}): the largest payload would never be kept"
        )
    return faults


def _storage(environ: Mapping[str, str]) -> tuple[str, str]:
    """The storage account as the host finds it, and the client id of the identity that signs in to it."""
    name = "AzureWebJobsStorage"
    if text := environ.get(name, "").strip():
        return text, ""
    client_id = environ.get(f"{name}__clientId", "")
    if url := environ.get(f"{name}__blobServiceUri", ""):
        return url, client_id
    account = environ.get(f"{name}__accountName", "")
    return (f"https://{account}.blob.core.windows.net", client_id) if account else ("", "")


def _function_timeout_s(environ: Mapping[str, str]) -> float:
    """functionTimeout as the host reads it. Raises ConfigurationError where it is not finite: a hung handler would
    block its lane for ever."""
    text = environ.get(_FUNCTION_TIMEOUT_OVERRIDE)
    if text is None:
        text = str(json.loads(_HOST_JSON.read_text(encoding="utf-8")).get("functionTimeout"))
    found = _TIME_SPAN.fullmatch(text)
    if found is None:
        raise ConfigurationError(f"functionTimeout: {text!r} is no finite time span hh:mm:ss")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


@cache
def current() -> Settings:
    """The settings of this process, read once."""
    return parse(os.environ)


def description(field_name: str) -> str:
    """What a setting is for, as its field says."""
    annotation = Settings.__annotations__[field_name]
    return next(meta.description or "" for meta in annotation.__metadata__ if isinstance(meta, Meta))
