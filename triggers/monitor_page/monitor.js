// Requests the app's data every 5 seconds and shows them; stores the function key; explains, replays and discards letters.
// Addresses are relative to this file, so the page works under any route prefix.

import { addressOf as chartAddress, openDrawing } from "./charts.js";
import { showExplanation } from "./explanation.js";
import { age, el, plural, timeOfDay } from "./format.js";
import { refit, repaint } from "./plots.js";
import { render } from "./view.js";

const DATA = new URL("data", import.meta.url);
const LETTERS = new URL("../events/dead", import.meta.url);
const REFRESH_MS = 5_000;
const LONGEST_WAIT_MS = 60_000;
const TIMEOUT_MS = 15_000;
/** A replay analyses the whole batch, which may take WORK_TIMEOUT_S (20 s by default). */
const ACTION_TIMEOUT_MS = 60_000;
const STORED_KEY = "keyspace-functions-key";
const STORED_THEME = "keyspace-functions-theme";
const VALID_KEY = /^[\x21-\x7e]{1,512}$/;
const THEMES = ["auto", "light", "dark"];

const find = (id) => document.getElementById(id);
const addressOf = (letter, action = "") => new URL(`dead/${encodeURIComponent(letter.id)}${action}`, LETTERS);

const state = {
  key: "",
  data: null,
  receivedMs: 0,
  failures: 0,
  paused: false,
  fault: null,
  nextMs: 0,
  /** Letters of later pages, loaded by "Show more"; cursor null: no further page. */
  more: [],
  cursor: undefined,
  /** Ids of removed letters, so that an older answer does not show them again. */
  gone: new Set(),
};
let timer;
let pendingRequest = null;

class Unauthorised extends Error {}
class Refused extends Error {}

/** A request with the key in its header. Throws Unauthorised, or an Error whose text can be shown. */
async function request(url, { timeoutMs = TIMEOUT_MS, ...options } = {}) {
  let answer;
  try {
    answer = await fetch(url, {
      ...options,
      headers: { "x-functions-key": state.key },
      cache: "no-store",
      signal: AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(options.signal ? [options.signal] : [])]),
    });
  } catch (fault) {
    if (options.signal?.aborted) throw fault;
    throw new Error(fault.name === "TimeoutError" ? `no answer within ${timeoutMs / 1000} s` : "it cannot be reached");
  }
  if (answer.status === 401 || answer.status === 403) throw new Unauthorised("the app does not accept the key");
  return answer;
}

/** The error of an answer without data: the app is up and gives a reason. */
async function refusal(answer) {
  const body = await answer.json().catch(() => null);
  return new Refused(`${body?.error ?? "no reason given"} (HTTP ${answer.status})`);
}

async function requestJson(url) {
  const answer = await request(url);
  if (!answer.ok) throw await refusal(answer);
  return answer.json();
}

// Refreshing

async function refresh() {
  clearTimeout(timer);
  if (!state.key || document.hidden) return;
  pendingRequest?.abort();
  const controller = (pendingRequest = new AbortController());
  try {
    const answer = await request(DATA, { signal: controller.signal });
    if (!answer.ok) throw await refusal(answer);
    const data = await answer.json().catch(() => null);
    if (data === null || typeof data !== "object") throw new Error("its answer cannot be read");
    if (pendingRequest === controller) arrived(data);
  } catch (fault) {
    if (pendingRequest !== controller) return; // a later request replaced this one
    if (fault instanceof Unauthorised) return refused();
    failed(fault);
  }
  pendingRequest = null;
  schedule();
}

function schedule() {
  clearTimeout(timer);
  if (state.paused || document.hidden || !state.key) return;
  const wait = Math.min(REFRESH_MS * 2 ** state.failures, LONGEST_WAIT_MS);
  state.nextMs = Date.now() + wait;
  timer = setTimeout(refresh, wait);
  tick();
}

function arrived(data) {
  state.data = data;
  state.receivedMs = Date.now();
  state.fault = null;
  state.failures = 0;
  sessionStorage.setItem(STORED_KEY, state.key);
  const first = find("figures").hidden;
  showFigures();
  show();
  showConnection();
  if (first) refit();
}

function failed(fault) {
  state.failures += 1;
  state.fault = { title: fault instanceof Refused ? "The app has no data" : "The app is away", reason: fault.message };
  showConnection();
  showFault();
}

/** The status in the header is outdated while the app is away: hide it. */
function showFault() {
  if (!state.fault) return;
  find("status").hidden = true;
  document.title = `${state.fault.title} · Keyspace Functions`;
}

