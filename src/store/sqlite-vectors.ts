import { z } from "zod";
import { bestFirst, type RankedKey } from "./fusion.ts";
import { rankByVector } from "./ranking.ts";
import { addressText } from "./row-driver.ts";
import type { Changes } from "./sqlite-changes.ts";
import { toVector } from "./sqlite-rows.ts";
import { VectorMatrix } from "./vector-matrix.ts";

/** Memory for vectors held in process: some 43,000 of 1,536 dimensions. */
const LIMIT_BYTES = 256 * 1_024 * 1_024;

const vectorSchema = z.tuple([z.string(), z.unknown()]);
const countSchema = z.tuple([z.tuple([z.number()])]);

interface Nearest {
  query: Float32Array;
  limit: number;
  accepts: ((key: string) => boolean) | undefined;
}

/**
 * The vectors of the namespaces that were searched, held in process. Before each use they are brought up to date from
 * the log of changes, which every writer of the file feeds: a change costs its own vectors to be read again, and
 * changes of other namespaces cost nothing.
 */
export class SqliteVectors {
  readonly #all: (sql: string, parameters: unknown[]) => unknown[];
  #matrix = new VectorMatrix({ dimensions: 0, limitBytes: LIMIT_BYTES });
  #dimensions = 0;
  #epoch = -1;
  /** The last change that was seen of each namespace held. */
  readonly #seen = new Map<string, number>();

  /** `all` runs a statement inside the transaction of the caller. */
  constructor(all: (sql: string, parameters: unknown[]) => unknown[]) {
    this.#all = all;
  }

  /** The items of the namespaces nearest to the query, best first, at most `limit` of those that are wanted. */
  nearest(
    { epoch, namespaces }: Changes,
    query: Float32Array,
    limit: number,
    isWantedIn?: (namespace: string) => (key: string) => boolean,
  ): RankedKey[] {
    if (epoch !== this.#epoch) this.#forgetAll(epoch);
    if (query.length !== this.#dimensions) {
      this.#dimensions = query.length;
      this.#matrix = new VectorMatrix({ dimensions: query.length, limitBytes: LIMIT_BYTES });
      this.#seen.clear();
    }
    const found = namespaces.map(({ namespace, change }) => {
      const near = this.#nearestIn(namespace, change, { query, limit, accepts: isWantedIn?.(namespace) });
      return near.map(({ key, score }) => ({ key: addressText([namespace], key), score }));
    });
    const [only] = found;
    return found.length === 1 && only ? only : found.flat().sort(bestFirst).slice(0, limit);
  }

  #nearestIn(namespace: string, last: number, { query, limit, accepts }: Nearest): RankedKey[] {
    const seen = this.#matrix.size(namespace) === undefined ? undefined : this.#seen.get(namespace);
    if (seen !== last) {
      // What does not fit must not push all others out before that shows.
      const fits = seen !== undefined || this.#count(namespace) <= this.#matrix.capacity;
      const changed = () => (seen === undefined ? this.#vectorsOf(namespace) : this.#vectorsSince(namespace, seen));
      if (!fits || !this.#hold(namespace, changed())) {
        const ranked = rankByVector(this.#vectorsOf(namespace), query);
        return (accepts ? ranked.filter(({ key }) => accepts(key)) : ranked).slice(0, limit);
      }
      this.#seen.set(namespace, last);
    }
    return this.#matrix.nearest(namespace, query, limit, accepts);
  }

  /** Whether all of them fit. */
  #hold(namespace: string, items: ReadonlyMap<string, Float32Array[]>): boolean {
    for (const [key, vectors] of items) {
      if (this.#matrix.set(namespace, key, vectors)) continue;
      this.#matrix.forget(namespace);
      this.#seen.delete(namespace);
      return false;
    }
    return true;
  }

  #count(namespace: string): number {
    return countSchema.parse(this.#all("SELECT count(*) FROM store_vectors WHERE prefix = ?", [namespace]))[0][0];
  }

  #vectorsOf(namespace: string): Map<string, Float32Array[]> {
    return this.#read(
      `SELECT v.key, v.embedding FROM store_vectors v JOIN store s ON s.prefix = v.prefix AND s.key = v.key
       WHERE v.prefix = ?`,
      [namespace],
    );
  }

  /** Of each item that changed; none where it is gone. */
  #vectorsSince(namespace: string, change: number): Map<string, Float32Array[]> {
    return this.#read(
      `SELECT c.key, v.embedding FROM mnemail_changes c
       LEFT JOIN store s ON s.prefix = c.prefix AND s.key = c.key
       LEFT JOIN store_vectors v ON v.prefix = s.prefix AND v.key = s.key
       WHERE c.prefix = ? AND c.change > ?`,
      [namespace, change],
    );
  }

  #read(sql: string, parameters: unknown[]): Map<string, Float32Array[]> {
    const items = new Map<string, Float32Array[]>();
    for (const row of this.#all(sql, parameters)) {
      const [key, embedding] = vectorSchema.parse(row);
      const vectors = items.get(key) ?? [];
      items.set(key, vectors);
      const vector = toVector(embedding);
      if (vector?.length === this.#dimensions) vectors.push(vector);
    }
    return items;
  }

  #forgetAll(epoch: number): void {
    for (const held of this.#seen.keys()) this.#matrix.forget(held);
    this.#seen.clear();
    this.#epoch = epoch;
  }
}
