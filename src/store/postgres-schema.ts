import type pg from "pg";
import { z } from "zod";
import { MnemailError } from "../errors.ts";
import { maskUrl } from "../store-config/masks.ts";
import type { PostgresConfig } from "../store-config/store-config.ts";
import { withMigrationLock } from "./migration-lock.ts";

/** The newest schema this version knows; each number is one migration below. */
const SCHEMA_VERSION = 1;

// The tables, indexes and migration numbers of Python LangGraph's PostgresStore (langgraph-checkpoint-postgres,
// `langgraph/store/postgres/base.py`), so that both can share a database and its setup() finds its work done.
const MIGRATIONS: Record<number, string> = {
  1: `
CREATE TABLE IF NOT EXISTS store (
  prefix text NOT NULL,
  key text NOT NULL,
  value jsonb NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (prefix, key)
);
CREATE INDEX IF NOT EXISTS store_prefix_idx ON store USING btree (prefix text_pattern_ops);
ALTER TABLE store
  ADD COLUMN IF NOT EXISTS expires_at TIMESTAMP WITH TIME ZONE, ADD COLUMN IF NOT EXISTS ttl_minutes INT;
CREATE INDEX IF NOT EXISTS idx_store_expires_at ON store (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS store_migrations (v INTEGER PRIMARY KEY);
INSERT INTO store_migrations (v) VALUES (0), (1), (2), (3) ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS mnemail_unembedded (
  prefix text NOT NULL,
  key text NOT NULL,
  field_name text NOT NULL,
  PRIMARY KEY (prefix, key, field_name),
  FOREIGN KEY (prefix, key) REFERENCES store (prefix, key) ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS mnemail_unembedded_prefix_idx ON mnemail_unembedded (prefix text_pattern_ops);`,
};

// Migration 2 of Python's, an HNSW index over all users, is recorded as done and not made: with a namespace filter it
// finds too little (recall@5 measured from 0.00 to 0.70), and every put would pay for it.
// Vectors of one page stay in their row (a page read less for each); longer ones go beside it, uncompressed.
const VECTORS = `
CREATE TABLE IF NOT EXISTS store_vectors (
  prefix text NOT NULL,
  key text NOT NULL,
  field_name text NOT NULL,
  embedding vector,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (prefix, key, field_name),
  FOREIGN KEY (prefix, key) REFERENCES store (prefix, key) ON DELETE CASCADE
);
ALTER TABLE store_vectors ALTER COLUMN embedding SET STORAGE EXTERNAL;
ALTER TABLE store_vectors SET (toast_tuple_target = 8160);
CREATE INDEX IF NOT EXISTS mnemail_vectors_prefix_idx ON store_vectors (prefix text_pattern_ops);
CREATE TABLE IF NOT EXISTS vector_migrations (v INTEGER PRIMARY KEY);
INSERT INTO vector_migrations (v) VALUES (0), (1), (2) ON CONFLICT DO NOTHING;
INSERT INTO mnemail_meta (name, value) VALUES ('vector_schema_version', '1') ON CONFLICT DO NOTHING;`;

type Queryable = Pick<pg.Pool, "query">;

/** What a database was found to be, after its tables were seen to. */
export interface PostgresSchema {
  /** The type `vector`, where vectors can be kept. */
  vectorOid: number | undefined;
  /** Why they cannot. */
  withoutVectors: string | undefined;
}

const stateSchema = z.tuple([
  z.object({
    has_meta: z.boolean(),
    foreign_layout: z.boolean(),
    vector_oid: z.number().nullable(),
    vector_available: z.boolean(),
    vector_type: z.string().nullable(),
  }),
]);

/**
 * Sees to the tables of a database: numbered migrations, each in one transaction under a lock, so that processes that
 * start together do not meet. A database that is up to date is only read, so that a role without the right to create
 * tables can use it.
 *
 * @throws MnemailError("store") for a database of a newer version or with the tables of another program.
 */
export async function preparePostgres(pool: pg.Pool, config: PostgresConfig): Promise<PostgresSchema> {
  const where = maskUrl(config.url);
  const due = await whatIsDue(pool, where);
  if (due === "tables") await migrate(pool, where);
  // A role without that right goes on by words, until an owner has started once.
  if (due === "vectors") await migrate(pool, where).catch(() => {});
  return describe(await readState(pool));
}

