// One dead letter in full: its facts, the beginning of its payload, and what the reader makes of it.

import { explanationOf } from "./explanation.js";
import { bytes, count, el, find, list, moment } from "./format.js";
import { address, requestJson } from "./request.js";

/** Opens the letter; `replay` and `discard` act on it, after it is closed. */
export async function showLetter(letter, { replay, discard }) {
  const dialog = find("letter");
  const body = find("letter-body");
  find("letter-title").textContent = letter.key;
  body.replaceChildren(factsOf(letter), el("p", { class: "muted" }, "Loading …"));
  find("letter-close").onclick = () => dialog.close("");
  find("letter-replay").onclick = () => dialog.close("replay");
  find("letter-discard").onclick = () => dialog.close("discard");
  dialog.returnValue = "";
  dialog.onclose = () => {
    if (dialog.returnValue === "replay") replay(letter);
    if (dialog.returnValue === "discard") discard(letter);
  };
  dialog.dataset.id = letter.id;
  dialog.showModal();
  let parts;
  try {
    const detail = await requestJson(address(`events/dead/${encodeURIComponent(letter.id)}`));
    parts = [...payloadOf(detail), el("h3", {}, "How it is read"), ...explanationOf(detail.explanation)];
  } catch (fault) {
    parts = [el("p", { class: "fault" }, `Loading failed: ${fault.message}.`)];
  }
  if (dialog.dataset.id === letter.id) body.replaceChildren(factsOf(letter), ...parts);
}

function factsOf(letter) {
  const fact = (name, ...value) => el("div", {}, el("dt", {}, name), el("dd", {}, ...value));
  return el(
    "dl",
    { class: "facts" },
    fact("Reactor", String(letter.reactor)),
    fact("Error", [letter.error, letter.message].filter(Boolean).join(": ")),
    fact("Attempts", count(letter.attempts)),
    fact("First failed", moment(letter.first)),
    fact("Last failed", moment(letter.last)),
    fact("Payload", letter.payloadKept ? bytes(letter.payloadBytes) : "not kept"),
    fact("Id", el("span", { class: "code break" }, String(letter.id))),
  );
}

/** The beginning of the payload, masked. */
function payloadOf({ payload }) {
  if (!payload) return [];
  const more = payload.moreParts ? `and ${count(payload.moreParts)} more` : payload.cut ? "the beginning" : "";
  return [el("h3", {}, `Payload, a ${payload.shape}`), ...list(payload.parts).map((part) => el("pre", { class: "code block" }, String(part))), el("p", { class: "muted" }, more)];
}
