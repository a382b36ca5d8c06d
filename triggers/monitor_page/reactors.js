// The panels of the reactors: plots of the last hour, and tables with the same numbers.

import { count, el, fillRows, hourAndMinute, list, milliseconds, number, plural, rate, words } from "./format.js";
import { OUTCOMES, eventsPlot, latencyPlot } from "./plots.js";

const SOURCES = ["event", "sweep", "retry", "schedule", "replay"];

const find = (id) => document.getElementById(id);
const panels = new Map();

/** {outcome: count} of one minute, over all sources. */
function byOutcome(minute, reactor) {
  const sums = {};
  for (const outcomes of Object.values(minute.outcomes?.[reactor] ?? {})) {
    for (const name of OUTCOMES) if (outcomes[name] > 0) sums[name] = (sums[name] ?? 0) + outcomes[name];
  }
  return sums;
}

const total = (sums) => Object.values(sums).reduce((sum, count) => sum + count, 0);

/** Seconds of a minute that have passed: the latest one is not over yet. At least 10, or one event would look like a peak. */
function elapsedSeconds(minute, now) {
  const elapsed = (new Date(now) - new Date(minute.minute)) / 1000;
  return Math.min(60, Math.max(elapsed, 10));
}

/** Names of the app's reactors, in the order of their panels. */
export const reactorNames = (data) => list(data.reactors).map((reactor) => String(reactor?.name));

/** Events per second over the previous and the current minute. */
export function rateNow(reactor, stats, now) {
  const recent = list(stats?.minutes).slice(-2);
  const seconds = recent.reduce((sum, minute) => sum + elapsedSeconds(minute, now), 0);
  return seconds ? recent.reduce((sum, minute) => sum + total(byOutcome(minute, reactor)), 0) / seconds : 0;
}

/** The panel of a reactor: outcomes and latency as plots and as tables. */
export function renderReactor(name, stats, now) {
  const panel = panels.get(name) ?? makePanel(name);
  const minutes = list(stats?.minutes);
  const sums = minutes.map((minute) => byOutcome(minute, name));
  const happened = sums.some((outcomes) => total(outcomes) > 0);
  panel.section.querySelector(".empty").hidden = happened;
  panel.section.querySelector(".drawn").hidden = !happened;
  panel.section.querySelector(".now").textContent = happened ? `${rate(rateNow(name, stats, now))} now` : "";
  if (!happened) return;
  panel.draw();
  const times = minutes.map((minute) => new Date(minute.minute) / 1000);
  drawEvents(panel, name, times, minutes, sums, now);
  drawLatency(panel, name, times, minutes);
  renderOutcomes(panel, name, minutes);
  renderPercentiles(panel, name, stats);
  panel.minutes = () => renderMinutes(panel, name, minutes, sums);
  if (panel.section.querySelector("details").open) panel.minutes();
}

function makePanel(name) {
  const section = find("reactor").content.firstElementChild.cloneNode(true);
  const title = name[0].toUpperCase() + name.slice(1);
  const heading = section.querySelector("h2");
  heading.textContent = title;
  heading.id = `reactor-${name}`;
  section.setAttribute("aria-labelledby", heading.id);
  section.dataset.reactor = name;
  const label = (part, text) => (section.querySelector(`${part} caption`).textContent = `${title}: ${text}`);
  label(".outcomes", "outcomes of the last hour by source");
  label(".percentiles", "latency and lag");
  label(".minutes", "events, outcomes and latency by minute, newest first");
  const [outcomes, minutes] = section.querySelectorAll("[role=group]");
  outcomes.setAttribute("aria-label", `${title}: outcomes`);
  minutes.setAttribute("aria-label", `${title}: numbers by minute`);
  find("reactors").append(section);
  const panel = { section, title, minutes: () => {} };
  const [eventsReadout, latencyReadout] = section.querySelectorAll(".readout");
  panel.draw = () => {
    panel.events ??= eventsPlot(section.querySelector(".events"), eventsReadout);
    panel.latency ??= latencyPlot(section.querySelector(".latency"), latencyReadout);
  };
  section.querySelector("details").addEventListener("toggle", () => panel.minutes());
  panels.set(name, panel);
  return panel;
}

