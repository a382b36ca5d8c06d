// Events by outcome over a range and for a reactor: the chart, its legend by source, its numbers, and lag and latency.

import { count, dayOfMonth, el, fillRows, find, hourAndMinute, lagTone, list, milliseconds, number, words } from "./format.js";
import { OUTCOMES, eventsChart } from "./plots.js";
import { address, requestJson } from "./request.js";
import { store, stored } from "./storage.js";

const SOURCES = ["event", "sweep", "retry", "schedule", "replay"];
const RANGES = { "15m": "15 min", "1h": "1 h", "6h": "6 h", "24h": "24 h", "7d": "7 days" };
const PERIODS = { "15m": "15 minutes", "1h": "hour", "6h": "6 hours", "24h": "24 hours", "7d": "7 days" };
const OF_MINUTES = { "15m": 15, "1h": 60 };
const STORED_RANGE = "keyspace-functions-range";
const AGAIN_MS = 60_000;
const ALL = "";

const state = { range: null, reactor: ALL, data: null, history: null, historyMs: -Infinity, fault: "" };
let chart;

export const totalOf = (sums) => Object.values(sums).reduce((sum, n) => sum + n, 0);

/** {outcome: count} of a minute or bar, over all sources, of one reactor or of all. */
export function byOutcome(step, reactor = ALL) {
  const sums = {};
  for (const [name, sources] of Object.entries(step.outcomes ?? {})) {
    if (reactor !== ALL && name !== reactor) continue;
    for (const outcomes of Object.values(sources)) {
      for (const outcome of OUTCOMES) if (outcomes[outcome] > 0) sums[outcome] = (sums[outcome] ?? 0) + outcomes[outcome];
    }
  }
  return sums;
}

export function startActivity() {
  const range = stored("localStorage", STORED_RANGE);
  state.range = Object.hasOwn(RANGES, range) ? range : null;
  chart = eventsChart(find("events-chart"), find("chart-read"));
  find("numbers").addEventListener("toggle", draw);
  document.addEventListener("forgotten", () => Object.assign(state, { history: null, historyMs: -Infinity }));
}

export function showActivity(data) {
  state.data = data;
  const names = list(data.reactors).map((reactor) => String(reactor?.name));
  if (!names.includes(state.reactor)) state.reactor = ALL;
  const range = rangeNow();
  segments(find("of-reactor"), [[ALL, "All"], ...names.map((name) => [name, capital(name)])], state.reactor, (name) => (state.reactor = name));
  segments(find("of-range"), Object.entries(RANGES), range, (name) => {
    state.range = name;
    store("localStorage", STORED_RANGE, name);
  });
  draw();
  showSpeed(names, data.stats);
  if (!(range in OF_MINUTES) && (state.history?.range !== range || performance.now() - state.historyMs >= AGAIN_MS)) load(range);
}

const capital = (name) => name[0].toUpperCase() + name.slice(1);

/** The range that was chosen; else the shorter one that has all events of the last hour. */
function rangeNow() {
  if (state.range) return state.range;
  const minutes = list(state.data?.stats?.minutes);
  return minutes.slice(0, -15).some((minute) => totalOf(byOutcome(minute)) > 0) ? "1h" : "15m";
}

function segments(target, options, chosen, choose) {
  const mark = JSON.stringify([options, chosen]);
  if (target.dataset.mark === mark) return;
  target.dataset.mark = mark;
  const focused = [...target.children].findIndex((button) => button === document.activeElement);
  const pick = (name) => {
    choose(name);
    showActivity(state.data);
  };
  target.replaceChildren(
    ...options.map(([name, text]) => el("button", { type: "button", "aria-pressed": String(name === chosen), onclick: () => pick(name) }, text)),
  );
  target.children[focused]?.focus();
}

async function load(range) {
  state.historyMs = performance.now();
  try {
    const history = await requestJson(address("stats/history", { range }));
    if (rangeNow() !== range) return;
    Object.assign(state, { history, fault: "" });
  } catch (fault) {
    state.fault = `No history: ${fault.message}.`;
  }
  if (state.data) draw();
}

