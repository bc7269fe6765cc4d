import type Database from "libsql";
import { z } from "zod";
import { MnemailError } from "../errors.ts";
import { jsonEqual } from "./json-equal.ts";
import type { JsonObject, Row, RowBatch, RowBatchResult, RowDriver, RowWrite, ScannedRow } from "./row-driver.ts";
import { identityOf, inTransaction, openDatabase, type Place, storeError } from "./sqlite-file.ts";

const NOW = "strftime('%Y-%m-%d %H:%M:%f', 'now')";
const LIVE = "(expires_at IS NULL OR julianday(expires_at) > julianday('now'))";
/** '/' follows '.' in ASCII, so this range holds exactly the prefixes that continue with a whole label. */
const BELOW = "(? = '' OR prefix = ? OR (prefix > ? || '.' AND prefix < ? || '/'))";

const blob = z.instanceof(ArrayBuffer).or(z.instanceof(Uint8Array));
const rowSchema = z.tuple([z.string(), z.string(), z.union([z.string(), blob]), z.string(), z.string()]);
const vectorSchema = z.tuple([z.string(), z.string(), blob]);
const valueSchema = z.custom<JsonObject>(
  (value) => typeof value === "object" && value !== null && !Array.isArray(value),
);

/**
 * Opens rows in a SQLite file, through libsql: made when absent (mode 0600), in write-ahead mode, every commit
 * flushed to disk. Several processes may use one file; each waits `busyTimeoutMs` for another's write.
 *
 * @throws MnemailError("store") when the file cannot be opened, written or is not a healthy database.
 */
export function openSqliteDriver(path: string, { busyTimeoutMs = 5_000 } = {}): RowDriver {
  return new SqliteDriver({ path, busyTimeoutMs }, openDatabase({ path, busyTimeoutMs }));
}

class SqliteDriver implements RowDriver {
  readonly #place: Place;
  readonly #database: Database.Database;
  readonly #identity: string | undefined;

  constructor(place: Place, database: Database.Database) {
    this.#place = place;
    this.#database = database;
    this.#identity = identityOf(place.path);
  }

  async run(batch: RowBatch): Promise<RowBatchResult> {
    return this.#guarded(() => {
      // SQLite goes on writing into a file that was deleted, and all of it would be lost in silence.
      if (batch.writes.length > 0 && identityOf(this.#place.path) !== this.#identity) {
        throw new MnemailError(
          "store",
          `${this.#place.path}: was removed or replaced while it was in use`,
          "run again",
        );
      }
      if (batch.writes.length > 0) return inTransaction(this.#database, () => this.#runAll(batch));
      this.#database.exec("BEGIN");
      try {
        return this.#runAll(batch);
      } finally {
        this.#database.exec("COMMIT");
      }
    });
  }

