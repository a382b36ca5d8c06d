// Two uPlot charts per reactor, and sparklines as SVG. Each has a text alternative, and a table in reactors.js or view.js.

import { figure, hourAndMinute, milliseconds, rate } from "./format.js";

const HEIGHT = 132;
const AXIS_WIDTH = 46;
const SVG = "http://www.w3.org/2000/svg";

/** From good to bad, which is also the order of the stack from bottom to top. */
export const OUTCOMES = ["processed", "duplicate", "ignored", "later", "retried", "rejected", "dead"];

const plots = new Set();

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const readTime = (seconds) => hourAndMinute(new Date(seconds * 1000));

function axes(format, splits) {
  const stroke = () => colour("muted");
  const grid = { stroke: () => colour("line"), width: 1 };
  const font = "11px Arial, sans-serif";
  const ticks = { show: false };
  return [
    { stroke, grid: { show: false }, ticks, font, size: 22, space: 60, values: (_, at) => at.map(readTime) },
    { stroke, grid, ticks, font, size: AXIS_WIDTH, space: 28, gap: 4, values: (_, at) => at.map(format), ...splits },
  ];
}

function plot(target, readout, { series, scale, format, axis, say }) {
  let resting = "";
  const showReadout = (index) => (readout.textContent = index === null || index === undefined ? resting : say(chart.data, index));
  const chart = new globalThis.uPlot(
    {
      width: Math.max(target.clientWidth, 200),
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      padding: [6, 6, 0, 0],
      scales: { y: scale },
      axes: axes(format, axis),
      series: [{}, ...series],
      hooks: { setCursor: [(self) => showReadout(self.cursor.idx)] },
    },
    [[], ...series.map(() => [])],
    target,
  );
  const handle = {
    chart,
    show(data, text) {
      resting = text;
      chart.setData(data);
      showReadout(chart.cursor.idx);
    },
    resize: () => target.clientWidth && chart.setSize({ width: target.clientWidth, height: HEIGHT }),
  };
  plots.add(handle);
  new ResizeObserver(handle.resize).observe(target);
  return handle;
}

/** Bars of events per second, stacked by outcome. show(times, {outcome: [rate per minute]}). */
export function eventsPlot(target, readout) {
  const drawn = [...OUTCOMES].reverse(); // the highest bar first; each later, lower bar is drawn over it
  const bars = globalThis.uPlot.paths.bars({ size: [0.85, 40], align: 0 });
  let values = {};
  const handle = plot(target, readout, {
    series: drawn.map((name) => ({
      fill: () => colour(`outcome-${name}`),
      width: 0,
      paths: bars,
      points: { show: false },
    })),
    scale: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] },
    format: figure,
    say(data, index) {
      const parts = OUTCOMES.filter((name) => values[name]?.[index] > 0);
      const words = parts.map((name) => `${name} ${rate(values[name][index])}`);
      return `${readTime(data[0][index])}  ${words.join(" · ") || "none"}`;
    },
  });
  return (times, byOutcome, text) => {
    values = byOutcome;
    let below = times.map(() => 0);
    const stacked = OUTCOMES.map((name) => {
      below = below.map((value, index) => value + (byOutcome[name]?.[index] ?? 0));
      return below;
    });
    handle.show([times, ...stacked.reverse()], text);
  };
}

const decades = (low, high) => {
  const first = Math.round(Math.log10(low));
  return Array.from({ length: Math.round(Math.log10(high)) - first + 1 }, (_, step) => 10 ** (first + step));
};

/** Lines of the median and of p99 in ms, on a logarithmic scale. show(times, medians, p99s), null for no value. */
export function latencyPlot(target, readout) {
  const line = (name, dash) => ({
    stroke: () => colour(name),
    width: 1.5,
    dash,
    points: { show: true, size: 4, fill: () => colour(name), width: 0 },
  });
  const decade = (value, round) => 10 ** round(Math.log10(value));
  const handle = plot(target, readout, {
    series: [line("p99", [4, 3]), line("median")],
    scale: {
      distr: 3,
      range: (_, low, high) => {
        if (!(low > 0)) return [1, 100];
        const bottom = decade(low, Math.floor);
        return [bottom, Math.max(decade(high, Math.ceil), bottom * 10)];
      },
    },
    format: (value) => (value === null ? "" : milliseconds(value)),
    axis: { splits: (_, axis, low, high) => decades(low, high), filter: (_, at) => (at.length > 5 ? at.map((value, index) => (index % 2 ? null : value)) : at) },
    say: (data, index) =>
      `${readTime(data[0][index])}  median ${milliseconds(data[2][index])} · p99 ${milliseconds(data[1][index])}`,
  });
  return (times, medians, p99s, text) => handle.show([times, p99s, medians], text);
}

/** Redraws the plots with the colours of the new theme. */
export function repaint() {
  for (const { chart } of plots) chart.redraw(false);
}

/** Resizes the plots after they became visible: hidden elements have no width. */
export function refit() {
  for (const { resize } of plots) resize();
}

/** A small line chart, with a text alternative. */
export function sparkline(numbers) {
  const [width, height] = [120, 22];
  const values = numbers.filter((value) => typeof value === "number" && Number.isFinite(value));
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const span = high / 2 - low / 2; // halves: the difference of two large doubles can overflow
  const x = (index) => (values.length > 1 ? 1 + (index * (width - 2)) / (values.length - 1) : width / 2);
  const y = (value) => (span ? height - 2 - ((value / 2 - low / 2) / span) * (height - 4) : height / 2);
  const svg = document.createElementNS(SVG, "svg");
  const words = `from ${figure(values[0])} to ${figure(values.at(-1))}, lowest ${figure(low)}, highest ${figure(high)}`;
  const attributes = { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": words, class: "sparkline" };
  for (const [name, value] of Object.entries(attributes)) svg.setAttribute(name, String(value));
  const line = document.createElementNS(SVG, "polyline");
  line.setAttribute("points", values.map((value, index) => `${x(index).toFixed(1)},${y(value).toFixed(1)}`).join(" "));
  svg.append(line);
  return svg;
}
