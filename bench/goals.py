"""The goals of the benchmark, in the order of docs/performance.md."""

from bench.judging import (
    Bound,
    Goal,
    Judged,
    Runs,
    Value,
    figure,
    judge,
    largest,
    largest_measured,
    least,
    least_ratio_in_a_run,
    ratio,
    worst_ratio,
)
from bench.results import Series


def _burst(consumer: str, processes: int, name: str = "events_per_s") -> Series:
    return Series("burst", consumer, f"processes={processes}", name)


def _drain(consumer: str, processes: int) -> Series:
    return Series("drain", consumer, f"processes={processes}", "events_per_s")


def _of_app(experiment: str, parameter: str, name: str) -> Series:
    return Series(experiment, "app", parameter, name)


def _to_naive(experiment: str, parameter: str, name: str) -> Value:
    return ratio(Series(experiment, "app", parameter, name), Series(experiment, "naive", parameter, name))


def _instances(hosts: int, name: str) -> Series:
    return _of_app("instances", f"hosts={hosts}", name)


def _mixed(consumer: str, each: int, overhead_ms: float) -> Series:
    return Series("mixed", consumer, f"each={each} overhead_ms={overhead_ms:g}", "took_s")


def _longest(*trials: tuple[str, str]) -> Value:
    return largest_measured(*(_of_app(*trial, "longest_command_ms") for trial in trials))


