"""The monitor page: the page and its files, which are anonymous and hold no data, and its data, which need a key."""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import azure.functions as func

from shared.app import current_app
from triggers.answers import HEADERS, Refusal, answering, json_answer

blueprint = func.Blueprint()

PAGE = "monitor.html"
_FOLDER = Path(__file__).parent / "monitor_page"
_TYPES = {".css": "text/css", ".js": "text/javascript"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class Asset:
    """A file of the page."""

    content: bytes
    mimetype: str
    etag: str


@blueprint.function_name("monitor")
@blueprint.route(route="monitor", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@answering
async def monitor(req: func.HttpRequest) -> func.HttpResponse:
    """The page, without data: it asks for the function key and requests the data with it."""
    if urlsplit(req.url).path.endswith("/"):  # the page's relative addresses would not resolve
        return func.HttpResponse(status_code=308, headers=HEADERS | {"Location": "../monitor"})
    headers = HEADERS | {"Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"}
    return func.HttpResponse(_page(), mimetype="text/html", headers=headers)


@blueprint.function_name("monitor_file")
@blueprint.route(route="monitor/{file}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@answering
async def monitor_file(req: func.HttpRequest) -> func.HttpResponse:
    """A script or style of the page, by its exact name. Browsers revalidate it on each load (ETag)."""
    asset = assets().get(req.route_params.get("file", ""))
    if asset is None:
        raise Refusal(404, "the monitor page has no such file")
    headers = HEADERS | {"Cache-Control": "no-cache", "ETag": asset.etag}
    if asset.etag in req.headers.get("if-none-match", ""):
        return func.HttpResponse(status_code=304, headers=headers)
    return func.HttpResponse(asset.content, mimetype=asset.mimetype, headers=headers)


@blueprint.function_name("monitor_data")
@blueprint.route(route="monitor/data", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answering
async def monitor_data(req: func.HttpRequest) -> func.HttpResponse:
    """All data of the page, as one document; of the live feed, what the page does not have yet."""
    from shared.operations import effects, monitor_document

    after: str | None = req.params.get("effectsAfter")
    if after is not None and not re.fullmatch(effects.ID, after):
        raise Refusal(400, "effectsAfter is not the id of an effect")
    return json_answer(await monitor_document.monitor(current_app(), after))


@cache
def _page() -> bytes:
    return (_FOLDER / PAGE).read_bytes()


@cache
def assets() -> dict[str, Asset]:
    """The files that the page may load, by name: scripts and styles of its folder, no others."""
    assets_by_name = {}
    for path in _FOLDER.iterdir():
        if path.suffix in _TYPES:
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:32]
            assets_by_name[path.name] = Asset(content, _TYPES[path.suffix], f'"{digest}"')
    return assets_by_name
