// Requests to the app, with the function key in a header. Addresses are relative to this file, so the page works under any
// route prefix.

const API = new URL("../", import.meta.url);
const TIMEOUT_MS = 15_000;

/** The function key of this tab; empty for none. */
export const access = { key: "", refused: () => {} };

/** The app does not accept the key: the page asks for another one. */
export class Unauthorised extends Error {}
/** The app is up, and answers with a reason instead of data. */
export class Refused extends Error {}

export function address(path, parameters = {}) {
  const url = new URL(path, API);
  for (const [name, value] of Object.entries(parameters)) if (value) url.searchParams.set(name, value);
  return url;
}

/** An answer. Throws Unauthorised, or an Error whose text can be shown. */
export async function request(url, { timeoutMs = TIMEOUT_MS, body, signal, ...options } = {}) {
  const headers = { "x-functions-key": access.key, ...(body ? { "Content-Type": "application/json" } : {}) };
  const signals = [AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])];
  let answer;
  try {
    answer = await fetch(url, { ...options, body: body && JSON.stringify(body), headers, cache: "no-store", signal: AbortSignal.any(signals) });
  } catch (fault) {
    if (signal?.aborted) throw fault;
    throw new Error(fault.name === "TimeoutError" ? `no answer within ${timeoutMs / 1000} s` : "it cannot be reached");
  }
  if (answer.status === 401 || answer.status === 403) {
    access.refused();
    throw new Unauthorised("the app does not accept the key");
  }
  return answer;
}

/** The JSON of an answer. Throws what `request` throws, and Refused. */
export async function requestJson(url, options) {
  const answer = await request(url, options);
  const body = await answer.json().catch(() => null);
  if (!answer.ok) throw new Refused(`${body?.error ?? "no reason given"} (HTTP ${answer.status})`);
  if (body === null || typeof body !== "object") throw new Error("its answer cannot be read");
  return body;
}
