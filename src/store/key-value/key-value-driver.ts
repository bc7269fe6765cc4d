import { MnemailError } from "../../errors.ts";
import { jsonEqual } from "../json-equal.ts";
import { isLive, pagesOf, timesOfWrite } from "../kept-rows.ts";
import { createRowRanker } from "../rank-rows.ts";
import {
  type Address,
  isBelow,
  type KeptRow,
  type RowBatch,
  type RowBatchResult,
  type RowDriver,
  type RowWrite,
} from "../row-driver.ts";
import type { SearchLanguage } from "../tokens.ts";
import type { VectorSpace } from "../vector-space.ts";
import type { KeyChange, KeyValue } from "./key-value.ts";
import { ROWS, rowKey, rowPrefix, SPACE_KEY } from "./keys.ts";
import { comparableVectors, copyOfRow, type ParsedRow, ParsedRows } from "./parsed-rows.ts";
import { type PlacedRow, parseRowText, rowText, waitingFields } from "./row-text.ts";
import { parsePlacedSpace, SpaceKeeper } from "./space-keeper.ts";

/** How often others may come between the reading of a batch and its writing. */
const ATTEMPTS = 1_000;
const SCHEMA_VERSION = 1;
/** How many rows go in one write, which took Redis 50 ms. */
const REMOVED_AT_ONCE = 20_000;
/** How many of the items that cannot be read are named. */
const NAMED = 3;

/** What was found in a place at one moment. */
interface Found {
  texts: ReadonlyMap<string, string>;
  space: VectorSpace | undefined;
}

/**
 * Rows in any place that keeps texts by key, ranked in process. A batch writes only if the rows it expects are still the
 * texts that were read; whether it is all or nothing is the place's. What cannot be read costs only itself. A drop of more
 * than 20,000 rows goes in steps of so many, each all or none; where one fails, those before it are made, and the drop can
 * be made again.
 */
