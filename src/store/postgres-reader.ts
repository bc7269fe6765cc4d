import type pg from "pg";
import { equalities, matchesFilter } from "./filter.ts";
import { FUSED_PLACES } from "./fusion.ts";
import {
  isNearestFirst,
  isPushedDown,
  parseReads,
  type ReadRow,
  type Reads,
  ranksWords,
  readStatement,
  toRow,
  toRowOrThrow,
} from "./postgres-reads.ts";
import type { Statement } from "./postgres-statements.ts";
import { combine } from "./ranking.ts";
import {
  addressText,
  type JsonObject,
  type RowBatch,
  type RowBatchResult,
  type RowScan,
  type ScoredRow,
} from "./row-driver.ts";
import type { SearchLanguage } from "./tokens.ts";
import { WordIndexes } from "./word-index.ts";

/** Items whose words are kept in process, of all namespaces that were searched by words. */
const INDEXED_ITEMS = 100_000;
/** Rows that are fetched at once while a ranked page is filled. */
const CHUNK = 500;

/** A pool or one of its clients. */
export type Queryable = Pick<pg.Pool, "query">;

/**
 * Reads of batches. Vectors are compared in the database, words here, with an index of each searched namespace that
 * follows the rows' versions (`xmin`), whoever wrote them.
 */
export class PostgresReader {
  readonly #query: (on: Queryable, query: Statement) => Promise<pg.QueryResult>;
  readonly #withVectors: boolean;
  readonly #words: WordIndexes;

  constructor(options: {
    query: (on: Queryable, query: Statement) => Promise<pg.QueryResult>;
    withVectors: boolean;
    language: SearchLanguage;
  }) {
    this.#query = options.query;
    this.#withVectors = options.withVectors;
    this.#words = new WordIndexes({ language: options.language, limitItems: INDEXED_ITEMS });
  }

