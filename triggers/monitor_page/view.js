// Renders the page's document (GET /api/monitor/data). Each part is rendered by itself, so that a part that is missing or
// malformed does not affect the others.

import { age, bytes, count, el, figure, fillRows, hidden, list, milliseconds, moment, number, plural, rate, words } from "./format.js";
import { drawButton, renderSources, sourceOf, updateDrawing } from "./charts.js";
import { renderInstances } from "./instances.js";
import { sparkline } from "./plots.js";
import { rateNow, reactorNames, renderReactor } from "./reactors.js";

const SEVERITIES = { error: 0, warning: 1, info: 2, ok: 3 };
const STALE_PART_S = 10;

const find = (id) => document.getElementById(id);

/** Renders the whole document. `letters` are the dead letters to show, `actions` the handlers of their buttons. */
export function render(data, letters, actions) {
  const parts = {
    health: () => renderHealth(data.health),
    summary: () => renderSummary(data),
    reactors: () => reactorNames(data).forEach((name) => renderReactor(name, data.stats, data.time)),
    dead: () => renderLetters(data, letters, actions),
    sessions: () => renderSessions(data.sessions),
    keys: () => renderKeys(data.keyspace),
    charts: () => renderCharts(data, actions),
    instances: () => renderInstances(data.health),
    doctor: () => renderDoctor(data.doctor),
  };
  for (const [name, show] of Object.entries(parts)) {
    try {
      show();
    } catch (error) {
      console.error(`the part "${name}" could not be rendered`, error);
    }
  }
}

function renderHealth(health) {
  const status = health?.status ?? "unknown";
  const badge = find("status");
  badge.textContent = status;
  badge.className = `badge ${status === "ok" ? "good" : status === "degraded" ? "warning" : "bad"}`;
  badge.hidden = false;
  document.title = `${status} · Keyspace Functions`;
  const reasons = list(health?.reasons);
  find("reasons").hidden = status === "ok" || reasons.length === 0;
  find("reasons").className = `reasons ${status === "failed" ? "bad" : "warning"}`;
  find("reasons").querySelector("ul").replaceChildren(...reasons.map((reason) => el("li", {}, String(reason))));
}

function renderSummary(data) {
  const rates = reactorNames(data).map((name) => rateNow(name, data.stats, data.time));
  const latency = worst(data.stats?.latencyMs);
  const lag = worst(data.stats?.lagMs);
  const findings = list(data.doctor?.findings);
  const errors = findings.filter((finding) => finding.severity === "error").length;
  const warnings = findings.filter((finding) => finding.severity === "warning").length;
  const dead = data.deadLetters?.totals?.count;
  const keys = data.keyspace ? list(data.keyspace.namespaces).reduce((sum, kind) => sum + kind.count, 0) : null;
  const hasStatistics = list(data.stats?.minutes).length > 0;
  const tiles = [
    ["Events", hasStatistics ? rate(rates.reduce((sum, perSecond) => sum + perSecond, 0)) : "–", "last 2 min", ""],
    ["Latency p95", latency ? milliseconds(latency.p95) : "–", latency ? `${latency.name}, last hour` : "no events", ""],
    ["Lag p95", lag ? milliseconds(lag.p95) : "–", lag ? `${lag.name}, last hour` : "no effects", ""],
    ["Retries waiting", count(data.retries?.waiting), "", data.retries?.waiting ? "warning" : ""],
    ["Dead letters", count(dead), dead ? bytes(data.deadLetters.totals.bytes) : "", dead ? "bad" : ""],
    ["Sessions now", count(data.sessions?.live), "", ""],
    ["Keys", count(keys), keys === null ? "not counted yet" : `${data.keyspace.complete ? "" : "estimated "}${age(data.keyspace.ageS)} ago`, ""],
    ["Findings", count(errors + warnings), findingWords(errors, warnings), errors ? "bad" : warnings ? "warning" : ""],
  ];
  find("summary").replaceChildren(
    ...tiles.map(([name, value, note, tone]) =>
      el("div", { class: `tile ${tone}` }, el("dt", {}, name), el("dd", { class: "value" }, value), el("dd", { class: "muted" }, note || "\u00a0")),
    ),
  );
}

const findingWords = (errors, warnings) =>
  [errors ? plural(errors, "error") : null, warnings ? plural(warnings, "warning") : null].filter(Boolean).join(", ") || "none open";

