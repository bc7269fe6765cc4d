import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Annotation, type BaseCheckpointSaver, END, START, StateGraph } from "@langchain/langgraph";
import { specTest } from "@langchain/langgraph-checkpoint-validation";
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, test } from "vitest";
import { withMigrationLock } from "../../src/store/migration-lock.ts";
import { openPostgresCheckpointer } from "../../src/store/postgres-checkpointer.ts";
import { checkpointPath, openSqliteCheckpointer } from "../../src/store/sqlite-checkpointer.ts";
import { startPglite, startPostgres, type TestDatabase } from "../support/postgres.ts";

const ROUNDS = 10;
const TABLES = ["checkpoint_blobs", "checkpoint_migrations", "checkpoint_writes", "checkpoints"];

const folder = mkdtempSync(join(tmpdir(), "mnemail-checkpoints-"));
let files = 0;
const newPath = () => join(folder, `${files++}.db`);

let pglite: TestDatabase;
const server = await startPostgres();

beforeAll(async () => {
  pglite = await startPglite();
});
afterAll(async () => {
  await pglite.stop();
  await server?.stop();
  rmSync(folder, { recursive: true });
});

// LangGraph's suite takes vitest's functions from the global object, when it is called and when it runs.
const borrowed = { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, test };
Object.assign(globalThis, borrowed);
afterAll(() => {
  for (const name of Object.keys(borrowed)) Reflect.deleteProperty(globalThis, name);
});

describe("LangGraph's checkpointer suite", () => {
  const closers = new Map<BaseCheckpointSaver, () => void>();
  specTest({
    // The name by which the suite knows what this saver does not do: it skips one test for it.
    checkpointerName: "@langchain/langgraph-checkpoint-sqlite",
    async createCheckpointer() {
      const { checkpointer, close } = await openSqliteCheckpointer(newPath());
      closers.set(checkpointer, close);
      return checkpointer;
    },
    destroyCheckpointer: (checkpointer) => closers.get(checkpointer)?.(),
  });

  let pool: pg.Pool;
  specTest({
    checkpointerName: "@langchain/langgraph-checkpoint-postgres",
    beforeAll() {
      pool = new pg.Pool({ connectionString: pglite.url, max: 4 });
    },
    afterAll: () => pool.end(),
    createCheckpointer: () => openPostgresCheckpointer(pool),
    async destroyCheckpointer() {
      await pool.query("TRUNCATE checkpoints, checkpoint_blobs, checkpoint_writes");
    },
  });
});

/** A graph that counts a thread's runs and whose node returns bytes that are no UTF-8. */
function countingGraph(checkpointer: BaseCheckpointSaver) {
  const state = Annotation.Root({
    runs: Annotation<number>({ reducer: (sum, more) => sum + more, default: () => 0 }),
    bytes: Annotation<Uint8Array>(),
    nested: Annotation<{ bytes: Uint8Array }>(),
  });
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => 255 - i);
  return new StateGraph(state)
    .addNode("count", () => ({ runs: 1, bytes, nested: { bytes } }))
    .addEdge(START, "count")
    .addEdge("count", END)
    .compile({ checkpointer });
}

/** Runs two threads, reopens in between, and looks at what is there. */
async function expectThreadsToSurvive(open: () => Promise<{ checkpointer: BaseCheckpointSaver; close(): unknown }>) {
  const ada = { configurable: { thread_id: "ada" } };
  const first = await open();
  await countingGraph(first.checkpointer).invoke({ runs: 0 }, ada);
  await first.close();

  const second = await open();
  const graph = countingGraph(second.checkpointer);
  const { values } = await graph.getState(ada);
  expect(values.runs).toBe(1);
  // PostgresSaver gives them as a Buffer.
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => 255 - i);
  expect(Uint8Array.from(values.bytes)).toEqual(bytes);
  expect(values.nested.bytes).toEqual(bytes);
  for await (const { values: earlier } of graph.getStateHistory(ada)) expect(earlier.runs).toBeLessThanOrEqual(1);
  expect((await graph.invoke({ runs: 0 }, ada)).runs).toBe(2);
  expect((await graph.invoke({ runs: 0 }, { configurable: { thread_id: "bob" } })).runs).toBe(1);
  await second.close();
}

