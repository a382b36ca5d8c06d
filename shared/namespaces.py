"""Every key on the shared Redis: pattern, owner, purpose and TTL; how to build one and how to parse one.

This is the user's namespacing document as data, with the app's own keys beside it. `build` and `parse` are exact
inverses: `parse(build(kind, *parts)) == (kind, parts)`, and a key that belongs to nothing parses to None.
Keys and parts are bytes, because Redis keys need not be UTF-8; `build` also takes str and encodes it as UTF-8.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

SESSION_TTL_S = 3600
VERIFICATION_TOKEN_TTL_S = 3600
TOKEN_TTL_S = 3300
CHART_DATA_TTL_S = 300
QUERY_CACHE_TTL_S = 600
TEMP_DATA_TTL_S = 3600
PROCESSING_QUEUE_TTL_S = 1800
RESULTS_TTL_S = 86_400
MODEL_CACHE_TTL_S = 3600

CHART_CACHE_TTL_S = QUERY_CACHE_TTL_S
"""The app's render-ready chart cache is a cache of the same kind as the query caches."""
RETRY_TTL_S = 7 * 86_400
DEAD_LETTER_TTL_S = 7 * 86_400
DEAD_MARK_TTL_S = TEMP_DATA_TTL_S
SWEEP_TTL_S = 86_400
STATISTICS_TTL_S = 7200
KEYSPACE_TTL_S = 3600
KEYSPACE_LEASE_TTL_S = 60
PHANTOM_TTL_S = 30 * 86_400
"""How long the last-known state of a session is kept: NextAuth's own longest session (its default maxAge)."""


class Owner(StrEnum):
    NEXTAUTH = "NextAuth (Next.js)"
    FABRIC = "Fabric data (Next.js)"
    FASTAPI = "FastAPI"
    APP = "this app"


@dataclass(frozen=True)
class Kind:
    """One row of the table: a pattern with its parts in braces.

    `secret` names the parts that identify a person or open a door; they are masked wherever a key is shown.
    """

    name: str
    pattern: str
    owner: Owner
    purpose: str
    ttl_s: int | None
    example: str
    secret: tuple[str, ...] = ()
    regex: re.Pattern[bytes] = re.compile(b"")

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
    # Where two parts meet at a ':', one of them holds no ':' itself, or a key could be read in two ways.
    "provider": "(?!by-user-id:)[^:]+",
    "dataType": "[^:]+",
    # Keyv's default separator leaves the chart id empty: `fabric:data:chart::id` is no chart.
    "chartId": "[^:].*",
    # The index has the session's prefix; with an empty user id it is still no session.
    "sessionId": "(?!by-user-id:).+",
}


def _kind(
    name: str,
    pattern: str,
    owner: Owner,
    purpose: str,
    ttl_s: int | None,
    example: str,
    *,
    secret: tuple[str, ...] = (),
) -> Kind:
    """A row whose regular expression follows from its pattern.

    A part holds anything but the empty text, with the exceptions of `_PART_REGEX`.
    """
    regex = re.escape(pattern)
    for part in _PART.findall(pattern):
        regex = regex.replace(rf"\{{{part}\}}", f"({_PART_REGEX.get(part, '.+')})")
    return Kind(name, pattern, owner, purpose, ttl_s, example, secret, re.compile(regex.encode(), re.DOTALL))


