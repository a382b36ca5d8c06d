"""The report on a key: what Redis and the app know, its history and the reader's explanation, without secrets."""

import json

import msgspec
import pytest

from shared import namespaces
from shared.app import App
from shared.batches import reactor as batches
from shared.errors import KeyspaceError
from shared.operations import key_report
from shared.operations.payload import beginning
from shared.reactor import Payload, Source
from shared.sessions import reactor as sessions
from shared.telemetry import minute_counts, record
from tests.support.causes import cause

TOKEN = "a-session-token-nobody-may-see"
SESSION = namespaces.build(namespaces.SESSION, TOKEN)
KEY = "fastapi:temp:data:b1"
ROWS = json.dumps([{"metric": "temp", "ts": 1, "value": 2.0}, {"metric": "temp", "ts": 2, "value": 3.0}])


async def test_a_batch_has_its_facts_effects_and_explanation(app: App) -> None:
    await app.redis.set(KEY, ROWS, ex=3600)
    (outcome,) = await batches.react(app, [KEY.encode()], cause("set"))
    minute_counts.take(now=True)
    record("process_fastapi_data", "batches", Source.EVENT, outcome, 2.0, app.settings.audit_key, event="set")
    await app.write_minute_counts()
    report = await key_report.report(app, KEY)
    assert (report.key, report.exists, report.kind, report.owner) == (KEY, True, "batch", "FastAPI")
    assert report.redis["type"] == "string"
    assert 3500 < report.redis["ttlS"] <= 3600
    assert report.app["result"] == "of this content"
    assert report.explanation is not None
    assert report.explanation.outcome == "read"
    assert [(effect.outcome, effect.operation) for effect in report.effects[:1]] == [("processed", "set")]


async def test_names_of_facts_are_camel_case_with_the_unit_at_the_end(app: App) -> None:
    await app.redis.set(SESSION, json.dumps({"userId": "u1"}), ex=3600)
    await sessions.react(app, [SESSION], cause("set"))
    report = await key_report.report(app, SESSION.decode())
    assert {"firstSeenAgoS", "userSessions", "touchesSince"} <= report.app.keys()
    assert not [name for name in (*report.app, *report.redis) if "_" in name]


async def test_a_session_is_found_by_its_masked_form_and_its_token_is_in_no_answer(app: App) -> None:
    await app.redis.set(SESSION, json.dumps({"userId": "u1", "sessionToken": TOKEN}), ex=3600)
    await sessions.react(app, [SESSION], cause("set"))
    for text in (SESSION.decode(), app.shown(SESSION), f"@{app.keyrings[0].fingerprint(TOKEN.encode())}"):
        report = await key_report.report(app, text)
        assert (report.exists, report.app["phantom"]) == (True, "alive")
        assert report.explanation is None
        assert TOKEN not in msgspec.json.encode(report).decode()


@pytest.mark.parametrize("shape", ["string", "hash", "list"])
@pytest.mark.parametrize("before", [0, 950, 980])
async def test_no_secret_in_plant_data_is_shown_even_where_the_text_is_cut(app: App, shape: str, before: int) -> None:
    """As in the payload of a dead letter; a batch can hold a column of addresses, or a token by mistake."""
    secrets = ["operator@plant.example", "0123456789abcdefghijklmnopqrstuv"]
    for secret in secrets:
        rows = json.dumps([{"note": " " * (before if shape == "string" else before // 20), "by": secret, "value": 2.0}])
        await app.redis.delete(KEY)
        if shape == "string":
            await app.redis.set(KEY, rows)
        elif shape == "hash":
            await app.redis.hset(KEY, "rows", rows)  # type: ignore[misc]
        else:
            await app.redis.rpush(KEY, rows)  # type: ignore[misc]
        report = await key_report.report(app, KEY)
        shown = json.dumps(report.value) + json.dumps(beginning(Payload("list", "d", [rows.encode()] * 20)))
        assert secret[:6] not in shown
        assert report.value["masked"] is False


async def test_a_key_that_does_not_exist_is_reported_as_such(app: App) -> None:
    report = await key_report.report(app, KEY)
    assert (report.exists, report.redis, report.value, report.explanation) == (False, {}, {}, None)
    assert report.app["result"] == "none"
    with pytest.raises(KeyspaceError):
        await key_report.report(app, "@000000000000")


@pytest.mark.parametrize(("content", "reason"), [(b"{", "JSON"), (b"x" * 100, "")])
async def test_what_cannot_be_read_is_explained(app: App, content: bytes, reason: str) -> None:
    await app.redis.set(KEY, content)
    report = await key_report.report(app, KEY)
    assert report.explanation is not None
    assert report.explanation.outcome == "rejected"
    assert reason in report.explanation.reason
