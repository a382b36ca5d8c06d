"""Every key on the shared Redis: pattern, owner, purpose and TTL; how to build a key and how to parse one.

The user's namespacing document as data, followed by the app's own keys. `build` and `parse` are exact inverses:
`parse(build(kind, *parts)) == (kind, parts)`, and `parse` returns None for a key that fits no pattern. Keys and parts
are bytes, because Redis keys need not be UTF-8; `build` also takes str and encodes it as UTF-8.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

TOKEN_TTL_S = 3300
CHART_DATA_TTL_S = 300
QUERY_CACHE_TTL_S = 600
TEMP_DATA_TTL_S = 3600
PROCESSING_QUEUE_TTL_S = 1800
RESULTS_TTL_S = 86_400
MODEL_CACHE_TTL_S = 3600

CHART_CACHE_TTL_S = QUERY_CACHE_TTL_S
"""The app's chart cache is a cache of the same kind as the query caches."""
RETRY_TTL_S = 7 * 86_400
DEAD_LETTER_TTL_S = 7 * 86_400
DEAD_MARK_TTL_S = TEMP_DATA_TTL_S
DISCARDED_TTL_S = 30 * 86_400
"""Of the mark of a discarded letter: the longest that a key of the table lives, a session of NextAuth's default."""
SWEEP_TTL_S = 86_400
TIMERS_TTL_S = 3600
HEARTBEAT_TTL_S = 3600
STATISTICS_TTL_S = 7200
TOTALS_TTL_S = 7 * 86_400
STATISTICS_10_MIN_TTL_S = 26 * 3600
STATISTICS_HOUR_TTL_S = 8 * 86_400
EFFECTS_TTL_S = 86_400
KEYSPACE_TTL_S = 3600
KEYSPACE_LEASE_TTL_S = 60
AUDIT_ASIDE_TTL_S = 7 * 86_400
CHART_STATE_TTL_S = 8 * 86_400
"""A day more than the default of CHART_KEEP_S; renewed with every look at the chart."""
CHART_INTEREST_TTL_S = 86_400
PHANTOM_TTL_S = 30 * 86_400
"""How long the last-known state of a session is kept: the default maxAge of a NextAuth session."""


class Owner(StrEnum):
    NEXTAUTH = "NextAuth (Next.js)"
    FABRIC = "Fabric data (Next.js)"
    FASTAPI = "FastAPI"
    APP = "this app"


@dataclass(frozen=True)
class Kind:
    """A row of the table: a pattern with its parts in braces.

    `secret` names the parts that identify a person or grant access; they are masked wherever a key is shown.
    """

    name: str
    pattern: str
    owner: Owner
    purpose: str
    ttl_s: int | None
    example: str
    secret: frozenset[str]
    regex: re.Pattern[bytes]

    @property
    def namespace(self) -> str:
        return self.pattern.partition(":")[0]

    @property
    def part_names(self) -> tuple[str, ...]:
        return tuple(_PART.findall(self.pattern))

    @property
    def prefix(self) -> bytes:
        """The literal text before the first part."""
        return self.pattern.partition("{")[0].encode()


_PART = re.compile(r"\{(\w+)\}")
_PART_REGEX = {
    # Where two parts meet at a ':', one of them holds no ':', or a key could be read in two ways.
    "provider": "(?!by-user-id:)[^:]+",
    "dataType": "[^:]+",
    # Keyv's default separator leaves the chart id empty: `fabric:data:chart::id` is not a chart.
    "chartId": "[^:].*",
    # The index has the prefix of sessions; with an empty user id it still is not a session.
    "sessionId": "(?!by-user-id:).+",
}
"""What a part may be; any text but the empty one where it is not listed."""
_SECRET_PARTS = frozenset({"sessionId", "accountId", "email", "verificationToken"})
_EXAMPLES = {
    "userId": "12345678-1234-1234-1234-123456789abc",
    "sessionId": "abcdef12-3456-7890-abcd-ef1234567890",
    "provider": "azure",
    "accountId": "user@example.com",
    "email": "user@example.com",
    "verificationToken": "0f1e2d3c4b5a",
    "chartId": "co2-flow",
    "dataType": "realtime",
    "queryId": "plant-overview",
    "batchId": "batch-12345",
    "itemId": "item-67890",
    "analysisId": "analysis-abc123",
    "modelName": "anomaly-detector",
    "sealedToken": "lSPdtRrXPSv3ZbBEiYUoPl62QfMDOzXWVxkp1C0",
    "keyDigest": "2fd4e1c67a2d28fced849ee1bb76e7391b93eb12",
    "trial": "5f2c9a3e7b1d4c68",
    "minute": "29923340",
    "tenMinutes": "2992334",
    "hour": "498722",
    "source": "5f0e81c9a3d2",
}


