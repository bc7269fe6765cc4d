import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { externalPostgres, type PostgresServer, startPglite, startPostgres, type TestDatabase } from "./postgres.ts";

async function rowsOf(url: string, ...statements: string[]): Promise<unknown[]> {
  const client = new pg.Client(url);
  // A server that is killed ends the connection between two statements too; the statement tells.
  client.on("error", () => {});
  await client.connect();
  try {
    let rows: unknown[] = [];
    for (const statement of statements) rows = (await client.query(statement)).rows;
    return rows;
  } finally {
    await client.end();
  }
}

const TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace";

const server = await startPostgres();
const folder = await mkdtemp(join(tmpdir(), "mnemail-pglite-"));
afterAll(async () => {
  await server?.stop();
  await rm(folder, { recursive: true });
});

/** What holds for any database of a test. */
function behavesAsDatabase(database: () => TestDatabase) {
  test("runs queries through pg", async () => {
    expect(await rowsOf(database().url, "SELECT 6 * 7 AS answer")).toEqual([{ answer: 42 }]);
  });

  test("reset leaves no table, no schema and no extension, and the database usable, again and again", async () => {
    const { url, hasVectors, reset } = database();
    for (let round = 0; round < 2; round += 1) {
      await rowsOf(url, "CREATE TABLE kept (id int)", "CREATE SCHEMA other CREATE TABLE too (id int)");
      if (hasVectors) {
        await rowsOf(url, "CREATE EXTENSION vector", "CREATE TABLE v (e vector)", "INSERT INTO v VALUES ('[1,2]')");
      }
      await reset();
      expect(await rowsOf(url, TABLES)).toEqual([]);
      expect(await rowsOf(url, "SELECT 1 FROM pg_namespace WHERE nspname = 'other'")).toEqual([]);
      expect(await rowsOf(url, "SELECT 1 FROM pg_extension WHERE extname = 'vector'")).toEqual([]);
    }
  });
}

describe("PGlite", () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await startPglite({ folder });
  });
  afterAll(() => database.stop());

  behavesAsDatabase(() => database);

  test("ranks by pgvector", async () => {
    expect(database.hasVectors).toBe(true);
    const distance = "SELECT '[1,0]'::vector <=> '[0,1]'::vector AS distance";
    expect(await rowsOf(database.url, "CREATE EXTENSION vector", distance)).toEqual([{ distance: 1 }]);
    await database.reset();
  });

  test("reset clears what its one session kept: settings, advisory locks and prepared statements", async () => {
    const client = new pg.Client(database.url);
    await client.connect();
    await client.query("SET statement_timeout = '1234ms'");
    await client.query("SELECT pg_advisory_lock(1)");
    await client.query({ name: "mine", text: "SELECT $1::int", values: [1] });
    await client.end();
    await database.reset();
    const left = `SELECT current_setting('statement_timeout') AS timeout,
      (SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory') AS locks,
      (SELECT count(*)::int FROM pg_prepared_statements) AS prepared`;
    expect(await rowsOf(database.url, left)).toEqual([{ timeout: "0", locks: 0, prepared: 0 }]);
  });

  test("keeps apart the parameters of statements that several connections send at once", async () => {
    const pool = new pg.Pool({ connectionString: database.url, max: 10 });
    const send = async (i: number) => {
      const padding = "x".repeat((i % 7) * 40_000);
      const text = i % 2 ? "SELECT $1::int + length($2) AS v" : "SELECT $1::int * 1000 + length($2) AS v";
      const { rows } = await pool.query(text, [i, padding]);
      return rows[0]?.v - padding.length === (i % 2 ? i : i * 1000);
    };
    const right = await Promise.all(Array.from({ length: 200 }, (_, i) => send(i)));
    await pool.end();
    expect(right.filter((isRight) => !isRight)).toEqual([]);
  });

  test("keeps what a folder holds", async () => {
    await rowsOf(database.url, "CREATE TABLE kept (id int)", "INSERT INTO kept VALUES (7)");
    await database.stop();
    database = await startPglite({ folder });
    expect(await rowsOf(database.url, "SELECT id FROM kept")).toEqual([{ id: 7 }]);
  });
});

