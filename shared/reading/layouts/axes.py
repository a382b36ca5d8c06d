"""The axis of lists of values without one: a list elsewhere, one of the lists, or a start and a step. Pure."""

import re
from collections.abc import Sequence
from typing import Any

from shared.reading.layouts.fragments import Fragment
from shared.reading.texts import times
from shared.reading.texts.names import Hint, compact, hint, is_axis
from shared.reading.tree import Path

_STARTS = ("pointstart", "begtime", "start", "starttime", "from", "x0", "begin", "start_ts", "startts", "startms")
_STEPS_MS = {
    "pointinterval": 1.0, "stepms": 1.0, "intervalms": 1.0, "periodms": 1.0, "resolutionms": 1.0,
    "steps": 1e3, "stepsec": 1e3, "stepseconds": 1e3, "intervals": 1e3, "intervalsec": 1e3, "intervalseconds": 1e3,
    "periodseconds": 1e3, "steptime": 1e3,
}  # fmt: skip
"""Milliseconds per unit of a step whose name says it; Highcharts' pointInterval is in milliseconds."""
_STEPS = ("step", "interval", "dx", "resolution", "period", "granularity")
_MINUTE_MS = 60_000
_SMALL = 8
_ISO_STEP = re.compile(r"P(?:(\d{1,3})D)?(?:T(?:(\d{1,3})H)?(?:(\d{1,4})M)?(?:(\d{1,6})S)?)?")
_UNITS_MS = (86_400_000.0, 3_600_000.0, 60_000.0, 1_000.0)
"""A step such as PT15M: ISO 8601, without months and years."""


def axis_of(
    fragments: list[Fragment], keys: list[str] | None, loose: Sequence[tuple[Path, list[Any]]]
) -> tuple[list[Fragment], list[str] | None, list[Any] | None, str]:
    """The fragments without the one that is the axis, their keys, and the axis repeated for each of them (or None)."""
    inside = _timed_inside(fragments)
    best = None if inside is not None else _best(fragments, loose)
    if inside is None and best is None:
        inside = _named_inside(fragments, keys)
    if inside is not None:
        axis = list(fragments[inside].columns[0].values)
        rest = [fragment for place, fragment in enumerate(fragments) if place != inside]
        rest_keys = None if keys is None else [key for place, key in enumerate(keys) if place != inside]
        return rest, rest_keys, _repeated(axis, rest), "one of the lists holds the axis"
    if best is None:
        return fragments, keys, None, ""
    return fragments, keys, _repeated(best, fragments), "the axis stands beside the lists"


def _best(fragments: list[Fragment], loose: Sequence[tuple[Path, list[Any]]]) -> list[Any] | None:
    """The list elsewhere that is the best axis: as long as the longest of the fragments."""
    length = max(fragment.length for fragment in fragments)
    best: tuple[tuple[int, ...], list[Any]] | None = None
    upright: list[list[Any]] = []
    for place, values in loose:
        if len(values) != length or any(fragment.path == place for fragment in fragments):
            continue
        if "yaxis" in [compact(step) for step in place[-3:] if isinstance(step, str)]:
            if set(map(type, values)) == {str}:
                upright.append(values)  # bars that lie on their side have their names there
            continue
        rank = _rank(place, values, fragments[0].path)
        if rank is not None and (best is None or rank > best[0]):
            best = rank, values
    if best is None:
        return upright[0] if len(upright) == 1 else None
    return best[1]


def stepped_axis(fragments: list[Fragment]) -> tuple[list[Any] | None, str]:
    """Times from a start and a step around the lists, both in the same unit; None when there is none."""
    axis: list[Any] = []
    for fragment in fragments:
        start_ms, step_ms = _start_and_step(fragment)
        if start_ms is None or step_ms is None:
            return None, ""
        axis.extend(start_ms + number * step_ms for number in range(fragment.length))
    return axis, "the axis is given by a start and a step"


