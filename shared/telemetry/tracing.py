"""Spans, if the process has an OpenTelemetry SDK, and the id of the invocation.

Without an SDK, a span costs one lookup in sys.modules, and nothing is imported.
"""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

invocation_id: ContextVar[str] = ContextVar("invocation_id", default="")
"""The platform's id of the present invocation; '' outside of one."""

_NO_SPAN = nullcontext()


def enabled() -> bool:
    """Whether the process has an SDK that may collect spans."""
    return "opentelemetry.sdk.trace" in sys.modules


def parent(trace_parent: str, trace_state: str) -> AbstractContextManager[None]:
    """Spans of the block belong to the host's trace, whose context the platform hands over (W3C trace context)."""
    return _parent(trace_parent, trace_state) if enabled() and trace_parent else _NO_SPAN


@contextmanager
def _parent(trace_parent: str, trace_state: str) -> Iterator[None]:
    from opentelemetry import context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {"traceparent": trace_parent, "tracestate": trace_state or ""}
    token = context.attach(TraceContextTextMapPropagator().extract(carrier))
    try:
        yield
    finally:
        context.detach(token)


def span(name: str, **attributes: str | int) -> AbstractContextManager[None]:
    """A span around a block, as a child of the open span. Attributes must not hold secrets."""
    return _span(name, attributes) if enabled() else _NO_SPAN


def annotate(**attributes: str | int | float) -> None:
    """Add attributes to the open span, with the prefix `keyspace.`."""
    from opentelemetry import trace

    trace.get_current_span().set_attributes({f"keyspace.{name}": value for name, value in attributes.items()})


@contextmanager
def _span(name: str, attributes: dict[str, Any]) -> Iterator[None]:
    """Records only the class of an exception: its text may quote a key or a value."""
    from opentelemetry.trace import Status, StatusCode

    with _tracer().start_as_current_span(
        name,
        attributes={f"keyspace.{key}": value for key, value in attributes.items()},
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield
        except Exception as fault:
            span.set_status(Status(StatusCode.ERROR, type(fault).__name__))
            raise


@cache
def _tracer() -> "Tracer":
    from opentelemetry import trace

    return trace.get_tracer("keyspace_functions")
