// Kills what writes, or what is written to, and looks for acknowledged writes that are lost:
//   npx tsx test/store/kill-loop.ts [--rounds 20] [--only sqlite|file|postgres-client|postgres-server] [--seed N]
// A kill leaves the pages of the operating system's cache, so this proves recovery, not fsync.

import { isDeepStrictEqual, parseArgs } from "node:util";
import pg from "pg";
import { z } from "zod";
import type { KeptRow } from "../../src/store/row-driver.ts";
import { temporaryFolder } from "../support/assistant.ts";
import { type PostgresServer, startPostgres } from "../support/postgres.ts";
import {
  itemOf,
  openWrittenStore,
  PLACES,
  type Report,
  randomFrom,
  SLOTS,
  type StoreWriter,
  startWriter,
  WRITERS,
} from "./store-writer.ts";

/** The longest that a process writes before the kill, in milliseconds. */
const WRITES_MS = 400;
/** In every fourth round the kill comes while the process opens the store, at the latest so many milliseconds in. */
const OPENS_MS = 100;

/** What the store acknowledged. */
interface Acknowledged {
  items: Set<string>;
  generations: Map<string, number>;
  increments: Map<string, number>;
}

function recorder(): { acknowledged: Acknowledged; record: (report: Report) => void; count: () => number } {
  const acknowledged: Acknowledged = { items: new Set(), generations: new Map(), increments: new Map() };
  let count = 0;
  const record = (report: Report) => {
    count += 1;
    if (report.done === "item") acknowledged.items.add(report.key);
    if (report.done === "slots") acknowledged.generations.set(report.writer, report.generation);
    if (report.done === "increment") acknowledged.increments.set(report.id, report.to);
  };
  return { acknowledged, record, count: () => count };
}

/** Opens the store and compares it with what was acknowledged; returns what is lost or wrong, in words. */
async function findLosses(
  url: string,
  { items, generations, increments }: Acknowledged,
  { whileWritten = false } = {},
): Promise<string[]> {
  const store = await openWrittenStore(url);
  try {
    const losses: string[] = [];
    const check = (holds: boolean, text: () => string) => {
      if (!holds) losses.push(text());
    };
    const rows: KeptRow[] = [];
    for await (const page of store.pages([PLACES.root])) rows.push(...page);
    const below = (namespace: string[]) =>
      new Map(rows.filter((row) => row.namespace.join() === namespace.join()).map((row) => [row.key, row]));

    const found = below(PLACES.items);
    for (const key of items) check(found.has(key), () => `item ${key} was acknowledged and is lost`);
    for (const [key, { value, fields }] of found) {
      check(
        isDeepStrictEqual(value, itemOf(key)) && fields.join() === "text",
        () => `item ${key} is not as it was put: ${JSON.stringify(value)}`,
      );
    }
    for (const writer of WRITERS) {
      const slots = below(PLACES.slots(writer));
      const of = (key: string) => generationSchema.parse(slots.get(key)?.value ?? { generation: 0 }).generation;
      const generation = of("slot-0");
      const expected = [...SLOTS.map(() => generation), generation % 2 === 1 ? generation : 0];
      const seen = [...SLOTS, "spare"].map(of);
      check(seen.join() === expected.join(), () => `batch of ${writer} is in pieces: generations ${seen}`);
      const last = generations.get(writer) ?? 0;
      check(generation >= last, () => `batch ${last} of ${writer} was acknowledged; found ${generation}`);
    }
    const log = below(PLACES.log);
    const n = counterSchema.parse(below(PLACES.counter).get("counter")?.value ?? { n: 0 }).n;
    check(log.size === n, () => `the counter is ${n} beside a log of ${log.size}`);
    const ids = Array.from({ length: log.size }, (_, i) => idSchema.parse(log.get(String(i + 1))?.value).id);
    const doubled = ids.filter((id, i) => ids.indexOf(id) !== i);
    check(doubled.length === 0, () => `increments are doubled: ${doubled}`);
    for (const [id, to] of increments) check(ids[to - 1] === id, () => `increment ${id} to ${to} is lost`);

    const health = await store.health();
    // Counted at another moment than the rows.
    const isSame = (a: number, b: number) => whileWritten || a === b;
    // The real server may have no pgvector, which is known and no loss.
    for (const { problem } of health.problems.filter((each) => !each.problem.startsWith("no vectors:"))) {
      losses.push(`health: ${problem}`);
    }
    const fields = rows.flatMap((row) => row.fields).length;
    check(isSame(health.items, rows.length), () => `health counts ${health.items} items of ${rows.length}`);
    check(
      isSame(health.vectors + health.unembedded, fields) && (health.vectors === 0 || health.unembedded === 0),
      () => `${fields} fields have ${health.vectors} vectors, and ${health.unembedded} wait for one`,
    );
    return losses;
  } finally {
    await store.stop();
  }
}

const generationSchema = z.object({ generation: z.number() });
const counterSchema = z.object({ n: z.number() });
const idSchema = z.object({ id: z.string() });