describe("the SQLite checkpointer", () => {
  test("keeps each user's thread over a reopening, bytes included", async () => {
    const path = newPath();
    await expectThreadsToSurvive(() => openSqliteCheckpointer(path));
  });

  test("reads pending writes that are bytes, which casts them to text", async () => {
    const path = newPath();
    const { checkpointer, close } = await openSqliteCheckpointer(path);
    const bytes = Uint8Array.from([0, 0xff, 0xc3, 0x28, 0x80]);
    const at = { configurable: { thread_id: "ada", checkpoint_ns: "" } };
    const checkpoint = {
      v: 4,
      id: "1ef00000-0000-6000-8000-000000000000",
      ts: "",
      channel_values: {},
      channel_versions: {},
      versions_seen: {},
    };
    const config = await checkpointer.put(at, checkpoint, { source: "input", step: -1, parents: {} }, {});
    await checkpointer.putWrites(config, [["channel", bytes]], "task");
    close();
    const again = await openSqliteCheckpointer(path);
    expect((await again.checkpointer.getTuple(at))?.pendingWrites).toEqual([["task", "channel", bytes]]);
    again.close();
  });

  test("has a file of its own beside the store's, for its user alone, in WAL mode", async () => {
    expect(checkpointPath("/data/memory.db")).toBe("/data/memory.checkpoints.db");
    expect(checkpointPath("memory.v2.sqlite")).toBe("memory.v2.checkpoints.sqlite");
    expect(checkpointPath("./x/memory")).toBe("./x/memory.checkpoints");
    const path = checkpointPath(join(folder, "own", "memory.db"));
    const { close } = await openSqliteCheckpointer(path);
    expect([path, `${path}-wal`, `${path}-shm`].map((file) => statSync(file).mode & 0o777)).toEqual([
      0o600, 0o600, 0o600,
    ]);
    expect(existsSync(join(folder, "own", "memory.db"))).toBe(false);
    close();
  });

  test("says in one line what is wrong with its file", async () => {
    const path = newPath();
    writeFileSync(path, "not a database, and long enough to be seen as none ".repeat(20));
    await expect(openSqliteCheckpointer(path)).rejects.toMatchObject({
      code: "store",
      message: `${path}: is not a SQLite database or is damaged`,
    });
    await expect(openSqliteCheckpointer(folder)).rejects.toMatchObject({ code: "store" });
  });

  test("is opened and written by processes that start together on an empty file", async () => {
    const module = new URL("../../src/store/sqlite-checkpointer.ts", import.meta.url).href;
    const script = `
      import { createInterface } from "node:readline";
      import { openSqliteCheckpointer } from ${JSON.stringify(module)};
      console.log("ready");
      for await (const path of createInterface({ input: process.stdin })) {
        try {
          const { checkpointer, close } = await openSqliteCheckpointer(path);
          const config = { configurable: { thread_id: String(process.pid), checkpoint_ns: "", checkpoint_id: "1" } };
          for (let i = 0; i < 5; i += 1) await checkpointer.putWrites(config, [["channel", i]], "task" + i);
          close();
          console.log("done");
        } catch (error) { console.log(String(error)); }
      }`;
    const workers = Array.from({ length: 3 }, () => {
      const child = spawn(
        process.execPath,
        ["--import", import.meta.resolve("tsx"), "--input-type=module", "-e", script],
        { stdio: ["pipe", "pipe", "inherit"] },
      );
      return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
    });
    const answers = () => Promise.all(workers.map(async ({ lines }) => (await lines.next()).value));
    expect(await answers()).toEqual(["ready", "ready", "ready"]);
    for (let round = 0; round < ROUNDS; round += 1) {
      const path = newPath();
      for (const { child } of workers) child.stdin.write(`${path}\n`);
      expect(await answers()).toEqual(["done", "done", "done"]);
    }
    await Promise.all(workers.map(({ child }) => [child.stdin.end(), once(child, "exit")][1]));
  });
});

const databases: [string, () => TestDatabase | undefined][] = [
  ["PGlite", () => pglite],
  ["PostgreSQL", () => server],
];