  /** All reads of a batch in one statement; those ranked by words then fetch what their index lacks, and their page. */
  async read(from: Queryable, batch: RowBatch, thorough = false): Promise<Omit<RowBatchResult, "applied">> {
    const isNear = batch.scans.some(({ ranking }) => ranking?.near);
    const reads: Reads = {
      gets: batch.gets,
      scans: batch.scans,
      listNamespaces: batch.listNamespaces,
      space: isNear && this.#withVectors ? batch.space : undefined,
      thorough,
    };
    const query = readStatement(reads);
    if (!query) return { gets: [], scans: [], namespaces: [], unreadable: 0, comparable: true };
    const found = parseReads((await this.#query(from, query)).rows, reads);
    if (found.space !== undefined) {
      const scans = batch.scans.map((scan) => withoutVector(scan));
      return { ...(await this.read(from, { ...batch, scans })), comparable: false };
    }
    // All of it again, so that it is as of one moment.
    const isShort = (scan: RowScan, i: number) => isNearestFirst(scan) && (found.scans[i]?.length ?? 0) < scan.limit;
    if (reads.space && !thorough && batch.scans.some(isShort)) return this.read(from, batch, true);
    let unreadable = 0;
    const scans: ScoredRow[][] = [];
    for (const [i, scan] of batch.scans.entries()) {
      const rows = found.scans[i] ?? [];
      const page = ranksWords(scan) ? await this.#rankWords(from, scan, rows) : toPage(scan, rows);
      unreadable += page.unreadable;
      scans.push(page.rows);
    }
    return {
      gets: batch.gets.map((_, i) => {
        const row = found.gets.get(i);
        return row ? toRowOrThrow(row) : null;
      }),
      ...{ scans, namespaces: found.namespaces, unreadable, comparable: true },
    };
  }

  async #rankWords(from: Queryable, scan: RowScan, rows: readonly ReadRow[]) {
    const byAddress = new Map(rows.map((row) => [addressOf(row), row]));
    const versions = new Map([...byAddress].map(([address, row]) => [address, row.version ?? ""]));
    const id = JSON.stringify([scan.prefix, equalities(scan.filter)]);
    const refresh = this.#words.refresh(id, versions);
    let step = refresh.next();
    while (!step.done) step = refresh.next(await this.#valuesOf(from, step.value, byAddress));
    const byWords = step.value.rank(scan.ranking?.query ?? "");
    const byVector = [...byAddress]
      .flatMap(([key, { score }]) => (score === null ? [] : [{ key, score }]))
      .sort((a, b) => b.score - a.score || (a.key < b.key ? -1 : 1));
    const wanted = scan.offset + scan.limit;
    // What the filter's operators refuse takes places here, so that all places count.
    const places = isPushedDown(scan) ? FUSED_PLACES : Number.POSITIVE_INFINITY;
    const ranked = scan.ranking ? combine(scan.ranking, scan.ranking.near && byVector, () => byWords, places) : byWords;
    const scores = new Map(ranked.map(({ key, score }) => [key, score]));
    const rest = [...byAddress.keys()].filter((address) => !scores.has(address));
    const timeOf = (address: string) => byAddress.get(address)?.updated_at?.getTime() ?? 0;
    rest.sort((a, b) => timeOf(b) - timeOf(a) || (a < b ? -1 : 1));
    const order = [...scores.keys(), ...rest];

    const found: ScoredRow[] = [];
    let unreadable = 0;
    for (let at = 0; at < order.length && found.length < wanted; at += CHUNK) {
      const chunk = order.slice(at, isPushedDown(scan) ? Math.min(at + CHUNK, wanted) : at + CHUNK);
      const values = new Map((await this.#fetch(from, chunk, byAddress)).map((row) => [addressOf(row), row]));
      for (const address of chunk) {
        const row = values.get(address);
        const item = row && toRow(row);
        if (row && !item) unreadable += 1;
        if (!item || !matchesFilter(item.value, scan.filter)) continue;
        const score = scores.get(address);
        found.push(score === undefined ? item : { ...item, score });
      }
    }
    return { rows: found.slice(scan.offset, wanted), unreadable };
  }

  async #valuesOf(
    from: Queryable,
    addresses: readonly string[],
    known: ReadonlyMap<string, ReadRow>,
  ): Promise<Map<string, JsonObject>> {
    const rows = await this.#fetch(from, addresses, known);
    return new Map(
      rows.flatMap((row) => {
        const item = toRow(row);
        return item ? [[addressOf(row), item.value] as const] : [];
      }),
    );
  }

  async #fetch(from: Queryable, addresses: readonly string[], known: ReadonlyMap<string, ReadRow>): Promise<ReadRow[]> {
    const gets = addresses.flatMap((address) => {
      const row = known.get(address);
      return row ? [{ namespace: row.prefix.split("."), key: row.key }] : [];
    });
    const reads: Reads = { gets, scans: [], listNamespaces: false, space: undefined, thorough: false };
    const query = readStatement(reads);
    return query ? [...parseReads((await this.#query(from, query)).rows, reads).gets.values()] : [];
  }
}

function addressOf({ prefix, key }: { prefix: string; key: string }): string {
  return addressText([prefix], key);
}

function withoutVector(scan: RowScan): RowScan {
  return scan.ranking ? { ...scan, ranking: { query: scan.ranking.query, near: undefined, by: "words" } } : scan;
}

function toPage(scan: RowScan, rows: readonly ReadRow[]): { rows: ScoredRow[]; unreadable: number } {
  const readable = rows.flatMap((row): ScoredRow[] => {
    const item = toRow(row);
    if (!item) return [];
    return [row.score === null ? item : { ...item, score: row.score }];
  });
  const unreadable = rows.length - readable.length;
  if (isPushedDown(scan)) return { rows: readable, unreadable };
  const matching = readable.filter(({ value }) => matchesFilter(value, scan.filter));
  return { rows: matching.slice(scan.offset, scan.offset + scan.limit), unreadable };
}
