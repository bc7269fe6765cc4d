import type { KeptRow, RowDriver } from "../row-driver.ts";
import type { VectorSpace } from "../vector-space.ts";
import { markSpace } from "./mark-space.ts";
import { type VectorIndex, vectorId, versionOf } from "./vector-index.ts";

/** Rows that are written at once. */
const CHUNK = 100;

/** The parts of a hybrid store; without a space where none was ever in force. */
export interface Places {
  documents: RowDriver;
  vectors: VectorIndex;
  space: VectorSpace | undefined;
}

/**
 * Removes vectors of what the documents held no longer. Then reads the documents again at or below the prefixes that
 * `where` gives: what another writer put back meanwhile has lost its vectors, and is made to wait for new ones.
 */
export async function removeVectors(
  { documents, vectors, space }: Places,
  ids: readonly string[],
  where: () => Promise<string[][]>,
): Promise<void> {
  if (ids.length === 0) return;
  try {
    await vectors.remove(ids);
  } finally {
    // Also where it failed: some may be gone.
    if (space) await letRemovedWait(documents, space, { ids, where, database: vectors.name });
  }
}

async function letRemovedWait(
  documents: RowDriver,
  space: VectorSpace,
  removed: { ids: readonly string[]; where: () => Promise<string[][]>; database: string },
): Promise<void> {
  const prefixes = await removed.where();
  if (prefixes.length === 0) return;
  const ids = new Set(removed.ids);
  const back: KeptRow[] = [];
  for await (const { rows } of documents.pages(prefixes)) {
    for (const row of rows) {
      if (row.fields.length === 0) continue;
      const version = versionOf(row, row.value);
      // Later than it was, by which its writer sees that it must not mark it: its vectors were there before.
      const updatedAt = new Date(row.updatedAt.getTime() + 1);
      if (row.fields.some((field) => ids.has(vectorId(version, space, field)))) back.push({ ...row, updatedAt });
    }
  }
  await letWait(documents, back, markSpace(space, removed.database));
}

/** Makes all fields of rows wait for their vectors, with the times of the rows, as far as their values are the same. */
export async function letWait(documents: RowDriver, rows: readonly KeptRow[], marks: VectorSpace): Promise<void> {
  for (let at = 0; at < rows.length; at += CHUNK) {
    const writes = rows.slice(at, at + CHUNK).map((row) => {
      const { namespace, key, value } = row;
      const vectors = row.fields.map((field) => ({ field, embedding: null }));
      return { namespace, key, value, vectors, expected: value, kept: row };
    });
    const batch = { gets: [], scans: [], listNamespaces: false, space: marks };
    // Who changed one of them meanwhile has also made its vectors.
    if ((await documents.run({ ...batch, writes })).applied) continue;
    for (const write of writes) await documents.run({ ...batch, writes: [write] });
  }
}
