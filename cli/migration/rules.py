"""The rules of a migration: which keys get which names. Built-in rules and a plan file, all checked before any
rename."""

import json
import os
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import msgspec

from cli.migration.key_patterns import Pattern, common_key, fault_in, within
from cli.terminal import Refused
from shared import namespaces
from shared.namespaces import Kind, Owner
from shared.privacy.masking import printable

MAX_RULES = 200
MAX_PLAN_BYTES = 1024 * 1024
_NAMESPACES = sorted({kind.namespace for kind in namespaces.TABLE})
_OF_THE_APP = {kind.namespace for kind in namespaces.TABLE} - {
    kind.namespace for kind in namespaces.TABLE if kind.owner is not Owner.APP
}


class RuleText(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A rule as a plan file and the journal hold it."""

    source: str = msgspec.field(name="from")
    target: str = msgspec.field(name="to")
    ttl_s: Annotated[int, msgspec.Meta(ge=1, le=10 * 365 * 86_400)] | None = None
    """TTL for keys that have none; other keys keep theirs."""
    outside: bool = False
    """Whether the target may be a key of no row of the table of keys."""


class _Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rule: list[RuleText]
    built_in: bool = True


@dataclass(frozen=True)
class Rule:
    text: RuleText
    source: Pattern
    target: Pattern
    kind: Kind | None
    """The kind of the new keys; None where the plan allows any key."""

    def target_of(self, key: bytes) -> bytes | None:
        """The new name of `key`; None when the rule does not match it."""
        match = self.source.regex.fullmatch(key)
        return self.target.fill(match.groupdict()) if match else None

    def fits(self, target: bytes) -> bool:
        """Whether the new name is a key of the kind that the rule produces."""
        if self.kind is None:
            return namespaces.parse(target) is None
        parsed = namespaces.parse(target)
        return parsed is not None and parsed[0] is self.kind


BUILT_IN = (
    RuleText("user:{id}:tokens", "fabric:user:{id}:tokens"),
    RuleText("session:{id}", "nextauth:session:{id}"),
)
"""The keys that the namespacing document's migration notes name."""


def read_plan(path: Path | None) -> tuple[Rule, ...]:
    """The rules of a plan file and the built-in ones, checked; without a file the built-in ones.

    Raises Refused, which lists every fault.
    """
    plan = _Plan([]) if path is None else _decode(path)
    return checked([*(BUILT_IN if plan.built_in else ()), *plan.rule])


def checked(texts: Sequence[RuleText]) -> tuple[Rule, ...]:
    """The rules, when nothing is wrong with any of them or between them. Raises Refused, which lists every fault."""
    if not texts:
        raise Refused("the plan has no rules")
    if len(texts) > MAX_RULES:
        raise Refused(f"the plan has {len(texts)} rules; the maximum is {MAX_RULES}")
    faults = [f"rule {_name(text)}: {fault}" for text in texts for fault in _faults(text)]
    if not faults:
        rules = tuple(_rule(text) for text in texts)
        faults = [*_overlaps(rules), *_loops(rules)]
    if faults:
        raise Refused("\n".join(["the plan is refused:", *(f"- {fault}" for fault in faults)]))
    return rules


def _decode(path: Path) -> _Plan:
    name = printable(os.fsencode(path))
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_PLAN_BYTES + 1)
        if len(raw) > MAX_PLAN_BYTES:
            raise Refused(f"{name}: larger than {MAX_PLAN_BYTES} bytes")
        text = raw.decode()
        plan: Any = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        return msgspec.convert({"rule": plan} if isinstance(plan, list) else plan, _Plan)
    except OSError as error:
        raise Refused(f"{name}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # all decoders' errors are ValueErrors
        raise Refused(f"{name}: {printable(str(error).encode(errors='replace'))}") from None


def _rule(text: RuleText) -> Rule:
    target = Pattern(text.target)
    parsed = namespaces.parse(_sample(target))
    return Rule(text, Pattern(text.source), target, parsed[0] if parsed else None)


def _sample(pattern: Pattern) -> bytes:
    return pattern.fill(dict.fromkeys(pattern.parts, b"x"))


def _faults(text: RuleText) -> Iterator[str]:
    """The faults of one rule."""
    malformed = [(side, fault_in(pattern)) for side, pattern in (("from", text.source), ("to", text.target))]
    if any(fault for _, fault in malformed):
        yield from (f"'{side}' {fault}" for side, fault in malformed if fault)
        return
    source, target = Pattern(text.source), Pattern(text.target)
    if unknown := sorted(set(target.parts) - set(source.parts)):
        yield f"'to' has unknown parts: {', '.join(unknown)}"
    if lost := sorted(set(source.parts) - set(target.parts)):
        yield f"'to' drops parts, so that two keys could become one: {', '.join(lost)}"
    if not source.prefix:
        yield "'from' must begin with literal text"
    for namespace in _NAMESPACES:
        if (key := common_key(source.tokens, within(f"{namespace}:"))) is not None:
            yield f"'from' matches keys that are namespaced already, such as {_shown(key)}"
    yield from _target_faults(text, target)


def _target_faults(text: RuleText, target: Pattern) -> Iterator[str]:
    parsed = namespaces.parse(_sample(target))
    if parsed and parsed[0].owner is Owner.APP:
        yield f"'to' makes {parsed[0].name} keys, which only this app writes"
    elif any(common_key(target.tokens, within(f"{namespace}:")) is not None for namespace in _OF_THE_APP):
        yield "'to' is in a namespace that only this app writes"
    elif not parsed and not text.outside:
        yield "'to' makes no key of docs/keys.md; if intended, set outside = true in the rule"


def _overlaps(rules: Sequence[Rule]) -> Iterator[str]:
    for first, second in combinations(rules, 2):
        if (key := _common(first.source, second.source)) is not None:
            yield f"rules {_name(first.text)} and {_name(second.text)} both match keys such as {_shown(key)}"


def _loops(rules: Sequence[Rule]) -> Iterator[str]:
    for first in rules:
        for second in rules:
            if (key := _common(first.target, second.source)) is not None:
                names = _name(first.text), _name(second.text)
                yield f"rule {names[0]} makes keys that {names[1]} matches again, such as {_shown(key)}"


def _common(first: Pattern, second: Pattern) -> bytes | None:
    if not (first.prefix.startswith(second.prefix) or second.prefix.startswith(first.prefix)):
        return None  # the usual case, without a search
    return common_key(first.tokens, second.tokens)


def _name(text: RuleText) -> str:
    return _shown(text.source.encode(errors="backslashreplace"))


def _shown(key: bytes) -> str:
    return printable(key)
