"""host.json: what the host keeps of the app's log, and how long its timers stay silent after a kill."""

import json
from pathlib import Path

from shared.registry import REACTORS
from triggers import timers

HOST = json.loads((Path(__file__).parents[2] / "host.json").read_text(encoding="utf-8"))
LEVELS = HOST["logging"]["logLevel"]


def test_the_app_s_own_lines_are_kept_and_the_host_s_lines_per_invocation_are_not() -> None:
    """Two lines per event instead of ten: those of the app. The host has further ones under `Function.NAME`."""
    names = {reactor.function for reactor in REACTORS}
    names |= {builder._function.get_function_name() for builder in timers.blueprint._function_builders}
    assert LEVELS["Function"] == "Warning"
    users = {name.split(".")[1] for name, level in LEVELS.items() if name.endswith(".User") and level == "Information"}
    assert users == names


def test_the_timers_of_a_killed_host_are_silent_for_the_shortest_time_that_the_platform_allows() -> None:
    assert HOST["singleton"] == {
        "listenerLockPeriod": "00:00:15",
        "listenerLockRecoveryPollingInterval": "00:00:15",
    }


def test_a_touched_file_does_not_restart_the_job_host() -> None:
    assert HOST["fileWatchingEnabled"] is False
