import Database from "libsql";
import { describe, expect, test } from "vitest";
import { MnemailError, renderError } from "../../../src/errors.ts";
import { selfTest } from "../../../src/memory/self-test.ts";
import { loadPrompts } from "../../../src/prompts.ts";
import { openHybridDriver } from "../../../src/store/hybrid/hybrid-driver.ts";
import type { VectorIndex } from "../../../src/store/hybrid/vector-index.ts";
import { withinTime } from "../../../src/store/hybrid/within-time.ts";
import { createMemoryDriver } from "../../../src/store/memory-driver.ts";
import { MnemailStore } from "../../../src/store/mnemail-store.ts";
import type { RankedSearch } from "../../../src/store/operations.ts";
import type { RowDriver } from "../../../src/store/row-driver.ts";
import { openSqliteDriver } from "../../../src/store/sqlite-driver.ts";
import { elsewhereOf } from "../../../src/store/vector-space.ts";
import { temporaryFolder } from "../../support/assistant.ts";
import { ProcessVectorStore, processVectors } from "../../support/vector-store.ts";
import { indexOf } from "../conformance/describe-store.ts";

const RANKINGS = ["vector", "words", "hybrid"] as const;

/** A store with what it warned of, and a switch that takes its vector database away; `calls` counts what it was asked. */
async function open(documents: RowDriver = createMemoryDriver(), vectors = new ProcessVectorStore(), name?: string) {
  const database = { isDown: false, calls: 0 };
  const answer = async <T>(call: () => Promise<T>): Promise<T> => {
    database.calls += 1;
    if (database.isDown) throw new Error("connect ECONNREFUSED");
    return call();
  };
  const index = processVectors(vectors);
  const switched: VectorIndex = {
    ...{ ...index, name: name ?? index.name },
    dimensions: () => answer(() => index.dimensions()),
    add: (added) => answer(() => index.add(added)),
    remove: (ids) => answer(() => index.remove(ids)),
    search: (near, limit, where) => answer(() => index.search(near, limit, where)),
    find: (where, dimensions) => answer(() => index.find(where, dimensions)),
    list: (dimensions) => answer(async () => (await index.list?.(dimensions)) ?? []),
  };
  const warnings: string[] = [];
  const warn = (line: string) => void warnings.push(line);
  const store = await MnemailStore.open(await openHybridDriver(documents, switched, { warn }), {
    ...{ index: indexOf(), warn },
  });
  return { store, warnings, database, documents, vectors };
}

const put = (store: MnemailStore, key: string, text: string) => store.put(["m"], key, { text }, ["text"]);

async function found(store: MnemailStore, search: Partial<RankedSearch>) {
  const [items] = await store.batch<[RankedSearch]>([{ namespacePrefix: ["m"], ...search }]);
  return Array.isArray(items) ? items : [];
}

