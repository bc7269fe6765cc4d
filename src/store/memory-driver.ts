import { jsonEqual } from "./json-equal.ts";
import { isLive, pagesOf, timesOfWrite } from "./kept-rows.ts";
import { createRowRanker } from "./rank-rows.ts";
import {
  type Address,
  addressText,
  type FieldVector,
  isBelow,
  type JsonObject,
  type KeptRow,
  type Row,
  type RowBatch,
  type RowDriver,
  type RowScan,
  type RowWrite,
} from "./row-driver.ts";
import type { SearchLanguage } from "./tokens.ts";
import { isComparable, spaceText, type VectorSpace } from "./vector-space.ts";

interface StoredRow extends Omit<KeptRow, "value" | "fields"> {
  /** Kept as text, so that no caller holds a live reference into the store. */
  json: string;
  vectors: FieldVector[];
  version: number;
}

/** Rows in the memory of this process: gone when it ends. For tests and prototypes. */
export function createMemoryDriver(options: { language?: SearchLanguage } = {}): RowDriver {
  const rows = new Map<string, StoredRow>();
  const rank = createRowRanker<Row & { vectors: FieldVector[]; version: number }>({
    language: options.language ?? "english",
    vectorsOf: ({ vectors }) => vectors.flatMap(({ embedding }) => embedding ?? []),
    versionOf: (row) => row.version,
  });
  let space: VectorSpace | undefined;
  let version = 0;

  const read = ({ namespace, key }: Address): Row | null => {
    const stored = rows.get(addressText(namespace, key));
    return stored && isLive(stored) ? toRow(stored) : null;
  };
  const below = (prefixes: string[][]) =>
    [...rows.values()].filter((row) => prefixes.some((prefix) => isBelow(row.namespace, prefix)));

  const scan = (each: RowScan, comparable: boolean) => {
    const live = below([each.prefix]).filter(isLive);
    return rank(
      live.map((row) => ({ ...toRow(row), vectors: row.vectors, version: row.version })),
      each,
      comparable,
    );
  };

  const write = (each: RowWrite, comparable: boolean, now: Date) => {
    const { namespace, key, value, vectors } = each;
    const address = addressText(namespace, key);
    const before = rows.get(address);
    rows.delete(address);
    version += 1;
    if (value === null) return;
    const times = timesOfWrite(each, before, now);
    rows.set(address, {
      ...{ namespace: [...namespace], key, json: JSON.stringify(value), version },
      ...{ createdAt: times.createdAt, updatedAt: times.updatedAt },
      ...{ expiresAt: times.expiresAt, ttlMinutes: times.ttlMinutes },
      vectors: comparable ? vectors : vectors.map(({ field }) => ({ field, embedding: null })),
    });
  };

  const claim = (wanted: VectorSpace): boolean => {
    space ??= wanted;
    return isComparable("memory", space, wanted);
  };

  return {
    withoutVectors: undefined,
    isAtomic: true,
    async run(batch: RowBatch) {
      const embeds = batch.writes.some(({ vectors }) => vectors.some(({ embedding }) => embedding));
      const comparable =
        !batch.space || (embeds ? claim(batch.space) : !space || spaceText(space) === spaceText(batch.space));
      const gets = batch.gets.map(read);
      const scans = batch.scans.map((each) => scan(each, comparable));
      const live = batch.listNamespaces ? [...rows.values()].filter(isLive) : [];
      const namespaces = [...new Map(live.map((row) => [row.namespace.join("."), [...row.namespace]])).values()];
      const applied = batch.writes.every(
        (each) => each.expected === undefined || jsonEqual(read(each)?.value, each.expected),
      );
      const now = new Date();
      if (applied) for (const each of batch.writes) write(each, comparable, now);
      return { gets, scans, namespaces, applied, unreadable: 0, comparable };
    },
    async vectorSpace() {
      return [...rows.values()].some(({ vectors }) => vectors.some(({ embedding }) => embedding)) ? space : undefined;
    },
    async resetVectors(wanted) {
      if (space && spaceText(space) === spaceText(wanted)) return;
      space = wanted;
      for (const row of rows.values()) row.vectors = row.vectors.map(({ field }) => ({ field, embedding: null }));
    },
    async unembedded(limit) {
      const waiting = [...rows.values()].filter((row) => isLive(row) && row.vectors.some((each) => !each.embedding));
      const fields = waiting.flatMap(({ vectors }) => vectors).filter(({ embedding }) => !embedding);
      return { rows: waiting.slice(0, limit).map(toKept), waiting: fields.length };
    },
    async *pages(prefixes) {
      yield* pagesOf(below(prefixes).filter(isLive).map(toKept));
    },
    async drop(prefixes) {
      const found = below(prefixes);
      for (const { namespace, key } of found) rows.delete(addressText(namespace, key));
      return found.length;
    },
    async sweep() {
      const expired = [...rows.values()].filter((row) => !isLive(row));
      for (const { namespace, key } of expired) rows.delete(addressText(namespace, key));
      return expired.length;
    },
    async health() {
      const all = [...rows.values()];
      const fields = all.flatMap(({ vectors }) => vectors);
      return {
        ...{ engine: "process memory", schemaVersion: 0, space, items: all.length, problems: [] },
        vectors: fields.filter(({ embedding }) => embedding).length,
        unembedded: fields.filter(({ embedding }) => !embedding).length,
        expired: all.filter((row) => !isLive(row)).length,
      };
    },
    async close() {
      rows.clear();
    },
  };
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

function toKept(stored: StoredRow): KeptRow {
  const { expiresAt, ttlMinutes, vectors } = stored;
  return { ...toRow(stored), expiresAt, ttlMinutes, fields: vectors.map(({ field }) => field).sort() };
}
