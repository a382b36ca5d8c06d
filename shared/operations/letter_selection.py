"""Dead letters by reactor, reason, age and key: selecting, grouping, replaying and discarding them.

A reason is the error and its message. Letters of one cause differ in names and numbers only, so groups go by the shape
of the reason, in which these are replaced: "Rejected: `*` holds text", "Rejected: # bytes, more than # are read".
"""

import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Annotated

import msgspec

from shared import telemetry
from shared.app import App
from shared.clock import iso_utc
from shared.delivery import dead_letters, replay
from shared.delivery.dead_letters import MAX_PAGE, Letter
from shared.errors import KeyspaceError
from shared.privacy.masking import mask_key, printable
from shared.reactor import Source
from shared.registry import REACTORS, source_of
from shared.store.glob import glob_match

CURSOR = "^([0-9]{1,15}:[0-9a-f]{32})?$"
"""Pattern of a cursor; an empty one means the first page."""
_NAME = re.compile(r"`[^`]*`")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
MAX_AGE_S = 30 * 86_400
"""Largest age in a request; letters are kept for a shorter time."""
MAX_REASON_CHARS = 500
MAX_GROUP_CHARS = 2 * MAX_REASON_CHARS
MAX_GROUPS = 100
"""Groups that are shown. A client chooses its messages and can have a reason for every letter."""
_REPLAY = "replay_dead_letters"
"""The function in metrics and log lines."""
_EXAMINED = 200
"""Letters that are read at once at least where a filter may leave most of them out."""
_STEP = 20
"""Letters that are selected at once before they are acted on."""


type _Text = Annotated[str, msgspec.Meta(min_length=1, max_length=250)]
type _Age = Annotated[float, msgspec.Meta(ge=0)]


