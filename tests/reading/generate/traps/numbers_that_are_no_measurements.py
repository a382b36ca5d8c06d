"""Payloads that a careless reader misreads without a word: numbers that are no measurements."""

from typing import Any

from kit import Truth

from traps.readings import HAND, ROWS, STAMPS, TRUTH, theme


def add(kinds: str, name: str, make: Any, truth: Truth = TRUTH, **more: Any) -> None:
    theme.add(kinds, name, HAND, [{**make(i), **row} for i, row in enumerate(ROWS)], truth, **more)


add(
    "bc",
    "order and customer numbers",
    lambda i: {"order_id": 100200 + 37 * i, "customerId": 88 + i % 3, "batch_no": 20260318},
)
add("b", "epoch s beside the time", lambda i: {"updated": STAMPS[i] // 1000 + 7})
add(
    "c",
    "epoch ms of the server beside the time",
    lambda i: {"server_ms": STAMPS[i] + 812, "received": str(STAMPS[i] + 900)},
)
add("b", "status codes", lambda i: {"status": 200, "httpStatus": 200 if i % 6 else 304, "error_code": 0})
add(
    "c",
    "a moving place",
    lambda i: {"latitude": round(52.5 + i / 1000, 6), "longitude": round(13.4 + i / 900, 6)},
    alt=[
        {
            **TRUTH,
            "latitude": [(STAMPS[i], round(52.5 + i / 1000, 6)) for i in range(24)],
            "longitude": [(STAMPS[i], round(13.4 + i / 900, 6)) for i in range(24)],
        }
    ],
    doubt="A place that moves: a measurement, or none.",
)
add(
    "b",
    "parts of the time",
    lambda i: {"year": 2026, "month": 3, "day": 18, "hour": 9 + i // 12, "minute": i * 5 % 60},
    or_refuse=True,
    alt=[
        {
            **TRUTH,
            "hour": [(STAMPS[i], 9 + i // 12) for i in range(24)],
            "minute": [(STAMPS[i], i * 5 % 60) for i in range(24)],
        }
    ],
    doubt="Parts of a time that stands beside them.",
)
add("b", "telephone and post code", lambda _: {"phone": "+493012345678", "zip": "01069", "account": "4711"})
add(
    "b",
    "limits beside the value",
    lambda _: {"temp_min": 10, "temp_max": 60},
    {**TRUTH, "temp_min": [(stamp, 10) for stamp in STAMPS], "temp_max": [(stamp, 60) for stamp in STAMPS]},
    alt=[TRUTH],
    doubt="Constant limits: series, or left out.",
)
