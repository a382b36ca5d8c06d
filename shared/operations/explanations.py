"""What the reader makes of a payload, with the settings of the app: for `manage.py explain`, and for dead letters."""

import re
from collections.abc import Sequence

import msgspec

from shared import namespaces
from shared.app import App
from shared.delivery import dead_letters
from shared.delivery.dead_letters import Letter
from shared.errors import KeyspaceError, Rejected
from shared.operations import monitor_document, payload
from shared.operations.monitor_document import DeadLetter
from shared.privacy.masking import mask_key
from shared.reading.explain import Explanation, explain_batch, explain_chart
from shared.reading.overrides import NONE
from shared.registry import REACTORS
from shared.runtime.threads import off_loop

THREAD_BYTES = 64 * 1024
"""Payloads of this size or more are explained in a thread."""
BATCH, CHART = "batch", "chart"
_KINDS = {reactor.name: reactor.noun for reactor in REACTORS if reactor.noun in {BATCH, CHART}}
_GLOB_CHARS = re.compile(r"[*?[]")


class ExplainedLetter(DeadLetter, frozen=True, rename="camel"):
    """A dead letter with what the reader makes of its payload; null where the payload was read, is not kept, or is
    neither a batch nor a chart."""

    explanation: Explanation | None


class PayloadView(msgspec.Struct, frozen=True, rename="camel"):
    """The beginning of a payload: its first parts, each on one line, with what looks like a secret masked. `moreParts`
    counts the parts that are left out, `cut` says whether a part is shown in part."""

    shape: str
    parts: list[str]
    more_parts: int
    cut: bool


class DetailedLetter(ExplainedLetter, frozen=True, rename="camel"):
    """An explained letter with its payload; null where that is not kept or cannot be read."""

    payload: PayloadView | None


async def explain(app: App, kind: str, key: bytes | None, shape: str, parts: Sequence[bytes]) -> Explanation:
    """What read_batch or read_chart makes of a payload, with the entry of INPUTS for the key.

    kind: BATCH or CHART. key: None for a payload that comes from a file. shape, parts: see read_batch.
    Raises WorkTimeout.
    """
    override = NONE if key is None else app.settings.overrides.override(key)
    if kind == CHART and shape != "string":
        return refused(kind, f"a {shape}, not a string", 0)

    def work() -> Explanation:
        if kind == CHART:
            return explain_chart(parts[0], override)
        return explain_batch(shape, parts, override)

    if sum(map(len, parts)) < THREAD_BYTES:
        explanation = work()
    else:
        explanation = await off_loop(app.settings.work_timeout_s, work)
    return msgspec.structs.replace(explanation, glob=_glob(app, kind, key))


def refused(kind: str, reason: str, size: int) -> Explanation:
    """The explanation of a payload that is not read, such as one above MAX_PAYLOAD_BYTES. size: in bytes."""
    return Explanation(kind, "rejected", reason, size)


def _glob(app: App, kind: str, key: bytes | None) -> str:
    """A glob for an entry of INPUTS: the key of a chart; all batches, whose keys have a new id each time."""
    if key is None:
        return ""
    if kind == BATCH and namespaces.parts_of(namespaces.BATCH, key):
        return f"{namespaces.BATCH.prefix.decode()}*"
    text = key.decode(errors="backslashreplace")
    if mask_key(key, app.settings.audit_key, hide_users=app.settings.audit_pseudonymise_users) != text:
        return ""
    return _GLOB_CHARS.sub(lambda match: f"[{match[0]}]", text)


async def explained_letter(app: App, letter: Letter) -> ExplainedLetter:
    """Raises what the Redis client raises."""
    shown = monitor_document.shown_letter(app, letter)
    return ExplainedLetter(**msgspec.structs.asdict(shown), explanation=await of_letter(app, letter))


async def detailed_letter(app: App, letter: Letter) -> DetailedLetter:
    """Raises what the Redis client raises."""
    explained = await explained_letter(app, letter)
    try:
        content = await dead_letters.payload(app, letter.id)
    except KeyspaceError:
        content = None
    shown = msgspec.convert(payload.beginning(content), PayloadView) if content else None
    return DetailedLetter(**msgspec.structs.asdict(explained), payload=shown)


async def of_letter(app: App, letter: Letter) -> Explanation | None:
    """The explanation of the payload of a letter, if the reader refused it.

    None for a letter with another error, without a payload or with one that another application overwrote, and where
    explaining takes longer than WORK_TIMEOUT_S. Raises what the Redis client raises.
    """
    kind = _KINDS.get(letter.reactor)
    if kind is None or letter.error != Rejected.__name__:
        return None
    try:
        content = await dead_letters.payload(app, letter.id)
        if content is None:
            return None
        return await explain(app, kind, letter.key, content.shape, content.parts)
    except KeyspaceError:
        return None
