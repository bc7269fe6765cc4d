import { spawn } from "node:child_process";
import { once } from "node:events";
import { statSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { PostgresStore } from "@langchain/langgraph-checkpoint-postgres/store";
import Database from "libsql";
import pg from "pg";
import { afterAll, describe, expect, test } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { renderError } from "../../src/errors.ts";
import { openStore } from "../../src/store/open-store.ts";
import { email, openTestAssistant, temporaryFolder } from "../support/assistant.ts";
import { type CliResult, runCli } from "../support/cli.ts";
import { startPostgres } from "../support/postgres.ts";

const ANA = "ana@home.example";
const PASSWORD = "hunter2-secret";
const SIGN = "Always sign my emails with Ana B.";

const server = await startPostgres();
const folder = temporaryFolder();
afterAll(async () => {
  await server?.stop();
  folder[Symbol.dispose]();
});

const showMemory = (environment: Record<string, string>) => runCli(["memory", "show", "--user", ANA], environment);
const giveFeedback = (environment: Record<string, string>) => runCli(["feedback", "--user", ANA, SIGN], environment);

/** One line that is ours says what is wrong; no stack trace, and no password. */
function expectOneLine({ code, stdout, stderr }: CliResult, says: RegExp): void {
  expect(code).toBe(1);
  expect(stdout).toBe("");
  // Before it a command says where memory is kept and which model answers.
  const problems = stderr.split("\n").filter((line) => line !== "" && !/^mnemail: (memory|model): /.test(line));
  expect(problems).toEqual([expect.stringMatching(says)]);
  expect(stderr).not.toContain(PASSWORD);
  if (server) expect(stderr).not.toContain(new URL(server.url).password);
}

/** Opens a store, whose tables are made by its first use, and writes. */
async function useStore(environment: Record<string, string>): Promise<void> {
  await using store = await openStore(loadConfig({ environment, directory: tmpdir() }).store);
  await store.put(["a"], "kept", { n: 1 }, false);
}

function onSqlite(name: string, ...statements: string[]): unknown[] {
  const database = new Database(folder.path(name));
  let rows: unknown[] = [];
  for (const text of statements) {
    const statement = database.prepare(text);
    rows = statement.reader ? statement.raw().all() : [statement.run()];
  }
  database.close();
  return rows;
}

async function onPostgres(url: string, ...statements: string[]): Promise<unknown[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    let rows: unknown[] = [];
    for (const statement of statements) ({ rows } = await client.query(statement));
    return rows;
  } finally {
    await client.end();
  }
}

/** A database that cannot be used. */
interface Bad {
  name: string;
  environment: Record<string, string>;
  says: RegExp;
  /** All that a failed start may have changed. */
  state?: () => unknown;
  /** What the message asks for; the environment then in force. */
  mend?: () => Promise<Record<string, string>> | Record<string, string>;
}

function refuses(bad: Bad): void {
  test(`${bad.name}: one line; nothing is changed; it works once that is mended`, async () => {
    const before = await bad.state?.();
    expectOneLine(await showMemory(bad.environment), bad.says);
    expect(await bad.state?.()).toEqual(before);
    const mended = await bad.mend?.();
    if (mended) await useStore(mended);
  });
}

describe.concurrent("a SQLite store in use", () => {
  test("that another process locks for too long: one line; nothing is changed; it works afterwards", async () => {
    const name = "locked.db";
    const environment = { STORE_URL: `sqlite:${folder.path(name)}` };
    await useStore(environment);
    const other = new Database(folder.path(name));
    other.exec("BEGIN IMMEDIATE");
    expectOneLine(
      await giveFeedback(environment),
      /locked\.db: was locked by another process for 5 s \(try again; .+\)$/,
    );
    other.exec("ROLLBACK");
    other.close();
    expect(onSqlite(name, "SELECT key FROM store")).toEqual([["kept"]]);
    expect((await giveFeedback(environment)).stdout).toContain("Ana B.");
  });

  test("whose file may not grow: one line; nothing is changed; it works afterwards", async () => {
    const name = "full.db";
    const environment = { STORE_URL: `sqlite:${folder.path(name)}` };
    await useStore(environment);
    // A reader that stays keeps the log from being emptied, so that the next write has to make it longer.
    const other = new Database(folder.path(name));
    other.exec("CREATE TABLE ballast (bytes BLOB); INSERT INTO ballast VALUES (zeroblob(200000)); BEGIN");
    other.prepare("SELECT count(*) FROM ballast").raw().all();
    const limit = Math.ceil(statSync(`${folder.path(name)}-wal`).size / 512) + 1;
    expectOneLine(await giveFeedbackWithin(limit, environment), /full\.db: .*disk.* \(.*nothing was changed\)$/);
    other.exec("COMMIT");
    other.close();
    expect(onSqlite(name, "SELECT key FROM store")).toEqual([["kept"]]);
    expect((await giveFeedback(environment)).stdout).toContain("Ana B.");
  });
});

