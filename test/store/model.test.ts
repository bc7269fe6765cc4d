import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { MnemailStore } from "../../src/store/mnemail-store.ts";
import { openPostgresDriver } from "../../src/store/postgres-driver.ts";
import { isBelow, type KeptRow, type RowDriver } from "../../src/store/row-driver.ts";
import { openSqliteDriver } from "../../src/store/sqlite-driver.ts";
import { temporaryFolder } from "../support/assistant.ts";
import { startPglite, type TestDatabase } from "../support/postgres.ts";
import { indexOf } from "./conformance/describe-store.ts";

type Value = Record<string, unknown>;
interface Stored {
  namespace: string[];
  key: string;
  value: Value;
  isExpired: boolean;
  text: string | undefined;
}
/** What a store is to hold, in a few lines: a map. */
type Model = Map<string, Stored>;

const PAST = new Date("2026-01-01T00:00:00.000Z");
const label = fc.constantFrom("u", "u1", "u10", "é", "a%", "a_", "A");
const namespace = fc.array(label, { minLength: 1, maxLength: 3 });
const key = fc.constantFrom("k1", "k2", "k'3", "😀");
const text = fc.constantFrom("turbine", "violin concerto", "lunch menu", "");
const value = fc.record({ n: fc.integer({ min: 0, max: 3 }), text, more: fc.jsonValue({ maxDepth: 1 }) });
const item = { namespace, key, value: value.map((each): Value => storable(each)) };
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant("put" as const), ...item, isIndexed: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("delete" as const), namespace, key }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("putIf" as const), ...item, isFresh: fc.boolean() }) },
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
    case "putIf": {
      const stored = model.get(addressOf(each));
      const current = stored && !stored.isExpired ? stored.value : null;
      const expected = each.isFresh ? current : { n: "never" };
      const { namespace, key, value } = each;
      expect(await store.putIf([{ namespace, key, value, expected }])).toBe(each.isFresh);
      if (each.isFresh) keep(model, each, true);
      break;
    }
    case "restore": {
      const times = { createdAt: PAST, updatedAt: PAST, expiresAt: each.isExpired ? PAST : null, ttlMinutes: null };
      const row: KeptRow = { namespace: each.namespace, key: each.key, value: each.value, fields: ["text"], ...times };
      await store.restore([row]);
      keep(model, each, true, each.isExpired);
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

function keep(
  model: Model,
  at: { namespace: string[]; key: string; value: Value },
  isIndexed: boolean,
  isExpired = false,
) {
  const { namespace, key, value } = at;
  const indexed = isIndexed && typeof value["text"] === "string" && value["text"] !== "" ? value["text"] : undefined;
  model.set(addressOf(at), { namespace, key, value, isExpired, text: indexed });
}

/** Every kind of read gives what the model holds. */
async function look(
  { namespace, query, n }: { namespace: string[]; query: string; n: number },
  store: MnemailStore,
  model: Model,
): Promise<void> {
  const live = [...model.values()].filter((stored) => !stored.isExpired);
  const below = live.filter((stored) => isBelow(stored.namespace, namespace));
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
  for (const stored of below.slice(0, 3)) {
    expect((await store.get(stored.namespace, stored.key))?.value).toEqual(stored.value);
  }
  const names = new Set(live.map((stored) => stored.namespace.join(".")));
  const listed = await store.listNamespaces({ limit: 1_000 });
  expect(listed.map((each) => each.join(".")).sort()).toEqual([...names].sort());
}

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
