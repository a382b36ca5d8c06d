"""The app's settings: the only module that reads os.environ.

Each setting is one field: its type says which values are valid, its docstring what it does and why the default is what
it is. The documentation's table is generated from these fields.

There is one way to get them: `current()`, which reads the environment variables of this process once. In Azure the
platform sets them; on one machine the local host and manage.py first put the values of local.settings.json there
(local/host/app_settings.py). `current()` serves what comes before an app exists: start-up and the schedules of the
timers. Everything else reads `app.settings`, which is the same object.
"""

import os
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from shared import contradictions
from shared.contradictions import MIN_KEY_CHARS
from shared.errors import ConfigurationError
from shared.platform_variables import (
    disabled_functions,
    function_timeout_s,
    instance,
    is_azure,
    is_on,
    storage,
    unresolved_references,
    worker_processes,
)
from shared.privacy.masking import printable
from shared.reading.overrides import Inputs
from shared.reading.overrides import parse as parse_inputs
from shared.store.connection import ConnectionOptions, parse_connection_string
from shared.store.connection_setting import find, variables
from shared.store.identity import Identity

if TYPE_CHECKING:
    from shared.sources.config import Sources

DEVELOPMENT_AUDIT_KEY = "development-only-audit-key"
MIB = 1024 * 1024


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting, validated. Secrets are left out of the repr."""

    redis: str = "127.0.0.1:6379"
    """StackExchange.Redis connection string of the one Redis, for the triggers and for the app's own client. Database
    0. Looked up as the trigger does: as `AzureWebJobsRedis`, as a connection string of the portal
    (`ConnectionStrings:Redis`) and as `Redis`, in any letter case. Required in Azure, unless `Redis__redisHostName` is
    set for [sign-in by identity](#sign-in-by-identity)."""
    audit_key: Annotated[str, Meta(min_length=MIN_KEY_CHARS)] = DEVELOPMENT_AUDIT_KEY
    """Secret that turns session tokens into fingerprints and signs the audit log. In Azure the app refuses to start
    with the development value."""
    audit_key_previous: str = ""
    """The AUDIT_KEY before the present one, while sessions from before the change live and audit files from before it
    are verified; empty for none."""
    audit_buffer: Annotated[int, Meta(ge=1000)] = 1_000_000
    """Audit records (approximately) that the stream in Redis keeps at most while storage is away."""
    audit_schedule: Annotated[str, Meta(min_length=1)] = "0 * * * * *"
    """NCRONTAB schedule of the export of audit records to storage."""
    audit_refresh_min_s: Annotated[float, Meta(ge=0)] = 60
    """Minimum time between two `refreshed` records of one session, in seconds: some clients move the expiry with every
    request. Refreshes in between are counted, not recorded."""
    audit_pseudonymise_users: bool = False
    """Whether user ids are recorded as keyed pseudonyms."""
    expiry_schedule: Annotated[str, Meta(min_length=1)] = "*/5 * * * * *"
    """NCRONTAB schedule of the check of sessions that are due to expire; Redis' own event can be minutes late."""
    session_lost_after_s: Annotated[float, Meta(ge=0)] = 10
    """How long to wait for the event that tells why a session is gone, in seconds; after that its end is recorded as
    `lost`."""
    delete_lapsed_sessions: bool = False
    """Whether to delete a session whose key still exists after its `expires`. NextAuth deletes it at the next read, so
    a session that is never read stays for ever."""
    max_sessions_per_user: Annotated[int, Meta(ge=0)] = 0
    """Sessions of one user above which each further session is recorded as a signal; 0 is off."""
    revoke_tokens_on_last_logout: bool = False
    """Whether the end of a user's last session deletes `fabric:user:{userId}:tokens`."""
    max_payload_bytes: Annotated[int, Meta(ge=1024, le=512 * MIB)] = 8 * MIB
    """Largest batch or chart that is read; checked before reading. 8 MiB is about 100,000 readings. Sessions are
    limited to 256 KiB, or to this if it is less."""
    lease_s: Annotated[float, Meta(ge=0)] = 0
    """How long a claim on a batch holds without renewal, in seconds; 0 is a quarter of host.json's functionTimeout.
    After this, another worker takes over the batch of a worker that died."""
    work_timeout_s: Annotated[float, Meta(gt=0)] = 20
    """How long the analysis of one batch or chart may take, in seconds, before it counts as failed and is retried.
    Limits how long one key can delay the others of its reactor."""
    retry_base_s: Annotated[float, Meta(gt=0)] = 2
    """Backoff of a failed key: the n-th retry waits a random time up to base * 2^(n-1) seconds."""
    retry_cap_s: Annotated[float, Meta(gt=0)] = 300
    """Longest backoff, in seconds."""
    retry_attempts: Annotated[int, Meta(ge=1, le=30)] = 6
    """Attempts for a key before it becomes a dead letter."""
    retry_schedule: Annotated[str, Meta(min_length=1)] = "*/5 * * * * *"
    """NCRONTAB schedule of the retries that are due; it also continues a sweep in progress."""
    dead_letters_max: Annotated[int, Meta(ge=1, le=100_000)] = 10_000
    """Dead letters kept at most; the oldest are dropped first. Each is kept for 7 days."""
    dead_letters_max_bytes: Annotated[int, Meta(ge=1024)] = 256 * MIB
    """Bytes of dead letters (compressed) kept at most; the oldest are dropped first."""
    dead_letters_alert: Annotated[int, Meta(ge=0)] = 1
    """Health is degraded from this many new dead letters within DEAD_LETTERS_ALERT_S on; 0 is off."""
    dead_letters_alert_s: Annotated[float, Meta(gt=0)] = 3600
    """Period of DEAD_LETTERS_ALERT, in seconds."""
    sweep_schedule: Annotated[str, Meta(min_length=1)] = "*/30 * * * * *"
    """NCRONTAB schedule of the sweep, which finds keys whose events were lost: when a pass over all keys may begin."""
    reconcile_share: Annotated[float, Meta(gt=0, le=1)] = 0.02
    """Share of the time that the sweep takes at most, of all instances together, while no loss is known. After a start,
    a reconnection, a restart of Redis or a find of lost events it makes a pass without pauses; 1 always does."""
    burst_sweep: bool = True
    """Whether an instance whose triggers are far behind scans the keys in bulk, once, to find what waits there."""
    deaf_unhealthy_s: Annotated[float, Meta(ge=0)] = 120
    """How long the platform's trigger may be deaf, in seconds, before health fails (503), so that the platform's health
    check replaces the instance; 0 is never. The app hears events by itself meanwhile."""
    anomaly_threshold: Annotated[float, Meta(gt=0)] = 3.5
    """Modified z-score above which a reading is an anomaly (Iglewicz and Hoaglin: 3.5)."""
    baseline_min_samples: Annotated[int, Meta(ge=1)] = 100
    """Samples that a metric's rolling baseline needs before readings are scored against it; below that a batch is
    scored against itself."""
    baseline_max_age_s: Annotated[float, Meta(ge=0)] = 1.0
    """Maximum age of a worker's copy of the baseline, in seconds; 0 reads it for every batch."""
    chart_max_points: Annotated[int, Meta(ge=3, le=100_000)] = 500
    """Points per series in a chart cache; longer series are downsampled to this (LTTB)."""
    chart_queries: dict[Annotated[str, Meta(min_length=1)], list[str]] = msgspec.field(
        default_factory=lambda: {"plant-overview": ["*"]}
    )
    """Query caches that depend on charts, as JSON: query id to globs over the chart id, or over chartId:dataType where
    the glob has a ':'. A refreshed chart deletes them."""
    chart_sources: str = ""
    """Where charts come from, as a JSON list: `match`, `url`, `method`, `body`, `headers`, `scope`, `select`, `ttl_s`,
    `refresh_ahead_s`, `timeout_s`. A chart that matches is fetched when it expires. See docs/charts.md."""
    chart_source_hosts: str = ""
    """Hosts that CHART_SOURCES may call: names, addresses and networks, separated by commas. A name that resolves to a
    private address needs that address or its network in the list too."""
    chart_active_s: Annotated[float, Meta(ge=0)] = 900
    """How long a chart counts as watched after it was written by a client, read through the API or named in
    `functions:charts:interest`, in seconds: a watched chart is refreshed before it expires."""
    chart_keep_s: Annotated[float, Meta(ge=0)] = 604_800
    """How long after the last such sign of use a chart that has expired is still fetched again, in seconds."""
    chart_fetch_concurrency: Annotated[int, Meta(ge=1, le=1000)] = 8
    """Requests in flight to one source at most, of all instances together."""
    chart_max_stale_s: Annotated[float, Meta(ge=0)] = 3600
    """How long the cache of a chart whose source does not answer is kept, marked stale, in seconds from its expiry."""
    chart_cors_origins: str = ""
    """Origins whose pages may read `GET /api/charts`, separated by commas, or `*`. Empty for none."""
    inputs: str = ""
    """What overrules the reader of batches and charts, as JSON: a glob over keys to `rows`, `time`, `zone`, `series`,
    `value`, `unit`, `sensor`, `measures`, `ignore`, `dayFirst`. See docs/inputs.md."""
    standby: bool = False
    """Whether this app reacts to nothing by itself: it has no triggers and timers, and answers HTTP. For the slot that
    is not live: see docs/azure.md."""
    debug_endpoint_enabled: bool = False
    """Whether `GET /api/debug/session` answers: counts and masked keys; for a user, when sessions and tokens end, never
    their content."""

    chart_secrets: tuple[tuple[str, str], ...] = ()
    """The settings that CHART_SOURCES refers to, by name; not a setting of the app."""
    redis_identity: Identity | None = None
    """Who signs in to Redis, where `Redis__redisHostName` and its siblings take the place of `Redis`."""
    function_timeout_s: float = 0
    """The platform's functionTimeout, from host.json or its override; not a setting of the app."""
    storage: str = ""
    """The platform's storage account: a connection string, or the URL of its blob service for sign-in by identity. From
    AzureWebJobsStorage or its identity-based form; not a setting of the app. Empty for none."""
    storage_client_id: str = ""
    """Client id of the user-assigned identity for storage; empty for the default credential."""
    application_insights: str = ""
    """APPLICATIONINSIGHTS_CONNECTION_STRING; empty to send no telemetry."""
    worker_exports: bool = False
    """Whether the worker library sends telemetry itself (PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY)."""
    host_leaves_logs: bool = False
    """Whether the host leaves log lines to the worker's own export (PYTHON_ENABLE_OPENTELEMETRY, or the above)."""
    instance: str = "here"
    """Identifies this host among those on one Redis. All its worker processes have it: each message goes to one."""
    disabled: frozenset[str] = frozenset()
    """Names of the functions that are switched off, in lower case."""
    worker_processes: int = 1
    """FUNCTIONS_WORKER_PROCESS_COUNT."""
    concerns: tuple[str, ...] = ()
    """What is set wrong but does not keep the app from starting; health reports it."""

    @property
    def redis_options(self) -> ConnectionOptions:
        """How to connect to Redis, parsed."""
        return _connection_options(self.redis, self.redis_identity)

    @property
    def overrides(self) -> Inputs:
        """The setting INPUTS, parsed."""
        return _parsed_inputs(self.inputs)

    @property
    def cors_origins(self) -> tuple[str, ...]:
        """The setting CHART_CORS_ORIGINS, parsed."""
        return tuple(filter(None, (origin.strip().rstrip("/") for origin in self.chart_cors_origins.split(","))))

    @property
    def sources(self) -> "Sources":
        """The setting CHART_SOURCES, parsed. Imports the parser: ask `chart_sources` first whether there are any."""
        from shared.sources.config import parse

        return parse(self.chart_sources, self.chart_source_hosts, self.chart_secrets)

    @property
    def lease_ms(self) -> int:
        return round((self.lease_s or self.function_timeout_s / 4) * 1000)

    @property
    def longest_delay_ms(self) -> int:
        """No retry is due later than this from now; see shared/delivery/take_due_retries.lua."""
        return round(self.retry_cap_s * 1000) + self.lease_ms

    def __repr__(self) -> str:
        fields = (f"{name}={'***' if name in SECRET else getattr(self, name)!r}" for name in self.__struct_fields__)
        return f"Settings({', '.join(fields)})"


SECRET = frozenset(("redis", "audit_key", "audit_key_previous", "storage", "application_insights", "chart_secrets"))
_OF_THE_PLATFORM = (
    "chart_secrets",
    *("redis_identity", "function_timeout_s", "storage", "storage_client_id"),
    *(
        "application_insights",
        "worker_exports",
        "host_leaves_logs",
        "instance",
        "disabled",
        "worker_processes",
        "concerns",
    ),
)

_parsed_inputs = cache(parse_inputs)
_connection_options = cache(parse_connection_string)


def names() -> tuple[str, ...]:
    """The fields that are settings of the app."""
    return tuple(name for name in Settings.__struct_fields__ if name not in _OF_THE_PLATFORM)


def variable(field_name: str) -> str:
    """The environment variable of a field: its name in upper case, except `Redis`, the triggers' connection."""
    return "Redis" if field_name == "redis" else field_name.upper()


def _in_words(fault: msgspec.MsgspecError) -> str:
    """msgspec's message with words for the names of Python's types: each value of the environment is a `str`."""
    text = str(fault).replace(", got `str`", "").replace("Expected ", "expected ")
    for name, words in (("`int`", "a whole number"), ("`float`", "a number"), ("`bool`", "true or false")):
        text = text.replace(name, words)
    return text


def parse(environ: Mapping[str, str]) -> Settings:
    """Settings from environment variables; an empty value means the default.

    Raises ConfigurationError, which lists all faults, each with its variable and without secret values.
    """
    values: dict[str, Any] = {}
    faults: list[str] = []
    for field in msgspec.structs.fields(Settings):
        if field.name not in names():
            continue
        name = variable(field.name)
        text = "" if field.name == "redis" else environ.get(name, "")
        if not text.strip():
            continue
        try:
            if field.name == "chart_queries":
                values[field.encode_name] = msgspec.json.decode(text, type=field.type)
            else:
                values[field.encode_name] = msgspec.convert(text, type=field.type, strict=False)
        except msgspec.MsgspecError as fault:
            value = "" if field.name in SECRET else f"; it is '{printable(os.fsencode(text), 60)}'"
            faults.append(f"{name}: {_in_words(fault)}{value}")
    of_redis = (name for name, _ in variables(environ, "Redis"))
    faults += unresolved_references(environ, {*(variable(name) for name in names()), *of_redis})
    values |= _redis(environ, faults)
    try:
        _parsed_inputs(environ.get("INPUTS", ""))
    except ConfigurationError as fault:
        faults.append(str(fault))
    if environ.get("CHART_SOURCES") or environ.get("CHART_SOURCE_HOSTS"):
        from shared.sources import config

        values["chart_secrets"], source_faults = config.read(environ)
        faults += source_faults
    try:
        values["function_timeout_s"] = function_timeout_s(environ)
    except ConfigurationError as fault:
        faults.append(str(fault))
    values["storage"], values["storage_client_id"] = storage(environ)
    values["application_insights"] = environ.get("APPLICATIONINSIGHTS_CONNECTION_STRING", "")
    values["worker_exports"] = is_on(environ, "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY")
    values["host_leaves_logs"] = values["worker_exports"] or is_on(environ, "PYTHON_ENABLE_OPENTELEMETRY")
    values["worker_processes"] = worker_processes(environ)
    values["disabled"] = frozenset(disabled_functions(environ))
    values["instance"] = instance(environ, os.getppid() if values["worker_processes"] > 1 else os.getpid())
    settings = Settings(**values)
    settings = msgspec.structs.replace(settings, concerns=tuple(contradictions.concerns(environ, settings)))
    faults += contradictions.of(settings)
    if is_azure(environ) and settings.audit_key == DEVELOPMENT_AUDIT_KEY:
        faults.append("AUDIT_KEY: must be set to a secret in Azure; it has its development value")
    if faults:
        raise ConfigurationError(*faults)
    return settings


def _redis(environ: Mapping[str, str], faults: list[str]) -> dict[str, Any]:
    """The fields about Redis. Appends to `faults`."""
    try:
        setting = find(environ, "Redis")
        if setting is None:
            if is_azure(environ):
                faults.append("Redis: must be set in Azure, as a connection string or as Redis__redisHostName")
            return {}
        setting.options()
    except ConfigurationError as fault:
        faults += fault.faults
        return {}
    return {"redis": setting.text, "redis_identity": setting.identity}


@cache
def current() -> Settings:
    """The settings of this process, read once from its environment variables. Raises ConfigurationError."""
    return parse(os.environ)


def description(field_name: str) -> str:
    """The docstring of a setting. Reads this module's source: for the documentation, not for the running app."""
    import ast
    import inspect

    (definition,) = ast.parse(inspect.getsource(Settings)).body
    for field, docstring in pairwise(definition.body if isinstance(definition, ast.ClassDef) else ()):
        match field, docstring:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                if name == field_name:
                    return " ".join(text.split())
    raise KeyError(field_name)
