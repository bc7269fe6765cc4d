import { z } from "zod";
import { equalities, type ItemTest, prefilter } from "./filter.ts";
import { addressText, type JsonObject, type RowScan } from "./row-driver.ts";
import type { Changes } from "./sqlite-changes.ts";
import { below, LIVE } from "./sqlite-rows.ts";
import type { SearchLanguage } from "./tokens.ts";
import { type WordIndex, WordIndexes } from "./word-index.ts";

/** Items whose words are kept in process, of all namespaces that were searched by words. */
const INDEXED_ITEMS = 100_000;
/** Longer texts are no values that filters name. */
const SCALAR_LIMIT = 300;
const DAY_MS = 24 * 60 * 60_000;
/** The Julian day at which the time of JavaScript begins. */
const EPOCH_DAY = 2_440_587.5;

/** What a search by words ranks with. Keys are those of `addressText`. */
export interface Words {
  index: WordIndex;
  /** Whether an item can pass the filter, as far as its plain fields tell. */
  isWanted: (address: string) => boolean;
  /** The same for the keys of one namespace. */
  isWantedIn: (namespace: string) => (key: string) => boolean;
  /** All items that can pass. */
  wanted: () => string[];
}

interface Held {
  epoch: number;
  /** The last change that was seen of each namespace. */
  seen: Map<string, number>;
  /** When the first of the items expires, in milliseconds. */
  until: number;
  /** The change of each item. */
  versions: Map<string, number>;
  /** The fields of items that hold plain values; undefined stands for others. */
  fields: Map<string, JsonObject>;
  /** The same by namespace and key, since to join them for each of many items takes longer than to test it. */
  fieldsByKey: Map<string, Map<string, JsonObject>>;
}

const rowsSchema = z.array(z.tuple([z.string(), z.string(), z.number(), z.number().nullable(), z.number()]));

/**
 * The words of the namespaces that were searched, held in process and brought up to date from the log of changes: what
 * did not change is not read again. Runs inside the transaction of its caller.
 */
export class SqliteWords {
  readonly #all: (sql: string, parameters: unknown[]) => unknown[];
  readonly #indexes: WordIndexes;
  readonly #held = new Map<string, Held>();

  constructor(all: (sql: string, parameters: unknown[]) => unknown[], language: SearchLanguage) {
    this.#all = all;
    this.#indexes = new WordIndexes({ language, limitItems: INDEXED_ITEMS });
  }

  /** The words of a scan's rows as they are now; `read` gives the values of addresses. */
  find(scan: RowScan, state: Changes, read: (addresses: readonly string[]) => Map<string, JsonObject>): Words {
    const id = JSON.stringify([scan.prefix, equalities(scan.filter)]);
    const kept = this.#indexes.find(id);
    const found = kept && this.#held.get(id);
    const isFollowed = found?.epoch === state.epoch && Date.now() < found.until;
    const held = found && isFollowed ? found : this.#begin(id, state.epoch);
    const isChanged =
      held === found ? this.#readChanges(scan, held, state.namespaces) : this.#readAll(scan, held, state);
    const index = kept && !isChanged ? kept.index : this.#refresh(id, held, read);
    const test = prefilter(scan.filter);
    const isWanted = (address: string) => isPassed(held.fields.get(address), test);
    const isWantedIn = (namespace: string) => {
      const fields = held.fieldsByKey.get(namespace);
      return (key: string) => isPassed(fields?.get(key), test);
    };
    return { index, isWanted, isWantedIn, wanted: () => [...held.versions.keys()].filter(isWanted) };
  }

  #begin(id: string, epoch: number): Held {
    for (const other of this.#held.keys()) if (!this.#indexes.has(other)) this.#held.delete(other);
    const { fields = new Map(), fieldsByKey = new Map() } = this.#held.get(id) ?? {};
    const until = Number.POSITIVE_INFINITY;
    const held = { epoch, seen: new Map(), until, versions: new Map(), fields, fieldsByKey };
    this.#held.set(id, held);
    return held;
  }

