import { execFile, execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { accessSync, chownSync, constants, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { PGlite } from "@electric-sql/pglite";
import { vector } from "@electric-sql/pglite-pgvector";
import { PGLiteSocketServer } from "@electric-sql/pglite-socket";
import pg from "pg";
import { type GuardedServer, launchGuarded } from "./guarded-server.ts";

const run = promisify(execFile);

/** How long a server may take to start, in milliseconds. */
const START_MS = 30_000;
/** Below Linux's ephemeral ports, since while the server is down some connection of a test may be given one of those. */
const PORTS = { from: 15_000, to: 32_000 };
const PGLITE_CONNECTIONS = 20;

/** A PostgreSQL database for tests. */
export interface TestDatabase {
  /** For the names of tests. */
  name: string;
  url: string;
  /** Whether `CREATE EXTENSION vector` works. */
  hasVectors: boolean;
  /** Empties the database, extensions included. Ten seconds behind somebody's open transaction are an error. */
  reset(): Promise<void>;
  stop(): Promise<void>;
}

/** A PostgreSQL server of our own, which dies with the test process. */
export interface PostgresServer extends TestDatabase {
  dataDirectory: string;
  /** "fast" ends sessions and writes a checkpoint; "immediate" leaves recovery to the next start. */
  stopServer(mode: "fast" | "immediate"): Promise<void>;
  /** Starts it again at the same port, ready when this returns. */
  startServer(): Promise<void>;
  /** A crash: SIGKILL of the postmaster and of all its children. */
  kill(): Promise<void>;
  /** Makes another database in the server, and returns its URL. */
  createDatabase(name: string): Promise<string>;
}

/**
 * Starts PGlite, a PostgreSQL 18 in this process, with pgvector, reachable by `pg` at `url`; kept in `folder`, or in
 * memory. The first start takes 3 to 4 s. All connections (at most 20) are one session, which was measured to mean:
 *
 * - A setting made by one connection holds for all, and outlives it; what `pg` sends at its start (`statement_timeout`,
 *   `application_name`, `options`), user, password and database name are ignored.
 * - Advisory locks exclude nobody (each "other" connection gets the lock too) and stay when their connection ends.
 * - A transaction has the database for itself: all other connections wait from its BEGIN to its end, so two transactions
 *   never run at once, no deadlock or serialization failure comes about, and a test that awaits a second connection
 *   within a transaction of the first hangs. A connection that ends rolls its transaction back.
 * - A named prepared statement belongs to all: preparing the same name on another or a later connection fails with
 *   42P05 until `reset`. Use unnamed statements (`prepare: false`) or one connection for one `reset`.
 * - Temporary tables are shared, `pg_backend_pid()` is always the same, cancel requests are ignored, `fsync` is off.
 *
 * So it proves SQL and vectors; concurrency, restarts and locks need {@link startPostgres}.
 */
export async function startPglite(options: { folder?: string } = {}): Promise<TestDatabase> {
  const database = await PGlite.create({
    extensions: { vector },
    ...(options.folder === undefined ? {} : { dataDir: options.folder }),
  });
  keepTogether(database);
  const host = "127.0.0.1";
  const server = new PGLiteSocketServer({ db: database, host, port: 0, maxConnections: PGLITE_CONNECTIONS });
  await server.start();
  const url = `postgresql://postgres@${server.getServerConn()}/postgres`;
  return {
    name: "PGlite",
    url,
    hasVectors: await hasVectors(url),
    async reset() {
      await empty(url);
      // The one session keeps its settings, prepared statements and advisory locks otherwise.
      await query(url, "DISCARD ALL");
    },
    async stop() {
      await server.stop();
      await database.close();
    },
  };
}

/**
 * The socket server queues single messages, and lets another connection in between those of one statement, unless a
 * transaction is open: of 200 parallel queries with long parameters, up to 2 got the answer of another. Here a
 * transaction counts as open until the message that ends a statement: Sync, Query or Terminate.
 */
function keepTogether(database: PGlite): void {
  const execute = database.execProtocolRawStream.bind(database);
  const isInTransaction = database.isInTransaction.bind(database);
  let isOpen = false;
  database.execProtocolRawStream = (message, options) => {
    isOpen = "PBDECHF".includes(String.fromCharCode(message[0] ?? 0));
    return execute(message, options);
  };
  database.isInTransaction = () => isOpen || isInTransaction();
}

/**
 * The server that the environment variable TEST_POSTGRES_URL names, if it does: each call makes a database of its own
 * there, which `stop` drops.
 */
export async function externalPostgres(): Promise<TestDatabase | undefined> {
  const server = process.env["TEST_POSTGRES_URL"];
  if (!server) return undefined;
  const name = `mnemail_test_${randomBytes(6).toString("hex")}`;
  const url = await createDatabase(server, name);
  return {
    name: "TEST_POSTGRES_URL",
    url,
    hasVectors: await hasVectors(url),
    reset: () => empty(url),
    stop: async () => {
      await query(server, `DROP DATABASE "${name}" WITH (FORCE)`);
    },
  };
}

let toldWhyNot = false;

/**
 * Starts the PostgreSQL server of this machine on a port and in a directory of its own, with `fsync` on and a random
 * password; as another user where we are root, since it refuses to be. It stops when the pipe to this process closes,
 * however this process ends. Takes 1 to 3 s. Without binaries it says so once and returns undefined.
 */
export async function startPostgres(): Promise<PostgresServer | undefined> {
  const binaries = findBinaries();
  if (binaries === undefined) {
    if (!toldWhyNot) console.warn("no PostgreSQL here: neither initdb and postgres in /usr/lib/postgresql nor on PATH");
    toldWhyNot = true;
    return undefined;
  }
  const owner: { uid?: number; gid?: number } = process.getuid?.() === 0 ? unprivilegedUser() : {};
  const directory = mkdtempSync(join(tmpdir(), "mnemail-postgres-"));
  if (owner.uid !== undefined && owner.gid !== undefined) chownSync(directory, owner.uid, owner.gid);
  const place = { ...owner, directory, binaries, port: await freePort() };
  const password = randomBytes(18).toString("base64url");
  const dataDirectory = await initialize(place, password);
  const url = `postgresql://mnemail:${password}@127.0.0.1:${place.port}/postgres`;

  let running: GuardedServer | undefined = await launch(place, url);
  const end = async (stop: (server: GuardedServer) => Promise<void> | void) => {
    if (running === undefined) throw new Error("the PostgreSQL server is not running");
    await stop(running);
    await running.ended;
    running = undefined;
  };
  return {
    name: `PostgreSQL ${readFileSync(join(dataDirectory, "PG_VERSION"), "utf8").trim()}`,
    url,
    dataDirectory,
    hasVectors: await hasVectors(url),
    reset: () => empty(url),
    async stop() {
      if (running) await end(({ pid }) => void process.kill(pid, "SIGQUIT"));
      await rm(directory, { recursive: true, force: true });
    },
    stopServer: (mode) => end(({ pid }) => void process.kill(pid, mode === "fast" ? "SIGINT" : "SIGQUIT")),
    async startServer() {
      if (running === undefined) running = await launch(place, url);
    },
    kill: () => end(({ pid }) => killFamily(pid)),
    createDatabase: (name) => createDatabase(url, name),
  };
}

interface Place {
  directory: string;
  binaries: string;
  port: number;
  uid?: number;
  gid?: number;
}

async function initialize({ directory, binaries, uid, gid }: Place, password: string): Promise<string> {
  const passwordFile = join(directory, "password");
  const data = join(directory, "data");
  await writeFile(passwordFile, password, { mode: 0o600 });
  if (uid !== undefined && gid !== undefined) chownSync(passwordFile, uid, gid);
  const how = "--username=mnemail --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-sync".split(" ");
  await run(join(binaries, "initdb"), ["--pgdata", data, "--pwfile", passwordFile, ...how], {
    cwd: directory,
    env: {},
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
  });
  await rm(passwordFile);
  return data;
}

/** Starts the server of a place; returns when it answers queries. */
async function launch({ directory, binaries, port, uid, gid }: Place, url: string): Promise<GuardedServer> {
  const settings = [`port=${port}`, "listen_addresses=127.0.0.1", `unix_socket_directories=${directory}`, "fsync=on"];
  const command = [join(binaries, "postgres"), "-D", join(directory, "data"), ...settings.flatMap((s) => ["-c", s])];
  const launched = await launchGuarded({ folder: directory, command, signal: "QUIT", uid, gid });
  const answers = await eventually(
    () => query(url, "SELECT 1"),
    () => launched.shell.exitCode === null,
  );
  if (!answers)
    throw new Error(`PostgreSQL did not start: ${readFileSync(join(directory, "log"), "utf8").slice(-2000)}`);
  return launched;
}

/** Kills a process and its children, none of which gets to see that another is gone. */
async function killFamily(pid: number): Promise<void> {
  process.kill(pid, "SIGSTOP");
  const { stdout } = await run("pgrep", ["-P", String(pid)]);
  const children = stdout.trim().split("\n").map(Number);
  for (const each of [...children, pid]) process.kill(each, "SIGKILL");
  // A dead process that nobody waits for stays as a zombie.
  const isGone = async (child: number) => {
    const state = await run("ps", ["-o", "state=", "-p", String(child)]).catch(() => ({ stdout: "" }));
    if (!/^[^Z]/.test(state.stdout.trim())) return;
    throw new Error(`process ${child} is still there`);
  };
  for (const child of children) await eventually(() => isGone(child));
}

/** Tries until it succeeds; false when the time is over, or when it no longer makes sense. */
async function eventually(attempt: () => Promise<unknown>, hope: () => boolean = () => true): Promise<boolean> {
  const until = Date.now() + START_MS;
  while (Date.now() < until && hope()) {
    try {
      await attempt();
      return true;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  return false;
}

/** The folder that holds both initdb and postgres, of the newest version under /usr/lib/postgresql first. */
function findBinaries(): string | undefined {
  const root = "/usr/lib/postgresql";
  let versions: string[] = [];
  try {
    versions = readdirSync(root).sort((a, b) => Number(b) - Number(a));
  } catch {}
  const folders = [
    ...versions.map((version) => join(root, version, "bin")),
    "/usr/local/bin",
    ...(process.env["PATH"] ?? "").split(delimiter),
  ];
  const isExecutable = (path: string) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  };
  return folders.find((folder) => ["initdb", "postgres"].every((program) => isExecutable(join(folder, program))));
}

function unprivilegedUser(): { uid: number; gid: number } {
  const idOf = (option: string, user: string) =>
    Number(execFileSync("id", [option, user], { stdio: ["ignore", "pipe", "ignore"] }));
  for (const user of ["postgres", "nobody"]) {
    try {
      return { uid: idOf("-u", user), gid: idOf("-g", user) };
    } catch {}
  }
  throw new Error("PostgreSQL refuses to run as root, and there is neither a user postgres nor a user nobody");
}

async function freePort(): Promise<number> {
  for (;;) {
    const port = PORTS.from + Math.floor(Math.random() * (PORTS.to - PORTS.from));
    const server = createServer().listen(port, "127.0.0.1");
    const isFree = await once(server, "listening").then(
      () => true,
      () => false,
    );
    server.close();
    if (isFree) return port;
  }
}

async function query(url: string, ...statements: string[]): Promise<pg.QueryResult[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000, query_timeout: 10_000 });
  client.on("error", () => {});
  try {
    await client.connect();
    const results: pg.QueryResult[] = [];
    for (const statement of statements) results.push(await client.query(statement));
    return results;
  } finally {
    await client.end();
  }
}

async function createDatabase(server: string, name: string): Promise<string> {
  await query(server, `CREATE DATABASE "${name}"`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
}

async function hasVectors(url: string): Promise<boolean> {
  const [result] = await query(url, "SELECT 1 FROM pg_available_extensions WHERE name = 'vector'");
  return result?.rowCount === 1;
}

/** Drops all schemas but PostgreSQL's own, and with them their extensions. */
async function empty(url: string): Promise<void> {
  const drop = `DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$)' LOOP
      EXECUTE format('DROP SCHEMA %I CASCADE', name);
    END LOOP;
  END $$`;
  await query(url, drop, "CREATE SCHEMA public", "GRANT USAGE ON SCHEMA public TO public");
}