/** Changes only when the state does, so that a screen reader does not announce every attempt. */
function showConnection() {
  const place = find("connection");
  const reason = state.fault?.reason ?? "";
  if (place.dataset.reason === reason) return;
  place.dataset.reason = reason;
  place.replaceChildren();
  if (!state.fault) return;
  const shown = state.data ? ` The data below are from ${timeOfDay(new Date(state.receivedMs))}.` : "";
  place.append(
    el(
      "div",
      { class: "away" },
      el("p", {}, el("strong", {}, state.fault.title), `: ${state.fault.reason}.${shown} `),
      el("span", { id: "next-try", class: "muted", "aria-hidden": "true" }),
      el("button", { type: "button", onclick: refresh }, "Try now"),
    ),
  );
}

function tick() {
  const seconds = Math.max(0, Math.round((Date.now() - state.receivedMs) / 1000));
  const updated = find("updated");
  if (state.data) {
    const how = state.paused ? "paused · " : "";
    updated.textContent = `${how}data of ${timeOfDay(new Date(state.receivedMs))}, ${age(seconds)} old`;
    updated.classList.toggle("late", seconds > 20);
  } else updated.textContent = "";
  const next = find("next-try");
  if (next) next.textContent = state.paused ? "" : `Next try in ${age(Math.max(0, (state.nextMs - Date.now()) / 1000))}.`;
}

// The page's content

function show() {
  render(state.data, shownLetters(), { replay, discard: askToDiscard, draw, explain: (letter, place) => showExplanation(place, () => requestJson(addressOf(letter))) });
  showFault();
  const page = state.data.deadLetters;
  const cursor = state.cursor === undefined ? page?.nextCursor : state.cursor;
  find("more-letters").hidden = !cursor;
  tick();
}

function shownLetters() {
  const first = Array.isArray(state.data.deadLetters?.letters) ? state.data.deadLetters.letters : [];
  const known = new Set(first.map((letter) => letter.id));
  return [...first, ...state.more.filter((letter) => !known.has(letter.id))].filter((letter) => !state.gone.has(letter.id));
}

async function moreLetters() {
  const url = new URL(LETTERS);
  url.searchParams.set("cursor", state.cursor ?? state.data.deadLetters.nextCursor);
  url.searchParams.set("limit", "50");
  try {
    const page = await requestJson(url);
    state.more.push(...page.letters);
    state.cursor = page.nextCursor;
    say(`${plural(page.letters.length, "more letter")} shown.`);
    show();
  } catch (fault) {
    if (fault instanceof Unauthorised) refused();
    else say(`Loading failed: ${fault.message}.`, "bad");
  }
}

const draw = (chart) => openDrawing(chart, { load: () => requestJson(chartAddress(chart)), post: () => refreshChart(chart) });

/** Has a chart fetched from its source. Returns what to say about it; throws nothing. */
async function refreshChart(chart) {
  try {
    const answer = await request(chartAddress(chart, "/refresh"), { method: "POST" });
    if (!answer.ok) throw await refusal(answer);
  } catch (fault) {
    if (fault instanceof Unauthorised) refused();
    return `Failed: ${fault.message}.`;
  }
  setTimeout(refresh, 1000);
  return "An instance fetches it now; the next update shows the result.";
}

// Replay and discard

function say(text, tone = "") {
  const place = find("dead-result");
  place.className = `result ${tone}`;
  place.textContent = text;
}

async function act(letter, button, action, done) {
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true"); // not `disabled`, which would lose the focus
  try {
    const answer = await request(addressOf(letter, `/${action}`), { method: "POST", timeoutMs: ACTION_TIMEOUT_MS });
    const body = answer.status === 204 ? {} : await answer.json().catch(() => ({}));
    if (answer.status === 404) {
      gone(letter, button);
      say(`${letter.key}: the letter was already removed.`);
    } else if (!answer.ok) say(`${letter.key}: failed: ${body.error ?? `HTTP ${answer.status}`}`, "bad");
    else done(body);
  } catch (fault) {
    if (fault instanceof Unauthorised) return refused();
    say(`${letter.key}: request sent, but ${fault.message}. The next update shows the result.`, "bad");
  } finally {
    button.removeAttribute("aria-disabled");
  }
  return refresh();
}

