"""The metrics as Prometheus reads them: text format 0.0.4.

Names follow the OpenTelemetry specification, "Prometheus and OpenMetrics Compatibility": dots become underscores, the
unit is appended unless it is in braces, a counter ends in _total.

Whichever instance answers, counters, histograms and the backlog are those of all instances: Redis adds them up
(shared/telemetry/minute_counts.py). Shares and states of all instances are in Redis too. How far behind and how long
deaf an instance is, only that instance knows: those samples have its name in `app_instance` and are missing from the
answers of others. (Prometheus itself sets a label `instance`.)
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import accumulate

from shared import namespaces
from shared.app import App
from shared.intake.intake import Running, State
from shared.operations import backlog, instances
from shared.operations.activity import READ_MINUTE_COUNTS
from shared.privacy.masking import printable
from shared.telemetry import metrics
from shared.telemetry.metrics import METRICS, Metric

CONTENT_TYPE = "text/plain; version=0.0.4"
INSTANCE = "app_instance"
MAX_TOTALS = 3000
"""Fields of the totals that are read at most: the app has some 20 pairs of function and outcome, with up to 21 each."""
_MAX_DIGITS = 18
"""Of a total: sums are in us, and after a million effects that came 20 minutes late one has 16 digits."""
MAX_INSTANCES = 200
_WORD = re.compile(r"[a-z][a-z0-9_]{0,39}")
_BUCKETS = {str(bucket): bucket for bucket in range(len(metrics.BUCKETS_S) + 1)}
_BOUNDS = (*(repr(float(bound)) for bound in metrics.BUCKETS_S), "+Inf")

type Labels = tuple[str, ...]
"""Values of a metric's attributes, in their order."""
type Samples = Mapping[Labels, float]


class _Totals:
    """What Redis has added up. Fields that this app does not write are left out."""

    def __init__(self, fields: Mapping[bytes, bytes]) -> None:
        self.counters: dict[Labels, int] = {}
        self.histograms: dict[Metric, defaultdict[Labels, Counter[int]]] = {
            metric: defaultdict(Counter) for metric in (metrics.DURATION, metrics.LAG)
        }
        self.sums_us: Counter[tuple[Metric, Labels]] = Counter()
        for field, number in fields.items():
            kind, *words = field.decode("latin-1").split(" ")
            if all(map(_WORD.fullmatch, words[: 2 if kind != "lag" else 1])):
                self._add(kind, words, int(number))

    def _add(self, kind: str, words: list[str], number: int) -> None:
        match kind, words:
            case "outcomes", [function, outcome]:
                self.counters[function, outcome] = number
            case ("duration", [_, _, bucket]) | ("lag", [_, bucket]):
                metric = metrics.DURATION if kind == "duration" else metrics.LAG
                labels = tuple(words[:-1])
                if bucket == "sum":
                    self.sums_us[metric, labels] = number
                elif bucket in _BUCKETS:
                    self.histograms[metric][labels][_BUCKETS[bucket]] = number


async def text(app: App) -> str:
    """All metrics. Raises what the Redis client raises."""
    await app.write_minute_counts()  # include this process's latest counts
    reply = await app.run(
        READ_MINUTE_COUNTS, keys=[namespaces.build(namespaces.TOTALS)], args=[MAX_TOTALS, _MAX_DIGITS]
    )
    totals = _Totals(dict(zip(reply[::2], reply[1::2], strict=True)))
    gauges = await _gauges(app)
    lines: list[str] = []
    for metric in METRICS:
        lines += _header(metric)
        if metric.kind == "counter":
            lines += _samples(metric, totals.counters)
        elif metric.kind == "histogram":
            for labels, buckets in sorted(totals.histograms[metric].items()):
                lines += _histogram(metric, labels, buckets, totals.sums_us[metric, labels])
        else:
            lines += _samples(metric, gauges[metric])
    return "\n".join(lines) + "\n"


def name(metric: Metric) -> str:
    """The metric's name in Prometheus."""
    words = metric.name.replace(".", "_")
    if metric.unit == "s":
        words += "_seconds"
    elif metric.unit == "1" and metric.kind == "gauge":
        words += "_ratio"
    return words + "_total" if metric.kind == "counter" else words


def label_names(metric: Metric) -> tuple[str, ...]:
    """The labels of a metric's samples: its attributes, and the instance where the figure is that of one."""
    return (*metric.attributes, INSTANCE) if metric in _OF_ONE_INSTANCE else metric.attributes


_OF_ONE_INSTANCE = frozenset({metrics.BEHIND, metrics.DEAF, metrics.SHARE})


async def _gauges(app: App) -> dict[Metric, Samples]:
    waiting = await backlog.read(app)
    living = (await instances.read(app))[:MAX_INSTANCES]
    states = [one.state for one in living]
    hosts = {one.instance.partition("/")[0]: one.share for one in living}
    gauges: dict[Metric, Samples] = {
        metrics.BACKLOG: {(what,): number for what, number in waiting.items()},
        metrics.SHARE: {(host,): share for host, share in hosts.items()},
        metrics.INSTANCES: {(state.value,): states.count(state) for state in State},
        metrics.BEHIND: {},
        metrics.DEAF: {},
    }
    if (running := app.state(Running).intake) is not None:
        report = running.report()
        here = printable(report.instance.encode(errors="surrogatepass"), instances.MAX_NAME_CHARS)
        gauges[metrics.BEHIND] = {(function, here): behind_s for function, behind_s in report.behind_s.items()}
        gauges[metrics.DEAF] = {(here,): report.deaf_s or 0.0}
    return gauges


def _header(metric: Metric) -> Iterator[str]:
    description = metric.description.replace("\\", "\\\\").replace("\n", "\\n")
    yield f"# HELP {name(metric)} {description}"
    yield f"# TYPE {name(metric)} {metric.kind}"


def _samples(metric: Metric, samples: Samples) -> Iterator[str]:
    for labels, value in sorted(samples.items()):
        yield _line(name(metric), dict(zip(label_names(metric), labels, strict=True)), value)


def _histogram(metric: Metric, labels: Labels, buckets: Counter[int], sum_us: int) -> Iterator[str]:
    labelled = dict(zip(label_names(metric), labels, strict=True))
    for bound, number in zip(_BOUNDS, accumulate(buckets[bucket] for bucket in _BUCKETS.values()), strict=True):
        yield _line(f"{name(metric)}_bucket", labelled | {"le": bound}, number)
    yield _line(f"{name(metric)}_sum", labelled, sum_us / 1e6)
    yield _line(f"{name(metric)}_count", labelled, buckets.total())


def _line(sample: str, labels: Mapping[str, str], value: float) -> str:
    of_sample = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{sample}{{{of_sample}}} {value!r}" if of_sample else f"{sample} {value!r}"


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
