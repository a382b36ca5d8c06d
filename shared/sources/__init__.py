"""Where charts come from: the setting CHART_SOURCES, the addresses that may be called, one HTTP request."""
