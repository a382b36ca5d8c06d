// What the reader makes of a payload, and why: of a dead letter, or of a key.

import { count, el, list, plural } from "./format.js";

/** The explanation as elements; what to say where there is none. */
export function explanationOf(explanation) {
  if (!explanation) return [el("p", { class: "muted" }, "No explanation: the payload is gone, is no batch or chart, or reading it takes too long.")];
  const left = Object.entries(explanation.rejected ?? {});
  const parts = [
    line("Now", explanation.outcome === "read" ? `read, ${plural(list(explanation.series).length, "series", "series")}` : `${explanation.outcome}: ${explanation.reason}`),
    line("Encoding", list(explanation.encoding).join(" > ")),
    line("Members", list(explanation.members).join(", ")),
    line("Table", explanation.path ? `${explanation.shape}, ${plural(explanation.rows, "row")} at ${explanation.path}` : ""),
    ...list(explanation.notes).map((note) => line("Note", note)),
    line("Axis", explanation.x),
    section("Columns", list(explanation.columns).map((column) => `${column.name}: ${column.role} (${column.reason})`)),
    section("Series", list(explanation.series).map(seriesText)),
    explanation.seriesOmitted ? line("Further series", count(explanation.seriesOmitted)) : null,
    section("Left out", left.map(([reason, number]) => `${count(number)} × ${reason}`)),
    section(explanation.path ? "Other tables" : "Tables", list(explanation.tables).map((table) => `${table.path}, ${plural(table.rows, "row")}: ${table.reason}`)),
    ...setting(explanation),
  ];
  return parts.filter(Boolean);
}

const line = (name, text) => (text ? el("p", {}, el("span", { class: "muted" }, `${name}: `), String(text)) : null);

const section = (name, texts) =>
  texts.length ? el("div", {}, el("p", { class: "muted" }, `${name}:`), el("ul", {}, ...texts.map((text) => el("li", {}, text)))) : null;

function seriesText(series) {
  const unit = series.unit ? ` [${series.unit}]` : "";
  const points = list(series.first).map(([at, value]) => `${at} = ${value}`);
  return `${series.name}${unit}: ${plural(series.count, "value")}; ${points.join(", ")}`;
}

/** The entry of the setting INPUTS that states the decisions. */
function setting({ inputs, glob }) {
  if (!inputs || !Object.keys(inputs).length) return [];
  const entry = JSON.stringify({ [glob || "<glob over keys>"]: inputs });
  return [el("p", { class: "muted" }, "To overrule it, INPUTS:"), el("p", { class: "code block" }, entry)];
}
