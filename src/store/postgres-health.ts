import type pg from "pg";
import { z } from "zod";
import type { RowHealth } from "./row-driver.ts";
import type { VectorSpace } from "./vector-space.ts";

const countsSchema = z.tuple([
  z.object({
    server: z.string(),
    pgvector: z.string().nullable(),
    schema_version: z.coerce.number(),
    items: z.coerce.number(),
    expired: z.coerce.number(),
    unreadable: z.coerce.number(),
    unembedded: z.coerce.number(),
    missing_indexes: z.string().nullable(),
    in_recovery: z.boolean(),
  }),
]);
const vectorsSchema = z.tuple([
  z.object({ vectors: z.coerce.number(), others: z.coerce.number(), hnsw: z.string().nullable() }),
]);

/** What a PostgreSQL store says about itself: counts of all users, and problems with what to do. */
export async function readPostgresHealth(
  pool: pg.Pool,
  space: VectorSpace | undefined,
  withoutVectors: string | undefined,
): Promise<RowHealth> {
  const { rows } = await pool.query(`
    SELECT current_setting('server_version') AS server,
      (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS pgvector,
      (SELECT value FROM mnemail_meta WHERE name = 'schema_version') AS schema_version,
      count(*) AS items, count(*) FILTER (WHERE expires_at <= now()) AS expired,
      count(*) FILTER (WHERE jsonb_typeof(value) <> 'object') AS unreadable,
      (SELECT count(*) FROM mnemail_unembedded) AS unembedded,
      (SELECT string_agg(name, ', ') FROM unnest(ARRAY['store_prefix_idx', 'idx_store_expires_at']) AS name
        WHERE to_regclass(name) IS NULL) AS missing_indexes,
      pg_is_in_recovery() AS in_recovery
    FROM store`);
  const [found] = countsSchema.parse(rows);
  const vectors = withoutVectors === undefined ? await countVectors(pool, space) : undefined;
  const problem = (holds: boolean, text: string, hint: string) => (holds ? [{ problem: text, hint }] : []);
  return {
    engine: `PostgreSQL ${found.server}${found.pgvector ? `, pgvector ${found.pgvector}` : ""}`,
    schemaVersion: found.schema_version,
    space,
    items: found.items,
    vectors: vectors?.vectors ?? 0,
    unembedded: found.unembedded,
    expired: found.expired,
    problems: [
      ...problem(
        withoutVectors !== undefined,
        `no vectors: ${withoutVectors}`,
        "install pgvector there, start once as an owner and run `mnemail memory reindex`; until then words rank",
      ),
      ...problem(found.in_recovery, "this server is a read-only replica", "name the primary"),
      ...problem(
        found.missing_indexes !== null,
        `indexes are missing: ${found.missing_indexes}`,
        "create them as in src/store/postgres-schema.ts",
      ),
      ...problem(found.unreadable > 0, `${found.unreadable} items cannot be read`, "see docs/operations.md, Repair"),
      ...problem(
        (vectors?.others ?? 0) > 0,
        `${vectors?.others} vectors have other dimensions than ${space?.dimensions}`,
        "put these items again, or drop their vectors and run `mnemail memory reindex`",
      ),
      ...problem(
        vectors?.hnsw != null,
        `store_vectors has an approximate index (${vectors?.hnsw}) that no search uses and each put pays for`,
        "drop it unless a Python service searches by it",
      ),
    ],
  };
}

async function countVectors(pool: pg.Pool, space: VectorSpace | undefined) {
  const { rows } = await pool.query(
    `SELECT count(*) AS vectors, count(*) FILTER (WHERE vector_dims(embedding) <> $1) AS others,
       (SELECT string_agg(indexname, ', ') FROM pg_indexes
         WHERE schemaname = current_schema() AND tablename = 'store_vectors' AND indexdef ~ 'USING (hnsw|ivfflat)') AS hnsw
     FROM store_vectors`,
    [space?.dimensions ?? 0],
  );
  const [found] = vectorsSchema.parse(rows);
  return { ...found, others: space ? found.others : 0 };
}
