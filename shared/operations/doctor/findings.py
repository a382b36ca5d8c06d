"""A finding: the result of one check, its severity, why it matters and how to correct it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """In ascending order. `info` needs no action."""

    OK = "ok"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """`id` is stable, for scripts and alerts. `commands` can be typed as they are. No text holds a secret."""

    id: str
    severity: Severity
    found: str
    why: str = ""
    fix: str = ""
    commands: tuple[str, ...] = ()


def ok(id_: str, observation: str, why: str = "") -> Finding:
    return Finding(id_, Severity.OK, observation, why)


def info(id_: str, observation: str, why: str = "", fix: str = "", commands: tuple[str, ...] = ()) -> Finding:
    return Finding(id_, Severity.INFO, observation, why, fix, commands)


def warning(id_: str, observation: str, why: str, fix: str, commands: tuple[str, ...] = ()) -> Finding:
    return Finding(id_, Severity.WARNING, observation, why, fix, commands)


def error(id_: str, observation: str, why: str, fix: str, commands: tuple[str, ...] = ()) -> Finding:
    return Finding(id_, Severity.ERROR, observation, why, fix, commands)


def worst(findings: Iterable[Finding]) -> Severity:
    """The severity of the worst finding; ok where there is none."""
    order = list(Severity)
    return max((finding.severity for finding in findings), key=order.index, default=Severity.OK)
