"""Before a command does the app's own work: is it under the app's own AUDIT_KEY?"""

from typing import Any

from redis.exceptions import ResponseError

from cli.terminal import Refused
from shared import namespaces
from shared.app import App
from shared.operations.doctor.products import is_local
from shared.sessions.keys import phantom_key, token_of
from shared.settings import DEVELOPMENT_AUDIT_KEY
from shared.store.connection import parse_connection_string
from shared.store.refusals import is_wrong_type

_TRIED = 16
_DUE = namespaces.build(namespaces.SESSIONS_DUE)


async def refuse_other_audit_key(app: App) -> None:
    """Raises Refused when this is not the AUDIT_KEY of the app that works on this Redis: every session would be
    recorded once more, under another fingerprint, and the audit log signed under a key that nobody knows.

    The sealed tokens of sessions that are due tell it. Raises what the Redis client raises.
    """
    try:
        sealed: list[Any] = await app.redis.zrange(_DUE, 0, _TRIED - 1)
    except ResponseError as fault:
        if not is_wrong_type(fault):
            raise
        sealed = []  # another application's; the next session makes it ours again
    if sealed:
        foreign = not any(token_of(app.keyrings, phantom_key(one)) for one in sealed)
    else:
        host = parse_connection_string(app.settings.redis).host
        foreign = app.settings.audit_key == DEVELOPMENT_AUDIT_KEY and not is_local(host)
    if foreign:
        raise Refused(
            "AUDIT_KEY is not that of the app on this Redis: sessions would be recorded again, as others. "
            "Set AUDIT_KEY (and AUDIT_KEY_PREVIOUS) as the app has them"
        )
