// The four figures that matter, each with the line of its last hour.

import { byOutcome, totalOf } from "./activity.js";
import { bytes, count, el, find, lagTone, list, milliseconds, plural } from "./format.js";
import { sparkline } from "./plots.js";

const FAILURES = ["rejected", "dead"];
export function showSummary(data) {
  const minutes = list(data.stats?.minutes);
  find("summary").replaceChildren(...[events(data, minutes), lag(data, minutes), failures(data, minutes), sessions(data, minutes)].map(tile));
}

function tile({ name, value, note, tone, line }) {
  const drawn = line?.some((point) => point > 0) ? sparkline(line, `${name} by minute in the last hour`, true) : null;
  return el(
    "li",
    { class: `tile ${tone ?? ""}` },
    el("p", { class: "name" }, name),
    el("p", { class: "value" }, value),
    el("p", { class: "muted" }, note || "\u00a0"),
    el("div", { class: "line" }, drawn),
  );
}

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

/** Events of the last 60 s: those of the current minute, and the part of the previous one that is in them. */
function lastMinute(counts, now) {
  const elapsedS = (Date.parse(now) / 1000) % 60;
  const [previous, current] = [counts.at(-2) ?? 0, counts.at(-1) ?? 0];
  return Math.round(current + previous * (1 - elapsedS / 60));
}

function events(data, minutes) {
  const counts = minutes.map((minute) => totalOf(byOutcome(minute)));
  if (!counts.length) return { name: "Events", value: "–" };
  return { name: "Events", value: count(lastMinute(counts, data.time)), note: `in the last minute · ${count(sum(counts))} in the last hour`, line: counts };
}

function lag(data, minutes) {
  const line = minutes.map((minute) => Math.max(0, ...Object.values(minute.lagMs ?? {}).map((values) => values.p99)));
  const worst = Object.entries(data.stats?.lagMs ?? {}).sort(([, first], [, second]) => second.p95 - first.p95)[0];
  const last = line.findLast((value) => value > 0);
  if (!worst) return { name: "Lag", value: "–", note: "no effects in the last hour" };
  const note = `95 % of ${worst[0]} in the last hour · slowest now ${milliseconds(last)}`;
  return { name: "Lag", value: milliseconds(worst[1].p95), note, tone: lagTone(worst[1].p95), line };
}

function failures(data, minutes) {
  const line = minutes.map((minute) => sum(FAILURES.map((outcome) => byOutcome(minute)[outcome] ?? 0)));
  const totals = data.deadLetters?.totals ?? {};
  const waiting = data.retries?.waiting;
  const notes = [
    waiting === undefined ? null : waiting ? `${plural(waiting, "retry", "retries")} waiting` : "no retries waiting",
    totals.count ? bytes(totals.bytes) : null,
  ];
  const tone = totals.count ? "bad" : waiting ? "warning" : "";
  return { name: "Dead letters", value: count(totals.count), note: notes.filter(Boolean).join(" · "), tone, line };
}

function sessions(data, minutes) {
  const line = minutes.map((minute) => totalOf(byOutcome(minute, "sessions")));
  const changes = sum(line);
  return { name: "Sessions now", value: count(data.sessions?.live), note: `${plural(changes, "change")} in the last hour`, line };
}
