"""Spans from trigger to commit, and export only if a connection string is set."""

import asyncio
import gzip
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from shared import telemetry
from shared.app import App
from shared.batches import reactor as batches
from shared.reactor import Cause, Source
from shared.telemetry import metrics, tracing
from shared.telemetry.metrics import OUTCOMES

ROOT = Path(__file__).parents[2]
REACT = """
import asyncio, logging, sys
from types import SimpleNamespace
from opentelemetry import _logs, metrics, trace
import function_app
from shared import telemetry
from shared.app import current_app
from shared.reactor import Cause, Source
from shared.sessions import reactor as sessions
from shared.telemetry import tracing
from triggers.invocations import invocation

async def main():
    app = current_app()
    key = b"nextauth:session:planted-token-2166136261"
    await app.redis.set(key, '{"userId": "u", "accessToken": "planted-token-16777619"}')
    trace_context = SimpleNamespace(trace_parent=f"00-{'a' * 32}-{'b' * 16}-01", trace_state="")
    context = SimpleNamespace(invocation_id="the invocation", trace_context=trace_context)
    with invocation(context), tracing.span("handle_session_changes"):
        for outcome in await sessions.react(app, [key], Cause.WRITTEN):
            telemetry.record(
                "handle_session_changes", "sessions", Source.EVENT, outcome, 1.0, app.settings.audit_key, event="set"
            )
    with invocation(context):
        telemetry.logger.warning("a line of the app")
    telemetry.backlog("dead_letters", 3)
    await app.redis.aclose()

asyncio.run(main())
if tracing.enabled():
    trace.get_tracer_provider().force_flush()
    metrics.get_meter_provider().force_flush()
    _logs.get_logger_provider().force_flush()
print(sorted(name for name in sys.modules if name.startswith(("azure.monitor", "opentelemetry.sdk"))) == [])
"""


@pytest.fixture(scope="session")
def spans() -> InMemorySpanExporter:
    """The spans that the SDK of this process collects. A process has one SDK, for its lifetime."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


async def test_a_trace_spans_trigger_claim_and_commit(app: App, spans: InMemorySpanExporter) -> None:
    key = b"fastapi:temp:data:traced"
    await app.redis.set(key, '{"records":[{"timestamp":1,"data":{"co2":1.5}}]}')
    spans.clear()
    with tracing.span("process_fastapi_data"):
        (outcome,) = await batches.react(app, [key], Cause.WRITTEN)
        telemetry.record(
            "process_fastapi_data", "batches", Source.EVENT, outcome, 1.0, app.settings.audit_key, event="set"
        )
    by_name = {span.name: span for span in spans.get_finished_spans()}
    root = by_name.pop("process_fastapi_data")
    assert set(by_name) == {"claim_batches", "commit_batches"}
    assert {span.parent.span_id for span in by_name.values() if span.parent} == {root.context.span_id}
    assert dict(root.attributes or {}) | {"keyspace.duration_ms": 1.0} == {
        "keyspace.function": "process_fastapi_data",
        "keyspace.reactor": "batches",
        "keyspace.key": "fastapi:temp:data:traced",
        "keyspace.operation": "set",
        "keyspace.outcome": "processed",
        "keyspace.reason": outcome.detail,
        "keyspace.duration_ms": 1.0,
    }


async def test_a_span_records_only_the_class_of_a_failure(app: App, spans: InMemorySpanExporter) -> None:
    spans.clear()
    with pytest.raises(ValueError, match="planted"), tracing.span("process_fastapi_data"):
        raise ValueError("planted")
    (span,) = spans.get_finished_spans()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ValueError")
    assert "planted" not in span.to_json()


async def run_app(redis_port: int, **environment: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", REACT),
        cwd=ROOT,
        env=os.environ | {"Redis": f"127.0.0.1:{redis_port}", "AUDIT_KEY": "an audit key of the tests"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


def test_the_host_exports_by_opentelemetry_like_the_worker() -> None:
    host = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))
    assert host["telemetryMode"] == "OpenTelemetry"
    assert "applicationInsights" not in host["logging"], "the host ignores this section in OpenTelemetry mode"


async def test_without_a_connection_string_no_exporter_is_imported(app: App, redis_port: int) -> None:
    assert (await run_app(redis_port)).endswith("True\n")


class Ingestion:
    """Stands in for Application Insights: keeps what is sent to it."""

    def __init__(self, port: int) -> None:
        self.received: list[dict[str, Any]] = []
        self.settings = {
            "APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=00000000-0000-0000-0000-000000000000;"
            f"IngestionEndpoint=http://127.0.0.1:{port}/;LiveEndpoint=http://127.0.0.1:{port}/",
            "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
            "OTEL_TRACES_SAMPLER": "always_on",  # the default samples at most five traces a second
            "FUNCTIONS_WORKER_RUNTIME": "python",
            "WEBSITE_SITE_NAME": "the-app",
        }

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [item for item in self.received if item["data"]["baseType"] == kind]


@pytest.fixture
async def ingestion() -> AsyncIterator[Ingestion]:
    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        items = json.loads(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
        result.received.extend(item for item in items if "data" in item)  # others are of live metrics
        return web.json_response({"itemsReceived": len(items), "itemsAccepted": len(items), "errors": []})

    server = web.Application()
    server.router.add_post("/{path:.*}", take)
    runner = web.AppRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    result = Ingestion(runner.addresses[0][1])
    yield result
    await runner.cleanup()


@pytest.mark.parametrize("host_leaves_logs", [False, True])
async def test_with_a_connection_string_metrics_and_spans_are_sent_and_log_lines_where_the_host_leaves_them(
    app: App, redis_port: int, ingestion: Ingestion, host_leaves_logs: bool
) -> None:
    more = {"PYTHON_ENABLE_OPENTELEMETRY": "true"} if host_leaves_logs else {}
    await run_app(redis_port, **ingestion.settings, **more)
    text = json.dumps(ingestion.received)
    assert OUTCOMES.name in text
    assert metrics.DURATION.name in text
    assert metrics.BACKLOG.name in text
    assert "planted" not in text
    spans = {item["data"]["baseData"]["name"]: item["tags"] for item in ingestion.of("RemoteDependencyData")}
    assert spans["handle_session_changes"]["ai.operation.id"] == "a" * 32, "the host's trace"
    assert spans["handle_session_changes"]["ai.operation.parentId"] == "b" * 16
    assert spans["apply_session"]["ai.operation.id"] == "a" * 32
    assert {tags["ai.cloud.role"] for tags in spans.values()} == {"the-app"}
    lines = [item["data"]["baseData"]["message"] for item in ingestion.of("MessageData")]
    assert lines.count("a line of the app") == host_leaves_logs, "otherwise the host exports it"


async def test_a_line_that_the_host_leaves_to_nobody_goes_to_stderr(app: App, redis_port: int) -> None:
    lines = (await run_app(redis_port, PYTHON_ENABLE_OPENTELEMETRY="true")).splitlines()
    assert lines.count("a line of the app") == 1
