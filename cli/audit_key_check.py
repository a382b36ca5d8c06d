"""The check that a command which does the app's work uses the app's AUDIT_KEY."""

from typing import Any

from redis.exceptions import ResponseError

from cli.terminal import Refused
from shared import namespaces
from shared.app import App
from shared.operations.doctor.products import is_local
from shared.sessions.keys import phantom_key, token_of
from shared.settings import DEVELOPMENT_AUDIT_KEY
from shared.store.refusals import is_wrong_type

_SAMPLE = 16
_DUE = namespaces.build(namespaces.SESSIONS_DUE)


async def refuse_other_audit_key(app: App) -> None:
    """Raises Refused when the app on this Redis has another AUDIT_KEY: every session would be recorded again with
    another fingerprint, and the audit log signed with a key that the app does not have.

    Decides by the sealed tokens of sessions that are due. Raises what the Redis client raises.
    """
    try:
        sealed: list[Any] = await app.redis.zrange(_DUE, 0, _SAMPLE - 1)
    except ResponseError as error:
        if not is_wrong_type(error):
            raise
        sealed = []  # another application wrote the key; the next session replaces it
    if sealed:
        foreign = not any(token_of(app.keyrings, phantom_key(token)) for token in sealed)
    else:
        host = app.settings.redis_options.host
        foreign = app.settings.audit_key == DEVELOPMENT_AUDIT_KEY and not is_local(host)
    if foreign:
        raise Refused(
            "AUDIT_KEY is not that of the app on this Redis: sessions would be recorded again with other fingerprints. "
            "Set AUDIT_KEY (and AUDIT_KEY_PREVIOUS) to the app's values"
        )
