"""A source on loopback."""

from collections.abc import AsyncIterator

import pytest

from tests.support.chart_source import ChartSource, serving


@pytest.fixture
async def source() -> AsyncIterator[ChartSource]:
    source = ChartSource()
    async with serving(source.app) as source.port:
        yield source
