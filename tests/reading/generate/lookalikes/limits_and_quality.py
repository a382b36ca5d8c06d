"""Limits and set points beside values, and values whose quality is bad."""

from lookalikes.readings import FLOW, ISO, TEMP, TWO, N, named, theme, truth

HAND = "hand-written service"
GOOD = [i for i in range(N) if i not in (3, 7)]


def only_good(name="temp", values=TEMP):
    return {name: [point for i, point in enumerate(truth(x=values)["x"]) if i in GOOD]}


def flagged(kinds, name, source, make, expected, **how):
    theme.add(kinds, name, source, [{"ts": ISO[i], "temp": TEMP[i], **make(i)} for i in range(N)], expected, **how)


flagged("bc", "OPC DA quality", "OPC DA client", lambda i: {"q": 192 if i in GOOD else 0}, only_good())
flagged(
    "bc", "OPC DA quality with substatus", "OPC DA client", lambda i: {"quality": 216 if i in GOOD else 24}, only_good()
)
flagged("bc", "quality as a boolean", HAND, lambda i: {"q": i in GOOD}, only_good())
flagged("bc", "valid as 0 and 1", HAND, lambda i: {"valid": int(i in GOOD)}, only_good())
flagged("bc", "a fault flag", HAND, lambda i: {"fault": i not in GOOD}, only_good())
flagged(
    "bc",
    "a flag of unknown meaning",
    "climate station",
    lambda i: {"temp_qc": int(i not in GOOD)},
    only_good(),
    or_refuse=True,
    doubt="0 may be good or unchecked.",
)
flagged(
    "b",
    "QARTOD flags",
    "IOOS QARTOD",
    lambda i: {"temp_qartod_flag": 1 if i in GOOD else 4},
    only_good(),
    or_refuse=True,
)
flagged(
    "bc", "quality in words", "AWS IoT SiteWise", lambda i: {"quality": "GOOD" if i in GOOD else "BAD"}, only_good()
)
flagged("bc", "quality always 0", "OPC UA status code", lambda _: {"quality": 0}, truth(temp=TEMP))
flagged("b", "quality in per cent", HAND, lambda i: {"quality": 90 + i % 5}, truth(temp=TEMP))

CLEAN = truth(temp=TEMP)
flagged("bc", "hi_limit and lo_limit", HAND, lambda _: {"hi_limit": 60.0, "lo_limit": 10.0}, CLEAN)
flagged(
    "bc", "specification limits", "SPC software", lambda _: {"USL": 45.5, "LSL": 38.5, "UCL": 44.0, "LCL": 39.5}, CLEAN
)
flagged(
    "bc", "alarm thresholds", "SCADA export", lambda _: {"alarm_high": 60, "alarm_low": 5, "warn_threshold": 50}, CLEAN
)
flagged("bc", "target and tolerance", HAND, lambda _: {"target": 41.0, "tolerance": 0.5}, CLEAN)
flagged(
    "bc",
    "a set point that changes",
    "PLC trace",
    lambda i: {"temp_setpoint": 41.0 + i // 6},
    CLEAN,
    alt=[{**CLEAN, **truth(temp_setpoint=[41.0 + i // 6 for i in range(N)])}],
)
theme.add(
    "bc",
    "value, sp and limits in long rows",
    "SCADA export",
    [
        {"time": ISO[i], "tag": tag, "value": values[i], "sp": 40.0, "hihi": 60.0, "lolo": 2.0, "unit": "C"}
        for i in range(N)
        for tag, values in (("temp", TEMP), ("flow", FLOW))
    ],
    TWO,
)
theme.add(
    "bc",
    "pv and sp of a controller",
    "PLC trace",
    [{"ts": ISO[i], "pv": TEMP[i], "sp": 41.5, "out": FLOW[i]} for i in range(N)],
    named({"pv": TEMP, "out": FLOW}),
)