describe("a hybrid store whose vector database is down", () => {
  test("keeps what is put, finds it by words, says each once, and a reindex brings the vectors", async () => {
    const { store, warnings, database } = await open();
    await put(store, "before", "the turbine stopped");
    database.isDown = true;
    await put(store, "k1", "violin concerto");
    await put(store, "k2", "glacier tour");
    const expected = { text: "the turbine stopped" };
    const conditional = { namespace: ["m"], key: "before", value: { text: "the engine stopped" }, index: ["text"] };
    expect(await store.putIf([{ ...conditional, expected: { text: "other" } }])).toBe(false);
    expect(await store.putIf([{ ...conditional, expected }])).toBe(true);
    for (const ranking of RANKINGS) {
      expect((await found(store, { query: "violin concerto", ranking }))[0]).toMatchObject({ key: "k1" });
    }
    await store.delete(["m"], "k2");
    expect(warnings).toHaveLength(3);
    expect(warnings[0]).toMatch(
      /^what is put waits for its vectors: a vector store in process: .*ECONNREFUSED.*reindex/,
    );
    expect(warnings.filter((line) => line.startsWith("memory is searched by words alone"))).toHaveLength(1);
    expect(await store.health()).toMatchObject({
      ...{ items: 2, vectors: 0, unembedded: 2 },
      problems: [{ problem: expect.stringContaining("does not answer") }],
    });
    await expect(store.reindex()).rejects.toThrow(/in process: connect ECONNREFUSED/);
    database.isDown = false;
    expect(await store.reindex()).toBe(2);
    expect((await found(store, { query: "violin concerto" }))[0]?.score).toBeCloseTo(1, 3);
    expect((await found(store, { query: "the turbine stopped" }))[0]?.score).toBeLessThan(0.99);
    expect(await store.health()).toMatchObject({ items: 2, vectors: 2, unembedded: 0, problems: [] });
  });

  test("in the middle of a reindex ends it with one line, and what was done stays done", async () => {
    const { store, database } = await open();
    database.isDown = true;
    await store.batch(
      Array.from({ length: 250 }, (_, i) => ({
        ...{ namespace: ["m"], key: `k${i}`, value: { text: `text ${i}` }, index: ["text"] },
      })),
    );
    database.isDown = false;
    const reindexed = store.reindex((done) => {
      if (done >= 200) database.isDown = true;
    });
    await expect(reindexed).rejects.toThrow(/a vector store in process: connect ECONNREFUSED/);
    expect(await store.health()).toMatchObject({ vectors: 200, unembedded: 50 });
    database.isDown = false;
    expect(await store.reindex()).toBe(50);
  });

  test("and silent is given up after a while", async () => {
    const silent = withinTime(
      { ...processVectors(), search: () => new Promise(() => {}) },
      { timeoutMs: 20, shortMs: 5, windowMs: 1_000 },
    );
    const where = { name: "made_by", values: ["mnemail"] };
    await expect(silent.search(Float32Array.of(1), 1, where)).rejects.toThrow("no answer within 0.02 s");
  });

  test("when a user is forgotten leaves vectors that nobody is served, and an erase removes them later", async () => {
    const { store, database, vectors, warnings } = await open();
    await put(store, "k", "the turbine stopped");
    database.isDown = true;
    expect(await store.drop([["m"]])).toBe(1);
    expect(warnings).toEqual([expect.stringMatching(/vectors of what was removed stay for now/)]);
    // Said already, and again to whoever erases later.
    expect(await store.erase()).toEqual([]);
    expect(await store.erase()).toEqual([
      expect.stringMatching(/vectors of removed items may be left: .*ECONNREFUSED/),
    ]);
    expect(await found(store, { query: "turbine" })).toEqual([]);
    database.isDown = false;
    expect(vectors.kept.size).toBe(1);
    await put(store, "other", "lunch");
    expect(await store.erase()).toEqual([]);
    expect(vectors.kept.size).toBe(1);
    expect((await found(store, { query: "lunch" }))[0]?.score).toBeCloseTo(1, 3);
  });
});

describe("a hybrid store that documents say has vectors", () => {
  const LOST = (what: string) => [{ problem: `${what} not in a vector store in process`, hint: expect.any(String) }];

  test("says how many of them are gone, and not of those that wait, until a reindex", async () => {
    const { store, database, vectors } = await open();
    for (const key of ["k1", "k2", "k3"]) await put(store, key, `the turbine ${key}`);
    expect((await store.health()).problems).toEqual([]);
    vectors.kept.delete([...vectors.kept.keys()][1] ?? "");
    expect((await store.health()).problems).toEqual(LOST("1 vector is"));
    vectors.kept.clear();
    database.isDown = true;
    await put(store, "waiting", "violin concerto");
    database.isDown = false;
    expect(await store.health()).toMatchObject({ vectors: 3, unembedded: 1, problems: LOST("3 vectors are") });
    expect(await store.health()).toMatchObject({ vectors: 3, unembedded: 1 });
    expect(await store.reindex()).toBe(4);
    expect(await store.health()).toMatchObject({ vectors: 4, unembedded: 0, problems: [] });
  });

  test("tells of one that fails what to do, and what becomes of searches until then", async () => {
    const { store, database } = await open();
    await put(store, "k", "the turbine");
    database.isDown = true;
    const [problem] = (await store.health()).problems;
    expect(problem?.problem).toMatch(/ECONNREFUSED; until it answers, memory is searched by words$/);
    expect(problem?.hint).toBe("start it, or correct VECTOR_URL; then run `mnemail memory reindex`");
  });
});

