"""docs/grafana-dashboard.json and prometheus-alerts.yml ask for what GET /api/metrics exports."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.intake.intake import State
from shared.operations import exposition
from shared.reactor import Result
from shared.registry import REACTORS
from shared.telemetry.metrics import METRICS, OUTCOMES

DOCS = Path(__file__).parents[2] / "docs"
DASHBOARD: dict[str, Any] = json.loads((DOCS / "grafana-dashboard.json").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
QUERIES = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
ALERTS: list[dict[str, Any]] = yaml.safe_load((DOCS / "prometheus-alerts.yml").read_text(encoding="utf-8"))["groups"][
    0
]["rules"]
OF_PROMETHEUS = {"job", "instance"}
FUNCTIONS = {"by", "delta", "histogram_quantile", "le", "max", "max_over_time", "min", "min_over_time", "rate", "sum"}
VALUES = {
    "outcome": {*Result, "inert", "elsewhere", "heard", "malformed", "lost_lease"},
    "function": {*(reactor.function for reactor in REACTORS), "sweep", "retry"},
    "state": set(State),
    "what": {"retries", "dead_letters", "audit_records"},
}


def exported() -> dict[str, set[str]]:
    """The labels of each series that a scrape yields, by the sample's name."""
    series = {"up": set[str]()}
    for metric in METRICS:
        name, labels = exposition.name(metric), set(exposition.label_names(metric))
        if metric.kind == "histogram":
            series |= {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}
        else:
            series[name] = labels
    return {name: labels | OF_PROMETHEUS for name, labels in series.items()}


@pytest.mark.parametrize(("title", "query"), [*QUERIES, *((rule["alert"], rule["expr"]) for rule in ALERTS)])
def test_every_query_names_a_metric_and_labels_that_are_exported(title: str, query: str) -> None:
    bare = re.sub(r"\[[^]]*\]|\{[^}]*\}", "", query)
    grouped = {label for labels in re.findall(r"by \(([^)]*)\)", bare) for label in labels.split(", ")}
    words = set(re.findall(r"[a-zA-Z_]\w*", bare)) - FUNCTIONS - grouped
    (metric,) = words  # an alert may compare two of its series
    labels = exported()[metric]
    assert grouped <= labels
    for label, values in re.findall(r'(\w+)(?:=~|!~|!=|=)"([^"]*)"', query):
        assert label in labels
        assert label == "job" or set(values.split("|")) <= VALUES[label], label
    assert metric.endswith("_total") <= ("rate(" in query), "a counter is shown as a rate"
    assert query.count("(") == query.count(")")


def test_the_alerts_are_those_of_the_documents_each_with_its_symptom() -> None:
    table = re.findall(r"^\| [a-z' ]+ \| .*\[runbook\]\((\S+)\) \|$", (DOCS / "metrics.md").read_text(), re.MULTILINE)
    named = [rule["annotations"]["runbook"].removeprefix("docs/") for rule in ALERTS]
    assert {target for target in table if "#" in target} == set(named[1:])
    assert len({rule["alert"] for rule in ALERTS}) == len(ALERTS)
    for target in named:
        heading = target.partition("#")[2].replace("-", " ")
        assert f"## {heading}" in (DOCS / "runbook.md").read_text(encoding="utf-8").lower()
    assert all(rule["annotations"]["summary"] and re.search(r"[=><] ?=? ?\w", rule["expr"]) for rule in ALERTS)


def test_every_metric_is_on_the_dashboard() -> None:
    shown = " ".join(query for _, query in QUERIES)
    missing = {exposition.name(metric) for metric in METRICS if exposition.name(metric) not in shown}
    assert missing == {"keyspace_functions_deaf_seconds"}, "its states are shown instead"


def test_legends_use_labels_that_their_query_keeps() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            used = set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))
            kept = {label for labels in re.findall(r"by \(([^)]*)\)", target["expr"]) for label in labels.split(", ")}
            assert used == kept - {"le"} or (panel["type"] == "stat" and not used), panel["title"]


def test_panels_have_ids_and_places_of_their_own_and_the_data_source_of_the_importer() -> None:
    assert isinstance(DASHBOARD["schemaVersion"], int)
    assert "id" not in DASHBOARD, "Grafana gives it at the import"
    assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == {"datasource", "job"}
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for panel in PANELS:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    for first, second in combinations((panel["gridPos"] for panel in PANELS), 2):
        assert (
            first["x"] + first["w"] <= second["x"]
            or second["x"] + second["w"] <= first["x"]
            or first["y"] + first["h"] <= second["y"]
            or second["y"] + second["h"] <= first["y"]
        )


def test_the_panel_of_outcomes_and_the_description_of_the_metric_have_all_of_them() -> None:
    (query,) = [query for title, query in QUERIES if title == "Events by outcome"]
    (values,) = re.findall(r'outcome=~"([^"]*)"', query)
    assert set(values.split("|")) == set(Result)
    (described,) = re.findall(r"How reactions ended: ([^.]*)\.", OUTCOMES.description)
    assert set(described.split(", ")) == set(Result)
