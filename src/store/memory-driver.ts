import { MnemailError } from "../errors.ts";
import { jsonEqual } from "./json-equal.ts";
import { isLive, pagesOf, type RowTimes, timesOfWrite } from "./kept-rows.ts";
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
  type RowWrite,
} from "./row-driver.ts";
import type { SearchLanguage } from "./tokens.ts";
import { isComparable, spaceText, type VectorSpace } from "./vector-space.ts";

/** A row as memory has it; replaced by another one when it changes, never changed itself. */
export interface MemoryRow extends RowTimes, Address {
  /** The value as text, so that no caller holds a live reference into the store. */
  json: string;
  vectors: readonly FieldVector[];
}

/** All rows of a store as of one moment, without those that are expired. */
export interface MemoryContents {
  /** The space of the vectors; undefined when there are none. */
  space: VectorSpace | undefined;
  rows: readonly MemoryRow[];
}

/** A driver whose rows are in the memory of this process. */
export interface MemoryDriver extends RowDriver {
  /** @throws MnemailError("usage") once it is closed. */
  contents(): MemoryContents;
  /** Another one after each change. */
  readonly revision: number;
}

interface StoredRow extends MemoryRow {
  version: number;
  /** The value, once a search has needed it; no caller gets it. */
  value?: JsonObject;
}

/** Whether the rows of a driver are in the memory of this process. */
export function isMemoryDriver(driver: RowDriver): driver is MemoryDriver {
  return "contents" in driver;
}

/**
 * Rows in the memory of this process: gone when it ends. For tests and prototypes. Begins with the `contents`, where some
 * are given.
 */
export function createMemoryDriver(
  options: { language?: SearchLanguage; contents?: MemoryContents } = {},
): MemoryDriver {
  const rows = new Map<string, StoredRow>();
  const rank = createRowRanker<StoredRow>({
    language: options.language ?? "english",
    versionOf: (row) => row.version,
    // All are of the one space.
    vectorsOf: ({ vectors }) => vectors.flatMap(({ embedding }) => embedding ?? []),
    valueOf(row) {
      row.value ??= parseValue(row.json);
      return row.value;
    },
    toRow,
  });
  let space = options.contents?.space;
  /** Counts changes; a row has the number of its own. */
  let version = 0;
  let isClosed = false;
  const set = (row: StoredRow) => rows.set(addressText(row.namespace, row.key), row);
  for (const row of options.contents?.rows ?? []) set({ ...row, version });

  const hasVectors = () => [...rows.values()].some(({ vectors }) => vectors.some(({ embedding }) => embedding));
  const read = ({ namespace, key }: Address): Row | null => {
    const stored = rows.get(addressText(namespace, key));
    return stored && isLive(stored) ? toRow(stored) : null;
  };
  const below = (prefixes: string[][]) =>
    [...rows.values()].filter((row) => prefixes.some((prefix) => isBelow(row.namespace, prefix)));

  const write = (each: RowWrite, comparable: boolean, now: Date) => {
    const { namespace, key, value, vectors } = each;
    const address = addressText(namespace, key);
    const before = rows.get(address);
    rows.delete(address);
    version += 1;
    if (value === null) return;
    const times = timesOfWrite(each, before, now);
    set({
      ...{ namespace: [...namespace], key, json: JSON.stringify(value), version },
      ...{ createdAt: times.createdAt, updatedAt: times.updatedAt },
      ...{ expiresAt: times.expiresAt, ttlMinutes: times.ttlMinutes },
      vectors: comparable ? vectors : vectors.map(({ field }) => ({ field, embedding: null })),
    });
  };

  const remove = (found: readonly StoredRow[]): number => {
    for (const { namespace, key } of found) rows.delete(addressText(namespace, key));
    if (found.length > 0) version += 1;
    return found.length;
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
      const scans = batch.scans.map((each) =>
        rank(below([each.prefix]).filter(isLive), each, comparable ? batch.space : undefined),
      );
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
      return hasVectors() ? space : undefined;
    },
    async resetVectors(wanted) {
      if (space && spaceText(space) === spaceText(wanted)) return;
      space = wanted;
      version += 1;
      for (const row of rows.values()) {
        set({ ...row, version, vectors: row.vectors.map(({ field }) => ({ field, embedding: null })) });
      }
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
      return remove(below(prefixes));
    },
    async sweep() {
      return remove([...rows.values()].filter((row) => !isLive(row)));
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
    contents() {
      // Else it would be taken for a store in which nothing is.
      if (isClosed) throw new MnemailError("usage", "the store in memory is closed, and what was in it is gone");
      return { space: hasVectors() ? space : undefined, rows: [...rows.values()].filter(isLive) };
    },
    get revision() {
      return version;
    },
    async close() {
      isClosed = true;
      rows.clear();
    },
  };
}

function parseValue(json: string): JsonObject {
  return JSON.parse(json);
}

function toRow(stored: StoredRow): Row {
  return {
    namespace: [...stored.namespace],
    key: stored.key,
    value: parseValue(stored.json),
    createdAt: new Date(stored.createdAt),
    updatedAt: new Date(stored.updatedAt),
  };
}

function toKept(stored: StoredRow): KeptRow {
  const { expiresAt, ttlMinutes, vectors } = stored;
  return { ...toRow(stored), expiresAt, ttlMinutes, fields: vectors.map(({ field }) => field).sort() };
}
