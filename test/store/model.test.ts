import type { Item } from "@langchain/langgraph-checkpoint";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { openFileDriver } from "../../src/store/key-value/file.ts";
import { createKeyValueDriver } from "../../src/store/key-value/key-value-driver.ts";
import { mapKeyValue } from "../../src/store/key-value/map.ts";
import { openRedisDriver } from "../../src/store/key-value/redis.ts";
import { openS3Driver } from "../../src/store/key-value/s3.ts";
import { MnemailStore } from "../../src/store/mnemail-store.ts";
import { openPostgresDriver } from "../../src/store/postgres-driver.ts";
import { isBelow, type KeptRow, type RowDriver } from "../../src/store/row-driver.ts";
import { openSqliteDriver } from "../../src/store/sqlite-driver.ts";
import { temporaryFolder } from "../support/assistant.ts";
import { startPglite, type TestDatabase } from "../support/postgres.ts";
import { startRedis } from "../support/redis.ts";
import { startLoopbackS3 } from "../support/s3.ts";
import { indexOf } from "./conformance/describe-store.ts";

type Value = Record<string, unknown>;
interface Stored {
  namespace: string[];
  key: string;
  value: Value;
  isExpired: boolean;
  /** The text of its vector; undefined when it has none. */
  text: string | undefined;
  /** Whether it keeps the time of creation that a restore gave it. */
  isOld: boolean;
  hasTtl: boolean;
}
/** What a store is to hold, in a few lines: a map. */
type Model = Map<string, Stored>;

const PAST = new Date("2026-01-01T00:00:00.000Z");
const label = fc.constantFrom("u", "u1", "u10", "é", "a%", "a_", "A");
/** Mostly one of a few, so that steps meet on the same items. */
const namespace = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(["u"], ["u1"], ["u1", "a%"], ["u10", "a_"]).map((labels) => [...labels]) },
  { weight: 1, arbitrary: fc.array(label, { minLength: 1, maxLength: 3 }) },
);
const key = fc.constantFrom("k1", "k1", "k1", "k'3", "😀");
const text = fc.constantFrom("turbine", "violin concerto", "lunch menu", "");
const value = fc.record({ n: fc.integer({ min: 0, max: 3 }), text, more: fc.jsonValue({ maxDepth: 1 }) });
const item = { namespace, key, value: value.map((each): Value => storable(each)) };
const often = (usual: boolean) => fc.constantFrom(usual, usual, usual, !usual);
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant("put" as const), ...item, isIndexed: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("delete" as const), namespace, key }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("putWithTtl" as const), ...item }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant("putIf" as const),
      puts: fc.uniqueArray(fc.record({ ...item, isDelete: often(false), isFresh: often(true) }), {
        minLength: 1,
        maxLength: 3,
        selector: (put) => addressOf(put),
      }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant("batch" as const),
      writes: fc.array(fc.record({ ...item, isDelete: often(false), isIndexed: fc.boolean() }), { maxLength: 4 }),
      namespace,
      key,
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("restore" as const), ...item, isExpired: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("drop" as const), namespace }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("sweep" as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("reopen" as const) }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("look" as const), namespace, query: text, n: fc.nat(3) }) },
);
type Step = { handle: 0 | 1 } & (typeof step extends fc.Arbitrary<infer T> ? T : never);
const history = fc.array(
  fc.tuple(step, fc.constantFrom(0 as const, 1 as const)).map(([each, handle]): Step => ({ ...each, handle })),
  { maxLength: 12, size: "max" },
);

/** JSON that every store takes. */
function storable(each: unknown): Value {
  return JSON.parse(JSON.stringify(each).replace(/\\u(0000|d[89a-f]..)/gi, ""));
}

function addressOf(at: { namespace: string[]; key: string }): string {
  return JSON.stringify([at.namespace, at.key]);
}

/** Two handles on one data, run through a history; each looks at what both did. */
async function follow(steps: readonly Step[], openDriver: () => Promise<RowDriver>): Promise<void> {
  const model: Model = new Map();
  const index = { ...indexOf(), fields: ["text"] };
  const open = async () => MnemailStore.open(await openDriver(), { index });
  const handles = [await open(), await open()];
  try {
    for (const each of steps) {
      const store = handles[each.handle];
      if (each.type === "reopen") {
        await store?.stop();
        handles[each.handle] = await open();
      } else if (store) await apply(each, store, model);
    }
    for (const store of handles) {
      await look({ namespace: [], query: "turbine", n: 0 }, store, model);
      await look({ namespace: [], query: "", n: 0 }, store, model);
      const all = [...model.values()];
      const vectors = all.filter(({ text }) => text !== undefined).length;
      const expired = all.filter(({ isExpired }) => isExpired).length;
      expect(await store.health()).toMatchObject({ items: all.length, vectors, expired, unembedded: 0, problems: [] });
    }
  } finally {
    for (const store of handles) await store.stop();
  }
}

