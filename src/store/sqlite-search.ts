import { z } from "zod";
import { matchesFilter } from "./filter.ts";
import { FUSED_PLACES, type RankedKey } from "./fusion.ts";
import { combine } from "./ranking.ts";
import { addressText, type JsonObject, type Row, type RowScan, type ScoredRow } from "./row-driver.ts";
import { readChanges } from "./sqlite-changes.ts";
import { below, LIVE, ROW_COLUMNS, tryParseRow } from "./sqlite-rows.ts";
import type { SqliteVectors } from "./sqlite-vectors.ts";
import { SqliteWords, toPrefilter, type Words } from "./sqlite-words.ts";
import type { SearchLanguage } from "./tokens.ts";

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
  readonly #words: SqliteWords;
  /** The rows that searches of the batch at hand found, by address; undefined stands for one that cannot be read. */
  readonly #known = new Map<string, Row | undefined>();

  constructor(all: All, vectors: SqliteVectors, language: SearchLanguage) {
    this.#all = all;
    this.#vectors = vectors;
    this.#words = new SqliteWords(all, language);
  }

  /**
   * The page each scan asks for; `comparable` is false where kept vectors are of another space. What several of them find
   * is read once.
   */
  findAll(scans: readonly RowScan[], comparable: boolean): Found[] {
    try {
      return scans.map((scan) => this.#find(scan, comparable));
    } finally {
      this.#known.clear();
    }
  }

  #find(scan: RowScan, comparable: boolean): Found {
    const { ranking, prefix } = scan;
    if (!ranking) return this.#newest(scan, new Set(), scan.offset, scan.limit);
    const wanted = scan.offset + scan.limit;
    const hasFilter = Object.keys(scan.filter).length > 0;
    const changes = readChanges(this.#all, prefix);
    const near = comparable && ranking.by !== "words" ? ranking.near : undefined;
    const isByVector = near !== undefined && ranking.by === "vector";
    const words = isByVector ? undefined : this.#words.find(scan, changes, (addresses) => this.#valuesOf(addresses));
    // Most pages are full at the first try; expired rows and those that a filter refuses make it look further.
    for (let reach = hasFilter ? wanted * 8 : wanted; ; reach *= 8) {
      const isFused = near !== undefined && ranking.by === "hybrid";
      const places = isFused ? FUSED_PLACES : reach;
      const byVector = near && this.#vectors.nearest(changes, near, places, words?.isWantedIn);
      const byWords = () => words?.index.rank(ranking.query, places, words.isWanted) ?? [];
      const ranked = combine(ranking, byVector, byWords, places);
      const found = this.#take(scan, ranked, { wanted, isSifted: words !== undefined || !hasFilter });
      if (found.rows.length < wanted && !isFused && ranked.length >= places) continue;
      if (found.rows.length === wanted) return { ...found, rows: found.rows.slice(scan.offset) };
      const seen = new Set(ranked.map(({ key }) => key));
      const rest = this.#rest(scan, seen, wanted - found.rows.length, words);
      return {
        rows: [...found.rows, ...rest.rows].slice(scan.offset),
        unreadable: found.unreadable + rest.unreadable,
      };
    }
  }

  /** The rows that no ranking has, the newest update first; where only few can be wanted, these are read. */
  #rest(scan: RowScan, seen: ReadonlySet<string>, limit: number, words: Words | undefined): Found {
    const left = words?.wanted().filter((address) => !seen.has(address));
    if (!left || left.length > CHUNK) return this.#newest(scan, seen, 0, limit);
    const parsed = left.length === 0 ? [] : [...this.#rowsAt(left).values()];
    const readable = parsed.filter((row): row is Row => row !== undefined);
    const rows = readable.filter((row) => matchesFilter(row.value, scan.filter)).sort(newestFirst);
    return { rows: rows.slice(0, limit), unreadable: parsed.length - readable.length };
  }

  #valuesOf(addresses: readonly string[]): Map<string, JsonObject> {
    const values = new Map<string, JsonObject>();
    for (let at = 0; at < addresses.length; at += CHUNK) {
      for (const [address, row] of this.#readRows(addresses.slice(at, at + CHUNK))) {
        if (row) values.set(address, row.value);
      }
    }
    return values;
  }

  /** The rows that are there, by address; undefined stands for one that cannot be read. */
  #rowsAt(addresses: readonly string[]): Map<string, Row | undefined> {
    const missing = addresses.filter((address) => !this.#known.has(address));
    for (const [address, row] of missing.length > 0 ? this.#readRows(missing) : []) this.#known.set(address, row);
    return new Map(addresses.flatMap((each) => (this.#known.has(each) ? [[each, this.#known.get(each)]] : [])));
  }

  /** In one statement, since each costs as much as comparing 100 vectors. */
  #readRows(addresses: readonly string[]): Map<string, Row | undefined> {
    const rows = this.#all(
      `SELECT s.prefix, s.key, s.value, s.created_at, s.updated_at
       FROM json_each(?) AS wanted CROSS JOIN store s
       ON s.prefix = json_extract(wanted.value, '$[0]') AND s.key = json_extract(wanted.value, '$[1]') WHERE ${LIVE}`,
      [JSON.stringify(addresses.map((address) => address.split("\0")))],
    );
    return new Map(rows.map((row) => [addressOf(row), tryParseRow(row)]));
  }

  /** The first `wanted` ranked rows that are there and pass the filter; `isSifted`: most of them do. */
  #take(
    { filter }: RowScan,
    ranked: readonly RankedKey[],
    { wanted, isSifted }: { wanted: number; isSifted: boolean },
  ): Found {
    const rows: ScoredRow[] = [];
    let unreadable = 0;
    for (let at = 0; at < ranked.length && rows.length < wanted; ) {
      const chunk = ranked.slice(at, at + (isSifted ? Math.min(wanted - rows.length, CHUNK) : CHUNK));
      at += chunk.length;
      const stored = this.#rowsAt(chunk.map(({ key }) => key));
      for (const { key, score } of chunk) {
        if (rows.length === wanted) break;
        if (!stored.has(key)) continue;
        const row = stored.get(key);
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
    const at = below(scan.prefix);
    const found = this.#all(
      `SELECT ${ROW_COLUMNS} FROM store WHERE ${at.sql} AND ${LIVE} ${prefilter.sql}
       ORDER BY julianday(updated_at) DESC, prefix, key LIMIT ? OFFSET ?`,
      [...at.parameters, ...prefilter.parameters, ...pushed],
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

const addressSchema = z.tuple([z.string(), z.string()]).rest(z.unknown());

/** As SQL orders them: by time, then by the bytes of namespace and key. */
function newestFirst(a: Row, b: Row): number {
  const order = (one: string, other: string) => Buffer.compare(Buffer.from(one), Buffer.from(other));
  const byAddress = order(a.namespace.join("."), b.namespace.join(".")) || order(a.key, b.key);
  return b.updatedAt.getTime() - a.updatedAt.getTime() || byAddress;
}
