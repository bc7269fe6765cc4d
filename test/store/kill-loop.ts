// Kills what writes, or what is written to, and looks for acknowledged writes that are lost:
//   npx tsx test/store/kill-loop.ts [--rounds 20] [--only sqlite|file|snapshot|postgres-client|postgres-server] [--seed N]
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
/** How often a snapshot is saved: the shortest that its URL may say. */
const EVERY_MS = 1_000;
/** Longer than one save takes, on a machine that does other things too. */
const SAVE_MS = 500;

/** What the store acknowledged. */
interface Acknowledged {
  items: Set<string>;
  generations: Map<string, number>;
  increments: Map<string, number>;
}

function noneAcknowledged(): Acknowledged {
  return { items: new Set(), generations: new Map(), increments: new Map() };
}

function acknowledge(acknowledged: Acknowledged, report: Report): void {
  if (report.done === "item") acknowledged.items.add(report.key);
  if (report.done === "slots") acknowledged.generations.set(report.writer, report.generation);
  if (report.done === "increment") acknowledged.increments.set(report.id, report.to);
}

function recorder(): { acknowledged: Acknowledged; record: (report: Report) => void; count: () => number } {
  const acknowledged = noneAcknowledged();
  let count = 0;
  const record = (report: Report) => {
    count += 1;
    acknowledge(acknowledged, report);
  };
  return { acknowledged, record, count: () => count };
}

/**
 * Opens the store and compares it with what was acknowledged; returns what is lost or wrong, in words. `found` is given
 * what is there.
 */
async function findLosses(
  url: string,
  { items, generations, increments }: Acknowledged,
  { whileWritten = false, found: present = noneAcknowledged() } = {},
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
    present.items = new Set(found.keys());
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
      present.generations.set(writer, generation);
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
    present.increments = new Map(ids.map((id, i) => [id, i + 1]));
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

/**
 * Rounds in which a process is killed that saves what is in its memory every so often. What it acknowledged before the last
 * interval has to be there, with what was there when it began; what came later may be lost, as a whole from some moment on.
 */
async function killSnapshots(url: string): Promise<number> {
  let reports: { at: number; report: Report }[] = [];
  const record = (report: Report) => void reports.push({ at: performance.now(), report });
  const random = randomFrom(seed);
  let [lost, all, kept] = [0, 0, 0];
  let before = noneAcknowledged();
  let next = startWriter(record);
  for (let round = 1; round <= rounds; round += 1) {
    const writer = await next;
    reports = [];
    const opens = round % 4 === 1;
    // Every second round, about when it is saved for the first or second time.
    const saves = EVERY_MS * (1 + Math.round(random())) + random() * 200 - 50;
    const later = EVERY_MS * (1.5 + 1.5 * random());
    const after = Math.round(opens ? random() * OPENS_MS : round % 2 === 0 ? saves : later);
    // What is in memory alone answers at once, and would let nothing else come to its turn.
    writer.send({ do: "write", url, seed: seed + round, name: `r${round}`, pauseMs: 2 });
    if (!opens) await untilWritten(() => reports.length, 0, writer);
    await pause(after);
    const killed = performance.now();
    writer.kill();
    await writer.ended;
    const written = reports;
    if (round < rounds) next = startWriter(record);
    const owed = structuredClone(before);
    const isOwed = ({ at }: { at: number }) => at < killed - EVERY_MS - SAVE_MS;
    for (const { report } of written.filter(isOwed)) acknowledge(owed, report);
    const found = noneAcknowledged();
    const losses = [...(await failureOf(writer)), ...(await findLosses(url, owed, { found }))];
    const counts = [written.length, written.filter(isOwed).length, found.items.size + found.increments.size];
    all += counts[0] ?? 0;
    kept += counts[1] ?? 0;
    const line = `killed after ${after} ms, ${counts[0]} writes acknowledged, ${counts[1]} before the last interval`;
    lost += tell(`snapshot round ${round}: ${line}, ${counts[2]} items and increments there`, losses);
    before = found;
  }
  return tell(`snapshot: ${rounds} kills, ${all} writes acknowledged, ${kept} before the last interval`, [], lost);
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

async function onSnapshot(): Promise<number> {
  if (!wanted("snapshot")) return 0;
  using folder = temporaryFolder();
  return await killSnapshots(`memory:?snapshot=${folder.path("memory.snapshot")}&every=${EVERY_MS / 1_000}`);
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

const KINDS = ["sqlite", "file", "snapshot", "postgres-client", "postgres-server"] as const;
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
const lost = (await Promise.all([onSqlite(), onFiles(), onSnapshot(), onPostgres()])).reduce((sum, each) => sum + each);
console.log(`kill loop: ${lost === 0 ? "none lost" : `LOST ${lost}`}, ${((Date.now() - started) / 1000).toFixed(0)} s`);
process.exitCode = lost === 0 ? 0 : 1;
