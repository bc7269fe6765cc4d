import { readFileSync } from "node:fs";
import pg from "pg";
import { z } from "zod";
import { MnemailError } from "../errors.ts";
import { maskUrl } from "../store-config/masks.ts";
import type { PostgresConfig } from "../store-config/store-config.ts";

const FIRST_RETRY_MS = 50;
const LONGEST_RETRY_MS = 1_000;

/** The server is away. PostgreSQL, appendix A: connection exceptions, shutdown, crash, starting up. */
const AWAY_CODES = new Set([
  ..."ECONNREFUSED ECONNRESET EPIPE ETIMEDOUT EHOSTUNREACH ENETUNREACH ENOENT EAI_AGAIN".split(" "),
  ..."08000 08001 08003 08004 08006 57P01 57P02 57P03".split(" "),
]);
/**
 * The server is there, and the same again may work: serialization failure, deadlock; no connection left; and a pooler
 * that gave this session to others, where the driver goes on without prepared statements.
 */
const AGAIN_CODES = new Set("40001 40P01 53300 26000 42P05".split(" "));
const AWAY_TEXT =
  /Connection terminated|Query read timeout|timeout exceeded when trying to connect|Client has encountered a connection error/;

const failureSchema = z.object({
  code: z.string().catch(""),
  message: z.string().catch(""),
  errors: z.array(z.unknown()).catch([]),
});

/** What is known of a failure; a refused connection to a name with several addresses holds one failure for each. */
function failureOf(error: unknown): { code: string; text: string } {
  const { code, message, errors } = failureSchema.parse(error);
  if (errors.length > 0 && message === "") return failureOf(errors[0]);
  return { code, text: message.replace(/\s+/g, " ").trim() };
}

/**
 * Opens a pool on the database of a configuration: no connection is made yet. A connection that is lost while it
 * idles, as when the server restarts, is told to `warn` and replaced when it is needed.
 *
 * @throws MnemailError("store") for TLS files that cannot be read.
 */
export function openPostgresPool(config: PostgresConfig, warn: (line: string) => void = () => {}): pg.Pool {
  try {
    const { passwordFile } = config;
    const url = new URL(config.url);
    // A password in the connection string would win over the file.
    if (passwordFile !== undefined) url.password = "";
    const pool = new pg.Pool({
      connectionString: url.href,
      // Read for each connection, so that a password can be changed without a restart.
      ...(passwordFile === undefined ? {} : { password: () => readPassword(passwordFile) }),
      max: config.poolMax,
      idleTimeoutMillis: config.idleTimeoutMs,
      connectionTimeoutMillis: config.connectTimeoutMs,
      // The server ends a statement that takes too long; a server that is silent itself is given up a little later.
      ...(config.statementTimeoutMs > 0
        ? {
            statement_timeout: config.statementTimeoutMs,
            query_timeout: config.statementTimeoutMs + config.connectTimeoutMs,
          }
        : {}),
      application_name: "mnemail",
      keepAlive: true,
      // Idle connections do not keep a script alive that forgot to close its store.
      allowExitOnIdle: true,
    });
    pool.on("error", (error) => warn(`${maskUrl(config.url)}: an idle connection was lost (${failureOf(error).text})`));
    // An error of a connection in use reaches its query; without a listener it would also end the process.
    pool.on("connect", (client) => client.on("error", () => {}));
    return pool;
  } catch (error) {
    throw postgresError(config, error);
  }
}

function readPassword(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    throw new MnemailError("store", `POSTGRES_PASSWORD_FILE: ${path} cannot be read`, "make it readable or unset it", {
      cause: error,
    });
  }
}

/** When a server was last given up. An email makes several calls: only the first of them waits for the server. */
const givenUpAt = new WeakMap<PostgresConfig, number>();

/**
 * Runs `run` again, for as long as the configuration says, while the server is away, restarting, or made this
 * transaction give way. After it was given up, it is tried once only for as long again.
 *
 * @throws MnemailError("store") in one line, secrets masked.
 */
