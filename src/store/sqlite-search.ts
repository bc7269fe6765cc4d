import { z } from "zod";
import { equalities, matchesFilter } from "./filter.ts";
import type { RankedKey } from "./fusion.ts";
import { combine } from "./ranking.ts";
import { addressText, type JsonObject, type Row, type RowScan, type ScoredRow } from "./row-driver.ts";
import { BELOW, belowParameters, LIVE, ROW_COLUMNS, tryParseRow } from "./sqlite-rows.ts";
import type { SqliteVectors } from "./sqlite-vectors.ts";
import type { SearchLanguage } from "./tokens.ts";
import { WordIndexes } from "./word-index.ts";

/** Items whose words are kept in process, of all namespaces that were searched by words. */
const INDEXED_ITEMS = 100_000;
/** Rows that are read at once by their addresses. */
const CHUNK = 500;

/** Runs a statement and gives its rows as lists of columns. */
export type All = (sql: string, parameters: unknown[]) => unknown[];

/** A page of a search, and how many of its rows were left out because they cannot be read. */
export interface Found {
  rows: ScoredRow[];
  unreadable: number;
}

/**
 * Searches of a SQLite store, inside the transaction of its caller. Vectors and words of the namespaces that were
 * searched are held in process, and brought up to date from the log of changes before each use.
 */
export class SqliteSearch {
  readonly #all: All;
  readonly #vectors: SqliteVectors;
  readonly #words: WordIndexes;

  constructor(all: All, vectors: SqliteVectors, language: SearchLanguage) {
    this.#all = all;
    this.#vectors = vectors;
    this.#words = new WordIndexes({ language, limitItems: INDEXED_ITEMS });
  }

  /** The page a scan asks for; `comparable` is false where kept vectors are of another space. */
  find(scan: RowScan, comparable: boolean): Found {
    if (!scan.ranking) return this.#newest(scan, new Set(), scan.offset, scan.limit);
    const wanted = scan.offset + scan.limit;
    const hasFilter = Object.keys(scan.filter).length > 0;
    // Most pages are full at the first try; expired rows and those that a filter refuses make it look further.
    for (let reach = hasFilter ? wanted * 8 : wanted; ; reach *= 8) {
      const ranked = this.#rank(scan, comparable, reach);
      const found = this.#take(scan, ranked, wanted);
      const isAll = scan.ranking.by !== "vector" || ranked.length < reach;
      if (found.rows.length < wanted && !isAll) continue;
      if (found.rows.length === wanted) return { ...found, rows: found.rows.slice(scan.offset) };
      const rest = this.#newest(scan, new Set(ranked.map(({ key }) => key)), 0, wanted - found.rows.length);
      return {
        rows: [...found.rows, ...rest.rows].slice(scan.offset),
        unreadable: found.unreadable + rest.unreadable,
      };
    }
  }

  #rank(scan: RowScan, comparable: boolean, reach: number): RankedKey[] {
    const { ranking, prefix } = scan;
    if (!ranking) return [];
    const near = comparable ? ranking.near : undefined;
    const limit = ranking.by === "vector" ? reach : Number.POSITIVE_INFINITY;
    const byVector = near && ranking.by !== "words" ? this.#vectors.nearest(prefix, near, limit) : undefined;
    return combine(ranking, byVector, () => this.#rankByWords(scan, ranking.query));
  }

