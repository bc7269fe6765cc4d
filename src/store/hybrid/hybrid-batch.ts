import {
  addressText,
  type JsonObject,
  type Row,
  type RowBatch,
  type RowBatchResult,
  type RowDriver,
  type RowWrite,
} from "../row-driver.ts";

const MINUTE_MS = 60_000;

/** A batch that does nothing. */
export const NOTHING: RowBatch = { gets: [], scans: [], listNamespaces: false, writes: [], space: undefined };

/** The times of a row that was just put, as a write keeps them. */
export function timesOf(row: Row, ttlMinutes: number | undefined): NonNullable<RowWrite["kept"]> {
  const { createdAt, updatedAt } = row;
  const expiresAt = ttlMinutes === undefined ? null : new Date(updatedAt.getTime() + ttlMinutes * MINUTE_MS);
  return { createdAt, updatedAt, expiresAt, ttlMinutes: ttlMinutes ?? null };
}

/**
 * Runs a batch on the documents, with the values that its plain writes found. Of conditional ones these are known.
 *
 * A record that cannot be read can be replaced all the same: then nothing is known of what it was.
 */
export async function runWithBefore(
  documents: RowDriver,
  batch: RowBatch,
): Promise<RowBatchResult & { before: Map<string, JsonObject> }> {
  const plain =
    documents.withoutVectors === undefined ? batch.writes.filter(({ expected }) => expected === undefined) : [];
  const asked = plain.map(({ namespace, key }) => ({ namespace, key }));
  try {
    const result = await documents.run({ ...batch, gets: [...batch.gets, ...asked] });
    const rows = result.gets.slice(batch.gets.length).filter((row) => row !== null);
    const before = new Map(rows.map((row) => [addressText(row.namespace, row.key), row.value]));
    return { ...result, gets: result.gets.slice(0, batch.gets.length), before };
  } catch (error) {
    const failure = asked.length > 0 && (await documents.run({ ...NOTHING, gets: asked }).catch(messageOf));
    if (failure !== messageOf(error)) throw error;
    return { ...(await documents.run(batch)), before: new Map() };
  }
}

/** What an error says. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
