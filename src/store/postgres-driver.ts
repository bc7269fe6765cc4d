import type pg from "pg";
import { z } from "zod";
import { maskUrl } from "../store-config/masks.ts";
import type { PostgresConfig } from "../store-config/store-config.ts";
import { jsonEqual } from "./json-equal.ts";
import { readPostgresHealth } from "./postgres-health.ts";
import { isPreparationLost, openPostgresPool, postgresError, unknownOutcome, withRetry } from "./postgres-pool.ts";
import { PostgresReader, type Queryable } from "./postgres-reader.ts";
import { keptColumns, parseKept } from "./postgres-reads.ts";
import { type PostgresSchema, preparePostgres } from "./postgres-schema.ts";
import { below, LIVE, Parameters, type Statement, statement, writeStatement } from "./postgres-statements.ts";
import { vacuumTables } from "./postgres-vacuum.ts";
import {
  addressText,
  type KeptPage,
  type KeptRow,
  type RowBatch,
  type RowBatchResult,
  type RowDriver,
  type RowHealth,
  type RowWrite,
} from "./row-driver.ts";
import type { SearchLanguage } from "./tokens.ts";
import { isComparable, parseSpace, spaceText, type VectorSpace } from "./vector-space.ts";

const PAGE = 500;
const TABLES = ["store", "store_vectors", "mnemail_unembedded"];

/**
 * Opens rows in a PostgreSQL database, whose tables it sees to, for many processes at once. Vectors are compared there,
 * words here, with an index of each searched namespace that follows the rows' versions. A batch of reads is one
 * statement, and so is one of plain puts; conditional puts take four. While the server is away, calls wait `retryMs`.
 *
 * @throws MnemailError("store") when the database cannot be reached or is not one for us.
 */
export async function openPostgresDriver(
  config: PostgresConfig,
  options: { language?: SearchLanguage; warn?: (line: string) => void } = {},
): Promise<RowDriver> {
  const pool = openPostgresPool(config, options.warn);
  try {
    const schema = await withRetry(config, () => preparePostgres(pool, config));
    return new PostgresDriver(pool, config, schema, options.language ?? "english");
  } catch (error) {
    await pool.end();
    throw error;
  }
}

