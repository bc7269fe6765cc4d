import { chmodSync, closeSync, mkdirSync, openSync, statSync } from "node:fs";
import { dirname } from "node:path";
import Database from "libsql";
import { z } from "zod";
import { MnemailError } from "../errors.ts";

/** The newest schema this version knows: the number of migrations below. */
const SCHEMA_VERSION = 2;

// The tables, indexes and migration numbers of Python LangGraph's SqliteStore (langgraph-checkpoint-sqlite,
// `langgraph/store/sqlite/base.py`), so that both can share a file and its setup() finds its work done.
const PYTHON_TABLES = `
CREATE TABLE IF NOT EXISTS store (
  prefix TEXT NOT NULL,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (prefix, key)
);
CREATE INDEX IF NOT EXISTS store_prefix_idx ON store (prefix);
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
`;
const PYTHON_EXPIRY =
  "CREATE INDEX IF NOT EXISTS idx_store_expires_at ON store (expires_at) WHERE expires_at IS NOT NULL";

// Every change of an item gets a number, by whatever program it is made: what is held in process of a namespace is up
// to date when it has seen the last of them. The numbers are never used again; forgetting some of them, as when a
// user is dropped, begins another epoch. (No upsert inside: INSERT OR REPLACE would change its meaning.)
const logChange = (event: string, row: string) => `
CREATE TRIGGER mnemail_on_${event} AFTER ${event} ON store BEGIN
  UPDATE mnemail_clock SET change = change + 1;
  DELETE FROM mnemail_changes WHERE prefix = ${row}.prefix AND key = ${row}.key;
  INSERT INTO mnemail_changes (prefix, key, change) SELECT ${row}.prefix, ${row}.key, change FROM mnemail_clock;
END;`;
const CHANGES = `
CREATE TABLE mnemail_clock (change INTEGER NOT NULL, epoch INTEGER NOT NULL);
INSERT INTO mnemail_clock (change, epoch) VALUES (0, 0);
CREATE TABLE mnemail_changes (
  prefix TEXT NOT NULL, key TEXT NOT NULL, change INTEGER NOT NULL, PRIMARY KEY (prefix, key)
) WITHOUT ROWID;
CREATE INDEX mnemail_changes_by_change ON mnemail_changes (prefix, change);
INSERT INTO mnemail_changes (prefix, key, change) SELECT prefix, key, 0 FROM store;
${logChange("INSERT", "NEW")}
${logChange("UPDATE", "NEW")}
${logChange("DELETE", "OLD")}
CREATE TABLE mnemail_unembedded (
  prefix TEXT NOT NULL,
  key TEXT NOT NULL,
  field_name TEXT NOT NULL,
  PRIMARY KEY (prefix, key, field_name),
  FOREIGN KEY (prefix, key) REFERENCES store (prefix, key) ON DELETE CASCADE
) WITHOUT ROWID;
INSERT INTO mnemail_meta (name, value)
  SELECT 'embedding_space', json_object('model', value, 'dimensions',
    (SELECT length(embedding) / 4 FROM store_vectors WHERE embedding IS NOT NULL LIMIT 1))
  FROM mnemail_meta WHERE name = 'embedding_model' AND EXISTS (SELECT 1 FROM store_vectors WHERE embedding IS NOT NULL);
DELETE FROM mnemail_meta WHERE name = 'embedding_model';
`;

const MIGRATIONS: Record<number, (database: Database.Database) => void> = {
  1: (database) => {
    database.exec(PYTHON_TABLES);
    // A file that an old Python made has no columns for expiry, and SQLite cannot add one only where it is missing.
    const columns = database.prepare("SELECT name FROM pragma_table_info('store')").raw().all().flat();
    if (!columns.includes("expires_at")) database.exec("ALTER TABLE store ADD COLUMN expires_at TIMESTAMP");
    if (!columns.includes("ttl_minutes")) database.exec("ALTER TABLE store ADD COLUMN ttl_minutes REAL");
    database.exec(PYTHON_EXPIRY);
  },
  2: (database) => database.exec(CHANGES),
};

const WAL_RETRY_MS = 10;

/** A database file, and how long to wait for another writer, in milliseconds. */
export interface Place {
  path: string;
  busyTimeoutMs: number;
}

/** Names the file itself, whatever becomes of its path; undefined when there is none. */
export function identityOf(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  return found && `${found.dev}:${found.ino}`;
}

