"""Seeds and sizes of the fault tests."""

import os
import random
import secrets
from pathlib import Path

import pytest

SOAK_TIMEOUT_S = 1800


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--soak", default=False):
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.timeout(SOAK_TIMEOUT_S), append=False)


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