  async claimEmbeddingModel(model: string): Promise<string> {
    return this.#guarded(() =>
      inTransaction(this.#database, () => {
        const hasVectors = this.#all("SELECT 1 FROM store_vectors LIMIT 1", []).length > 0;
        const stored = this.#all("SELECT value FROM mnemail_meta WHERE name = 'embedding_model'", [])[0];
        const current = stored === undefined ? undefined : z.tuple([z.string()]).parse(stored)[0];
        if (current === model || (hasVectors && current !== undefined)) return current;
        this.#write("INSERT OR REPLACE INTO mnemail_meta (name, value) VALUES ('embedding_model', ?)", [model]);
        return model;
      }),
    );
  }

  async close(): Promise<void> {
    if (this.#database.open) this.#database.close();
  }

  #guarded<T>(run: () => T): T {
    try {
      return run();
    } catch (error) {
      throw storeError(this.#place, error);
    }
  }

  #runAll(batch: RowBatch): RowBatchResult {
    const gets = batch.gets.map(({ namespace, key }) => this.#get(namespace, key));
    let unreadable = 0;
    const scans = batch.scans.map((scan) => {
      const found = this.#scan(scan);
      const rows = found.filter((row) => row !== undefined);
      unreadable += found.length - rows.length;
      return rows;
    });
    const namespaces = batch.listNamespaces
      ? this.#all(`SELECT DISTINCT prefix FROM store WHERE ${LIVE} ORDER BY prefix`, []).map((row) =>
          z.tuple([z.string()]).parse(row)[0].split("."),
        )
      : [];
    const applied = batch.writes.every(
      (each) => each.expected === undefined || jsonEqual(this.#get(each.namespace, each.key)?.value, each.expected),
    );
    if (applied) for (const each of batch.writes) this.#apply(each);
    return { gets, scans, namespaces, applied, unreadable };
  }

  #get(namespace: string[], key: string): Row | null {
    const [row] = this.#all(
      `SELECT prefix, key, value, created_at, updated_at FROM store WHERE prefix = ? AND key = ? AND ${LIVE}`,
      [namespace.join("."), key],
    );
    if (row === undefined) return null;
    try {
      return parseRow(row);
    } catch (error) {
      const name = JSON.stringify([...namespace, key]);
      throw new MnemailError("store", `${this.#place.path}: the record ${name} cannot be read`, "it is left as it is", {
        cause: error,
      });
    }
  }

  /** A row that cannot be read is undefined: one bad record must not hide the others. */
  #scan({ prefix, withVectors, equal }: RowBatch["scans"][number]): (ScannedRow | undefined)[] {
    const text = prefix.join(".");
    const range = [text, text, text, text];
    const vectors = new Map<string, Float32Array[]>();
    if (withVectors) {
      const found = this.#all(`SELECT prefix, key, embedding FROM store_vectors WHERE ${BELOW}`, range);
      for (const [namespace, key, embedding] of found.map((row) => vectorSchema.parse(row))) {
        const address = JSON.stringify([namespace, key]);
        const vector = toVector(embedding);
        if (vector) vectors.set(address, [...(vectors.get(address) ?? []), vector]);
      }
    }
    // Python's values are BLOBs, which json_extract would take for its binary format.
    const filters = Object.keys(equal).map(
      (name) => `AND (typeof(value) <> 'text' OR NOT json_valid(value) OR json_extract(value, '$.${name}') = ?)`,
    );
    return this.#all(
      `SELECT prefix, key, value, created_at, updated_at FROM store WHERE ${BELOW} AND ${LIVE} ${filters.join(" ")}
       ORDER BY julianday(updated_at) DESC, prefix, key`,
      [...range, ...Object.values(equal)],
    ).map((row) => {
      const parsed = tryParseRow(row);
      if (!parsed) return undefined;
      return { ...parsed, vectors: vectors.get(JSON.stringify([parsed.namespace.join("."), parsed.key])) ?? [] };
    });
  }

  #apply({ namespace, key, value, vectors }: RowWrite): void {
    const prefix = namespace.join(".");
    this.#write("DELETE FROM store_vectors WHERE prefix = ? AND key = ?", [prefix, key]);
    if (value === null) {
      this.#write("DELETE FROM store WHERE prefix = ? AND key = ?", [prefix, key]);
      return;
    }
    this.#write(
      `INSERT INTO store (prefix, key, value, created_at, updated_at) VALUES (?, ?, ?, ${NOW}, ${NOW})
       ON CONFLICT (prefix, key) DO UPDATE
       SET value = excluded.value, updated_at = excluded.updated_at, expires_at = NULL, ttl_minutes = NULL`,
      [prefix, key, JSON.stringify(value)],
    );
    for (const { field, embedding } of vectors) {
      this.#write(
        `INSERT INTO store_vectors (prefix, key, field_name, embedding, created_at, updated_at)
         VALUES (?, ?, ?, ?, ${NOW}, ${NOW})`,
        [prefix, key, field, Buffer.from(embedding.buffer, embedding.byteOffset, embedding.byteLength)],
      );
    }
  }

  // Parameters go as one array: libsql aborts the process when its only argument is a Buffer.
  #all(sql: string, parameters: unknown[]): unknown[] {
    return this.#database.prepare(sql).raw().all(parameters);
  }

  #write(sql: string, parameters: unknown[]): void {
    this.#database.prepare(sql).run(parameters);
  }
}

/** @throws when the row is not one that LangGraph stores write. */
function parseRow(row: unknown): Row {
  const [prefix, key, value, createdAt, updatedAt] = rowSchema.parse(row);
  // Python writes JSON as bytes, which SQLite keeps as a BLOB whatever the column says.
  const text = typeof value === "string" ? value : new TextDecoder().decode(value);
  return {
    namespace: prefix.split("."),
    key,
    value: valueSchema.parse(JSON.parse(text)),
    createdAt: toDate(createdAt),
    updatedAt: toDate(updatedAt),
  };
}

function tryParseRow(row: unknown): Row | undefined {
  try {
    return parseRow(row);
  } catch {
    return undefined;
  }
}

/** SQLite's timestamps are in UTC and do not say so. */
function toDate(text: string): Date {
  return new Date(/[zZ]|[+-]\d\d:\d\d$/.test(text) ? text : `${text.replace(" ", "T")}Z`);
}

function toVector(bytes: ArrayBuffer | Uint8Array): Float32Array | undefined {
  if (bytes.byteLength % Float32Array.BYTES_PER_ELEMENT !== 0) return undefined;
  const copy = bytes instanceof Uint8Array ? new Uint8Array(bytes).buffer : bytes.slice(0);
  return new Float32Array(copy);
}
