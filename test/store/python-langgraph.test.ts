import Database from "libsql";
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { embedText } from "../../src/stand-in/embedding.ts";
import type { StoreIndex } from "../../src/store/embedder.ts";
import { MnemailStore } from "../../src/store/mnemail-store.ts";
import { openPostgresDriver } from "../../src/store/postgres-driver.ts";
import { openSqliteDriver } from "../../src/store/sqlite-driver.ts";
import { temporaryFolder } from "../support/assistant.ts";
import { startPglite, type TestDatabase } from "../support/postgres.ts";
import { type PythonStore, pythonPostgres, pythonSqlite } from "./python-langgraph.ts";

const DIMENSIONS = 256;
const embed = (text: string) => [...embedText(text, DIMENSIONS)];
const index: StoreIndex = {
  model: "stand-in",
  embeddings: { embedDocuments: async (texts) => texts.map(embed), embedQuery: async (text) => embed(text) },
};

/** One empty database, to be opened by both. */
interface SharedDatabase {
  openOurs(): Promise<MnemailStore>;
  python: PythonStore;
  release(): Promise<void>;
}

function describeSharing(
  name: string,
  migrations: { store: number[]; vectors: number[] },
  open: () => Promise<SharedDatabase>,
) {
  describe(`a database shared with Python LangGraph's ${name}`, () => {
    const examples = ["email_assistant", "user_123", "examples"];
    const value = { subject: "Rücksendung 📦", label: "respond", nested: { list: [1, 2.5, null, true], "": "" } };
    let shared: SharedDatabase;
    let python: PythonStore;
    let ours: MnemailStore;

    beforeEach(async () => {
      shared = await open();
      python = shared.python;
    });
    afterEach(async () => {
      await ours.stop();
      await shared.release();
    });
    const start = async () => {
      ours = await shared.openOurs();
    };
    /** What an embedding model of Python's answers for a whole value. */
    const vectorOf = (text: string) => ({ vectors: { $: embed(text) } });

    test("that we made has all that its setup() would make", async () => {
      await start();
      expect(await python.setup({ dims: DIMENSIONS })).toEqual({ store: [], vectors: [] });
    });

    test("that it made holds what it wrote, and all that ours needs", async () => {
      expect(await python.setup({ dims: DIMENSIONS })).toEqual(migrations);
      await python.put(["user_123"], "agent_instructions", { prompt: "Be brief." });
      await start();
      expect((await ours.get(["user_123"], "agent_instructions"))?.value).toEqual({ prompt: "Be brief." });
      await ours.put(examples, "e1", value);
      expect((await python.search(examples)).map((item) => item.key)).toEqual(["e1"]);
      expect(await python.setup({ dims: DIMENSIONS })).toEqual({ store: [], vectors: [] });
    });

    test("gives it our items: value, namespace, times, and by vector", async () => {
      await start();
      await ours.put(examples, "e1", value);
      await ours.put(examples, "e2", { text: "lunch with the neighbours" });
      const [found] = await python.search(["email_assistant", "user_123"], { vector: embed(JSON.stringify(value)) });
      const item = await ours.get(examples, "e1");
      expect(found).toMatchObject({ namespace: examples, key: "e1", value, createdAt: item?.createdAt });
      expect(found?.score).toBeGreaterThan(0.99);
      expect(await python.get(examples, "e1")).toMatchObject({ value, updatedAt: item?.updatedAt });
    });

    test("gives us its items: value, namespace, times, and by vector", async () => {
      await start();
      await python.put(examples, "e1", value, vectorOf("an invoice from the printer shop"));
      await python.put(examples, "e2", { n: 2 }, vectorOf("lunch with the neighbours"));
      await python.put(["other"], "e3", value, vectorOf("an invoice from the printer shop"));
      const item = await ours.get(examples, "e1");
      expect(item).toMatchObject({ namespace: examples, key: "e1", value });
      expect(Math.abs((item?.updatedAt.getTime() ?? 0) - Date.now())).toBeLessThan(60_000);
      // The vectors are of the same model only if we say so; ours has to have decided on it.
      await ours.put(["settles", "the model"], "k", { n: 0 });
      const found = await ours.search(["email_assistant"], { query: "an invoice from the printer shop" });
      expect(found.map(({ key }) => key)).toEqual(["e1", "e2"]);
      expect(found[0]?.score).toBeGreaterThan(0.99);
      expect(await ours.search(examples, { filter: { n: 2 } })).toMatchObject([{ key: "e2" }]);
      expect(await ours.listNamespaces({ prefix: ["email_assistant"] })).toEqual([examples]);
    });

    test("lets each change and delete what the other wrote", async () => {
      await start();
      await ours.put(["a"], "k", { by: "us" });
      await python.put(["a"], "k", { by: "Python" }, vectorOf("Python wrote this"));
      expect((await ours.get(["a"], "k"))?.value).toEqual({ by: "Python" });
      await ours.put(["a"], "k", { by: "us again" });
      expect((await python.get(["a"], "k"))?.value).toEqual({ by: "us again" });
      await python.delete(["a"], "k");
      expect(await ours.get(["a"], "k")).toBeNull();
      expect(await ours.search(["a"], { query: "us again" })).toEqual([]);
      // SQLite's Python leaves the vectors of what it deleted; they are not this item's.
      await ours.put(["a"], "k", { text: "nothing alike" }, false);
      const [item] = await ours.search(["a"], { query: JSON.stringify({ by: "us again" }) });
      expect(item?.score ?? 0).toBeLessThan(0.9);
      await ours.delete(["a"], "k");
      expect(await python.search(["a"])).toEqual([]);
    });

    test("hides from us what it let expire, and ours expires for it", async () => {
      await start();
      await python.put(["a"], "gone", { n: 1 }, { ttlMinutes: -2 });
      await python.put(["a"], "here", { n: 1 }, { ttlMinutes: 2 });
      expect(await ours.get(["a"], "gone")).toBeNull();
      expect((await ours.search(["a"])).map(({ key }) => key)).toEqual(["here"]);
      expect(await ours.sweep()).toBe(1);
      const put = (key: string, ttlMinutes: number) => ours.putIf([{ namespace: ["a"], key, value: {}, ttlMinutes }]);
      await put("long", 2);
      const past = new Date(Date.now() - 120_000);
      const times = { createdAt: past, updatedAt: past, expiresAt: new Date(past.getTime() + 60_000), ttlMinutes: 1 };
      await ours.restore([{ namespace: ["a"], key: "short", value: {}, ...times, fields: [] }]);
      expect(await python.sweep()).toBe(1);
      expect((await python.search(["a"])).map(({ key }) => key).sort()).toEqual(["here", "long"]);
    });

    test("takes no conditional put of ours for a value that Python has changed since", async () => {
      await start();
      await python.put(["a"], "k", value);
      const read = await ours.get(["a"], "k");
      const put = { namespace: ["a"], key: "k", expected: read?.value ?? null };
      await python.put(["a"], "k", { ...value, label: "ignore" });
      expect(await ours.putIf([{ ...put, value: { by: "us" } }])).toBe(false);
      expect((await python.get(["a"], "k"))?.value).toEqual({ ...value, label: "ignore" });
      const expected = { ...value, label: "ignore" };
      expect(await ours.putIf([{ ...put, expected, value: { by: "us" } }])).toBe(true);
      expect((await python.get(["a"], "k"))?.value).toEqual({ by: "us" });
    });
  });
}

describeSharing("SqliteStore", { store: [0, 1, 2, 3, 4], vectors: [0] }, async () => {
  const folder = temporaryFolder();
  const path = folder.path("memory.db");
  const database = new Database(path, { timeout: 5_000 });
  return {
    openOurs: () => MnemailStore.open(openSqliteDriver(path), { index }),
    python: pythonSqlite(database),
    async release() {
      database.close();
      folder[Symbol.dispose]();
    },
  };
});

describe("on PGlite", () => {
  let pglite: TestDatabase;
  beforeAll(async () => {
    pglite = await startPglite();
  });
  afterAll(() => pglite.stop());

  describeSharing("PostgresStore", { store: [0, 1, 2, 3], vectors: [0, 1, 2] }, async () => {
    await pglite.reset();
    const { store } = loadConfig({ environment: { STORE_URL: pglite.url } });
    if (store.backend !== "postgres") throw new TypeError("expected PostgreSQL");
    const pool = new pg.Pool({ connectionString: pglite.url });
    return {
      openOurs: async () => MnemailStore.open(await openPostgresDriver(store), { index }),
      python: pythonPostgres(pool),
      release: () => pool.end(),
    };
  });
});