/**
 * Opens the database of a file and sees to its tables.
 *
 * @throws MnemailError("store") when it cannot be opened, written or is not a healthy database.
 */
export function openDatabase(place: Place): Database.Database {
  const { path, busyTimeoutMs } = place;
  try {
    prepareFile(path);
    const database = new Database(path, { timeout: busyTimeoutMs });
    enterWal(database, busyTimeoutMs);
    database.exec("PRAGMA synchronous = FULL");
    database.exec("PRAGMA foreign_keys = ON");
    if (versionOf(place, database) < SCHEMA_VERSION) inTransaction(database, () => migrate(place, database));
    return database;
  } catch (error) {
    throw storeError(place, error);
  }
}

/**
 * Turns write-ahead mode on. Of processes that start together on a new file all but one may be refused, for which
 * SQLite does not wait itself.
 */
export function enterWal(database: Database.Database, busyTimeoutMs: number): void {
  const started = Date.now();
  for (;;) {
    try {
      database.exec("PRAGMA journal_mode = WAL");
      return;
    } catch (error) {
      const isLocked = error instanceof Error && /locked|busy/i.test(error.message);
      if (!isLocked || Date.now() - started > busyTimeoutMs) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAL_RETRY_MS);
    }
  }
}

function versionOf({ path }: Place, database: Database.Database): number {
  const hasMeta = database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'mnemail_meta'").raw().all();
  if (hasMeta.length === 0) return 0;
  const stored = database.prepare("SELECT value FROM mnemail_meta WHERE name = 'schema_version'").raw().all();
  const version = z.array(z.tuple([z.coerce.number()])).parse(stored)[0]?.[0] ?? 0;
  if (version <= SCHEMA_VERSION) return version;
  throw new MnemailError(
    "store",
    `${path}: its schema is of version ${version}, and this Mnemail knows up to ${SCHEMA_VERSION}`,
    "update Mnemail; nothing was changed",
  );
}

/** In one transaction, so that two processes that start together do not meet, and none leaves half a schema. */
function migrate(place: Place, database: Database.Database): void {
  database.exec("CREATE TABLE IF NOT EXISTS mnemail_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)");
  for (let version = versionOf(place, database) + 1; version <= SCHEMA_VERSION; version += 1) {
    MIGRATIONS[version]?.(database);
  }
  const remember = database.prepare("INSERT OR REPLACE INTO mnemail_meta (name, value) VALUES ('schema_version', ?)");
  remember.run([String(SCHEMA_VERSION)]);
}

/** Makes the folder and the file where they are missing, for this user's eyes only unless `mode` says otherwise. */
export function prepareFile(path: string, mode = 0o600): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const existing = statSync(path, { throwIfNoEntry: false });
  if (existing?.isDirectory()) throw new MnemailError("store", `${path}: is a directory; STORE_URL needs a file`);
  // SQLite would honour the mode for everyone but root; a file marked read-only is left alone whoever asks.
  if (existing && (existing.mode & 0o222) === 0) {
    throw new MnemailError("store", `${path}: is read-only; make it writable (chmod u+w) or set another STORE_URL`);
  }
  if (existing) return;
  closeSync(openSync(path, "a", mode));
  chmodSync(path, mode);
}

/** Runs `run` in one write transaction: all or nothing. */
export function inTransaction<T>(database: Database.Database, run: () => T): T {
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

/** One line for what went wrong with a database, in the terms of who has to mend it. */
export function storeError({ path, busyTimeoutMs }: Place, error: unknown): MnemailError {
  if (error instanceof MnemailError) return error;
  const text =
    error instanceof z.ZodError || error instanceof SyntaxError
      ? "holds a record that cannot be read"
      : error instanceof Error
        ? error.message
        : String(error);
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
  // A full disk shows as a failed read or write where the log or its index cannot grow.
  if (/full|ENOSPC|disk I\/O/i.test(text)) {
    return because("the disk is full or fails", "free some space or check the disk; nothing was changed");
  }
  if (/EACCES|EPERM|EROFS|unable to open|ENOTDIR/i.test(text)) {
    return because("cannot be opened for writing", "check the folder and its permissions or set another STORE_URL");
  }
  return because(text.replace(/\s+/g, " ").trim(), "nothing was changed");
}
