// What the browser keeps for the page. A browser that refuses site data keeps nothing, and the page works without.

/** The stored text; null for none. */
export function stored(place, name) {
  try {
    return window[place].getItem(name);
  } catch {
    return null;
  }
}

/** Stores a text, or with null removes it. */
export function store(place, name, text) {
  try {
    if (text === null) window[place].removeItem(name);
    else window[place].setItem(name, text);
  } catch {
    // refused, or full
  }
}
