import type Database from "libsql";
import type pg from "pg";
import { z } from "zod";

/** An item as Python's stores return it. */
export interface PythonItem {
  namespace: string[];
  key: string;
  value: unknown;
  createdAt: Date;
  updatedAt: Date;
  /** Cosine similarity, in a search by vector. */
  score?: number;
}

/** What Python LangGraph's stores do to a database, statement by statement. */
export interface PythonStore {
  /** `setup()` with an index of so many dimensions. Returns the numbers of the migrations that it ran. */
  setup(index: { dims: number }): Promise<{ store: number[]; vectors: number[] }>;
  /** `put()`; `vectors` are what its embedding model answered, by field. */
  put(namespace: string[], key: string, value: object, options?: PythonPutOptions): Promise<void>;
  get(namespace: string[], key: string): Promise<PythonItem | null>;
  /** `search()`, by vector where one is given: then items without vectors are not found. At most 10 items. */
  search(prefix: string[], options?: { vector?: number[] }): Promise<PythonItem[]>;
  delete(namespace: string[], key: string): Promise<void>;
  /** `sweep_ttl()`; returns how many were removed. */
  sweep(): Promise<number>;
}

/** `vectors` by field name, such as `{ $: [0.1, 0.2] }`. */
export interface PythonPutOptions {
  vectors?: Record<string, number[]>;
  ttlMinutes?: number;
}

const LIMIT = 10;

// What follows are facts about `MIGRATIONS`, `VECTOR_MIGRATIONS` and the statements of Python's stores.
const SQLITE_MIGRATIONS = [
  `CREATE TABLE IF NOT EXISTS store (
    prefix text NOT NULL,
    key text NOT NULL,
    value text NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (prefix, key)
  )`,
  "CREATE INDEX IF NOT EXISTS store_prefix_idx ON store (prefix)",
  "ALTER TABLE store ADD COLUMN expires_at TIMESTAMP",
  "ALTER TABLE store ADD COLUMN ttl_minutes REAL",
  "CREATE INDEX IF NOT EXISTS idx_store_expires_at ON store (expires_at) WHERE expires_at IS NOT NULL",
];
const SQLITE_VECTOR_MIGRATIONS = [
  `CREATE TABLE IF NOT EXISTS store_vectors (
    prefix text NOT NULL,
    key text NOT NULL,
    field_name text NOT NULL,
    embedding BLOB,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (prefix, key, field_name),
    FOREIGN KEY (prefix, key) REFERENCES store(prefix, key) ON DELETE CASCADE
  )`,
];

const versionRow = z.tuple([z.number()]);
const bytes = z.instanceof(ArrayBuffer).or(z.instanceof(Uint8Array));
/** Times as `datetime.fromisoformat` of Python 3.10 reads them: three or six digits of a second, no "Z". */
const pythonTime = z.string().regex(/^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{3}(\d{3})?)?([+-]\d\d:\d\d)?$/);
const sqliteRow = z.tuple([
  z.string(),
  z.string(),
  z.string().or(bytes),
  pythonTime,
  pythonTime,
  z.number().nullable(),
]);

/**
 * What `SqliteStore` of langgraph-checkpoint-sqlite executes (`libs/checkpoint-sqlite/langgraph/store/sqlite/base.py`, commit 02340643),
 * on a connection as Python opens it: foreign keys are not enforced, values are bound as bytes. Its `vec_distance_cosine`
 * is libsql's `vector_distance_cos`, over the same bytes.
 */
