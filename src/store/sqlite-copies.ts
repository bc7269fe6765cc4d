import { closeSync, openSync } from "node:fs";
import type Database from "libsql";
import { z } from "zod";
import { MnemailError } from "../errors.ts";
import type { KeptPage } from "./row-driver.ts";
import { openDatabase, type Place, storeError } from "./sqlite-file.ts";
import { below, KEPT_COLUMNS, LIVE, tryParseKept } from "./sqlite-rows.ts";

const PAGE = 500;

const addressSchema = z.tuple([z.string(), z.string()]).rest(z.unknown());

/**
 * All rows at or below the prefixes as of one moment, by namespace and key. On a connection of its own, whose snapshot
 * lasts while others, and this process, go on.
 *
 * @throws MnemailError("store").
 */
export async function* readPages(place: Place, prefixes: string[][]): AsyncGenerator<KeptPage> {
  const database = openDatabase(place);
  const places = prefixes.map((prefix) => below(prefix));
  const where = places.map(({ sql }) => sql).join(" OR ") || "FALSE";
  try {
    database.exec("BEGIN");
    const select = database
      .prepare(
        `SELECT ${KEPT_COLUMNS} FROM store WHERE (prefix, key) > (?, ?) AND (${where}) AND ${LIVE}
         ORDER BY prefix, key LIMIT ?`,
      )
      .raw();
    let after = ["", ""];
    for (;;) {
      const rows = select.all([...after, ...places.flatMap(({ parameters }) => parameters), PAGE]);
      if (rows.length === 0) return;
      after = addressSchema.parse(rows.at(-1)).slice(0, 2).map(String);
      const readable = rows.flatMap((row) => tryParseKept(row) ?? []);
      yield { rows: readable, unreadable: rows.length - readable.length };
    }
  } catch (error) {
    throw storeError(place, error);
  } finally {
    // A snapshot that is left open would keep the write-ahead log from being emptied for as long as this process lives.
    if (database.inTransaction) database.exec("ROLLBACK");
    database.close();
  }
}

/**
 * Writes a copy of the whole database as of one moment to a new file, for this user's eyes only, while others write.
 *
 * @throws MnemailError("store") for a file that exists or cannot be filled; what `node:fs` throws for one that cannot
 * be made.
 */
export function backUp(place: Place, database: Database.Database, path: string): void {
  try {
    // VACUUM INTO takes an empty file; one that holds something is not overwritten.
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    throw new MnemailError("store", `${path}: exists already`, "name another file or remove it", { cause: error });
  }
  try {
    database.prepare("VACUUM INTO ?").run([path]);
  } catch (error) {
    throw storeError({ ...place, path }, error);
  }
}
