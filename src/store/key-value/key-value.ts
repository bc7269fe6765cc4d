/** One change of a place that keeps texts by key. */
export interface KeyChange {
  key: string;
  /** The new text; null removes. */
  text: string | null;
  /** When present, what has to stand there still, letter by letter; null: nothing. */
  expected?: string | null;
  /** When the place may forget the key by itself; it is never read after that. */
  expiresAt?: Date | null;
}

/**
 * A place that keeps texts by key: all that a key-value store has to do (`key-value-driver.ts` does the rest). Keys are made
 * of letters, digits and `/=-_.~%@+!,`, at most 900 bytes, and are compared by their bytes.
 */
export interface KeyValue {
  /** The engine for people, with its version, such as `Redis 7.0.15`. */
  readonly name: string;
  /** Whether `write` is all or nothing, between processes too; elsewhere each change is, on its own. */
  readonly isAtomic: boolean;
  /** A key as the place has it, so that people find it there: a path, or a whole name. The key itself where absent. */
  nameOf?(key: string): string;
  /** The texts of keys, null where there is none, in the order of the keys. */
  read(keys: readonly string[]): Promise<(string | null)[]>;
  /** All keys that begin with a prefix, with their texts, in no order. */
  list(prefix: string): Promise<{ key: string; text: string }[]>;
  /** All keys that begin with a prefix, in no order. */
  keys(prefix: string): Promise<string[]>;
  /**
   * All that there is of some keys and below some prefixes, by key, as of one moment: no `write` of others lies in between.
   * Absent where the place cannot; then it is read in pieces.
   */
  snapshot?(keys: readonly string[], prefixes: readonly string[]): Promise<ReadonlyMap<string, string>>;
  /** Makes the changes; false when an expectation failed, and then (where it is atomic) nothing was changed. */
  write(changes: readonly KeyChange[]): Promise<boolean>;
  /** What is wrong with the place as it is set up, each with what to do; absent where nothing can be. */
  problems?(): Promise<{ problem: string; hint: string }[]>;
  /** As of a row driver (`row-driver.ts`); absent where nothing is left of what was removed. */
  vacuum?(): Promise<string[]>;
  close(): Promise<void>;
}