def _kind(owner: Owner, name: str, pattern: str, ttl_s: int | None, purpose: str, secret: str = "") -> Kind:
    """A row; its regular expression and its example follow from its pattern."""
    regex, example = re.escape(pattern), pattern
    for part in _PART.findall(pattern):
        regex = regex.replace(rf"\{{{part}\}}", f"({_PART_REGEX.get(part, '.+')})")
        example = example.replace(f"{{{part}}}", _EXAMPLES[part])
    parts = frozenset(part for part in _PART.findall(pattern) if part in _SECRET_PARTS or part == secret)
    return Kind(name, pattern, owner, purpose, ttl_s, example, parts, re.compile(regex.encode(), re.DOTALL))


_auth, _fabric = partial(_kind, Owner.NEXTAUTH), partial(_kind, Owner.FABRIC)
_fastapi, _app = partial(_kind, Owner.FASTAPI), partial(_kind, Owner.APP)

# One row each: name, pattern, TTL, purpose, one more secret part. `parse` takes the first row that matches, so an index
# stands before the kind whose prefix it shares.
USER = _auth("user", "nextauth:user:{userId}", None, "User data")
SESSION_BY_USER = _auth("session-by-user-id", "nextauth:session:by-user-id:{userId}", None, "Index by user", "userId")
SESSION = _auth("session", "nextauth:session:{sessionId}", 3600, "Session data")
ACCOUNT_BY_USER = _auth("account-by-user-id", "nextauth:account:by-user-id:{userId}", None, "Index by user")
ACCOUNT = _auth("account", "nextauth:account:{provider}:{accountId}", None, "OAuth account data")
EMAIL = _auth("email", "nextauth:email:{email}", None, "Email to user ID mapping")
VERIFICATION_TOKEN = _auth("verification-token", "nextauth:token:{verificationToken}", 3600, "Verification tokens")
USER_TOKENS = _fabric("user-tokens", "fabric:user:{userId}:tokens", TOKEN_TTL_S, "User's AAD tokens")
CHART_DATA = _fabric("chart-data", "fabric:data:chart:{chartId}:{dataType}", CHART_DATA_TTL_S, "Chart data")
QUERY_CACHE = _fabric("query-cache", "fabric:cache:query:{queryId}", QUERY_CACHE_TTL_S, "Query cache")
CONNECTION_TEST = _fabric("connection-test", "fabric:test:connection", None, "Connection test data")
BATCH = _fastapi("batch", "fastapi:temp:data:{batchId}", TEMP_DATA_TTL_S, "Temporary data")
PROCESSING = _fastapi("processing", "fastapi:queue:processing:{itemId}", PROCESSING_QUEUE_TTL_S, "Processing queues")
RESULT = _fastapi("result", "fastapi:results:analysis:{analysisId}", RESULTS_TTL_S, "Analysis results")
MODEL = _fastapi("model", "fastapi:cache:model:{modelName}", MODEL_CACHE_TTL_S, "Model cache")
CHART_CACHE = _app("chart-cache", "fabric:cache:chart:{chartId}:{dataType}", CHART_CACHE_TTL_S, "Chart ready to draw")
CHART_STATE = _app(
    "chart-state", "functions:charts:state:{chartId}:{dataType}", CHART_STATE_TTL_S, "Refresh of a chart (hash)"
)
CHARTS_DUE = _app("charts-due", "functions:charts:due:{source}", CHART_STATE_TTL_S, "Charts by due ms (sorted set)")
CHARTS_FETCHING = _app(
    "charts-fetching", "functions:charts:fetching:{source}", CHART_STATE_TTL_S, "Fetches by lease end (sorted set)"
)
CHART_SOURCE = _app("chart-source", "functions:charts:source:{source}", CHART_STATE_TTL_S, "State of a source (hash)")
CHART_FETCHED = _app("chart-fetched", "functions:charts:fetched:{trial}", 60, "A large chart on its way to its key")
CHART_INTEREST = _app(
    "chart-interest", "functions:charts:interest", CHART_INTEREST_TTL_S, "Charts that dashboards watch (sorted set)"
)
PHANTOM = _app("session-phantom", "functions:phantom:session:{sealedToken}", PHANTOM_TTL_S, "Last-known state (hash)")
SESSIONS_DUE = _app("sessions-due", "functions:sessions:due", PHANTOM_TTL_S, "Sealed tokens by due ms (sorted set)")
USER_SESSIONS = _app("user-sessions", "functions:sessions:user:{userId}", PHANTOM_TTL_S, "Live sessions (sorted set)")
RETRY_DUE = _app("retry-due", "functions:retry:due", RETRY_TTL_S, "Keys to retry, by due time in ms (sorted set)")
RETRY_ENTRIES = _app("retry-entries", "functions:retry:entries", RETRY_TTL_S, "Attempts and errors of retries (hash)")
DEAD_INDEX = _app("dead-index", "functions:dead:index", DEAD_LETTER_TTL_S, "Ids of letters by time in ms (sorted set)")
DEAD_LETTERS = _app("dead-letters", "functions:dead:letters", DEAD_LETTER_TTL_S, "Dead letters without payloads (hash)")
DEAD_PAYLOADS = _app("dead-payloads", "functions:dead:payloads", DEAD_LETTER_TTL_S, "Compressed payloads (hash)")
DEAD_TOTALS = _app("dead-totals", "functions:dead:totals", DEAD_LETTER_TTL_S, "Bytes in use, letters dropped (hash)")
DEAD_MARK = _app("dead-mark", "functions:dead:mark:{keyDigest}", DEAD_MARK_TTL_S, "Digest of dead content (string)")
SWEEP = _app("sweep", "functions:sweep", SWEEP_TTL_S, "Lease of the sweep, its position, its last pass (hash)")
TIMERS = _app("timers", "functions:sweep:timers", TIMERS_TTL_S, "Its TTL tells when a timer ran last (string)")
INSTANCES = _app("instances", "functions:instances", HEARTBEAT_TTL_S, "Living instances, and what they heard (hash)")
HEARTBEATS = _app("heartbeats", "functions:heartbeats", HEARTBEAT_TTL_S, "Last heartbeat of each channel (hash)")
DOCTOR = _app("doctor", "functions:doctor:{trial}", 10, "Write test of doctor and health; removed at once")
TOTALS = _app("totals", "functions:stats:total", TOTALS_TTL_S, "Counters and histograms of GET /api/metrics (hash)")
STATISTICS_10_MIN = _app(
    "statistics-10-min", "functions:stats:10min:{tenMinutes}", STATISTICS_10_MIN_TTL_S, "Outcomes of 10 minutes (hash)"
)
STATISTICS_HOUR = _app(
    "statistics-hour", "functions:stats:hour:{hour}", STATISTICS_HOUR_TTL_S, "Outcomes of one hour since 1970 (hash)"
)
EFFECTS = _app("effects", "functions:stats:effects", EFFECTS_TTL_S, "The last 200 effects, keys masked (stream)")
STATISTICS = _app("statistics", "functions:stats:{minute}", STATISTICS_TTL_S, "Counts of one minute since 1970 (hash)")
KEYSPACE_SURVEY = _app("keyspace-survey", "functions:keyspace", KEYSPACE_TTL_S, "Latest census of all keys (string)")
KEYSPACE_LEASE = _app("keyspace-lease", "functions:keyspace:lease", KEYSPACE_LEASE_TTL_S, "Its lease (string)")
AUDIT_STREAM = _app("audit-stream", "functions:audit:sessions", None, "Audit records; bounded by AUDIT_BUFFER (stream)")
AUDIT_STATE = _app("audit-state", "functions:audit:state", None, "How far audit records are exported (hash)")
AUDIT_ASIDE = _app("audit-aside", "functions:audit:aside", AUDIT_ASIDE_TTL_S, "The stream with others' large entries")
AUDIT_COPY = _app(
    "audit-copy", "functions:audit:copy", None, "The stream while it is repaired; bounded like it (stream)"
)

