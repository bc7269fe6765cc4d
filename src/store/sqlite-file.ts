import { chmodSync, closeSync, mkdirSync, openSync, statSync } from "node:fs";
import { dirname } from "node:path";
import Database from "libsql";
import { z } from "zod";
import { MnemailError } from "../errors.ts";

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
  if (/full|ENOSPC/i.test(text)) return because("the disk is full", "free some space; nothing was changed");
  if (/EACCES|EPERM|EROFS|unable to open|ENOTDIR/i.test(text)) {
    return because("cannot be opened for writing", "check the folder and its permissions or set another STORE_URL");
  }
  return because(text.replace(/\s+/g, " ").trim(), "nothing was changed");
}
