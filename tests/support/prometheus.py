"""A strict reader of Prometheus' text format 0.0.4."""

import math
import re
from dataclasses import dataclass, field

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
_SAMPLE = re.compile(rf"({_NAME})(?:\{{(.*)\}})? (\S+)")
_SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}

type Labels = frozenset[tuple[str, str]]


@dataclass
class Family:
    """A metric: samples by the sample's name and labels."""

    kind: str
    help: str
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)

    def value(self, name: str, **labels: str) -> float:
        return self.samples[name, frozenset(labels.items())]


def parse(text: str) -> dict[str, Family]:
    """The metrics by name. Fails on anything that the format does not allow."""
    assert text.endswith("\n")
    families: dict[str, Family] = {}
    helped = name = ""
    for line in text.removesuffix("\n").split("\n"):
        if match := re.fullmatch(rf"# HELP ({_NAME}) (.+)", line):
            helped, description = match[1], match[2]
            assert not re.search(r"\\(?![\\n])", description), line
        elif match := re.fullmatch(rf"# TYPE ({_NAME}) (counter|gauge|histogram)", line):
            name = match[1]
            assert name == helped, line
            assert name not in families, f"{name}: twice"
            families[name] = Family(match[2], description)
        else:
            _add(families[name], name, line)
    for name, family in families.items():
        if family.kind == "histogram":
            _check_histogram(name, family)
    return families


def _add(family: Family, name: str, line: str) -> None:
    match = _SAMPLE.fullmatch(line)
    assert match, line
    assert match[1] in {name + suffix for suffix in _SUFFIXES[family.kind]}, line
    labels: dict[str, str] = {}
    rest = match[2] or ""
    while rest:
        label = _LABEL.match(rest)
        assert label, line
        assert label[1] not in labels, line
        labels[label[1]] = re.sub(r"\\(.)", lambda escaped: {"n": "\n"}.get(escaped[1], escaped[1]), label[2])
        rest = rest[label.end() :]
        assert rest or not label[3], line
    sample = match[1], frozenset(labels.items())
    assert sample not in family.samples, f"{line}: twice"
    family.samples[sample] = value = float(match[3])
    assert not math.isnan(value), line
    assert family.kind == "gauge" or value >= 0, line


def _check_histogram(name: str, family: Family) -> None:
    series: dict[Labels, list[tuple[float, float]]] = {}
    for (sample, labels), value in family.samples.items():
        if sample == f"{name}_bucket":
            (bound,) = [text for label, text in labels if label == "le"]
            series.setdefault(frozenset(pair for pair in labels if pair[0] != "le"), []).append((float(bound), value))
    for labels, buckets in series.items():
        assert buckets == sorted(buckets), f"{name}: bounds and counts ascend"
        assert buckets[-1] == (math.inf, family.samples[f"{name}_count", labels])
        assert (f"{name}_sum", labels) in family.samples
    assert len(family.samples) == sum(len(buckets) + 2 for buckets in series.values())
