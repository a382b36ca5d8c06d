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
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from shared.errors import Rejected
from shared.privacy.keyring import Keyring
from shared.reactor import Result
from shared.sessions import records
from shared.sessions.forms import MAX_TIME_MS, read_form
from shared.sessions.phantom import Phantom, Stored, Values, read
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
TOMBSTONE_MS = 600_000
"""How long the phantom of an ended life is kept: late events of that life make no second one."""
NO_TTL = -1
"""PTTL of a key without one."""
HEARD_MS = 60_000
"""How long the event of a session that was gone already waits for the event of its end."""


class Look(NamedTuple):
    """The reply of look_session.lua."""

    now_us: int
    kind: bytes
    size_bytes: int
    ttl_ms: int
    digest: bytes
    text: bytes | None
    values: Values
    phantom_digest: bytes
    phantom_ttl_ms: int
    is_former: bytes
    has_due_time: bytes
    is_in_users_set: bytes
    mark: bytes


@dataclass(frozen=True)
class Request:
    """Why a session is looked at. `source` is what its records name; `reason` is that of the end that the event
    reports, '' for none; `announces` says that the event reports a write."""

    token: bytes
    fingerprint: str
    key_id: str
    sealed: Sequence[str]
    source: str
    reason: str
    announces: bool


@dataclass(frozen=True)
class Options:
    """The settings that decide, and the keyrings of AUDIT_KEY and AUDIT_KEY_PREVIOUS."""

    max_bytes: int
    lost_after_ms: int
    refresh_min_ms: int
    delete: bool
    sessions_max: int
    revoke: bool
    pseudonymise: bool
    keyrings: Sequence[Keyring]


class Decision(NamedTuple):
    """The outcome once `plan` is applied. `digest` is the SHA-1 of the session's text, '' if it is missing; for a
    rejection that of the content."""

    result: Result
    detail: str
    plan: Plan
    digest: str


class _Session(NamedTuple):
    """The live session. `expires_ms` is what ends it: the earlier of TTL and `expires`."""

    digest: str
    user_id: str
    told_ms: int | None
    cookie_ms: int | None
    expires_ms: int | None


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
    case = _Case(look, request, options, stored)
    result, detail, digest = case.missing() if look.kind == b"none" else case.existing()
    return Decision(result, detail, case.finished(), digest)


type _Verdict = tuple[Result, str, str]