async function whatIsDue(client: Queryable, where: string): Promise<"tables" | "vectors" | "nothing"> {
  const state = await readState(client);
  if (state.foreign_layout) {
    throw new MnemailError(
      "store",
      `${where}: holds the tables of LangGraph.js's PostgresStore, which have the names of ours`,
      "name another database or schema (?options=-c%20search_path%3DNAME), or inject that store yourself",
    );
  }
  if (!state.has_meta) return "tables";
  const { rows } = await client.query("SELECT name, value FROM mnemail_meta");
  const meta = new Map(
    z
      .array(z.object({ name: z.string(), value: z.string() }))
      .parse(rows)
      .map((row) => [row.name, row.value]),
  );
  const version = Number(meta.get("schema_version") ?? 0);
  if (version > SCHEMA_VERSION) {
    throw new MnemailError(
      "store",
      `${where}: its schema is of version ${version}, and this Mnemail knows up to ${SCHEMA_VERSION}`,
      "update Mnemail; nothing was changed",
    );
  }
  if (version < SCHEMA_VERSION) return "tables";
  return state.vector_oid !== null && !meta.has("vector_schema_version") ? "vectors" : "nothing";
}

async function migrate(pool: pg.Pool, where: string): Promise<void> {
  await withMigrationLock(pool, async (client) => {
    await client.query("CREATE TABLE IF NOT EXISTS mnemail_meta (name text PRIMARY KEY, value text NOT NULL)");
    if ((await whatIsDue(client, where)) === "nothing") return;
    const { rows } = await client.query("SELECT value FROM mnemail_meta WHERE name = 'schema_version'");
    const [first] = z.array(z.object({ value: z.coerce.number() })).parse(rows);
    for (let version = (first?.value ?? 0) + 1; version <= SCHEMA_VERSION; version += 1) {
      await client.query(MIGRATIONS[version] ?? "");
    }
    await client.query(
      "INSERT INTO mnemail_meta (name, value) VALUES ('schema_version', $1) ON CONFLICT (name) DO UPDATE SET value = $1",
      [String(SCHEMA_VERSION)],
    );
    await createVectors(client);
  });
}

/** Without the right to create the extension, or with another type of vectors in the table, there are no vectors. */
async function createVectors(client: pg.PoolClient): Promise<void> {
  const before = await readState(client);
  if (before.vector_oid === null && !before.vector_available) return;
  await client.query("SAVEPOINT extension");
  try {
    await client.query("CREATE EXTENSION IF NOT EXISTS vector");
  } catch {
    await client.query("ROLLBACK TO SAVEPOINT extension");
    return;
  }
  if (before.vector_type === null || before.vector_type === "vector") await client.query(VECTORS);
}

async function readState(client: Queryable) {
  const { rows } = await client.query(`
    SELECT to_regclass('mnemail_meta') IS NOT NULL AS has_meta,
      EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass('store') AND attname = 'namespace_path' AND NOT attisdropped)
        AS foreign_layout,
      to_regtype('vector')::oid::int4 AS vector_oid,
      EXISTS (SELECT 1 FROM pg_available_extensions WHERE name = 'vector') AS vector_available,
      (SELECT atttypid::regtype::text FROM pg_attribute
        WHERE attrelid = to_regclass('store_vectors') AND attname = 'embedding' AND NOT attisdropped) AS vector_type`);
  return stateSchema.parse(rows)[0];
}

function describe(state: z.infer<typeof stateSchema>[0]): PostgresSchema {
  const { vector_oid, vector_available, vector_type } = state;
  if (vector_oid === null) {
    const withoutVectors = vector_available
      ? "the extension pgvector is not in this database (run CREATE EXTENSION vector as an owner)"
      : "the PostgreSQL server has no pgvector (install it there)";
    return { vectorOid: undefined, withoutVectors };
  }
  if (vector_type !== "vector") {
    const seen = vector_type === null ? "is missing" : `keeps ${vector_type}`;
    return { vectorOid: undefined, withoutVectors: `the table store_vectors ${seen}; expected the type vector` };
  }
  return { vectorOid: vector_oid, withoutVectors: undefined };
}
