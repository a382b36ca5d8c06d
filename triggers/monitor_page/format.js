// Numbers, times and elements. Everything is inserted into the page as text: no markup is ever parsed.

const LOCALE = "en-GB";
const plain = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });
const significant = new Intl.NumberFormat(LOCALE, { maximumSignificantDigits: 3 });
const clock = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minuteClock = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(LOCALE, { day: "2-digit", month: "short" });
const NONE = "–";

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** An element with attributes and children; a child that is not a node becomes text. `onclick` etc. are listeners. */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export const find = (id) => document.getElementById(id);

export const hidden = (text) => el("span", { class: "visually-hidden" }, text);

/** A list of the page's document; empty where it is missing or null. */
export const list = (value) => (Array.isArray(value) ? value : []);

export const count = (value) => (isNumber(value) ? plain.format(value) : NONE);

export const plural = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

/** A number of any size with three significant digits. */
export function figure(value) {
  if (!isNumber(value)) return NONE;
  const size = Math.abs(value);
  return size !== 0 && (size >= 1e7 || size < 1e-3) ? value.toExponential(2) : significant.format(value);
}

export function bytes(value) {
  if (!isNumber(value)) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const step = value < 1024 ? 0 : Math.min(Math.floor(Math.log2(value) / 10), units.length - 1);
  return `${significant.format(value / 1024 ** step)}\u00a0${units[step]}`;
}

export function milliseconds(value) {
  if (!isNumber(value)) return NONE;
  return value < 1000 ? `${significant.format(value)}\u00a0ms` : `${significant.format(value / 1000)}\u00a0s`;
}

/** Effects come within milliseconds; what is noticed late is repaired within 30 s. */
const SLOW_MS = 1000;
const FAR_BEHIND_MS = 30_000;

/** What a lag means: good, behind, or further behind than the app promises. */
export function lagTone(lagMs) {
  if (!(lagMs >= 0)) return "";
  return lagMs < SLOW_MS ? "good" : lagMs < FAR_BEHIND_MS ? "warning" : "bad";
}

/** An age in seconds, in its two largest units. */
export function age(seconds) {
  if (!isNumber(seconds)) return NONE;
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole}\u00a0s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}\u00a0min`;
  if (whole < 86400) return `${Math.floor(whole / 3600)}\u00a0h ${Math.floor((whole % 3600) / 60)}\u00a0min`;
  return `${Math.floor(whole / 86400)}\u00a0d ${Math.floor((whole % 86400) / 3600)}\u00a0h`;
}

export const hourAndMinute = (date) => minuteClock.format(date);

export const dayOfMonth = (date) => day.format(date);

export const timeOfDay = (date) => clock.format(date);

/** A time in the reader's time zone, with the day where it is not today; UTC in the title. */
export function moment(iso) {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return el("span", {}, NONE);
  const today = date.toDateString() === new Date().toDateString();
  const utc = date.toISOString();
  const title = `${utc.slice(0, 10)} ${utc.slice(11, 19)} UTC`;
  return el("time", { datetime: utc, title }, today ? clock.format(date) : `${day.format(date)}, ${clock.format(date)}`);
}

export const percent = (part, all) => (all > 0 ? `${figure((100 * part) / all)}\u00a0%` : NONE);

/** A bar as long as the part of the whole, with its figure as text for screen readers. */
export function meter(part, all, text = percent(part, all)) {
  const bar = el("span", { class: "filled" });
  bar.style.width = `${all > 0 ? Math.min(100, (100 * part) / all) : 0}%`;
  return el("span", { class: "meter" }, el("span", { class: "track" }, bar), hidden(text));
}

/** The children of `target`, made anew only where `mark` differs, so that the focus and open details stay. */
export function fill(target, mark, children) {
  if (target.dataset.mark === mark) return;
  target.dataset.mark = mark;
  target.replaceChildren(...children());
}

/** Cells for fillRows. */
export const number = (value, name) => ({ mark: count(value), className: value ? "number" : "number zero", name });
export const words = (text, name, className) => ({ mark: text, className, name });

/** Updates the rows of a table body, by id. A cell whose text is unchanged stays, so buttons keep the focus. */
export function fillRows(body, items, { id, cells }) {
  const rowsById = new Map([...body.rows].map((row) => [row.dataset.id, row]));
  const rows = items.map((item) => {
    const row = rowsById.get(String(id(item))) ?? el("tr", { role: "row", "data-id": id(item) });
    cells(item).forEach((cell, index) => placeCell(row, index, cell));
    return row;
  });
  const kept = new Set(rows);
  for (const row of [...body.rows]) if (!kept.has(row)) row.remove();
  rows.forEach((row, index) => {
    if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] ?? null);
  });
}

function placeCell(row, index, { name, mark, make, kind = "td", className = "" }) {
  const old = row.cells[index];
  if (old && old.dataset.mark === String(mark)) return;
  const role = kind === "th" ? "rowheader" : "cell";
  const cell = el(kind, { class: className, role, "data-mark": mark, "data-name": name });
  if (kind === "th") cell.scope = "row";
  cell.append(make ? make() : String(mark));
  if (old) old.replaceWith(cell);
  else row.append(cell);
}
