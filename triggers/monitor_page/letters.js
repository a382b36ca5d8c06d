// Dead letters by reason: groups that open to their letters; replay and discard of a selection with progress and a report.

import { showLetter } from "./letter.js";
import { bytes, count, el, fill, fillRows, find, hidden, list, moment, number, plural, words } from "./format.js";
import { address, request, requestJson } from "./request.js";

/** Between two requests for the groups, which look at all letters. */
const GROUPS_EVERY_MS = 15_000;
const PAGE = 20;
const STEP = 50;
/** A step replays until 20 s have passed; one replay may take WORK_TIMEOUT_S (20 s by default). */
const ACTION_TIMEOUT_MS = 60_000;
const MOST_LISTED = 50;
const DONE = { replay: "Replayed", discard: "Discarded" };
const DOING = { replay: "Replaying", discard: "Discarding" };

const state = {
  groups: [],
  /** The number of all groups, of which `groups` are the largest. */
  total: 0,
  /** What the groups were read for: the filter, and the number and the newest of all letters. */
  mark: "",
  /** By performance.now(), as the clock of the machine may be set. */
  readMs: -Infinity,
  loading: null,
  loaded: false,
  filter: {},
  /** Ids of selected groups, and letters that are selected by themselves, by id. */
  selected: new Set(),
  letters: new Map(),
  /** {letters, cursor, all, fault} of each group that is open, by id. */
  open: new Map(),
  run: null,
};
let refresh;

const idOf = (group) => `${group.reactor}\n${group.reason}`;

export function startLetters(again) {
  refresh = again;
  find("dead-filter").addEventListener("submit", applyFilter);
  find("dead-all").addEventListener("change", selectAll);
  find("replay-selected").addEventListener("click", () => runOn("replay", selection()));
  find("discard-selected").addEventListener("click", () => discard(selection()));
  find("run-stop").addEventListener("click", () => state.run && (state.run.stopped = true));
  find("discard-no").addEventListener("click", () => find("discard").close("keep"));
  find("discard-yes").addEventListener("click", () => find("discard").close("discard"));
  document.addEventListener("forgotten", forget);
}

function forget() {
  if (state.run) Object.assign(state.run, { stopped: true, forgotten: true });
  Object.assign(state, { groups: [], total: 0, mark: "", readMs: -Infinity, loading: null, loaded: false, filter: {} });
  for (const kept of [state.selected, state.letters, state.open]) kept.clear();
  find("groups").replaceChildren();
  say("");
  report([]);
}

export function showLetters(data) {
  const totals = data.deadLetters?.totals ?? {};
  const waiting = data.retries?.waiting;
  find("dead-count").hidden = !totals.count;
  find("dead-count").textContent = count(totals.count);
  find("dead-note").textContent = [
    totals.count ? `${plural(totals.count, "letter")}, ${bytes(totals.bytes)}` : null,
    waiting ? `${plural(waiting, "key")} ${waiting === 1 ? "waits" : "wait"} for a retry` : "no retries waiting",
    totals.dropped ? `${plural(totals.dropped, "letter")} dropped for lack of room` : null,
  ].filter(Boolean).join(" · ");
  const reactors = list(data.reactors).map((reactor) => String(reactor?.name));
  fill(find("dead-reactor"), reactors.join(), () => [el("option", { value: "" }, "any"), ...reactors.map((name) => el("option", { value: name }, name))]);
  const newest = list(data.deadLetters?.letters)[0]?.id ?? "";
  const mark = JSON.stringify([state.filter, totals.count, newest]);
  if (totals.count === 0) {
    Object.assign(state, { groups: [], total: 0, mark, readMs: -Infinity, loaded: true });
    for (const kept of [state.selected, state.letters, state.open]) kept.clear();
  } else if (totals.count && mark !== state.mark && performance.now() - state.readMs >= GROUPS_EVERY_MS) loadGroups(mark);
  draw();
}

async function loadGroups(mark) {
  state.readMs = performance.now();
  const loading = (state.loading = {});
  try {
    const { groups, groupsTotal } = await requestJson(address("events/dead-groups", state.filter));
    if (state.loading !== loading) return;
    Object.assign(state, { groups: list(groups), total: groupsTotal, mark, loaded: true });
    const ids = new Set(state.groups.map(idOf));
    for (const id of state.selected) if (!ids.has(id)) state.selected.delete(id);
    for (const id of state.open.keys()) if (!ids.has(id)) state.open.delete(id);
    await Promise.all(state.groups.filter((group) => state.open.has(idOf(group))).map((group) => loadLetters(group)));
  } catch (fault) {
    if (state.loading === loading) say(`The groups cannot be loaded: ${fault.message}.`, "bad");
  }
  draw();
}