describe.concurrent("a database that cannot be used", async () => {
  const newer = "newer.db";
  await useStore({ STORE_URL: `sqlite:${folder.path(newer)}` });
  onSqlite(newer, "UPDATE mnemail_meta SET value = '99' WHERE name = 'schema_version'");

  refuses({
    name: "a scheme that is none of ours",
    environment: { STORE_URL: `mysql://ana:${PASSWORD}@db.example/mail` },
    says: /STORE_URL: saw "?mysql:.*; allowed: memory:, sqlite:PATH, postgres:\/\//,
  });
  refuses({
    name: "a server that is not there",
    environment: {
      STORE_URL: `postgres://ana:${PASSWORD}@127.0.0.1:${await closedPort()}/mail`,
      POSTGRES_RETRY_MS: "300",
    },
    says: /\*\*\*@127\.0\.0\.1:\d+\/mail: the server cannot be reached \(tried [2-9] times in 0\.\d s\) \(.+\)$/,
  });
  refuses({
    name: "a SQLite file of a newer version",
    environment: { STORE_URL: `sqlite:${folder.path(newer)}` },
    says: /newer\.db: its schema is of version 99, and this Mnemail knows up to \d+ \(update Mnemail; nothing was changed\)$/,
    state: () => onSqlite(newer, "SELECT name, value FROM mnemail_meta ORDER BY name"),
  });
});

