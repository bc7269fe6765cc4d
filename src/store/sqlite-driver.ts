import { chmodSync, closeSync, mkdirSync, openSync, statSync } from "node:fs";
import { dirname } from "node:path";
import Database from "libsql";
import { z } from "zod";
import { MnemailError } from "../errors.ts";
import { jsonEqual } from "./json-equal.ts";
import type { Row, RowBatch, RowBatchResult, RowDriver, RowWrite, ScannedRow } from "./row-driver.ts";

// The layout of Python LangGraph's SqliteStore (langgraph-checkpoint-sqlite, `langgraph/store/sqlite/base.py`),
// so that both can share a database; its migration tables are filled so that its setup() finds its work done.
const SCHEMA = `
CREATE TABLE IF NOT EXISTS store (
  prefix TEXT NOT NULL,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  expires_at TIMESTAMP,
  ttl_minutes REAL,
  PRIMARY KEY (prefix, key)
);
CREATE INDEX IF NOT EXISTS store_prefix_idx ON store (prefix);
CREATE INDEX IF NOT EXISTS idx_store_expires_at ON store (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS store_vectors (
  prefix TEXT NOT NULL,
  key TEXT NOT NULL,
  field_name TEXT NOT NULL,
  embedding BLOB,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (prefix, key, field_name),
  FOREIGN KEY (prefix, key) REFERENCES store (prefix, key) ON DELETE CASCADE
);
CREATE TABLE IF NOT EXISTS store_migrations (v INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS vector_migrations (v INTEGER PRIMARY KEY);
INSERT OR IGNORE INTO store_migrations (v) VALUES (0), (1), (2), (3), (4);
INSERT OR IGNORE INTO vector_migrations (v) VALUES (0);
CREATE TABLE IF NOT EXISTS mnemail_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT OR IGNORE INTO mnemail_meta (name, value) VALUES ('schema_version', '1');
`;

const NOW = "strftime('%Y-%m-%d %H:%M:%f', 'now')";
const LIVE = "(expires_at IS NULL OR julianday(expires_at) > julianday('now'))";
/** '/' follows '.' in ASCII, so this range holds exactly the prefixes that continue with a whole label. */
const BELOW = "(? = '' OR prefix = ? OR (prefix > ? || '.' AND prefix < ? || '/'))";

const blob = z.instanceof(ArrayBuffer).or(z.instanceof(Uint8Array));
const rowSchema = z.tuple([z.string(), z.string(), z.union([z.string(), blob]), z.string(), z.string()]);
const vectorSchema = z.tuple([z.string(), z.string(), blob]);
const valueSchema = z.record(z.string(), z.unknown());

/**
 * Opens rows in a SQLite file, through libsql: made when absent (mode 0600), in write-ahead mode, every commit
 * flushed to disk. Several processes may use one file; each waits `busyTimeoutMs` for another's write.
 *
 * @throws MnemailError("store") when the file cannot be opened, written or is not a healthy database.
 */
export function openSqliteDriver(path: string, { busyTimeoutMs = 5_000 } = {}): RowDriver {
  return new SqliteDriver({ path, busyTimeoutMs }, openDatabase({ path, busyTimeoutMs }));
}

interface Place {
  path: string;
  busyTimeoutMs: number;
}

function openDatabase(place: Place): Database.Database {
  const { path, busyTimeoutMs } = place;
  try {
    prepareFile(path);
    const database = new Database(path, { timeout: busyTimeoutMs });
    database.exec("PRAGMA journal_mode = WAL");
    database.exec("PRAGMA synchronous = FULL");
    database.exec("PRAGMA foreign_keys = ON");
    const hasSchema = database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'mnemail_meta'").raw().all();
    if (hasSchema.length === 0) inTransaction(database, () => database.exec(SCHEMA));
    return database;
  } catch (error) {
    throw storeError(place, error);
  }
}

function prepareFile(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const existing = statSync(path, { throwIfNoEntry: false });
  if (existing?.isDirectory()) throw new MnemailError("store", `${path}: is a directory; STORE_URL needs a file`);
  // SQLite would honour the mode for everyone but root; a file marked read-only is left alone whoever asks.
  if (existing && (existing.mode & 0o222) === 0) {
    throw new MnemailError("store", `${path}: is read-only; make it writable (chmod u+w) or set another STORE_URL`);
  }
  if (existing) return;
  closeSync(openSync(path, "a", 0o600));
  chmodSync(path, 0o600);
}