/** The first page of a group's letters again, or with `more` the next one. */
async function loadLetters(group, more = false) {
  const page = state.open.get(idOf(group)) ?? { letters: [], cursor: "" };
  const cursor = more ? page.cursor : "";
  const limit = more ? PAGE : Math.max(PAGE, page.letters.length);
  try {
    const filter = { ...state.filter, reactor: group.reactor, group: group.reason };
    const answer = await requestJson(address("events/dead", { ...filter, cursor, limit }));
    if (!state.open.has(idOf(group))) return;
    const before = more ? page.letters : [];
    state.open.set(idOf(group), { letters: [...before, ...list(answer.letters)], cursor: answer.nextCursor, fault: "" });
    if (!more) forgetGone(group);
  } catch (fault) {
    state.open.set(idOf(group), { ...page, fault: `The letters cannot be loaded: ${fault.message}.` });
  }
}

/** Letters of the group that were selected by themselves and are no longer there. */
function forgetGone(group) {
  const { letters, cursor } = state.open.get(idOf(group));
  const there = new Set(letters.map((letter) => letter.id));
  for (const [id, of] of state.letters) if (of === idOf(group) && !cursor && !there.has(id)) state.letters.delete(id);
}

function draw() {
  const filtered = Object.keys(state.filter).length > 0;
  find("dead-filter").hidden = state.groups.length === 0 && !filtered;
  find("dead-empty").hidden = state.groups.length > 0 || !state.loaded;
  find("dead-empty").textContent = filtered ? "No dead letter matches the filter." : "No dead letters.";
  find("dead-actions").hidden = state.groups.length === 0;
  const more = state.total > state.groups.length;
  find("groups-more").hidden = !more || state.groups.length === 0;
  find("groups-more").textContent = more ? `The ${count(state.groups.length)} largest of ${count(state.total)} groups. A filter shows others.` : "";
  const shown = new Map([...find("groups").children].map((item) => [item.dataset.id, item]));
  const items = state.groups.map((group) => drawGroup(group, shown.get(idOf(group))));
  for (const item of shown.values()) if (!items.includes(item)) item.remove();
  items.forEach((item, index) => find("groups").children[index] !== item && find("groups").insertBefore(item, find("groups").children[index] ?? null));
  drawSelection();
}

function drawGroup(group, existing) {
  const id = idOf(group);
  const item = existing ?? makeGroup(group);
  const [row, letters] = item.children;
  const chosen = [...state.letters.values()].filter((of) => of === id).length;
  const box = row.querySelector("input");
  box.checked = state.selected.has(id);
  box.indeterminate = !box.checked && chosen > 0;
  const open = state.open.get(id);
  row.querySelector("button").setAttribute("aria-expanded", String(Boolean(open)));
  row.querySelector(".size").textContent = count(group.count);
  const when = row.querySelector(".when");
  fill(when, `${group.oldest} ${group.newest}`, () => (group.count > 1 ? [moment(group.oldest), " – ", moment(group.newest)] : [moment(group.newest)]));
  letters.hidden = !open;
  if (open) drawLetters(group, open, letters);
  return item;
}

function makeGroup(group) {
  const box = el("input", { type: "checkbox", "aria-label": `Select all letters: ${group.reactor}, ${group.reason}`, onchange: (event) => selectGroup(group, event.target.checked) });
  const toggle = el("button", { type: "button", class: "toggle", onclick: () => toggleGroup(group) }, el("span", { class: "chevron", "aria-hidden": "true" }), el("span", { class: "size" }), el("span", { class: "badge quiet" }, String(group.reactor)), el("span", { class: "break" }, String(group.reason)));
  const row = el("div", { class: "group" }, box, toggle, el("span", { class: "when muted" }));
  return el("li", { "data-id": idOf(group) }, row, el("div", { class: "letters", hidden: true }));
}

async function toggleGroup(group) {
  const id = idOf(group);
  if (state.open.delete(id)) return draw();
  state.open.set(id, { letters: [], cursor: "", loading: true });
  draw();
  await loadLetters(group);
  draw();
}

const HEADS = ["Select", "Key", "Why", "Attempts", "Last failed", "Payload", "Actions"];

