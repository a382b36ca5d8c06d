"""The readings that the parts of `lookalikes` write, and their theme."""

from kit import Theme, Truth, wave

theme = Theme("lookalikes")

N = 12
START_S = 1_772_344_800
SECONDS = [START_S + 60 * i for i in range(N)]
MS = [second * 1000 for second in SECONDS]
ISO = [f"2026-03-01T06:{i:02d}:00Z" for i in range(N)]
SPACED = [text.replace("T", " ").removesuffix("Z") for text in ISO]
TEMP = wave(N, 41.3, 2.7)
FLOW = wave(N, 12.6, 1.4, 0.7, 3)
HOUR_MS = 3_600_000


def truth(shift_ms: int = 0, **series: list[float]) -> Truth:
    """Series along MS."""
    return named(series, shift_ms)


def named(series: dict[str, list[float]], shift_ms: int = 0) -> Truth:
    return {
        name: [(ms + shift_ms, value) for ms, value in zip(MS, values, strict=True)] for name, values in series.items()
    }


TWO = truth(temp=TEMP, flow=FLOW)


def every(values: list[float], first: int, step: int) -> list[tuple[int | None, float | None]]:
    """Each `step`th point, from the `first`."""
    return [(MS[i], values[i]) for i in range(first, N, step)]
