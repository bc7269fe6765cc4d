import type Database from "libsql";
import { z } from "zod";
import { MnemailError } from "../errors.ts";
import { type Place, storeError } from "./sqlite-file.ts";

/** For how many busy timeouts others may keep the write-ahead log from being emptied. */
const PATIENCE = 2;
const RETRY_MS = 50;

const checkpointSchema = z.tuple([z.tuple([z.number(), z.number(), z.number()])]);

/**
 * Leaves nothing of deleted rows in the files of a database: VACUUM builds it anew from the rows that are there, and
 * the write-ahead log is written back and cut to no bytes. Others may have it open; who reads or writes at this moment
 * is waited for.
 *
 * @throws MnemailError("store") when somebody read or wrote all the time.
 */
export async function eraseFreed(place: Place, database: Database.Database): Promise<void> {
  const limitMs = PATIENCE * place.busyTimeoutMs;
  const until = Date.now() + limitMs;
  try {
    database.exec("PRAGMA secure_delete = ON");
    let isVacuumed = false;
    for (;;) {
      isVacuumed ||= vacuum(database);
      const [[isBusy]] = checkpointSchema.parse(database.prepare("PRAGMA wal_checkpoint(TRUNCATE)").raw().all());
      if (isVacuumed && isBusy === 0) return;
      if (Date.now() > until) break;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  } catch (error) {
    throw storeError(place, error);
  }
  const what = `${place.path}: other processes read or wrote it for ${limitMs / 1_000} s without a pause`;
  throw new MnemailError("store", what, "end them and try again");
}

/** Whether nobody else wrote. */
function vacuum(database: Database.Database): boolean {
  try {
    database.exec("VACUUM");
    return true;
  } catch (error) {
    if (error instanceof Error && /locked|busy/i.test(error.message)) return false;
    throw error;
  }
}
