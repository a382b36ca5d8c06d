"""Numbers that are times under names that nobody lists: the time, or a refusal, never a series."""

from lookalikes.readings import FLOW, ISO, MS, SECONDS, TEMP, TWO, N, theme, truth

HAND = "hand-written service"


def clocked(kinds, name, source, make, **how):
    """The only time is the odd one."""
    theme.add(
        kinds,
        name,
        source,
        [{**make(i), "temp": TEMP[i], "flow": FLOW[i]} for i in range(N)],
        TWO,
        or_refuse=True,
        **how,
    )


clocked("bc", "unix_seconds in rows", HAND, lambda i: {"unix_seconds": SECONDS[i]})
clocked("bc", "origin in ns", "EdgeX Foundry event", lambda i: {"origin": MS[i] * 1_000_000})
clocked("bc", "stamp_s with a fraction", HAND, lambda i: {"stamp_s": SECONDS[i] + 0.0})
clocked("bc", "lastSeen alone", HAND, lambda i: {"lastSeen": MS[i]})
clocked(
    "bc",
    "ROS header stamp",
    "ROS 1 message as rosbridge writes it",
    lambda i: {"header": {"seq": 300 + i, "stamp": {"secs": SECONDS[i], "nsecs": 0}, "frame_id": "imu"}},
)
clocked(
    "bc",
    "ROS 2 header stamp",
    "ROS 2 message as rosbridge writes it",
    lambda i: {"header": {"stamp": {"sec": SECONDS[i], "nanosec": 0}, "frame_id": "base"}},
)
clocked("bc", "Excel serials under a date", "spreadsheet export", lambda i: {"Date": 46082.25 + i / 1440})
clocked("bc", "Excel serials without a speaking name", "spreadsheet export", lambda i: {"A": 46082.25 + i / 1440})
clocked("b", ".NET ticks", "DateTime.Ticks", lambda i: {"Ticks": 621_355_968_000_000_000 + MS[i] * 10_000})
clocked("bc", "FILETIME", "Windows FILETIME", lambda i: {"ft": 116_444_736_000_000_000 + MS[i] * 10_000})
clocked("b", "a number nobody knows as ms", HAND, lambda i: {"k": MS[i]})
clocked(
    "b",
    "days as yyyymmdd",
    "SAP date as a number",
    lambda i: {"BUDAT": 20260301 + i},
    alt=[
        {
            name: [(MS[0] - 6 * 3_600_000 + 86_400_000 * i, values[i]) for i in range(N)]
            for name, values in (("temp", TEMP), ("flow", FLOW))
        }
    ],
)


def beside(kinds, name, make):
    theme.add(kinds, name, HAND, [{"ts": ISO[i], **make(i), "temp": TEMP[i], "flow": FLOW[i]} for i in range(N)], TWO)


beside("bc", "lastSeen beside the time", lambda i: {"lastSeen": MS[i] - 4_000_000})
beside("bc", "boot and sync in seconds", lambda _: {"boot": SECONDS[0] - 900_000, "sync": SECONDS[0] - 50})
beside("b", "origin in ns beside the time", lambda i: {"origin": MS[i] * 1_000_000 + 17})
theme.add(
    "b",
    "bytes that could be seconds",
    "process exporter",
    [{"ts": ISO[i], "memory_bytes": 1_600_000_000 + (i * 7919) % 50_000_000} for i in range(N)],
    truth(memory_bytes=[1_600_000_000 + (i * 7919) % 50_000_000 for i in range(N)]),
)
