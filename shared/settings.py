"""The app's settings: the only place that reads os.environ.

Each setting is one field: its type says what is valid, its description what it does and why the default is what it
is. README.md's table is made from these fields.
"""

import os
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shared.connection import parse_connection_string
from shared.errors import ConfigurationError

DEVELOPMENT_AUDIT_KEY = "development-only-audit-key"
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
            min_length=16,
            description="Secret under which session tokens become fingerprints. In Azure the app refuses to start "
            "on the development value.",
        ),
    ] = DEVELOPMENT_AUDIT_KEY
    audit_buffer: Annotated[
        int,
        Meta(ge=1000, description="Audit records that the stream in Redis keeps at the most (approximately)."),
    ] = 1_000_000
    max_payload_bytes: Annotated[
        int,
        Meta(
            ge=1024,
            le=512 * MIB,
            description="Largest batch or chart that is read; checked before reading. 8 MiB is about 100,000 readings. "
            "Sessions are bounded by 256 KiB, or by this if it is less.",
        ),
    ] = 8 * MIB
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

    def __repr__(self) -> str:
        shown = (f"{name}={'***' if name in SECRET else getattr(self, name)!r}" for name in self.__struct_fields__)
        return f"Settings({', '.join(shown)})"


SECRET = frozenset({"redis", "audit_key"})


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
    settings = Settings(**values)
    try:
        parse_connection_string(settings.redis)
    except ConfigurationError as fault:
        faults.append(str(fault))
    if "WEBSITE_INSTANCE_ID" in environ and settings.audit_key == DEVELOPMENT_AUDIT_KEY:
        faults.append("AUDIT_KEY: has to be set to a secret of your own in Azure, not left at its development value")
    if faults:
        raise ConfigurationError("; ".join(faults))
    return settings


@cache
def current() -> Settings:
    """The settings of this process, read once."""
    return parse(os.environ)


def description(field_name: str) -> str:
    """What a setting is for, as its field says."""
    annotation = Settings.__annotations__[field_name]
    return next(meta.description or "" for meta in annotation.__metadata__ if isinstance(meta, Meta))
