// The state of the app, and what needs attention, each with its fix: the reasons of its health and the doctor's findings.

import { age, el, fill, find, list, plural } from "./format.js";

const TONES = { ok: "good", degraded: "warning", failed: "bad" };
const TITLES = { ok: "Healthy", degraded: "Needs attention", failed: "Failed" };
const WORDS = {
  ok: "Events flow, and nothing waits for you.",
  degraded: "Events flow, and something needs attention before it becomes a loss.",
  failed: "Events cannot flow, or their effects cannot be written.",
};
const RANKS = { error: 0, warning: 1, info: 2 };
/** Where the page has more on a reason of the health, and what can be done about it there. */
const PLACES = [
  [/dead letter|retry/i, "dead", "look at the dead letters by reason, then replay or discard them"],
  [/trigger|deaf|heard|sweep|timers/i, "instances", "look at the instances and the last pass"],
  [/audit|storage/i, "sessions", "look at the export of the audit log"],
];
const COPIED_MS = 2000;
const LATE_S = 600;

export function showState(data) {
  const status = data.health?.status ?? "unknown";
  const badge = find("status");
  badge.textContent = status;
  badge.className = `badge ${TONES[status] ?? "quiet"}`;
  badge.hidden = false;
  document.title = `${status} · Keyspace Functions`;
  find("state").className = `panel state ${TONES[status] ?? "quiet"}`;
  find("state-title").textContent = TITLES[status] ?? "Health unknown";
  const open = list(data.doctor?.findings).filter((finding) => finding.severity in RANKS);
  open.sort((first, second) => RANKS[first.severity] - RANKS[second.severity]);
  const notes = open.filter((finding) => finding.severity === "info");
  const urgent = open.filter((finding) => finding.severity !== "info");
  find("state-words").textContent =
    status === "ok" && urgent.length ? `Events flow. ${plural(urgent.length, "finding")} of the doctor:` : (WORDS[status] ?? "");
  find("state-note").textContent = doctorNote(data.doctor);
  const reasons = status === "ok" ? [] : list(data.health?.reasons).map(String);
  fill(find("findings"), JSON.stringify([status, reasons, urgent]), () => [
    ...reasons.map((reason) => reasonItem(reason, status)),
    ...urgent.map(findingItem),
  ]);
  find("notes").hidden = notes.length === 0;
  find("notes-title").textContent = plural(notes.length, "note");
  fill(find("note-list"), JSON.stringify(notes), () => notes.map(findingItem));
}

function doctorNote(doctor) {
  if (!doctor) return "Not examined by the doctor yet.";
  const passed = list(doctor.findings).filter((finding) => finding.severity === "ok").length;
  return `${plural(passed, "check")} passed${doctor.ageS > LATE_S ? `, ${age(doctor.ageS)} ago` : ""}`;
}

function badgeOf(severity, text = severity) {
  return el("span", { class: `badge ${{ error: "bad", warning: "warning" }[severity] ?? "quiet"}` }, String(text));
}

function reasonItem(reason, status) {
  const place = PLACES.find(([words]) => words.test(reason));
  const next = place ? el("p", { class: "fix" }, el("span", { class: "muted" }, "Next: "), el("a", { href: `#${place[1]}` }, place[2])) : null;
  return el("li", { class: "finding" }, el("h3", {}, badgeOf(status === "failed" ? "error" : "warning", "health"), " ", reason), next);
}

function findingItem(finding) {
  const part = (name, text) => (text ? el("p", {}, el("span", { class: "muted" }, `${name}: `), String(text)) : null);
  return el(
    "li",
    { class: "finding" },
    el("h3", {}, badgeOf(finding.severity), " ", String(finding.found ?? finding.id)),
    part("Why", finding.why),
    el("div", { class: "fix" }, part("Fix", finding.fix), ...list(finding.commands).map(commandLine)),
  );
}

/** A command with a button that copies it. */
export function commandLine(command) {
  const copy = async (event) => {
    const button = event.currentTarget;
    button.firstChild.textContent = (await copied(String(command))) ? "Copied" : "Not copied";
    setTimeout(() => (button.firstChild.textContent = "Copy"), COPIED_MS);
  };
  const words = el("span", { class: "visually-hidden" }, ` the command ${command}`);
  return el("p", { class: "command" }, el("code", {}, String(command)), el("button", { type: "button", onclick: copy }, "Copy", words));
}

/** Without a secure context (plain HTTP of another machine) browsers have no clipboard API. */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = el("textarea", { class: "visually-hidden" });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
