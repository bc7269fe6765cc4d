import { equalities, matchesFilter } from "./filter.ts";
import { FUSED_PLACES } from "./fusion.ts";
import { byAddressBytes } from "./kept-rows.ts";
import { combine } from "./ranking.ts";
import {
  type Address,
  addressText,
  type JsonObject,
  type Row,
  type RowRanking,
  type RowScan,
  type ScoredRow,
} from "./row-driver.ts";
import { RowVectors } from "./row-vectors.ts";
import type { SearchLanguage } from "./tokens.ts";
import { spaceText, type VectorSpace } from "./vector-space.ts";
import { type ItemVersion, type WordIndex, WordIndexes } from "./word-index.ts";

/** Items whose words are kept indexed between searches. */
const INDEXED_ITEMS = 100_000;

/** A row that a search in process ranks; whatever else it has to know of one it asks for, since that takes time. */
export type RankedRow = Address & Pick<Row, "updatedAt">;

/** What a search in process has to know of rows. */
export interface RowAccess<T extends RankedRow> {
  language: SearchLanguage;
  /** Another one for each value and for all vectors that a row has had. */
  versionOf: (row: T) => ItemVersion;
  /** The vectors of a row in a space; asked for where they are new. */
  vectorsOf: (row: T, space: VectorSpace) => readonly Float32Array[];
  /** The value of a row, to read: asked for where a filter or the index of words needs it. */
  valueOf: (row: T) => JsonObject;
  /** What is found, which is the caller's from then on. */
  toRow: (row: T) => Row;
}

/** The rows of one search by address, from all below its prefix to those that pass its filter. */
interface Rows<T> {
  prefix: string[];
  equal: JsonObject;
  all: ReadonlyMap<string, T>;
  /** Those that pass the equalities of the filter, among which words count, as in the databases. */
  chosen: ReadonlyMap<string, T>;
  found: ReadonlyMap<string, T>;
  space: VectorSpace | undefined;
}

/**
 * Makes the search of backends that rank in process. It is given all rows below the scan's prefix that are not expired,
 * and the space of the scan's vector, undefined where the kept ones cannot be compared with it. Words are indexed and
 * vectors held between searches.
 */
export function createRowRanker<T extends RankedRow>(access: RowAccess<T>) {
  const words = new WordIndexes({ language: access.language, limitItems: INDEXED_ITEMS });
  const vectors = new RowVectors<T>();
  const passing = (rows: ReadonlyMap<string, T>, filter: RowScan["filter"]): ReadonlyMap<string, T> =>
    Object.keys(filter).length === 0
      ? rows
      : new Map([...rows].filter(([, row]) => matchesFilter(access.valueOf(row), filter)));

  const indexOf = (id: string, rows: ReadonlyMap<string, T>): WordIndex => {
    const refresh = words.refresh(id, new Map(mapEntries(rows, access.versionOf)));
    let step = refresh.next();
    while (!step.done) {
      const wanted = step.value.flatMap((address) => {
        const row = rows.get(address);
        return row ? [[address, access.valueOf(row)] as const] : [];
      });
      step = refresh.next(new Map(wanted));
    }
    return step.value;
  };

  const order = (ranking: RowRanking, most: number, { prefix, equal, all, chosen, found, space }: Rows<T>) => {
    const { near, by, query } = ranking;
    const isFused = by === "hybrid" && near !== undefined && space !== undefined;
    const limit = isFused ? FUSED_PLACES : most;
    const byVector =
      near &&
      space &&
      vectors.nearest(
        { id: JSON.stringify([spaceText(space), prefix]), rows: all, found, query: near, limit },
        { versionOf: access.versionOf, vectorsOf: (row) => access.vectorsOf(row, space) },
      );
    const byWords = () =>
      indexOf(JSON.stringify([prefix, equal]), chosen).rank(query, limit, (address) => found.has(address));
    return combine(ranking, byVector, byWords, FUSED_PLACES);
  };

  return (
    rows: readonly T[],
    { prefix, filter, ranking, offset, limit }: RowScan,
    space: VectorSpace | undefined,
  ): ScoredRow[] => {
    const all = new Map(rows.map((row) => [addressText(row.namespace, row.key), row]));
    const equal = equalities(filter);
    const chosen = passing(all, equal);
    const found = passing(chosen, filter);
    const ranked = ranking ? order(ranking, offset + limit, { prefix, equal, all, chosen, found, space }) : [];
    const page = ranked.slice(offset, offset + limit).flatMap(({ key, score }): ScoredRow[] => {
      const row = found.get(key);
      return row ? [{ ...access.toRow(row), score }] : [];
    });
    if (page.length === limit) return page;
    const scored = new Set(ranked.map(({ key }) => key));
    const rest = [...found].flatMap(([address, row]) => (scored.has(address) ? [] : row)).sort(newestFirst);
    const from = Math.max(0, offset - ranked.length);
    return [...page, ...rest.slice(from, from + limit - page.length).map(access.toRow)];
  };
}

function mapEntries<T, R>(entries: ReadonlyMap<string, T>, map: (each: T) => R): [string, R][] {
  return [...entries].map(([key, each]) => [key, map(each)]);
}

function newestFirst(a: RankedRow, b: RankedRow): number {
  return b.updatedAt.getTime() - a.updatedAt.getTime() || byAddressBytes(a, b);
}
