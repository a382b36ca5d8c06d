// Live sessions, the users that have most of them, the export of the audit log, and the latest records.

import { age, count, el, fill, fillRows, find, list, meter, moment, plural, words } from "./format.js";

/** Transitions that a security team wants to see. */
const SIGNALS = ["changed", "unbounded", "excess"];

export function showSessions({ sessions }) {
  const live = sessions?.live;
  const records = list(sessions?.audit).map((record) => ({ ...record, what: String(record.type).replace(/^nextauth\.session\./, "") }));
  const signals = records.filter((record) => SIGNALS.includes(record.what)).length;
  find("sessions-note").textContent = [
    typeof live === "number" ? `${count(live)} now` : "not known",
    sessions?.unbounded ? `${count(sessions.unbounded)} without an expiry` : null,
    signals ? `${plural(signals, "signal")} among the latest records` : null,
  ].filter(Boolean).join(" · ");
  showExport(sessions?.export);
  showUsers(sessions);
  find("audit-empty").hidden = records.length > 0;
  find("audit").hidden = records.length === 0;
  fillRows(find("audit").tBodies[0], numbered(records), {
    id: (record) => record.id,
    cells: (record) => [
      { mark: record.time, make: () => moment(record.time), className: "nowrap" },
      { mark: `${record.what} ${record.reason}`, make: () => transition(record) },
      words(record.subject ?? "–", "", "code nowrap"),
      words(record.userId ?? "–", "", "break name"),
      words(record.detectedBy ?? "–"),
    ],
  });
}

/** Two records may look the same; each row needs a unique id. */
function numbered(records) {
  const repeats = new Map();
  return records.map((record) => {
    const content = `${record.time} ${record.type} ${record.subject}`;
    repeats.set(content, (repeats.get(content) ?? 0) + 1);
    return { ...record, id: `${content} ${repeats.get(content)}` };
  });
}

function transition({ what, reason }) {
  const text = [what, reason].filter(Boolean).join(": ");
  return SIGNALS.includes(what) ? el("span", { class: "badge warning" }, text) : el("span", {}, text);
}

function showUsers(sessions) {
  const users = list(sessions?.users).slice(0, 8);
  find("users").hidden = users.length === 0;
  const most = Math.max(1, ...users.map((user) => user.sessions));
  fill(find("users"), JSON.stringify(users), () =>
    users.map(({ user, sessions: n }) => el("li", {}, el("span", { class: "break" }, String(user)), meter(n, most, ""), el("span", { class: "number" }, count(n)))),
  );
  const total = sessions?.usersTotal;
  find("users-note").textContent = users.length ? `Users with the most live sessions, of ${plural(total ?? users.length, "user")}; as of the last census.` : "";
}

function showExport(auditExport) {
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
