"""The HTTP functions of dead letters: lists, groups, replay and discard, of one letter or of a selection."""

import re
import time
from typing import TYPE_CHECKING

import azure.functions as func
import msgspec

from shared import telemetry
from shared.app import current_app
from shared.errors import KeyspaceError
from shared.reactor import Source
from shared.registry import NAMES, REACTORS
from triggers.answers import (
    HEADERS,
    Refusal,
    answering,
    choice_parameter,
    integer_parameter,
    json_answer,
    text_parameter,
)

if TYPE_CHECKING:
    from shared.operations.letter_selection import LetterAction, LetterSelection

blueprint = func.Blueprint()

ACTION_BUDGET_S = 20.0
"""No further letter of a selection is acted on after this time; the answer has the cursor to go on with."""
MAX_BODY_BYTES = 16 * 1024
_ID = re.compile(r"[0-9a-f]{32}")
_MAX_REASON_CHARS = 200


@blueprint.function_name("dead_letters")
@blueprint.route(route="events/dead", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answering
async def dead_letters(req: func.HttpRequest) -> func.HttpResponse:
    """A page of dead letters, newest first."""
    from shared.delivery.dead_letters import MAX_PAGE
    from shared.operations import letter_selection, monitor_document

    selection = _selection(req)
    cursor: str | None = req.params.get("cursor")
    if cursor is not None and not re.fullmatch(letter_selection.CURSOR, cursor):
        raise Refusal(400, "not a cursor of this list")
    limit = integer_parameter(req, "limit", 50, maximum=MAX_PAGE)
    return json_answer(
        await monitor_document.letters(current_app(), selection=selection, cursor=cursor or None, limit=limit)
    )


@blueprint.function_name("dead_letter")
@blueprint.route(route="events/dead/{id}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answering
async def dead_letter(req: func.HttpRequest) -> func.HttpResponse:
    """A letter with the beginning of its payload, masked, and what the reader makes of it."""
    from shared.delivery import dead_letters
    from shared.operations import explanations

    app = current_app()
    try:
        letter = await dead_letters.get(app, _letter_id(req))
    except KeyspaceError as error:  # another application has written over it
        raise Refusal(409, str(error)) from None
    if letter is None:
        raise _no_such_letter()
    return json_answer(await explanations.detailed_letter(app, letter))


@blueprint.function_name("replay_dead_letter")
@blueprint.route(route="events/dead/{id}/replay", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@answering
async def replay_dead_letter(req: func.HttpRequest) -> func.HttpResponse:
    """Replay a letter. It is removed when its effect is in place, and stays otherwise."""
    from shared.delivery import dead_letters, replay

    app, letter_id, started_s = current_app(), _letter_id(req), time.perf_counter()
    try:
        letter = await dead_letters.get(app, letter_id)
    except KeyspaceError as error:  # another application has written over it
        raise Refusal(409, str(error)) from None
    if letter is None:
        raise _no_such_letter()
    if letter.reactor not in NAMES:
        raise Refusal(409, "no reactor of this app replays the letter")
    try:
        outcome = await replay.replay(app, REACTORS, letter_id)
    except KeyspaceError:  # it was removed or written over meanwhile
        raise _no_such_letter() from None
    duration_ms = (time.perf_counter() - started_s) * 1000
    telemetry.record("replay_dead_letter", letter.reactor, Source.REPLAY, outcome, duration_ms, app.settings.audit_key)
    removed = await dead_letters.get(app, letter_id) is None
    return json_answer({"id": letter_id, "outcome": outcome.result, "reason": outcome.detail, "removed": removed})


@blueprint.function_name("discard_dead_letter")
@blueprint.route(route="events/dead/{id}/discard", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@answering
async def discard_dead_letter(req: func.HttpRequest) -> func.HttpResponse:
    """Remove a letter permanently; the same content is not buried again."""
    from shared.delivery import dead_letters

    if not await dead_letters.discard(current_app(), _letter_id(req)):
        raise _no_such_letter()
    return func.HttpResponse(status_code=204, headers=HEADERS)


@blueprint.function_name("dead_letter_groups")
@blueprint.route(route="events/dead-groups", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answering
async def dead_letter_groups(req: func.HttpRequest) -> func.HttpResponse:
    """The letters by reactor and reason, the largest groups first."""
    from shared.operations import letter_selection

    return json_answer(await letter_selection.groups(current_app(), _selection(req)))


@blueprint.function_name("replay_dead_letters")
@blueprint.route(route="events/dead-groups/replay", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@answering
async def replay_dead_letters(req: func.HttpRequest) -> func.HttpResponse:
    """Replay the letters of a selection, some at a time: the answer has the cursor for the next call."""
    from shared.operations import letter_selection

    action = _action(req)
    results = await letter_selection.replay_selected(
        current_app(), action, cursor=action.cursor or None, limit=int(action.limit), budget_s=ACTION_BUDGET_S
    )
    return json_answer(results)


@blueprint.function_name("discard_dead_letters")
@blueprint.route(route="events/dead-groups/discard", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@answering
async def discard_dead_letters(req: func.HttpRequest) -> func.HttpResponse:
    """Discard the letters of a selection, some at a time: the answer has the cursor for the next call."""
    from shared.operations import letter_selection

    action = _action(req)
    results = await letter_selection.discard_selected(
        current_app(), action, cursor=action.cursor or None, limit=int(action.limit), budget_s=ACTION_BUDGET_S
    )
    return json_answer(results)


def _selection(req: func.HttpRequest) -> "LetterSelection":
    """The letters that the query parameters select. Raises Refusal."""
    from shared.operations.letter_selection import MAX_AGE_S, MAX_GROUP_CHARS, LetterSelection

    older_than_s, newer_than_s = [
        integer_parameter(req, name, 0, maximum=MAX_AGE_S) if name in req.params else None
        for name in ("olderThanS", "newerThanS")
    ]
    return LetterSelection(
        choice_parameter(req, "reactor", NAMES),
        text_parameter(req, "reason", max_chars=_MAX_REASON_CHARS),
        text_parameter(req, "match", max_chars=_MAX_REASON_CHARS),
        older_than_s,
        newer_than_s,
        text_parameter(req, "group", max_chars=MAX_GROUP_CHARS),
    )


def _action(req: func.HttpRequest) -> "LetterAction":
    """The selection in the body of a request. Raises Refusal."""
    from shared.operations import letter_selection

    body = req.get_body()
    try:
        if len(body) > MAX_BODY_BYTES:
            raise Refusal(413, f"a body of more than {MAX_BODY_BYTES} bytes")
        action = msgspec.json.decode(body, type=letter_selection.LetterAction)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Refusal(400, "the body is not the JSON object that the OpenAPI document describes") from None
    return action


def _letter_id(req: func.HttpRequest) -> str:
    letter_id: str = req.route_params.get("id", "")
    if not _ID.fullmatch(letter_id):
        raise _no_such_letter()
    return letter_id


def _no_such_letter() -> Refusal:
    return Refusal(404, "there is no such dead letter")
