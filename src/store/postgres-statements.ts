import { createHash } from "node:crypto";
import type { FieldVector, RowWrite } from "./row-driver.ts";
import { spaceText, type VectorSpace } from "./vector-space.ts";

/** A statement with its parameters; `name` prepares it once per connection. */
export interface Statement {
  name: string;
  text: string;
  values: unknown[];
}

/** Collects parameters while a statement is written. */
export class Parameters {
  readonly values: unknown[] = [];

  /** The placeholder of a parameter of the given type. */
  add(value: unknown, type: string): string {
    this.values.push(value);
    return `$${this.values.length}::${type}`;
  }
}

/** A statement under a name that follows from its text, so that only equal texts share one. */
export function statement(text: string, { values }: Parameters): Statement {
  return { name: `mnemail_${createHash("sha256").update(text).digest("base64url").slice(0, 22)}`, text, values };
}

/** The condition that hides rows whose time is over. */
export const LIVE = "(s.expires_at IS NULL OR s.expires_at > now())";
/** JavaScript's dates have milliseconds; a finer time would not survive a copy. */
const NOW = "date_trunc('milliseconds', clock_timestamp())";

/** The condition that a table's prefix lies at or below the given one, by whole labels: '/' follows '.' in ASCII. */
export function below(table: string, prefix: readonly string[], parameters: Parameters): string {
  if (prefix.length === 0) return "TRUE";
  const at = parameters.add(prefix.join("."), "text");
  return `(${table}.prefix = ${at} OR (${table}.prefix ~>=~ (${at} || '.') AND ${table}.prefix ~<~ (${at} || '/')))`;
}

/**
 * A CTE of the namespaces at and below a prefix, found by one index lookup for each: unlike a range condition, its
 * estimated size does not depend on the parameter, so that PostgreSQL keeps one plan for all users, and does not plan
 * each search anew. `inPlace` is the condition that every row of it fulfils but the last, which is NULL.
 */
export function places(prefix: readonly string[], parameters: Parameters): { cte: string; inPlace: string } {
  const next = (after: string, before: string) =>
    `(SELECT n.prefix FROM store n WHERE n.prefix ~>~ ${after} ${before} ORDER BY n.prefix USING ~<~ LIMIT 1)`;
  const recurse = (first: string, step: string) =>
    `place (prefix) AS (SELECT ${first} UNION ALL SELECT ${step} FROM place p WHERE p.prefix IS NOT NULL)`;
  if (prefix.length === 0) return { cte: recurse("''", next("p.prefix", "")), inPlace: "p.prefix ~>~ ''" };
  const at = parameters.add(prefix.join("."), "text");
  const after = `CASE WHEN p.prefix = ${at} THEN ${at} || '.' ELSE p.prefix END`;
  return {
    cte: recurse(at, next(after, `AND n.prefix ~<~ (${at} || '/')`)),
    inPlace: `p.prefix ~>=~ ${at} AND p.prefix ~<~ (${at} || '/')`,
  };
}

/** The items of the namespaces of {@link places} with their distance to a vector; those without a comparable one not. */
export function nearest(inPlace: string, near: Float32Array, to: Parameters): string {
  const query = to.add(vectorBytes(near), "vector");
  // A condition on the dimensions would be taken for a rare one; OFFSET 0 keeps one index lookup for each namespace.
  // Never in an ORDER BY with a LIMIT: an HNSW index that Python made would answer, and miss this user's rows.
  return `SELECT v.prefix, v.key, min(v.distance) AS distance
    FROM place p CROSS JOIN LATERAL (
      SELECT v.prefix, v.key, CASE WHEN vector_dims(v.embedding) = ${to.add(near.length, "int")}
        THEN coalesce(nullif(v.embedding <=> ${query}, 'NaN'), 1) END AS distance
      FROM store_vectors v WHERE v.prefix = p.prefix OFFSET 0) v
    WHERE ${inPlace} GROUP BY v.prefix, v.key HAVING min(v.distance) IS NOT NULL`;
}

/** The condition that top-level names equal values; a missing name equals null. */
export function equal(equalities: Record<string, unknown>, parameters: Parameters): string {
  const wanted = Object.entries(equalities);
  if (wanted.length === 0) return "TRUE";
  const names = parameters.add(
    wanted.map(([name]) => name),
    "text[]",
  );
  const values = parameters.add(
    wanted.map(([, value]) => JSON.stringify(value)),
    "text[]",
  );
  return `NOT EXISTS (SELECT 1 FROM unnest(${names}, ${values}) AS e (name, value)
    WHERE coalesce(s.value -> e.name, 'null') <> e.value::jsonb)`;
}

/**
 * Writes puts, deletes and vectors of one batch in one statement, which is all or nothing by itself. Answers one row:
 * `fresh`, how many of the puts that expected no row found none, and `space`, the space in force. Vectors of another
 * space are not kept: their fields wait for a reindex.
 */
