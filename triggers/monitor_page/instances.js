// The living instances with their shares, the lag of the triggers of the one that answers, and the pass of reconciliation.

import { age, count, el, fill, fillRows, figure, find, lagTone, list, meter, milliseconds, plural, words } from "./format.js";

const STATES = {
  starting: ["starting", "quiet"],
  trigger: ["hears", "good"],
  behind: ["far behind, listens itself", "warning"],
  ear: ["trigger deaf, listens itself", "warning"],
  deaf: ["trigger deaf, hears nothing", "bad"],
};

export function showInstances({ health }) {
  const instances = list(health?.instances);
  find("instances-empty").hidden = instances.length > 0;
  find("living").hidden = instances.length === 0;
  find("instances-note").textContent = instances.length ? plural(instances.length, "instance") : "";
  fillRows(find("living").tBodies[0], instances, {
    id: ({ instance }) => instance,
    cells: ({ instance, state, share, ageS }) => [
      { kind: "th", mark: String(instance), className: "break name" },
      { mark: state, make: () => stateOf(state) },
      { mark: `${share}`, className: "share", make: () => el("span", { class: "shared" }, meter(share, 1, ""), typeof share === "number" ? `${figure(100 * share)} %` : "–") },
      words(`${age(ageS)} ago`, "", "number nowrap"),
    ],
  });
  const lags = Object.entries(health?.trigger?.behindS ?? {}).map(([name, seconds]) => [name, milliseconds(1000 * seconds), lagTone(1000 * seconds)]);
  facts("lags", lags.length ? lags : [["Not known", "the instance that answers has no report of its triggers"]]);
  facts("pass", passFacts(health?.sweep));
}

function stateOf(state) {
  const [text, tone] = STATES[state] ?? [String(state), "quiet"];
  return el("span", { class: `badge ${tone}` }, text);
}

function passFacts(pass) {
  if (!pass) return [["Last pass", "none is complete yet"]];
  return [
    ["Last pass", `${age(pass.ageS)} ago, took ${age(pass.durationS)}`],
    ["Keys looked at", count(pass.seen)],
    ["Without effect until then", count(pass.found), pass.found ? "warning" : ""],
    ["Pass in progress", pass.seenSince ? `${plural(pass.seenSince, "key")} so far` : "none"],
  ];
}

function facts(id, rows) {
  fill(find(id), JSON.stringify(rows), () => rows.map(([name, value, tone]) => el("div", {}, el("dt", {}, name), el("dd", { class: tone ? `tone-${tone}` : "" }, value))));
}