export async function withRetry<T>(config: PostgresConfig, run: () => Promise<T>): Promise<T> {
  const started = Date.now();
  const isGivenUp = started - (givenUpAt.get(config) ?? Number.NEGATIVE_INFINITY) < config.retryMs;
  for (let attempt = 0; ; attempt += 1) {
    try {
      const result = await run();
      givenUpAt.delete(config);
      return result;
    } catch (error) {
      const delay = Math.min(FIRST_RETRY_MS * 2 ** attempt, LONGEST_RETRY_MS);
      const mayWork = isAway(error) ? !isGivenUp : AGAIN_CODES.has(failureOf(error).code);
      if (!mayWork || Date.now() + delay > started + config.retryMs) {
        if (isAway(error) && !isGivenUp) givenUpAt.set(config, Date.now());
        throw postgresError(config, error, { attempts: attempt + 1, elapsedMs: Date.now() - started });
      }
      await new Promise((resolve) => setTimeout(resolve, delay));
    }
  }
}

/** Whether a prepared statement was lost, or is there already, as behind a pooler that knows nothing of them. */
export function isPreparationLost(error: unknown): boolean {
  return ["26000", "42P05"].includes(failureOf(error).code);
}

function isAway(error: unknown): boolean {
  if (error instanceof MnemailError) return false;
  const { code, text } = failureOf(error);
  return AWAY_CODES.has(code) || AWAY_TEXT.test(text);
}

/** One line for what went wrong with a database, in the terms of who has to mend it; secrets masked. */
export function postgresError(
  config: PostgresConfig,
  error: unknown,
  tried?: { attempts: number; elapsedMs: number },
): MnemailError {
  if (error instanceof MnemailError) return error;
  const { code, text } = failureOf(error);
  const because = (what: string, hint: string) =>
    new MnemailError("store", `${maskUrl(config.url)}: ${what}`, hint, { cause: error });
  const often =
    tried && tried.attempts > 1 ? ` (tried ${tried.attempts} times in ${(tried.elapsedMs / 1_000).toFixed(1)} s)` : "";
  if (["28P01", "28000"].includes(code) || /SASL|password/i.test(text)) {
    return because("the user or password was refused", "correct the connection string or POSTGRES_PASSWORD_FILE");
  }
  if (code === "3D000") return because("there is no such database", "create it (createdb) or correct the name");
  if (code === "42501") {
    return because(`the role lacks a privilege (${text})`, "see the roles in docs/operations.md");
  }
  if (code === "53300") {
    return because("the server has no connection left", "lower POSTGRES_POOL_MAX or put a pooler before the server");
  }
  if (["53100", "58030"].includes(code) || /No space left/i.test(text)) {
    return because("the disk of the server is full", "free some space; nothing was changed");
  }
  if (code === "25006") return because("this server is a read-only replica", "name the primary");
  if (code === "57014") {
    return because("a statement took too long", "raise POSTGRES_STATEMENT_TIMEOUT_MS; nothing was changed");
  }
  if (["40001", "40P01"].includes(code)) {
    return because(`other writers were always first${often}`, "try again; nothing was changed");
  }
  if (code === "42P01" || code === "42703") {
    return because(`the tables are not as they should be (${text})`, "run `mnemail memory doctor`");
  }
  if (/self.signed|certificate|altname|SSL|TLS/i.test(`${code} ${text}`)) {
    return because(
      `no TLS connection (${text})`,
      "set sslmode and sslrootcert in the connection string as the server asks for",
    );
  }
  if (code === "ENOENT" && text.includes("open")) {
    return because(`a TLS file cannot be read (${text})`, "correct sslrootcert, sslcert or sslkey");
  }
  if (code === "3F000") {
    return because("the schema of its search_path does not exist", "create it (CREATE SCHEMA) or correct search_path");
  }
  if (code === "ENOTFOUND") return because("the host is not known", "correct the host of the connection string");
  if (isAway(error)) {
    return because(
      `the server cannot be reached${often}`,
      "start it, or correct host and port; a change under way may have been made or not",
    );
  }
  return because(text || code || String(error), "nothing was changed");
}

/** The error for a conditional put of which nothing can be said (`putIf`). */
export function unknownOutcome({ url }: PostgresConfig): MnemailError {
  const what = `${maskUrl(url)}: the connection was lost during a change, and others have changed the same items since`;
  return new MnemailError("store", `${what}: it is not known whether it was made`, "look, and make it again if not");
}
