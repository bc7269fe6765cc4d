import type { RankedKey } from "./fusion.ts";
import { rankByVector } from "./ranking.ts";
import { VectorMatrix } from "./vector-matrix.ts";
import type { ItemVersion } from "./word-index.ts";

/** Memory for vectors held in process: some 43,000 of 1,536 dimensions. */
const LIMIT_BYTES = 256 * 1_024 * 1_024;
/** Rows whose versions are kept between searches. */
const MOST_ROWS = 100_000;

/** A search for the rows nearest to a vector. */
export interface NearestRows<T> {
  /** Names the set of rows and the space of their vectors. */
  id: string;
  /** All rows of the set as they are now, by key. */
  rows: ReadonlyMap<string, T>;
  /** Those that may be found. */
  found: ReadonlyMap<string, T>;
  query: Float32Array;
  limit: number;
}

/** What is asked of a row. */
export interface VectorAccess<T> {
  /** Another one for each state of its vectors. */
  versionOf: (row: T) => ItemVersion;
  /** Those of the space; asked for when the version is another one than at the last search. */
  vectorsOf: (row: T) => readonly Float32Array[];
}

/**
 * The vectors of the sets of rows that were searched last, held in process: each search takes in those that are new or
 * changed since the one before. Of sets that do not fit, the rows that may be found are compared one by one.
 */
export class RowVectors<T> {
  readonly #limits: { limitBytes: number; limitRows: number };
  #matrix = new VectorMatrix({ dimensions: 0, limitBytes: 0 });
  #dimensions = 0;
  /** The versions of all rows of a set that the matrix holds; the least recently used first. */
  readonly #seen = new Map<string, Map<string, ItemVersion>>();
  #size = 0;

  /** Bytes of vectors, and rows whose versions are kept. */
  constructor(limits: { limitBytes?: number; limitRows?: number } = {}) {
    this.#limits = { limitBytes: LIMIT_BYTES, limitRows: MOST_ROWS, ...limits };
  }

  /** The rows of the highest cosine similarity of their nearest vector, as {@link VectorMatrix.nearest}. */
  nearest({ id, rows, found, query, limit }: NearestRows<T>, access: VectorAccess<T>): RankedKey[] {
    if (query.length !== this.#dimensions) {
      this.#dimensions = query.length;
      this.#matrix = new VectorMatrix({ dimensions: query.length, limitBytes: this.#limits.limitBytes });
      this.#seen.clear();
      this.#size = 0;
    }
    if (this.#hold(id, rows, access)) return this.#matrix.nearest(id, query, limit, (key) => found.has(key));
    const vectors = Array.from(
      found,
      ([key, row]) => [key, access.vectorsOf(row)] as [string, readonly Float32Array[]],
    );
    return rankByVector(vectors, query).slice(0, limit);
  }

  /** Brings what is held of a set to the state of its rows; false when they do not fit. */
  #hold(id: string, rows: ReadonlyMap<string, T>, { versionOf, vectorsOf }: VectorAccess<T>): boolean {
    const seen = this.#take(id);
    // What does not fit must not push all others out before that shows.
    if (rows.size > this.#matrix.capacity) {
      this.#matrix.forget(id);
      return false;
    }
    for (const key of seen.keys()) {
      if (rows.has(key)) continue;
      this.#matrix.set(id, key, []);
      seen.delete(key);
    }
    for (const [key, row] of rows) {
      const version = versionOf(row);
      if (seen.get(key) === version) continue;
      const vectors = vectorsOf(row).filter((each) => each.length === this.#dimensions);
      if (!this.#matrix.set(id, key, vectors)) return false;
      seen.set(key, version);
    }
    this.#seen.set(id, seen);
    this.#size += seen.size;
    for (const oldest of this.#seen.keys()) {
      if (this.#size <= this.#limits.limitRows || oldest === id) break;
      this.#take(oldest);
      this.#matrix.forget(oldest);
    }
    return true;
  }

  /** Takes out what was seen of a set; nothing where the matrix does not hold it, or not any more. */
  #take(id: string): Map<string, ItemVersion> {
    const seen = this.#seen.get(id);
    if (seen) {
      this.#seen.delete(id);
      this.#size -= seen.size;
    }
    return seen && this.#matrix.size(id) !== undefined ? seen : new Map();
  }
}
