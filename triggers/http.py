"""The HTTP functions."""

import json

import azure.functions as func

from shared import context
from shared.health import check_app

blueprint = func.Blueprint()


@blueprint.function_name("health")
@blueprint.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """200 when events can flow, with what needs attention; 503 with the reasons when they cannot."""
    found = await check_app(context.current())
    return func.HttpResponse(
        json.dumps(found.as_dict()),
        status_code=503 if found.status == "failed" else 200,
        mimetype="application/json",
        headers={"Cache-Control": "no-store"},
    )