USER = _kind(
    "user",
    "nextauth:user:{userId}",
    Owner.NEXTAUTH,
    "User data",
    None,
    "nextauth:user:12345678-1234-1234-1234-123456789abc",
)
SESSION_BY_USER = _kind(
    "session-by-user-id",
    "nextauth:session:by-user-id:{userId}",
    Owner.NEXTAUTH,
    "Index: the session of a user; it matches the session trigger and is no session",
    None,
    "nextauth:session:by-user-id:12345678-1234-1234-1234-123456789abc",
    secret=("userId",),
)
SESSION = _kind(
    "session",
    "nextauth:session:{sessionId}",
    Owner.NEXTAUTH,
    "Session data",
    SESSION_TTL_S,
    "nextauth:session:abcdef12-3456-7890-abcd-ef1234567890",
    secret=("sessionId",),
)
ACCOUNT_BY_USER = _kind(
    "account-by-user-id",
    "nextauth:account:by-user-id:{userId}",
    Owner.NEXTAUTH,
    "Index: the account of a user",
    None,
    "nextauth:account:by-user-id:12345678-1234-1234-1234-123456789abc",
)
ACCOUNT = _kind(
    "account",
    "nextauth:account:{provider}:{accountId}",
    Owner.NEXTAUTH,
    "OAuth account data",
    None,
    "nextauth:account:azure:user@example.com",
    secret=("accountId",),
)
EMAIL = _kind(
    "email",
    "nextauth:email:{email}",
    Owner.NEXTAUTH,
    "Email to user ID mapping",
    None,
    "nextauth:email:user@example.com",
    secret=("email",),
)
VERIFICATION_TOKEN = _kind(
    "verification-token",
    "nextauth:token:{verificationToken}",
    Owner.NEXTAUTH,
    "Verification tokens",
    VERIFICATION_TOKEN_TTL_S,
    "nextauth:token:0f1e2d3c4b5a",
    secret=("verificationToken",),
)
USER_TOKENS = _kind(
    "user-tokens",
    "fabric:user:{userId}:tokens",
    Owner.FABRIC,
    "User's AAD tokens",
    TOKEN_TTL_S,
    "fabric:user:12345678-1234-1234-1234-123456789abc:tokens",
)
CHART_DATA = _kind(
    "chart-data",
    "fabric:data:chart:{chartId}:{dataType}",
    Owner.FABRIC,
    "Chart data",
    CHART_DATA_TTL_S,
    "fabric:data:chart:co2-flow:realtime",
)
QUERY_CACHE = _kind(
    "query-cache",
    "fabric:cache:query:{queryId}",
    Owner.FABRIC,
    "Query cache",
    QUERY_CACHE_TTL_S,
    "fabric:cache:query:plant-overview",
)
CONNECTION_TEST = _kind(
    "connection-test",
    "fabric:test:connection",
    Owner.FABRIC,
    "Connection test data",
    None,
    "fabric:test:connection",
)
BATCH = _kind(
    "batch",
    "fastapi:temp:data:{batchId}",
    Owner.FASTAPI,
    "Temporary data",
    TEMP_DATA_TTL_S,
    "fastapi:temp:data:batch-12345",
)
PROCESSING = _kind(
    "processing",
    "fastapi:queue:processing:{itemId}",
    Owner.FASTAPI,
    "Processing queues",
    PROCESSING_QUEUE_TTL_S,
    "fastapi:queue:processing:item-67890",
)
RESULT = _kind(
    "result",
    "fastapi:results:analysis:{analysisId}",
    Owner.FASTAPI,
    "Analysis results",
    RESULTS_TTL_S,
    "fastapi:results:analysis:analysis-abc123",
)
MODEL = _kind(
    "model",
    "fastapi:cache:model:{modelName}",
    Owner.FASTAPI,
    "Model cache",
    MODEL_CACHE_TTL_S,
    "fastapi:cache:model:anomaly-detector",
)
CHART_CACHE = _kind(
    "chart-cache",
    "fabric:cache:chart:{chartId}:{dataType}",
    Owner.APP,
    "Render-ready chart: downsampled series, statistics, source digest",
    CHART_CACHE_TTL_S,
    "fabric:cache:chart:co2-flow:realtime",
)
PHANTOM = _kind(
    "session-phantom",
    "functions:phantom:session:{sealedToken}",
    Owner.APP,
    "Last-known state of a session, so that its end can be told when the key is gone; the token is encrypted (hash)",
    PHANTOM_TTL_S,
    "functions:phantom:session:lSPdtRrXPSv3ZbBEiYUoPl62QfMDOzXWVxkp1C0",
)
SESSIONS_DUE = _kind(
    "sessions-due",
    "functions:sessions:due",
    Owner.APP,
    "Sealed tokens by the time in ms at which their sessions are due for a look (sorted set)",
    PHANTOM_TTL_S,
    "functions:sessions:due",
)
USER_SESSIONS = _kind(
    "user-sessions",
    "functions:sessions:user:{userId}",
    Owner.APP,
    "Fingerprints of a user's live sessions by expiry in ms (sorted set)",
    PHANTOM_TTL_S,
    "functions:sessions:user:12345678-1234-1234-1234-123456789abc",
)
RETRY_DUE = _kind(
    "retry-due",
    "functions:retry:due",
    Owner.APP,
    "Keys to react to again, by due time in ms (sorted set)",
    RETRY_TTL_S,
    "functions:retry:due",
)
RETRY_ENTRIES = _kind(
    "retry-entries",
    "functions:retry:entries",
    Owner.APP,
    "What failed of each of them: attempts, times, error (hash)",
    RETRY_TTL_S,
    "functions:retry:entries",
)
DEAD_INDEX = _kind(
    "dead-index",
    "functions:dead:index",
    Owner.APP,
    "Ids of dead letters by time in ms (sorted set); bounded by DEAD_LETTERS_MAX",
    DEAD_LETTER_TTL_S,
    "functions:dead:index",
)
DEAD_LETTERS = _kind(
    "dead-letters",
    "functions:dead:letters",
    Owner.APP,
    "Dead letters without their payloads (hash)",
    DEAD_LETTER_TTL_S,
    "functions:dead:letters",
)
DEAD_PAYLOADS = _kind(
    "dead-payloads",
    "functions:dead:payloads",
    Owner.APP,
    "Payloads of dead letters, compressed (hash); bounded by DEAD_LETTERS_MAX_BYTES",
    DEAD_LETTER_TTL_S,
    "functions:dead:payloads",
)
DEAD_TOTALS = _kind(
    "dead-totals",
    "functions:dead:totals",
    Owner.APP,
    "Bytes that dead letters take, and how many were dropped because they were full (hash)",
    DEAD_LETTER_TTL_S,
    "functions:dead:totals",
)
DEAD_MARK = _kind(
    "dead-mark",
    "functions:dead:mark:{keyDigest}",
    Owner.APP,
    "Digest of the content of a key that became a dead letter, so that a sweep leaves it alone",
    DEAD_MARK_TTL_S,
    "functions:dead:mark:2fd4e1c67a2d28fced849ee1bb76e7391b93eb12",
)
SWEEP = _kind(
    "sweep",
    "functions:sweep",
    Owner.APP,
    "Lease of the one sweep at a time, and where it stopped (hash)",
    SWEEP_TTL_S,
    "functions:sweep",
)
DOCTOR = _kind(
    "doctor",
    "functions:doctor:{trial}",
    Owner.APP,
    "A trial of what the doctor's user may write; removed at once",
    10,
    "functions:doctor:5f2c9a3e7b1d4c68",
)
STATISTICS = _kind(
    "statistics",
    "functions:stats:{minute}",
    Owner.APP,
    "What all instances did in one minute (since 1970): outcomes, durations, lags (hash)",
    STATISTICS_TTL_S,
    "functions:stats:29923340",
)
KEYSPACE_SURVEY = _kind(
    "keyspace-survey",
    "functions:keyspace",
    Owner.APP,
    "How many keys there are of each kind, with some of them masked, for the monitor page (string)",
    KEYSPACE_TTL_S,
    "functions:keyspace",
)
KEYSPACE_LEASE = _kind(
    "keyspace-lease",
    "functions:keyspace:lease",
    Owner.APP,
    "Who looked at all keys last; nobody does so again while it is there (string)",
    KEYSPACE_LEASE_TTL_S,
    "functions:keyspace:lease",
)
AUDIT_STREAM = _kind(
    "audit-stream",
    "functions:audit:sessions",
    Owner.APP,
    "Audit records of sessions, a stream of CloudEvents; bounded by AUDIT_BUFFER",
    None,
    "functions:audit:sessions",
)
AUDIT_STATE = _kind(
    "audit-state",
    "functions:audit:state",
    Owner.APP,
    "How many audit records were made, and how far they were shipped to storage (hash, a dozen fields)",
    None,
    "functions:audit:state",
)

