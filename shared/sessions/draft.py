"""The plan for one look at a session while transition.py decides: how records and states get into it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from shared.privacy.keyring import Keyring
from shared.sessions import records
from shared.sessions.phantom import Phantom, Stored, Values
from shared.sessions.plan import DUE, PHANTOM_TTL_MS, Plan, user_sessions_key

TOMBSTONE_MS = 600_000
"""How long the phantom of an ended life is kept: late events of that life make no second one."""
TOO_LONG = b"too long"
"""Digest of a phantom with fields that nobody reads: another application wrote them."""
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


class Why(NamedTuple):
    """Why a session is looked at. `source` is what its records name; `reason` is that of the end that the event
    reports, '' for none; `announces` says that the event reports a write, `hurried` that nothing has to be restored: a
    later sweep does that."""

    source: str
    reason: str
    announces: bool
    hurried: bool


class Request(NamedTuple):
    """A session to look at. `sealed` has its token under AUDIT_KEY and AUDIT_KEY_PREVIOUS."""

    token: bytes
    fingerprint: str
    key_id: str
    sealed: Sequence[str]
    why: Why


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


class Session(NamedTuple):
    """The live session. `expires_ms` is what ends it: the earlier of TTL and `expires`."""

    digest: str
    user_id: str
    told_ms: int | None
    cookie_ms: int | None
    expires_ms: int | None


class Draft:
    """One look, and the plan that grows out of it. `phantom` is the state so far."""

    def __init__(self, look: Look, request: Request, options: Options, stored: Stored) -> None:
        self.look, self.request, self.options, self.stored = look, request, options, stored
        self.why = request.why
        self.phantom = stored.phantom
        self.now_ms = look.now_us // 1000
        self.plan = Plan(adopt=bool(look.is_former and self.phantom))
        self.plan.sequence = self.phantom.sequence if self.phantom else 0
        self.plan.overwrites = look.phantom_digest == TOO_LONG
        self.swept = request.why.source == "sweep"
        self.due = request.why.source == "schedule"

    def finished(self) -> Plan:
        """The plan, completed by what does not depend on the transition."""
        plan, pending = self.plan, self.stored.pending
        if plan.adopt and self.phantom and not plan.phantom:
            self.store(self.look.phantom_ttl_ms if self.look.phantom_ttl_ms > 0 else PHANTOM_TTL_MS)
            if self.phantom.alive:
                self.set_due(self.phantom.expires_ms)
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
        if ended and self.phantom and self.phantom.life != ended.life:  # that life is over: number its records here
            number = ended.sequence + sum(record.head == records.head_of(ended) for record in plan.records)
            for record in pending:
                if record.number == 0:
                    number += 1
                    record.number = number
        plan.records[:0] = pending
        plan.completes = True
        if not plan.ttl_ms and self.phantom and not self.phantom.alive and not self.plan.phantom:
            plan.ttl_ms = TOMBSTONE_MS

    def store(self, ttl_ms: int) -> None:
        self.plan.phantom, self.plan.ttl_ms = self.phantom, ttl_ms

    def append(
        self, life: Phantom, type_: str, data: dict[str, object], *, by: str = "", at_ms: int = 0, number: int = 0
    ) -> None:
        data = {**data, "detectedBy": by or self.why.source}
        self.plan.records.append(records.make(life, type_, data, at_ms or self.now_ms, number=number))

    def new_life(self, recorded_ms: int, session: Session | None = None) -> Phantom:
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

    def record_brief_life(self, heard_ms: int) -> None:
        """A write and an end of the session were reported, and no life of it was recorded: created and ended at once,
        without content."""
        life = self.new_life(heard_ms)
        life.life, life.ended_ms = str(heard_ms * 1000), self.now_ms
        data: dict[str, object] = {"userId": None, "expires": None, "contentSeen": False}
        self.append(life, records.CREATED, data, at_ms=heard_ms, number=1)
        ended = {**data, "reason": self.why.reason, "duration_s": None, "touches": 0}
        self.append(life, records.ENDED, ended, number=2)
        self.phantom, self.plan.sequence = life, 2
        self.store(TOMBSTONE_MS)

    def end(
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
            **data_of(life),
            "reason": reason,
            "duration_s": round(max(0, self.now_ms - life.first_seen_ms) / 1000, 3),
            "touches": life.touches,
            **({"keyRemains": True} if key_remains else {}),
            **({"deleted": True} if deleted else {}),
        }
        goes_on = next_user is not None
        number = life.sequence + 1 if goes_on else 0
        self.append(life, records.ENDED, data, by=by, number=number)
        self.leave_user(life, life.user_id)
        if reason != "renamed" and next_user != life.user_id:
            self.revoke(life, life.user_id, number=number + 1 if goes_on else 0)
        self.set_due(None)
        life.ended_ms, life.missing_ms = self.now_ms, None
        self.store(PHANTOM_TTL_MS if key_remains else TOMBSTONE_MS)

    def tidy(self) -> None:
        """Nothing lives: remove what Redis refused to remove at the end."""
        if self.due or self.look.has_due_time:
            self.set_due(None)
        if self.phantom and self.look.is_in_users_set:
            self.leave_user(self.phantom, self.phantom.user_id)

    def signal_unbounded(self, life: Phantom) -> None:
        """Record once per life that neither a TTL nor an expiry ends the session."""
        if life.expires_ms is None and not life.unbounded:
            self.append(life, records.UNBOUNDED, {"userId": life.user_id or None})
            life.unbounded = True

    def set_due(self, ms: int | None) -> None:
        sealed, *former = self.request.sealed
        self.plan.members.append((DUE, sealed, "" if ms is None else str(ms)))
        self.plan.members += [(DUE, token, "") for token in former]

    def join_user(self, life: Phantom, *, signal: bool) -> None:
        """Put the session into its user's set. `signal`: record an excess if there are more live ones than allowed."""
        if not life.user_id:
            return
        score = "+inf" if life.expires_ms is None else str(life.expires_ms)
        self.plan.members.append((user_sessions_key(life.user_id), life.fingerprint, score))
        if signal and self.options.sessions_max:
            data: dict[str, object] = {"userId": life.user_id, "limit": self.options.sessions_max}
            self.append(life, records.EXCESS, data)

    def leave_user(self, life: Phantom, user_id: str) -> None:
        if user_id:
            self.plan.leaving.append(records.leaving(life.fingerprint, user_id))

    def revoke(self, life: Phantom, user_id: str, *, number: int = 0) -> None:
        """Delete the user's tokens if no other session of the user is known, and record that."""
        if self.options.revoke and user_id and not is_substitute(user_id):
            self.append(life, records.REVOKED, {"userId": user_id}, number=number)
            self.plan.records[-1].user_id = user_id  # a life that goes on has another user by now


def data_of(life: Phantom) -> dict[str, object]:
    return {"userId": life.user_id or None, "expires": records.time_of(life.expires_ms)}


def is_substitute(user_id: str) -> bool:
    """Whether it is not the id itself: a pseudonym, or a beginning and a SHA-1 (see forms.recorded_id)."""
    _, tilde, digits = user_id.rpartition("~")
    is_hex = bool(digits) and all(digit in "0123456789abcdefABCDEF" for digit in digits)
    return bool(tilde) and is_hex and (len(digits) == 40 or (len(digits) == 32 and len(user_id) == 33))