export function pythonSqlite(database: Database.Database): PythonStore {
  database.exec("PRAGMA foreign_keys = OFF");
  // Parameters go as one array: libsql aborts the process when its only argument is a Buffer.
  const all = (sql: string, parameters: unknown[] = []): unknown[] => database.prepare(sql).raw().all(parameters);
  const run = (sql: string, parameters: unknown[]) => database.prepare(sql).run(parameters);
  const toItem = (row: unknown): PythonItem => {
    const [prefix, key, value, createdAt, updatedAt, score] = sqliteRow.parse(row);
    return {
      ...{ namespace: prefix.split("."), key },
      value: JSON.parse(typeof value === "string" ? value : new TextDecoder().decode(value)),
      ...{ createdAt: utc(createdAt), updatedAt: utc(updatedAt) },
      ...(score === null ? {} : { score }),
    };
  };
  const migrate = (table: string, migrations: string[]): number[] => {
    database.exec(`CREATE TABLE IF NOT EXISTS ${table} (v INTEGER PRIMARY KEY)`);
    const [newest] = all(`SELECT v FROM ${table} ORDER BY v DESC LIMIT 1`);
    const due = pending(migrations, newest === undefined ? -1 : versionRow.parse(newest)[0]);
    for (const [v, sql] of due) {
      database.exec(sql);
      run(`INSERT INTO ${table} (v) VALUES (?)`, [v]);
    }
    return due.map(([v]) => v);
  };
  return {
    async setup() {
      return {
        store: migrate("store_migrations", SQLITE_MIGRATIONS),
        vectors: migrate("vector_migrations", SQLITE_VECTOR_MIGRATIONS),
      };
    },
    async put(namespace, key, value, { vectors = {}, ttlMinutes } = {}) {
      const prefix = namespace.join(".");
      database.exec("BEGIN");
      try {
        run(
          `INSERT OR REPLACE INTO store (prefix, key, value, created_at, updated_at, expires_at, ttl_minutes)
           VALUES (?, ?, ?, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP, ?, ?)`,
          [prefix, key, Buffer.from(JSON.stringify(value)), isoExpiry(ttlMinutes), ttlMinutes ?? null],
        );
        for (const [field, vector] of Object.entries(vectors)) {
          run(
            `INSERT OR REPLACE INTO store_vectors (prefix, key, field_name, embedding, created_at, updated_at)
             VALUES (?, ?, ?, ?, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)`,
            [prefix, key, field, float32(vector)],
          );
        }
      } finally {
        database.exec("COMMIT");
      }
    },
    async get(namespace, key) {
      const [row] = all(
        "SELECT prefix, key, value, created_at, updated_at, NULL AS score FROM store WHERE prefix = ? AND key IN (?)",
        [namespace.join("."), key],
      );
      return row === undefined ? null : toItem(row);
    },
    async search(prefix, { vector } = {}) {
      const path = prefix.join(".");
      const below = [path, `${path.replace(/[[*?]/g, "[$&]")}.*`];
      if (!vector) {
        const sql = `SELECT prefix, key, value, created_at, updated_at, NULL AS score FROM store
          WHERE (prefix = ? OR prefix GLOB ?) ORDER BY updated_at DESC LIMIT ?`;
        return all(sql, [...below, LIMIT]).map(toItem);
      }
      const sql = `
        WITH scored AS (
          SELECT s.prefix, s.key, s.value, s.created_at, s.updated_at,
            1.0 - vector_distance_cos(sv.embedding, ?) AS score
          FROM store s JOIN store_vectors sv ON s.prefix = sv.prefix AND s.key = sv.key
          WHERE (s.prefix = ? OR s.prefix GLOB ?) ORDER BY score DESC LIMIT ?
        ),
        ranked AS (SELECT *, ROW_NUMBER() OVER (PARTITION BY prefix, key ORDER BY score DESC) AS rn FROM scored)
        SELECT prefix, key, value, created_at, updated_at, score FROM ranked WHERE rn = 1 ORDER BY score DESC LIMIT ?`;
      return all(sql, [float32(vector), ...below, 2 * LIMIT, LIMIT]).map(toItem);
    },
    async delete(namespace, key) {
      run("DELETE FROM store WHERE prefix = ? AND key IN (?)", [namespace.join("."), key]);
    },
    async sweep() {
      return run("DELETE FROM store WHERE expires_at IS NOT NULL AND expires_at < CURRENT_TIMESTAMP", []).changes;
    },
  };
}

