// Keys and bytes of all kinds, as of the last census.

import { age, bytes, fillRows, find, list, meter, number, percent, words } from "./format.js";

export function showKeys({ keyspace }) {
  const rows = list(keyspace?.namespaces).filter((kind) => kind.count > 0).sort((first, second) => second.bytes - first.bytes);
  find("keys-empty").hidden = rows.length > 0;
  find("keys-empty").textContent = keyspace ? "Redis holds no keys." : "Not counted yet: keys are counted in the background, once a minute at the most.";
  find("namespaces").hidden = rows.length === 0;
  const part = keyspace?.complete === false ? " · estimated: there was no time to count all" : "";
  const total = rows.reduce((sum, kind) => sum + kind.count, 0);
  find("keys-note").textContent = keyspace ? `${number(total).mark} keys, counted ${age(keyspace.ageS)} ago${part}` : "";
  const all = rows.reduce((sum, kind) => sum + kind.bytes, 0);
  fillRows(find("namespaces").tBodies[0], rows, {
    id: (kind) => `${kind.namespace} ${kind.kind}`,
    cells: (kind) => [
      { kind: "th", mark: kind.namespace },
      words(kind.kind ?? "–"),
      number(kind.count),
      words(bytes(kind.bytes), "", "number"),
      { mark: percent(kind.bytes, all), className: "share", make: () => meter(kind.bytes, all) },
      { ...number(kind.withoutTtl), className: kind.withoutTtl ? "number strong" : "number zero" },
    ],
  });
}
