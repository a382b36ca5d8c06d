"""Seeds and sizes of the fault tests."""

import os
import random
import secrets

import pytest


@pytest.fixture
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether to run at full size (`--soak`) rather than at the size for every day."""
    return bool(request.config.getoption("--soak", default=False))


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """What draws the faults. Its seed is shown with a failure; FAULT_SEED=N in the environment sets it."""
    seed = int(os.environ.get("FAULT_SEED") or secrets.randbits(32))
    request.node.add_report_section("setup", "seed", f"FAULT_SEED={seed} draws the same faults again")
    return random.Random(seed)
