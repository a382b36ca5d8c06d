// Requests the app's data every 5 seconds and shows them; keeps the function key; the controls of the header.

import { showActivity, startActivity } from "./activity.js";
import { showCharts } from "./charts.js";
import { newestEffect, showFeed, startFeed } from "./feed.js";
import { age, el, find, timeOfDay } from "./format.js";
import { showInstances } from "./instances.js";
import { showKeys } from "./keyspace.js";
import { showLetters, startLetters } from "./letters.js";
import { startLookup } from "./lookup.js";
import { Refused, Unauthorised, access, address, requestJson } from "./request.js";
import { showSessions } from "./sessions.js";
import { showState } from "./state.js";
import { store, stored } from "./storage.js";
import { showSummary } from "./summary.js";

const REFRESH_MS = 5_000;
const LONGEST_WAIT_MS = 60_000;
const LATE_S = 20;
const STORED_KEY = "keyspace-functions-key";
const STORED_THEME = "keyspace-functions-theme";
const VALID_KEY = /^[\x21-\x7e]{1,512}$/;
const THEMES = ["auto", "light", "dark"];
const OF_DATA = ["figures", "parts", "pause", "forget"];
const NO_KEY = "The app does not accept this key. Check that it is a key of this app and complete.";

const state = { data: null, receivedMs: 0, failures: 0, paused: false, fault: null, nextMs: 0 };
let timer;
let pending = null;

// Refreshing

async function refresh() {
  clearTimeout(timer);
  if (!access.key || document.hidden) return;
  pending?.abort();
  const controller = (pending = new AbortController());
  try {
    const url = address("monitor/data", { effectsAfter: newestEffect() });
    const data = await requestJson(url, { signal: controller.signal });
    if (pending === controller) arrived(data);
  } catch (fault) {
    if (pending !== controller || fault instanceof Unauthorised) return; // a later request replaced this one
    failed(fault);
  }
  pending = null;
  schedule();
}

function schedule() {
  clearTimeout(timer);
  if (state.paused || document.hidden || !access.key) return;
  const wait = Math.min(REFRESH_MS * 2 ** state.failures, LONGEST_WAIT_MS);
  state.nextMs = Date.now() + wait;
  timer = setTimeout(refresh, wait);
  tick();
}

function arrived(data) {
  Object.assign(state, { data, receivedMs: Date.now(), fault: null, failures: 0 });
  store("sessionStorage", STORED_KEY, access.key);
  showData();
  show(data);
  showConnection();
}

/** Shows each part by itself, so that one that is missing or malformed does not affect the others. */
function show(data) {
  const parts = [showState, showSummary, showActivity, showLetters, showFeed, showSessions, showCharts, showInstances, showKeys];
  for (const part of parts) {
    try {
      part(data, refresh);
    } catch (error) {
      console.error(`${part.name} failed`, error);
    }
  }
  tick();
}

function failed(fault) {
  state.failures += 1;
  state.fault = { title: fault instanceof Refused ? "The app has no data" : "The app is away", reason: fault.message };
  showConnection();
  find("status").hidden = true; // outdated
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
  const updated = find("updated");
  const seconds = Math.max(0, Math.round((Date.now() - state.receivedMs) / 1000));
  updated.textContent = state.data ? `${state.paused ? "paused · " : ""}${timeOfDay(new Date(state.receivedMs))}, ${age(seconds)} old` : "";
  updated.classList.toggle("late", seconds > LATE_S);
  const next = find("next-try");
  if (next) next.textContent = state.paused ? "" : `Next try in ${age(Math.max(0, (state.nextMs - Date.now()) / 1000))}.`;
}

// The key

function showEntry(fault = "") {
  find("entry").hidden = false;
  for (const id of [...OF_DATA, "status"]) find(id).hidden = true;
  find("entry-fault").textContent = fault;
  document.title = "Monitor · Keyspace Functions";
  Object.assign(state, { data: null, fault: null });
  showConnection();
  tick();
  find("key").focus();
}

function showData() {
  if (!find("entry").hidden) {
    const entered = find("entry").contains(document.activeElement);
    find("entry").hidden = true;
    find("key").value = "";
    if (entered) find("content").focus();
  }
  for (const id of OF_DATA) find(id).hidden = false;
}

function forget(fault = "") {
  store("sessionStorage", STORED_KEY, null);
  clearTimeout(timer);
  pending?.abort();
  pending = null;
  access.key = "";
  state.failures = 0;
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close("");
  document.dispatchEvent(new Event("forgotten"));
  wipe();
  showEntry(fault);
}

/** Removes keys, users and payloads from the page: the next user of the tab may have another key, or none. */
function wipe() {
  for (const part of document.querySelectorAll("tbody, [data-mark], #summary, #letter-title, #letter-body, #discard-key")) {
    part.replaceChildren();
    delete part.dataset.mark;
  }
}

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
  access.key = key;
  refresh();
}

function enter(event) {
  event.preventDefault();
  const key = find("key").value.trim();
  const valid = VALID_KEY.test(key);
  find("entry-fault").textContent = valid ? "" : "Not a function key: it contains spaces or other invalid characters.";
  if (!valid) return;
  access.key = key;
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
}

function nextTheme() {
  const theme = THEMES[(THEMES.indexOf(find("theme").dataset.theme) + 1) % THEMES.length];
  store("localStorage", STORED_THEME, theme);
  setTheme(theme);
}

/** A part that a link names is scrolled to and gets the focus; the address stays as it is. */
function goTo(event) {
  const id = event.target.closest("a")?.hash.slice(1);
  if (!id) return;
  event.preventDefault();
  const part = find(id);
  part.scrollIntoView({ block: "start" });
  const heading = part.querySelector("h2");
  heading.tabIndex = -1;
  heading.focus({ preventScroll: true });
}

function start() {
  find("site").textContent = location.host;
  const theme = stored("localStorage", STORED_THEME);
  setTheme(THEMES.includes(theme) ? theme : "auto");
  find("theme").addEventListener("click", nextTheme);
  find("pause").addEventListener("click", pause);
  find("forget").addEventListener("click", () => forget());
  find("entry-form").addEventListener("submit", enter);
  for (const place of ["parts", "state"]) find(place).addEventListener("click", goTo);
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : state.paused || refresh()));
  addEventListener("hashchange", openLink);
  access.refused = () => forget(NO_KEY);
  for (const begin of [startActivity, startLetters, startFeed, startLookup]) begin(refresh);
  setInterval(tick, 1000);
  access.key = keyInAddress() || (stored("sessionStorage", STORED_KEY) ?? "");
  if (access.key) refresh();
  else showEntry();
}

start();