class _Case:
    """One look, and the plan that grows as it is decided about. `phantom` is the state so far."""

    def __init__(self, look: Look, request: Request, options: Options, stored: Stored) -> None:
        self.look, self.request, self.options, self.stored = look, request, options, stored
        self.phantom = stored.phantom
        self.now_ms = look.now_us // 1000
        self.plan = Plan(adopt=bool(look.is_former and self.phantom))
        self.plan.sequence = self.phantom.sequence if self.phantom else 0
        self.swept = request.source == "sweep"
        self.due = request.source == "schedule"

    # The key is missing

    def missing(self) -> _Verdict:
        phantom, request = self.phantom, self.request
        if phantom is None or not phantom.alive:
            return self._missing_without_life()
        if not request.reason and request.source == "event":
            return Result.IGNORED, "the key is gone: its own event has the reason", ""
        reason = self._end_reason(phantom)
        if reason == "lost":
            since_ms = phantom.missing_ms or self.now_ms
            if abs(self.now_ms - since_ms) < self.options.lost_after_ms:
                if not phantom.missing_ms:
                    phantom.missing_ms, phantom.missing_by = self.now_ms, request.source
                    self._store(PHANTOM_TTL_MS)
                self._set_due(since_ms + self.options.lost_after_ms)
                return Result.LATER, "the key is gone: waiting for the event with the reason", ""
        self._end(phantom, reason, by=phantom.missing_by if reason == "lost" else "")
        return self._processed("")

    def _missing_without_life(self) -> _Verdict:
        request = self.request
        if self.phantom is None and request.source == "event":
            if request.reason and self.stored.heard_ms:
                self._record_brief_life(self.stored.heard_ms)
                return self._processed("")
            if request.announces:
                if not self.stored.heard_ms:
                    self.plan.heard_ms, self.plan.ttl_ms = self.now_ms, HEARD_MS
                return Result.DUPLICATE, "gone before it was read: waiting for the event of its end", ""
        self._tidy()
        if self.phantom and self.look.phantom_ttl_ms > TOMBSTONE_MS:
            self.plan.ttl_ms = TOMBSTONE_MS
        return Result.DUPLICATE, "no live phantom", ""

    def _tidy(self) -> None:
        """Nothing lives: remove what Redis refused to remove at the end."""
        if self.due or self.look.has_due_time:
            self._set_due(None)
        if self.phantom and self.look.is_in_users_set:
            self._leave_user(self.phantom, self.phantom.user_id)

    def _record_brief_life(self, heard_ms: int) -> None:
        """A write and an end of the session were reported, and no life of it was recorded: created and ended at once,
        without content."""
        life = self._new_life(heard_ms)
        life.life, life.ended_ms = str(heard_ms * 1000), self.now_ms
        data: dict[str, object] = {"userId": None, "expires": None, "contentSeen": False}
        self._append(life, records.CREATED, data, at_ms=heard_ms, number=1)
        ended = {**data, "reason": self.request.reason, "duration_s": None, "touches": 0}
        self._append(life, records.ENDED, ended, number=2)
        self.phantom, self.plan.sequence = life, 2
        self._store(TOMBSTONE_MS)

    # The key exists

    def existing(self) -> _Verdict:
        phantom, request = self.phantom, self.request
        prior_end_ms = phantom.prior_end_ms or 0 if phantom else 0
        is_late = abs(self.now_ms - prior_end_ms) <= LATE_EVENT_MS
        # The token was used again meanwhile. An event soon after the end of the previous life is late: LATE_EVENT_MS.
        ended_meanwhile = bool(phantom and phantom.alive and (phantom.missing_ms or (request.reason and not is_late)))
        life = phantom if phantom and phantom.alive and not ended_meanwhile else None
        try:
            session = self._read_session(life)
        except Rejected as fault:
            return self._rejected(str(fault))
        lapsed = session.expires_ms is not None and session.expires_ms <= self.now_ms
        # Never because of cookie.expires: a client without TTLs may leave it unchanged while the session is in use.
        delete = lapsed and session.told_ms is not None and self.options.delete
        if phantom and ended_meanwhile:
            by = phantom.missing_by if not request.reason else ""
            next_user = None if lapsed else session.user_id
            self._end(phantom, self._end_reason(phantom), by=by, next_user=next_user)
        elif phantom is None and request.reason and self.stored.heard_ms:
            self._record_brief_life(self.stored.heard_ms)
        if life is None:
            return self._lapsed_without_life(session, delete) if lapsed else self._begin(session)
        if lapsed:
            life.expires_ms = session.expires_ms
            self.plan.delete = delete
            self._end(life, "expired", key_remains=not delete, deleted=delete)
            return self._processed(session.digest)
        return self._continue(life, session)

    def _rejected(self, reason: str) -> _Verdict:
        """The session cannot be read; phantom and records stay as they are."""
        look = self.look
        digest = f"type:{look.kind.decode(errors='replace')}"
        if look.kind == b"string":
            digest = self._digest() if look.text is not None else f"bytes:{look.size_bytes}"
        if self.due:
            self._set_due(None)
        if look.mark.decode(errors="replace") == digest:
            return Result.DUPLICATE, "the content is a dead letter", digest
        return Result.REJECTED, reason, digest

    def _digest(self) -> str:
        look = self.look
        return look.digest.decode() or hashlib.sha1(look.text or b"", usedforsecurity=False).hexdigest()

    def _read_session(self, life: Phantom | None) -> _Session:
        """`life` is the life that continues; None if a new one would begin. Raises Rejected."""
        look = self.look
        if look.kind != b"string":
            raise Rejected("the value is not a string")
        if look.size_bytes > self.options.max_bytes:
            raise Rejected("the value is too large")
        if look.text is None and life:  # unchanged
            user_id, told_ms, cookie_ms = life.user_id, life.told_ms, life.cookie_ms
        else:
            user_id, told_ms, cookie_ms = read_form(look.text or b"", self.request.token)
            user_id = self._form_of(user_id, life)
        expires_ms = told_ms if told_ms is not None else cookie_ms
        if look.ttl_ms >= 0:  # cookie.expires counts without a TTL only: a touch of connect-redis moves the TTL alone
            ttl_end_ms = self.now_ms + max(look.ttl_ms, 1)  # the key exists, so it has not expired yet
            expires_ms = min(ttl_end_ms, told_ms or MAX_TIME_MS, MAX_TIME_MS)
        return _Session(self._digest(), user_id, told_ms, cookie_ms, expires_ms)

    def _form_of(self, user_id: str, life: Phantom | None) -> str:
        """The user as records name it: a life keeps the form in which its first record does."""
        rings = self.options.keyrings
        if not user_id:
            return ""
        if life and (life.user_id == user_id or (life.user_id[:1] == "~" and life.user_id in forms_of(rings, user_id))):
            return life.user_id
        return rings[0].pseudonym(user_id) if self.options.pseudonymise else user_id

    def _begin(self, session: _Session) -> _Verdict:
        # An event that reports an end is about a previous life: this one has just begun.
        former = self.phantom
        prior_end_ms = former.ended_ms if former else self.now_ms if self.request.reason else None
        life = self._new_life(self.now_ms, session)
        life.prior_end_ms = prior_end_ms
        self.phantom, self.plan.sequence = life, 0
        self._append(life, records.CREATED, _data(life))
        self._signal_unbounded(life)
        self._join_user(life, signal=True)
        self._set_due(life.expires_ms)
        self._store(PHANTOM_TTL_MS)
        return self._processed(session.digest)

    def _lapsed_without_life(self, session: _Session, delete: bool) -> _Verdict:
        self.plan.delete = delete
        if self.phantom and not self.plan.records:
            self._tidy()
        if not delete:
            if self.phantom and self.look.phantom_ttl_ms < PHANTOM_TTL_MS // 2:
                self.plan.ttl_ms = PHANTOM_TTL_MS  # it has to outlive the key
            if self.plan.records:
                return self._processed(session.digest)
            return Result.DUPLICATE, "lapsed earlier", session.digest
        if self.phantom is None:  # never seen alive: record the end only
            self.phantom = self._new_life(self.now_ms, session)
            data = {**_data(self.phantom), "reason": "expired", "duration_s": None, "touches": 0, "deleted": True}
            self._append(self.phantom, records.ENDED, data)
            self.phantom.ended_ms = self.now_ms
            self._store(TOMBSTONE_MS)
        if self.plan.records:
            return self._processed(session.digest)
        return Result.PROCESSED, "lapsed session deleted", session.digest

    def _continue(self, life: Phantom, session: _Session) -> _Verdict:
        user_changed = session.user_id != life.user_id
        expiry_changed = not _same_expiry(session.expires_ms, life.expires_ms)
        if not user_changed and not expiry_changed and session.digest == life.digest:
            self._renew(life, session)
            return Result.DUPLICATE, "nothing changed", session.digest
        former_user = life.user_id
        life.digest, life.user_id = session.digest, session.user_id
        life.told_ms, life.cookie_ms = session.told_ms, session.cookie_ms
        if expiry_changed:
            life.expires_ms = session.expires_ms
        refresh_due = self.now_ms - life.recorded_ms >= self.options.refresh_min_ms or session.expires_ms is None
        touches = {"touches": life.touches}
        if user_changed:
            self._append(life, records.CHANGED, {**_data(life), "previousUserId": former_user or None, **touches})
        elif expiry_changed and refresh_due:
            self._append(life, records.REFRESHED, {**_data(life), **touches})
        if self.plan.records:
            life.recorded_ms, life.touches = self.now_ms, 0
        else:
            life.touches += 1
        self._signal_unbounded(life)
        if user_changed:
            self._leave_user(life, former_user)
        if user_changed or expiry_changed:
            self._join_user(life, signal=user_changed)
        if user_changed:
            self._revoke(life, former_user)
        if expiry_changed or self.due:
            self._set_due(session.expires_ms)
        self._store(PHANTOM_TTL_MS)
        if not self.plan.records:
            return Result.DUPLICATE, "touch counted", session.digest
        return self._processed(session.digest)

    def _renew(self, life: Phantom, session: _Session) -> None:
        """Nothing changed. The schedule has postponed the due time: set it. A sweep restores a due time or a member of
        a user's set that was lost (evicted, or overwritten by another application)."""
        lost_due_time = self.swept and session.expires_ms is not None and not self.look.has_due_time
        if self.due or lost_due_time:
            self._set_due(session.expires_ms)
        if self.swept and life.user_id and not self.look.is_in_users_set:
            self._join_user(life, signal=False)
        if self.look.phantom_ttl_ms < PHANTOM_TTL_MS // 2:  # the phantom has to outlive a long life
            self.plan.ttl_ms = PHANTOM_TTL_MS
            self.plan.renew += [DUE, *([user_sessions_key(life.user_id)] if life.user_id else [])]

    # What is written

    def finished(self) -> Plan:
        """The plan, completed by what does not depend on the transition."""
        plan, pending = self.plan, self.stored.pending
        if plan.adopt and self.phantom and not plan.phantom:
            self._store(self.look.phantom_ttl_ms if self.look.phantom_ttl_ms > 0 else PHANTOM_TTL_MS)
            if self.phantom.alive:
                self._set_due(self.phantom.expires_ms)
        if self.look.phantom_ttl_ms == NO_TTL and not plan.ttl_ms:  # Redis refused to set one
            plan.ttl_ms = PHANTOM_TTL_MS if self.phantom else HEARD_MS
        joined = {(key, member) for key, member, score in plan.members if score}
        life = self.phantom
        if life and life.alive:
            joined.add((user_sessions_key(life.user_id), life.fingerprint))
        plan.records[:0] = plan.leaving
        if pending:
            self._complete(pending)
        plan.records = [
            record
            for record in plan.records
            if record.condition != "left" or (user_sessions_key(record.user_id), record.head) not in joined
        ]
        return plan

    def _complete(self, pending: Sequence[records.Record]) -> None:
        """Put the records first that Redis refused earlier."""
        plan = self.plan
        ended = self.stored.phantom
        for count, record in enumerate(pending):
            if record.number == 0 and ended and self.phantom and self.phantom.life != ended.life:
                record.number = ended.sequence + 10 + count  # its life is over
        plan.records[:0] = pending
        plan.completes = True
        if not plan.ttl_ms and self.phantom and not self.phantom.alive and not self.plan.phantom:
            plan.ttl_ms = TOMBSTONE_MS

    def _processed(self, digest: str) -> _Verdict:
        return Result.PROCESSED, "", digest

    def _store(self, ttl_ms: int) -> None:
        self.plan.phantom, self.plan.ttl_ms = self.phantom, ttl_ms

    def _append(
        self, life: Phantom, type_: str, data: dict[str, object], *, by: str = "", at_ms: int = 0, number: int = 0
    ) -> None:
        data = {**data, "detectedBy": by or self.request.source}
        self.plan.records.append(records.make(life, type_, data, at_ms or self.now_ms, number=number))

    def _new_life(self, recorded_ms: int, session: _Session | None = None) -> Phantom:
        life = Phantom(
            fingerprint=self.request.fingerprint,
            key_id=self.request.key_id,
            life=str(self.look.now_us),
            first_seen_ms=recorded_ms,
            recorded_ms=recorded_ms,
            digest=session.digest if session else "unseen",
        )
        if session:
            life.user_id, life.expires_ms = session.user_id, session.expires_ms
            life.told_ms, life.cookie_ms = session.told_ms, session.cookie_ms
        return life

    def _end_reason(self, life: Phantom) -> str:
        """The reason of the end of a life whose key is or was missing. The deletion of a lapsed session is not a
        logout: NextAuth deletes it on its next read. Without an event there is a leeway, since the phantom's expiry may
        be up to SAME_EXPIRY_MS late."""
        reason = self.request.reason
        leeway_ms = 0 if reason else SAME_EXPIRY_MS
        missing_ms = life.missing_ms or self.now_ms
        lapsed = life.expires_ms is not None and life.expires_ms - leeway_ms <= missing_ms
        if lapsed and reason in {"", "logout"}:
            return "expired"
        return reason or "lost"

    def _end(
        self,
        life: Phantom,
        reason: str,
        *,
        by: str = "",
        next_user: str | None = None,
        key_remains: bool = False,
        deleted: bool = False,
    ) -> None:
        """End a life. Its phantom is kept for a while: with it a late event is recognised, and a lapsed session whose
        key remains begins no new life. `next_user` is the user of the life that begins in the same plan."""
        data = {
            **_data(life),
            "reason": reason,
            "duration_s": round(max(0, self.now_ms - life.first_seen_ms) / 1000, 3),
            "touches": life.touches,
            **({"keyRemains": True} if key_remains else {}),
            **({"deleted": True} if deleted else {}),
        }
        goes_on = next_user is not None
        number = life.sequence + 1 if goes_on else 0
        self._append(life, records.ENDED, data, by=by, number=number)
        self._leave_user(life, life.user_id)
        if reason != "renamed" and next_user != life.user_id:
            self._revoke(life, life.user_id, number=number + 1 if goes_on else 0)
        self._set_due(None)
        life.ended_ms, life.missing_ms = self.now_ms, None
        self._store(PHANTOM_TTL_MS if key_remains else TOMBSTONE_MS)

    def _signal_unbounded(self, life: Phantom) -> None:
        """Record once per life that neither a TTL nor an expiry ends the session."""
        if life.expires_ms is None and not life.unbounded:
            self._append(life, records.UNBOUNDED, {"userId": life.user_id or None})
            life.unbounded = True

    def _set_due(self, ms: int | None) -> None:
        sealed, *former = self.request.sealed
        self.plan.members.append((DUE, sealed, "" if ms is None else str(ms)))
        self.plan.members += [(DUE, token, "") for token in former]

    def _join_user(self, life: Phantom, *, signal: bool) -> None:
        """Put the session into its user's set. `signal`: record an excess if there are more live ones than allowed."""
        if not life.user_id:
            return
        score = "+inf" if life.expires_ms is None else str(life.expires_ms)
        self.plan.members.append((user_sessions_key(life.user_id), life.fingerprint, score))
        if signal and self.options.sessions_max:
            data: dict[str, object] = {"userId": life.user_id, "limit": self.options.sessions_max}
            self._append(life, records.EXCESS, data)

    def _leave_user(self, life: Phantom, user_id: str) -> None:
        if user_id:
            self.plan.leaving.append(records.leaving(life.fingerprint, user_id))

    def _revoke(self, life: Phantom, user_id: str, *, number: int = 0) -> None:
        """Delete the user's tokens if no other session of the user is known, and record that."""
        if self.options.revoke and user_id and not is_substitute(user_id):
            self._append(life, records.REVOKED, {"userId": user_id}, number=number)
            self.plan.records[-1].user_id = user_id  # a life that goes on has another user by now


def _data(life: Phantom) -> dict[str, object]:
    return {"userId": life.user_id or None, "expires": records.time_of(life.expires_ms)}


def _same_expiry(a_ms: int | None, b_ms: int | None) -> bool:
    return a_ms == b_ms or (a_ms is not None and b_ms is not None and abs(a_ms - b_ms) < SAME_EXPIRY_MS)


def is_substitute(user_id: str) -> bool:
    """Whether it is not the id itself: a pseudonym, or a beginning and a SHA-1 (see forms.recorded_id)."""
    _, tilde, digits = user_id.rpartition("~")
    is_hex = bool(digits) and all(digit in "0123456789abcdefABCDEF" for digit in digits)
    return bool(tilde) and is_hex and (len(digits) == 40 or (len(digits) == 32 and len(user_id) == 33))