const POSTGRES_MIGRATIONS = [
  `CREATE TABLE IF NOT EXISTS store (
    prefix text NOT NULL,
    key text NOT NULL,
    value jsonb NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (prefix, key)
  )`,
  "CREATE INDEX CONCURRENTLY IF NOT EXISTS store_prefix_idx ON store USING btree (prefix text_pattern_ops)",
  `ALTER TABLE store
    ADD COLUMN IF NOT EXISTS expires_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN IF NOT EXISTS ttl_minutes INT`,
  "CREATE INDEX IF NOT EXISTS idx_store_expires_at ON store (expires_at) WHERE expires_at IS NOT NULL",
];
const postgresVectorMigrations = (dims: number) => [
  `DO $$ BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'vector') THEN CREATE EXTENSION vector; END IF;
  END $$`,
  `CREATE TABLE IF NOT EXISTS store_vectors (
    prefix text NOT NULL,
    key text NOT NULL,
    field_name text NOT NULL,
    embedding vector(${dims}),
    created_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (prefix, key, field_name),
    FOREIGN KEY (prefix, key) REFERENCES store(prefix, key) ON DELETE CASCADE
  )`,
  `CREATE INDEX CONCURRENTLY IF NOT EXISTS store_vectors_embedding_idx ON store_vectors
    USING hnsw (embedding vector_cosine_ops)`,
];

const postgresRow = z.object({
  prefix: z.string(),
  key: z.string(),
  value: z.unknown(),
  created_at: z.date(),
  updated_at: z.date(),
  score: z.number().nullable(),
});

/**
 * What `PostgresStore` of langgraph-checkpoint-postgres executes
 * (`libs/checkpoint-postgres/langgraph/store/postgres/base.py`, commit 00752187), with the default index (HNSW, cosine). Embeddings are
 * bound as arrays of float8, as psycopg binds a list of floats, times to live as float8.
 */
