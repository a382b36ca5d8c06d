// Renders the living instances, and how far the triggers of the one that answers are behind.

import { age, figure, fillRows, list, milliseconds, plural, words } from "./format.js";

const DEAF = ["deaf", "ear"];
const STATES = {
  starting: "starting",
  trigger: "hears",
  behind: "far behind, listens itself",
  ear: "trigger deaf, listens itself",
  deaf: "trigger deaf, hears nothing",
};

export function renderInstances(health) {
  const instances = list(health?.instances);
  const table = document.getElementById("living");
  document.getElementById("instances-empty").hidden = instances.length > 0;
  table.hidden = instances.length === 0;
  const lags = Object.entries(health?.trigger?.behindS ?? {}).map(([name, seconds]) => `${name} ${milliseconds(1000 * seconds)}`);
  document.getElementById("instances-note").textContent = [
    instances.length ? plural(instances.length, "instance") : null,
    lags.length ? `triggers of the one that answers are behind by: ${lags.join(", ")}` : null,
  ].filter(Boolean).join(" · ");
  fillRows(table.tBodies[0], instances, {
    id: (one) => one.instance,
    cells: (one) => [
      { kind: "th", mark: String(one.instance), className: "break name" },
      words(STATES[one.state] ?? String(one.state), "", DEAF.includes(one.state) ? "strong" : ""),
      words(typeof one.share === "number" ? `${figure(100 * one.share)} %` : "–", "", "number"),
      words(`${age(one.ageS)} ago`, "", "number nowrap"),
    ],
  });
}
