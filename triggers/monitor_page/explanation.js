// The explanation of a dead letter (GET /api/events/dead/{id}): what the reader made of its payload, and why.

import { count, el, list, plural } from "./format.js";

/** Fills `place` with the explanation of the letter that `load` requests; with the reason where there is none. */
export async function showExplanation(place, load) {
  place.replaceChildren("Loading …");
  try {
    render(place, (await load()).explanation);
  } catch (fault) {
    place.replaceChildren(`Loading failed: ${fault.message}.`);
  }
}

function render(place, explanation) {
  if (!explanation) return place.replaceChildren("No explanation: the payload is gone, or reading it takes too long.");
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
  return place.replaceChildren(...parts.filter(Boolean));
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
  return [el("p", { class: "muted" }, "To overrule it, INPUTS:"), el("p", { class: "code" }, entry)];
}