/** The steps of the range: {start: seconds since 1970, outcomes}; null while they are not loaded. */
function stepsNow() {
  const range = rangeNow();
  const steps = range in OF_MINUTES ? list(state.data?.stats?.minutes).slice(-OF_MINUTES[range]) : state.history?.range === range ? list(state.history.bars) : null;
  return steps?.map((step) => ({ start: Date.parse(step.minute ?? step.time) / 1000, outcomes: step.outcomes })) ?? null;
}

function draw() {
  if (!state.data) return;
  const range = rangeNow();
  const steps = stepsNow();
  const stepS = range in OF_MINUTES ? 60 : (state.history?.stepS ?? 600);
  if (steps === null) return chart.say(state.fault || "Loading …");
  const sums = steps.map((step) => byOutcome(step, state.reactor));
  const what = `${state.reactor === ALL ? "events" : `events of ${state.reactor}`} in the last ${PERIODS[range]}`;
  chart.show({ times: steps.map((step) => step.start), stepS, sums, what });
  showOutcomes(steps);
  if (find("numbers").open) showSteps(steps, sums, stepS);
}

/** A row per outcome that occurred, a column per source: the legend of the chart. */
function showOutcomes(steps) {
  const cells = {};
  for (const { outcomes } of steps) {
    for (const [reactor, sources] of Object.entries(outcomes ?? {})) {
      if (state.reactor !== ALL && reactor !== state.reactor) continue;
      for (const source of SOURCES) {
        for (const outcome of OUTCOMES) {
          const n = sources[source]?.[outcome];
          if (n > 0) (cells[outcome] ??= {})[source] = (cells[outcome][source] ?? 0) + n;
        }
      }
    }
  }
  const table = find("outcomes");
  const sources = SOURCES.filter((source) => Object.values(cells).some((counts) => counts[source]));
  if (table.tHead.dataset.sources !== sources.join()) {
    table.tHead.dataset.sources = sources.join();
    const head = (text) => el("th", { scope: "col", role: "columnheader", class: "number" }, text);
    const first = el("th", { scope: "col", role: "columnheader" }, "Outcome");
    table.tHead.replaceChildren(el("tr", { role: "row" }, first, head("All"), ...sources.map((source) => head(capital(source)))));
    table.tBodies[0].replaceChildren();
  }
  table.hidden = Object.keys(cells).length === 0;
  fillRows(table.tBodies[0], OUTCOMES.filter((outcome) => cells[outcome]), {
    id: (outcome) => outcome,
    cells: (outcome) => [
      { kind: "th", mark: outcome, make: () => el("span", {}, el("span", { class: `swatch outcome-${outcome}` }), outcome) },
      { ...number(totalOf(cells[outcome])), className: "number strong" },
      ...sources.map((source) => ({ ...number(cells[outcome][source] ?? 0), mark: cells[outcome][source] ? count(cells[outcome][source]) : "" })),
    ],
  });
}

function showSteps(steps, sums, stepS) {
  const rows = steps.map((step, index) => ({ start: step.start, sums: sums[index] })).filter((row) => totalOf(row.sums) > 0).reverse();
  fillRows(find("steps").tBodies[0], rows, {
    id: (row) => row.start,
    cells: (row) => {
      const date = new Date(row.start * 1000);
      const outcomes = OUTCOMES.filter((outcome) => row.sums[outcome]).map((outcome) => `${outcome} ${count(row.sums[outcome])}`);
      return [
        { kind: "th", mark: stepS < 3600 ? hourAndMinute(date) : `${dayOfMonth(date)}, ${hourAndMinute(date)}` },
        number(totalOf(row.sums)),
        words(outcomes.join(", ")),
      ];
    },
  });
}

function showSpeed(names, stats) {
  const rows = names.filter((name) => stats?.lagMs?.[name]?.count || stats?.latencyMs?.[name]?.count);
  find("speed").hidden = rows.length === 0;
  const cells = (percentiles, tone) =>
    ["p50", "p95", "p99"].map((field) => ({
      mark: milliseconds(percentiles?.[field]),
      className: `number ${tone(percentiles?.[field])}`,
    }));
  fillRows(find("speed").tBodies[0], rows, {
    id: (name) => name,
    cells: (name) => [
      { kind: "th", mark: capital(name) },
      ...cells(stats.lagMs?.[name], (lagMs) => `tone-${lagTone(lagMs)}`),
      ...cells(stats.latencyMs?.[name], () => ""),
      number(stats.latencyMs?.[name]?.count ?? 0),
    ],
  });
}