TABLE: tuple[Kind, ...] = (
    USER,
    SESSION_BY_USER,
    SESSION,
    ACCOUNT_BY_USER,
    ACCOUNT,
    EMAIL,
    VERIFICATION_TOKEN,
    USER_TOKENS,
    CHART_DATA,
    QUERY_CACHE,
    CONNECTION_TEST,
    BATCH,
    PROCESSING,
    RESULT,
    MODEL,
    CHART_CACHE,
    PHANTOM,
    SESSIONS_DUE,
    USER_SESSIONS,
    RETRY_DUE,
    RETRY_ENTRIES,
    DEAD_INDEX,
    DEAD_LETTERS,
    DEAD_PAYLOADS,
    DEAD_TOTALS,
    DEAD_MARK,
    SWEEP,
    DOCTOR,
    STATISTICS,
    KEYSPACE_SURVEY,
    KEYSPACE_LEASE,
    AUDIT_STREAM,
    AUDIT_STATE,
)
"""Every kind of key. An index stands before the kind whose prefix it shares, so the first match is the right one."""

BY_NAME = {kind.name: kind for kind in TABLE}

BATCH_EVENTS_CHANNEL = b"fastapi:events:analysis"
CHART_EVENTS_CHANNEL = b"fabric:events:chart"


def build(kind: Kind, *parts: bytes | str) -> bytes:
    """The key of `kind` with these parts.

    Raises ValueError when the parts do not make a key that parses back to them: an empty part, a ':' where the
    pattern could then be read in two ways, a session that would be an index.
    """
    if (free := _FREE.get(kind.name)) and len(parts) == 1 and (part := parts[0]):
        return free + (part.encode() if isinstance(part, str) else part)
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
    """The texts around the parts, and the kinds before this one that could claim one of its keys."""
    texts = tuple(text.encode() for text in re.split(r"\{\w+\}", kind.pattern))
    before = TABLE[: TABLE.index(kind)]
    rivals = (one for one in before if one.prefix.startswith(kind.prefix) or kind.prefix.startswith(one.prefix))
    return texts, tuple(rivals)


def parse(key: bytes) -> tuple[Kind, tuple[bytes, ...]] | None:
    """The kind and the parts of a key; None when it belongs to nothing."""
    for kind in TABLE:
        if key.startswith(kind.prefix) and (match := kind.regex.fullmatch(key)):
            return kind, match.groups()
    return None


def parts_of(kind: Kind, key: bytes) -> tuple[bytes, ...] | None:
    """The parts of a key of this very kind; None when it is of another kind or of none."""
    if free := _FREE.get(kind.name):
        return (key[len(free) :],) if key.startswith(free) and len(key) > len(free) else None
    match = kind.regex.fullmatch(key)
    return match.groups() if match else None


_BUILDING = {kind.name: _building(kind) for kind in TABLE}
_FREE = {
    name: texts[0]
    for name, (texts, rivals) in _BUILDING.items()
    if texts[1:] == (b"",) and not rivals and BY_NAME[name].part_names[0] not in _PART_REGEX
}
"""Prefixes of the kinds whose one part, the last, may be anything but empty: what a burst has to build and to parse."""