describe.each(databases.filter(([name]) => name === "PGlite" || server))("the checkpointer on %s", (_, database) => {
  const connect = (options: pg.PoolConfig = {}) => {
    const pool = new pg.Pool({ connectionString: database()?.url ?? "", ...options });
    pool.on("error", () => {});
    return pool;
  };
  beforeEach(() => database()?.reset());

  test("keeps each user's thread over a reopening, bytes included", async () => {
    await expectThreadsToSurvive(async () => {
      const pool = connect();
      return { checkpointer: await openPostgresCheckpointer(pool), close: () => pool.end() };
    });
  });

  test("is opened by several pools together on an empty database, every time", async () => {
    // At this level a transaction that waited for the lock sees the tables as they were before, unless it says otherwise.
    const options = "-c default_transaction_isolation=serializable";
    const pools = Array.from({ length: 4 }, () => connect({ options }));
    for (let round = 0; round < ROUNDS; round += 1) {
      await database()?.reset();
      const opened = await Promise.allSettled(pools.map((pool) => openPostgresCheckpointer(pool)));
      expect(opened.filter(({ status }) => status === "rejected")).toEqual([]);
    }
    await Promise.all(pools.map((pool) => pool.end()));
  });

  test("makes do with a pool of one connection, and keeps to the schema of its connection", async () => {
    const admin = connect();
    await admin.query("CREATE SCHEMA apart");
    const pool = connect({ max: 1, connectionTimeoutMillis: 5_000 });
    await pool.query("SET search_path = apart");
    await openPostgresCheckpointer(pool);
    expect(await tablesOf(admin, "apart")).toEqual(TABLES);
    expect(await tablesOf(admin, "public")).toEqual([]);
    // What this version takes for up to date is what upstream's setup() leaves.
    const { rows } = await admin.query("SELECT max(v) AS newest, count(*)::int FROM apart.checkpoint_migrations");
    expect(rows).toEqual([{ newest: 4, count: 5 }]);
    await pool.end();
    await admin.end();
  });

  test("work under the migration lock that fails leaves nothing behind, neither tables nor the lock", async () => {
    const pool = connect({ max: 1 });
    const failing = withMigrationLock(pool, async (client) => {
      await client.query("CREATE TABLE half (id int)");
      throw new Error("broke off");
    });
    await expect(failing).rejects.toThrow("broke off");
    expect(await tablesOf(pool, "public")).toEqual([]);
    const { rows } = await pool.query("SELECT count(*)::int AS locks FROM pg_locks WHERE locktype = 'advisory'");
    expect(rows).toEqual([{ locks: 0 }]);
    expect(await withMigrationLock(pool, async () => "free")).toBe("free");
    await pool.end();
  });
});

async function tablesOf(pool: pg.Pool, schema: string): Promise<unknown[]> {
  const { rows } = await pool.query("SELECT tablename FROM pg_tables WHERE schemaname = $1 ORDER BY 1", [schema]);
  return rows.map(({ tablename }) => tablename);
}

describe.skipIf(server === undefined)("on a PostgreSQL server", () => {
  const connect = (url = server?.url ?? "", options: pg.PoolConfig = {}) => {
    const pool = new pg.Pool({ connectionString: url, ...options });
    pool.on("error", () => {});
    return pool;
  };
  beforeEach(() => server?.reset());

  test("work under the migration lock of one process waits for that of another, even one that dies", async () => {
    const [first, second] = [connect(), connect()];
    const log: string[] = [];
    let waiting: Promise<void> | undefined;
    const dying = withMigrationLock(first, async (client) => {
      waiting = withMigrationLock(second, async () => void log.push("second"));
      const waits = "SELECT count(*)::int AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
      await expect.poll(async () => (await client.query(waits)).rows[0]?.n).toBe(1);
      log.push("first");
      client.on("error", () => {});
      await client.query("SELECT pg_terminate_backend(pg_backend_pid())");
    });
    await expect(dying).rejects.toMatchObject({ code: "57P01" });
    await waiting;
    expect(log).toEqual(["first", "second"]);
    await Promise.all([first.end(), second.end()]);
  });

  test("a role that may not create tables opens what the owner has made, and runs threads there", async () => {
    const owner = connect();
    const url = new URL(server?.url ?? "");
    Object.assign(url, { username: "app", password: "secret" });
    await owner.query("CREATE ROLE app LOGIN PASSWORD 'secret'");
    const app = connect(url.href);
    await expect(openPostgresCheckpointer(app)).rejects.toMatchObject({ code: "42501" });
    await openPostgresCheckpointer(owner);
    await owner.query("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app");
    const graph = countingGraph(await openPostgresCheckpointer(app));
    expect((await graph.invoke({ runs: 0 }, { configurable: { thread_id: "ada" } })).runs).toBe(1);
    await Promise.all([owner.end(), app.end()]);
  });

  test("goes on after the server was restarted", async () => {
    const pool = connect();
    const graph = countingGraph(await openPostgresCheckpointer(pool));
    const ada = { configurable: { thread_id: "ada" } };
    await graph.invoke({ runs: 0 }, ada);
    await server?.stopServer("fast");
    await server?.startServer();
    expect((await graph.invoke({ runs: 0 }, ada)).runs).toBe(2);
    await pool.end();
  });
});
