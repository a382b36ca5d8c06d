"""Seeds and sizes of the fault tests."""

import os
import random
import secrets

import pytest


@pytest.fixture
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether to run at full size (`--soak`) instead of the everyday size."""
    return bool(request.config.getoption("--soak", default=False))


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """The random numbers for faults. A failure shows their seed; FAULT_SEED=N in the environment sets it."""
    seed = int(os.environ.get("FAULT_SEED") or secrets.randbits(32))
    request.node.add_report_section("setup", "seed", f"FAULT_SEED={seed} draws the same faults again")
    return random.Random(seed)
