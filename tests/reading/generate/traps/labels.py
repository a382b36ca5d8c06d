"""Payloads that a careless reader misreads without a word: labels."""

from kit import epoch_ms

from traps.readings import HAND, ROWS, STAMPS, TRUTH, theme

sensors = ("A-1", "B-2")
mixed = [
    {"sensor": sensors[i % 2], "ts": row["ts"], "temp": row["temp"] + 100 * (i % 2)} for row in ROWS for i in (0, 1)
]
truth = {f"temp.{name}": [(stamp, value + 100 * k) for stamp, value in TRUTH["temp"]] for k, name in enumerate(sensors)}
forms = [
    "{s}",
    "{s}.temp",
    "temp {s}",
    "{s} temp",
    "temp/{s}",
    "{s}/temp",
    "temp ({s})",
    "temp@{s}",
    "temp_{s}",
    "{s}_temp",
    "{s}:temp",
    "temp:{s}",
    "temp · {s}",
    "{s} · temp",
    "temp[{s}]",
    "temp{{sensor={s}}}",
    "temp sensor={s}",
    "{s}: temp",
    "temp: {s}",
    "temp | {s}",
    "temp, {s}",
    "{s}, temp",
    "{s} - temp",
    "temp - {s}",
]
alt = [{form.format(s=name): truth[f"temp.{name}"] for name in sensors} for form in forms]
theme.add(
    "c",
    "two sensors in wide rows",
    HAND,
    mixed,
    truth,
    alt=alt,
    or_refuse=True,
    doubt="Names may differ; one line of 48 points is a misreading.",
)
theme.add(
    "b",
    "two sensors in wide rows",
    HAND,
    mixed,
    truth,
    alt=[*alt, {"temp": [point for points in truth.values() for point in points]}],
    doubt="Statistics per metric over both sensors are defensible for a batch.",
)
same = [
    {"sensorId": sensors[i % 2], "metric": "temp", "ts": epoch_ms(row["ts"]), "value": row["temp"] + 100 * (i % 2)}
    for row in ROWS
    for i in (0, 1)
]
theme.add("c", "one metric of two sensors", HAND, same, truth, alt=alt, doubt="Two labels at one time are two series.")
theme.add(
    "b",
    "one metric of two sensors",
    HAND,
    same,
    {"temp": [point for points in truth.values() for point in points]},
    alt=[truth, *alt],
    doubt="The documented long form names the series after the metric; per sensor is defensible.",
)
theme.add(
    "bc",
    "a label that is a number",
    HAND,
    [
        {"channel": channel, "ts": row["ts"], "value": row[name]}
        for row in ROWS
        for channel, name in ((1, "temp"), (2, "ph"))
    ],
    {"1": TRUTH["temp"], "2": TRUTH["ph"]},
    alt=[
        {form.format(1): TRUTH["temp"], form.format(2): TRUTH["ph"]}
        for form in (
            "channel {}",
            "channel={}",
            "value.{}",
            "value {}",
            "channel_{}",
            "value channel={}",
            "{}.value",
            "channel.{}",
            "channel:{}",
            "value/{}",
            "value ({})",
            "value_{}",
            "value[{}]",
            "channel: {}",
            "value · {}",
            "value@{}",
            "value{{channel={}}}",
            "value: {}",
        )
    ],
    doubt="Names may differ; `channel` as a series, or 48 values in one, is a misreading.",
)
theme.add(
    "b",
    "ids in text that look like exponents",
    HAND,
    [
        {"sensor": sensor, "ts": row["ts"], "value": row[name]}
        for row in ROWS
        for sensor, name in (("12e4", "temp"), ("13e2", "ph"))
    ],
    {"12e4": TRUTH["temp"], "13e2": TRUTH["ph"]},
    alt=[
        {form.format("12e4"): TRUTH["temp"], form.format("13e2"): TRUTH["ph"]}
        for form in ("value.{}", "value {}", "value sensor={}", "{}.value")
    ],
    doubt="A batch of one value column may also be one metric; 48 values of two sensors would mix them.",
)
theme.add(
    "b",
    "unit as the only text",
    HAND,
    [{"ts": row["ts"], "value": row["temp"], "unit": "°C"} for row in ROWS],
    {"value": TRUTH["temp"]},
    doubt="A unit is no name; the series is `value`.",
)
theme.add(
    "c",
    "units that differ by sensor",
    HAND,
    [
        {"tag": name, "ts": row["ts"], "value": row[name], "unit": unit}
        for row in ROWS
        for name, unit in (("temp", "°C"), ("ph", "1"))
    ],
    TRUTH,
)
theme.add(
    "c",
    "quality that differs by row",
    HAND,
    [
        {"tag": name, "ts": row["ts"], "value": row[name], "quality": "good" if i % 3 else "bad"}
        for i, row in enumerate(ROWS)
        for name in ("temp", "ph")
    ],
    TRUTH,
    alt=[{name: [point for i, point in enumerate(TRUTH[name]) if i % 3] for name in ("temp", "ph")}],
    doubt="A flag by row is no label: four series would be a misreading. Values of bad quality may be left out and "
    "counted.",
)
flags = [
    {"metric": name, "ts": row["ts"], "value": value}
    for i, row in enumerate(ROWS)
    for name, value in (("temp", row["temp"]), ("valve_open", i % 2 == 0), ("mode", "auto"))
]
theme.add(
    "b",
    "numbers, flags and texts in one value column",
    HAND,
    flags,
    {"temp": TRUTH["temp"]},
    alt=[{"temp": TRUTH["temp"], "valve_open": [(stamp, float(i % 2 == 0)) for i, stamp in enumerate(STAMPS)]}],
)