/** The reactor with the highest p95, with its percentiles. */
function worst(byReactor) {
  const measured = Object.entries(byReactor ?? {}).filter(([, percentiles]) => percentiles?.count > 0);
  measured.sort(([, first], [, second]) => second.p95 - first.p95);
  return measured.length ? { name: measured[0][0], ...measured[0][1] } : null;
}

// Dead letters

function renderLetters(data, letters, actions) {
  const totals = data.deadLetters?.totals ?? {};
  const waiting = data.retries?.waiting;
  const notes = [
    waiting ? `${plural(waiting, "key")} ${waiting === 1 ? "waits" : "wait"} for a retry` : "no retries waiting",
    letters.length < totals.count ? `newest ${count(letters.length)} of ${count(totals.count)} letters` : null,
    totals.dropped ? `${plural(totals.dropped, "letter")} dropped for lack of room` : null,
  ];
  find("dead-note").textContent = notes.filter(Boolean).join(" · ");
  find("dead-empty").hidden = letters.length > 0;
  find("letters").hidden = letters.length === 0;
  fillRows(find("letters").tBodies[0], letters, {
    id: (letter) => letter.id,
    cells: (letter) => [
      { kind: "th", mark: letter.key, className: "code break", make: () => keyOf(letter) },
      { mark: `${letter.error}\n${letter.message}`, className: "why", make: () => reasonOf(letter, actions), name: "Why" },
      number(letter.attempts, "Attempts"),
      { mark: letter.first, name: "First failed", className: "nowrap", make: () => moment(letter.first) },
      { mark: letter.last, name: "Last failed", className: "nowrap", make: () => moment(letter.last) },
      words(letter.payloadKept ? bytes(letter.payloadBytes) : "not kept", "Payload", "number"),
      { mark: "actions", className: "actions", make: () => buttonsOf(letter, actions) },
    ],
  });
}

const keyOf = (letter) => el("span", {}, String(letter.key), el("span", { class: "note" }, String(letter.reactor)));

const reasonOf = (letter, actions) =>
  el("div", {}, String(letter.message ?? ""), el("span", { class: "note" }, String(letter.error)), explanationOf(letter, actions));

/** The explanation of an unreadable payload, requested whenever it is opened. */
function explanationOf(letter, actions) {
  if (letter.error !== "Rejected" || !letter.payloadKept) return null;
  const place = el("div", { class: "scroll explanation", tabindex: 0, role: "group", "aria-label": `Explanation of ${letter.key}` });
  const open = (event) => event.currentTarget.open && actions.explain(letter, place);
  return el("details", { ontoggle: open }, el("summary", {}, "Explanation", hidden(` of ${letter.key}`)), place);
}

function buttonsOf(letter, actions) {
  const button = (text, act) => el("button", { type: "button", onclick: (event) => act(letter, event.currentTarget) }, text, hidden(` ${letter.key}`));
  return el("span", { class: "buttons" }, button("Replay", actions.replay), button("Discard", actions.discard));
}

// Sessions, keys, charts, doctor

function renderSessions(sessions) {
  const live = sessions?.live;
  const unbounded = sessions?.unbounded;
  const note = typeof live === "number" ? `${count(live)} now` : "not known";
  find("sessions-note").textContent = unbounded ? `${note}, ${count(unbounded)} without an expiry` : note;
  renderExport(sessions?.export);
  const records = list(sessions?.audit);
  find("audit-empty").hidden = records.length > 0;
  find("audit").hidden = records.length === 0;
  const repeats = new Map(); // two records may look the same; each row needs a unique id
  const rows = records.map((record) => {
    const content = `${record.time} ${record.type} ${record.subject}`;
    repeats.set(content, (repeats.get(content) ?? 0) + 1);
    return { ...record, id: `${content} ${repeats.get(content)}` };
  });
  fillRows(find("audit").tBodies[0], rows, {
    id: (record) => record.id,
    cells: (record) => [
      { mark: record.time, make: () => moment(record.time), className: "nowrap" },
      words([String(record.type).replace(/^nextauth\.session\./, ""), record.reason].filter(Boolean).join(": ")),
      words(record.subject ?? "–", "", "code nowrap"),
      words(record.userId ?? "–", "", "break name"),
      words(record.detectedBy ?? "–"),
    ],
  });
}

