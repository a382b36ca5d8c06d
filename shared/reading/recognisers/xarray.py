"""Arrays with named dimensions, as xarray's `to_dict` writes them: two dimensions, one of them the time. Pure.

Source: xarray, DataArray.to_dict and Dataset.to_dict: `dims`, `coords` with `dims` and `data` each, `data`, or
`data_vars` by name. Arrays of one dimension need no recogniser. Each place along the other one is a series of its own.
"""

from collections.abc import Sequence
from typing import Any

from shared.errors import Rejected
from shared.reading.texts import times


def read(members: dict[str, Any]) -> dict[str, Any] | None:
    """Columns with the time first; None for any other object. Raises Rejected for dimensions that cannot be told."""
    coords = members.get("coords")
    if type(coords) is not dict:
        return None
    variables = members.get("data_vars", {str(members.get("name") or "value"): members})
    if type(variables) is not dict or not variables:
        return None
    arrays: dict[str, dict[str, Any]] = {}
    for name, variable in variables.items():
        dims, data = (variable.get("dims"), variable.get("data")) if type(variable) is dict else (None, None)
        if type(dims) is not list or type(data) is not list or not all(type(dim) is str for dim in dims):
            return None
        arrays[name] = variable
    if max(len(variable["dims"]) for variable in arrays.values()) < 2 and not _are_timed(arrays, coords):
        return None
    columns: dict[str, Any] = {}
    for name, variable in arrays.items():
        columns.update(_columns(name, variable, coords))
    return columns


def _are_timed(arrays: dict[str, dict[str, Any]], coords: dict[str, Any]) -> bool:
    """Whether arrays of one dimension stand along the same times."""
    dims = {tuple(variable["dims"]) for variable in arrays.values()}
    places = _places(coords.get(next(iter(dims))[0])) if len(dims) == 1 and len(next(iter(dims))) == 1 else None
    if not places or not all(map(times.looks_like_time, places[:3])):
        return False
    return all(len(variable["data"]) == len(places) for variable in arrays.values())


def _columns(name: str, variable: dict[str, Any], coords: dict[str, Any]) -> dict[str, Any]:
    dims, data = variable["dims"], variable["data"]
    axes = [_places(coords.get(dim)) for dim in dims]
    timed = [number for number, places in enumerate(axes) if places and all(map(times.looks_like_time, places[:3]))]
    if len(dims) > 2 or len(timed) != 1 or None in axes:
        raise Rejected(f"an array of {len(dims)} dimensions, of which one has to be the time and one more may be named")
    (along,) = timed
    moments = axes[along] or []
    if len(dims) == 1:
        return {str(dims[0]): moments, name: data}
    across = axes[1 - along] or []
    if not all(type(inner) is list for inner in data) or [len(data), *set(map(len, data))] != [
        len(axis or []) for axis in axes
    ]:
        raise Rejected("an array whose lengths differ from those of its coordinates")
    lists: Sequence[Any] = list(zip(*data, strict=True)) if along == 0 else data
    return {str(dims[along]): moments} | {
        f"{name}.{place}": list(values) for place, values in zip(across, lists, strict=True)
    }


def _places(coordinate: Any) -> list[Any] | None:
    data = coordinate.get("data") if type(coordinate) is dict else None
    return data if type(data) is list else None