export function writeStatement(
  writes: readonly RowWrite[],
  options: { space: VectorSpace | undefined; vectorOid: number | undefined },
): Statement {
  const { space, vectorOid } = options;
  const parameters = new Parameters();
  const items = writes.map(({ namespace, key, value, kept, ...write }) => ({
    ...{ prefix: namespace.join("."), key, value, fresh: write.expected === null },
    ...{ created: kept?.createdAt, updated: kept?.updatedAt, expires: kept?.expiresAt },
    ttl: kept ? kept.ttlMinutes : write.ttlMinutes,
  }));
  const fields = writes.flatMap(({ namespace, key, vectors }) =>
    vectors.map(({ field, embedding }) => ({ prefix: namespace.join("."), key, field, embedding })),
  );
  const list = (values: unknown[], type: string) => parameters.add(values, `${type}[]`);
  const names = [
    list(
      fields.map(({ prefix }) => prefix),
      "text",
    ),
    list(
      fields.map(({ key }) => key),
      "text",
    ),
  ];
  names.push(
    list(
      fields.map(({ field }) => field),
      "text",
    ),
  );
  const insert = `INSERT INTO store AS s (prefix, key, value, created_at, updated_at, expires_at, ttl_minutes)
    SELECT prefix, key, value, coalesce(created, ${NOW}), coalesce(updated, ${NOW}),
      CASE WHEN created IS NULL THEN ${NOW} + ttl * interval '1 minute' ELSE expires END, ttl
    FROM item WHERE value IS NOT NULL AND`;
  const withVectors = vectorOid !== undefined && space !== undefined;
  const embeddings = withVectors
    ? parameters.add(
        vectorArrayBytes(
          fields.map(({ embedding }) => embedding),
          vectorOid,
        ),
        "vector[]",
      )
    : undefined;
  const inForce = withVectors
    ? `EXISTS (SELECT 1 FROM mnemail_meta WHERE name = 'embedding_space' AND value = ${parameters.add(spaceText(space), "text")})`
    : "FALSE";
  const restored = parameters.add(
    writes.some(({ kept }) => kept !== undefined),
    "bool",
  );
  const text = `WITH item AS MATERIALIZED (
      SELECT * FROM jsonb_to_recordset(${parameters.add(JSON.stringify(items), "jsonb")}) AS i (prefix text, key text,
        value jsonb, fresh bool, created timestamptz, updated timestamptz, expires timestamptz, ttl int)
      ORDER BY prefix, key),
    field AS MATERIALIZED (
      SELECT f.*, ${embeddings ? `f.embedding IS NOT NULL AND ${inForce}` : "FALSE"} AS embedded
      FROM unnest(${[...names, ...(embeddings ? [embeddings] : [])].join(", ")})
        AS f (prefix, key, field_name${embeddings ? ", embedding" : ""})),
    put AS (${insert} NOT fresh
      ON CONFLICT (prefix, key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at,
        expires_at = excluded.expires_at, ttl_minutes = excluded.ttl_minutes,
        created_at = CASE WHEN ${LIVE} AND NOT ${restored} THEN s.created_at ELSE excluded.created_at END),
    fresh AS (${insert} fresh ON CONFLICT (prefix, key) DO NOTHING RETURNING 1),
    deleted AS (DELETE FROM store s USING item i WHERE i.value IS NULL AND s.prefix = i.prefix AND s.key = i.key),
    ${vectorOid === undefined ? "" : outdated("store_vectors", "f.embedded")}
    ${embeddings === undefined ? "" : EMBED}
    ${outdated("mnemail_unembedded", "NOT f.embedded")}
    waiting AS (INSERT INTO mnemail_unembedded (prefix, key, field_name)
      SELECT prefix, key, field_name FROM field WHERE NOT embedded ON CONFLICT DO NOTHING)
    SELECT (SELECT count(*)::int FROM fresh) AS fresh,
      (SELECT value FROM mnemail_meta WHERE name = 'embedding_space') AS space`;
  return statement(text, parameters);
}

/** A field that stays is updated in place, since one statement may not delete a row and insert it again. */
const outdated = (table: string, stays: string) => `outdated_${table} AS (DELETE FROM ${table} t USING item i
      WHERE t.prefix = i.prefix AND t.key = i.key AND i.value IS NOT NULL AND NOT EXISTS (SELECT 1 FROM field f
        WHERE f.prefix = t.prefix AND f.key = t.key AND f.field_name = t.field_name AND ${stays})),`;

const EMBED = `embedded AS (
      INSERT INTO store_vectors (prefix, key, field_name, embedding, created_at, updated_at)
      SELECT prefix, key, field_name, embedding, now(), now() FROM field WHERE embedded
      ON CONFLICT (prefix, key, field_name) DO UPDATE SET embedding = excluded.embedding, updated_at = now()),`;

/** A vector in pgvector's binary form (`vector_recv`): two 16-bit numbers, then floats, all big-endian. */
function vectorBytes(vector: Float32Array): Buffer {
  const bytes = Buffer.alloc(4 + 4 * vector.length);
  bytes.set(Buffer.from(Float32Array.from(vector).buffer).swap32(), 4);
  bytes.writeUInt16BE(vector.length, 0);
  return bytes;
}

/** An array of vectors in PostgreSQL's binary form (`array_recv`); null where there is none. */
function vectorArrayBytes(vectors: readonly FieldVector["embedding"][], elementOid: number): Buffer {
  const header = Buffer.alloc(vectors.length === 0 ? 12 : 20);
  header.writeInt32BE(vectors.length === 0 ? 0 : 1, 0);
  header.writeInt32BE(vectors.includes(null) ? 1 : 0, 4);
  header.writeUInt32BE(elementOid, 8);
  if (vectors.length > 0) {
    header.writeInt32BE(vectors.length, 12);
    header.writeInt32BE(1, 16);
  }
  const elements = vectors.flatMap((vector) => {
    const bytes = vector ? vectorBytes(vector) : Buffer.alloc(0);
    const length = Buffer.alloc(4);
    length.writeInt32BE(vector ? bytes.length : -1, 0);
    return [length, bytes];
  });
  return Buffer.concat([header, ...elements]);
}
