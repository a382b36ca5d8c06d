// From the page's document (GET /api/monitor/data) to what is on the screen. Each part is shown by itself, so that
// one that is missing or odd leaves the others alone.

import { age, bytes, count, el, figure, fillRows, hidden, list, milliseconds, moment, number, plural, rate, words } from "./format.js";
import { sparkline } from "./plots.js";
import { rateNow, reactorNames, renderReactor } from "./reactors.js";

const SEVERITIES = { error: 0, warning: 1, info: 2, ok: 3 };
const STALE_PART_S = 10;

const find = (id) => document.getElementById(id);

/** Shows all of it. `letters` are the dead letters on show, `actions` what their buttons do. */
export function render(data, letters, actions) {
  const parts = {
    health: () => renderHealth(data.health),
    summary: () => renderSummary(data),
    reactors: () => reactorNames(data).forEach((name) => renderReactor(name, data.stats, data.time)),
    dead: () => renderLetters(data, letters, actions),
    sessions: () => renderSessions(data.sessions),
    keys: () => renderKeys(data.keyspace),
    charts: () => renderCharts(data),
    doctor: () => renderDoctor(data.doctor),
  };
  for (const [name, show] of Object.entries(parts)) {
    try {
      show();
    } catch (fault) {
      console.error(`the part "${name}" could not be shown`, fault);
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
  const latency = worst(data.stats?.latency_ms);
  const lag = worst(data.stats?.lag_ms);
  const findings = list(data.doctor?.findings);
  const errors = findings.filter((one) => one.severity === "error").length;
  const warnings = findings.filter((one) => one.severity === "warning").length;
  const dead = data.deadLetters?.totals?.count;
  const keys = data.keyspace ? list(data.keyspace.namespaces).reduce((sum, one) => sum + one.count, 0) : null;
  const reading = list(data.stats?.minutes).length > 0;
  const tiles = [
    ["Events", reading ? rate(rates.reduce((sum, one) => sum + one, 0)) : "–", "last 2 min", ""],
    ["Latency p95", latency ? milliseconds(latency.p95) : "–", latency ? `${latency.name}, last hour` : "no events", ""],
    ["Lag p95", lag ? milliseconds(lag.p95) : "–", lag ? `${lag.name}, last hour` : "no effects", ""],
    ["Retries waiting", count(data.retries?.waiting), "", data.retries?.waiting ? "warning" : ""],
    ["Dead letters", count(dead), dead ? bytes(data.deadLetters.totals.bytes) : "", dead ? "bad" : ""],
    ["Sessions now", count(data.sessions?.live), "", ""],
    ["Keys", count(keys), keys === null ? "not counted yet" : `${data.keyspace.complete ? "" : "estimated "}${age(data.keyspace.age_s)} ago`, ""],
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

/** The reactor whose p95 is the worst, with its percentiles. */
function worst(byReactor) {
  const known = Object.entries(byReactor ?? {}).filter(([, one]) => one?.count > 0);
  known.sort(([, one], [, other]) => other.p95 - one.p95);
  return known.length ? { name: known[0][0], ...known[0][1] } : null;
}

// Dead letters

function renderLetters(data, letters, actions) {
  const totals = data.deadLetters?.totals ?? {};
  const waiting = data.retries?.waiting;
  const notes = [
    waiting ? `${plural(waiting, "key")} ${waiting === 1 ? "waits" : "wait"} for a retry` : "no retries waiting",
    letters.length < totals.count ? `newest ${count(letters.length)} of ${count(totals.count)} letters` : null,
    totals.dropped ? `${plural(totals.dropped, "letter")} dropped for want of room` : null,
  ];
  find("dead-note").textContent = notes.filter(Boolean).join(" · ");
  find("dead-empty").hidden = letters.length > 0;
  find("letters").hidden = letters.length === 0;
  fillRows(find("letters").tBodies[0], letters, {
    id: (letter) => letter.id,
    cells: (letter) => [
      { kind: "th", mark: letter.key, className: "code break", make: () => keyOf(letter) },
      { mark: `${letter.error}\n${letter.message}`, className: "why", make: () => reasonOf(letter), name: "Why" },
      number(letter.attempts, "Attempts"),
      { mark: letter.first, name: "First failed", className: "nowrap", make: () => moment(letter.first) },
      { mark: letter.last, name: "Last failed", className: "nowrap", make: () => moment(letter.last) },
      words(letter.payloadKept ? bytes(letter.payloadBytes) : "not kept", "Payload", "number"),
      { mark: "actions", className: "actions", make: () => buttonsOf(letter, actions) },
    ],
  });
}

const keyOf = (letter) => el("span", {}, String(letter.key), el("span", { class: "note" }, String(letter.reactor)));

const reasonOf = (letter) => el("span", {}, String(letter.message ?? ""), el("span", { class: "note" }, String(letter.error)));

function buttonsOf(letter, actions) {
  const button = (text, act) => el("button", { type: "button", onclick: (event) => act(letter, event.currentTarget) }, text, hidden(` ${letter.key}`));
  return el("span", { class: "buttons" }, button("Replay", actions.replay), button("Discard", actions.discard));
}

// Sessions, keys, charts, doctor

function renderSessions(sessions) {
  const live = sessions?.live;
  const unbounded = sessions?.unbounded;
  const note = typeof live === "number" ? `${count(live)} now` : "not known";
  find("sessions-note").textContent = unbounded ? `${note}, ${count(unbounded)} without an end` : note;
  renderExport(sessions?.export);
  const records = list(sessions?.audit);
  find("audit-empty").hidden = records.length > 0;
  find("audit").hidden = records.length === 0;
  const repeats = new Map(); // two records may look the same; a row needs an id of its own
  const rows = records.map((record) => {
    const looks = `${record.time} ${record.type} ${record.subject}`;
    repeats.set(looks, (repeats.get(looks) ?? 0) + 1);
    return { ...record, id: `${looks} ${repeats.get(looks)}` };
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

function renderExport(shipped) {
  const line = find("export");
  line.className = shipped?.error ? "fault" : "muted";
  if (!shipped) line.textContent = "";
  else if (shipped.error) line.textContent = `Export to storage fails: ${shipped.error}. ${plural(shipped.pending, "record")} wait in Redis.`;
  else {
    const last = typeof shipped.lastSuccessAge_s === "number" ? `last export ${age(shipped.lastSuccessAge_s)} ago` : "nothing exported yet";
    const place = typeof shipped.seq === "number" ? ` · record ${count(shipped.seq)} of its chain` : "";
    line.textContent = `Audit log: ${plural(shipped.pending, "record")} waiting · ${last}${place}`;
  }
}

function renderKeys(keyspace) {
  const rows = list(keyspace?.namespaces).filter((one) => one.count > 0).sort((one, other) => other.bytes - one.bytes);
  find("keys-empty").hidden = rows.length > 0;
  find("keys-empty").textContent = keyspace ? "Redis holds no keys." : "Not counted yet: keys are counted in the background, once a minute at the most.";
  find("namespaces").hidden = rows.length === 0;
  const part = keyspace?.complete === false ? " · estimated: there was no time to count all" : "";
  find("keys-note").textContent = keyspace ? `counted ${age(keyspace.age_s)} ago${part}` : "";
  const all = rows.reduce((sum, one) => sum + one.bytes, 0);
  fillRows(find("namespaces").tBodies[0], rows, {
    id: (one) => `${one.namespace} ${one.kind}`,
    cells: (one) => [
      { kind: "th", mark: one.namespace },
      words(one.kind ?? "–"),
      number(one.count),
      words(bytes(one.bytes), "", "number"),
      { mark: percent(one.bytes, all), className: "share", make: () => share(one.bytes, all) },
      { ...number(one.withoutTtl), className: one.withoutTtl ? "number strong" : "number" },
    ],
  });
}

const percent = (part, all) => (all > 0 ? `${figure((100 * part) / all)} %` : "–");

function share(part, all) {
  const bar = el("span", { class: "bar" });
  bar.style.width = `${all > 0 ? (100 * part) / all : 0}%`;
  return el("span", {}, el("span", { class: "track" }, bar), hidden(percent(part, all)));
}

function renderCharts(data) {
  const charts = list(data.charts);
  find("charts-empty").hidden = charts.length > 0;
  const counted = typeof data.charts_total === "number";
  find("charts-empty").textContent = counted ? "No chart caches: no chart was written in the last 10 minutes." : "Not looked at yet: caches are found as keys are counted.";
  find("caches").hidden = charts.length === 0;
  const stale = charts.filter((chart) => chart.stale).length;
  const shown = data.charts_total > charts.length ? `newest ${count(charts.length)} of ${count(data.charts_total)}` : count(charts.length);
  find("charts-note").textContent = charts.length ? `${shown}${stale ? ` · ${count(stale)} stale` : ""}` : "";
  fillRows(find("caches").tBodies[0], charts, {
    id: (chart) => `${chart.chartId}\n${chart.dataType}`,
    cells: (chart) => [
      { kind: "th", mark: chart.chartId, className: "break name" },
      words(chart.dataType, "", "break name"),
      words(age(chart.age_s), "", "number nowrap"),
      { mark: chart.stale ? "stale" : "fresh", make: () => el("span", { class: `badge ${chart.stale ? "warning" : "quiet"}` }, chart.stale ? "stale" : "fresh") },
      number(chart.points),
      { mark: list(chart.sparkline).join(), make: () => (list(chart.sparkline).length ? sparkline(chart.sparkline) : "–") },
    ],
  });
}

function renderDoctor(doctor) {
  const rank = (one) => SEVERITIES[one.severity] ?? 2;
  const findings = [...list(doctor?.findings)].sort((one, other) => rank(one) - rank(other));
  const open = findings.filter((one) => one.severity !== "ok");
  const well = findings.length - open.length;
  find("doctor-empty").hidden = open.length > 0;
  find("doctor-empty").textContent = doctor ? "Nothing to do: all checks are well." : "Not examined yet.";
  const late = doctor?.age_s > STALE_PART_S ? `examined ${age(doctor.age_s)} ago` : "examined just now";
  find("doctor-note").textContent = doctor ? [late, well ? `${plural(well, "check")} well` : null].filter(Boolean).join(" · ") : "";
  const mark = JSON.stringify(open);
  const target = find("findings");
  if (target.dataset.mark === mark) return;
  target.dataset.mark = mark;
  target.replaceChildren(...open.map(finding));
}

function finding(one) {
  const tone = { error: "bad", warning: "warning" }[one.severity] ?? "quiet";
  const part = (name, text) => (text ? el("p", {}, el("span", { class: "muted" }, `${name}: `), String(text)) : null);
  return el(
    "li",
    {},
    el("h3", {}, el("span", { class: `badge ${tone}` }, String(one.severity)), " ", String(one.found ?? one.title ?? one.id)),
    part("Why", one.why),
    part("Fix", one.fix),
    ...list(one.commands).map((command) => el("p", { class: "code" }, String(command))),
  );
}
