import type { BaseCheckpointSaver } from "@langchain/langgraph-checkpoint";
import { PostgresSaver } from "@langchain/langgraph-checkpoint-postgres";
import type pg from "pg";
import { z } from "zod";
import { withMigrationLock } from "./migration-lock.ts";
import { vacuumTables } from "./postgres-vacuum.ts";

/** The last migration of the installed PostgresSaver; they count from 0. */
const NEWEST_POSTGRES_MIGRATION = 4;

/**
 * Opens LangGraph's PostgresSaver on a pool, which stays the caller's. Its tables are those of the schema in which this
 * connection creates tables. Where they are up to date they are only read, so that a role may do that has no right to
 * create any; to make them takes a role that may create schemas, since `setup()` asks for one in any case.
 *
 * @throws what `pg` throws.
 */
export async function openPostgresCheckpointer(pool: pg.Pool): Promise<BaseCheckpointSaver> {
  const { schema, isUpToDate } = await readTables(pool);
  if (!isUpToDate) {
    await withMigrationLock(pool, async (client) => {
      if ((await readTables(client)).isUpToDate) return;
      // setup() reads this table first and takes an error for its absence, which would end the transaction.
      await client.query(`CREATE TABLE IF NOT EXISTS "${schema}".checkpoint_migrations (v INTEGER PRIMARY KEY)`);
      await new PostgresSaver(lending(pool, client), undefined, { schema }).setup();
    });
  }
  return new PostgresSaver(pool, undefined, { schema });
}

/** Whether threads were ever kept in the schema of this connection; makes no tables. @throws what `pg` throws. */
export async function hasCheckpointTables(pool: pg.Pool): Promise<boolean> {
  return (await readTables(pool)).hasTable;
}

/**
 * The threads of a user, the one with the newest checkpoint first, without reading them. A channel's value is kept
 * apart, as JSON (PostgresSaver of langgraph-checkpoint-postgres).
 *
 * @throws what `pg` throws.
 */
export async function threadIdsOnPostgres(pool: pg.Pool, userId: string): Promise<string[]> {
  const { schema } = await readTables(pool);
  const { rows } = await pool.query(
    `SELECT newest.thread_id FROM (
      SELECT DISTINCT ON (thread_id) thread_id, checkpoint_id, checkpoint -> 'channel_versions' ->> 'user_id' AS version
      FROM "${schema}".checkpoints WHERE checkpoint_ns = '' ORDER BY thread_id, checkpoint_id DESC
    ) AS newest
    JOIN "${schema}".checkpoint_blobs AS owner ON owner.thread_id = newest.thread_id AND owner.checkpoint_ns = ''
      AND owner.channel = 'user_id' AND owner.version = newest.version
    WHERE owner.blob = $1 ORDER BY newest.checkpoint_id DESC`,
    [Buffer.from(JSON.stringify(userId))],
  );
  return z
    .array(z.object({ thread_id: z.string() }))
    .parse(rows)
    .map((row) => row.thread_id);
}

/** Has PostgreSQL take deleted threads out of its tables; returns what it refused. @throws what `pg` throws. */
export async function eraseThreadsOnPostgres(pool: pg.Pool): Promise<string[]> {
  return vacuumTables(pool, ["checkpoints", "checkpoint_blobs", "checkpoint_writes"]);
}

async function readTables(
  on: pg.Pool | pg.PoolClient,
): Promise<{ schema: string; hasTable: boolean; isUpToDate: boolean }> {
  const { rows } = await on.query(`SELECT schema, to_regclass(format('%I.checkpoint_migrations', schema)) IS NOT NULL
    AS has_table FROM coalesce(current_schema(), 'public') AS schema`);
  const [{ schema, has_table }] = z.tuple([z.object({ schema: z.string(), has_table: z.boolean() })]).parse(rows);
  if (!has_table) return { schema, hasTable: false, isUpToDate: false };
  const found = await on.query(`SELECT max(v) AS version FROM "${schema}".checkpoint_migrations`);
  const [{ version }] = z.tuple([z.object({ version: z.number().nullable() })]).parse(found.rows);
  return { schema, hasTable: true, isUpToDate: (version ?? -1) >= NEWEST_POSTGRES_MIGRATION };
}

/** The pool, but with only one connection, which is in use: a pool of one connection could give no second. */
function lending(pool: pg.Pool, client: pg.PoolClient): pg.Pool {
  const lent = new Proxy(client, {
    get: (target, name) => (name === "release" ? () => {} : Reflect.get(target, name, target)),
  });
  return new Proxy(pool, {
    get: (target, name) => (name === "connect" ? async () => lent : Reflect.get(target, name, target)),
  });
}
