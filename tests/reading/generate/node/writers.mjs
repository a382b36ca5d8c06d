// Writes one table through client libraries of Node; stdin: {redis_url, rows}; stdout: {key or name: base64 of bytes}.
// Keys that clients keep in Redis are read back by the caller.
import { createRequire } from "node:module";
import { gzipSync, deflateSync, brotliCompressSync } from "node:zlib";
import { readFileSync } from "node:fs";

const require = createRequire(`${process.cwd()}/package.json`);
const load = (name) => import(require.resolve(name)).then((module) => module.default && Object.keys(module).length === 1 ? module.default : module);
const { redis_url: redisUrl, rows } = JSON.parse(readFileSync(0, "utf8"));
const dated = rows.map((row) => ({ ...row, ts: new Date(row.ts) }));
const names = Object.keys(rows[0]);
const written = {};
const failures = {};
const put = (name, value) => { written[name] = Buffer.from(value).toString("base64"); };
const attempt = async (name, action) => {
  try { await action(); } catch (error) { failures[name] = String(error && error.message || error); }
};

await attempt("superjson", async () => {
  const superjson = (await load("superjson")).default ?? await load("superjson");
  put("superjson", superjson.stringify(dated));
  put("superjson object", superjson.stringify({ readings: dated, unit: undefined, tags: new Set(["a"]) }));
});
await attempt("devalue", async () => put("devalue", (await load("devalue")).stringify(dated)));
await attempt("flatted", async () => put("flatted", (await load("flatted")).stringify(rows)));
await attempt("papaparse", async () => {
  const papa = await load("papaparse");
  put("papaparse", (papa.default ?? papa).unparse(rows));
  put("papaparse fields and data", JSON.stringify({ fields: names, data: rows.map((row) => Object.values(row)) }));
  put("papaparse parse result", JSON.stringify((papa.default ?? papa).parse((papa.default ?? papa).unparse(rows), { header: true })));
});
await attempt("d3-dsv", async () => {
  const dsv = await load("d3-dsv");
  put("d3-dsv tsv", dsv.tsvFormat(dated));
  put("d3-dsv csv", dsv.csvFormat(dated));
});
await attempt("json-2-csv", async () => put("json-2-csv", (await load("json-2-csv")).json2csv(rows.map((row) => ({ ts: row.ts, data: { flow: row.flow, temp: row.temp } })))));
await attempt("csv-stringify", async () => {
  const { stringify } = require("csv-stringify/sync");
  put("csv-stringify", stringify(dated, { header: true, bom: true, delimiter: ";", cast: { date: (value) => value.toISOString() } }));
});
await attempt("msgpackr", async () => {
  const { pack, Packr } = await load("msgpackr");
  put("msgpackr", pack(dated));
  put("msgpackr records", new Packr().pack(rows));
});
await attempt("msgpack", async () => put("@msgpack/msgpack", (await load("@msgpack/msgpack")).encode({ rows: dated })));
await attempt("pako", async () => {
  const pako = await load("pako");
  put("pako deflate", (pako.default ?? pako).deflate(JSON.stringify(rows)));
  put("pako gzip base64", Buffer.from((pako.default ?? pako).gzip(JSON.stringify(rows))).toString("base64"));
});
await attempt("zlib", async () => {
  put("node gzip of Date rows", gzipSync(JSON.stringify(dated)));
  put("node deflate base64", deflateSync(JSON.stringify(rows)).toString("base64"));
  put("node brotli", brotliCompressSync(JSON.stringify(rows)));
  put("Buffer as JSON", JSON.stringify(Buffer.from(JSON.stringify(rows))));
});
await attempt("arquero", async () => {
  const arquero = await load("arquero");
  const frame = arquero.from(dated);
  put("arquero toJSON", frame.toJSON());
  put("arquero toJSON data only", frame.toJSON({ schema: false }));
  put("arquero toCSV", frame.toCSV());
});
await attempt("keyv", async () => {
  const { createKeyv } = await import(require.resolve("@keyv/redis"));
  const keyv = createKeyv(redisUrl, { namespace: "keyv" });
  await keyv.set("rows", rows, 60000);
  await keyv.set("object", { readings: rows });
  await keyv.disconnect();
  const plain = createKeyv(redisUrl, { namespace: "text" });
  await plain.set("json", JSON.stringify(rows), 60000);
  await plain.disconnect();
});
await attempt("cache-manager", async () => {
  const { createCache } = await import(require.resolve("cache-manager"));
  const { createKeyv } = await import(require.resolve("@keyv/redis"));
  const cache = createCache({ stores: [createKeyv(redisUrl, { namespace: "cm" })] });
  await cache.set("rows", { data: rows, fetchedAt: "2026-03-03T03:03:03.000Z" }, 60000);
  await cache.disconnect();
});
await attempt("ioredis", async () => {
  const ioredis = await import(require.resolve("ioredis"));
  const Redis = ioredis.Redis ?? ioredis.default;
  const client = new Redis(redisUrl);
  await client.set("io:string", JSON.stringify({ batchId: "b1", records: rows.map(({ ts, ...data }) => ({ timestamp: ts, data })) }));
  await client.hset("io:hash", { batchId: "b1", status: "done", count: rows.length, readings: JSON.stringify(rows) });
  await client.hset("io:flat", { ts: rows[0].ts, deviceId: "d-17", flow: rows[0].flow, temp: rows[0].temp });
  await client.rpush("io:list", ...rows.map((row) => JSON.stringify(row)));
  for (const row of rows) await client.xadd("io:stream", "*", "ts", row.ts, "flow", row.flow, "temp", row.temp);
  await client.quit();
});
await attempt("redis", async () => {
  const { createClient } = await import(require.resolve("redis"));
  const client = await createClient({ url: redisUrl }).connect();
  await client.hSet("node:hash", Object.fromEntries(rows.map((row) => [row.ts, JSON.stringify({ flow: row.flow, temp: row.temp })])));
  await client.rPush("node:list", rows.map((row) => JSON.stringify(row)).reverse());
  for (const row of rows) await client.xAdd("node:stream", "*", { payload: JSON.stringify(row) });
  for (const row of rows) for (const name of ["flow", "temp"]) await client.xAdd("node:long", `${Date.parse(row.ts)}-*`, { metric: name, value: String(row[name]) });
  await client.close();
});
await attempt("bullmq", async () => {
  const { Queue } = await import(require.resolve("bullmq"));
  const queue = new Queue("readings", { connection: { url: redisUrl }, prefix: "bull" });
  await queue.add("ingest", { readings: rows }, { jobId: "job-1" });
  await queue.close();
});
await attempt("@neshca/cache-handler", async () => {
  const next = createRequire(`${process.cwd()}/next/package.json`); // needs version 4 of redis
  const module = next("@neshca/cache-handler/redis-strings");
  const create = module.default ?? module;
  const { createClient } = next("redis");
  const client = await createClient({ url: redisUrl }).connect();
  const handler = await create({ client, keyPrefix: "next:" });
  await handler.set("fetch", {
    lastModified: Date.parse(rows[0].ts), tags: ["charts"], lifespan: null,
    value: { kind: "FETCH", revalidate: 300, data: { headers: { "content-type": "application/json" }, status: 200, url: "https://plant.example/api", body: Buffer.from(JSON.stringify({ data: rows })).toString("base64") } },
  });
  await handler.set("route", {
    lastModified: Date.parse(rows[0].ts), tags: [], lifespan: null,
    value: { kind: "ROUTE", status: 200, headers: { "content-type": "application/json" }, body: Buffer.from(JSON.stringify(rows)).toString("base64") },
  });
  await client.quit();
});

process.stdout.write(JSON.stringify({ written, failures }));
process.exit(0);