describe("the self test of a hybrid store", () => {
  const run = async (change: Partial<VectorIndex>) => {
    const documents = createMemoryDriver();
    const vectors = { ...processVectors(), ...change, close: async () => {} };
    const test = async (warn: (line: string) => void) => {
      const driver = await openHybridDriver({ ...documents, close: async () => {} }, vectors, { warn });
      const store = await MnemailStore.open(driver, { index: indexOf(), warn });
      return { store, embeddingModel: "stand-in", [Symbol.asyncDispose]: () => store.stop() };
    };
    const result = await selfTest(test, loadPrompts()).then(() => "passed", renderError);
    expect((await documents.health()).items).toBe(0);
    return result;
  };
  const refuse = (reason: string) => () => Promise.reject(new MnemailError("store", reason, "name another"));

  test("passes where a vector is found and removed", async () => {
    expect(await run({})).toBe("passed");
  });

  test.each<[string, Partial<VectorIndex>, RegExp]>([
    [
      "takes no vector",
      { add: refuse("a collection of 64 dimensions") },
      /: an item is not found by its vector: what is put waits for its vectors: .*64 dimensions \(name another; then /,
    ],
    [
      "finds none",
      { search: refuse("not here") },
      /: an item is not found by its vector: memory is searched by words alone: .*not here/,
    ],
  ])("fails in one line where the database %s", async (_, change, line) => {
    const result = await run(change);
    expect(result).toMatch(/^the self test failed: [^\n]+$/);
    expect(result).toMatch(line);
  });
});

describe("a hybrid store", () => {
  test("takes no database at its word: user1 never sees user10, whatever a search gives", async () => {
    const vectors = new ProcessVectorStore();
    const index = processVectors(vectors);
    const all = { name: "made_by", values: ["mnemail"] };
    const careless: VectorIndex = { ...index, search: (near, limit) => index.search(near, limit, all) };
    const driver = await openHybridDriver(createMemoryDriver(), careless);
    const store = await MnemailStore.open(driver, { index: indexOf() });
    for (const user of ["user1", "user10"]) await store.put(["m", user], "k", { text: `of ${user}` }, ["text"]);
    for (const kept of [...vectors.kept.values()]) {
      // As a stranger who can write to the database would have it.
      const metadata = { ...kept.document.metadata, namespace: "m.user1", key: "k" };
      await vectors.addVectors([kept.vector], [{ pageContent: "", metadata }], { ids: [`${Math.random()}`] });
    }
    for (const metadata of [{}, { namespace: 1 }, { vector_id: "x", version: "v", namespace: "", key: "k" }]) {
      await vectors.addVectors([[1, 0]], [{ pageContent: "", metadata }], { ids: [`${Math.random()}`] });
    }
    for (const ranking of RANKINGS) {
      const items = await found(store, { namespacePrefix: ["m", "user1"], query: "of user10", ranking });
      expect(items.map(({ value }) => value)).toEqual([{ text: "of user1" }]);
    }
  });

  test("finds what a filter lets pass behind a thousand nearer ones, expired ones and orphans", async () => {
    const { store, vectors } = await open();
    const row = (key: string, text: string, kind: string, expiresAt: Date | null) => ({
      ...{ namespace: ["m"], key, value: { text, kind }, fields: ["text"], expiresAt, ttlMinutes: null },
      ...{ createdAt: new Date(), updatedAt: new Date() },
    });
    const near = Array.from({ length: 1_000 }, (_, i) =>
      row(`near${i}`, "the turbine stopped", i % 2 ? "near" : "far", i % 2 ? null : new Date("2026-01-01")),
    );
    await store.restore([...near, row("wanted", "the turbine", "far", null)]);
    const [{ vector } = { vector: [] }] = vectors.kept.values();
    for (let i = 0; i < 500; i += 1) {
      const { prefix_1, space } = [...vectors.kept.values()][0]?.document.metadata ?? {};
      const about = { vector_id: `${i}`, space, made_by: "mnemail", version: "0", namespace: "m", key: `gone${i}` };
      await vectors.addVectors([vector], [{ pageContent: "", metadata: { ...about, prefix_1 } }], { ids: [`${i}`] });
    }
    const search = { query: "the turbine stopped", filter: { kind: "far" }, limit: 3 };
    expect((await found(store, search)).map(({ key }) => key)).toEqual(["wanted"]);
    expect((await found(store, search))[0]?.score).toBeGreaterThan(0.5);
  });

  test("shows the vector database no text of what is remembered, and leaves what others keep there alone", async () => {
    const { store, vectors } = await open();
    await vectors.addVectors([[1, 0]], [{ pageContent: "not ours", metadata: { of: "another" } }], { ids: ["theirs"] });
    await put(store, "k", "a secret turbine");
    const [, ours] = [...vectors.kept.values()];
    expect(JSON.stringify(ours?.document)).not.toMatch(/secret|turbine/);
    await store.delete(["m"], "k");
    await put(store, "k2", "lunch");
    await store.reindex();
    await store.erase();
    await store.drop([[]]);
    expect([...vectors.kept.keys()]).toEqual(["theirs"]);
  });

  test("leaves no vector of what was replaced, deleted, dropped or swept, nor of a field that is no longer indexed", async () => {
    const { store, vectors, documents } = await open();
    const size = () => vectors.kept.size;
    await store.put(["m"], "k", { text: "turbine", list: ["a", "b"] }, ["text", "list[*]"]);
    expect(size()).toBe(3);
    await store.put(["m"], "k", { text: "engine", list: ["a", "b"] }, ["text", "list[*]"]);
    expect(size()).toBe(3);
    await store.put(["m"], "k", { text: "engine", list: ["a", "b"] }, ["text"]);
    expect(size()).toBe(1);
    const conditional = { namespace: ["m"], key: "k", value: { text: "lunch" }, index: ["text"] };
    expect(await store.putIf([{ ...conditional, expected: { text: "wrong" } }])).toBe(false);
    expect(await store.putIf([{ ...conditional, expected: { text: "engine", list: ["a", "b"] } }])).toBe(true);
    expect(size()).toBe(1);
    await store.put(["m"], "k", { text: "lunch" }, false);
    expect(size()).toBe(0);
    await put(store, "k", "lunch");
    await put(store, "k2", "lunch");
    await store.delete(["m"], "k");
    expect(size()).toBe(1);
    await put(store, "gone", "menu");
    // As time would have it.
    const past = new Date("2026-01-01");
    const kept = { createdAt: past, updatedAt: past, expiresAt: past, ttlMinutes: 1 };
    const gone = { namespace: ["m"], key: "gone", value: { text: "menu" }, vectors: [], kept };
    const nothing = { gets: [], scans: [], listNamespaces: false, space: undefined };
    await documents.run({ ...nothing, writes: [gone] });
    expect(size()).toBe(2);
    expect(await store.sweep()).toBe(1);
    expect(size()).toBe(1);
    await store.put(["other"], "k", { text: "stays" }, ["text"]);
    await store.drop([["m"]]);
    expect(size()).toBe(1);
  });

  test("keeps the time to live and the times of what it embeds", async () => {
    const { store } = await open();
    await store.putWithTtl(["m"], "k", { text: "turbine" }, 5, ["text"]);
    const past = { createdAt: new Date("2026-01-01"), updatedAt: new Date("2026-01-02") };
    const forGood = { expiresAt: null, ttlMinutes: null };
    await store.restore([
      { namespace: ["m"], key: "old", value: { text: "engine" }, fields: ["text"], ...past, ...forGood },
    ]);
    await store.put(["m"], "old", { text: "engine too" }, ["text"]);
    for await (const [ttl, old] of store.pages([["m"]])) {
      expect(ttl?.ttlMinutes).toBe(5);
      expect((ttl?.expiresAt?.getTime() ?? 0) - (ttl?.updatedAt.getTime() ?? 0)).toBe(300_000);
      expect(old).toMatchObject({ createdAt: past.createdAt, ...forGood });
      expect(old?.updatedAt.getTime()).toBeGreaterThan(past.updatedAt.getTime());
    }
    expect(await store.health()).toMatchObject({ vectors: 2, unembedded: 0 });
  });

  test("asks the vector database nothing for items without a vector, after the first look at old ones", async () => {
    const { store, database } = await open();
    await put(store, "k", "lunch");
    const before = database.calls;
    for (let i = 0; i < 5; i += 1) await store.put(["leases"], "k", { n: i }, false);
    await store.delete(["leases"], "k");
    await store.get(["m"], "k");
    await store.search(["m"], { filter: { text: "lunch" } });
    expect(database.calls).toBe(before);
  });

  test("on documents that have vectors of their own, or in another database, ranks by words until a reindex", async () => {
    using folder = temporaryFolder();
    const documents = () => openSqliteDriver(folder.path("memory.db"));
    const warnings: string[] = [];
    const plain = async () => MnemailStore.open(documents(), { index: indexOf(), warn: (line) => warnings.push(line) });
    const first = await plain();
    await put(first, "k", "the turbine stopped");
    await put(first, "other", "lunch");
    await first.stop();

    const names = ["a database", "another database"];
    for (const [i, name] of names.entries()) {
      const { store, warnings } = await open(documents(), new ProcessVectorStore(), name);
      expect((await found(store, { query: "turbine" }))[0]).toMatchObject({ key: "k" });
      const words = "it is searched by words alone until";
      const isWhere = [
        `with its documents, not in the vector database: ${words} \`mnemail memory reindex\`, or without VECTOR_URL`,
        `in a database: ${words} VECTOR_URL is set to that, or \`mnemail memory reindex\``,
      ];
      expect(warnings).toEqual([`the vectors of memory are ${isWhere[i]}`]);
      const { space } = await store.health();
      expect(space && elsewhereOf(space)).toEqual({
        ...{ model: "stand-in", dimensions: 64 },
        place: ["the documents", "a database"][i],
      });
      expect(await store.reindex()).toBe(2);
      expect((await found(store, { query: "the turbine stopped" }))[0]?.score).toBeCloseTo(1, 3);
      expect(await store.health()).toMatchObject({ space: { model: "stand-in", dimensions: 64 }, problems: [] });
      await store.stop();
    }
    const again = await plain();
    expect((await found(again, { query: "turbine" }))[0]).toMatchObject({ key: "k" });
    expect(warnings).toEqual([
      expect.stringMatching(/^the vectors of memory are in another database: .* until VECTOR_URL is set to that, or `/),
    ]);
    expect(await again.reindex()).toBe(2);
    expect((await found(again, { query: "the turbine stopped" }))[0]?.score).toBeCloseTo(1, 3);
    await again.stop();
  });

  test("replaces and deletes a record of the documents that cannot be read", async () => {
    using folder = temporaryFolder();
    const { store } = await open(openSqliteDriver(folder.path("memory.db")));
    await put(store, "k", "the turbine stopped");
    await put(store, "other", "the turbine stopped too");
    const file = new Database(folder.path("memory.db"));
    file.prepare("UPDATE store SET value = '[]' WHERE key = 'k'").run([]);
    file.close();
    await expect(store.get(["m"], "k")).rejects.toThrow("cannot be read");
    for (const ranking of RANKINGS) {
      expect((await found(store, { query: "turbine", ranking })).map(({ key }) => key)).toEqual(["other"]);
    }
    await put(store, "k", "lunch");
    expect((await found(store, { query: "lunch" }))[0]).toMatchObject({ key: "k", score: expect.closeTo(1, 3) });
    await store.stop();
  });
});
