// Charts: the state of their sources, and one chart drawn from its cache (GET /api/charts/{chartId}/{dataType}).

import { age, count, el, figure, fillRows, find, hidden, list, moment, number, plural, words } from "./format.js";
import { node, sparkline } from "./plots.js";
import { address, requestJson } from "./request.js";

const [WIDTH, HEIGHT, LEFT, BOTTOM] = [720, 220, 64, 22];
const COLOURS = 5;
const TONES = { ok: "good", failing: "warning", resting: "bad", unknown: "quiet" };
const SOON_MS = 1000;

/** The chart that is drawn, as the page's document lists it, and the digest of its cache; null for none. */
let drawn = null;

document.addEventListener("forgotten", closeDrawing);

const addressOf = ({ chartId, dataType }, action = "") => address(`charts/${encodeURIComponent(chartId)}/${encodeURIComponent(dataType)}${action}`);

export function showCharts(data, refresh) {
  const charts = list(data.charts);
  renderSources(data.chartSources);
  updateDrawing(charts);
  find("charts-empty").hidden = charts.length > 0;
  const counted = typeof data.chartsTotal === "number";
  find("charts-empty").textContent = counted ? "No chart caches: no chart was written in the last 10 minutes." : "Not counted yet: caches are found when keys are counted.";
  find("caches").hidden = charts.length === 0;
  const stale = charts.filter((chart) => chart.stale).length;
  const shown = data.chartsTotal > charts.length ? `newest ${count(charts.length)} of ${count(data.chartsTotal)}` : count(charts.length);
  find("charts-note").textContent = charts.length ? `${shown}${stale ? ` · ${count(stale)} stale` : ""}` : "";
  fillRows(find("caches").tBodies[0], charts, {
    id: (chart) => `${chart.chartId}\n${chart.dataType}`,
    cells: (chart) => [
      { kind: "th", mark: `${chart.chartId}\n${chart.dataType}`, className: "break name", make: () => el("span", {}, String(chart.chartId), el("span", { class: "note" }, String(chart.dataType))) },
      { mark: list(chart.sparkline).join(), make: () => (list(chart.sparkline).length ? sparkline(chart.sparkline, "First series") : "–") },
      { mark: String(chart.stale), make: () => el("span", { class: `badge ${chart.stale ? "warning" : "quiet"}` }, chart.stale ? "stale" : "fresh") },
      words(age(chart.ageS), "", "number nowrap"),
      number(chart.points),
      words(sourceOf(chart), "", chart.refresh?.error ? "fault" : ""),
      { mark: "draw", className: "actions", make: () => drawButton(chart, refresh) },
    ],
  });
}

/** Has a chart fetched from its source. Returns what to say about it; throws nothing. */
async function refreshChart(chart, refresh) {
  try {
    await requestJson(addressOf(chart, "/refresh"), { method: "POST" });
  } catch (fault) {
    return `Failed: ${fault.message}.`;
  }
  setTimeout(refresh, SOON_MS);
  return "An instance fetches it now; the next update shows the result.";
}

/** What a chart's row says of its source. */
function sourceOf({ refresh }) {
  if (!refresh) return "none";
  if (refresh.deleted) return "deleted by a client";
  if (refresh.error) return `failed ${plural(refresh.failures, "time")}: ${refresh.error}`;
  const when = typeof refresh.dueInS === "number" ? `next in ${age(refresh.dueInS)}` : "not due";
  return refresh.watched ? `${when}, watched` : when;
}

const drawButton = (chart, refresh) =>
  el("button", { type: "button", onclick: () => openDrawing(chart, refresh) }, "Draw", hidden(` ${chart.chartId} ${chart.dataType}`));

function renderSources(sources) {
  const target = find("chart-sources");
  const mark = JSON.stringify(sources ?? []);
  if (target.dataset.mark === mark) return;
  target.dataset.mark = mark;
  target.replaceChildren(
    ...list(sources).map((source) => {
      const answered = typeof source.answeredAgeS === "number" ? `answered ${age(source.answeredAgeS)} ago` : "no answer yet";
      const rests = source.restsForS > 0 ? `, left alone for ${age(source.restsForS)}` : "";
      const why = source.error ? `; ${source.error}` : "";
      const facts = ` ${source.match} from ${source.origin}: ${plural(source.charts, "chart")}, ${count(source.inFlight)} in flight, ${answered}${rests}${why}`;
      return el("li", {}, el("span", { class: `badge ${TONES[source.state] ?? "quiet"}` }, String(source.state)), facts);
    }),
  );
}

