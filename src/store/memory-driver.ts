import { equalities, matchesFilter } from "./filter.ts";
import { FUSED_PLACES } from "./fusion.ts";
import { jsonEqual } from "./json-equal.ts";
import { combine, rankByVector } from "./ranking.ts";
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
  type ScoredRow,
} from "./row-driver.ts";
import type { SearchLanguage } from "./tokens.ts";
import { isComparable, spaceText, type VectorSpace } from "./vector-space.ts";
import { WordIndexes } from "./word-index.ts";

const MINUTE_MS = 60_000;
const PAGE = 500;
const INDEXED_ITEMS = 100_000;

interface StoredRow extends Omit<KeptRow, "value" | "fields"> {
  /** Kept as text, so that no caller holds a live reference into the store. */
  json: string;
  vectors: FieldVector[];
  version: number;
}

/** Rows in the memory of this process: gone when it ends. For tests and prototypes. */
export function createMemoryDriver(options: { language?: SearchLanguage } = {}): RowDriver {
  const rows = new Map<string, StoredRow>();
  const words = new WordIndexes({ language: options.language ?? "english", limitItems: INDEXED_ITEMS });
  let space: VectorSpace | undefined;
  let version = 0;

  const isLive = ({ expiresAt }: StoredRow) => expiresAt === null || expiresAt.getTime() > Date.now();
  const read = ({ namespace, key }: Address): Row | null => {
    const stored = rows.get(addressText(namespace, key));
    return stored && isLive(stored) ? toRow(stored) : null;
  };
  const below = (prefixes: string[][]) =>
    [...rows.values()].filter((row) => prefixes.some((prefix) => isBelow(row.namespace, prefix)));

  const scan = ({ prefix, filter, ranking, offset, limit }: RowScan, comparable: boolean): ScoredRow[] => {
    // Words count among the items that the equalities of the filter choose, as in the databases.
    const chosen = below([prefix]).filter(
      (row) => isLive(row) && matchesFilter(JSON.parse(row.json), equalities(filter)),
    );
    const found = chosen.filter((row) => matchesFilter(JSON.parse(row.json), filter)).sort(newestFirst);
    const byAddress = new Map(found.map((row) => [addressText(row.namespace, row.key), row]));
    const near = comparable ? ranking?.near : undefined;
    const byVector =
      near &&
      rankByVector(
        [...byAddress].map(([address, { vectors }]) => [address, vectors.flatMap(({ embedding }) => embedding ?? [])]),
        near,
      );
    const byWords = () => {
      const versions = new Map(chosen.map((row) => [addressText(row.namespace, row.key), row.version]));
      const refresh = words.refresh(JSON.stringify([prefix, equalities(filter)]), versions);
      let step = refresh.next();
      while (!step.done) {
        step = refresh.next(
          new Map(step.value.map((address) => [address, JSON.parse(rows.get(address)?.json ?? "{}")])),
        );
      }
      return step.value.rank(ranking?.query ?? "").filter(({ key }) => byAddress.has(key));
    };
    const ranked = ranking ? combine(ranking, byVector, byWords, FUSED_PLACES) : [];
    const scores = new Map(ranked.map(({ key, score }) => [key, score]));
    const rest = [...byAddress.keys()].filter((address) => !scores.has(address));
    const order = [...[...scores.keys()].filter((address) => byAddress.has(address)), ...rest];
    return order.slice(offset, offset + limit).flatMap((address): ScoredRow[] => {
      const row = byAddress.get(address);
      const score = scores.get(address);
      return row ? [score === undefined ? toRow(row) : { ...toRow(row), score }] : [];
    });
  };

  const write = ({ namespace, key, value, vectors, ttlMinutes, kept }: RowWrite, comparable: boolean, now: Date) => {
    const address = addressText(namespace, key);
    const before = rows.get(address);
    rows.delete(address);
    version += 1;
    if (value === null) return;
    const expiresAt = ttlMinutes === undefined ? null : new Date(now.getTime() + ttlMinutes * MINUTE_MS);
    const createdAt = before && isLive(before) ? before.createdAt : now;
    const times = kept ?? { createdAt, updatedAt: now, expiresAt, ttlMinutes: ttlMinutes ?? null };
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
      const found = below(prefixes).filter(isLive).sort(byAddressBytes).map(toKept);
      for (let at = 0; at < found.length; at += PAGE) yield { rows: found.slice(at, at + PAGE), unreadable: 0 };
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

function newestFirst(a: StoredRow, b: StoredRow): number {
  return b.updatedAt.getTime() - a.updatedAt.getTime() || byAddressBytes(a, b);
}

/** By UTF-8 bytes, as the databases order text. */
function byAddressBytes(a: StoredRow, b: StoredRow): number {
  const order = Buffer.compare(Buffer.from(a.namespace.join(".")), Buffer.from(b.namespace.join(".")));
  return order || Buffer.compare(Buffer.from(a.key), Buffer.from(b.key));
}