TABLE: tuple[Kind, ...] = tuple(row for row in list(globals().values()) if isinstance(row, Kind))
"""Every kind of key, in the order of the rows."""
BY_NAME = {kind.name: kind for kind in TABLE}

BATCH_EVENTS_CHANNEL = b"fastapi:events:analysis"
CHART_EVENTS_CHANNEL = b"fabric:events:chart"


_PROBE = re.compile(rb":canary-[0-9a-f]{16}(?:-(?:hash|list))?\Z")


def probe_id(mark: str) -> str:
    """The id in keys of a test of events (shared/operations/live_events.py). `mark`: 16 hexadecimal digits."""
    return f"canary-{mark}"


def is_probe(key: bytes) -> bool:
    """Whether a test of events wrote this key."""
    return _PROBE.search(key) is not None


def build(kind: Kind, *parts: bytes | str) -> bytes:
    """The key of `kind` with these parts.

    Raises ValueError when the parts do not make a key that parses back to them: an empty part, a ':' where the
    pattern could then be read in two ways, a session that would be an index.
    """
    if (prefix := _ANY_PART.get(kind.name)) and len(parts) == 1 and (part := parts[0]):
        return prefix + (part.encode() if isinstance(part, str) else part)
    texts, rivals = _BUILDING[kind.name]
    if len(parts) != len(texts) - 1:
        raise ValueError(f"{kind.name} takes {len(texts) - 1} parts, not {len(parts)}")
    key, values = texts[0], tuple([part.encode() if isinstance(part, str) else part for part in parts])
    for value, text in zip(values, texts[1:], strict=True):
        key += value + text
    if parts_of(kind, key) != values or any(rival.regex.fullmatch(key) for rival in rivals):
        raise ValueError(f"these parts make no {kind.name} key: {kind.pattern}")
    return key