function drawLetters(group, open, place) {
  if (!place.firstChild) place.append(lettersTable(group), el("p", { class: "muted" }), el("button", { type: "button", onclick: () => moreLetters(group) }, "Show more", hidden(` letters: ${group.reason}`)));
  const [scroll, note, more] = place.children;
  scroll.hidden = open.letters.length === 0;
  note.textContent = open.fault || (open.loading ? "Loading …" : open.letters.length < group.count ? `newest ${count(open.letters.length)} of ${count(group.count)}` : "");
  more.hidden = !open.cursor;
  fillRows(scroll.firstChild.tBodies[0], open.letters, {
    id: (letter) => letter.id,
    cells: (letter) => [
      { mark: "select", className: "check", make: () => letterBox(group, letter) },
      { kind: "th", mark: letter.key, className: "code break", make: () => letterLink(letter) },
      words(String(letter.message || letter.error), "Why", "why"),
      number(letter.attempts, "Attempts"),
      { mark: letter.last, name: "Last failed", className: "nowrap", make: () => moment(letter.last) },
      words(letter.payloadKept ? bytes(letter.payloadBytes) : "not kept", "Payload", "number"),
      { mark: "actions", className: "actions", make: () => letterButtons(letter) },
    ],
  });
  for (const row of scroll.firstChild.tBodies[0].rows) {
    const box = row.querySelector("input");
    box.checked = state.selected.has(idOf(group)) || state.letters.has(row.dataset.id);
    box.disabled = state.selected.has(idOf(group));
  }
}

function lettersTable(group) {
  const heads = HEADS.map((text) => el("th", { scope: "col", role: "columnheader", class: ["Attempts", "Payload"].includes(text) ? "number" : "" }, ["Select", "Actions"].includes(text) ? hidden(text) : text));
  const head = el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...heads));
  const caption = el("caption", { class: "visually-hidden" }, `Letters of ${group.reactor}, ${group.reason}, newest first`);
  return el("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": `Letters: ${group.reason}` }, el("table", { class: "stacks", role: "table" }, caption, head, el("tbody", { role: "rowgroup" })));
}

async function moreLetters(group) {
  await loadLetters(group, true);
  draw();
}

const letterBox = (group, letter) =>
  el("input", { type: "checkbox", "aria-label": `Select ${letter.key}`, onchange: (event) => selectLetter(group, letter, event.target.checked) });

const handlers = { replay: (letter) => runOn("replay", [{ letter }]), discard: (letter) => discard([{ letter }]) };

const letterLink = (letter) => el("button", { type: "button", class: "link", onclick: () => showLetter(letter, handlers) }, String(letter.key));

function letterButtons(letter) {
  const button = (text, act) => el("button", { type: "button", onclick: () => act(letter) }, text, hidden(` ${letter.key}`));
  return el("span", { class: "buttons" }, button("Replay", handlers.replay), button("Discard", handlers.discard));
}

// Filter and selection

function applyFilter(event) {
  event.preventDefault();
  const [age, seconds] = find("dead-age").value.split("=");
  const filter = { reactor: find("dead-reactor").value, reason: find("dead-reason").value, match: find("dead-match").value, [age || "age"]: seconds };
  state.filter = Object.fromEntries(Object.entries(filter).filter(([, value]) => value));
  for (const kept of [state.selected, state.letters, state.open]) kept.clear();
  loadGroups("");
}

function selectAll(event) {
  state.letters.clear();
  state.selected = new Set(event.target.checked ? state.groups.map(idOf) : []);
  draw();
}

function selectGroup(group, chosen) {
  const id = idOf(group);
  for (const [letter, of] of state.letters) if (of === id) state.letters.delete(letter);
  if (chosen) state.selected.add(id);
  else state.selected.delete(id);
  draw();
}

function selectLetter(group, letter, chosen) {
  if (chosen) state.letters.set(letter.id, idOf(group));
  else state.letters.delete(letter.id);
  draw();
}

/** What is selected: {group} and {letter}, in the order of the page. */
function selection() {
  const letters = [...state.open.values()].flatMap((page) => page.letters).filter((letter) => state.letters.has(letter.id));
  return [...state.groups.filter((group) => state.selected.has(idOf(group))).map((group) => ({ group })), ...letters.map((letter) => ({ letter }))];
}

const sizeOf = (targets) => targets.reduce((sum, { group }) => sum + (group ? group.count : 1), 0);

function drawSelection() {
  const size = sizeOf(selection());
  const all = find("dead-all");
  all.checked = state.groups.length > 0 && state.selected.size === state.groups.length;
  all.indeterminate = !all.checked && size > 0;
  find("dead-selected").textContent = size ? `${plural(size, "letter")} selected` : "";
  for (const id of ["replay-selected", "discard-selected"]) find(id).disabled = size === 0 || state.run !== null;
}

// Replay and discard

function discard(targets) {
  const dialog = find("discard");
  const size = sizeOf(targets);
  find("discard-title").textContent = size === 1 ? "Discard this dead letter?" : `Discard ${count(size)} dead letters?`;
  find("discard-key").textContent = targets.map(({ group, letter }) => letter?.key ?? `${group.reactor}: ${group.reason}`).join("\n");
  dialog.returnValue = "";
  dialog.onclose = () => dialog.returnValue === "discard" && runOn("discard", targets);
  dialog.showModal();
}