  #rankByWords({ prefix, filter }: RowScan, query: string): RankedKey[] {
    const prefilter = toPrefilter(filter);
    const rows = this.#all(
      `SELECT s.prefix, s.key, c.change FROM store s JOIN mnemail_changes c ON c.prefix = s.prefix AND c.key = s.key
       WHERE ${BELOW.replaceAll("prefix", "s.prefix")} AND ${LIVE} ${prefilter.sql}`,
      [...belowParameters(prefix), ...prefilter.parameters],
    );
    const versions = new Map(
      versionsSchema.parse(rows).map(([namespace, key, change]) => [addressText([namespace], key), change]),
    );
    const refresh = this.#words.refresh(JSON.stringify([prefix, equalities(filter)]), versions);
    let step = refresh.next();
    while (!step.done) step = refresh.next(this.#valuesOf(step.value));
    return step.value.rank(query);
  }

  #valuesOf(addresses: readonly string[]): Map<string, JsonObject> {
    const values = new Map<string, JsonObject>();
    for (let at = 0; at < addresses.length; at += CHUNK) {
      for (const [address, row] of this.#rowsAt(addresses.slice(at, at + CHUNK))) {
        const parsed = tryParseRow(row);
        if (parsed) values.set(address, parsed.value);
      }
    }
    return values;
  }

  /** The rows that are there, by address: in one statement, since each costs as much as comparing 100 vectors. */
  #rowsAt(addresses: readonly string[]): Map<string, unknown> {
    const rows = this.#all(
      `SELECT s.prefix, s.key, s.value, s.created_at, s.updated_at
       FROM json_each(?) AS wanted CROSS JOIN store s
       ON s.prefix = json_extract(wanted.value, '$[0]') AND s.key = json_extract(wanted.value, '$[1]') WHERE ${LIVE}`,
      [JSON.stringify(addresses.map((address) => address.split("\0")))],
    );
    return new Map(rows.map((row) => [addressOf(row), row]));
  }

  /** The first `wanted` ranked rows that are there and pass the filter. */
  #take({ filter }: RowScan, ranked: readonly RankedKey[], wanted: number): Found {
    const hasFilter = Object.keys(filter).length > 0;
    const rows: ScoredRow[] = [];
    let unreadable = 0;
    for (let at = 0; at < ranked.length && rows.length < wanted; ) {
      const chunk = ranked.slice(at, at + (hasFilter ? CHUNK : Math.min(wanted - rows.length, CHUNK)));
      at += chunk.length;
      const stored = this.#rowsAt(chunk.map(({ key }) => key));
      for (const { key, score } of chunk) {
        if (rows.length === wanted) break;
        if (!stored.has(key)) continue;
        const row = tryParseRow(stored.get(key));
        if (!row) unreadable += 1;
        else if (matchesFilter(row.value, filter)) rows.push({ ...row, score });
      }
    }
    return { rows, unreadable };
  }

  /** A page of the rows that are not among `without`, the newest update first. */
  #newest(scan: RowScan, without: ReadonlySet<string>, offset: number, limit: number): Found {
    const prefilter = toPrefilter(scan.filter);
    const hasFilter = Object.keys(scan.filter).length > 0;
    const pushed = hasFilter || without.size > 0 ? [-1, 0] : [limit, offset];
    const found = this.#all(
      `SELECT ${ROW_COLUMNS} FROM store WHERE ${BELOW} AND ${LIVE} ${prefilter.sql}
       ORDER BY julianday(updated_at) DESC, prefix, key LIMIT ? OFFSET ?`,
      [...belowParameters(scan.prefix), ...prefilter.parameters, ...pushed],
    );
    const parsed = found.map(tryParseRow);
    const readable = parsed.filter((row): row is Row => row !== undefined);
    const rows = readable.filter(
      (row) => matchesFilter(row.value, scan.filter) && !without.has(addressText(row.namespace, row.key)),
    );
    return {
      rows: hasFilter || without.size > 0 ? rows.slice(offset, offset + limit) : rows,
      unreadable: parsed.length - readable.length,
    };
  }
}

function addressOf(row: unknown): string {
  const [prefix, key] = addressSchema.parse(row);
  return addressText([prefix], key);
}

const versionsSchema = z.array(z.tuple([z.string(), z.string(), z.number()]));
const addressSchema = z.tuple([z.string(), z.string()]).rest(z.unknown());

/** The part of a filter that SQL can check beforehand; it may pass rows that the filter refuses. */
function toPrefilter(filter: RowScan["filter"]): { sql: string; parameters: string[] } {
  const texts = Object.entries(equalities(filter)).flatMap(([name, value]) =>
    typeof value === "string" && /^\w+$/.test(name) ? [{ name, value }] : [],
  );
  // Python's values are BLOBs, which json_extract would take for its binary format.
  const sql = texts.map(
    ({ name }) => `AND (typeof(value) <> 'text' OR NOT json_valid(value) OR json_extract(value, '$.${name}') = ?)`,
  );
  return { sql: sql.join(" "), parameters: texts.map(({ value }) => value) };
}