def _building(kind: Kind) -> tuple[tuple[bytes, ...], tuple[Kind, ...]]:
    """The texts around the parts, and the kinds of earlier rows that could match a key of this kind."""
    texts = tuple(text.encode() for text in re.split(r"\{\w+\}", kind.pattern))
    earlier = TABLE[: TABLE.index(kind)]
    rivals = (row for row in earlier if row.prefix.startswith(kind.prefix) or kind.prefix.startswith(row.prefix))
    return texts, tuple(rivals)


def parse(key: bytes) -> tuple[Kind, tuple[bytes, ...]] | None:
    """The kind and the parts of a key; None when it fits no pattern."""
    for kind in TABLE:
        if key.startswith(kind.prefix) and (match := kind.regex.fullmatch(key)):
            return kind, match.groups()
    return None


def parts_of(kind: Kind, key: bytes) -> tuple[bytes, ...] | None:
    """The parts of a key of this kind; None when the key is of another kind or of none."""
    if prefix := _ANY_PART.get(kind.name):
        return (key[len(prefix) :],) if key.startswith(prefix) and len(key) > len(prefix) else None
    match = kind.regex.fullmatch(key)
    return match.groups() if match else None


_BUILDING = {kind.name: _building(kind) for kind in TABLE}
_ANY_PART = {
    name: texts[0]
    for name, (texts, rivals) in _BUILDING.items()
    if texts[1:] == (b"",) and not rivals and BY_NAME[name].part_names[0] not in _PART_REGEX
}
"""Prefixes of the kinds that end in their only part, which may be any text but the empty one: built and parsed without
a regular expression, as bursts need it."""
