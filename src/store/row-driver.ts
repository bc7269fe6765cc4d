import type { SearchOperation } from "@langchain/langgraph-checkpoint";
import type { VectorSpace } from "./vector-space.ts";

/** A JSON object, the only kind of value a store keeps. */
export type JsonObject = Record<string, unknown>;

/** Names one item. */
export interface Address {
  namespace: string[];
  key: string;
}

/** One stored item. */
export interface Row extends Address {
  value: JsonObject;
  createdAt: Date;
  updatedAt: Date;
}

/** A row as a search returns it; without a score where the ranking could not compare it. */
export interface ScoredRow extends Row {
  score?: number;
}

/** A row with all that a copy of it has to keep. `fields` names its indexed fields, with or without a vector yet. */
export interface KeptRow extends Row {
  expiresAt: Date | null;
  ttlMinutes: number | null;
  fields: string[];
}

/** Some rows, and how many were left out between them because they cannot be read. */
export interface KeptPage {
  rows: KeptRow[];
  unreadable: number;
}

/** The vector of one indexed field; null where it has none yet, so that a reindex makes it. */
export interface FieldVector {
  field: string;
  embedding: Float32Array | null;
}

/** A put (`value`) or a delete (`value: null`). */
export interface RowWrite extends Address {
  value: JsonObject | null;
  vectors: FieldVector[];
  /** When present, the write holds only while the stored value equals it (JSON equality; null: no such row). */
  expected?: JsonObject | null;
  /** Minutes from now after which the row is hidden and may be swept; never when absent. */
  ttlMinutes?: number;
  /** The times to keep, where a row is restored rather than written. */
  kept?: { createdAt: Date; updatedAt: Date; expiresAt: Date | null; ttlMinutes: number | null };
}

/** The ways to rank a search; `hybrid` fuses the other two (reciprocal rank fusion). */
export type Ranking = "vector" | "words" | "hybrid";

/** How a search ranks: `by` words alone where vectors cannot be compared. */
export interface RowRanking {
  query: string;
  near: Float32Array | undefined;
  by: Ranking;
}

/**
 * Rows whose namespace begins with `prefix`, compared label by label, that pass `filter` (`filter.ts`): best first,
 * then those that the ranking cannot compare; the newest update first among these and without a ranking.
 */
export interface RowScan {
  prefix: string[];
  filter: NonNullable<SearchOperation["filter"]>;
  ranking: RowRanking | undefined;
  offset: number;
  limit: number;
}

/** What one transaction does: every read sees the state before the writes. */
export interface RowBatch {
  gets: Address[];
  scans: RowScan[];
  listNamespaces: boolean;
  writes: RowWrite[];
  /** The space of the batch's vectors; there when it has any. */
  space: VectorSpace | undefined;
  /** Whether a power cut may undo the writes, and nothing less: an engine that flushes each commit need not flush this. */
  fleeting?: boolean;
}

/**
 * Results in the order of the batch. `applied` is false when an expectation failed: then nothing was written.
 * `unreadable` counts rows that scans left out because they cannot be read; a get of such a row throws.
 * `comparable` is false when vectors of another space are kept: scans then ranked by words, and vectors of the
 * writes were not kept.
 */
export interface RowBatchResult {
  gets: (Row | null)[];
  scans: ScoredRow[][];
  namespaces: string[][];
  applied: boolean;
  unreadable: number;
  comparable: boolean;
}

/** What a backend says about itself. Counts are of all users. */
export interface RowHealth {
  /** The engine with its version, such as `SQLite 3.45.1`. */
  engine: string;
  schemaVersion: number;
  space: VectorSpace | undefined;
  items: number;
  vectors: number;
  /** Indexed fields that have no vector yet. */
  unembedded: number;
  /** Items past their time that no sweep has removed yet. */
  expired: number;
  /** What is wrong, each with what to do; empty when all is well. */
  problems: { problem: string; hint: string }[];
}

/**
 * What a backend has to do for the store (`mnemail-store.ts`): hold rows and run a batch atomically. Validation and
 * embedding are the store's, the same on every backend. Expired rows are never returned.
 */
export interface RowDriver {
  /** Why this backend keeps no vectors, in one line for people; undefined when it does. */
  readonly withoutVectors: string | undefined;
  /** Whether a batch is all or nothing and its expectations hold between processes; elsewhere each write is on its own. */
  readonly isAtomic: boolean;
  /**
   * Runs one batch in one transaction: all writes or none, where it is atomic. The first vectors that are kept decide the space of the
   * whole store.
   *
   * @throws MnemailError("store"), also for vectors of the kept model with other dimensions.
   */
  run(batch: RowBatch): Promise<RowBatchResult>;
  /** The space of the kept vectors; undefined when there are none. */
  vectorSpace(): Promise<VectorSpace | undefined>;
  /** Where another space was decided on, takes every vector away, so that its field waits for one of this space. */
  resetVectors(space: VectorSpace): Promise<void>;
  /** Some rows that have a field without a vector, and how many such fields there are. */
  unembedded(limit: number): Promise<{ rows: KeptRow[]; waiting: number }>;
  /** All rows at or below the prefixes as of one moment, ordered by namespace and key, in pages. */
  pages(prefixes: string[][]): AsyncIterable<KeptPage>;
  /** Removes every row at or below the prefixes, all or none (texts by key: 20,000 at a time); returns how many. */
  drop(prefixes: string[][]): Promise<number>;
  /** Removes expired rows; returns how many. */
  sweep(): Promise<number>;
  /**
   * Leaves nothing of removed rows where it could be read off, as far as the engine lets it; returns what it could not
   * do, in lines for people. Absent where nothing is left anyway.
   *
   * @throws MnemailError("store") when others kept it from that.
   */
  vacuum?(): Promise<string[]>;
  health(): Promise<RowHealth>;
  /** Writes a copy of the whole database as of one moment to a new file, while others go on writing. */
  backup?(path: string): Promise<void>;
  close(): Promise<void>;
}

/** Whether a namespace lies at or below a prefix, by whole labels: `user10` is not below `user1`. */
export function isBelow(namespace: readonly string[], prefix: readonly string[]): boolean {
  return prefix.length <= namespace.length && prefix.every((label, index) => namespace[index] === label);
}

/** One text for one address; no two addresses share one. */
export function addressText(namespace: readonly string[], key: string): string {
  // Neither labels nor keys contain a NUL, and labels no period (`operations.ts`).
  return `${namespace.join(".")}\0${key}`;
}
