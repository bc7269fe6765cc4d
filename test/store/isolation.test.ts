import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { openHybridDriver } from "../../src/store/hybrid/hybrid-driver.ts";
import { createKeyValueDriver } from "../../src/store/key-value/key-value-driver.ts";
import { mapKeyValue } from "../../src/store/key-value/map.ts";
import { createMemoryDriver } from "../../src/store/memory-driver.ts";
import { MnemailStore } from "../../src/store/mnemail-store.ts";
import { encodeUserId, userNamespaces, userRoots } from "../../src/store/namespaces.ts";
import type { KeptRow, Ranking } from "../../src/store/row-driver.ts";
import { startBackends } from "../support/every-backend.ts";
import { openStoreOfSettings } from "../support/store-of-settings.ts";
import { processVectors } from "../support/vector-store.ts";
import { indexOf } from "./conformance/describe-store.ts";

const INDEX = indexOf("stand-in", 256);
const RANKINGS = ["vector", "words", "hybrid"] as const satisfies Ranking[];
const TEXT = "the turbine stopped";

/** Ids of which a path, a pattern, a key or an order of letters could take one for another, for a part, or for all. */
const CONFUSABLE = [
  ...[
    "user1",
    "user10",
    "user1.",
    "user1.x",
    "user1/x",
    "user1/",
    "user",
    "User1",
    "user1 ",
    "user_",
    "user%",
    "user*",
  ],
  ...["alice@example.com", "alice@example.co", "alice@example.com.au", "alice@example=2Ecom", "@example.com"],
  ...[
    "..",
    ".",
    "../..",
    "../user1",
    "a/../b",
    "/",
    "//",
    "/etc/passwd",
    "~",
    "~user1",
    "C:\\user1",
    "\\",
    "|",
    "?",
    "#",
  ],
  ...["%", "%2F", "%2E%2E", "a%2Fb", "a/b", "_", "*", "=", "=2E", "=a", "!2E", ":", "{user1}", "'", '"', "';--", "\0"],
  ...[
    "é",
    "e\u0301",
    "ß",
    "SS",
    "İ",
    "ı",
    "😀",
    "😀😀",
    "\ud83d",
    "\u202euser1",
    "\ufeffuser1",
    "用户1",
    "用户10",
    "\uffff",
  ],
  ...["email_assistant", "langgraph", "r", "m", "collection", "__proto__", "constructor", "null", ".mnemail"],
  ...[
    "x".repeat(300),
    `${"x".repeat(300)}y`,
    `${"x".repeat(299)}X`,
    "é".repeat(300),
    `${"é".repeat(299)}e`,
    "/".repeat(300),
  ],
];
const anyId = fc
  .oneof(
    { weight: 4, arbitrary: fc.constantFrom(...CONFUSABLE) },
    { weight: 1, arbitrary: fc.string({ unit: "binary", minLength: 1, maxLength: 40 }) },
  )
  .filter((id) => id.trim() !== "");
/** Several users, some of whose ids are the beginnings of others'. */
const users = fc
  .tuple(fc.array(anyId, { minLength: 2, maxLength: 4 }), fc.constantFrom("0", ".", "/", "%", "a", "é", "/../x"))
  .map(([ids, end]) => [...new Set([...ids, `${ids[0]}${end}`])]);

/** What every user has: the same keys and texts as everybody else, with a label that says whose. */
function rowsOf(id: string): { namespace: string[]; key: string; value: { text: string; owner: string } }[] {
  const at = userNamespaces(id);
  const owner = encodeUserId(id);
  const places = [at.prompts, at.examples, at.collection, at.profile, [...at.temporary, "thread"]];
  return places.flatMap((namespace) => ["k", owner].map((key) => ({ namespace, key, value: { text: TEXT, owner } })));
}

