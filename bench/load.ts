import Database from "libsql";
import pg from "pg";
import { spaceText } from "../src/store/vector-space.ts";
import { BASE, type Block, DIMENSIONS, IN_SQL, keyOf, MODEL, textOf, vectorOf } from "./data.ts";
import { UPSTREAM_SCHEMA } from "./peers.ts";

// Bulk data goes in by SQL, not by put: only what is measured should take time.

/** Rows of one statement. */
const CHUNK = 10_000;
const SPACE = spaceText({ model: MODEL, dimensions: DIMENSIONS });

/** Fills and empties the tables of a PostgreSQL database, ours and upstream's alike; the stores have made them. */
export interface PostgresLoader {
  load(blocks: readonly Block[]): Promise<void>;
  empty(): Promise<void>;
  /** Upstream's approximate index, which each of its puts has to keep. */
  createUpstreamIndex(): Promise<void>;
  dropUpstreamIndex(): Promise<void>;
  close(): Promise<void>;
}

/** Connects a loader, and drops upstream's index, which would have to be kept by each row of the load. */
export async function openPostgresLoader(url: string): Promise<PostgresLoader> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query("CREATE TABLE bench_base (i int PRIMARY KEY, v vector)");
  for (let at = 0; at < BASE.length; at += 100) {
    const part = BASE.slice(at, at + 100);
    await client.query("INSERT INTO bench_base SELECT i, v::vector FROM unnest($1::int[], $2::text[]) AS b (i, v)", [
      part.map((_, i) => at + i),
      part.map((vector) => `[${vector.join(",")}]`),
    ]);
  }
  await client.query(
    "INSERT INTO mnemail_meta (name, value) VALUES ('embedding_space', $1) ON CONFLICT (name) DO NOTHING",
    [SPACE],
  );
  const { rows } = await client.query<{ name: string; definition: string }>(
    `SELECT indexname AS name, indexdef AS definition FROM pg_indexes
     WHERE schemaname = '${UPSTREAM_SCHEMA}' AND indexdef LIKE '%USING hnsw%'`,
  );
  const loader: PostgresLoader = {
    async load(blocks) {
      for (const chunk of chunksOf(blocks)) await loadChunk(client, chunk);
      // What autovacuum does in time: statistics, and pages known to be visible.
      await client.query(
        `VACUUM ANALYZE store, store_vectors, ${UPSTREAM_SCHEMA}.store, ${UPSTREAM_SCHEMA}.store_vectors`,
      );
    },
    async empty() {
      await client.query(`TRUNCATE store, ${UPSTREAM_SCHEMA}.store CASCADE`);
    },
    async createUpstreamIndex() {
      for (const { definition } of rows) await client.query(definition);
    },
    async dropUpstreamIndex() {
      for (const { name } of rows) await client.query(`DROP INDEX IF EXISTS ${UPSTREAM_SCHEMA}.${name}`);
    },
    close: () => client.end(),
  };
  await loader.dropUpstreamIndex();
  return loader;
}

async function loadChunk(client: pg.Client, blocks: readonly Block[]): Promise<void> {
  // One memory of each namespace after the other, as they come about in life.
  await client.query(
    `CREATE TEMP TABLE item AS SELECT ours, theirs, first + i AS n
     FROM unnest($1::text[], $2::text[], $3::int[], $4::int[]) AS b (ours, theirs, first, count), generate_series(0, count - 1) i
     ORDER BY i, first`,
    [
      blocks.map(({ namespace }) => namespace.join(".")),
      blocks.map(({ namespace }) => namespace.join(":")),
      blocks.map(({ first }) => first),
      blocks.map(({ count }) => count),
    ],
  );
  const { key, text, vector, joinVector } = IN_SQL;
  const [value, up] = [`jsonb_build_object('text', ${text})`, UPSTREAM_SCHEMA];
  await client.query(`INSERT INTO store (prefix, key, value) SELECT ours, ${key}, ${value} FROM item`);
  await client.query(`INSERT INTO store_vectors (prefix, key, field_name, embedding)
    SELECT ours, ${key}, 'text', ${vector} FROM item ${joinVector}`);
  await client.query(`INSERT INTO ${up}.store (namespace_path, key, value) SELECT theirs, ${key}, ${value} FROM item`);
  await client.query(`INSERT INTO ${up}.store_vectors (namespace_path, key, field_path, text_content, embedding)
    SELECT theirs, ${key}, 'text', ${text}, ${vector} FROM item ${joinVector}`);
  await client.query("DROP TABLE item");
}

/** Whole blocks, of some {@link CHUNK} memories together. */
function chunksOf(blocks: readonly Block[]): Block[][] {
  const chunks: Block[][] = [];
  let size = CHUNK;
  for (const block of blocks) {
    if (size + block.count > CHUNK) {
      chunks.push([]);
      size = 0;
    }
    chunks.at(-1)?.push(block);
    size += block.count;
  }
  return chunks;
}

/** Fills the file of our SQLite store, which has made its tables. */
export function loadSqlite(path: string, blocks: readonly Block[]): void {
  const database = new Database(path, { timeout: 5_000 });
  try {
    database.prepare("INSERT OR REPLACE INTO mnemail_meta (name, value) VALUES ('embedding_space', ?)").run([SPACE]);
    const item = database.prepare("INSERT INTO store (prefix, key, value) VALUES (?, ?, ?)");
    const vector = database.prepare(
      "INSERT INTO store_vectors (prefix, key, field_name, embedding) VALUES (?, ?, 'text', ?)",
    );
    for (const chunk of chunksOf(blocks)) {
      database.exec("BEGIN IMMEDIATE");
      for (const { namespace, first, count } of chunk) {
        for (let n = first; n < first + count; n += 1) {
          const address = [namespace.join("."), keyOf(n)];
          item.run([...address, JSON.stringify({ text: textOf(n) })]);
          vector.run([...address, Buffer.from(vectorOf(n).buffer)]);
        }
      }
      database.exec("COMMIT");
    }
  } finally {
    database.close();
  }
}
