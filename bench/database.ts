import { randomBytes } from "node:crypto";
import { join } from "node:path";
import pg from "pg";
import { z } from "zod";
import { MnemailError } from "../src/errors.ts";
import { maskUrl } from "../src/store-config/masks.ts";
import { startChild } from "./child.ts";

/**
 * That of the databases which servers make. PGlite's own is C, in which `LIKE 'x%'` can use an index that it cannot
 * use in others.
 */
const LOCALE = "en_US.UTF-8";

/** An empty PostgreSQL database for one run. */
export interface BenchDatabase {
  url: string;
  /** Server, extension and collation, for the report. */
  description: string;
  stop(): Promise<void>;
}

/**
 * A database of its own in the server of a URL, dropped at the end; PGlite on disk, in a process of its own, without one.
 *
 * @throws MnemailError("store") for a server without pgvector or one that cannot be reached.
 */
export async function openDatabase(server: string | undefined, folder: string): Promise<BenchDatabase> {
  if (server === undefined) {
    const child = startChild("pglite-server.ts", [join(folder, "pglite"), LOCALE]);
    const url = await child.next();
    return { url, description: await describe(url), stop: () => child.end() };
  }
  const name = `mnemail_bench_${randomBytes(6).toString("hex")}`;
  await query(server, `CREATE DATABASE "${name}"`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  const stop = async () => void (await query(server, `DROP DATABASE "${name}" WITH (FORCE)`));
  try {
    return { url: url.href, description: await describe(url.href), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const rowsSchema = z.tuple([z.object({ server: z.string(), vector: z.string().nullable(), locale: z.string() })]);

async function describe(url: string): Promise<string> {
  const rows = await query(
    url,
    `SELECT version() AS server, (SELECT default_version FROM pg_available_extensions WHERE name = 'vector') AS vector,
       (SELECT coalesce(datcollate, '') FROM pg_database WHERE datname = current_database()) AS locale`,
  );
  const [{ server, vector, locale }] = rowsSchema.parse(rows);
  if (vector === null) {
    throw new MnemailError(
      "store",
      `${maskUrl(url)}: the server has no pgvector`,
      "install it there, or leave --postgres out",
    );
  }
  return `${server.split(" on ")[0]}, pgvector ${vector}, collation ${locale}`;
}

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  client.on("error", () => {});
  try {
    await client.connect();
    return (await client.query(text)).rows;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new MnemailError("store", `${maskUrl(url)}: ${why}`, "check --postgres", { cause: error });
  } finally {
    await client.end().catch(() => {});
  }
}
