"""The naive baseline: simple handlers, one event at a time, without guarantees.

They use the app's pure computations, so only the rest is compared.
"""

import json
import os

import azure.functions as func
import msgspec
from redis.asyncio import Redis

from shared import namespaces
from shared.batches.analysis import analyse
from shared.batches.baseline import Baseline
from shared.batches.results import findings
from shared.charts import cache as chart_cache
from shared.privacy.keyring import keyring
from shared.reading.read import read_batch
from shared.settings import DEVELOPMENT_AUDIT_KEY

app = func.FunctionApp()
_host, _, _port = os.environ["Redis"].partition(":")  # noqa: SIM112 (the trigger's connection)
_redis = Redis(host=_host, port=int(_port))
_BASELINE = Baseline()
_CHART_MAX_POINTS = 500
_DEPENDENT_QUERY = namespaces.build(namespaces.QUERY_CACHE, "plant-overview")
_AUDIT_STREAM = "naive:audit:sessions"
_AUDIT_BUFFER = 1_000_000
_keyring = keyring(os.environ.get("AUDIT_KEY") or DEVELOPMENT_AUDIT_KEY)


@app.function_name("batches")
@app.generic_trigger(
    arg_name="message",
    type="redisPubSubTrigger",
    connection="Redis",
    channel="__keyspace@0__:fastapi:temp:data:*",
    pattern=True,
)
async def batches(message: str) -> None:
    event = json.loads(message)
    if event["Message"] != "set":
        return
    key = event["Channel"].partition(":")[2]
    raw = await _redis.get(key)
    if not isinstance(raw, bytes):
        return
    decoded = read_batch("string", [raw])
    analysis = analyse(decoded, _BASELINE, threshold=3.5, min_samples=100)
    result = namespaces.build(namespaces.RESULT, key.rpartition(":")[2])
    await _redis.set(result, msgspec.json.encode(findings(decoded, analysis)), ex=namespaces.RESULTS_TTL_S)


@app.function_name("charts")
@app.generic_trigger(
    arg_name="message",
    type="redisPubSubTrigger",
    connection="Redis",
    channel="__keyspace@0__:fabric:data:chart:*",
    pattern=True,
)
async def charts(message: str) -> None:
    event = json.loads(message)
    if event["Message"] != "set":
        return
    key = event["Channel"].partition(":")[2]
    raw = await _redis.get(key)
    if not isinstance(raw, bytes):
        return
    chart_id, data_type = key.split(":")[-2:]
    update = chart_cache.describe_update(chart_id.encode(), data_type.encode(), "")
    document = chart_cache.render(raw, update, _CHART_MAX_POINTS)
    cache = namespaces.build(namespaces.CHART_CACHE, chart_id, data_type)
    await _redis.set(cache, document, ex=namespaces.CHART_CACHE_TTL_S)
    await _redis.delete(_DEPENDENT_QUERY)


@app.function_name("sessions")
@app.generic_trigger(
    arg_name="message",
    type="redisPubSubTrigger",
    connection="Redis",
    channel="__keyspace@0__:nextauth:session:*",
    pattern=True,
)
async def sessions(message: str) -> None:
    event = json.loads(message)
    key = event["Channel"].partition(":")[2].encode()
    if key.startswith(namespaces.SESSION_BY_USER.prefix):
        return
    raw = await _redis.get(key)
    session = json.loads(raw) if raw else {}
    record = {
        "type": f"nextauth.session.{event['Message']}",
        "subject": _keyring.fingerprint(key.removeprefix(namespaces.SESSION.prefix)),
        "data": {"userId": session.get("userId"), "expires": session.get("expires")},
    }
    await _redis.xadd(_AUDIT_STREAM, {"event": json.dumps(record)}, maxlen=_AUDIT_BUFFER)