def _start_and_step(fragment: Fragment) -> tuple[float | None, float | None]:
    start_ms = step_ms = None
    for members in _around(fragment):
        # The start may stand in an object of its own, such as an interval with its end.
        near = [members, *(inner for inner in members.values() if type(inner) is dict and len(inner) <= _SMALL)]
        for start in (value for inner in near for name, value in inner.items() if compact(name) in _STARTS):
            if not times.looks_like_time(start):
                continue
            unit_ms = None if type(start) is str else (1.0 if start >= 1e11 else 1e3)
            steps = [
                step for name, value in members.items() if (step := _step_ms(compact(name), value, unit_ms)) is not None
            ]
            if steps:
                start_ms, step_ms = times.parse([start]).ms[0], steps[-1]
    return start_ms, step_ms


def _step_ms(name: str, step: Any, unit_ms: float | None) -> float | None:
    """A step in milliseconds, by its name or by the unit of its start; None where the unit is not sure.

    Beside a start in milliseconds, 60 may be seconds: there only whole minutes in milliseconds are sure.
    """
    if type(step) is str and name in (*_STEPS, *_STEPS_MS):
        match = _ISO_STEP.fullmatch(step)
        parts = [int(part or 0) for part in match.groups()] if match is not None else [0]
        return sum(part * ms for part, ms in zip(parts, _UNITS_MS, strict=False)) or None
    if type(step) not in (int, float) or not 0 < step < 1e11:
        return None
    if name in _STEPS_MS:
        return float(step * _STEPS_MS[name])
    if name not in _STEPS or unit_ms is None or (unit_ms == 1.0 and step % _MINUTE_MS):
        return None
    return float(step * unit_ms)


def _around(fragment: Fragment) -> list[dict[str, Any]]:
    """The objects around a fragment and the small ones in them, two levels deep, from the outside in."""
    objects: list[dict[str, Any]] = []
    for _, members in fragment.context:
        level = [members]
        for _ in range(3):
            objects.extend(item for item in level if len(item) <= 64)
            level = [inner for item in level if len(item) <= 64 for inner in item.values() if type(inner) is dict][:64]
    return objects


def _repeated(axis: list[Any], fragments: list[Fragment]) -> list[Any]:
    values: list[Any] = []
    for fragment in fragments:
        values.extend(axis[: fragment.length])
        values.extend([None] * (fragment.length - len(axis)))
    return values


def _timed_inside(fragments: list[Fragment]) -> int | None:
    """Which of several lists holds the times of the others."""
    timed = [place for place, fragment in enumerate(fragments) if _holds_times(fragment.columns[0].values)]
    return timed[0] if len(timed) == 1 and len(fragments) > 1 else None


def _named_inside(fragments: list[Fragment], keys: list[str] | None) -> int | None:
    """Which of several lists is labelled as their axis."""
    if len(fragments) < 2:
        return None
    labels = [keys[place] if keys else _label(fragment) for place, fragment in enumerate(fragments)]
    named = [
        place
        for place, label in enumerate(labels)
        if label and compact(label) in ("x", "xaxis", "labels", "categories")
    ]
    return named[0] if len(named) == 1 else None


def _label(fragment: Fragment) -> str | None:
    members = fragment.context[-1][1] if fragment.context else {}
    return next(
        (value for name, value in members.items() if type(value) is str and hint(name).hint is Hint.LABEL), None
    )


def _holds_times(values: Sequence[Any]) -> bool:
    sample = [value for value in (values[0], values[len(values) // 2], values[-1]) if value is not None]
    return bool(sample) and all(map(times.looks_like_time, sample))


def _rank(place: Path, values: list[Any], target: Path) -> tuple[int, ...] | None:
    """How good a list is as the axis: times first, then its name, then how near it stands. None if it is none."""
    timed = _holds_times(values)
    names = [step for step in place if isinstance(step, str)]
    last = names[-1] if names else ""
    named = any(
        is_axis(name) or hint(name).hint is Hint.TIME or compact(name) in ("xaxis", "categories") for name in names[-2:]
    )
    if any(compact(name) in ("yaxis", "series", "datasets", "colors") for name in names[-2:]):
        return None
    if not timed and not named:
        return None
    if not timed and set(map(type, values)) - {str, int, float}:
        return None
    common = 0
    for left, right in zip(place, target, strict=False):
        if left != right:
            break
        common += 1
    return int(timed), int(named), common, int(compact(last) in ("labels", "categories", "data", "x"))