async function apply(each: Exclude<Step, { type: "reopen" }>, store: MnemailStore, model: Model): Promise<void> {
  switch (each.type) {
    case "put": {
      const { isIndexed, ...put } = each;
      await store.put(put.namespace, put.key, put.value, isIndexed ? ["text"] : false);
      keep(model, put, isIndexed);
      break;
    }
    case "delete":
      await store.delete(each.namespace, each.key);
      model.delete(addressOf(each));
      break;
    case "putWithTtl":
      await store.putWithTtl(each.namespace, each.key, each.value, 5, ["text"]);
      keep(model, each, true);
      setOf(model, each).hasTtl = true;
      break;
    case "putIf": {
      const puts = each.puts.map(({ isDelete, isFresh, value, ...at }) => ({
        ...{ ...at, value: isDelete ? null : value },
        expected: isFresh ? (liveAt(model, at)?.value ?? null) : { n: "never" },
      }));
      const holds = each.puts.every(({ isFresh }) => isFresh);
      expect(await store.putIf(puts)).toBe(holds);
      for (const put of holds ? each.puts : []) {
        if (put.isDelete) model.delete(addressOf(put));
        else keep(model, put, true);
      }
      break;
    }
    case "batch": {
      const { namespace, key } = each;
      const writes = each.writes.map(({ isDelete, isIndexed, value, ...at }) => ({
        ...{ ...at, value: isDelete ? null : value },
        index: isIndexed ? ["text"] : (false as const),
      }));
      // The reads stand last, and see what was there before the writes.
      const results: unknown[] = await store.batch([...writes, { namespace, key }, { namespacePrefix: namespace }]);
      const [got, found] = results.slice(-2);
      const before = liveAt(model, each);
      if (before) expect(got).toMatchObject({ namespace, key, value: before.value });
      else expect(got).toBeNull();
      expect(found).toHaveLength(Math.min(10, liveBelow(model, namespace).length));
      for (const write of each.writes) {
        if (write.isDelete) model.delete(addressOf(write));
        else keep(model, write, write.isIndexed);
      }
      break;
    }
    case "restore": {
      const times = { createdAt: PAST, updatedAt: PAST, expiresAt: each.isExpired ? PAST : null, ttlMinutes: null };
      const row: KeptRow = { namespace: each.namespace, key: each.key, value: each.value, fields: ["text"], ...times };
      await store.restore([row]);
      keep(model, each, true);
      Object.assign(setOf(model, each), { isExpired: each.isExpired, isOld: true });
      break;
    }
    case "drop": {
      const below = [...model.values()].filter((stored) => isBelow(stored.namespace, each.namespace));
      expect(await store.drop([each.namespace])).toBe(below.length);
      for (const stored of below) model.delete(addressOf(stored));
      break;
    }
    case "sweep": {
      const expired = [...model.values()].filter(({ isExpired }) => isExpired);
      expect(await store.sweep()).toBe(expired.length);
      for (const stored of expired) model.delete(addressOf(stored));
      break;
    }
    case "look":
      await look(each, store, model);
  }
}

function keep(model: Model, at: { namespace: string[]; key: string; value: Value }, isIndexed: boolean) {
  const { namespace, key, value } = at;
  const text = isIndexed && typeof value["text"] === "string" && value["text"] !== "" ? value["text"] : undefined;
  const isOld = liveAt(model, at)?.isOld ?? false;
  model.set(addressOf(at), { namespace, key, value, text, isOld, isExpired: false, hasTtl: false });
}

function setOf(model: Model, at: { namespace: string[]; key: string }): Stored {
  const stored = model.get(addressOf(at));
  if (stored) return stored;
  throw new TypeError("expected a stored item");
}

function liveAt(model: Model, at: { namespace: string[]; key: string }): Stored | undefined {
  const stored = model.get(addressOf(at));
  return stored?.isExpired ? undefined : stored;
}

function liveBelow(model: Model, prefix: string[]): Stored[] {
  return [...model.values()].filter((stored) => !stored.isExpired && isBelow(stored.namespace, prefix));
}