  #readAll({ prefix, filter }: RowScan, held: Held, { namespaces }: Changes): true {
    const only = toPrefilter(filter);
    const at = below(prefix, "s.prefix");
    const rows = this.#all(
      `SELECT s.prefix, s.key, c.change, julianday(s.expires_at), 1
       FROM store s JOIN mnemail_changes c ON c.prefix = s.prefix AND c.key = s.key
       WHERE ${at.sql} AND ${LIVE} ${only.sql}`,
      [...at.parameters, ...only.parameters],
    );
    take(held, rows);
    for (const { namespace, change } of namespaces) held.seen.set(namespace, change);
    return true;
  }

  /** Whether anything changed since the last time. */
  #readChanges({ filter }: RowScan, held: Held, namespaces: Changes["namespaces"]): boolean {
    let isChanged = false;
    for (const { namespace, change } of namespaces) {
      const seen = held.seen.get(namespace) ?? -1;
      if (seen === change) continue;
      const only = toPrefilter(filter);
      const rows = this.#all(
        `SELECT c.prefix, c.key, c.change, julianday(s.expires_at), s.key IS NOT NULL
         FROM mnemail_changes c LEFT JOIN store s ON s.prefix = c.prefix AND s.key = c.key AND ${LIVE} ${only.sql}
         WHERE c.prefix = ? AND c.change > ?`,
        [...only.parameters, namespace, seen],
      );
      isChanged = take(held, rows) || isChanged;
      held.seen.set(namespace, change);
    }
    return isChanged;
  }

  #refresh(id: string, held: Held, read: (addresses: readonly string[]) => Map<string, JsonObject>): WordIndex {
    const refresh = this.#indexes.refresh(id, held.versions);
    let step = refresh.next();
    while (!step.done) {
      const values = read(step.value);
      for (const [address, value] of values) {
        const fields = plainFields(value);
        const [namespace = "", key = ""] = address.split("\0");
        const byKey = held.fieldsByKey.get(namespace) ?? new Map<string, JsonObject>();
        held.fieldsByKey.set(namespace, byKey.set(key, fields));
        held.fields.set(address, fields);
      }
      step = refresh.next(values);
    }
    for (const address of held.fields.keys()) {
      if (held.versions.has(address)) continue;
      const [namespace = "", key = ""] = address.split("\0");
      held.fieldsByKey.get(namespace)?.delete(key);
      held.fields.delete(address);
    }
    return step.value;
  }
}

/** Takes rows of address, change, expiry and whether they are there; whether any of that is news. */
function take(held: Held, rows: readonly unknown[]): boolean {
  let isNews = false;
  for (const [namespace, key, change, expiry, isThere] of rowsSchema.parse(rows)) {
    const address = addressText([namespace], key);
    isNews = (isThere === 1 ? held.versions.get(address) !== change : held.versions.has(address)) || isNews;
    if (isThere === 1) held.versions.set(address, change);
    else held.versions.delete(address);
    if (expiry !== null) held.until = Math.min(held.until, (expiry - EPOCH_DAY) * DAY_MS);
  }
  return isNews;
}

function plainFields(value: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => {
      const isPlain = field === null || ["number", "boolean"].includes(typeof field);
      const isShort = typeof field === "string" && field.length <= SCALAR_LIMIT;
      return [name, isPlain || isShort ? field : undefined];
    }),
  );
}

function isPassed(fields: JsonObject | undefined, tests: readonly [name: string, test: ItemTest][]): boolean {
  if (!fields) return true;
  return tests.every(([name, test]) => {
    if (!Object.hasOwn(fields, name)) return test(null);
    // A field that is there and not plain may pass.
    return fields[name] === undefined || test(fields[name]);
  });
}

/** The part of a filter that SQL can check beforehand; it may pass rows that the filter refuses. */
export function toPrefilter(filter: RowScan["filter"]): { sql: string; parameters: string[] } {
  const texts = Object.entries(equalities(filter)).flatMap(([name, value]) =>
    typeof value === "string" && /^\w+$/.test(name) ? [{ name, value }] : [],
  );
  // Python's values are BLOBs, which json_extract would take for its binary format.
  const sql = texts.map(
    ({ name }) => `AND (typeof(value) <> 'text' OR NOT json_valid(value) OR json_extract(value, '$.${name}') = ?)`,
  );
  return { sql: sql.join(" "), parameters: texts.map(({ value }) => value) };
}
