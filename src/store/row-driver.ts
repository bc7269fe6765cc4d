/** A JSON object, the only kind of value a store keeps. */
export type JsonObject = Record<string, unknown>;

/** One stored item. */
export interface Row {
  namespace: string[];
  key: string;
  value: JsonObject;
  createdAt: Date;
  updatedAt: Date;
}

/** A row as a scan returns it: with the vectors of its indexed fields when they were asked for. */
export interface ScannedRow extends Row {
  vectors: Float32Array[];
}

/** The vector of one indexed field. */
export interface FieldVector {
  field: string;
  embedding: Float32Array;
}

/** A put (`value`) or a delete (`value: null`). */
export interface RowWrite {
  namespace: string[];
  key: string;
  value: JsonObject | null;
  vectors: FieldVector[];
  /** When present, the write holds only while the stored value equals it (JSON equality; null: no such row). */
  expected?: JsonObject | null;
}

/** What one transaction does: every read sees the state before the writes. */
export interface RowBatch {
  gets: { namespace: string[]; key: string }[];
  /**
   * Rows whose namespace begins with `prefix`, compared label by label, newest update first. A driver may leave out
   * rows whose top-level texts differ from `equal`; the store filters again.
   */
  scans: { prefix: string[]; withVectors: boolean; equal: Record<string, string> }[];
  listNamespaces: boolean;
  writes: RowWrite[];
}

/**
 * Results in the order of the batch. `applied` is false when an expectation failed: then nothing was written.
 * `unreadable` counts rows that scans left out because they cannot be read; a get of such a row throws.
 */
export interface RowBatchResult {
  gets: (Row | null)[];
  scans: ScannedRow[][];
  namespaces: string[][];
  applied: boolean;
  unreadable: number;
}

/**
 * What a backend has to do for the store (`mnemail-store.ts`): hold rows and run a batch atomically. Validation, embedding, filters, ranking and paging are the store's, the same on every backend.
 */
export interface RowDriver {
  /** Runs one batch in one transaction: all writes or none. @throws MnemailError("store"). */
  run(batch: RowBatch): Promise<RowBatchResult>;
  /**
   * Names the embedding model whose vectors are kept. A store without vectors takes the name given; otherwise
   * the earlier name stays. Returns the name in force.
   */
  claimEmbeddingModel(model: string): Promise<string>;
  close(): Promise<void>;
}

/** Whether a namespace lies at or below a prefix, by whole labels: `user10` is not below `user1`. */
export function isBelow(namespace: readonly string[], prefix: readonly string[]): boolean {
  return prefix.length <= namespace.length && prefix.every((label, index) => namespace[index] === label);
}