class PostgresDriver implements RowDriver {
  readonly #pool: pg.Pool;
  readonly withoutVectors: string | undefined;
  readonly isAtomic = true;
  readonly #config: PostgresConfig;
  readonly #vectorOid: number | undefined;
  readonly #reader: PostgresReader;
  /** The space in force when it was last seen. */
  #space: VectorSpace | undefined;
  #prepares = true;
  #writes = 0;
  #closed: Promise<void> | undefined;
  readonly vacuum = () => withRetry(this.#config, () => vacuumTables(this.#pool, TABLES));

  constructor(pool: pg.Pool, config: PostgresConfig, schema: PostgresSchema, language: SearchLanguage) {
    this.#pool = pool;
    this.#config = config;
    this.#vectorOid = schema.vectorOid;
    this.withoutVectors = schema.withoutVectors;
    this.#reader = new PostgresReader({
      query: (on, query) => this.#query(on, query),
      withVectors: schema.vectorOid !== undefined,
      language,
    });
  }

  async run(batch: RowBatch): Promise<RowBatchResult> {
    let mayBeCommitted = false;
    return withRetry(this.#config, async () => {
      if (batch.writes.length === 0) return { ...(await this.#reader.read(this.#pool, batch)), applied: true };
      if (batch.writes.some(({ vectors }) => vectors.some(({ embedding }) => embedding)))
        await this.#claim(batch.space);
      const readsNothing = batch.gets.length + batch.scans.length === 0 && !batch.listNamespaces;
      if (readsNothing && batch.writes.every(({ expected }) => expected === undefined)) {
        const { comparable } = await this.#write(this.#pool, batch);
        return { gets: [], scans: [], namespaces: [], unreadable: 0, applied: true, comparable };
      }
      return this.#inTransaction(async (client, commit) => {
        const found = await this.#reader.read(client, batch);
        const state = await this.#compare(client, batch.writes);
        // An attempt whose answer was lost may have been committed: then these very values are stored.
        if (state === "done" && mayBeCommitted) return { ...found, applied: true };
        const written = state === "as expected" ? await this.#write(client, batch) : undefined;
        // Or others have changed them since: to say that nothing was written would be a guess.
        if (!written?.applied && mayBeCommitted) throw unknownOutcome(this.#config);
        if (!written?.applied) return { ...found, applied: false };
        mayBeCommitted = true;
        await commit();
        return { ...found, applied: true, comparable: found.comparable && written.comparable };
      });
    });
  }

  async vectorSpace(): Promise<VectorSpace | undefined> {
    if (this.#vectorOid === undefined) return undefined;
    return withRetry(this.#config, async () => {
      const { rows } = await this.#pool.query("SELECT 1 FROM store_vectors LIMIT 1");
      return rows.length > 0 ? this.#readSpace() : undefined;
    });
  }

  async resetVectors(space: VectorSpace): Promise<void> {
    await withRetry(this.#config, () =>
      this.#inTransaction(async (client, commit) => {
        // Waits for puts under way, and lets none in: a put that comes after this sees the new space.
        await client.query("LOCK TABLE store_vectors IN SHARE ROW EXCLUSIVE MODE");
        const { rows } = await client.query("SELECT value FROM mnemail_meta WHERE name = 'embedding_space' FOR UPDATE");
        if (metaSchema.parse(rows)[0]?.value === spaceText(space)) return;
        await client.query(
          "INSERT INTO mnemail_unembedded SELECT prefix, key, field_name FROM store_vectors ON CONFLICT DO NOTHING",
        );
        await client.query("DELETE FROM store_vectors");
        await client.query(
          "INSERT INTO mnemail_meta VALUES ('embedding_space', $1) ON CONFLICT (name) DO UPDATE SET value = $1",
          [spaceText(space)],
        );
        await commit();
      }),
    );
    this.#space = space;
  }

  async unembedded(limit: number): Promise<{ rows: KeptRow[]; waiting: number }> {
    return withRetry(this.#config, async () => {
      const { rows } = await this.#pool.query(
        `SELECT ${keptColumns(this.#vectorOid !== undefined)} FROM store s
         WHERE (s.prefix, s.key) IN (SELECT prefix, key FROM mnemail_unembedded) AND ${LIVE} AND jsonb_typeof(s.value) = 'object'
         ORDER BY s.prefix, s.key LIMIT $1`,
        [limit],
      );
      const counted = await this.#pool.query("SELECT count(*) AS value FROM mnemail_unembedded");
      return { rows: parseKept(rows), waiting: Number(metaSchema.parse(counted.rows)[0]?.value) };
    });
  }

  async *pages(prefixes: string[][]): AsyncIterable<KeptPage> {
    const to = new Parameters();
    const where = prefixes.map((prefix) => below("s", prefix, to)).join(" OR ") || "FALSE";
    const client = await withRetry(this.#config, () => this.#pool.connect());
    let broken = true;
    try {
      // One snapshot for all pages, as a cursor has.
      await client.query("BEGIN READ ONLY");
      await client.query(
        `DECLARE pages NO SCROLL CURSOR FOR SELECT ${keptColumns(this.#vectorOid !== undefined)} FROM store s
         WHERE (${where}) AND ${LIVE} ORDER BY s.prefix COLLATE "C", s.key COLLATE "C"`,
        to.values,
      );
      for (;;) {
        const { rows } = await client.query(`FETCH ${PAGE} FROM pages`);
        if (rows.length === 0) break;
        const readable = parseKept(rows);
        yield { rows: readable, unreadable: rows.length - readable.length };
      }
      await client.query("COMMIT");
      broken = false;
    } catch (error) {
      throw postgresError(this.#config, error);
    } finally {
      client.release(broken);
    }
  }

  async drop(prefixes: string[][]): Promise<number> {
    const to = new Parameters();
    const where = prefixes.map((prefix) => below("s", prefix, to)).join(" OR ") || "FALSE";
    return this.#count({ ...statement(`DELETE FROM store s WHERE ${where}`, to) });
  }

  async sweep(): Promise<number> {
    return this.#count(statement(`DELETE FROM store s WHERE NOT ${LIVE}`, new Parameters()));
  }

  async health(): Promise<RowHealth> {
    return withRetry(this.#config, async () =>
      readPostgresHealth(this.#pool, await this.#readSpace(), this.withoutVectors),
    );
  }

  async close(): Promise<void> {
    this.#closed ??= this.#pool.end();
    return this.#closed;
  }

  async #count(query: Statement): Promise<number> {
    return withRetry(this.#config, async () => (await this.#query(this.#pool, query)).rowCount ?? 0);
  }

  async #write(to: Queryable, { writes, space }: RowBatch): Promise<{ applied: boolean; comparable: boolean }> {
    const statement = writeStatement(writes, { space, vectorOid: this.#vectorOid });
    this.#writes += 1;
    // A plan that was made when the tables were small reads them whole. It is made anew each time their growth by
    // this process may have doubled.
    const name = `${statement.name}_${Math.floor(Math.log2(this.#writes))}`;
    const { rows } = await this.#query(to, { ...statement, name });
    const [result] = writtenSchema.parse(rows);
    return {
      applied: result.fresh === writes.filter(({ expected, value }) => expected === null && value !== null).length,
      comparable: space === undefined || this.#vectorOid === undefined || result.space === spaceText(space),
    };
  }

  /** Compares what is stored with what is expected and what is to be; locks these rows until the transaction ends. */
  async #compare(client: pg.PoolClient, writes: readonly RowWrite[]): Promise<"as expected" | "done" | "otherwise"> {
    const expecting = writes.filter(({ expected }) => expected !== undefined);
    if (expecting.length === 0) return "as expected";
    const to = new Parameters();
    const prefixes = to.add(
      expecting.map(({ namespace }) => namespace.join(".")),
      "text[]",
    );
    const keys = to.add(
      expecting.map(({ key }) => key),
      "text[]",
    );
    const { rows } = await this.#query(
      client,
      statement(
        `SELECT s.prefix, s.key, s.value, ${LIVE} AS live FROM store s
         JOIN unnest(${prefixes}, ${keys}) AS e (prefix, key) ON s.prefix = e.prefix AND s.key = e.key
         ORDER BY s.prefix, s.key FOR UPDATE OF s`,
        to,
      ),
    );
    const stored = new Map(lockedSchema.parse(rows).map((row) => [addressText([row.prefix], row.key), row]));
    for (const { prefix, key, live } of stored.values()) {
      if (!live) await client.query("DELETE FROM store WHERE prefix = $1 AND key = $2", [prefix, key]);
    }
    const current = ({ namespace, key }: RowWrite) => {
      const row = stored.get(addressText(namespace, key));
      return row?.live ? row.value : null;
    };
    if (expecting.every((write) => jsonEqual(current(write), write.expected))) return "as expected";
    return expecting.every((write) => jsonEqual(current(write), write.value)) ? "done" : "otherwise";
  }

  /** Makes the first vectors' space the store's. */
  async #claim(space: VectorSpace | undefined): Promise<void> {
    if (!space || this.#vectorOid === undefined) return;
    if (!this.#space) {
      // A model that left no vector decides nothing.
      await this.#pool.query(
        `INSERT INTO mnemail_meta AS m (name, value) VALUES ('embedding_space', $1)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value
         WHERE m.value <> excluded.value AND NOT EXISTS (SELECT 1 FROM store_vectors)`,
        [spaceText(space)],
      );
    }
    if (!this.#space || spaceText(this.#space) !== spaceText(space)) await this.#readSpace();
    if (this.#space) isComparable(maskUrl(this.#config.url), this.#space, space);
  }

  async #readSpace(): Promise<VectorSpace | undefined> {
    const { rows } = await this.#pool.query("SELECT value FROM mnemail_meta WHERE name = 'embedding_space'");
    const [row] = metaSchema.parse(rows);
    this.#space = row && parseSpace(row.value);
    return this.#space;
  }

  async #inTransaction<T>(run: (client: pg.PoolClient, commit: () => Promise<void>) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect();
    let broken = true;
    let committed = false;
    try {
      await client.query("BEGIN ISOLATION LEVEL READ COMMITTED");
      const result = await run(client, async () => {
        await client.query("COMMIT");
        committed = true;
      });
      if (!committed) await client.query("ROLLBACK");
      broken = false;
      return result;
    } finally {
      client.release(broken);
    }
  }

  async #query(on: Queryable, { name, text, values }: Statement): Promise<pg.QueryResult> {
    try {
      return await on.query(this.#prepares ? { name, text, values } : { text, values });
    } catch (error) {
      if (isPreparationLost(error)) this.#prepares = false;
      throw error;
    }
  }
}

const writtenSchema = z.tuple([z.object({ fresh: z.number(), space: z.string().nullable() })]);
const lockedSchema = z.array(z.object({ prefix: z.string(), key: z.string(), value: z.unknown(), live: z.boolean() }));
const metaSchema = z.array(z.object({ value: z.string() }));
