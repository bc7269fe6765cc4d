import { jsonEqual } from "./json-equal.ts";
import {
  isBelow,
  type JsonObject,
  type Row,
  type RowBatch,
  type RowBatchResult,
  type RowDriver,
  type RowWrite,
  type ScannedRow,
} from "./row-driver.ts";

interface StoredRow {
  namespace: string[];
  key: string;
  /** Kept as text, so that no caller holds a live reference into the store. */
  json: string;
  createdAt: Date;
  updatedAt: Date;
  vectors: Float32Array[];
}

/** Rows in the memory of this process: gone when it ends. For tests and prototypes. */
export function createMemoryDriver(): RowDriver {
  const rows = new Map<string, StoredRow>();
  let embeddingModel: string | undefined;

  const read = (namespace: readonly string[], key: string): Row | null => {
    const stored = rows.get(address(namespace, key));
    return stored ? toRow(stored) : null;
  };
  const write = ({ namespace, key, value, vectors }: RowWrite, now: Date) => {
    if (value === null) {
      rows.delete(address(namespace, key));
      return;
    }
    rows.set(address(namespace, key), {
      namespace: [...namespace],
      key,
      json: JSON.stringify(value),
      createdAt: rows.get(address(namespace, key))?.createdAt ?? now,
      updatedAt: now,
      vectors: vectors.map((vector) => vector.embedding),
    });
  };

  return {
    async run(batch: RowBatch): Promise<RowBatchResult> {
      const gets = batch.gets.map(({ namespace, key }) => read(namespace, key));
      const scans = batch.scans.map(({ prefix, withVectors }) =>
        [...rows.values()]
          .filter((row) => isBelow(row.namespace, prefix))
          .map((row): ScannedRow => ({ ...toRow(row), vectors: withVectors ? row.vectors : [] }))
          .sort(newestFirst),
      );
      const namespaces = batch.listNamespaces ? distinctNamespaces(rows.values()) : [];
      const applied = batch.writes.every(
        (each) => each.expected === undefined || jsonEqual(read(each.namespace, each.key)?.value, each.expected),
      );
      const now = new Date();
      if (applied) for (const each of batch.writes) write(each, now);
      return { gets, scans, namespaces, applied, unreadable: 0 };
    },
    async claimEmbeddingModel(model) {
      if ([...rows.values()].every((row) => row.vectors.length === 0)) embeddingModel = model;
      embeddingModel ??= model;
      return embeddingModel;
    },
    async close() {
      rows.clear();
    },
  };
}

function address(namespace: readonly string[], key: string): string {
  return JSON.stringify([namespace, key]);
}

function toRow(stored: StoredRow): Row {
  const value: JsonObject = JSON.parse(stored.json);
  return {
    namespace: [...stored.namespace],
    key: stored.key,
    value,
    createdAt: new Date(stored.createdAt),
    updatedAt: new Date(stored.updatedAt),
  };
}

function newestFirst(a: Row, b: Row): number {
  return (
    b.updatedAt.getTime() - a.updatedAt.getTime() ||
    compare(a.namespace.join("."), b.namespace.join(".")) ||
    compare(a.key, b.key)
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function distinctNamespaces(rows: Iterable<StoredRow>): string[][] {
  return [...new Map([...rows].map((row) => [row.namespace.join("."), row.namespace])).values()].map((each) => [
    ...each,
  ]);
}
