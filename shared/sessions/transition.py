"""Decides what a look at a session means: the records to append, and the new state of its phantom. Pure.

    key      phantom         transition
    exists   none or ended   created; nothing if the session has lapsed
    exists   alive           ended (expired) if the session has lapsed; else changed (another user), refreshed (another
                             expiry), a counted touch (anything else), or nothing (no difference);
                             ended and created if the key was missing before or the event reports an end
    missing  alive           ended with the reason of the event; without one expired, or lost after lost_after_ms
    missing  ended           nothing
    missing  none            created and ended without content if two events reported a write and an end; else nothing

The new state is that of the last record of its life, plus the touches counted since.
"""

import hashlib
from typing import NamedTuple

from shared.errors import Rejected
from shared.reactor import Result
from shared.sessions import records
from shared.sessions.draft import HEARD_MS, TOMBSTONE_MS, Draft, Look, Options, Request, Session, data_of
from shared.sessions.forms import MAX_TIME_MS, read_form
from shared.sessions.phantom import Phantom, read
from shared.sessions.plan import DUE, PHANTOM_TTL_MS, Plan, forms_of, user_sessions_key

SAME_EXPIRY_MS = 1000
"""PTTL returns the remaining time, so the end that is computed from it differs by a few ms from look to look."""
LATE_EVENT_MS = 60_000
"""Every instance receives the event of an end, some up to this much later. Until then it must not end the next life:

    instance A   del: life 1 ends ----- set: life 2 begins --------------------------------------------> time
    instance B                                                del: late, records nothing  |  del: life 2 ends
                 |<------------------------------ LATE_EVENT_MS ------------------------->|
                 prior_end_ms of life 2
"""


MAX_BACKLOG_BYTES = 128 * 1024
"""Records that wait, from which on no further one is made: what happens until then is not told apart afterwards. The
scripts take twice as much for a phantom's."""


class Decision(NamedTuple):
    """The outcome once `plan` is applied. `digest` is the SHA-1 of the session's text, '' if it is missing; for a
    rejection that of the content."""

    result: Result
    detail: str
    plan: Plan
    digest: str


def decide(look: Look, request: Request, options: Options) -> Decision | None:
    """Decide about one look. Idempotent: the look after the plan was applied leads to no record.

    None if the look has to be repeated with the text: the phantom's digest is that of the text, but the rest of it is
    not valid.
    """
    stored = read(look.values)
    if stored.newer:
        return Decision(Result.LATER, "a newer version of the app looks after it", Plan(), "")
    if look.kind == b"string" and look.text is None and look.size_bytes <= options.max_bytes and not stored.phantom:
        return None
    draft = Draft(look, request, options, stored)
    result, detail, digest = _missing(draft) if look.kind == b"none" else _existing(draft)
    if stored.pending_bytes > MAX_BACKLOG_BYTES and draft.plan.records:
        only_pending = Draft(look, request, options, read(look.values)).finished()
        return Decision(Result.LATER, "records that Redis refused come first", only_pending, digest)
    return Decision(result, detail, draft.finished(), digest)


type _Verdict = tuple[Result, str, str]


def _missing(draft: Draft) -> _Verdict:
    phantom, why = draft.phantom, draft.why
    if phantom is None or not phantom.alive:
        return _missing_without_life(draft)
    if not why.reason and why.source == "event":
        return Result.IGNORED, "the key is gone: its own event has the reason", ""
    reason = _end_reason(draft, phantom)
    if reason == "lost":
        since_ms = phantom.missing_ms or draft.now_ms
        if abs(draft.now_ms - since_ms) < draft.options.lost_after_ms:
            if not phantom.missing_ms:
                phantom.missing_ms, phantom.missing_by = draft.now_ms, why.source
                draft.store(PHANTOM_TTL_MS)
            draft.set_due(since_ms + draft.options.lost_after_ms)
            return Result.LATER, "the key is gone: waiting for the event with the reason", ""
    draft.end(phantom, reason, by=phantom.missing_by if reason == "lost" else "")
    return _processed("")


def _missing_without_life(draft: Draft) -> _Verdict:
    why = draft.why
    if draft.phantom is None and why.source == "event":
        if why.reason and draft.stored.heard_ms:
            draft.record_brief_life(draft.stored.heard_ms)
            return _processed("")
        if why.announces:
            if not draft.stored.heard_ms:
                draft.plan.heard_ms, draft.plan.ttl_ms = draft.now_ms, HEARD_MS
            return Result.DUPLICATE, "gone before it was read: waiting for the event of its end", ""
    draft.tidy()
    if draft.phantom and draft.look.phantom_ttl_ms > TOMBSTONE_MS:
        draft.plan.ttl_ms = TOMBSTONE_MS
    return Result.DUPLICATE, "no live phantom", ""