describe.skipIf(server === undefined).concurrent("a PostgreSQL database that cannot be used", async () => {
  if (server === undefined) return;
  const { url } = server;
  const through = (target: string, change: (url: URL) => void) => {
    const changed = new URL(target);
    change(changed);
    return { STORE_URL: changed.href };
  };
  const asRole = (target: string, role: string) =>
    through(target, (to) => {
      [to.username, to.password] = [role, PASSWORD];
    });
  const tablesOf = (target: string) => () =>
    onPostgres(
      target,
      "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1",
    );
  await onPostgres(
    url,
    `CREATE ROLE reader LOGIN PASSWORD '${PASSWORD}'`,
    `CREATE ROLE starter LOGIN PASSWORD '${PASSWORD}'`,
  );
  const [empty, ready, newer, theirs] = await Promise.all([
    server.createDatabase("empty"),
    server.createDatabase("ready"),
    server.createDatabase("newer"),
    server.createDatabase("theirs"),
  ]);
  await Promise.all([ready, newer].map((to) => useStore({ STORE_URL: to })));
  await onPostgres(newer, "UPDATE mnemail_meta SET value = '99' WHERE name = 'schema_version'");
  const upstream = PostgresStore.fromConnString(theirs);
  await upstream.setup();
  await upstream.stop();

  refuses({
    name: "a wrong password",
    environment: through(url, (to) => {
      to.password = PASSWORD;
    }),
    says: /: the user or password was refused \(correct the connection string or POSTGRES_PASSWORD_FILE\)$/,
  });
  refuses({
    name: "no such database",
    environment: through(url, (to) => {
      to.pathname = "/later";
    }),
    says: /\/later: there is no such database \(create it \(createdb\) or correct the name\)$/,
    mend: async () => ({ STORE_URL: await server.createDatabase("later") }),
  });
  refuses({
    name: "a role that may not make the tables",
    environment: asRole(empty, "starter"),
    says: /\/empty: the role lacks a privilege \(permission denied for schema public\) \(see the roles in/,
    state: tablesOf(empty),
    mend: async () => {
      await onPostgres(empty, "GRANT CREATE ON SCHEMA public TO starter");
      return asRole(empty, "starter");
    },
  });
  refuses({
    name: "a role that may not read the tables",
    environment: asRole(ready, "reader"),
    says: /\/ready: the role lacks a privilege \(permission denied for table \w+\) \(see the roles in/,
    mend: async () => {
      await onPostgres(ready, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO reader");
      return asRole(ready, "reader");
    },
  });
  refuses({
    name: "tables of a newer version",
    environment: { STORE_URL: newer },
    says: /\/newer: its schema is of version 99, and this Mnemail knows up to \d+ \(update Mnemail; nothing was changed\)$/,
    state: () => onPostgres(newer, "SELECT name, value FROM mnemail_meta ORDER BY name"),
  });
  refuses({
    name: "the tables of LangGraph.js's PostgresStore",
    environment: { STORE_URL: theirs },
    says: /\/theirs: holds the tables of LangGraph\.js's PostgresStore, .+ \(name another database or schema .+\)$/,
    state: tablesOf(theirs),
    mend: async () => {
      await onPostgres(theirs, "CREATE SCHEMA ours");
      return through(theirs, (to) => to.searchParams.set("options", "-c search_path=ours"));
    },
  });
});

/** Gives feedback in a process whose files may hold so many blocks of 512 bytes; Node ignores the signal of that. */
async function giveFeedbackWithin(blocks: number, environment: Record<string, string>): Promise<CliResult> {
  const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
  const node = [process.execPath, "--import", import.meta.resolve("tsx"), main, "feedback", "--user", ANA, SIGN];
  const child = spawn("/bin/sh", ["-c", 'ulimit -f "$1"; shift; exec "$@"', "sh", String(blocks), ...node], {
    cwd: "/",
    env: { NO_COLOR: "1", ...environment },
  });
  const out = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      out[name] += text;
    });
  }
  const [code] = await once(child, "close");
  return { code, ...out };
}

describe("an embedding model that fails", () => {
  const question = email({ id: "q", body: "Could you tell me when the next release is planned?" });

  test.each([
    ["is down", "server_error", /^the model server failed \(500\) \(try again later; the feedback is kept: .+\)$/],
    ["answers with other dimensions", "nonsense", /answered with 1 dimensions, and the vectors kept have \d+ \(.+\)$/],
  ] as const)(
    "because it %s: emails are handled by words; feedback is refused in one line, and kept once it works",
    async (_, kind, says) => {
      using own = temporaryFolder();
      const environment = { STORE_URL: `sqlite:${own.path("m.db")}` };
      {
        await using well = await openTestAssistant(environment);
        await well.handle(ANA, { ...question, id: "first" });
        await well.learn(ANA, { kind: "relabel", email_id: "first", label: "notify" });
      }
      {
        await using failing = await openTestAssistant(environment, {
          faults: [{ when: { path: "embeddings" }, kind }],
        });
        expect(await failing.handle(ANA, question)).toMatchObject({ status: "done" });
        expect(failing.warnings.filter((line) => line.includes("searched by words alone"))).toHaveLength(1);
        const refusal = await failing
          .learn(ANA, { kind: "relabel", email_id: "q", label: "ignore" })
          .catch(renderError);
        expect(refusal).toMatch(says);
        expect((await failing.memory.readAll(ANA)).semantic.map(({ record }) => record.label)).toEqual(["notify"]);
      }
      await using well = await openTestAssistant(environment);
      await well.learn(ANA, { kind: "relabel", email_id: "q", label: "ignore" });
      expect((await well.memory.readAll(ANA)).semantic.map(({ record }) => record.label)).toContain("ignore");
    },
  );
});

async function closedPort(): Promise<number> {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const address = listener.address();
  listener.close();
  if (typeof address !== "object" || address === null) throw new Error("no port");
  return address.port;
}
