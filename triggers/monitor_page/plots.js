// The chart of events, and sparklines, as SVG. Each has a text alternative; the numbers of the chart are in tables too.

import { count, dayOfMonth, el, figure, hourAndMinute } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 220;
const [RIGHT, TOP, BOTTOM] = [8, 10, 24];
const DIGIT_PX = 7;
const LABEL_PX = 64;
const LABELS_S = [60, 300, 900, 3600, 7200, 14_400, 21_600, 43_200, 86_400];

/** From good to bad, which is also the order of the stack from bottom to top. */
export const OUTCOMES = ["processed", "duplicate", "ignored", "later", "retried", "rejected", "dead"];

export function node(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

const totalOf = (sums) => OUTCOMES.reduce((total, outcome) => total + (sums[outcome] ?? 0), 0);

/** A round step of the vertical axis, so that it has three to six lines. */
function axisStep(highest) {
  const power = 10 ** Math.floor(Math.log10(Math.max(highest, 1) / 4));
  return Math.max(1, [1, 2, 5, 10].map((factor) => factor * power).find((step) => highest / step <= 5) ?? 1);
}

/**
 * Bars stacked by outcome. `show({times, stepS, sums, what})`: the start of each bar in seconds since 1970, how long it is,
 * {outcome: count} of each, and what is counted. A bar is read with the pointer, or with the arrow keys into `spoken`.
 */
export function eventsChart(target, spoken) {
  const readout = el("p", { class: "readout", "aria-hidden": "true" });
  const message = el("p", { class: "empty" });
  let model = null;
  let chosen = null;
  let marker = null;
  let place = null;

  function draw() {
    const width = target.clientWidth;
    if (!model || !width) return;
    const { times, stepS, sums } = model;
    if (!sums.some(totalOf)) return empty(describe());
    const highest = Math.max(...sums.map(totalOf), 1);
    const step = axisStep(highest);
    const top = Math.ceil(highest / step) * step;
    const left = Math.max(40, count(top).length * DIGIT_PX + 12);
    const barPx = (width - left - RIGHT) / Math.max(times.length, 1);
    const x = (index) => left + index * barPx;
    const y = (value) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - TOP - BOTTOM);
    place = { x, barPx, left };
    const svg = node("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": describe() });
    for (let value = 0; value <= top; value += step) {
      svg.append(node("line", { class: "grid", x1: left, x2: width - RIGHT, y1: y(value), y2: y(value) }));
      svg.append(node("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, count(value)));
    }
    for (const [index, text] of labels(times, stepS, barPx)) svg.append(node("text", { x: x(index), y: HEIGHT - 6, "text-anchor": "middle" }, text));
    marker = node("rect", { class: "marker", y: TOP, height: HEIGHT - TOP - BOTTOM, width: 0, x: 0 });
    svg.append(marker, ...stack(sums, x, y, barPx));
    target.replaceChildren(svg, readout);
    read(chosen);
  }

  function empty(text) {
    place = null;
    message.textContent = text;
    target.replaceChildren(message);
  }

  function describe() {
    const totals = model.sums.map(totalOf);
    const peak = totals.indexOf(Math.max(...totals));
    const all = totals.reduce((sum, n) => sum + n, 0);
    return all ? `${count(all)} ${model.what}, most at ${timeOf(peak)} (${count(totals[peak])}). The numbers are in the tables.` : `No ${model.what}.`;
  }

  function timeOf(index) {
    const date = new Date(model.times[index] * 1000);
    return model.times.length * model.stepS > 86_400 ? `${dayOfMonth(date)}, ${hourAndMinute(date)}` : hourAndMinute(date);
  }

  function read(index) {
    chosen = index !== null && index >= 0 && index < model.times.length ? index : null;
    marker.setAttribute("width", chosen === null ? 0 : place.barPx);
    if (chosen === null) return (readout.textContent = describe().replace(" The numbers are in the tables.", ""));
    marker.setAttribute("x", place.x(chosen));
    const sums = model.sums[chosen];
    const parts = OUTCOMES.filter((outcome) => sums[outcome] > 0).map((outcome) => `${outcome} ${count(sums[outcome])}`);
    const soFar = chosen === model.times.length - 1 ? " so far" : "";
    return (readout.textContent = `${timeOf(chosen)}${soFar}: ${parts.join(" · ") || "none"}`);
  }

  function point(event) {
    if (!place) return;
    const edge = target.getBoundingClientRect().left + place.left;
    read(Math.floor((event.clientX - edge) / place.barPx));
  }

  function step(event) {
    const moves = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity, Escape: NaN };
    if (!place || !(event.key in moves)) return;
    event.preventDefault();
    const last = model.times.length - 1;
    const next = (chosen ?? last + 1) + moves[event.key];
    spoken.textContent = read(Number.isNaN(next) ? null : Math.min(Math.max(next, 0), last));
  }

  target.addEventListener("pointermove", point);
  target.addEventListener("pointerleave", () => place && read(null));
  target.addEventListener("keydown", step);
  new ResizeObserver(draw).observe(target);
  return {
    show(next) {
      if (next.times[0] !== model?.times[0] || next.stepS !== model?.stepS) chosen = null;
      model = next;
      target.setAttribute("aria-label", `Events by outcome: ${describe()}`);
      draw();
    },
    say(text) {
      model = null;
      target.setAttribute("aria-label", "Events by outcome");
      empty(text);
    },
  };
}

