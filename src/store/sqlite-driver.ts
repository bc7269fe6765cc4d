import type Database from "libsql";
import { z } from "zod";
import { MnemailError } from "../errors.ts";
import { jsonEqual } from "./json-equal.ts";
import type {
  Address,
  KeptPage,
  KeptRow,
  Row,
  RowBatch,
  RowBatchResult,
  RowDriver,
  RowHealth,
  RowWrite,
} from "./row-driver.ts";
import { backUp, readPages } from "./sqlite-copies.ts";
import { eraseFreed } from "./sqlite-erase.ts";
import { identityOf, inTransaction, openDatabase, type Place, storeError } from "./sqlite-file.ts";
import { readSqliteHealth } from "./sqlite-health.ts";
import { below, KEPT_COLUMNS, LIVE, NOW, parseRow, ROW_COLUMNS, toTimestamp, tryParseKept } from "./sqlite-rows.ts";
import { SqliteSearch } from "./sqlite-search.ts";
import { SqliteVectors } from "./sqlite-vectors.ts";
import type { SearchLanguage } from "./tokens.ts";
import { isComparable, parseSpace, spaceText, type VectorSpace } from "./vector-space.ts";

/**
 * Opens rows in a SQLite file, through libsql: made when absent (mode 0600), in write-ahead mode, every commit
 * flushed to disk. Several processes may use one file; each waits `busyTimeoutMs` for another's write.
 *
 * @throws MnemailError("store") when the file cannot be opened, written or is not a healthy database.
 */
export function openSqliteDriver(
  path: string,
  options: { busyTimeoutMs?: number; language?: SearchLanguage } = {},
): RowDriver {
  const place = { path, busyTimeoutMs: options.busyTimeoutMs ?? 5_000 };
  return new SqliteDriver(place, openDatabase(place), options.language ?? "english");
}

const countSchema = z.tuple([z.tuple([z.number()])]);
const textsSchema = z.array(z.tuple([z.string()]));

class SqliteDriver implements RowDriver {
  readonly withoutVectors = undefined;
  readonly isAtomic = true;
  readonly #place: Place;
  readonly #database: Database.Database;
  readonly #identity: string | undefined;
  readonly #statements = new Map<string, Database.Statement>();
  readonly #search: SqliteSearch;

  constructor(place: Place, database: Database.Database, language: SearchLanguage) {
    this.#place = place;
    this.#database = database;
    this.#identity = identityOf(place.path);
    const all = (sql: string, parameters: unknown[]) => this.#all(sql, parameters);
    this.#search = new SqliteSearch(all, new SqliteVectors(all), language);
  }

