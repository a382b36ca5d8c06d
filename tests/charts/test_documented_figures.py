"""The figures in docs/charts.md are those of the code."""

import re
from pathlib import Path

import msgspec
import pytest

from shared import namespaces
from shared.charts import refresh, schedule
from shared.settings import Settings
from shared.sources import client, config
from shared.sources.config import Source

TEXT = re.sub(r"\s+", " ", (Path(__file__).parents[2] / "docs" / "charts.md").read_text(encoding="utf-8"))
MINUTE_S, HOUR_S = 60, 3600
SETTINGS = Settings()
SENTENCES = {
    "becomes `fabric:cache:chart:{chartId}:{dataType}` (10 minutes)": namespaces.CHART_CACHE_TTL_S == 10 * MINUTE_S,
    "within `CHART_ACTIVE_S` (15 minutes)": SETTINGS.chart_active_s == 15 * MINUTE_S,
    "until `CHART_KEEP_S` (7 days)": SETTINGS.chart_keep_s == 7 * 24 * HOUR_S,
    "for `CHART_MAX_STALE_S` (1 hour)": SETTINGS.chart_max_stale_s == HOUR_S,
    "the backoff of `RETRY_BASE_S`, a minute at most": refresh.MAX_REST_S == MINUTE_S,
    "fails five times in a row": refresh.FAILURES_TO_REST == 5,
    "is kept to, up to an hour": client.MAX_RETRY_AFTER_S == HOUR_S,
    "`CHART_FETCH_CONCURRENCY` (8)": SETTINGS.chart_fetch_concurrency == 8,
    "its lease (`timeout_s` and 2 s)": config.LEASE_MARGIN_MS == 2000,
    "from 128 KiB on, written beside the key": refresh.MAX_SCRIPT_BYTES == 128 * 1024,
    "of more than 5,000 names the latest count": schedule.MAX_INTEREST == 5000,
    "fetch 800 charts in the 30 s": round(8 / 0.3 * 30) == 800,
}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_figure_of_the_documentation_is_that_of_the_code(sentence: str) -> None:
    assert sentence in TEXT
    assert SENTENCES[sentence]


def test_the_members_of_a_source_are_documented_with_their_defaults() -> None:
    rows = re.findall(
        r"\| ((?:`\w+`(?:, )?)+) \|([^|]*)\|", TEXT.partition("### The setting")[2].partition("**FastAPI")[0]
    )
    documented = {name: default.strip(" `") for names, default in rows for name in re.findall(r"\w+", names)}
    fields = msgspec.structs.fields(Source)
    assert set(documented) == {field.name for field in fields}
    for field in fields:
        if isinstance(field.default, int | float):
            assert float(documented[field.name]) == field.default
