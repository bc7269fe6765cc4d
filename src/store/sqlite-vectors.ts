import { z } from "zod";
import { bestFirst, type RankedKey } from "./fusion.ts";
import { rankByVector } from "./ranking.ts";
import { addressText } from "./row-driver.ts";
import { toVector } from "./sqlite-rows.ts";
import { VectorMatrix } from "./vector-matrix.ts";

/** Memory for vectors held in process: some 43,000 of 1,536 dimensions. */
const LIMIT_BYTES = 256 * 1_024 * 1_024;

const numbersSchema = z.array(z.tuple([z.number().nullable(), z.number()]));
const namesSchema = z.array(z.tuple([z.string()]));

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

  /** The items at or below the prefix nearest to the query, best first, at most `limit`. */
  nearest(prefix: readonly string[], query: Float32Array, limit: number): RankedKey[] {
    if (query.length !== this.#dimensions) {
      this.#dimensions = query.length;
      this.#matrix = new VectorMatrix({ dimensions: query.length, limitBytes: LIMIT_BYTES });
      this.#seen.clear();
    }
    const found = this.#namespacesBelow(prefix.join(".")).map((namespace) =>
      this.#nearestIn(namespace, query, limit).map(({ key, score }) => ({ key: addressText([namespace], key), score })),
    );
    const [only] = found;
    return found.length === 1 && only ? only : found.flat().sort(bestFirst).slice(0, limit);
  }

  #nearestIn(namespace: string, query: Float32Array, limit: number): RankedKey[] {
    const sql = "SELECT max(change), (SELECT epoch FROM mnemail_clock) FROM mnemail_changes WHERE prefix = ?";
    const [change, epoch] = numbersSchema.parse(this.#all(sql, [namespace]))[0] ?? [0, 0];
    if (epoch !== this.#epoch) {
      for (const held of this.#seen.keys()) this.#matrix.forget(held);
      this.#seen.clear();
      this.#epoch = epoch;
    }
    const last = change ?? 0;
    const seen = this.#matrix.size(namespace) === undefined ? undefined : this.#seen.get(namespace);
    if (seen !== last) {
      // What does not fit must not push all others out before that shows.
      const fits = seen !== undefined || this.#count(namespace) <= this.#matrix.capacity;
      const changed = () => (seen === undefined ? this.#vectorsOf(namespace) : this.#vectorsSince(namespace, seen));
      if (!fits || !this.#hold(namespace, changed())) {
        return rankByVector(this.#vectorsOf(namespace), query).slice(0, limit);
      }
      this.#seen.set(namespace, last);
    }
    return this.#matrix.nearest(namespace, query, limit);
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
    const sql = "SELECT NULL, count(*) FROM store_vectors WHERE prefix = ?";
    return numbersSchema.parse(this.#all(sql, [namespace]))[0]?.[1] ?? 0;
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
      const [key, embedding] = z.tuple([z.string(), z.unknown()]).parse(row);
      const vectors = items.get(key) ?? [];
      items.set(key, vectors);
      const vector = toVector(embedding);
      if (vector?.length === this.#dimensions) vectors.push(vector);
    }
    return items;
  }

  /** One lookup for each namespace, whatever they hold. */
  #namespacesBelow(prefix: string): string[] {
    const found: string[] = [];
    const one = (sql: string, parameters: unknown[]) => namesSchema.parse(this.#all(sql, parameters))[0]?.[0];
    if (prefix !== "") {
      const itself = one("SELECT prefix FROM mnemail_changes WHERE prefix = ? LIMIT 1", [prefix]);
      if (itself !== undefined) found.push(itself);
    }
    const [from, to] = prefix === "" ? ["", "\u{10ffff}"] : [`${prefix}.`, `${prefix}/`];
    let next: string | undefined = from;
    while (next !== undefined) {
      next = one("SELECT prefix FROM mnemail_changes WHERE prefix > ? AND prefix < ? ORDER BY prefix LIMIT 1", [
        next,
        to,
      ]);
      if (next !== undefined) found.push(next);
    }
    return found;
  }
}