describe.skipIf(server === undefined)("a PostgreSQL server", () => {
  const started = (): PostgresServer => {
    if (server === undefined) throw new Error("no server");
    return server;
  };

  behavesAsDatabase(started);

  test("asks for the password and syncs to disk", async () => {
    const { url } = started();
    await expect(rowsOf(url.replace(/:[^:@]+@/, ":wrong@"), "SELECT 1")).rejects.toMatchObject({ code: "28P01" });
    expect(await rowsOf(url, "SHOW fsync")).toEqual([{ fsync: "on" }]);
  });

  test("keeps committed rows over a stop, a hard stop and a crash, and no others", async () => {
    const { url, stopServer, startServer, kill } = started();
    await rowsOf(url, "CREATE TABLE kept (id int)");
    const ways = [() => stopServer("fast"), () => stopServer("immediate"), kill];
    for (const [id, end] of ways.entries()) {
      await rowsOf(url, `INSERT INTO kept VALUES (${id})`);
      const open = new pg.Client(url);
      const lost = new Promise((resolve) => open.on("error", resolve));
      await open.connect();
      await open.query("BEGIN");
      await open.query("INSERT INTO kept VALUES (99)");
      await end();
      await lost;
      await expect(rowsOf(url, "SELECT 1")).rejects.toMatchObject({ code: "ECONNREFUSED" });
      await startServer();
    }
    expect(await rowsOf(url, "SELECT id FROM kept ORDER BY id")).toEqual([{ id: 0 }, { id: 1 }, { id: 2 }]);
    await started().reset();
  });

  test("makes databases that do not see each other", async () => {
    const { createDatabase, url } = started();
    const other = await createDatabase("other");
    await rowsOf(other, "CREATE TABLE elsewhere (id int)");
    expect(await rowsOf(url, TABLES)).toEqual([]);
    expect(await rowsOf(other, TABLES)).toEqual([{ relname: "elsewhere" }]);
  });

  test("stops and clears up when the process that started it is killed", async () => {
    const support = new URL("./postgres.ts", import.meta.url).href;
    const script = `const server = await (await import(${JSON.stringify(support)})).startPostgres();
      console.log(JSON.stringify({ url: server.url, directory: server.dataDirectory }));`;
    const child = spawn(process.execPath, [
      "--import",
      import.meta.resolve("tsx"),
      "--input-type=module",
      "-e",
      script,
    ]);
    const [line] = await once(child.stdout, "data");
    const { url, directory } = JSON.parse(String(line));
    expect(await rowsOf(url, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
    child.kill("SIGKILL");
    await expect
      .poll(() => rowsOf(url, "SELECT 1").then(() => "up", String), { timeout: 10_000 })
      .toMatch("ECONNREFUSED");
    await expect.poll(() => existsSync(join(directory, "..")), { timeout: 10_000 }).toBe(false);
  });

  test("a server that the environment names lends a database of its own for as long as it is used", async () => {
    const before = process.env["TEST_POSTGRES_URL"];
    process.env["TEST_POSTGRES_URL"] = started().url;
    try {
      const [first, second] = [await externalPostgres(), await externalPostgres()];
      if (!first || !second) throw new Error("none was lent");
      await rowsOf(first.url, "CREATE TABLE mine (id int)");
      expect(await rowsOf(second.url, TABLES)).toEqual([]);
      await second.stop();
      await expect(rowsOf(second.url, "SELECT 1")).rejects.toMatchObject({ code: "3D000" });
      expect(await rowsOf(first.url, TABLES)).toEqual([{ relname: "mine" }]);
      await first.stop();
    } finally {
      if (before === undefined) delete process.env["TEST_POSTGRES_URL"];
      else process.env["TEST_POSTGRES_URL"] = before;
    }
    expect(await rowsOf(started().url, "SELECT 1 FROM pg_database WHERE datname LIKE 'mnemail_test_%'")).toEqual([]);
  });
});
