import type { Item } from "@langchain/langgraph-checkpoint";
import { renderError } from "../errors.ts";
import { jsonEqual } from "../store/json-equal.ts";
import type { MnemailStore } from "../store/mnemail-store.ts";
import { userRoots } from "../store/namespaces.ts";
import { validateAddress, validatePut } from "../store/operations.ts";
import { addressText, type KeptRow } from "../store/row-driver.ts";

const BATCH = 200;

/** What becomes of an item that comes from elsewhere; `kept`: the one that was here stays. */
export type Verdict = "added" | "replaced" | "unchanged" | "kept" | "expired";

/** How many items there were of each {@link Verdict}. */
export type TransferCounts = Record<Verdict, number>;

/** How a transfer goes on. `decide` says what becomes of a row for which there is an item already. */
export interface TransferOptions {
  decide: (row: KeptRow, item: Item) => Verdict;
  /** Only counts. */
  dryRun?: boolean;
  onProgress?: (items: number) => void;
}

/**
 * Brings rows into a store, ids and times kept, in batches that are each written whole or not at all: after an
 * interruption it is run again, and finds what it did unchanged. Vectors are made by this store's embeddings.
 *
 * @throws MnemailError("store"), or what the embeddings throw.
 */
export async function transferInto(
  store: MnemailStore,
  pages: AsyncIterable<KeptRow[]>,
  { decide, dryRun = false, onProgress = () => {} }: TransferOptions,
): Promise<TransferCounts> {
  const counts: TransferCounts = { added: 0, replaced: 0, unchanged: 0, kept: 0, expired: 0 };
  let done = 0;
  for await (const page of pages) {
    for (let at = 0; at < page.length; at += BATCH) {
      const batch = page.slice(at, at + BATCH);
      const items = await store.batch(batch.map(({ namespace, key }) => ({ namespace, key })));
      const writes = new Map<string, KeptRow>();
      for (const [i, row] of batch.entries()) {
        const item = items[i];
        const verdict = isExpired(row) ? "expired" : item ? decide(row, item) : "added";
        counts[verdict] += 1;
        if (verdict === "added" || verdict === "replaced") writes.set(addressText(row.namespace, row.key), row);
      }
      if (!dryRun && writes.size > 0) await store.restore([...writes.values()]);
      done += batch.length;
      onProgress(done);
    }
  }
  return counts;
}

/** Keeps whichever was updated last; with `force` always takes what comes. Equal items stay unchanged. */
export function newestWins(force: boolean): TransferOptions["decide"] {
  return (row, item) => {
    const isSame =
      row.createdAt.getTime() === item.createdAt.getTime() &&
      row.updatedAt.getTime() === item.updatedAt.getTime() &&
      jsonEqual(row.value, item.value);
    if (isSame) return "unchanged";
    return force || row.updatedAt > item.updatedAt ? "replaced" : "kept";
  };
}

/**
 * Copies all items, or those of one user, from one store to another, as of one moment. What is newer in the target
 * stays.
 *
 * @throws MnemailError("store"), or what the target's embeddings throw.
 */
export async function copyMemory(
  from: MnemailStore,
  to: MnemailStore,
  options: { userId?: string; onProgress?: (items: number) => void; warn?: (line: string) => void } = {},
): Promise<TransferCounts> {
  const { userId, onProgress = () => {}, warn = () => {} } = options;
  const prefixes = userId === undefined ? [[]] : Object.values(userRoots(userId));
  async function* pages() {
    for await (const page of from.pages(prefixes, warn)) yield movable(page, warn);
  }
  return transferInto(to, pages(), { decide: newestWins(false), onProgress });
}

/** The rows that our stores can hold; `warn` is told of each other, which another program wrote. */
export function movable(rows: readonly KeptRow[], warn: (line: string) => void): KeptRow[] {
  return rows.filter((row) => {
    const problem = problemOf(row);
    if (problem !== undefined) warn(`${JSON.stringify([...row.namespace, row.key])} is left out: ${problem}`);
    return problem === undefined;
  });
}

/** Why a row cannot be kept by our stores; undefined when it can. */
export function problemOf(row: KeptRow): string | undefined {
  try {
    const { namespace, key, value } = row;
    validateAddress(namespace, key);
    validatePut({ namespace, key, value });
  } catch (error) {
    return renderError(error);
  }
  const times = [row.createdAt, row.updatedAt, ...(row.expiresAt === null ? [] : [row.expiresAt])];
  return times.some((each) => Number.isNaN(each.getTime())) ? "one of its times cannot be read" : undefined;
}

function isExpired({ expiresAt }: KeptRow): boolean {
  return expiresAt !== null && expiresAt.getTime() <= Date.now();
}