function inTransaction<T>(database: Database.Database, run: () => T): T {
  database.exec("BEGIN IMMEDIATE");
  try {
    const result = run();
    database.exec("COMMIT");
    return result;
  } catch (error) {
    if (database.inTransaction) database.exec("ROLLBACK");
    throw error;
  }
}

function storeError({ path, busyTimeoutMs }: Place, error: unknown): MnemailError {
  if (error instanceof MnemailError) return error;
  const text = error instanceof Error ? error.message : String(error);
  const because = (what: string, hint: string) => new MnemailError("store", `${path}: ${what}`, hint, { cause: error });
  if (/not a database|malformed|corrupt/i.test(text)) {
    return because(
      "is not a SQLite database or is damaged",
      "nothing was changed; restore a copy or set another STORE_URL",
    );
  }
  if (/readonly|read-only/i.test(text)) return because("is read-only", "make it writable or set another STORE_URL");
  if (/locked|busy/i.test(text)) {
    return because(`was locked by another process for ${busyTimeoutMs / 1000} s`, "try again; nothing was changed");
  }
  if (/full|ENOSPC/i.test(text)) return because("the disk is full", "free some space; nothing was changed");
  if (/EACCES|EPERM|EROFS|unable to open|ENOTDIR/i.test(text)) {
    return because("cannot be opened for writing", "check the folder and its permissions or set another STORE_URL");
  }
  return because(text.replace(/\s+/g, " ").trim(), "nothing was changed");
}

class SqliteDriver implements RowDriver {
  readonly #place: Place;
  readonly #database: Database.Database;

  constructor(place: Place, database: Database.Database) {
    this.#place = place;
    this.#database = database;
  }

  async run(batch: RowBatch): Promise<RowBatchResult> {
    return this.#guarded(() => {
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
    const scans = batch.scans.map(({ prefix, withVectors }) => this.#scan(prefix, withVectors));
    const namespaces = batch.listNamespaces
      ? this.#all(`SELECT DISTINCT prefix FROM store WHERE ${LIVE} ORDER BY prefix`, []).map((row) =>
          z.tuple([z.string()]).parse(row)[0].split("."),
        )
      : [];
    const applied = batch.writes.every(
      (each) => each.expected === undefined || jsonEqual(this.#get(each.namespace, each.key)?.value, each.expected),
    );
    if (applied) for (const each of batch.writes) this.#apply(each);
    return { gets, scans, namespaces, applied };
  }

  #get(namespace: string[], key: string): Row | null {
    const [row] = this.#all(
      `SELECT prefix, key, value, created_at, updated_at FROM store WHERE prefix = ? AND key = ? AND ${LIVE}`,
      [namespace.join("."), key],
    );
    return row === undefined ? null : parseRow(row);
  }

  #scan(prefix: string[], withVectors: boolean): ScannedRow[] {
    const text = prefix.join(".");
    const range = [text, text, text, text];
    const vectors = new Map<string, Float32Array[]>();
    if (withVectors) {
      const found = this.#all(`SELECT prefix, key, embedding FROM store_vectors WHERE ${BELOW}`, range);
      for (const [namespace, key, embedding] of found.map((row) => vectorSchema.parse(row))) {
        const address = JSON.stringify([namespace, key]);
        vectors.set(address, [...(vectors.get(address) ?? []), toVector(embedding)]);
      }
    }
    return this.#all(
      `SELECT prefix, key, value, created_at, updated_at FROM store WHERE ${BELOW} AND ${LIVE}
       ORDER BY julianday(updated_at) DESC, prefix, key`,
      range,
    ).map((row) => {
      const parsed = parseRow(row);
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

/** SQLite's timestamps are in UTC and do not say so. */
function toDate(text: string): Date {
  return new Date(/[zZ]|[+-]\d\d:\d\d$/.test(text) ? text : `${text.replace(" ", "T")}Z`);
}

function toVector(bytes: ArrayBuffer | Uint8Array): Float32Array {
  const copy = bytes instanceof Uint8Array ? new Uint8Array(bytes).buffer : bytes.slice(0);
  return new Float32Array(copy);
}
