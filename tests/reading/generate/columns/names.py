"""Columns beside the measurements, odd names and values, and every way to write long rows: names."""

from kit import rename

from columns.readings import HAND, ROWS, TRUTH, theme

forms = [
    ("names with spaces", "Inlet temperature", "Flow rate total"),
    ("Greek letters", "θ_in", "ΔT"),
    ("digits only", "40001", "40003"),
    ("units in brackets", "Temperature (°C)", "CO2 [ppm]"),
    ("dots and slashes", "plant/line1/temp", "plant.line1.flow"),
    ("names that hold id", "humidity", "fluid_level"),
    ("names that hold time", "runtime_h", "time_to_service"),
    ("names that hold lat and lon", "latency_ms", "longest_wave"),
    ("names that hold unit", "unit_load", "community_use"),
    ("names that hold index", "uv_index", "air_quality_index"),
    ("names that hold date", "update_rate", "candidate_score"),
    ("names that hold seq and count", "consequence", "particle_count"),
    ("names that hold status", "status_voltage", "flag_height"),
    ("very long names", "a" * 120, "b" * 120),
    ("emoji and quotes", '🌡 "inlet"', "flow, total"),
    ("upper case", "TEMP", "FLOW"),
]
for position, (name, first, second) in enumerate(forms):
    renamed = {"temp": first, "flow.m3h": second}
    theme.add(
        "c" if position % 2 else "b",
        f"names: {name}",
        HAND,
        [{renamed.get(key, key): value for key, value in row.items()} for row in ROWS],
        rename(TRUTH, renamed),
    )
