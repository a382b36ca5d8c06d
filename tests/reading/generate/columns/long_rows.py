"""Columns beside the measurements, odd names and values, and every way to write long rows: long rows."""

from kit import Truth, epoch_ms, rename

from columns.readings import HAND, ROWS, TRUTH, theme

short = {"temp": "temp", "flow.m3h": "flow.m3h"}
for position, (label, value, time) in enumerate(
    (
        ("name", "value", "timestamp"),
        ("parameter", "val", "time"),
        ("tag", "v", "t"),
        ("variable", "value", "ts"),
        ("channel", "reading", "at"),
        ("point_name", "point_value", "point_time"),
        ("Tagname", "Value", "DateTime"),
        ("field", "_value", "_time"),
        ("n", "v", "t"),
        ("measurement", "amount", "observedAt"),
        ("signal", "y", "x"),
        ("TagName", "vValue", "DateTime"),
        ("key", "value", "ts"),
        ("kpi", "result", "date"),
    )
):
    data = [{time: row["ts"], label: name, value: row[name]} for row in ROWS for name in short]
    theme.add("bc" if position % 5 == 0 else "bc"[position % 2], f"long: {label}, {value}, {time}", HAND, data, TRUTH)
theme.add(
    "bc",
    "long: values as text",
    HAND,
    [{"metric": name, "value": f"{row[name]:.3f}", "ts": epoch_ms(row["ts"])} for row in ROWS for name in short],
    TRUTH,
)
theme.add(
    "b",
    "long: block after block, different lengths",
    HAND,
    [{"metric": "temp", "value": row["temp"], "ts": row["ts"]} for row in ROWS]
    + [{"metric": "flow.m3h", "value": row["flow.m3h"], "ts": row["ts"]} for row in ROWS[:5]],
    {**TRUTH, "flow.m3h": TRUTH["flow.m3h"][:5]},
)
theme.add(
    "bc",
    "long: unit and sensor beside the metric",
    HAND,
    [
        {
            "sensorId": f"S-{17 + i}",
            "metric": name,
            "unit": ("°C", "m3/h")[i],
            "ts": row["ts"],
            "value": row[name],
            "quality": "good",
        }
        for row in ROWS
        for i, name in enumerate(short)
    ],
    TRUTH,
)
theme.add(
    "c",
    "long: csv",
    HAND,
    "time,metric,value\n" + "".join(f"{row['ts']},{name},{row[name]}\n" for row in ROWS for name in short),
    TRUTH,
    pandas={"call": "read_csv", "time": "time", "pivot": ["metric", "value"]},
)
theme.add(
    "b",
    "long: one metric only",
    HAND,
    [{"metric": "temp", "value": row["temp"], "ts": row["ts"]} for row in ROWS],
    {"temp": TRUTH["temp"]},
    alt=[{"value": TRUTH["temp"]}],
)
theme.add(
    "b",
    "long: one reading",
    HAND,
    {"metric": "temp", "value": 21.5, "ts": ROWS[0]["ts"], "sensorId": "S-1"},
    {"temp": [(epoch_ms(ROWS[0]["ts"]), 21.5)]},
    alt=[{"value": [(epoch_ms(ROWS[0]["ts"]), 21.5)]}],
)
two = [
    {"ts": row["ts"], "site": site, "metric": name, "value": row[name] + 10 * k}
    for row in ROWS
    for k, site in enumerate(("Nord", "Sud"))
    for name in short
]
split = {(name, k): [(stamp, value + 10 * k) for stamp, value in TRUTH[name]] for name in short for k in range(2)}
forms = [
    "{m}.{s}",
    "{s}.{m}",
    "{m} {s}",
    "{s} {m}",
    "{m}/{s}",
    "{s}/{m}",
    "{m} ({s})",
    "{m}@{s}",
    "{m}_{s}",
    "{s}_{m}",
    "{s}:{m}",
    "{m}:{s}",
    "{m} · {s}",
    "{s} · {m}",
    "{m}[{s}]",
    "{m}{{{s}}}",
    "{m} | {s}",
    "{s} | {m}",
    "{m}, {s}",
    "{s}, {m}",
    "{m} site={s}",
    "{m}{{site={s}}}",
    "{s}: {m}",
    "{m}: {s}",
    "{s} - {m}",
    "{m} - {s}",
]
by_both = [
    {form.format(m=name, s=site): split[name, k] for name in short for k, site in enumerate(("Nord", "Sud"))}
    for form in forms
]
merged: Truth = {name: split[name, 0] + split[name, 1] for name in short}
theme.add("c", "long: two labels", HAND, two, by_both[0], alt=by_both[1:], doubt="Four series; their names may differ.")
theme.add(
    "b",
    "long: two labels",
    HAND,
    two,
    by_both[0],
    alt=[*by_both[1:], merged],
    doubt="Per metric over both sites is defensible for a batch, never for a chart.",
)
nested = {"readings": {name: [{"ts": row["ts"], "value": row[name]} for row in ROWS] for name in short}}
theme.add("bc", "long: rows below the name", HAND, nested, TRUTH, alt=[rename(TRUTH, lambda name: f"readings.{name}")])
blocks = {
    "sensors": [
        {"name": name, "unit": "x", "readings": [{"ts": row["ts"], "value": row[name]} for row in ROWS]}
        for name in short
    ]
}
theme.add("bc", "long: sensors with rows of their own", HAND, blocks, TRUTH)
theme.add(
    "b",
    "long: one row per time with a list of readings",
    HAND,
    [
        {"time": row["ts"], "readings": [{"name": name, "value": row[name], "unit": "x"} for name in short]}
        for row in ROWS
    ],
    TRUTH,
)
