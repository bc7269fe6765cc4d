import { equalities, matchesFilter } from "./filter.ts";
import { FUSED_PLACES } from "./fusion.ts";
import { byAddressBytes } from "./kept-rows.ts";
import { combine, rankByVector } from "./ranking.ts";
import { addressText, type Row, type RowScan, type ScoredRow } from "./row-driver.ts";
import type { SearchLanguage } from "./tokens.ts";
import { type ItemVersion, WordIndexes } from "./word-index.ts";

/** Items whose words are kept indexed between searches. */
const INDEXED_ITEMS = 100_000;

/** What a search in process has to know of rows. */
export interface RowAccess<T extends Row> {
  language: SearchLanguage;
  /** The comparable vectors of a row. */
  vectorsOf: (row: T) => Float32Array[];
  /** Another one for each value that a row has had. */
  versionOf: (row: T) => ItemVersion;
}

/**
 * Makes the search of backends that rank in process. It is given all rows below the scan's prefix that are not expired,
 * and whether its vectors can be compared with those of the rows; the values of what it returns are those it was given.
 * Words are indexed between searches.
 */
export function createRowRanker<T extends Row>({ language, vectorsOf, versionOf }: RowAccess<T>) {
  const words = new WordIndexes({ language, limitItems: INDEXED_ITEMS });

  return (
    rows: readonly T[],
    { prefix, filter, ranking, offset, limit }: RowScan,
    comparable: boolean,
  ): ScoredRow[] => {
    // Words count among the items that the equalities of the filter choose, as in the databases.
    const chosen = new Map<string, T>();
    for (const row of rows) {
      if (matchesFilter(row.value, equalities(filter))) chosen.set(addressText(row.namespace, row.key), row);
    }
    const found = new Map([...chosen].filter(([, row]) => matchesFilter(row.value, filter)).sort(newestFirst));
    const near = comparable ? ranking?.near : undefined;
    const byVector = near && rankByVector(mapEntries(found, vectorsOf), near);
    const byWords = () => {
      const versions = new Map(mapEntries(chosen, versionOf));
      const refresh = words.refresh(JSON.stringify([prefix, equalities(filter)]), versions);
      let step = refresh.next();
      while (!step.done) {
        step = refresh.next(new Map(step.value.map((address) => [address, chosen.get(address)?.value ?? {}])));
      }
      return step.value.rank(ranking?.query ?? "").filter(({ key }) => found.has(key));
    };
    const ranked = ranking ? combine(ranking, byVector, byWords, FUSED_PLACES) : [];
    const scores = new Map(ranked.map(({ key, score }) => [key, score]));
    const rest = [...found.keys()].filter((address) => !scores.has(address));
    const order = [...[...scores.keys()].filter((address) => found.has(address)), ...rest];
    return order.slice(offset, offset + limit).flatMap((address): ScoredRow[] => {
      const row = found.get(address);
      const score = scores.get(address);
      return row ? [score === undefined ? plainRow(row) : { ...plainRow(row), score }] : [];
    });
  };
}

/** A row without what a backend keeps beside it. */
export function plainRow({ namespace, key, value, createdAt, updatedAt }: Row): Row {
  return { namespace, key, value, createdAt, updatedAt };
}

function mapEntries<T, R>(entries: ReadonlyMap<string, T>, map: (each: T) => R): [string, R][] {
  return [...entries].map(([key, each]) => [key, map(each)]);
}

function newestFirst([, a]: [string, Row], [, b]: [string, Row]): number {
  return b.updatedAt.getTime() - a.updatedAt.getTime() || byAddressBytes(a, b);
}
