import type { KeptRow, RowDriver } from "../row-driver.ts";
import type { VectorSpace } from "../vector-space.ts";
import { type VectorIndex, vectorId, versionOf } from "./vector-index.ts";

/** Rows that are written at once. */
const CHUNK = 100;

interface Mended {
  documents: RowDriver;
  vectors: VectorIndex;
  /** Undefined when it is not known, since no vector is kept. */
  space: VectorSpace | undefined;
}

/** Removes the vectors that are of no document, where the database can list them. Runs beside writers. */
export async function removeOrphans(mended: Mended): Promise<void> {
  await compareAll(mended, async () => {});
}

/**
 * As {@link removeOrphans}, and makes wait for a vector what has none while the documents say that it has: that of a
 * database that was emptied, or restored from an older copy.
 */
export async function repairMarks(mended: Mended & { marks: VectorSpace }): Promise<void> {
  const { documents, marks } = mended;
  // Right after a change of the model everything waits already.
  const isMarked = (await documents.health()).vectors > 0;
  await compareAll(mended, async (rows) => {
    if (!isMarked) return;
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
  });
}

async function compareAll(
  { documents, vectors, space }: Mended,
  onMissing: (rows: KeptRow[]) => Promise<void>,
): Promise<void> {
  const listed = await vectors.list?.(space?.dimensions);
  if (!listed) return;
  const present = new Set(listed);
  const orphans = new Set(listed);
  const missing: KeptRow[] = [];
  // After the list: a vector on it has a document, which comes first, unless that was replaced or deleted. What was
  // added since is taken for missing, which costs an embedding only.
  for await (const { rows } of documents.pages([[]])) {
    for (const row of rows) {
      if (row.fields.length === 0) continue;
      if (!space) return;
      const version = versionOf(row, row.value);
      const ids = row.fields.map((field) => vectorId(version, space, field));
      if (!ids.every((id) => present.has(id))) missing.push(row);
      for (const id of ids) orphans.delete(id);
    }
  }
  await onMissing(missing);
  await vectors.remove([...orphans]);
}