QUEUES = ("saq", "taskiq", "arq", "dramatiq", "celery", "rq")
_KEYS = ("keys=10000", "keys=100000", "keys=1000000")
_EVENTS = "events=1000000"
_STEADY = "events_per_s=200"
_STEADY_SLOW = "events_per_s=200 overhead_ms=5"
_EACH = (1000, 3000)
_FAULTS = ("fault=deaf", "fault=half-open", "fault=never-again")
_KEYS_AT_REST = ("sessions=100000", "batches=50000", "foreign=1000000", "foreign=5000000")
_BESIDE = (100_000, 1_000_000, 5_000_000)
GOALS = (
    *(
        Goal(
            f"burst, {overhead_ms} ms",
            f"events/s of the app over naive's, 1 process, {overhead_ms} ms between two invocations",
            _to_naive("burst-overhead", f"overhead_ms={overhead_ms}", "events_per_s"),
            Bound.AT_LEAST,
            bound,
            before=before,
        )
        for overhead_ms, bound, before in ((0, 4.8, "4.8"), (5, 40, "0.95"))
    ),
    Goal(
        "burst, overhead",
        "events/s of the app with 5 ms between two invocations over those with 0 ms",
        ratio(
            _of_app("burst-overhead", "overhead_ms=5", "events_per_s"),
            _of_app("burst-overhead", "overhead_ms=0", "events_per_s"),
        ),
        Bound.AT_LEAST,
        0.7,
        before="0.015",
    ),
    Goal(
        "mixed",
        "1,000 and 3,000 of each kind at once, 1.2 ms: the slowest run over the median with 0 ms",
        largest(*(worst_ratio(_mixed("app", each, 1.2), _mixed("app", each, 0)) for each in _EACH)),
        Bound.AT_MOST,
        2,
        before="about 6",
    ),
    Goal(
        "mixed, naive",
        "the same with 1.2 ms: naive's time over the app's, in each run, the least",
        least(*(least_ratio_in_a_run(_mixed("naive", each, 1.2), _mixed("app", each, 1.2)) for each in _EACH)),
        Bound.AT_LEAST,
        3,
        before="0.33 to 2",
    ),
    Goal(
        "instances",
        "events/s of two hosts over one, on two cores",
        ratio(_instances(2, "events_per_s"), _instances(1, "events_per_s")),
        Bound.AT_LEAST,
        1.15,
        before="0.76",
    ),
    Goal(
        "workers",
        "events/s of a host with two worker processes over one",
        ratio(*(_of_app("workers", f"workers={workers}", "events_per_s") for workers in (2, 1))),
        Bound.AT_LEAST,
        1,
    ),
    *(
        Goal(
            f"instances, cpu, {until}",
            f"CPU of all processes for one burst {until}, four hosts over one",
            ratio(_instances(4, name), _instances(1, name)),
            Bound.AT_MOST,
            bound,
            before=before,
        )
        for until, name, bound, before in (
            ("to the last result", "cpu_us_per_event", 1.25, "2.6"),
            ("until idle", "cpu_us_per_event_drained", 1.8, "3.1"),
        )
    ),
    *(
        Goal(
            f"burst, {name}, {processes} process" + "es" * (processes > 1),
            f"events/s of the app over those of FastStream {how}",
            ratio(_burst("app", processes), _burst(name, processes)),
            Bound.AT_LEAST,
            bound,
        )
        for name, how, bound in (
            ("faststream-bridge", "behind a key-event bridge", 1.5),
            ("faststream", "fed by its producer", 1.1),
        )
        for processes in (1, 2)
    ),
    Goal(
        "burst, queues",
        "events/s of the app over the fastest task queue's, 1 process",
        least(*(ratio(_burst("app", 1), _burst(queue, 1)) for queue in QUEUES)),
        Bound.AT_LEAST,
        4,
    ),
    Goal(
        "burst, cpu",
        "CPU per event of the app over naive's, until idle, 1 process",
        _to_naive("burst", "processes=1", "cpu_us_per_event_drained"),
        Bound.AT_MOST,
        0.35,
    ),
    Goal(
        "burst, limit",
        "CPU per event of the app over the hand-written consumer's, to the last result, 1 process",
        ratio(_burst("app", 1, "cpu_us_per_event"), _burst("handwritten", 1, "cpu_us_per_event")),
        Bound.AT_MOST,
        1.5,
    ),
    Goal(
        "drain",
        "events/s of one host over those of the analysis in a loop, without Redis",
        ratio(_drain("app", 1), _drain("analysis", 1)),
        Bound.AT_LEAST,
        0.5,
    ),
    Goal(
        "drain, 2 hosts",
        "events/s of two hosts over one",
        ratio(_drain("app", 2), _drain("app", 1)),
        Bound.AT_LEAST,
        1.6,
    ),
    *(
        Goal(
            f"steady, {name}",
            f"{name} of the app over naive's",
            _to_naive("steady", _STEADY, f"{name}_ms"),
            Bound.AT_MOST,
            bound,
            before=before,
        )
        for name, bound, before in (("p50", 1.2, "1.26"), ("p99", 1.3, "1.24"))
    ),
    Goal(
        "steady, 5 ms",
        "p50 and p99 of the app over naive's with 5 ms between two invocations, the larger",
        largest(*(_to_naive("steady", _STEADY_SLOW, f"{name}_ms") for name in ("p50", "p99"))),
        Bound.AT_MOST,
        1.1,
    ),
    Goal(
        "charts, each once",
        "updates/s of the app over naive's: 5,000 charts of 1,000 points, to the last cache",
        _to_naive("charts", "charts=5000", "events_per_s"),
        Bound.AT_LEAST,
        1.5,
        before="1.23",
    ),
    Goal(
        "charts, 10 rounds",
        "updates/s of the app over naive's: 500 charts of 1,000 points in 10 rounds, until idle",
        _to_naive("charts", "charts=500", "events_per_s"),
        Bound.AT_LEAST,
        2,
    ),
    Goal(
        "sessions",
        "events/s of the app over naive's",
        _to_naive("sessions", "", "events_per_s"),
        Bound.AT_LEAST,
        1.5,
        before="1.67",
    ),
    Goal(
        "growth, sweep",
        "time of a sweep among 1,000,000 keys over one among 100,000: at the worst linear",
        ratio(_of_app("growth-keys", _KEYS[2], "sweep_s"), _of_app("growth-keys", _KEYS[1], "sweep_s")),
        Bound.AT_MOST,
        10,
    ),
    Goal(
        "longest command",
        "longest single command of the app in any experiment",
        _longest(
            *(("growth-keys", keys) for keys in _KEYS),
            ("burst", "processes=1"),
            *(("mixed", f"each={each} overhead_ms=1.2") for each in _EACH),
            ("charts", "charts=5000"),
            ("sessions", ""),
            ("rest", "sessions=100000"),
        ),
        Bound.AT_MOST,
        5,
        "ms",
        before="6.5 (sessions: 15)",
    ),
    Goal(
        "growth, memory",
        "memory of a host after 1,000,000 events over that after 100,000",
        ratio(_of_app("growth-events", _EVENTS, "rss_mb"), _of_app("growth-events", _EVENTS, "rss_mb_at_tenth")),
        Bound.AT_MOST,
        1.05,
    ),
    Goal(
        "cold start, import",
        "import of function_app",
        figure(_of_app("cold-start", "", "import_ms")),
        Bound.AT_MOST,
        250,
        "ms",
    ),
    Goal(
        "cold start, first event",
        "first event answered after that",
        figure(_of_app("cold-start", "", "first_event_ms")),
        Bound.AT_MOST,
        50,
        "ms",
    ),
    Goal(
        "idle, cpu",
        "CPU of one core",
        figure(_of_app("idle", "", "cpu_percent")),
        Bound.AT_MOST,
        1,
        "%",
    ),
    *(
        Goal(
            f"rest, {what}",
            f"{text} beside 100,000 sessions, 50,000 batches, 1,000,000 or 5,000,000 keys of others, the most",
            largest(*(figure(_of_app("rest", keys, name)) for keys in _KEYS_AT_REST)),
            Bound.AT_MOST,
            2,
            unit,
            before=before,
        )
        for what, text, name, unit, before in (
            ("Redis", "Redis busy", "redis_percent", "%", "40 to 59, 4, 11"),
            ("cpu", "CPU of one core", "app_percent", "%", ""),
            ("memory", "growth of the host's memory in a minute", "rss_growth_mb", "MB", ""),
        )
    ),
    Goal(
        "deaf",
        "the trigger goes deaf for good: how long reactions are late, the longest",
        largest(*(figure(_of_app("deaf", fault, "late_for_s")) for fault in _FAULTS)),
        Bound.AT_MOST,
        10,
        "s",
        before="for ever, by 30 s",
    ),
    Goal(
        "deaf, afterwards",
        "p99 of reactions after that over p99 with the trigger, the largest",
        largest(
            *(ratio(*(_of_app("deaf", fault, f"p99_{when}_ms") for when in ("after", "before"))) for fault in _FAULTS)
        ),
        Bound.AT_MOST,
        1.2,
    ),
    Goal(
        "lost, noticed",
        "a lost event repaired, if the loss was noticed, among 100,000 to 5,000,000 keys of others, the longest",
        largest(*(figure(_of_app("lost", f"loss=noticed foreign={keys}", "repair_max_s")) for keys in _BESIDE)),
        Bound.AT_MOST,
        10,
        "s",
        before="30 (53 among 8,000,000)",
    ),
    Goal(
        "idle, memory",
        "memory, before the first event and after one of each kind",
        largest(*(figure(_of_app("idle", "", name)) for name in ("rss_mb", "rss_used_mb"))),
        Bound.AT_MOST,
        120,
        "MB",
    ),
)


def judged(runs: Runs) -> list[Judged]:
    return [judge(goal, runs) for goal in GOALS]
