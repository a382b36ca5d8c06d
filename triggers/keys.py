"""The HTTP function that tells what is known of one key.

shared/operations/openapi.py describes it.
"""

import asyncio

import azure.functions as func
import msgspec

from shared.app import current_app
from shared.errors import KeyspaceError
from triggers.answers import Refusal, answering, json_answer

blueprint = func.Blueprint()

SEARCH_S = 10.0
"""Longest search for a key that is given as it is shown: among millions of keys it takes longer."""
MAX_BODY_BYTES = 8 * 1024


@blueprint.function_name("show_key")
@blueprint.route(route="keys/show", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@answering
async def show_key(req: func.HttpRequest) -> func.HttpResponse:
    """What Redis and the app know of a key. POST: a key may hold a token, which belongs in no address."""
    from shared.operations import key_report

    try:
        body = req.get_body()
        if len(body) > MAX_BODY_BYTES:
            raise Refusal(413, f"a body of more than {MAX_BODY_BYTES} bytes")
        question = msgspec.json.decode(body, type=key_report.KeyQuestion)
        question.key.encode()
    except (msgspec.MsgspecError, UnicodeError):
        raise Refusal(400, "the body is not the JSON object that the OpenAPI document describes") from None
    try:
        async with asyncio.timeout(SEARCH_S):
            return json_answer(await key_report.report(current_app(), question.key))
    except KeyspaceError as error:
        raise Refusal(404, str(error)) from None
    except TimeoutError:
        raise Refusal(503, "the search takes too long here: python3 manage.py keys show has the time") from None
