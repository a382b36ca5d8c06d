"""The setting INPUTS overrules each decision; the explanation tells what was decided and what to set."""

import json
from typing import Any

import msgspec
import pytest

from shared.errors import ConfigurationError, Rejected
from shared.reading import explain
from shared.reading.overrides import NONE, Override, parse
from tests.reading.gallery import ENTRIES
from tests.reading.reads import batch, chart, flat, points, values
from tests.reading.table import ISO, MS

ROWS = [
    {"a": time, "b": time.replace("T06", "T07"), "kind": "xy"[row % 2], "n1": row + 0.5, "n2": -row}
    for row, time in enumerate(ISO[:4])
]


def test_the_first_glob_that_matches_counts() -> None:
    inputs = parse('{"fabric:*:tank-?:*": {"time": "a"}, "fabric:*": {"time": "b", "series": "kind"}}')
    assert inputs.override(b"fabric:data:chart:tank-1:x").time == "a"
    assert inputs.override(b"fabric:data:chart:tank-12:x") == Override(time="b", series=("kind",))
    assert inputs.override(b"other") is NONE
    assert parse("").override(b"x") is NONE


def test_all_faults_are_reported_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(
            '{"a": {"rows": "[[", "zone": "X/Y", "bogus": 1, "time": 5, "measures": [1]}, "b": 3,'
            ' "c": {"value": "x", "measures": ["y"], "dayFirst": 1}}'
        )
    for fault in (
        "rows is no JMESPath",
        "zone is no time zone",
        "bogus is unknown",
        "time is not a text",
        "measures is not a list",
        "INPUTS['b'] is not an object",
        "exclude each other",
        "dayFirst",
    ):
        assert fault in str(caught.value)
    for text in ("[]", "{", "3"):
        with pytest.raises(ConfigurationError):
            parse(text)


def test_each_decision_can_be_overruled() -> None:
    with pytest.raises(Rejected, match=r"`a` and `b` could both be the time; set `time`"):
        chart(ROWS)
    assert points(chart(ROWS, Override(time="a", measures=("n1",)))) == {
        "n1": [(MS[row], row + 0.5) for row in range(4)]
    }
    assert set(values(chart(ROWS, Override(time="a", series=("kind",), value="n1")))) == {"x.n1", "y.n1"}
    assert values(batch(ROWS, Override(time="b", ignore=("n1", "k*")))) == {"n2": [0, -1, -2, -3]}
    assert [row[1:] for row in flat(batch(ROWS, Override(time="b", sensor="kind")))["n1"]] == [
        ("xy"[i % 2], ROWS[i]["b"]) for i in range(4)
    ]
    berlin = [{"when": "2026-03-01 07:00:00", "v": 1.5}]
    assert points(chart(berlin, Override(zone="Europe/Berlin"))) == {"v": [(MS[0], 1.5)]}
    slashes = [{"when": "01/03/2026 06:00", "v": 1.5}]
    assert points(chart(slashes, Override(day_first=True))) == {"v": [(MS[0], 1.5)]}
    two = {"hourly": {"time": ISO[:2], "t": [1, 2]}, "daily": {"time": ISO[:2], "d": [3, 4]}}
    assert values(chart(two, Override(rows="daily"))) == {"d": [3, 4]}
    packed = {"body": json.dumps({"deep": {"list": [{"ts": ISO[0], "v": 1.5}]}})}
    assert values(batch(packed, Override(rows="body.deep.list"))) == {"v": [1.5]}


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        (Override(rows="nowhere"), "the rows of INPUTS find nothing in this document"),
        (Override(time="nowhere"), "no column `nowhere`, which INPUTS sets as the time"),
        (Override(time="a", measures=("kind",)), "`kind`, which INPUTS sets as a measure, holds no numbers"),
    ],
)
def test_what_cannot_be_found_is_told(override: Override, reason: str) -> None:
    with pytest.raises(Rejected) as caught:
        chart(ROWS, override)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("kinds", "raw"), [(entry[0], entry[2]) for entry in ENTRIES], ids=[entry[1] for entry in ENTRIES]
)
def test_an_explanation_tells_what_the_reader_does(kinds: str, raw: bytes) -> None:
    for kind, explained in (("b", explain.explain_batch("string", [raw])), ("c", explain.explain_chart(raw))):
        if kind not in kinds:
            continue
        assert explained.outcome == "read"
        reading = batch(raw) if kind == "b" else chart(raw)
        assert [note.count for note in explained.series] == [len(series.values) for series in reading.series.values()]
        assert explained.rejected == reading.rejected
        text = explain.to_text(explained, "some:key:*")
        assert max(map(len, text.splitlines())) <= 80
        assert json.loads(text.partition("INPUTS:\n")[2]) == {"some:key:*": explained.inputs}
        for name in reading.series:
            assert name in text
        decoded: Any = msgspec.json.decode(explain.to_json(explained))
        assert decoded["columns"]
        assert explained.encoding


def test_a_rejection_is_explained_with_what_was_found() -> None:
    explained = explain.explain_chart(json.dumps({"result": [{"ts": ISO[0], "temp": "hot"}]}).encode())
    assert explained.outcome == "rejected"
    assert "`temp` holds text" in explained.reason
    assert [(note.name, note.role) for note in explained.columns] == [("ts", "time"), ("temp", "label")]
    assert (explained.path, explained.tables) == ("`result`", [])
    assert "INPUTS" not in explain.to_text(explained), "no setting makes numbers of it"
    assert explain.explain_batch("string", [b'{"status":"processing"}']).outcome == "not ready"
    assert explain.explain_batch("string", [b"\x80\x04."]).reason == "pickle is not read"


def test_the_proposed_entry_keeps_what_the_present_one_says() -> None:
    override = Override(time="a", zone="Europe/Berlin", series=("kind",), value="n1", ignore=("n2",))
    explained = explain.explain_chart(json.dumps(ROWS).encode(), override)
    assert explained.inputs == {
        "time": "a",
        "zone": "Europe/Berlin",
        "series": ["kind"],
        "value": "n1",
        "ignore": ["n2"],
    }


def test_a_secret_within_a_name_is_masked() -> None:
    secret = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0LXRva2VuLXZhbHVl"
    rows = [{"ts": time, "n": 1.5, "who": f"Bearer {secret}{who}"} for time in ISO[:2] for who in "ab"]
    text = explain.to_text(explain.explain_chart(json.dumps(rows).encode()))
    assert text.count("Bearer ***") == 2
    assert secret[:20] not in text


@pytest.mark.parametrize(
    ("override", "named"),
    [
        (Override(series=("tag", "plant")), "`plant`, which INPUTS sets as a name of the series"),
        (Override(series=("gone",)), "`gone`, which INPUTS sets as a name of the series"),
        (Override(measures=("value", "gone")), "`gone`, which INPUTS sets as a measure"),
        (Override(value="gone"), "`gone`, which INPUTS sets as the value"),
        (Override(unit="gone"), "`gone`, which INPUTS sets as the unit"),
        (Override(sensor="gone"), "`gone`, which INPUTS sets as the sensor"),
        (Override(time="gone"), "`gone`, which INPUTS sets as the time"),
    ],
)
def test_a_column_that_inputs_names_and_that_is_not_there_is_refused(override: Override, named: str) -> None:
    rows = [{"ts": f"2026-03-01T06:0{row}:00Z", "tag": "temp", "value": 20.5 + row} for row in range(3)]
    for read in (batch, chart):
        with pytest.raises(Rejected, match=f"no column {named}"):
            read(rows, override)
