"""The setting CHART_SOURCES: a JSON list of sources, of which the first whose glob matches a chart counts. Pure.

    [{"match": "co2-flow:*", "url": "https://api.example.com/charts/{chartId}/{dataType}",
      "headers": {"x-functions-key": "%CHART_API_KEY%"}}]

A secret stands in a setting of its own; `%NAME%` refers to it in the query of the URL, in headers and in the body.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import translate
from functools import cached_property, lru_cache
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Meta

from shared.errors import ConfigurationError
from shared.sources.addresses import Hosts, is_local, parse_hosts

MAX_SOURCES = 64
LEASE_MARGIN_MS = 2000
"""What a lease is longer than its request may take: the time of a busy process around it."""
MAX_EXPRESSION_CHARS = 1000
REFERENCE = re.compile(r"%([A-Z][A-Z0-9_]{2,})%")
"""A reference to a setting: upper case, so that it differs from percent-encoded text in lower case, and from most in
upper case."""
PLACEHOLDERS = ("{chartId}", "{dataType}")
_BRACES = re.compile(r"\{[^{}]*\}|[{}]")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "expect", "upgrade"})
_HEADER_VALUE = re.compile(r"[\t -~]*")
_SECRET_NAME = re.compile(r"auth|cookie|key|token|secret|passw|pwd|credential|signature|^code$|^sig$", re.IGNORECASE)
_SECRET_MEMBER = re.compile(r"secret|passw|pwd|credential|signature|token|api_?-?key|access_?-?key", re.IGNORECASE)


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """One source, with its references replaced by their values: so its repr shows only the glob.

    match: a glob over chartId:dataType, or over chartId where it has no ':'. url: with the placeholders {chartId} and
    {dataType} in its path or query. body: JSON of a POST, with the same placeholders. scope: of the token that
    azure-identity fetches. select: JMESPath to the part of the answer that becomes the chart.
    """

    match: Annotated[str, Meta(min_length=1, max_length=200)]
    url: Annotated[str, Meta(min_length=1, max_length=2000)]
    method: Literal["GET", "POST"] = "GET"
    body: Any = None
    headers: dict[str, str] = {}
    scope: Annotated[str, Meta(min_length=1, max_length=500)] | None = None
    select: Annotated[str, Meta(min_length=1, max_length=MAX_EXPRESSION_CHARS)] | None = None
    ttl_s: Annotated[float, Meta(ge=1, le=86_400)] = 300
    refresh_ahead_s: Annotated[float, Meta(ge=0, le=43_200)] = 30
    timeout_s: Annotated[float, Meta(gt=0, le=100)] = 10

    def __repr__(self) -> str:
        return f"Source({self.match!r})"

    @cached_property
    def name(self) -> str:
        """Identifies the source in keys of Redis: it stays the same while the glob does."""
        return hashlib.sha1(self.match.encode(), usedforsecurity=False).hexdigest()[:12]

    @property
    def shown(self) -> str:
        """The source as operators know it: its glob, and where it leads without path, query and secrets."""
        return f"{self.match} from {self.origin}"

    @property
    def origin(self) -> str:
        url = urlsplit(self.url)
        return f"{url.scheme}://{url.netloc}"

    @property
    def lease_ms(self) -> int:
        """How long one fetch has its chart for itself."""
        return round(self.timeout_s * 1000) + LEASE_MARGIN_MS


class Sources(msgspec.Struct, frozen=True):
    """The sources in their order, and the hosts that they may have."""

    entries: tuple[Source, ...] = ()
    hosts: Hosts = Hosts()

    def __bool__(self) -> bool:
        return bool(self.entries)

    def of(self, chart_id: bytes, data_type: bytes) -> Source | None:
        """The source of a chart: the first whose glob matches; None where there is none."""
        if not self.entries:
            return None
        first = chart_id.decode(errors="backslashreplace")
        both = f"{first}:{data_type.decode(errors='backslashreplace')}"
        return next(
            (entry for entry in self.entries if _glob(entry.match).match(both if ":" in entry.match else first)), None
        )


def references(text: str) -> set[str]:
    """The names of the settings that the text of CHART_SOURCES refers to."""
    return set(REFERENCE.findall(text))


@lru_cache(64)
def parse(text: str, hosts_text: str, values: tuple[tuple[str, str], ...]) -> Sources:
    """The sources of the setting's text; `values` are those of the settings that it refers to, by name.

    Raises ConfigurationError that lists every fault and shows no secret.
    """
    hosts, faults = parse_hosts(hosts_text)
    entries: list[Source] = []
    for where, raw in _items(text, faults):
        try:
            template = msgspec.convert(raw, type=Source)
        except msgspec.ValidationError as fault:
            faults.append(f"{where}: {fault}")
            continue
        new_faults = [f"{where}.{fault}" for fault in _faults_of(template, hosts, dict(values))]
        if not new_faults:
            entries.append(_resolved(template, dict(values)))
        faults += new_faults
    globs = [entry.match for entry in entries]
    faults += [f"CHART_SOURCES: match {glob!r} twice" for glob in sorted({g for g in globs if globs.count(g) > 1})]
    if faults:
        raise ConfigurationError(*faults)
    return Sources(tuple(entries), hosts)


def read(environ: Mapping[str, str]) -> tuple[tuple[tuple[str, str], ...], Sequence[str]]:
    """The settings that CHART_SOURCES refers to, by name, and what is wrong with it and with CHART_SOURCE_HOSTS."""
    text = environ.get("CHART_SOURCES", "")
    values = tuple((name, environ[name]) for name in sorted(references(text)) if environ.get(name))
    try:
        parse(text, environ.get("CHART_SOURCE_HOSTS", ""), values)
    except ConfigurationError as error:
        return values, error.faults
    return values, ()


def _items(text: str, faults: list[str]) -> Iterator[tuple[str, Any]]:
    if not text.strip():
        return
    try:
        items = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        faults.append("CHART_SOURCES is not JSON")
        return
    if not isinstance(items, list) or len(items) > MAX_SOURCES:
        faults.append(f"CHART_SOURCES is not a list of at most {MAX_SOURCES} sources")
        return
    for number, item in enumerate(items):
        yield f"CHART_SOURCES[{number}]", item


def _faults_of(source: Source, hosts: Hosts, values: Mapping[str, str]) -> Iterator[str]:
    yield from _faults_of_url(source, hosts)
    yield from _faults_of_headers(source, values)
    yield from _faults_of_body(source)
    query = urlsplit(source.url).query if _host(source.url) else ""
    texts = [query, *source.headers.values(), *(text for _, text in _texts(source.body))]
    names = sorted(set().union(*map(references, texts)))
    yield from (f"url, headers or body: the setting {name} is not set" for name in names if not values.get(name))
    yield from (f"the setting {name} is not text" for name in names if _is_broken(values.get(name, "")))
    if source.refresh_ahead_s > source.ttl_s / 2:
        yield f"refresh_ahead_s ({source.refresh_ahead_s:g}) is above half of ttl_s ({source.ttl_s:g})"
    if source.scope and REFERENCE.search(source.scope):
        yield "scope: a scope is no secret; write it out"
    if source.select is not None and compiled(source.select) is None:
        yield "select is no JMESPath expression"
    if (names or source.scope) and source.url.startswith("http:") and not is_local(_host(source.url)):
        yield "url: a source with a secret or a token needs https"


def _faults_of_url(source: Source, hosts: Hosts) -> Iterator[str]:
    try:
        url = urlsplit(source.url)
        host, _ = url.hostname or "", url.port
    except ValueError:
        yield "url is no URL"
        return
    if url.scheme not in {"http", "https"} or not host:
        yield "url does not begin with https://HOST or http://HOST"
    elif url.username is not None or url.password is not None:
        yield "url: user and password do not belong into it; use a header with a reference"
    elif "{" in url.netloc or REFERENCE.search(url.netloc):
        yield "url: its host has to be written out"
    elif not hosts.has_name(host):
        yield f"url: {host!r} is not in CHART_SOURCE_HOSTS"
    if url.fragment or not re.fullmatch(r"[!-~]+", source.url):
        yield "url: neither '#', blanks nor characters beyond ASCII are allowed; percent-encode them"
    if REFERENCE.search(url.path):
        yield "url: a reference may stand in its query, in headers and in the body"
    odd = [part for part in _BRACES.findall(url.path + url.query) if part not in PLACEHOLDERS]
    yield from (f"url: {part} is unknown: use {' and '.join(PLACEHOLDERS)}" for part in odd[:1])
    for parameter in filter(None, url.query.split("&")):
        name, _, value = parameter.partition("=")
        if _SECRET_NAME.search(name) and not REFERENCE.search(value):
            yield f"url: the parameter {name} holds a secret: put it into a setting of its own and write %NAME%"


def _faults_of_headers(source: Source, values: Mapping[str, str]) -> Iterator[str]:
    for name, value in source.headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            yield f"headers: {name[:80]!r} is no header"
        elif any(placeholder in value for placeholder in PLACEHOLDERS):
            yield f"headers.{name}: {' and '.join(PLACEHOLDERS)} may stand in the URL and in the body"
        elif name.lower() in _OURS or (source.scope and name.lower() == "authorization"):
            yield f"headers.{name} is set by the app"
        elif _SECRET_NAME.search(name) and not REFERENCE.search(value):
            yield f"headers.{name} holds a secret: put it into a setting of its own and write %NAME%"
        else:
            odd = [used for used in sorted(references(value)) if not _HEADER_VALUE.fullmatch(values.get(used, ""))]
            yield from (f"headers.{name}: the value of {used} cannot be in a header (a line break?)" for used in odd)


def _faults_of_body(source: Source) -> Iterator[str]:
    if source.body is not None and source.method == "GET":
        yield "body needs method POST"
    for member, text in _texts(source.body):
        if _SECRET_MEMBER.search(member) and not REFERENCE.search(text):
            yield f"body.{member[:80]} holds a secret: put it into a setting of its own and write %NAME%"


def _texts(value: Any, member: str = "") -> Iterator[tuple[str, str]]:
    """The texts of a body, each with the name of its member."""
    if isinstance(value, str):
        yield member, value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, member)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(item, name)


def _resolved(source: Source, values: Mapping[str, str]) -> Source:
    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return REFERENCE.sub(lambda reference: values[reference[1]], value)
        if isinstance(value, list):
            return [filled(item) for item in value]
        return {name: filled(item) for name, item in value.items()} if isinstance(value, dict) else value

    return msgspec.structs.replace(
        source,
        url=REFERENCE.sub(lambda reference: quote(values[reference[1]], safe=""), source.url),
        headers=filled(source.headers),
        body=filled(source.body),
    )


def _is_broken(text: str) -> bool:
    """Whether it was not UTF-8 in the environment."""
    return any("\ud800" <= char <= "\udfff" for char in text)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


@lru_cache(64)
def compiled(expression: str) -> Any:
    """A JMESPath expression, compiled; None where it is none."""
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        return jmespath.compile(expression)
    except (JMESPathError, RecursionError):
        return None


@lru_cache(64)
def _glob(glob: str) -> re.Pattern[str]:
    return re.compile(translate(glob))