def _existing(draft: Draft) -> _Verdict:
    phantom, why = draft.phantom, draft.why
    prior_end_ms = phantom.prior_end_ms or 0 if phantom else 0
    is_late = abs(draft.now_ms - prior_end_ms) <= LATE_EVENT_MS
    # The token was used again meanwhile. An event soon after the end of the previous life is late: LATE_EVENT_MS.
    ended_meanwhile = bool(phantom and phantom.alive and (phantom.missing_ms or (why.reason and not is_late)))
    life = phantom if phantom and phantom.alive and not ended_meanwhile else None
    try:
        session = _read_session(draft, life)
    except Rejected as fault:
        return _rejected(draft, str(fault))
    lapsed = session.expires_ms is not None and session.expires_ms <= draft.now_ms
    # Never because of cookie.expires: a client without TTLs may leave it unchanged while the session is in use.
    delete = lapsed and session.told_ms is not None and draft.options.delete
    if phantom and ended_meanwhile:
        by = phantom.missing_by if not why.reason else ""
        next_user = None if lapsed else session.user_id
        draft.end(phantom, _end_reason(draft, phantom), by=by, next_user=next_user)
    elif phantom is None and why.reason and draft.stored.heard_ms:
        draft.record_brief_life(draft.stored.heard_ms)
    if life is None:
        return _lapsed_without_life(draft, session, delete) if lapsed else _begin(draft, session)
    if lapsed:
        life.expires_ms = session.expires_ms
        draft.plan.delete = delete
        draft.end(life, "expired", key_remains=not delete, deleted=delete)
        return _processed(session.digest)
    return _continue(draft, life, session)


def _rejected(draft: Draft, reason: str) -> _Verdict:
    """The session cannot be read; phantom and records stay as they are."""
    look = draft.look
    digest = f"type:{look.kind.decode(errors='replace')}"
    if look.kind == b"string":
        digest = _digest(draft) if look.text is not None else f"bytes:{look.size_bytes}"
    if draft.due:
        draft.set_due(None)
    if look.mark.decode(errors="replace") == digest:
        return Result.DUPLICATE, "the content is a dead letter", digest
    return Result.REJECTED, reason, digest


def _lapsed_without_life(draft: Draft, session: Session, delete: bool) -> _Verdict:
    draft.plan.delete = delete
    if draft.phantom and not draft.plan.records:
        draft.tidy()
    if not delete:
        if draft.phantom and draft.look.phantom_ttl_ms < PHANTOM_TTL_MS // 2:
            draft.plan.ttl_ms = PHANTOM_TTL_MS  # it has to outlive the key
        if draft.plan.records:
            return _processed(session.digest)
        return Result.DUPLICATE, "lapsed earlier", session.digest
    if draft.phantom is None:  # never seen alive: record the end only
        draft.phantom = draft.new_life(draft.now_ms, session)
        data = {**data_of(draft.phantom), "reason": "expired", "duration_s": None, "touches": 0, "deleted": True}
        draft.append(draft.phantom, records.ENDED, data)
        draft.phantom.ended_ms = draft.now_ms
        draft.store(TOMBSTONE_MS)
    if draft.plan.records:
        return _processed(session.digest)
    return Result.PROCESSED, "lapsed session deleted", session.digest


def _begin(draft: Draft, session: Session) -> _Verdict:
    # An event that reports an end is about a previous life, and other instances receive it from now on.
    former = draft.phantom
    prior_end_ms = draft.now_ms if draft.why.reason else former.ended_ms if former else None
    life = draft.new_life(draft.now_ms, session)
    life.prior_end_ms = prior_end_ms
    draft.phantom, draft.plan.sequence = life, 0
    draft.append(life, records.CREATED, data_of(life))
    draft.signal_unbounded(life)
    draft.join_user(life, signal=True)
    draft.set_due(life.expires_ms)
    draft.store(PHANTOM_TTL_MS)
    return _processed(session.digest)