function drawEvents(panel, name, times, minutes, sums, now) {
  const rates = {};
  for (const outcome of OUTCOMES) {
    rates[outcome] = sums.map((outcomes, index) => (outcomes[outcome] ?? 0) / elapsedSeconds(minutes[index], now));
  }
  const totals = times.map((_, index) => OUTCOMES.reduce((sum, outcome) => sum + rates[outcome][index], 0));
  const peak = totals.indexOf(Math.max(...totals));
  const words = `peak ${rate(totals[peak])} at ${hourAndMinute(new Date(times[peak] * 1000))}`;
  panel.events(times, rates, words);
  const all = plural(sums.reduce((sum, outcomes) => sum + total(outcomes), 0), "event");
  panel.section.querySelector(".events").setAttribute("aria-label", `${panel.title}: ${all} in the last hour, ${words}. The numbers are in the tables below.`);
}

function drawLatency(panel, name, times, minutes) {
  const of = (field) => minutes.map((minute) => (minute.latencyMs?.[name]?.count > 0 ? minute.latencyMs[name][field] : null));
  const [medians, p99s] = [of("p50"), of("p99")];
  const highest = Math.max(...p99s.filter((value) => value !== null));
  const words = Number.isFinite(highest) ? `solid: median, dashed: p99, highest ${milliseconds(highest)}` : "no latency measured";
  panel.latency(times, medians, p99s, words);
  panel.section.querySelector(".latency").setAttribute("aria-label", `${panel.title}: latency of the last hour, ${words}. The numbers are in the tables below.`);
}

/** A row per outcome, a column per source that occurred. Also the legend of the bars. */
function renderOutcomes(panel, name, minutes) {
  const cells = {};
  for (const minute of minutes) {
    for (const source of SOURCES) {
      for (const outcome of OUTCOMES) {
        const n = minute.outcomes?.[name]?.[source]?.[outcome];
        if (n > 0) (cells[outcome] ??= {})[source] = (cells[outcome]?.[source] ?? 0) + n;
      }
    }
  }
  const table = panel.section.querySelector(".outcomes");
  const sources = SOURCES.filter((source) => Object.values(cells).some((counts) => counts[source]));
  if (table.tHead.dataset.sources !== sources.join()) {
    table.tHead.dataset.sources = sources.join();
    const head = (text) => el("th", { scope: "col", role: "columnheader", class: "number" }, text);
    const first = el("th", { scope: "col", role: "columnheader" }, "Outcome");
    table.tHead.replaceChildren(el("tr", { role: "row" }, first, head("all"), ...sources.map(head)));
    table.tBodies[0].replaceChildren();
  }
  fillRows(table.tBodies[0], OUTCOMES, {
    id: (outcome) => outcome,
    cells: (outcome) => [
      { kind: "th", mark: outcome, make: () => el("span", {}, el("span", { class: `swatch outcome-${outcome}` }), outcome) },
      number(total(cells[outcome] ?? {})),
      ...sources.map((source) => number(cells[outcome]?.[source] ?? 0)),
    ],
  });
}

function renderPercentiles(panel, name, stats) {
  const rows = [
    ["Latency", stats.latencyMs?.[name]],
    ["Lag", stats.lagMs?.[name]],
  ];
  fillRows(panel.section.querySelector(".percentiles tbody"), rows, {
    id: ([name]) => name,
    cells: ([name, percentiles]) => [
      { kind: "th", mark: name },
      ...["p50", "p95", "p99"].map((field) => words(milliseconds(percentiles?.[field]), "", "number")),
      number(percentiles?.count ?? 0),
    ],
  });
}

function renderMinutes(panel, name, minutes, sums) {
  const rows = minutes.map((minute, index) => ({ minute, sums: sums[index] })).reverse();
  fillRows(panel.section.querySelector(".minutes tbody"), rows, {
    id: (row) => row.minute.minute,
    cells: (row) => {
      const latency = row.minute.latencyMs?.[name];
      const outcomes = OUTCOMES.filter((outcome) => row.sums[outcome]);
      return [
        { kind: "th", mark: hourAndMinute(new Date(row.minute.minute)) },
        number(total(row.sums)),
        words(outcomes.map((outcome) => `${outcome} ${count(row.sums[outcome])}`).join(", ") || "none"),
        words(milliseconds(latency?.count > 0 ? latency.p50 : null), "", "number"),
        words(milliseconds(latency?.count > 0 ? latency.p99 : null), "", "number"),
      ];
    },
  });
}