export function createKeyValueDriver(place: KeyValue, options: { language?: SearchLanguage } = {}): RowDriver {
  const keeper = new SpaceKeeper(place);
  const parsed = new ParsedRows();
  const parse = (key: string, text: string) => parsed.read(key, text);
  const rank = createRowRanker<ParsedRow>({
    language: options.language ?? "english",
    versionOf: ({ version }) => version,
    vectorsOf: comparableVectors,
    valueOf: ({ value }) => value,
    toRow: copyOfRow,
  });
  /** Rows that waited for vectors when all were read last. */
  let waiting: { key: string; fields: number }[] = [];

  const find = async (keys: readonly string[], prefixes: readonly string[]): Promise<Found> => {
    const texts = await readTogether(place, [...keys, SPACE_KEY], prefixes);
    return { texts, space: parsePlacedSpace(texts.get(SPACE_KEY)) };
  };
  const findBelow = async (prefixes: readonly string[][]) => {
    const { texts, space } = await find(
      [],
      prefixes.map((labels) => rowPrefix(labels).prefix),
    );
    return { ...readRows(texts, prefixes, parseRowText), texts, space };
  };

  const get = ({ texts }: Found, address: Address): ParsedRow | undefined => {
    const key = rowKey(address);
    const text = texts.get(key);
    if (text === undefined) return undefined;
    const row = parse(key, text);
    if (row) return isLive(row) ? row : undefined;
    const name = JSON.stringify([...address.namespace, address.key]);
    throw new MnemailError("store", `${place.name}: the record ${name} cannot be read`, "it is left as it is");
  };

  const changeOf = (write: RowWrite, { texts }: Found, space: VectorSpace | undefined, now: Date): KeyChange => {
    const key = rowKey(write);
    const text = texts.get(key);
    const expected = write.expected === undefined ? {} : { expected: text ?? null };
    if (write.value === null) return { key, text: null, ...expected };
    const times = timesOfWrite(write, text === undefined ? undefined : parse(key, text), now);
    const { namespace, value } = write;
    const written = rowText({ namespace, key: write.key, value }, times, write.vectors, space);
    return { key, text: written, expiresAt: times.expiresAt, ...expected };
  };

  const runOnce = async (batch: RowBatch): Promise<RowBatchResult | undefined> => {
    const keys = [...batch.gets, ...batch.writes.filter(dependsOnRow)].map(rowKey);
    const prefixes = batch.listNamespaces ? [[]] : batch.scans.map(({ prefix }) => prefix);
    const found = await find(
      keys,
      prefixes.map((labels) => rowPrefix(labels).prefix),
    );
    const embeds = batch.writes.some(({ vectors }) => vectors.some(({ embedding }) => embedding));
    const comparable = !batch.space || (await keeper.isComparable(found.texts.get(SPACE_KEY), batch.space, embeds));

    const gets = batch.gets.map((address) => {
      const row = get(found, address);
      return row ? copyOfRow(row) : null;
    });
    const wanted = comparable ? batch.space : undefined;
    let unreadable = 0;
    if (batch.scans.length > 0) parsed.begin();
    const scans = batch.scans.map((scan) => {
      const below = readRows(found.texts, [scan.prefix], parse);
      unreadable += below.unreadable.length;
      return rank(below.rows.filter(isLive), scan, wanted);
    });
    const live = batch.listNamespaces ? readRows(found.texts, [[]], parseRowText).rows.filter(isLive) : [];
    const namespaces = [...new Map(live.map(({ namespace }) => [namespace.join("."), namespace])).values()];
    const result = { gets, scans, namespaces, applied: true, unreadable, comparable };
    if (batch.writes.length === 0) return result;

    const holds = batch.writes.every(
      (each) => each.expected === undefined || jsonEqual(get(found, each)?.value, each.expected),
    );
    if (!holds) return { ...result, applied: false };
    const now = new Date();
    const changes = batch.writes.map((each) => changeOf(each, found, wanted, now));
    if (wanted && embeds && !(await keeper.claim(found.texts.get(SPACE_KEY), wanted, changes))) return undefined;
    return (await place.write(changes)) ? result : undefined;
  };

  /** Removes many in steps, each all or none where the place is atomic: one of them all would hold up a server. */
  const remove = async (rows: readonly { key: string; text?: string }[]): Promise<number> => {
    let removed = 0;
    for (let at = 0; at < rows.length; at += REMOVED_AT_ONCE) {
      const changes = rows
        .slice(at, at + REMOVED_AT_ONCE)
        .map(({ key, text }): KeyChange => ({ key, text: null, ...(text === undefined ? {} : { expected: text }) }));
      if (await place.write(changes)) removed += changes.length;
      else for (const change of changes) if (await place.write([change])) removed += 1;
    }
    return removed;
  };

  return {
    withoutVectors: undefined,
    isAtomic: place.isAtomic,
    async run(batch) {
      for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
        const result = await runOnce(batch);
        if (result) return result;
      }
      throw new MnemailError("store", `${place.name}: others change the same items all the time`, "try again");
    },
    vectorSpace: () => keeper.space(),
    async resetVectors(space) {
      waiting = [];
      await keeper.reset(space);
    },
    async unembedded(limit) {
      // All are read once, then only those that waited, and all again to see that none is left.
      while (waiting.length > 0) {
        const asked = waiting.splice(0, limit).map(({ key }) => key);
        const { texts, space } = await find(asked, []);
        const rows = waitingRows(readRows(texts, [[]], parseRowText).rows, space);
        if (rows.length > 0)
          return {
            rows: rows.map(toKept),
            waiting: sum(rows.map((row) => waitingFields(row, space))) + sum(waiting.map(({ fields }) => fields)),
          };
      }
      const { rows, space } = await findBelow([[]]);
      const found = waitingRows(rows, space);
      const fields = (row: PlacedRow) => waitingFields(row, space);
      waiting = found.slice(limit).map((row) => ({ key: rowKey(row), fields: fields(row) }));
      return { rows: found.slice(0, limit).map(toKept), waiting: sum(found.map(fields)) };
    },
    async *pages(prefixes) {
      const { rows, unreadable } = await findBelow(prefixes);
      yield* pagesOf(rows.filter(isLive).map(toKept), unreadable.length);
    },
    async drop(prefixes) {
      const exact = prefixes.map(rowPrefix);
      if (exact.every(({ isExact }) => isExact)) {
        const names = (await Promise.all(exact.map(({ prefix }) => place.keys(prefix)))).flat();
        // What a place lists beside what was asked for is not removed.
        const below = names.filter((key) => exact.some(({ prefix }) => key.startsWith(prefix)));
        return remove([...new Set(below)].map((key) => ({ key })));
      }
      const { rows } = await findBelow(prefixes);
      return remove(rows.map((row) => ({ key: rowKey(row) })));
    },
    async sweep() {
      const { rows, texts } = await findBelow([[]]);
      const expired = rows.filter((row) => !isLive(row)).map(rowKey);
      // Who put it again meanwhile keeps it.
      return remove(expired.map((key) => ({ key, text: texts.get(key) ?? "" })));
    },
    async health() {
      const { rows, unreadable, space } = await findBelow([[]]);
      const fields = rows.flatMap((row) => row.fields).length;
      const unembedded = sum(rows.map((row) => waitingFields(row, space)));
      return {
        ...{ engine: place.name, schemaVersion: SCHEMA_VERSION, space, items: rows.length, unembedded },
        vectors: fields - unembedded,
        expired: rows.filter((row) => !isLive(row)).length,
        problems: [
          ...((await place.problems?.()) ?? []),
          ...(unreadable.length > 0
            ? [{ problem: unreadableText(place, unreadable), hint: "see docs/operations.md, Repair" }]
            : []),
        ],
      };
    },
    ...(place.vacuum ? { vacuum: () => place.vacuum?.() ?? Promise.resolve([]) } : {}),
    close: () => place.close(),
  };
}