def _continue(draft: Draft, life: Phantom, session: Session) -> _Verdict:
    user_changed = session.user_id != life.user_id
    expiry_changed = not _same_expiry(session.expires_ms, life.expires_ms)
    if not user_changed and not expiry_changed and session.digest == life.digest:
        _renew(draft, life, session)
        return Result.DUPLICATE, "nothing changed", session.digest
    former_user = life.user_id
    life.digest, life.user_id = session.digest, session.user_id
    life.told_ms, life.cookie_ms = session.told_ms, session.cookie_ms
    if expiry_changed:
        life.expires_ms = session.expires_ms
    refresh_due = draft.now_ms - life.recorded_ms >= draft.options.refresh_min_ms or session.expires_ms is None
    touches = {"touches": life.touches}
    if user_changed:
        draft.append(life, records.CHANGED, {**data_of(life), "previousUserId": former_user or None, **touches})
    elif expiry_changed and refresh_due:
        draft.append(life, records.REFRESHED, {**data_of(life), **touches})
    if draft.plan.records:
        life.recorded_ms, life.touches = draft.now_ms, 0
    else:
        life.touches += 1
    draft.signal_unbounded(life)
    if user_changed:
        draft.leave_user(life, former_user)
    if user_changed or expiry_changed:
        draft.join_user(life, signal=user_changed)
    if user_changed:
        draft.revoke(life, former_user)
    if expiry_changed or draft.due:
        draft.set_due(session.expires_ms)
    draft.store(PHANTOM_TTL_MS)
    if not draft.plan.records:
        return Result.DUPLICATE, "touch counted", session.digest
    return _processed(session.digest)


def _renew(draft: Draft, life: Phantom, session: Session) -> None:
    """Nothing changed. The schedule has postponed the due time: set it. A sweep restores a due time or a member of
    a user's set that was lost (evicted, or overwritten by another application)."""
    lost_due_time = draft.swept and session.expires_ms is not None and not draft.look.has_due_time
    if draft.due or lost_due_time:
        draft.set_due(session.expires_ms)
    if draft.swept and life.user_id and not draft.look.is_in_users_set:
        draft.join_user(life, signal=False)
    if draft.look.phantom_ttl_ms < PHANTOM_TTL_MS // 2:  # the phantom has to outlive a long life
        draft.plan.ttl_ms = PHANTOM_TTL_MS
        draft.plan.renew += [DUE, *([user_sessions_key(life.user_id)] if life.user_id else [])]


def _read_session(draft: Draft, life: Phantom | None) -> Session:
    """`life` is the life that continues; None if a new one would begin. Raises Rejected."""
    look = draft.look
    if look.kind != b"string":
        raise Rejected("the value is not a string")
    if look.size_bytes > draft.options.max_bytes:
        raise Rejected("the value is too large")
    if look.text is None and life:  # unchanged
        user_id, told_ms, cookie_ms = life.user_id, life.told_ms, life.cookie_ms
    else:
        user_id, told_ms, cookie_ms = read_form(look.text or b"", draft.request.token)
        user_id = _form_of(draft, user_id, life)
    expires_ms = told_ms if told_ms is not None else cookie_ms
    if look.ttl_ms >= 0:  # cookie.expires counts without a TTL only: a touch of connect-redis moves the TTL alone
        ttl_end_ms = draft.now_ms + max(look.ttl_ms, 1)  # the key exists, so it has not expired yet
        expires_ms = min(ttl_end_ms, told_ms or MAX_TIME_MS, MAX_TIME_MS)
    return Session(_digest(draft), user_id, told_ms, cookie_ms, expires_ms)


def _form_of(draft: Draft, user_id: str, life: Phantom | None) -> str:
    """The user as records name it: a life keeps the form in which its first record does."""
    rings = draft.options.keyrings
    if not user_id:
        return ""
    if life and (life.user_id == user_id or (life.user_id[:1] == "~" and life.user_id in forms_of(rings, user_id))):
        return life.user_id
    return rings[0].pseudonym(user_id) if draft.options.pseudonymise else user_id


def _digest(draft: Draft) -> str:
    look = draft.look
    return look.digest.decode() or hashlib.sha1(look.text or b"", usedforsecurity=False).hexdigest()


def _end_reason(draft: Draft, life: Phantom) -> str:
    """The reason of the end of a life whose key is or was missing. The deletion of a lapsed session is not a
    logout: NextAuth deletes it on its next read. Without an event there is a leeway, since the phantom's expiry may
    be up to SAME_EXPIRY_MS late."""
    reason = draft.why.reason
    leeway_ms = 0 if reason else SAME_EXPIRY_MS
    missing_ms = life.missing_ms or draft.now_ms
    lapsed = life.expires_ms is not None and life.expires_ms - leeway_ms <= missing_ms
    if lapsed and reason in {"", "logout"}:
        return "expired"
    return reason or "lost"


def _processed(digest: str) -> _Verdict:
    return Result.PROCESSED, "", digest


def _same_expiry(a_ms: int | None, b_ms: int | None) -> bool:
    return a_ms == b_ms or (a_ms is not None and b_ms is not None and abs(a_ms - b_ms) < SAME_EXPIRY_MS)
