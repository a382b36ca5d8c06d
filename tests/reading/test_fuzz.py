"""Sound payloads of every format that a recogniser knows, damaged at random: a result or a reason, in bounded time.

Every day a fraction of a second for each format; with `--soak` a minute. The seed of a run is part of a failure.
"""

import copy
import json
import random
from collections.abc import Callable
from time import monotonic, thread_time
from typing import Any

import msgspec
import pytest

from shared.errors import NotReady, Rejected
from shared.reading.documents import delimited
from shared.reading.read import read_batch, read_chart
from shared.reading.recognisers import (
    exposition,
    grafana,
    kusto,
    line_protocol,
    opc_ua,
    references,
    senml,
    typed_arrays,
    xarray,
)
from tests.reading.cases import load

EVERYDAY_S, SOAK_S = 0.25, 60.0
MOST_S = 5.0
"""Of one input, on a loaded machine."""
ISO = [f"2026-03-01T06:0{i}:00Z" for i in range(4)]
MS = [1_772_344_800_000 + 60_000 * i for i in range(4)]
ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    2**63,
    10**400,
    1e308,
    "",
    "x",
    "NaN",
    "-",
    "1,5",
    ISO[0],
    str(MS[0]),
    MS[0],
    46082.25,
    [],
    {},
    [[]],
    [None],
    {"": None},
    "\ud800",
    "0" * 300,
    "[" * 80,
    20260301,
    "06:00",
    {"secs": 1, "nsecs": -1},
    [[1, 2], [3]],
]

type Reader = Callable[[Any], Any]

FORMATS: dict[str, tuple[Any, Reader]] = {
    "SenML": (
        [{"bn": "d:", "bt": 1_772_344_800, "bu": "C", "n": "t", "v": 1.5}, {"n": "h", "v": 2, "t": 5}],
        senml.read,
    ),
    "OPC UA PubSub": (
        [
            {
                "Messages": [
                    {
                        "DataSetWriterId": "w",
                        "Timestamp": ISO[0],
                        "Payload": {"t": {"Value": 1.5, "StatusCode": {"Code": 0}}},
                    }
                ]
            }
        ],
        opc_ua.read,
    ),
    "Kusto v2": (
        [
            {
                "FrameType": "DataTable",
                "TableKind": "PrimaryResult",
                "Columns": [{"ColumnName": "ts"}, {"ColumnName": "t"}],
                "Rows": [[ISO[0], 1.5], [ISO[1], 2.5]],
            }
        ],
        kusto.read_frames,
    ),
    "Kusto v1": (
        {"Tables": [{"Columns": [{"ColumnName": "ts"}, {"ColumnName": "t"}], "Rows": [[ISO[0], 1.5], [ISO[1], 2.5]]}]},
        kusto.read_tables,
    ),
    "Grafana": (
        {
            "results": {
                "A": {
                    "frames": [
                        {
                            "schema": {"name": "f", "fields": [{"name": "Time"}, {"name": "t", "labels": {"a": "b"}}]},
                            "data": {"values": [MS, [1.5, 2.5, 3.5, 4.5]]},
                        }
                    ]
                }
            }
        },
        grafana.read,
    ),
    "devalue": ([[1, 4], {"ts": 2, "t": 3}, ISO[0], 1.5, {"ts": 5, "t": 6}, ISO[1], 2.5], references.read_devalue),
    "flatted": ([["1", "2"], {"ts": "3", "t": 1.5}, {"ts": "4", "t": 2.5}, ISO[0], ISO[1]], references.read_flatted),
    "typed array": ({"dtype": "f8", "bdata": "AAAAAAAA+D8AAAAAAAAEQA=="}, typed_arrays.numbers_of),
    "buffer": ({"type": "Buffer", "data": list(b'[{"ts":1,"t":2}]')}, typed_arrays.buffer_of),
    "xarray": (
        {
            "dims": ["time", "depth"],
            "name": "t",
            "coords": {"time": {"dims": ["time"], "data": ISO}, "depth": {"data": [1, 5]}},
            "data": [[1.5, 2.5], [3.5, 4.5], [5.5, 6.5], [7.5, 8.5]],
        },
        xarray.read,
    ),
    "line protocol": (
        'plant,site=north,tank=t1 temp=20.5,n=3i,s="o k" 1772344800000000000\n'
        "my\\ plant,a=b\\,c t=1 1772344801000000000\n",
        line_protocol.read,
    ),
    "exposition": ('# TYPE t gauge\nt{job="a",i="h:1"} 1.5 1772344800000\nt{job="b"} NaN\nup 1\n', exposition.read),
    "CSV": (
        "Station: 7\n\ntime;temp;flow\n;degC;l/min\n2026-03-01 06:00;20,5;1.234,5\n2026-03-01 06:01;21,5;---\n",
        delimited.read,
    ),
}
WHOLE = "any case"
"""All the cases of tests/reading, read as they stand in Redis."""