class LetterSelection(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Which letters: those of a reactor; whose reason, or its shape, contains a text; whose key as it is shown matches
    a glob; that were buried longer ago, or less long ago, than a time in seconds; whose reason has exactly a shape, as
    LetterGroup names it. All that are given must hold."""

    reactor: str | None = None
    reason: _Text | None = None
    match: _Text | None = None
    older_than_s: _Age | None = None
    newer_than_s: _Age | None = None
    group: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_GROUP_CHARS)] | None = None

    @property
    def filters(self) -> bool:
        """Whether `has` can refuse letters of the reactor."""
        return (
            any((self.reason, self.match, self.group)) or self.older_than_s is not None or self.newer_than_s is not None
        )

    def has(self, app: App, letter: Letter, now_s: float) -> bool:
        """Whether a letter is selected. Raises ValueError for a glob that is too long."""
        age_s = now_s - letter.last_ms / 1000
        if self.reactor not in (None, letter.reactor):
            return False
        if (self.older_than_s is not None and age_s < self.older_than_s) or (
            self.newer_than_s is not None and age_s > self.newer_than_s
        ):
            return False
        if self.group is not None and self.group != shape_of(letter):
            return False
        if self.reason and not any(self.reason.lower() in text.lower() for text in (_reason(letter), shape_of(letter))):
            return False
        return not self.match or glob_match(self.match.encode(), shown_key(app, letter).encode())


ALL = LetterSelection()


class LetterAction(LetterSelection, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A request to act on the selected letters, at most `limit` from `cursor` on. Without a filter it selects none, or
    with `all` all of them."""

    everything: bool = msgspec.field(name="all", default=False)
    cursor: Annotated[str, msgspec.Meta(pattern=CURSOR)] | None = None
    limit: Annotated[float, msgspec.Meta(ge=1, le=MAX_PAGE)] = 100

    @property
    def selects(self) -> bool:
        """Whether any filter is given, or `all`."""
        return self.everything or any(getattr(self, name) is not None for name in LetterSelection.__struct_fields__)


class LetterGroup(msgspec.Struct, frozen=True, rename="camel"):
    """The letters of a reactor whose reasons have one shape: their number, when the oldest and the newest were buried,
    and the id and the key of the newest."""

    reactor: str
    reason: str
    count: int
    oldest: str
    newest: str
    newest_id: str
    newest_key: str


class LetterGroups(msgspec.Struct, frozen=True, rename="camel"):
    """The groups with the most letters, at most MAX_GROUPS of `groupsTotal`, the largest first."""

    groups: list[LetterGroup]
    groups_total: int


class LetterResult(msgspec.Struct, frozen=True, rename="camel"):
    """What happened to one letter. `outcome` and `reason` are those of a replay."""

    id: str
    reactor: str
    key: str
    removed: bool
    outcome: str | None = None
    reason: str | None = None


class LetterResults(msgspec.Struct, frozen=True, rename="camel"):
    """What happened to the letters of one call; `nextCursor` goes on, and is null after the last letter."""

    letters: list[LetterResult]
    removed: int
    next_cursor: str | None


def shown_key(app: App, letter: Letter) -> str:
    """The client's key, masked."""
    return mask_key(source_of(app, letter.reactor, letter.key), app.settings.audit_key)


def shown_time(time_ms: int) -> str:
    """A time of a letter; the latest one that there is for what another application wrote."""
    try:
        return iso_utc(time_ms / 1000)
    except ValueError:
        return "9999-12-31T23:59:59.999Z"


def _reason(letter: Letter) -> str:
    return printable(
        f"{letter.error}: {letter.message}".removesuffix(": ").encode(errors="surrogatepass"), MAX_REASON_CHARS
    )


def shape_of(letter: Letter) -> str:
    """The reason without the names and numbers in it."""
    return _NUMBER.sub("#", _NAME.sub("`*`", _reason(letter)))


async def page(app: App, selection: LetterSelection, cursor: str | None, limit: int) -> dead_letters.Page:
    """Up to `limit` of the selected letters, newest first, from `cursor` on. Raises KeyspaceError for a cursor that is
    none, ValueError for a glob that is too long."""
    now_s, _ = await app.redis.time()
    letters: list[Letter] = []
    unreadable = 0

    async def read(number: int) -> dead_letters.Page:
        return await dead_letters.list_page(app, reactor=selection.reactor, cursor=cursor, limit=number)

    while True:
        wanted = limit - len(letters)
        step = await read(max(wanted, _EXAMINED) if selection.filters else wanted)
        matching = [number for number, letter in enumerate(step.letters, 1) if selection.has(app, letter, now_s)]
        if len(matching) > wanted:
            step = await read(matching[wanted - 1])  # only the end of a step has a cursor
        letters += [letter for letter in step.letters if selection.has(app, letter, now_s)]
        unreadable += step.unreadable
        cursor = step.next_cursor
        if cursor is None or len(letters) >= limit:
            return dead_letters.Page(letters, cursor, unreadable)


async def selected(app: App, selection: LetterSelection) -> AsyncGenerator[Letter]:
    """All selected letters, newest first."""
    cursor: str | None = None
    while True:
        found = await page(app, selection, cursor, MAX_PAGE)
        for letter in found.letters:
            yield letter
        cursor = found.next_cursor
        if cursor is None:
            return


async def groups(app: App, selection: LetterSelection = ALL) -> LetterGroups:
    """The selected letters by reactor and shape of the reason."""
    found: dict[tuple[str, str], LetterGroup] = {}
    async with aclosing(selected(app, selection)) as letters:
        async for letter in letters:
            group = letter.reactor, shape_of(letter)
            buried = shown_time(letter.last_ms)
            if known := found.get(group):
                found[group] = msgspec.structs.replace(known, count=known.count + 1, oldest=buried)
            else:
                key = shown_key(app, letter)
                found[group] = LetterGroup(*group, 1, buried, buried, letter.id, key)
    largest = sorted(found.values(), key=lambda group: (-group.count, group.reactor, group.reason))
    return LetterGroups(largest[:MAX_GROUPS], len(largest))


async def replay_selected(
    app: App, selection: LetterSelection, *, cursor: str | None = None, limit: int = MAX_PAGE, budget_s: float = 3600
) -> LetterResults:
    """Replay up to `limit` of the selected letters, newest first; no further one begins after `budget_s`.

    Letters that are buried again become the newest, so with the next cursor each letter is replayed once.
    """

    async def act(letter: Letter) -> LetterResult | None:
        started_s = time.perf_counter()
        try:
            outcome = await replay.replay(app, REACTORS, letter.id)
        except KeyspaceError:
            return None  # it was removed meanwhile, or no reactor replays it
        duration_ms = 1000 * (time.perf_counter() - started_s)
        telemetry.record(_REPLAY, letter.reactor, Source.REPLAY, outcome, duration_ms, app.settings.audit_key)
        removed = await dead_letters.get(app, letter.id) is None
        return _result(app, letter, removed=removed, outcome=outcome.result.value, reason=outcome.detail)

    results = await _act(app, selection, act, cursor, limit, budget_s)
    await app.write_minute_counts()
    return results


async def discard_selected(
    app: App, selection: LetterSelection, *, cursor: str | None = None, limit: int = MAX_PAGE, budget_s: float = 3600
) -> LetterResults:
    """Discard up to `limit` of the selected letters; no further one begins after `budget_s`."""

    async def act(letter: Letter) -> LetterResult | None:
        removed = await dead_letters.discard(app, letter.id)
        return _result(app, letter, removed=True) if removed else None

    return await _act(app, selection, act, cursor, limit, budget_s)


def _result(
    app: App, letter: Letter, *, removed: bool, outcome: str | None = None, reason: str | None = None
) -> LetterResult:
    return LetterResult(letter.id, letter.reactor, shown_key(app, letter), removed, outcome, reason)


async def _act(
    app: App,
    selection: LetterSelection,
    act: Callable[[Letter], Awaitable[LetterResult | None]],
    cursor: str | None,
    limit: int,
    budget_s: float,
) -> LetterResults:
    if isinstance(selection, LetterAction) and not selection.selects:
        return _results([], None)
    until_s = time.monotonic() + budget_s
    results: list[LetterResult] = []
    seen = 0
    while True:
        found = await page(app, selection, cursor, min(_STEP, limit - seen))
        for number, letter in enumerate(found.letters):
            if number and time.monotonic() > until_s:
                before = found.letters[number - 1]
                return _results(results, f"{before.last_ms}:{before.id}")
            if result := await act(letter):
                results.append(result)
        seen += len(found.letters)
        cursor = found.next_cursor
        if cursor is None or seen >= limit or time.monotonic() > until_s:
            return _results(results, cursor)


def _results(results: list[LetterResult], cursor: str | None) -> LetterResults:
    return LetterResults(results, sum(result.removed for result in results), cursor)