/** Every kind of read gives what the model holds. */
async function look(
  { namespace, query, n }: { namespace: string[]; query: string; n: number },
  store: MnemailStore,
  model: Model,
): Promise<void> {
  const live = liveBelow(model, []);
  const below = liveBelow(model, namespace);
  const addresses = (items: readonly { namespace: string[]; key: string }[]) => items.map(addressOf).sort();
  for (const ranking of ["vector", "words", "hybrid"] as const) {
    const all = { namespacePrefix: namespace, query, ranking, limit: 1_000 };
    const [items, filtered, page] = await store.batch<[typeof all, typeof all, typeof all]>([
      all,
      Object.assign({ filter: { n: { $gte: n } } }, all),
      { ...all, limit: 3, ...{ offset: 1 } },
    ]);
    expect(addresses(items)).toEqual(addresses(below));
    for (const found of items) expect(found.value).toEqual(model.get(addressOf(found))?.value);
    expect(addresses(filtered)).toEqual(addresses(below.filter(({ value }) => Number(value["n"]) >= n)));
    expect(page.map(addressOf)).toEqual(items.slice(1, 4).map(addressOf));
    if (ranking !== "vector" || query === "") continue;
    // The same text is nearest, and who has a vector comes before who has none.
    const withVector = below.filter((stored) => stored.text !== undefined);
    expect(items.filter(({ score }) => score !== undefined)).toHaveLength(withVector.length);
    const nearest = withVector.filter((stored) => stored.text === query);
    expect(addresses(items.slice(0, nearest.length))).toEqual(addresses(nearest));
  }
  const newest = await store.search(namespace, { limit: 1_000 });
  expect(newest.map(addressOf)).toEqual([...newest].sort(newestFirst).map(addressOf));
  expect(addresses(newest)).toEqual(addresses(below));
  for (const { namespace, key } of [...model.values()].slice(0, 3)) {
    const stored = liveAt(model, { namespace, key });
    const got = await store.get(namespace, key);
    expect(got?.value).toEqual(stored?.value);
    expect(got?.createdAt.getTime() === PAST.getTime()).toBe(stored?.isOld ?? false);
  }
  const kept: KeptRow[] = [];
  for await (const page of store.pages([namespace])) kept.push(...page);
  expect(kept.map(addressOf)).toEqual([...below].sort(byBytes).map(addressOf));
  for (const row of kept) {
    const { text, hasTtl } = setOf(model, row);
    expect(row).toMatchObject({ fields: text === undefined ? [] : ["text"], ttlMinutes: hasTtl ? 5 : null });
    expect(row.expiresAt !== null).toBe(hasTtl);
  }
  const names = new Set(live.map((stored) => stored.namespace.join(".")));
  const listed = await store.listNamespaces({ limit: 1_000 });
  expect(listed.map((each) => each.join(".")).sort()).toEqual([...names].sort());
}

function newestFirst(a: Item, b: Item): number {
  return b.updatedAt.getTime() - a.updatedAt.getTime() || byBytes(a, b);
}

function byBytes(a: { namespace: string[]; key: string }, b: { namespace: string[]; key: string }): number {
  const order = Buffer.compare(Buffer.from(a.namespace.join(".")), Buffer.from(b.namespace.join(".")));
  return order || Buffer.compare(Buffer.from(a.key), Buffer.from(b.key));
}

const redis = await startRedis();
afterAll(() => redis?.stop());

describe("after any history, on two handles and across reopening, a store holds what a map would", () => {
  test("SQLite", async () => {
    await fc.assert(
      fc.asyncProperty(history, async (steps) => {
        using folder = temporaryFolder();
        await follow(steps, async () => openSqliteDriver(folder.path("memory.db")));
      }),
      { numRuns: 60 },
    );
  });

  test("a Map", async () => {
    await fc.assert(
      fc.asyncProperty(history, async (steps) => {
        const map = new Map<string, string>();
        await follow(steps, async () => createKeyValueDriver(mapKeyValue(map)));
      }),
      { numRuns: 100 },
    );
  });

  test("files", async () => {
    await fc.assert(
      fc.asyncProperty(history, async (steps) => {
        using folder = temporaryFolder();
        await follow(steps, () => openFileDriver(folder.path("memory")));
      }),
      { numRuns: 10 },
    );
  });

  test("S3", async () => {
    await fc.assert(
      fc.asyncProperty(history, async (steps) => {
        const s3 = await startLoopbackS3();
        const { bucket, endpoint, region, accessKeyId, secretAccessKey } = s3;
        const config = { bucket, endpoint, region, accessKeyId, secretAccessKey, prefix: "" };
        await follow(steps, () => openS3Driver(config));
        await s3.close();
      }),
      { numRuns: 5 },
    );
  });

  test.skipIf(!redis)("Redis", async () => {
    await fc.assert(
      fc.asyncProperty(history, async (steps) => {
        await redis?.ask("FLUSHALL");
        // It removes what is expired by itself, and counts none.
        const lasting = steps.map((each) => (each.type === "restore" ? { ...each, isExpired: false } : each));
        await follow(lasting, () => openRedisDriver(redis?.url ?? ""));
      }),
      { numRuns: 30 },
    );
  });

  describe("on PGlite", () => {
    let database: TestDatabase;
    beforeAll(async () => {
      database = await startPglite();
    });
    afterAll(() => database.stop());

    test("PostgreSQL", async () => {
      const { store } = loadConfig({
        environment: { STORE_URL: database.url, POSTGRES_POOL_MAX: "2" },
        directory: "/",
      });
      if (store.backend !== "postgres") throw new TypeError("expected PostgreSQL");
      await fc.assert(
        fc.asyncProperty(history, async (steps) => {
          await database.reset();
          await follow(steps, () => openPostgresDriver(store));
        }),
        { numRuns: 12 },
      );
    });
  });
});