function replay(letter, button) {
  say(`Replaying ${letter.key} …`);
  return act(letter, button, "replay", (result) => {
    const why = result.reason ? ` (${result.reason})` : "";
    if (result.removed) gone(letter, button);
    const end = result.removed ? "the letter is removed" : "the letter stays";
    say(`Replayed ${letter.key}: ${result.outcome}${why}; ${end}.`, result.removed ? "good" : "warning");
  });
}

function askToDiscard(letter, button) {
  const dialog = find("discard");
  find("discard-key").textContent = letter.key;
  dialog.returnValue = "";
  dialog.onclose = () => {
    if (dialog.returnValue !== "discard") return;
    act(letter, button, "discard", () => {
      gone(letter, button);
      say(`Discarded ${letter.key}.`, "good");
    });
  };
  dialog.showModal();
}

/** Removes the letter from the page; the focus moves to the next letter, or to the heading. */
function gone(letter, button) {
  const row = button.closest("tr");
  const next = row?.nextElementSibling ?? row?.previousElementSibling;
  const lost = row?.contains(document.activeElement) || document.activeElement === document.body;
  state.gone.add(letter.id);
  setTimeout(() => state.gone.delete(letter.id), 2 * TIMEOUT_MS);
  show();
  if (lost) (next?.isConnected ? next.querySelector("button") : find("dead-title")).focus();
}

// The key

function showEntry(fault = "") {
  find("entry").hidden = false;
  for (const id of ["figures", "pause", "forget", "status"]) find(id).hidden = true;
  find("entry-fault").textContent = fault;
  document.title = "Monitor · Keyspace Functions";
  state.data = null;
  state.fault = null;
  showConnection();
  tick();
  find("key").focus();
}

function showFigures() {
  if (!find("entry").hidden) {
    const entered = find("entry").contains(document.activeElement);
    find("entry").hidden = true;
    find("key").value = "";
    if (entered) find("content").focus();
  }
  for (const id of ["figures", "pause", "forget"]) find(id).hidden = false;
}

function forget(fault = "") {
  sessionStorage.removeItem(STORED_KEY);
  clearTimeout(timer);
  pendingRequest?.abort();
  pendingRequest = null;
  Object.assign(state, { key: "", failures: 0, more: [], cursor: undefined });
  say("");
  showEntry(fault);
}

const refused = () => forget("The app does not accept this key. Check that it is a key of this app and complete.");

/** The key of a link that `./run` prints, `#key=...`, which is removed from the address and the history at once. */
function keyInAddress() {
  const key = new URLSearchParams(location.hash.slice(1)).get("key");
  if (key === null) return "";
  history.replaceState(null, "", location.pathname + location.search);
  return VALID_KEY.test(key) ? key : "";
}

/** A link that is opened in a tab that shows the page already. */
function openLink() {
  const key = keyInAddress();
  if (!key) return;
  state.key = key;
  refresh();
}

function enter(event) {
  event.preventDefault();
  const key = find("key").value.trim();
  if (!VALID_KEY.test(key)) {
    find("entry-fault").textContent = "Not a function key: it contains spaces or other invalid characters.";
    return;
  }
  find("entry-fault").textContent = "";
  state.key = key;
  refresh();
}

// Controls

function pause() {
  state.paused = !state.paused;
  find("pause").setAttribute("aria-pressed", String(state.paused));
  if (state.paused) clearTimeout(timer);
  else refresh();
  tick();
}

function setTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  find("theme").textContent = `Theme: ${theme}`;
  find("theme").dataset.theme = theme;
  repaint();
}

function nextTheme() {
  const theme = THEMES[(THEMES.indexOf(find("theme").dataset.theme) + 1) % THEMES.length];
  localStorage.setItem(STORED_THEME, theme);
  setTheme(theme);
}

function start() {
  find("site").textContent = location.host;
  const theme = localStorage.getItem(STORED_THEME);
  setTheme(THEMES.includes(theme) ? theme : "auto");
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  find("theme").addEventListener("click", nextTheme);
  find("pause").addEventListener("click", pause);
  find("forget").addEventListener("click", () => forget());
  find("entry-form").addEventListener("submit", enter);
  find("more-letters").addEventListener("click", moreLetters);
  find("discard-no").addEventListener("click", () => find("discard").close("keep"));
  find("discard-yes").addEventListener("click", () => find("discard").close("discard"));
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : state.paused || refresh()));
  addEventListener("hashchange", openLink);
  setInterval(tick, 1000);
  state.key = keyInAddress() || (sessionStorage.getItem(STORED_KEY) ?? "");
  if (state.key) refresh();
  else showEntry();
}

start();