/** Rounds in which a process that writes is killed. `settle` waits until the store has seen that it is gone. */
async function killWriters(name: string, url: string, settle: () => Promise<unknown>): Promise<number> {
  const { acknowledged, record, count } = recorder();
  const random = randomFrom(seed);
  let lost = 0;
  let next = startWriter(record);
  for (let round = 1; round <= rounds; round += 1) {
    const writer = await next;
    const before = count();
    const opens = round % 4 === 1;
    const after = Math.round(random() * (opens ? OPENS_MS : WRITES_MS));
    writer.send({ do: "write", url, seed: seed + round, name: `r${round}` });
    if (!opens) await untilWritten(count, before, writer);
    await pause(after);
    writer.kill();
    // The next one starts while this one's traces are examined.
    if (round < rounds) next = startWriter(record);
    await writer.ended;
    await settle();
    const failure = await failureOf(writer);
    const losses = [...failure, ...(await findLosses(url, acknowledged))];
    lost += tell(`${name} round ${round}: killed after ${after} ms, ${count() - before} writes acknowledged`, losses);
  }
  return tell(`${name}: ${rounds} kills, ${count()} writes acknowledged`, [], lost);
}

/** A round without a write proves nothing. */
async function untilWritten(count: () => number, before: number, writer: StoreWriter): Promise<void> {
  let isGone = false;
  void writer.ended.then(() => {
    isGone = true;
  });
  while (count() === before && !isGone) await pause(2);
}

/** What a killed process said before its end, if that was a failure. */
async function failureOf(writer: StoreWriter): Promise<string[]> {
  const last = await writer.next();
  return last.done === "failed" && !last.error.includes("SIGKILL") ? [last.error] : [];
}

/** Rounds in which the server crashes under a process that goes on. */
async function killServer(server: PostgresServer): Promise<number> {
  const name = "postgres-server";
  const url = await server.createDatabase("killed_server");
  const { acknowledged, record, count } = recorder();
  const random = randomFrom(seed);
  const writer = await startWriter(record);
  writer.send({ do: "write", url, seed, name: "s" });
  let lost = 0;
  for (let round = 1; round <= rounds; round += 1) {
    const before = count();
    await untilWritten(count, before, writer);
    const after = Math.round(random() * WRITES_MS);
    await pause(after);
    await server.kill();
    const written = count() - before;
    await server.startServer();
    const losses = await findLosses(url, structuredClone(acknowledged), { whileWritten: true });
    lost += tell(`${name} round ${round}: crashed after ${after} ms, ${written} writes acknowledged`, losses);
  }
  writer.send({ do: "finish" });
  const end = await writer.next();
  const losses = end.done === "finished" ? [] : [`the client did not survive: ${JSON.stringify(end)}`];
  writer.kill();
  losses.push(...(await findLosses(url, acknowledged)));
  return tell(`${name}: ${rounds} crashes, ${count()} writes acknowledged`, losses, lost);
}

/** Prints one line with its losses, and returns how many there are, with those of before. */
function tell(line: string, losses: readonly string[], before = 0): number {
  const lost = losses.length + before;
  console.log(`${line}, ${lost === 0 ? "none lost" : `LOST ${lost}`}`);
  for (const loss of losses) console.log(`  ${loss}`);
  return lost;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits until the server has noticed that a killed client is gone, and ended its last statement. */
async function untilAlone(url: string): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  const others = "SELECT FROM pg_stat_activity WHERE application_name = 'mnemail' AND datname = current_database()";
  while ((await client.query(others)).rowCount !== 0) await pause(5);
  await client.end();
}

async function onSqlite(): Promise<number> {
  if (!wanted("sqlite")) return 0;
  using folder = temporaryFolder();
  return await killWriters("sqlite", `sqlite:${folder.path("memory.db")}`, async () => {});
}

async function onFiles(): Promise<number> {
  if (!wanted("file")) return 0;
  using folder = temporaryFolder();
  return await killWriters("file", `file:${folder.path("memory")}`, async () => {});
}

async function onPostgres(): Promise<number> {
  if (!wanted("postgres-client") && !wanted("postgres-server")) return 0;
  const server = await startPostgres();
  if (!server) return 0;
  try {
    let lost = 0;
    if (wanted("postgres-client")) {
      const url = await server.createDatabase("killed_client");
      lost += await killWriters("postgres-client", url, () => untilAlone(url));
    }
    return lost + (wanted("postgres-server") ? await killServer(server) : 0);
  } finally {
    await server.stop();
  }
}

const KINDS = ["sqlite", "file", "postgres-client", "postgres-server"] as const;
const parsed = parseArgs({
  options: { rounds: { type: "string" }, only: { type: "string" }, seed: { type: "string" } },
});
const { rounds, only, seed } = z
  .object({
    rounds: z.coerce.number().int().min(1).default(20),
    only: z.enum(KINDS).optional(),
    seed: z.coerce
      .number()
      .int()
      .default(() => Date.now() % 1_000_000),
  })
  .parse(parsed.values);
const wanted = (kind: (typeof KINDS)[number]) => only === undefined || only === kind;

console.log(`kill loop: ${rounds} rounds, seed ${seed}`);
const started = Date.now();
// The files and the server share nothing but the processor.
const lost = (await Promise.all([onSqlite(), onFiles(), onPostgres()])).reduce((sum, each) => sum + each);
console.log(`kill loop: ${lost === 0 ? "none lost" : `LOST ${lost}`}, ${((Date.now() - started) / 1000).toFixed(0)} s`);
process.exitCode = lost === 0 ? 0 : 1;
