"""The HTTP functions."""

import json

import azure.functions as func

from shared import context
from shared.health import check

blueprint = func.Blueprint()


@blueprint.function_name("health")
@blueprint.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """200 when events can flow, 503 with the reasons otherwise."""
    found = await check(context.current().redis)
    return func.HttpResponse(
        json.dumps(found.as_dict()),
        status_code=200 if found.status == "ok" else 503,
        mimetype="application/json",
        headers={"Cache-Control": "no-store"},
    )
