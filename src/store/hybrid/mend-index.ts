import { addressText, type KeptRow } from "../row-driver.ts";
import type { VectorSpace } from "../vector-space.ts";
import { letWait, type Places, removeVectors } from "./remove-vectors.ts";
import { vectorId, versionOf, whereBelow } from "./vector-index.ts";

/** More rows than there are. */
const ALL = 2 ** 31 - 1;

/**
 * Removes the vectors at or below the prefixes that are of no document. Runs beside writers. False where it is not known
 * which these are.
 */
export async function removeOrphans(places: Places, prefixes: string[][] = [[]]): Promise<boolean> {
  const compared = await compare(places, { prefixes, isEnough: (orphans) => orphans.size === 0 });
  if (!compared) return false;
  await removeVectors(places, compared.orphans, async () => prefixes);
  return compared.isAll || removeOrphans(places);
}

/**
 * As {@link removeOrphans}, and makes wait for a vector what has none while the documents say that it has: that of a
 * database that was emptied, or restored from an older copy.
 */
export async function repairMarks(places: Places & { marks: VectorSpace }): Promise<void> {
  const { documents, marks } = places;
  // Right after a change of the model everything waits already.
  const isMarked = (await documents.health()).vectors > 0;
  const compared = await compare(places);
  if (!compared) return;
  const rows = isMarked ? compared.missing.map(({ row }) => row) : [];
  await letWait(documents, rows, marks);
  await removeVectors(places, compared.orphans, async () => [[]]);
}

/**
 * How many vectors the database lacks that the documents say it has, where it can list its vectors: what
 * {@link repairMarks} would make wait. Only reads.
 */
export async function countLost(places: Places & { space: VectorSpace }): Promise<number> {
  const { documents, vectors, space } = places;
  const compared = await compare(places);
  if (!compared || compared.missing.length === 0) return 0;
  const { rows } = await documents.unembedded(ALL);
  const waiting = new Set(rows.map(({ namespace, key }) => addressText(namespace, key)));
  const lost = compared.missing.filter(({ row }) => !waiting.has(addressText(row.namespace, row.key)));
  if (lost.length === 0) return 0;
  // What was put meanwhile came after the first list.
  const present = new Set(await vectors.list?.(space.dimensions));
  return lost.flatMap(({ ids }) => ids).filter((id) => !present.has(id)).length;
}

interface Compared {
  /** Rows of which at least one of `ids`, those of all their vectors, is not in the database. */
  missing: { row: KeptRow; ids: string[] }[];
  orphans: string[];
  /** False where one search may not have found them all. */
  isAll: boolean;
}

/**
 * Undefined where the database cannot list its vectors, or these are of a space that is not known. Goes on until
 * `isEnough` says so of the orphans that are left.
 */
async function compare(
  { documents, vectors, space }: Places,
  {
    prefixes = [[]],
    isEnough = () => false,
  }: { prefixes?: string[][]; isEnough?: (orphans: ReadonlySet<string>) => boolean } = {},
): Promise<Compared | undefined> {
  const list = (prefix: string[]) =>
    prefix.length > 0 ? vectors.find(whereBelow(prefix), space?.dimensions) : vectors.list?.(space?.dimensions);
  const lists: string[][] = [];
  for (const found of await Promise.all(prefixes.map(list))) {
    if (!found) return undefined;
    lists.push(found);
  }
  const isAll = lists.every(({ length }, i) => prefixes[i]?.length === 0 || length < vectors.reach);
  const listed = lists.flat();
  const present = new Set(listed);
  const orphans = new Set(listed);
  const missing: Compared["missing"] = [];
  if (isEnough(orphans)) return { missing, orphans: [], isAll };
  // After the list: a vector on it has a document, which comes first, unless that was replaced or deleted. What was
  // added since is taken for missing, which costs an embedding only.
  for await (const { rows } of documents.pages(prefixes)) {
    for (const row of rows) {
      if (row.fields.length === 0) continue;
      if (!space) return undefined;
      const version = versionOf(row, row.value);
      const ids = row.fields.map((field) => vectorId(version, space, field));
      if (!ids.every((id) => present.has(id))) missing.push({ row, ids });
      for (const id of ids) orphans.delete(id);
    }
    if (isEnough(orphans)) break;
  }
  return { missing, orphans: [...orphans], isAll };
}