async function openDrawing(chart, refresh) {
  drawn = { chart, digest: "" };
  find("drawing").hidden = false;
  find("drawing-title").textContent = `${chart.chartId} ${chart.dataType}`;
  find("drawing-result").textContent = "";
  find("drawing-plot").replaceChildren("Loading …");
  find("drawing-close").onclick = () => {
    closeDrawing();
    find("charts-title").focus();
  };
  find("drawing-refresh").hidden = !chart.refresh;
  find("drawing-refresh").onclick = async () => {
    say("Asked for a refresh …");
    say(await refreshChart(chart, refresh));
  };
  renderFacts(chart);
  find("drawing-title").focus();
  await redraw();
}

function closeDrawing() {
  drawn = null;
  find("drawing").hidden = true;
  for (const id of ["drawing-title", "drawing-facts", "drawing-result", "drawing-plot"]) find(id).replaceChildren();
}

/** After each update of the page: new facts, and a new drawing where the chart has changed. */
function updateDrawing(charts) {
  if (!drawn) return;
  const chart = list(charts).find(({ chartId, dataType }) => chartId === drawn.chart.chartId && dataType === drawn.chart.dataType);
  if (!chart) return;
  drawn.chart = chart;
  renderFacts(chart);
  redraw();
}

async function redraw() {
  const current = drawn;
  try {
    const cache = await requestJson(addressOf(current.chart));
    if (drawn !== current || cache.sourceDigest === current.digest) return;
    current.digest = cache.sourceDigest;
    find("drawing-plot").replaceChildren(plotOf(cache), legendOf(cache));
  } catch (fault) {
    if (drawn === current && !current.digest) find("drawing-plot").replaceChildren(`No drawing: ${fault.message}.`);
  }
}

function say(text) {
  find("drawing-result").textContent = text;
}

function renderFacts(chart) {
  const since = chart.staleSince ? [" since ", moment(chart.staleSince)] : [];
  const facts = [
    `${age(chart.ageS)} old`,
    typeof chart.ttlS === "number" ? `kept for ${age(chart.ttlS)}` : null,
    chart.refresh ? `source ${chart.refresh.source}: ${sourceOf(chart)}` : "no source",
  ].filter(Boolean);
  find("drawing-facts").replaceChildren(chart.stale ? "stale" : "fresh", ...since, ` · ${facts.join(" · ")}`);
}

function plotOf(cache) {
  const series = list(cache.series).map((line) => ({ ...line, points: list(line.points).filter(([, value]) => Number.isFinite(value)) }));
  const names = cache.x === "category" ? [...new Set(series.flatMap(({ points }) => points.map(([at]) => at)))] : null;
  const place = (at) => (names ? names.indexOf(at) : at);
  const values = series.flatMap(({ points }) => points.map(([, value]) => value));
  const places = series.flatMap(({ points }) => points.map(([at]) => place(at)));
  const x = scale(least(places), most(places), LEFT, WIDTH - 8);
  const y = scale(least(values), most(values), HEIGHT - BOTTOM, 8);
  const words = `${plural(series.length, "series", "series")} with ${plural(values.length, "point")}, from ${figure(least(values))} to ${figure(most(values))}`;
  const svg = node("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": words });
  for (const value of [least(values), most(values)]) {
    svg.append(node("line", { x1: LEFT, x2: WIDTH - 8, y1: y(value), y2: y(value) }));
    svg.append(node("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, figure(value)));
  }
  for (const [at, anchor] of [[least(places), "start"], [most(places), "end"]])
    svg.append(node("text", { x: x(at), y: HEIGHT - 6, "text-anchor": anchor }, placeWords(cache.x, names ? names[at] : at)));
  series.forEach(({ points }, index) => {
    const line = points.map(([at, value]) => `${x(place(at)).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
    svg.append(node("polyline", { points: line, class: `series-${index % COLOURS}` }));
  });
  return svg;
}

const legendOf = (cache) =>
  el(
    "ul",
    { class: "legend" },
    ...list(cache.series).map(({ name, unit }, index) => {
      const { last, min, max } = cache.stats?.[name] ?? {};
      const figures = `last ${figure(last)}, lowest ${figure(min)}, highest ${figure(max)}`;
      return el("li", { class: `series-${index % COLOURS}` }, el("span", { class: "swatch" }), `${name}${unit ? ` [${unit}]` : ""}: ${figures}`);
    }),
  );

/** Not Math.min(...): a chart may have more points than a call has arguments. */
const least = (values) => values.reduce((low, value) => (value < low ? value : low), values[0] ?? 0);
const most = (values) => values.reduce((high, value) => (value > high ? value : high), values[0] ?? 0);

/** From data to the drawing. Halves: the difference of two large doubles can overflow. */
function scale(low, high, from, to) {
  const span = high / 2 - low / 2;
  return (value) => (span ? from + ((value / 2 - low / 2) / span) * (to - from) : (from + to) / 2);
}

function placeWords(kind, at) {
  if (kind !== "time") return kind === "number" ? figure(at) : String(at ?? "").slice(0, 40);
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? "" : `${date.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}
