// The live feed: the last 200 effects of all instances. It comes with the page's data; Hold stops the list, not the page.

import { lookUp } from "./lookup.js";
import { count, el, fillRows, find, list, milliseconds, moment, plural, words } from "./format.js";

const KEPT = 200;
const FAILED = ["rejected", "retried", "dead"];

const state = { effects: [], held: null };

/** The id of the newest effect that the page has; empty for none. */
export const newestEffect = () => state.effects[0]?.id ?? "";

export function startFeed() {
  find("feed-filter").addEventListener("input", draw);
  find("feed-outcome").addEventListener("change", draw);
  find("feed-pause").addEventListener("click", hold);
  document.addEventListener("forgotten", () => Object.assign(state, { effects: [], held: null }));
}

export function showFeed({ effects }) {
  const known = new Set(state.effects.map((effect) => effect.id));
  state.effects = [...list(effects).filter((effect) => !known.has(effect.id)), ...state.effects].slice(0, KEPT);
  draw();
}

function hold() {
  state.held = state.held ? null : state.effects;
  find("feed-pause").setAttribute("aria-pressed", String(state.held !== null));
  draw();
}

function matches(effect) {
  if (find("feed-outcome").value && !FAILED.includes(effect.outcome)) return false;
  const text = find("feed-filter").value.trim().toLowerCase();
  return !text || [effect.key, effect.reactor, effect.operation, effect.outcome, effect.reason].some((part) => String(part ?? "").toLowerCase().includes(text));
}

function draw() {
  const all = state.held ?? state.effects;
  const effects = all.filter(matches);
  const heldIds = new Set(all.map((effect) => effect.id));
  const waiting = state.held ? state.effects.filter((effect) => !heldIds.has(effect.id)).length : 0;
  find("feed-empty").hidden = effects.length > 0;
  find("feed-empty").textContent = all.length ? "No effect matches the filter." : "No effects in the last day.";
  find("effects").hidden = effects.length === 0;
  find("feed-note").textContent = [
    effects.length < all.length ? `${count(effects.length)} of ${plural(all.length, "effect")}` : all.length ? `the last ${plural(all.length, "effect")}` : null,
    waiting ? `held, ${count(waiting)} new` : state.held ? "held" : null,
  ].filter(Boolean).join(" · ");
  fillRows(find("effects").tBodies[0], effects, {
    id: (effect) => effect.id,
    cells: (effect) => [
      { mark: effect.time, className: "nowrap", make: () => moment(effect.time) },
      { mark: effect.outcome, make: () => el("span", { class: "nowrap" }, el("span", { class: `swatch outcome-${effect.outcome}` }), String(effect.outcome)) },
      { kind: "th", mark: effect.key, className: "code break", make: () => el("button", { type: "button", class: "link", onclick: () => lookUp(effect.key) }, String(effect.key)) },
      words([effect.reactor, effect.operation].join(", "), "", "nowrap"),
      words(milliseconds(effect.durationMs), "", "number"),
      words(effect.reason ?? "", "", "break muted"),
    ],
  });
}