export function pythonPostgres(pool: pg.Pool): PythonStore {
  const all = async (sql: string, parameters: unknown[] = []): Promise<unknown[]> =>
    (await pool.query(sql, parameters)).rows;
  const toItem = (row: unknown): PythonItem => {
    const { prefix, key, value, created_at, updated_at, score } = postgresRow.parse(row);
    const item = { namespace: prefix.split("."), key, value, createdAt: created_at, updatedAt: updated_at };
    return score === null ? item : { ...item, score };
  };
  const migrate = async (table: string, migrations: string[]): Promise<number[]> => {
    await pool.query(`CREATE TABLE IF NOT EXISTS ${table} (v INTEGER PRIMARY KEY)`);
    const [newest] = await all(`SELECT v FROM ${table} ORDER BY v DESC LIMIT 1`);
    const due = pending(migrations, newest === undefined ? -1 : z.object({ v: z.number() }).parse(newest).v);
    for (const [v, sql] of due) {
      await pool.query(sql);
      await pool.query(`INSERT INTO ${table} (v) VALUES ($1)`, [v]);
    }
    return due.map(([v]) => v);
  };
  return {
    async setup({ dims }) {
      return {
        store: await migrate("store_migrations", POSTGRES_MIGRATIONS),
        vectors: await migrate("vector_migrations", postgresVectorMigrations(dims)),
      };
    },
    async put(namespace, key, value, { vectors = {}, ttlMinutes } = {}) {
      const prefix = namespace.join(".");
      const ttl = ttlMinutes === undefined ? [null, null] : [`${ttlMinutes * 60} seconds`, ttlMinutes];
      const client = await pool.connect();
      try {
        await client.query("BEGIN");
        await client.query(
          `INSERT INTO store (prefix, key, value, created_at, updated_at, expires_at, ttl_minutes)
           VALUES ($1, $2, $3::jsonb, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP, NOW() + $4::interval, $5::float8)
           ON CONFLICT (prefix, key) DO UPDATE
           SET value = EXCLUDED.value, updated_at = CURRENT_TIMESTAMP,
             expires_at = EXCLUDED.expires_at, ttl_minutes = EXCLUDED.ttl_minutes`,
          [prefix, key, JSON.stringify(value), ...ttl],
        );
        for (const [field, vector] of Object.entries(vectors)) {
          await client.query(
            `INSERT INTO store_vectors (prefix, key, field_name, embedding, created_at, updated_at)
             VALUES ($1, $2, $3, $4::float8[], CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)
             ON CONFLICT (prefix, key, field_name) DO UPDATE
             SET embedding = EXCLUDED.embedding, updated_at = CURRENT_TIMESTAMP`,
            [prefix, key, field, vector],
          );
        }
        await client.query("COMMIT");
      } catch (error) {
        await client.query("ROLLBACK");
        throw error;
      } finally {
        client.release();
      }
    },
    async get(namespace, key) {
      const [row] = await all(
        `WITH passed_in AS (SELECT unnest($1::text[]) AS key, unnest($2::bool[]) AS do_refresh),
         updated AS (
           UPDATE store s SET expires_at = NOW() + (s.ttl_minutes || ' minutes')::interval
           FROM passed_in p
           WHERE s.prefix = $3 AND s.key = p.key AND p.do_refresh = TRUE AND s.ttl_minutes IS NOT NULL
           RETURNING s.key
         )
         SELECT s.prefix, s.key, s.value, s.created_at, s.updated_at, NULL AS score
         FROM store s JOIN passed_in p ON s.key = p.key WHERE s.prefix = $3`,
        [[key], [true], namespace.join(".")],
      );
      return row === undefined ? null : toItem(row);
    },
    async search(prefix, { vector } = {}) {
      const like = `${prefix.join(".").replace(/[\\_%]/g, "\\$&")}%`;
      if (!vector) {
        const sql = `SELECT prefix, key, value, created_at, updated_at, NULL AS score FROM store
          WHERE store.prefix LIKE $1 ORDER BY store.updated_at DESC LIMIT $2`;
        return (await all(sql, [like, LIMIT])).map(toItem);
      }
      const sql = `
        WITH scored AS (
          SELECT store.prefix, store.key, store.value, store.created_at, store.updated_at,
            sv.embedding <=> $1::float8[]::vector AS neg_score
          FROM store JOIN store_vectors sv ON store.prefix = sv.prefix AND store.key = sv.key
          WHERE store.prefix LIKE $2 ORDER BY sv.embedding <=> $1::float8[]::vector ASC LIMIT $3
        )
        SELECT uniq.prefix, uniq.key, uniq.value, uniq.created_at, uniq.updated_at, 1 - uniq.neg_score AS score
        FROM (SELECT DISTINCT ON (prefix, key) * FROM scored ORDER BY prefix, key, neg_score ASC) uniq
        ORDER BY score DESC LIMIT $4`;
      return (await all(sql, [vector, like, 2 * LIMIT + 1, LIMIT])).map(toItem);
    },
    async delete(namespace, key) {
      await all("DELETE FROM store WHERE prefix = $1 AND key IN ($2)", [namespace.join("."), key]);
    },
    async sweep() {
      const { rowCount } = await pool.query("DELETE FROM store WHERE expires_at IS NOT NULL AND expires_at < NOW()");
      return rowCount ?? 0;
    },
  };
}

/** The migrations above a version, which is the highest number recorded, with their own numbers. */
function pending(migrations: string[], version: number): [number, string][] {
  return migrations.map((sql, v): [number, string] => [v, sql]).slice(version + 1);
}

/** As sqlite3 writes an aware datetime: `2026-11-21 05:00:00.123000+00:00`. */
function isoExpiry(ttlMinutes: number | undefined): string | null {
  if (ttlMinutes === undefined) return null;
  const iso = new Date(Date.now() + ttlMinutes * 60_000).toISOString();
  return iso.replace("T", " ").replace("Z", "000+00:00");
}

/** `sqlite_vec.serialize_float32`: little-endian, without a header. */
function float32(vector: number[]): Buffer {
  return Buffer.from(new Float32Array(vector).buffer);
}

/** SQLite's times are in UTC, though they do not say so. */
function utc(time: string): Date {
  return new Date(/[+-]\d\d:\d\d$/.test(time) ? time : `${time.replace(" ", "T")}Z`);
}
