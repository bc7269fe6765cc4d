import pg from "pg";
import { z } from "zod";
import { createVectorMemory } from "../src/store/dot-products.ts";
import { type Block, DIMENSIONS, keyOf, LIMIT, QUERY_VECTOR, vectorOf, vectorOfText } from "./data.ts";
import { NAMES, type Peer } from "./peers.ts";

const keysSchema = z.array(z.object({ key: z.string() }));

/** The best single statement for each operation on our tables, prepared, with vectors in binary, on one connection. */
export async function openSqlFloor(url: string): Promise<Peer> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const run = (name: string, text: string, values: unknown[]) => client.query({ name: `floor_${name}`, text, values });
  return {
    name: NAMES.sql,
    put: ({ namespace, key, text }) =>
      run("put", putStatement(1), [
        namespace.join("."),
        key,
        JSON.stringify({ text }),
        vectorBytes(vectorOfText(text)),
      ]),
    putAll: (items) =>
      run(
        `put_${items.length}`,
        putStatement(items.length),
        items.flatMap(({ namespace, key, text }) => [
          namespace.join("."),
          key,
          JSON.stringify({ text }),
          vectorBytes(vectorOfText(text)),
        ]),
      ),
    async getAll(addresses) {
      const prefixes = addresses.map(({ namespace }) => namespace.join("."));
      const { rows } = await run("get", GET, [prefixes, addresses.map(({ key }) => key)]);
      return rows.length;
    },
    async search(namespace) {
      const { rows } = await run("search", SEARCH, [namespace.join("."), vectorBytes(QUERY_VECTOR)]);
      return keysSchema.parse(rows).map(({ key }) => key);
    },
    close: () => client.end(),
  };
}

const GET = `SELECT s.key, s.value, s.created_at, s.updated_at FROM unnest($1::text[], $2::text[]) AS g (prefix, key)
  JOIN store s ON s.prefix = g.prefix AND s.key = g.key`;
const SEARCH = `SELECT s.key, s.value, s.created_at, s.updated_at, 1 - d.distance AS score
  FROM (SELECT prefix, key, embedding <=> $2::vector AS distance FROM store_vectors WHERE prefix = $1
    ORDER BY distance LIMIT ${LIMIT}) d
  JOIN store s USING (prefix, key) ORDER BY d.distance`;

function putStatement(count: number): string {
  const rows = Array.from({ length: count }, (_, i) => {
    const [prefix, key, value, vector] = [1, 2, 3, 4].map((each) => `$${i * 4 + each}`);
    return `(${prefix}::text, ${key}::text, ${value}::jsonb, ${vector}::vector)`;
  });
  return `WITH item (prefix, key, value, embedding) AS (VALUES ${rows.join(", ")}),
    put AS (INSERT INTO store (prefix, key, value) SELECT prefix, key, value FROM item
      ON CONFLICT (prefix, key) DO UPDATE SET value = excluded.value, updated_at = now())
    INSERT INTO store_vectors (prefix, key, field_name, embedding) SELECT prefix, key, 'text', embedding FROM item
    ON CONFLICT (prefix, key, field_name) DO UPDATE SET embedding = excluded.embedding, updated_at = now()`;
}

/** pgvector's binary form: two 16-bit numbers, then floats, all big-endian. */
function vectorBytes(vector: ArrayLike<number>): Buffer {
  const bytes = Buffer.alloc(4 + 4 * vector.length);
  bytes.writeUInt16BE(vector.length, 0);
  bytes.set(Buffer.from(Float32Array.from(vector).buffer).swap32(), 4);
  return bytes;
}

/** The dot products of the query with all vectors of a namespace that lie in memory, and their best: nothing else. */
export function createMemoryScan(blocks: readonly Block[]): Peer {
  const memory = createVectorMemory();
  const total = blocks.reduce((sum, { count }) => sum + count, 0);
  const scoresAt = (1 + total) * DIMENSIONS;
  memory.grow(scoresAt + Math.max(...blocks.map(({ count }) => count)));
  memory.floats.set(QUERY_VECTOR);
  const places = new Map<string, { block: Block; at: number }>();
  let at = DIMENSIONS;
  for (const block of blocks) {
    places.set(block.namespace.join("."), { block, at });
    for (let i = 0; i < block.count; i += 1, at += DIMENSIONS) memory.floats.set(vectorOf(block.first + i), at);
  }
  return {
    name: NAMES.scan,
    async search(namespace) {
      const place = places.get(namespace.join("."));
      if (!place) return [];
      const { first, count } = place.block;
      memory.dotProducts(0, place.at, count, DIMENSIONS, scoresAt);
      return best(memory.floats.subarray(scoresAt, scoresAt + count)).map((i) => keyOf(first + i));
    },
    async close() {},
  };
}

/** The positions of the {@link LIMIT} highest, best first, by insertion into a short list. */
function best(scores: Float32Array): number[] {
  const found: number[] = [];
  const score = (i: number) => scores[i] ?? 0;
  for (let i = 0; i < scores.length; i += 1) {
    const last = found.at(-1);
    if (found.length === LIMIT && last !== undefined && score(i) <= score(last)) continue;
    if (found.length === LIMIT) found.pop();
    const at = found.findIndex((other) => score(other) < score(i));
    found.splice(at < 0 ? found.length : at, 0, i);
  }
  return found;
}