/** Replays or discards the targets one after another, shows the progress, and then what happened. */
async function runOn(action, targets) {
  if (state.run || !targets.length) return;
  const lost = document.activeElement?.closest("#groups") !== null;
  const run = (state.run = { action, size: sizeOf(targets), results: [], stopped: false, fault: "" });
  say("");
  report([]);
  drawRun(run);
  drawSelection();
  try {
    for (const target of targets) if (!run.stopped) await (target.group ? runGroup(run, target.group) : runLetter(run, target.letter));
  } catch (fault) {
    run.fault = fault.message;
  }
  state.run = null;
  find("dead-run").hidden = true;
  if (run.forgotten) return draw();
  finish(run);
  Object.assign(state, { mark: "", readMs: -Infinity });
  for (const target of targets) if (target.letter) state.letters.delete(target.letter.id);
  await loadGroups("");
  if (lost && document.activeElement === document.body) find("dead-title").focus();
  refresh();
}

async function runGroup(run, group) {
  let cursor = null;
  do {
    const body = { ...numbers(state.filter), reactor: group.reactor, group: group.reason, limit: STEP, ...(cursor ? { cursor } : {}) };
    const answer = await requestJson(address(`events/dead-groups/${run.action}`), { method: "POST", body, timeoutMs: ACTION_TIMEOUT_MS });
    run.results.push(...list(answer.letters));
    cursor = answer.nextCursor;
    drawRun(run);
  } while (cursor && !run.stopped);
}

const numbers = (filter) => Object.fromEntries(Object.entries(filter).map(([name, value]) => [name, name.endsWith("S") ? Number(value) : value]));

async function runLetter(run, letter) {
  const answer = await request(address(`events/dead/${encodeURIComponent(letter.id)}/${run.action}`), { method: "POST", timeoutMs: ACTION_TIMEOUT_MS });
  const body = answer.status === 204 ? {} : await answer.json().catch(() => ({}));
  const key = letter.key;
  if (answer.status === 404) run.results.push({ key, removed: true, outcome: "already removed" });
  else if (!answer.ok) run.results.push({ key, removed: false, outcome: "failed", reason: body.error ?? `HTTP ${answer.status}` });
  else run.results.push({ key, removed: true, ...body });
  drawRun(run);
}

function drawRun(run) {
  find("dead-run").hidden = run.size < 2;
  find("run-progress").max = Math.max(run.size, run.results.length);
  find("run-progress").value = run.results.length;
  find("run-title").textContent = `${DOING[run.action]} ${count(run.results.length)} of ${count(run.size)}`;
}

/** One line on the whole run; what failed is listed. */
function finish(run) {
  const removed = run.results.filter((result) => result.removed).length;
  const stay = run.results.filter((result) => !result.removed);
  const only = run.size === 1 && run.results.length === 1 ? run.results[0] : null;
  const trouble = run.fault ? ` Ended early: ${run.fault}.` : run.stopped ? " Stopped." : "";
  const tone = run.fault ? "bad" : stay.length ? "warning" : "good";
  if (only) {
    const outcome = [only.outcome, only.reason ? `(${only.reason})` : ""].filter(Boolean).join(" ");
    return say(`${DONE[run.action]} ${only.key}: ${outcome ? `${outcome}; ` : ""}the letter ${only.removed ? "is removed" : "stays"}.${trouble}`, tone);
  }
  const by = new Map();
  for (const { outcome } of run.results) if (outcome) by.set(outcome, (by.get(outcome) ?? 0) + 1);
  const outcomes = [...by].map(([outcome, n]) => `${count(n)} ${outcome}`).join(", ");
  const ends = [removed ? `${count(removed)} removed` : "", stay.length ? `${count(stay.length)} ${stay.length === 1 ? "stays" : "stay"}` : ""].filter(Boolean).join(", ");
  say(`${DONE[run.action]} ${plural(run.results.length, "letter")}${outcomes ? `: ${outcomes}` : ""}; ${ends || "nothing changed"}.${trouble}`, tone);
  report(stay);
}

function report(results) {
  find("dead-report").hidden = results.length === 0;
  find("dead-report-title").textContent = `${plural(results.length, "letter")} that ${results.length === 1 ? "stays" : "stay"}`;
  const lines = results.slice(0, MOST_LISTED).map(({ key, outcome, reason }) => el("li", {}, el("span", { class: "code" }, String(key)), ` ${outcome}${reason ? `: ${reason}` : ""}`));
  find("dead-report-list").replaceChildren(...lines, ...(results.length > MOST_LISTED ? [el("li", {}, `and ${count(results.length - MOST_LISTED)} more`)] : []));
}

function say(text, tone = "") {
  const place = find("dead-result");
  place.className = `result ${tone}`;
  place.textContent = text;
}