def damaged(value: Any, rng: random.Random) -> Any:
    """A copy with a few members replaced, left out, doubled, renamed or exchanged."""
    value = copy.deepcopy(value)
    for _ in range(rng.randint(1, 4)):
        if isinstance(value, str | bytes):
            value = damaged_text(value, rng)
            continue
        places: list[tuple[Any, Any]] = []
        level = [value]
        while level:
            outer = level.pop()
            members = list(outer.items()) if isinstance(outer, dict) else list(enumerate(outer))
            places += [(outer, name) for name, _ in members]
            level += [inner for _, inner in members if isinstance(inner, dict | list)]
        if not places:
            return rng.choice(ODD)
        outer, name = rng.choice(places)
        damage(outer, name, rng)
    return value


def damage(outer: Any, name: Any, rng: random.Random) -> None:
    match rng.randrange(5):
        case 0:
            del outer[name]
        case 1 if isinstance(outer, list):
            outer.insert(name, copy.deepcopy(outer[name]))
        case 2 if isinstance(outer, dict):
            outer[rng.choice(["t", "v", "value", "ts", "", "x" * 200, "dims", "data", "n", "bn"])] = outer.pop(name)
        case 3 if isinstance(outer[name], str):
            outer[name] = damaged_text(outer[name], rng)
        case _:
            outer[name] = copy.deepcopy(rng.choice(ODD))


def damaged_text(text: Any, rng: random.Random) -> Any:
    at, cut = rng.randint(0, len(text)), rng.randint(0, 3)
    odd: Any = rng.choice(
        ["", "\n", '"', ",", ";", "=", " ", "\\", "{", "}", "1", "#", "\x00", "e", "é", "\n\n", "1,5", "a=b "]
    )
    if isinstance(text, bytes):
        odd = odd.encode()
    again = text[at : at + rng.randint(0, 20)] if rng.random() < 0.3 else odd
    return text[:at] + again + text[at + cut :]


def encoded(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    try:
        return msgspec.json.encode(value)
    except (ValueError, OverflowError, msgspec.MsgspecError):
        return json.dumps(value).encode("utf-8", "surrogatepass")


def check_reason(fault: Exception) -> None:
    assert 0 < len(str(fault)) < 300


def check(read: Reader | None, value: Any) -> None:
    """The recogniser alone and both readers give a result or a reason, in bounded time."""
    started_s = thread_time()
    if read is not None and type(value) in (str, list, dict):
        try:
            read(value)
        except Rejected as fault:
            check_reason(fault)
    raw = encoded(value)
    for reading in (lambda: read_batch("string", [raw]), lambda: read_chart(raw)):
        try:
            assert reading().count > 0
        except (Rejected, NotReady) as fault:
            check_reason(fault)
    assert thread_time() - started_s < MOST_S


@pytest.mark.parametrize("name", [*FORMATS, WHOLE])
def test_a_damaged_payload_gives_a_result_or_a_reason(name: str, request: pytest.FixtureRequest) -> None:
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    cases = [case.value for case in load() if isinstance(case.value, bytes) and len(case.value) < 4096]
    until_s = monotonic() + (SOAK_S if request.config.getoption("--soak", default=False) else EVERYDAY_S)
    count = 0
    while monotonic() < until_s:
        sound, read = FORMATS[name] if name != WHOLE else (rng.choice(cases), None)
        if isinstance(sound, list | dict) or (read is not None and rng.random() < 0.9):
            value = damaged(sound, rng)
            value = value if type(value) is type(sound) else sound
        else:
            value = damaged_text(sound, rng)
        try:
            check(read, value)
        except Exception as fault:
            raise AssertionError(f"seed {seed}, input {count}: {encoded(value)[:2000]!r}") from fault
        count += 1
    assert count


FOUND: dict[str, Any] = {
    "a number with two points": '# TYPE t gauge\nt{job="a"} 1..5 1772344800000\n',
    "parts of a second past any range": [{"ts": {"secs": 1, "nsecs": 10**400}, "t": 1.5}],
    "a sum past the range of a double": [
        {"bn": "d", "bt": 1e308, "n": "t", "v": 1.5},
        {"n": "h", "v": 2, "t": 10**400},
    ],
    "a line feed within a number": "ts;t\n" + "".join(f'{time};"1,5"\n' for time in ISO * 5) + f'{ISO[0]};"1\n5"\n',
    "dimensions that are no names": {"dims": ["time", []], "coords": {"time": {"data": ISO}}, "data": [[1.5, 2.5]]},
}


@pytest.mark.parametrize("name", FOUND)
def test_what_fuzzing_found_gives_a_result_or_a_reason(name: str) -> None:
    check(None, FOUND[name])
