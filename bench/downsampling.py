"""Draws docs/images/charts-downsampling.svg: 100,000 points, and those of them that a chart's cache keeps.

.venv-bench/bin/python -m bench.downsampling
"""

from array import array

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bench.plots import APP, NAIVE, STYLE, WIDTH_IN
from bench.results import ROOT
from shared.charts.downsampling import downsample
from shared.reading.model import Series

POINTS, KEPT = 100_000, 500
SPIKE = 61_803
FILE = ROOT / "docs" / "images" / "charts-downsampling.svg"


def readings() -> Series:
    """A day of one value each 0.864 s: a slow swing, noise, a step, and one spike of a single point."""
    chance, at = np.random.default_rng(17), np.arange(POINTS)
    values = 24 + 1.5 * np.sin(at / 9000) + chance.normal(0, 0.12, POINTS) + np.where(at > 80_000, 0.8, 0)
    values[SPIKE] = 31.4
    return Series("temp", "°C", array("d", values), array("q", at * 864))


def main() -> None:
    raw = readings()
    kept = downsample(raw, KEPT)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, 3.6), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, sharey=True)
        hours = 3_600_000
        # Drawn as an image: as lines, 100,000 points make a file of 4 MB.
        above.plot(np.asarray(raw.x) / hours, raw.values, color=NAIVE, linewidth=0.5, rasterized=True)
        above.set_title(f"{POINTS:,} points as written", loc="left", fontsize=10)
        below.plot(np.asarray(kept.x) / hours, kept.values, color=APP, linewidth=0.8)
        below.set_title(f"{KEPT} points in the cache (LTTB; first, last and extremes kept)", loc="left", fontsize=10)
        spike = (SPIKE * 864 / hours, raw.values[SPIKE])
        for axes in (above, below):
            axes.grid(axis="y")
            axes.set_ylabel("°C")
            axes.annotate("spike of one point", spike, (spike[0] + 0.6, spike[1] - 1.2), fontsize=9)
        below.set_xlabel("hours")
        figure.savefig(FILE, dpi=110, metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main()