/** One path per outcome: its part of every bar. */
function stack(sums, x, y, barPx) {
  const gap = barPx > 6 ? 2 : barPx > 3 ? 1 : 0;
  const bottoms = sums.map(() => 0);
  return OUTCOMES.map((outcome) => {
    const bars = sums.map((counts, index) => {
      const n = counts[outcome] ?? 0;
      if (!n) return "";
      const [low, high] = [y(bottoms[index]), y((bottoms[index] += n))];
      // At least 2 px: a single dead letter among thousands of events must be seen.
      const tall = Math.max(low - high, 2);
      return `M${(x(index) + gap / 2).toFixed(1)} ${(low - tall).toFixed(1)}h${(barPx - gap).toFixed(1)}v${tall.toFixed(1)}h${(gap - barPx).toFixed(1)}z`;
    });
    return node("path", { class: `bar-${outcome}`, d: bars.join("") });
  });
}

/** [index, text] of the bars that begin at a round local time, as many as there is room for. */
function labels(times, stepS, barPx) {
  const room = Math.max(1, Math.floor((times.length * barPx) / LABEL_PX));
  const every = LABELS_S.find((seconds) => (times.length * stepS) / seconds <= room) ?? 172_800;
  // Where clocks go forward at midnight a day begins at 1:00; where they go back, an hour comes twice and has one label.
  const period = (seconds) => Math.floor((seconds - 60 * new Date(seconds * 1000).getTimezoneOffset()) / every);
  let latest = times.length ? period(times[0]) : 0;
  return times
    .map((seconds, index) => [index, seconds])
    .filter(([, seconds]) => {
      const begins = period(seconds) > latest;
      latest = Math.max(latest, period(seconds));
      return begins;
    })
    .map(([index, seconds]) => [index, every < 86_400 ? hourAndMinute(new Date(seconds * 1000)) : dayOfMonth(new Date(seconds * 1000))]);
}

/** A small line chart, with a text alternative; `fromZero` also fills the area below it. */
export function sparkline(numbers, what = "", fromZero = false) {
  const [width, height] = [120, 28];
  const values = numbers.filter((value) => typeof value === "number" && Number.isFinite(value));
  const [low, high] = [fromZero ? 0 : Math.min(...values), Math.max(...values)];
  const span = high / 2 - low / 2; // halves: the difference of two large doubles can overflow
  const x = (index) => (values.length > 1 ? 1 + (index * (width - 2)) / (values.length - 1) : width / 2);
  const y = (value) => (span ? height - 2 - ((value / 2 - low / 2) / span) * (height - 4) : height / 2);
  const range = `from ${figure(values[0])} to ${figure(values.at(-1))}, lowest ${figure(Math.min(...values))}, highest ${figure(high)}`;
  const points = values.map((value, index) => `${x(index).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  const attributes = { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": what ? `${what}: ${range}` : range, class: "sparkline", preserveAspectRatio: "none" };
  const area = fromZero ? [node("polygon", { points: `1,${height} ${points} ${width - 1},${height}` })] : [];
  return node("svg", attributes, ...area, node("polyline", { points }));
}