/** The texts of keys and of all keys below prefixes, each read once; as of one moment where the place can. */
async function readTogether(
  place: KeyValue,
  keys: readonly string[],
  prefixes: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const widest = [...new Set(prefixes)].filter(
    (each) => !prefixes.some((other) => other !== each && each.startsWith(other)),
  );
  const others = [...new Set(keys)].filter((key) => !widest.some((prefix) => key.startsWith(prefix)));
  if (place.snapshot) return place.snapshot(others, widest);
  const [texts, ...lists] = await Promise.all([place.read(others), ...widest.map((prefix) => place.list(prefix))]);
  const found = new Map(lists.flat().map(({ key, text }) => [key, text]));
  for (const [i, key] of others.entries()) {
    const text = texts[i];
    if (text != null) found.set(key, text);
  }
  return found;
}

/** How many items cannot be read, and the first of them by the names that the place has for them. */
function unreadableText({ nameOf = (key) => key }: KeyValue, keys: readonly string[]): string {
  // Whoever wrote them may have named them too.
  const names = [...keys].sort().map((key) => nameOf(key).replace(/[^\x20-\x7E]/g, "?"));
  const more = names.length > NAMED ? ` and ${names.length - NAMED} more` : "";
  const items = names.length === 1 ? "1 item" : `${names.length} items`;
  return `${items} cannot be read: ${names.slice(0, NAMED).join(", ")}${more}`;
}

/** The rows at or below some labels, and the keys among theirs whose texts are none. */
function readRows<T extends Address>(
  texts: ReadonlyMap<string, string>,
  prefixes: readonly string[][],
  parse: (key: string, text: string) => T | undefined,
): { rows: T[]; unreadable: string[] } {
  const below = prefixes.map((labels) => rowPrefix(labels).prefix);
  const rows: T[] = [];
  const unreadable: string[] = [];
  for (const [key, text] of texts) {
    if (!key.startsWith(ROWS) || !below.some((prefix) => key.startsWith(prefix))) continue;
    const row = parse(key, text);
    if (!row) unreadable.push(key);
    else if (prefixes.some((labels) => isBelow(row.namespace, labels))) rows.push(row);
  }
  return { rows, unreadable };
}

/** Whether what a write does depends on what is there. */
function dependsOnRow({ value, kept, expected }: RowWrite): boolean {
  return expected !== undefined || (value !== null && !kept);
}

function waitingRows(rows: readonly PlacedRow[], space: VectorSpace | undefined): PlacedRow[] {
  return rows.filter((row) => isLive(row) && waitingFields(row, space) > 0);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}

function toKept({ fields, namespace, key, value, createdAt, updatedAt, expiresAt, ttlMinutes }: PlacedRow): KeptRow {
  return { namespace, key, value, createdAt, updatedAt, expiresAt, ttlMinutes, fields };
}
