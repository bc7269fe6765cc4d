import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import Database from "libsql";
import pg from "pg";
import { afterAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { loadConfig } from "../../src/config.ts";
import { MnemailStore } from "../../src/store/mnemail-store.ts";
import { openStore } from "../../src/store/open-store.ts";
import { openSqliteCheckpointer } from "../../src/store/sqlite-checkpointer.ts";
import { openSqliteDriver } from "../../src/store/sqlite-driver.ts";
import { temporaryFolder } from "../support/assistant.ts";
import { startPostgres } from "../support/postgres.ts";
import { indexOf } from "./conformance/describe-store.ts";

const server = await startPostgres();
afterAll(() => server?.stop());

const CANARY = "qanaryword";
const index = indexOf();
const long = (word: string) => Array.from({ length: 500 }, () => word).join(" ");

/** A store whose write-ahead log and file both hold the canary, among other items. */
async function filled(folder: ReturnType<typeof temporaryFolder>, busyTimeoutMs = 500) {
  const path = folder.path("m.db");
  const store = await MnemailStore.open(openSqliteDriver(path, { busyTimeoutMs }), { index });
  for (let i = 0; i < 20; i += 1) await store.put(["a"], `k${i}`, { text: `item ${i} ${long("kept")}` }, ["text"]);
  await store.put(["a"], `gone ${CANARY}`, { text: long(CANARY) }, ["text"]);
  await store.put(["a"], "changed", { text: long(CANARY) }, ["text"]);
  return { path, store };
}

const remove = async (store: MnemailStore) => {
  await store.delete(["a"], `gone ${CANARY}`);
  await store.put(["a"], "changed", { text: "changed" }, ["text"]);
};
const filesWith = (folder: ReturnType<typeof temporaryFolder>, text = CANARY) =>
  readdirSync(folder.path(".")).filter((file) => readFileSync(join(folder.path("."), file)).includes(text));

describe("an erased SQLite store", () => {
  test("holds nothing that was deleted or replaced in any of its files, and all of the rest", async () => {
    using folder = temporaryFolder();
    const { store } = await filled(folder);
    await remove(store);
    expect(filesWith(folder)).not.toEqual([]);
    expect(await store.erase()).toEqual([]);
    expect(filesWith(folder)).toEqual([]);
    expect(await store.search(["a"], { limit: 100 })).toHaveLength(21);
    expect(await store.health()).toMatchObject({ items: 21, vectors: 21, problems: [] });
    await store.stop();
    expect(filesWith(folder)).toEqual([]);
  });

  test("holds nothing that was past its time", async () => {
    using folder = temporaryFolder();
    const { store } = await filled(folder);
    await remove(store);
    const time = new Date("2026-01-01T00:00:00Z");
    const times = { createdAt: time, updatedAt: time, expiresAt: time, ttlMinutes: 1 };
    await store.restore([{ namespace: ["a"], key: "old", value: { text: CANARY }, fields: ["text"], ...times }]);
    await store.erase();
    expect(filesWith(folder)).toEqual([]);
  });

  test("is not answered from the caches of a process that has it open", async () => {
    using folder = temporaryFolder();
    const { path, store } = await filled(folder);
    const other = await MnemailStore.open(openSqliteDriver(path), { index });
    const found = async (ranking: "vector" | "words" | "hybrid", query = CANARY) => {
      const search = { namespacePrefix: ["a"], query, ranking, limit: 100 };
      const [items] = await other.batch<[typeof search]>([search]);
      return items.map(({ key }) => key);
    };
    for (const ranking of ["vector", "words", "hybrid"] as const) {
      expect((await found(ranking)).slice(0, 2).sort()).toEqual(["changed", `gone ${CANARY}`]);
    }
    await remove(store);
    await store.erase();
    for (const ranking of ["vector", "words", "hybrid"] as const) {
      const keys = await found(ranking);
      expect(keys).toHaveLength(21);
      expect(keys.join()).not.toContain(CANARY);
    }
    // The caches go on following what is put.
    await store.put(["a"], "newcomer", { text: "entirely different" }, ["text"]);
    for (const ranking of ["vector", "words", "hybrid"] as const) {
      expect((await found(ranking, "entirely different"))[0]).toBe("newcomer");
    }
    await other.stop();
    expect(filesWith(folder)).toEqual([]);
    await store.stop();
  });

  test("waits for who reads, and is erased when they are done", async () => {
    using folder = temporaryFolder();
    const { path, store } = await filled(folder);
    await remove(store);
    const reader = new Database(path);
    reader.exec("BEGIN");
    reader.prepare("SELECT count(*) FROM store").raw().all();
    const erased = store.erase();
    setTimeout(() => reader.exec("COMMIT"), 20);
    expect(await erased).toEqual([]);
    expect(filesWith(folder)).toEqual([]);
    reader.close();
    await store.stop();
  });

  test("is an error in one line while somebody reads or writes all the time; later it is done", async () => {
    using folder = temporaryFolder();
    const { path, store } = await filled(folder, 20);
    await remove(store);
    const other = new Database(path);
    for (const begin of ["BEGIN", "BEGIN IMMEDIATE"]) {
      other.exec(begin);
      other.prepare("SELECT count(*) FROM store").raw().all();
      await expect(store.erase()).rejects.toThrow(/m\.db: (?:other processes read or wrote it|was locked by)/);
      other.exec("COMMIT");
    }
    other.close();
    expect(await store.erase()).toEqual([]);
    expect(filesWith(folder)).toEqual([]);
    await store.stop();
  });
});

test("erased SQLite checkpoints hold nothing of a thread that was deleted", async () => {
  using folder = temporaryFolder();
  const { checkpointer, erase, close } = await openSqliteCheckpointer(folder.path("c.db"));
  const put = (thread: string, words: string) => {
    const configurable = { thread_id: thread, checkpoint_ns: "" };
    const checkpoint = { v: 4, id: "1ef00000-0000-6000-8000-000000000000", ts: "", channel_values: { words } };
    const versions = { channel_versions: {}, versions_seen: {} };
    return checkpointer.put(
      { configurable },
      { ...checkpoint, ...versions },
      { source: "input", step: 0, parents: {} },
      {},
    );
  };
  await put("gone", long(CANARY));
  await put("kept", long("keptword"));
  await checkpointer.deleteThread("gone");
  expect(filesWith(folder)).not.toEqual([]);
  await erase();
  expect(filesWith(folder)).toEqual([]);
  expect(filesWith(folder, "keptword")).toEqual(["c.db"]);
  close();
});

describe("an erased PostgreSQL store", () => {
  test.skipIf(!server)("is vacuumed; where the role may not, it says so", async () => {
    if (!server) return;
    const config = (url: string) => loadConfig({ environment: { STORE_URL: url }, directory: "/" }).store;
    await using store = await openStore(config(server.url));
    await store.put(["a"], "gone", { text: CANARY }, false);
    await store.delete(["a"], "gone");
    const admin = new pg.Client(server.url);
    await admin.connect();
    const vacuumed = async () => {
      const { rows } = await admin.query(
        "SELECT vacuum_count::int AS n FROM pg_stat_user_tables WHERE relname = 'store'",
      );
      return z.array(z.object({ n: z.number() })).parse(rows)[0]?.n;
    };
    expect(await vacuumed()).toBe(0);
    expect(await store.erase()).toEqual([]);
    await expect.poll(vacuumed).toBe(1);
    await admin.query("CREATE ROLE guest LOGIN PASSWORD 'guest'");
    await admin.query("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO guest");
    await admin.end();
    const url = new URL(server.url);
    [url.username, url.password] = ["guest", "guest"];
    await using guest = await openStore(config(url.href));
    expect((await guest.erase())[0]).toMatch(
      /"?store"?.*: deleted rows stay in PostgreSQL's files until its next vacuum/,
    );
  });
});