function renderExport(auditExport) {
  const line = find("export");
  line.className = auditExport?.error ? "fault" : "muted";
  if (!auditExport) line.textContent = "";
  else if (auditExport.error) line.textContent = `Export to storage fails: ${auditExport.error}. ${plural(auditExport.pending, "record")} wait in Redis.`;
  else {
    const last = typeof auditExport.lastSuccessAgeS === "number" ? `last export ${age(auditExport.lastSuccessAgeS)} ago` : "no export yet";
    const place = typeof auditExport.seq === "number" ? ` · record ${count(auditExport.seq)} of its chain` : "";
    line.textContent = `Audit log: ${plural(auditExport.pending, "record")} waiting · ${last}${place}`;
  }
}

function renderKeys(keyspace) {
  const rows = list(keyspace?.namespaces).filter((kind) => kind.count > 0).sort((first, second) => second.bytes - first.bytes);
  find("keys-empty").hidden = rows.length > 0;
  find("keys-empty").textContent = keyspace ? "Redis holds no keys." : "Not counted yet: keys are counted in the background, once a minute at the most.";
  find("namespaces").hidden = rows.length === 0;
  const part = keyspace?.complete === false ? " · estimated: there was no time to count all" : "";
  find("keys-note").textContent = keyspace ? `counted ${age(keyspace.ageS)} ago${part}` : "";
  const all = rows.reduce((sum, kind) => sum + kind.bytes, 0);
  fillRows(find("namespaces").tBodies[0], rows, {
    id: (kind) => `${kind.namespace} ${kind.kind}`,
    cells: (kind) => [
      { kind: "th", mark: kind.namespace },
      words(kind.kind ?? "–"),
      number(kind.count),
      words(bytes(kind.bytes), "", "number"),
      { mark: percent(kind.bytes, all), className: "share", make: () => share(kind.bytes, all) },
      { ...number(kind.withoutTtl), className: kind.withoutTtl ? "number strong" : "number" },
    ],
  });
}

const percent = (part, all) => (all > 0 ? `${figure((100 * part) / all)} %` : "–");

function share(part, all) {
  const bar = el("span", { class: "bar" });
  bar.style.width = `${all > 0 ? (100 * part) / all : 0}%`;
  return el("span", {}, el("span", { class: "track" }, bar), hidden(percent(part, all)));
}

function renderCharts(data, actions) {
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
      { kind: "th", mark: chart.chartId, className: "break name" },
      words(chart.dataType, "", "break name"),
      words(age(chart.ageS), "", "number nowrap"),
      { mark: chart.stale ? "stale" : "fresh", make: () => el("span", { class: `badge ${chart.stale ? "warning" : "quiet"}` }, chart.stale ? "stale" : "fresh") },
      number(chart.points),
      { mark: list(chart.sparkline).join(), make: () => (list(chart.sparkline).length ? sparkline(chart.sparkline) : "–") },
      words(sourceOf(chart), "", chart.refresh?.error ? "fault" : ""),
      { mark: "draw", make: () => drawButton(chart, actions.draw) },
    ],
  });
}

function renderDoctor(doctor) {
  const rank = (item) => SEVERITIES[item.severity] ?? 2;
  const findings = [...list(doctor?.findings)].sort((first, second) => rank(first) - rank(second));
  const open = findings.filter((item) => item.severity !== "ok");
  const passed = findings.length - open.length;
  find("doctor-empty").hidden = open.length > 0;
  find("doctor-empty").textContent = doctor ? "Nothing to do: all checks passed." : "Not checked yet.";
  const late = doctor?.ageS > STALE_PART_S ? `checked ${age(doctor.ageS)} ago` : "checked just now";
  find("doctor-note").textContent = doctor ? [late, passed ? `${plural(passed, "check")} passed` : null].filter(Boolean).join(" · ") : "";
  const mark = JSON.stringify(open);
  const target = find("findings");
  if (target.dataset.mark === mark) return;
  target.dataset.mark = mark;
  target.replaceChildren(...open.map(findingItem));
}

function findingItem(finding) {
  const tone = { error: "bad", warning: "warning" }[finding.severity] ?? "quiet";
  const part = (name, text) => (text ? el("p", {}, el("span", { class: "muted" }, `${name}: `), String(text)) : null);
  return el(
    "li",
    {},
    el("h3", {}, el("span", { class: `badge ${tone}` }, String(finding.severity)), " ", String(finding.found ?? finding.title ?? finding.id)),
    part("Why", finding.why),
    part("Fix", finding.fix),
    ...list(finding.commands).map((command) => el("p", { class: "code" }, String(command))),
  );
}