  async run(batch: RowBatch): Promise<RowBatchResult> {
    if (batch.writes.length > 0) {
      const write = () => this.#writing(() => this.#runAll(batch));
      return batch.fleeting ? this.#unflushed(write) : write();
    }
    return this.#guarded(() => {
      this.#write("BEGIN");
      try {
        return this.#runAll(batch);
      } finally {
        this.#write("COMMIT");
      }
    });
  }

  async vectorSpace(): Promise<VectorSpace | undefined> {
    return this.#guarded(() => (this.#hasVectors() ? this.#space() : undefined));
  }

  async resetVectors(space: VectorSpace): Promise<void> {
    this.#writing(() => {
      const kept = this.#space();
      if (kept && spaceText(kept) === spaceText(space)) return;
      this.#write(
        "INSERT OR IGNORE INTO mnemail_unembedded SELECT v.prefix, v.key, v.field_name FROM store_vectors v JOIN store s ON s.prefix = v.prefix AND s.key = v.key",
      );
      this.#write("DELETE FROM store_vectors");
      this.#setSpace(space);
      this.#write("UPDATE mnemail_clock SET epoch = epoch + 1");
    });
  }

  async unembedded(limit: number): Promise<{ rows: KeptRow[]; waiting: number }> {
    return this.#guarded(() => {
      const rows = this.#all(
        `SELECT ${KEPT_COLUMNS} FROM store WHERE (prefix, key) IN (SELECT prefix, key FROM mnemail_unembedded) AND ${LIVE}
         AND json_valid(value) ORDER BY prefix, key LIMIT ?`,
        [limit],
      );
      const [[waiting]] = countSchema.parse(this.#all("SELECT count(*) FROM mnemail_unembedded"));
      return { rows: rows.flatMap((row) => tryParseKept(row) ?? []), waiting };
    });
  }

  pages(prefixes: string[][]): AsyncIterable<KeptPage> {
    return readPages(this.#place, prefixes);
  }

  async drop(prefixes: string[][]): Promise<number> {
    return this.#writing(() => {
      let dropped = 0;
      for (const prefix of prefixes) {
        const { sql, parameters } = below(prefix);
        this.#write(`DELETE FROM store_vectors WHERE ${sql}`, parameters);
        dropped += this.#write(`DELETE FROM store WHERE ${sql}`, parameters);
        // The log names what was there.
        this.#write(`DELETE FROM mnemail_changes WHERE ${sql}`, parameters);
      }
      this.#write("UPDATE mnemail_clock SET epoch = epoch + 1");
      return dropped;
    });
  }

  async sweep(): Promise<number> {
    return this.#writing(() => {
      const swept = this.#write(`DELETE FROM store WHERE NOT ${LIVE}`);
      // Python's store leaves the vectors of what it deletes, and the log keeps what is long gone.
      for (const table of ["store_vectors", "mnemail_unembedded", "mnemail_changes"]) {
        this.#write(
          `DELETE FROM ${table} WHERE NOT EXISTS (SELECT 1 FROM store s WHERE s.prefix = ${table}.prefix AND s.key = ${table}.key)`,
        );
      }
      this.#write("UPDATE mnemail_clock SET epoch = epoch + 1");
      return swept;
    });
  }

  async vacuum(): Promise<string[]> {
    await eraseFreed(this.#place, this.#database);
    return [];
  }

  async health(): Promise<RowHealth> {
    return this.#guarded(() => readSqliteHealth((sql) => this.#all(sql), this.#space()));
  }

  async backup(path: string): Promise<void> {
    backUp(this.#place, this.#database, path);
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

  /** Commits without a flush; the next commit that is flushed takes these with it. */
  #unflushed<T>(run: () => T): T {
    this.#guarded(() => this.#database.exec("PRAGMA synchronous = NORMAL"));
    try {
      return run();
    } finally {
      this.#guarded(() => this.#database.exec("PRAGMA synchronous = FULL"));
    }
  }

  #writing<T>(run: () => T): T {
    return this.#guarded(() => {
      // SQLite goes on writing into a file that was deleted, and all of it would be lost in silence.
      if (identityOf(this.#place.path) !== this.#identity) {
        const what = `${this.#place.path}: was removed or replaced while it was in use`;
        throw new MnemailError("store", what, "run again");
      }
      return inTransaction(this.#database, run);
    });
  }

  #runAll(batch: RowBatch): RowBatchResult {
    const embeds = batch.writes.some(({ vectors }) => vectors.some(({ embedding }) => embedding));
    const comparable = batch.space === undefined || this.#claim(batch.space, embeds);
    const gets = batch.gets.map((address) => this.#get(address));
    const found = this.#search.findAll(batch.scans, comparable);
    const namespaces = batch.listNamespaces
      ? textsSchema
          .parse(this.#all(`SELECT DISTINCT prefix FROM store WHERE ${LIVE} ORDER BY prefix`))
          .map(([prefix]) => prefix.split("."))
      : [];
    const applied = batch.writes.every(
      (each) => each.expected === undefined || jsonEqual(this.#get(each)?.value, each.expected),
    );
    if (applied) for (const each of batch.writes) this.#apply(each, comparable);
    const unreadable = found.reduce((sum, each) => sum + each.unreadable, 0);
    return { gets, scans: found.map(({ rows }) => rows), namespaces, applied, unreadable, comparable };
  }

  /** Whether vectors of this space can be compared with those kept; the first to be kept decide. */
  #claim(space: VectorSpace, embeds: boolean): boolean {
    const text = this.#spaceText();
    if (text === spaceText(space)) return true;
    const kept = text === undefined ? undefined : parseSpace(text);
    if (kept && this.#hasVectors()) return embeds && isComparable(this.#place.path, kept, space);
    if (embeds) this.#setSpace(space);
    return true;
  }

  #hasVectors(): boolean {
    return this.#all("SELECT 1 FROM store_vectors LIMIT 1").length > 0;
  }

  #space(): VectorSpace | undefined {
    const text = this.#spaceText();
    return text === undefined ? undefined : parseSpace(text);
  }

  #spaceText(): string | undefined {
    const rows = this.#all("SELECT value FROM mnemail_meta WHERE name = 'embedding_space'");
    return textsSchema.parse(rows)[0]?.[0];
  }

  #setSpace(space: VectorSpace): void {
    this.#write("INSERT OR REPLACE INTO mnemail_meta (name, value) VALUES ('embedding_space', ?)", [spaceText(space)]);
  }

  #get({ namespace, key }: Address): Row | null {
    const [row] = this.#all(`SELECT ${ROW_COLUMNS} FROM store WHERE prefix = ? AND key = ? AND ${LIVE}`, [
      namespace.join("."),
      key,
    ]);
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

  #apply({ namespace, key, value, vectors, ttlMinutes, kept }: RowWrite, comparable: boolean): void {
    const address = [namespace.join("."), key];
    this.#write("DELETE FROM store_vectors WHERE prefix = ? AND key = ?", address);
    this.#write("DELETE FROM mnemail_unembedded WHERE prefix = ? AND key = ?", address);
    if (value === null) {
      this.#write("DELETE FROM store WHERE prefix = ? AND key = ?", address);
      return;
    }
    const times = kept
      ? [kept.createdAt, kept.updatedAt, kept.expiresAt].map((time) => time && toTimestamp(time))
      : [null, null, null];
    const minutes = kept ? kept.ttlMinutes : (ttlMinutes ?? null);
    this.#write(
      `INSERT INTO store (prefix, key, value, created_at, updated_at, expires_at, ttl_minutes)
       VALUES (?, ?, ?, ifnull(?, ${NOW}), ifnull(?, ${NOW}),
         ${kept ? "?" : "ifnull(?, strftime('%Y-%m-%d %H:%M:%f', 'now', '+' || ? || ' minutes'))"}, ?)
       ON CONFLICT (prefix, key) DO UPDATE
       SET value = excluded.value, updated_at = excluded.updated_at, expires_at = excluded.expires_at,
         ttl_minutes = excluded.ttl_minutes,
         created_at = ${kept ? "excluded.created_at" : `CASE WHEN ${LIVE} THEN created_at ELSE excluded.created_at END`}`,
      [...address, JSON.stringify(value), ...times, ...(kept ? [] : [minutes]), minutes],
    );
    for (const { field, embedding } of vectors) {
      if (!comparable || !embedding) {
        this.#write("INSERT INTO mnemail_unembedded (prefix, key, field_name) VALUES (?, ?, ?)", [...address, field]);
        continue;
      }
      this.#write(
        `INSERT INTO store_vectors (prefix, key, field_name, embedding, created_at, updated_at)
         VALUES (?, ?, ?, ?, ${NOW}, ${NOW})`,
        [...address, field, Buffer.from(embedding.buffer, embedding.byteOffset, embedding.byteLength)],
      );
    }
  }

  // Parameters go as one array: libsql aborts the process when its only argument is a Buffer.
  #all(sql: string, parameters: unknown[] = []): unknown[] {
    return this.#prepare(sql).raw().all(parameters);
  }

  #write(sql: string, parameters: unknown[] = []): number {
    return this.#prepare(sql).run(parameters).changes;
  }

  #prepare(sql: string): Database.Statement {
    const prepared = this.#statements.get(sql) ?? this.#database.prepare(sql);
    this.#statements.set(sql, prepared);
    return prepared;
  }
}
