"""Due keys on a real Redis: retries after their backoff."""

from dataclasses import replace

import msgspec
import pytest

from shared.delivery import due, retries
from tests.support.passes import make_pass
from tests.support.reactors import Gate

pytestmark = pytest.mark.redis_server


@pytest.fixture
def impatient(app):
    """An app that retries at once."""
    return replace(app, settings=msgspec.structs.replace(app.settings, retry_base_s=1e-6, retry_cap_s=1e-6))


async def test_a_pass_first_reacts_to_due_retries_and_forgets_those_that_succeed(impatient):
    await retries.schedule(impatient, "gate", b"gate:x", ValueError())
    await retries.schedule(impatient, "unknown", b"gate:y", ValueError())
    gate = Gate()
    assert (await make_pass(impatient, [gate.reactor])).finished
    assert gate.keys == [b"gate:x"]
    assert await retries.waiting(impatient) == 1


async def test_a_retry_that_fails_stays_scheduled(impatient):
    await retries.schedule(impatient, "gate", b"gate:x", ValueError())
    assert await due.retry_due(impatient, [Gate(fails=True).reactor], budget_s=1) == 1
    assert await retries.waiting(impatient) == 1
