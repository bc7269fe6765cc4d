import { rmSync, statSync } from "node:fs";
import Database from "libsql";
import { describe, expect, test } from "vitest";
import { MnemailStore } from "../../src/store/mnemail-store.ts";
import { openSqliteDriver } from "../../src/store/sqlite-driver.ts";
import { temporaryFolder } from "../support/assistant.ts";
import { runCli } from "../support/cli.ts";
import { indexOf } from "./conformance/describe-store.ts";

const index = indexOf("stand-in", 256);

const rowsOf = (path: string, sql: string): unknown[] => {
  const database = new Database(path);
  const rows = database.prepare(sql).raw().all();
  database.close();
  return rows;
};

/** What `PRAGMA synchronous` was at each commit (2: FULL, which flushes it; 1: NORMAL) while `run` went on. */
async function flushesIn(run: () => Promise<unknown>): Promise<unknown[]> {
  const { exec } = Database.prototype;
  const flushes: unknown[] = [];
  Database.prototype.exec = function (sql) {
    if (sql === "COMMIT") flushes.push(...this.prepare("PRAGMA synchronous").raw().all().flat());
    return exec.call(this, sql);
  };
  try {
    await run();
  } finally {
    Database.prototype.exec = exec;
  }
  return flushes;
}

describe("the SQLite file", () => {
  test("is flushed with each commit but those of fleeting puts, also after these", async () => {
    using folder = temporaryFolder();
    const store = await MnemailStore.open(openSqliteDriver(folder.path("m.db")));
    const put = (expected: Record<string, unknown> | null) => ({
      namespace: ["l"],
      key: "k",
      value: { n: 1 },
      expected,
    });
    const flushes = await flushesIn(async () => {
      await store.put(["a"], "k", { n: 1 });
      expect(await store.putIf([put(null)], { fleeting: true })).toBe(true);
      await store.put(["a"], "k", { n: 2 });
      expect(await store.putIf([put({ n: 2 })], { fleeting: true })).toBe(false);
      expect(await store.putIf([put({ n: 1 })])).toBe(true);
    });
    expect(flushes).toEqual([2, 1, 2, 1, 2]);
    await store.stop();
  });

  test("has the tables of Python LangGraph's SqliteStore, whose setup finds its work done", async () => {
    using folder = temporaryFolder();
    await (await MnemailStore.open(openSqliteDriver(folder.path("m.db")))).stop();
    const columns = (table: string) =>
      rowsOf(folder.path("m.db"), `SELECT name FROM pragma_table_info('${table}')`).flat();
    expect(columns("store")).toEqual([
      "prefix",
      "key",
      "value",
      "created_at",
      "updated_at",
      "expires_at",
      "ttl_minutes",
    ]);
    expect(columns("store_vectors")).toEqual(["prefix", "key", "field_name", "embedding", "created_at", "updated_at"]);
    expect(rowsOf(folder.path("m.db"), "SELECT max(v) FROM store_migrations")).toEqual([[4]]);
    expect(rowsOf(folder.path("m.db"), "SELECT max(v) FROM vector_migrations")).toEqual([[0]]);
  });

  test("written by Python, with values as bytes and rows that have expired, is read", async () => {
    using folder = temporaryFolder();
    const store = await MnemailStore.open(openSqliteDriver(folder.path("m.db")));
    const python = new Database(folder.path("m.db"));
    const insert = python.prepare("INSERT INTO store (prefix, key, value, expires_at) VALUES (?, ?, ?, ?)");
    insert.run(["user_123", "live", Buffer.from('{"prompt":"Grüße"}'), null]);
    insert.run(["user_123", "kept", Buffer.from("{}"), "2999-01-01 00:00:00.000000+00:00"]);
    insert.run(["user_123", "gone", Buffer.from("{}"), "2020-01-01 00:00:00.000000+00:00"]);
    python.close();
    expect((await store.get(["user_123"], "live"))?.value).toEqual({ prompt: "Grüße" });
    expect(await store.get(["user_123"], "gone")).toBeNull();
    expect((await store.search(["user_123"])).map(({ key }) => key).sort()).toEqual(["kept", "live"]);
    await store.stop();
  });

  test("takes a batch whole or not at all", async () => {
    using folder = temporaryFolder();
    const store = await MnemailStore.open(openSqliteDriver(folder.path("m.db")));
    const other = new Database(folder.path("m.db"));
    other.exec(
      "CREATE TRIGGER t BEFORE INSERT ON store WHEN NEW.key = 'bad' BEGIN SELECT RAISE(ABORT, 'refused by a test'); END",
    );
    other.close();
    const put = (key: string) => ({ namespace: ["a"], key, value: { n: 1 }, index: false as const });
    await expect(store.batch([put("good"), put("bad")])).rejects.toThrow("refused by a test");
    expect(await store.get(["a"], "good")).toBeNull();
    await store.put(["a"], "after", { n: 1 }, false);
    expect(await store.get(["a"], "after")).not.toBeNull();
    await store.stop();
  });

  test("with one damaged record gives the others, and says so; the record is not taken for absent", async () => {
    using folder = temporaryFolder();
    const warnings: string[] = [];
    const store = await MnemailStore.open(openSqliteDriver(folder.path("m.db")), {
      warn: (line) => warnings.push(line),
    });
    await store.put(["a"], "good", { n: 1 }, false);
    const other = new Database(folder.path("m.db"));
    other.exec("INSERT INTO store (prefix, key, value) VALUES ('a', 'bad', '{ not json')");
    other.close();
    expect((await store.search(["a"], { filter: { n: 1 } })).map(({ key }) => key)).toEqual(["good"]);
    expect(warnings).toEqual(["records that cannot be read are left out: 1"]);
    await expect(store.get(["a"], "bad")).rejects.toThrow(/m\.db/);
    await expect(store.putIf([{ namespace: ["a"], key: "bad", value: {}, expected: null }])).rejects.toThrow(/m\.db/);
    await store.stop();
  });

  test("that was removed while in use is reported at the next write, not written to in vain", async () => {
    using folder = temporaryFolder();
    const store = await MnemailStore.open(openSqliteDriver(folder.path("m.db")));
    rmSync(folder.path("m.db"));
    await expect(store.put(["a"], "k", { n: 1 }, false)).rejects.toThrow("was removed or replaced while it was in use");
    await store.stop();
  });

  test("can be read by its owner only", async () => {
    using folder = temporaryFolder();
    await (await MnemailStore.open(openSqliteDriver(folder.path("deep/er/m.db")))).stop();
    expect(statSync(folder.path("deep/er/m.db")).mode & 0o777).toBe(0o600);
    expect(statSync(folder.path("deep")).mode & 0o777).toBe(0o700);
  });

  test("is made by one of several processes that start at once, and used by all", async () => {
    using folder = temporaryFolder();
    const environment = { STORE_URL: `sqlite:${folder.path("m.db")}` };
    const names = ["Ana", "Bea", "Cleo", "Dora"];
    const results = await Promise.all(
      names.map((name) => runCli(["feedback", "--user", "ana", `Keep replies to ${name} short.`], environment)),
    );
    expect(results.map(({ code, stderr }) => [code, code === 0 ? "" : stderr])).toEqual(names.map(() => [0, ""]));
    const { stdout } = await runCli(["memory", "show", "--user", "ana"], environment);
    for (const name of names) expect(stdout).toContain(`Keep replies to ${name} short.`);
    expect(stdout).toContain("agent_instructions, version 4");
  });

  test("locked by another process for too long is reported as such, and nothing is changed", async () => {
    using folder = temporaryFolder();
    const store = await MnemailStore.open(openSqliteDriver(folder.path("m.db"), { busyTimeoutMs: 50 }));
    const other = new Database(folder.path("m.db"));
    other.exec("BEGIN IMMEDIATE");
    await expect(store.put(["a"], "k", { n: 1 }, false)).rejects.toThrow(/locked by another process for 0\.05 s/);
    other.exec("ROLLBACK");
    other.close();
    expect(await store.get(["a"], "k")).toBeNull();
    await store.stop();
  });

  test("keeps vectors of one embedding model: another one is searched by words, and told so", async () => {
    using folder = temporaryFolder();
    const warnings: string[] = [];
    const open = (model: string) =>
      MnemailStore.open(openSqliteDriver(folder.path("m.db")), {
        index: { ...index, model },
        warn: (line) => warnings.push(line),
      });
    const first = await open("one");
    await first.put(["docs"], "1", { text: "turbine" });
    await first.stop();
    const second = await open("two");
    expect(warnings).toHaveLength(1);
    expect((await second.search(["docs"], { query: "turbine" }))[0]?.key).toBe("1");
    await second.stop();
  });

  test("of version 0.1.0 is migrated when it is opened: its vectors are found, and the log knows its items", async () => {
    using folder = temporaryFolder();
    const before = new Database(folder.path("m.db"));
    before.exec(`
      CREATE TABLE store (prefix TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
        created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        expires_at TIMESTAMP, ttl_minutes REAL, PRIMARY KEY (prefix, key));
      CREATE TABLE store_vectors (prefix TEXT NOT NULL, key TEXT NOT NULL, field_name TEXT NOT NULL, embedding BLOB,
        created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        PRIMARY KEY (prefix, key, field_name),
        FOREIGN KEY (prefix, key) REFERENCES store (prefix, key) ON DELETE CASCADE);
      CREATE TABLE mnemail_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
      INSERT INTO mnemail_meta VALUES ('schema_version', '1'), ('embedding_model', 'stand-in');`);
    const [vector = []] = await index.embeddings.embedDocuments(["the turbine stopped"]);
    for (const key of ["other", "found"]) {
      before.prepare("INSERT INTO store (prefix, key, value) VALUES (?, ?, ?)").run(["docs", key, '{"text":"…"}']);
    }
    before
      .prepare("INSERT INTO store_vectors (prefix, key, field_name, embedding) VALUES (?, ?, ?, ?)")
      .run(["docs", "found", "text", Buffer.from(Float32Array.from(vector).buffer)]);
    before.close();

    const warnings: string[] = [];
    const store = await MnemailStore.open(openSqliteDriver(folder.path("m.db")), {
      index,
      warn: (line) => warnings.push(line),
    });
    const [first] = await store.search(["docs"], { query: "the turbine stopped" });
    expect(first).toMatchObject({ key: "found", score: expect.closeTo(1) });
    expect(await store.health()).toMatchObject({ schemaVersion: 2, space: { model: "stand-in", dimensions: 256 } });
    expect(warnings).toEqual([]);
    await store.delete(["docs"], "found");
    expect((await store.search(["docs"], { query: "the turbine stopped" })).map(({ key }) => key)).toEqual(["other"]);
    await store.stop();
  });
});
