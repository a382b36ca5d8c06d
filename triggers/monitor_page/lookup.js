// What Redis and the app know of one key: facts, value, its latest effects, and what the reader makes of it.

import { explanationOf } from "./explanation.js";
import { age, count, el, find, list, milliseconds, moment } from "./format.js";
import { address, requestJson } from "./request.js";

const TIMEOUT_MS = 20_000;

let latest = null;

export function startLookup() {
  find("lookup-form").addEventListener("submit", (event) => {
    event.preventDefault();
    ask(find("lookup-key").value.trim());
  });
  document.addEventListener("forgotten", clear);
}

function clear() {
  latest = null;
  find("lookup-key").value = "";
  find("lookup-report").replaceChildren();
  say("");
}

/** Looks up a key as another part of the page shows it. */
export function lookUp(key) {
  find("lookup-key").value = key;
  find("lookup").scrollIntoView({ block: "start" });
  find("lookup-title").focus({ preventScroll: true });
  ask(key);
}

async function ask(key) {
  if (!key) return;
  const question = (latest = {});
  say("Looking it up …");
  try {
    // POST: a key may hold a token, which belongs in no address.
    const report = await requestJson(address("keys/show"), { method: "POST", body: { key }, timeoutMs: TIMEOUT_MS });
    if (latest !== question) return;
    say("");
    find("lookup-report").replaceChildren(...show(report));
  } catch (fault) {
    if (latest !== question) return;
    find("lookup-report").replaceChildren();
    say(`Not found: ${fault.message}.`, "bad");
  }
}

function say(text, tone = "") {
  find("lookup-result").className = `result ${tone}`;
  find("lookup-result").textContent = text;
}

function show(report) {
  const title = el("p", {}, el("span", { class: `badge ${report.exists ? "good" : "quiet"}` }, report.exists ? "exists" : "does not exist"), " ", el("span", { class: "code break" }, String(report.key)));
  const kind = { kind: report.kind, purpose: report.purpose, owner: report.owner, tableTtlS: report.tableTtlS };
  const parts = [part("Key", kind), part("In Redis", report.redis), part("Known to the app", report.app)];
  const explained = report.explanation ? [el("h3", {}, "How it is read"), ...explanationOf(report.explanation)] : [];
  const blocks = [[...valueOf(report.value), ...historyOf(report)], explained].filter((block) => block.length);
  const columns = (of, children) => el("div", { class: `columns ${of}` }, ...children);
  return [title, columns("three", parts.filter(Boolean)), columns("two", blocks.map((block) => el("div", { class: "block-of" }, ...block)))];
}

function part(title, facts) {
  const rows = Object.entries(facts ?? {}).filter(([, value]) => value !== null && value !== undefined);
  if (!rows.length) return null;
  return el("div", {}, el("h3", {}, title), el("dl", { class: "facts" }, ...rows.map(([name, value]) => el("div", {}, el("dt", {}, label(name)), el("dd", { class: "break" }, shown(name, value))))));
}

/** "ttlS" as "Ttl", "cacheUpdatedAt" as "Cache updated at". */
function label(name) {
  const text = name.replace(/(Ms|S)$/, "").replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`).replace(/\bttl\b/i, "TTL");
  return text[0].toUpperCase() + text.slice(1);
}

function shown(name, value) {
  if (typeof value === "number") return name.endsWith("Ms") ? milliseconds(value) : name.endsWith("S") ? age(value) : count(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  return Array.isArray(value) ? value.join("\n") : String(value);
}

function valueOf(value) {
  const lines = value?.text !== undefined ? [value.text] : list(value?.parts ?? value?.shape);
  if (!lines.length) return [];
  const title = value.masked ? "Value: its shape only, because it may hold secrets" : "Value";
  return [el("h3", {}, title), el("pre", { class: "code block" }, lines.join("\n"))];
}

function historyOf({ effects }) {
  const rows = list(effects);
  if (!rows.length) return [el("h3", {}, "Latest effects"), el("p", { class: "muted" }, "None among the last 200 effects of the app.")];
  return [
    el("h3", {}, "Latest effects"),
    el("ol", { class: "history" }, ...rows.map((effect) => el("li", {}, moment(effect.time), ` ${effect.outcome} on ${effect.operation} in ${milliseconds(effect.durationMs)}${effect.reason ? `: ${effect.reason}` : ""}`))),
  ];
}
