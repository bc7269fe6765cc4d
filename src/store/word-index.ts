import { Best, type RankedKey } from "./fusion.ts";
import type { JsonObject } from "./row-driver.ts";
import { type SearchLanguage, tokenize, wordsOf } from "./tokens.ts";

/** More terms cost time and order hardly differently: the rarest decide. */
const MAX_QUERY_TERMS = 64;

/** BM25+ as published by Lv and Zhai, with the constants MiniSearch has. */
const K1 = 1.2;
const B = 0.7;
const DELTA = 0.5;

interface Indexed {
  key: string;
  terms: string[];
}

/**
 * Ranks items by the words of their values: BM25+ (Lv and Zhai 2011), with the number of distinct terms for the length
 * of an item. An item matches when it has any word of the query; there is no matching by prefix or likeness.
 */
export class WordIndex {
  readonly #language: SearchLanguage;
  readonly #items = new Map<string, Indexed>();
  /** Of each term, how often it occurs in which items. */
  readonly #postings = new Map<string, Map<Indexed, number>>();
  /** The lengths of all items together. */
  #length = 0;

  constructor(language: SearchLanguage) {
    this.#language = language;
  }

  /** Adds the item, or replaces what was under its key. */
  set(key: string, value: JsonObject): void {
    this.remove(key);
    const counts = new Map<string, number>();
    for (const term of tokenize(wordsOf(value), this.#language)) counts.set(term, (counts.get(term) ?? 0) + 1);
    const item: Indexed = { key, terms: [...counts.keys()] };
    for (const [term, count] of counts) {
      const posting = this.#postings.get(term);
      if (posting) posting.set(item, count);
      else this.#postings.set(term, new Map([[item, count]]));
    }
    this.#items.set(key, item);
    this.#length += item.terms.length;
  }

  /** Takes the item out; nothing happens when it is not there. */
  remove(key: string): void {
    const item = this.#items.get(key);
    if (!item) return;
    for (const term of item.terms) {
      const posting = this.#postings.get(term);
      posting?.delete(item);
      if (posting?.size === 0) this.#postings.delete(term);
    }
    this.#items.delete(key);
    this.#length -= item.terms.length;
  }

  /**
   * The items that have a word of the query, best first; equal scores by key, in code units. Of a long query only the
   * 64 words that are rarest in the index count. At most `limit` of those that pass `isWanted`.
   */
  rank(query: string, limit = Number.POSITIVE_INFINITY, isWanted: (key: string) => boolean = () => true): RankedKey[] {
    const terms = [...new Set(tokenize(query, this.#language))]
      .flatMap((term) => {
        const posting = this.#postings.get(term);
        return posting ? [{ term, posting }] : [];
      })
      .sort((a, b) => a.posting.size - b.posting.size || (a.term < b.term ? -1 : 1))
      .slice(0, MAX_QUERY_TERMS);
    const average = this.#length / this.#items.size;
    const scores = new Map<Indexed, number>();
    for (const { posting } of terms) {
      const rarity = Math.log(1 + (this.#items.size - posting.size + 0.5) / (posting.size + 0.5));
      for (const [item, count] of posting) {
        const saturation = K1 * (1 - B + (B * item.terms.length) / average);
        const score = rarity * (DELTA + (count * (K1 + 1)) / (count + saturation));
        scores.set(item, (scores.get(item) ?? 0) + score);
      }
    }
    const best = new Best(limit);
    for (const [{ key }, score] of scores) if (best.admits(key, score) && isWanted(key)) best.add(key, score);
    return best.sorted();
  }
}

/** Tells one state of an item from another; compared by `===`. */
export type ItemVersion = string | number;

/** An index and the state of the items in it. */
export interface Kept {
  index: WordIndex;
  /** Of each item that was fetched, also of those that could not be read and are not in the index. */
  versions: Map<string, ItemVersion>;
}

/**
 * Word indexes that follow the stored items: each search indexes only what is new or changed since the last. Keeps
 * those that were used last, of `limitItems` items in all, and always the very last one.
 */
export class WordIndexes {
  readonly #options: { language: SearchLanguage; limitItems: number };
  /** By id; the least recently used first. */
  readonly #kept = new Map<string, Kept>();
  #size = 0;

  constructor(options: { language: SearchLanguage; limitItems: number }) {
    this.#options = options;
  }

  /** Whether the index of an id is kept. */
  has(id: string): boolean {
    return this.#kept.has(id);
  }

  /** The index of an id with the versions it has seen, where it is kept; it counts as used. */
  find(id: string): Kept | undefined {
    return this.#kept.has(id) ? this.#use(id) : undefined;
  }

  /**
   * Brings the index of an id (which set of items it is) to the versions that all its items have now. Yields the keys
   * whose values it needs, and takes the values; a key without one cannot be read and is left out of the index. The
   * index that it returns is valid until the caller awaits something. The same loop serves synchronous and
   * asynchronous callers:
   *
   *     const refresh = indexes.refresh(id, current);
   *     let step = refresh.next();
   *     while (!step.done) step = refresh.next(await fetch(step.value));
   *     return step.value.rank(query);
   */
  *refresh(
    id: string,
    current: ReadonlyMap<string, ItemVersion>,
  ): Generator<string[], WordIndex, ReadonlyMap<string, JsonObject>> {
    // Kept to the end, so that callers who undo each other's work, or evict it, ask for nothing twice.
    const values = new Map<string, JsonObject | undefined>();
    for (;;) {
      const versions = this.#kept.get(id)?.versions;
      const stale = [...current.keys()].filter((key) => versions?.get(key) !== current.get(key));
      const unknown = stale.filter((key) => !values.has(key));
      if (unknown.length === 0) return this.#update(id, current, new Map(stale.map((key) => [key, values.get(key)])));
      // While the values are fetched, another caller may bring the index to another state: look again.
      const fetched = yield unknown;
      for (const key of unknown) values.set(key, fetched.get(key));
    }
  }

  #update(
    id: string,
    current: ReadonlyMap<string, ItemVersion>,
    changed: ReadonlyMap<string, JsonObject | undefined>,
  ): WordIndex {
    const { index, versions } = this.#use(id);
    const before = versions.size;
    for (const key of versions.keys()) {
      if (current.has(key)) continue;
      index.remove(key);
      versions.delete(key);
    }
    for (const [key, value] of changed) {
      const version = current.get(key);
      if (version === undefined) continue;
      if (value) index.set(key, value);
      else index.remove(key);
      versions.set(key, version);
    }
    this.#size += versions.size - before;
    this.#evict();
    return index;
  }

  #use(id: string): Kept {
    const found = this.#kept.get(id);
    const kept = found ?? { index: new WordIndex(this.#options.language), versions: new Map() };
    // An empty index counts as one item: there may be many.
    if (!found) this.#size += 1;
    this.#kept.delete(id);
    this.#kept.set(id, kept);
    return kept;
  }

  #evict(): void {
    for (const [id, { versions }] of this.#kept) {
      if (this.#size <= this.#options.limitItems || this.#kept.size === 1) return;
      this.#kept.delete(id);
      this.#size -= versions.size + 1;
    }
  }
}