/** All that the user can come by, however they look for it. */
async function readAll(store: MnemailStore, id: string) {
  const { prompts, memory } = userRoots(id);
  const searches = [prompts, memory].flatMap((namespacePrefix) => [
    { namespacePrefix, limit: 100 },
    { namespacePrefix, limit: 100, filter: { text: TEXT } },
    ...RANKINGS.map((ranking) => ({ namespacePrefix, query: TEXT, ranking, limit: 100 })),
  ]);
  const found = await store.batch(searches);
  const namespaces = await Promise.all(
    [prompts, memory].map((prefix) => store.listNamespaces({ prefix, limit: 1_000 })),
  );
  const kept: KeptRow[] = [];
  for await (const page of store.pages([prompts, memory])) kept.push(...page);
  return {
    // The order of what is as near is nobody's promise.
    found: found.map((items) =>
      items
        .map(({ namespace, key, value, score }) => JSON.stringify([namespace, key, value, score?.toFixed(3)]))
        .sort(),
    ),
    namespaces: namespaces.flat(),
    kept: JSON.stringify(kept),
  };
}

/** What the user has to come by: all of theirs and nothing else. */
async function expectOwn(store: MnemailStore, id: string): Promise<void> {
  const own = rowsOf(id);
  const { found, namespaces, kept } = await readAll(store, id);
  const [label] = userRoots(id).prompts;
  for (const [i, items] of found.entries()) {
    const of = own.filter(({ namespace }) => (namespace[0] === label) === i < found.length / 2);
    const names = of.map(({ namespace, key, value }) => JSON.stringify([namespace, key, value]).slice(0, -1));
    expect(items.map((each) => each.replace(/,(null|"[\d.-]+")\]$/, ""))).toEqual(names.sort());
  }
  const places = new Set(own.map(({ namespace }) => JSON.stringify(namespace)));
  expect(namespaces.map((each) => JSON.stringify(each)).sort()).toEqual([...places].sort());
  expect(JSON.parse(kept)).toHaveLength(own.length);
  const [first] = own;
  expect((await store.get(first?.namespace ?? [], "k"))?.value).toEqual(first?.value);
}

/** Users who come and go in one store, `numRuns` times, and never meet. */
async function keepApart(store: MnemailStore, numRuns: number): Promise<void> {
  const property = fc.asyncProperty(users, anyId, async ([victim = "", ...others], absent) => {
    const present = [victim, ...others];
    await store.batch(present.flatMap(rowsOf).map((row) => ({ ...row, index: ["text"] })));
    for (const id of present) await expectOwn(store, id);
    if (!present.includes(absent)) {
      const { found, namespaces, kept } = await readAll(store, absent);
      expect([found.flat(), namespaces, kept]).toEqual([[], [], "[]"]);
      expect(await store.drop(Object.values(userRoots(absent)))).toBe(0);
    }
    const before = await Promise.all(others.map((id) => readAll(store, id)));
    expect(await store.drop(Object.values(userRoots(victim)))).toBe(rowsOf(victim).length);
    expect(await readAll(store, victim)).toEqual({ found: before[0]?.found.map(() => []), namespaces: [], kept: "[]" });
    expect(await Promise.all(others.map((id) => readAll(store, id)))).toEqual(before);
    for (const id of others) expect(await store.drop(Object.values(userRoots(id)))).toBe(rowsOf(id).length);
    expect(await store.listNamespaces({})).toEqual([]);
    expect(await store.health()).toMatchObject({ items: 0, vectors: 0 });
  });
  await fc.assert(property, { numRuns, endOnFailure: true });
}

const backends = await startBackends({ databases: true });

describe("no user sees, lists or removes what is another's, whatever their ids are", () => {
  afterAll(() => backends[Symbol.asyncDispose]());

  test.each([
    ["memory:", async () => createMemoryDriver()],
    ["a Map", async () => createKeyValueDriver(mapKeyValue(new Map()))],
    ["a hybrid in process", () => openHybridDriver(createMemoryDriver(), processVectors())],
  ])("on %s", async (_, openDriver) => {
    await using store = await MnemailStore.open(await openDriver(), { index: INDEX });
    await keepApart(store, 30);
  });

  test.each(backends.list)("on $name", async ({ name, newPlace }) => {
    const { storeUrl, vectorUrl } = await newPlace();
    const settings = { ...backends.environment, STORE_URL: storeUrl, ...(vectorUrl ? { VECTOR_URL: vectorUrl } : {}) };
    await using store = await openStoreOfSettings(settings, { index: INDEX });
    // Those in process are fast; the others are asked over a connection, or write and flush files.
    await keepApart(store, /^(SQLite|memory:[^(]*)$/.test(name) ? 20 : 5);
  });
});
