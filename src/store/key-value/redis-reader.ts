import { z } from "zod";
import type { RedisConnection } from "./redis-connection.ts";
import { FIND, NAMES_ONLY } from "./redis-scripts.ts";
import { type KnownText, TextCache } from "./text-cache.ts";

const EVERYTHING = "-1";
const MOST_BEGINNINGS = 10_000;
/** How much text one script fetches, about, since the server does nothing else meanwhile: 4 MB took 25 ms. In bytes. */
const ROOM = 4_000_000;
/** For how many names one script is asked for the texts. */
const NAMES_AT_ONCE = 2_000;
/** How often others may change what was listed before all its texts came, until one script fetches everything. */
const LISTINGS = 5;

const foundSchema = z.tuple([z.string()]).rest(z.string().nullable());

interface Entry {
  key: string;
  version: string;
  text: string | undefined;
}

/** The keys of a place that are not texts, in the order of the scripts: the index, the versions, the last version. */
export function ownKeys(before: string): string[] {
  // No key has a #, so these are nobody's.
  return ["#index", "#versions", "#version"].map((name) => before + name);
}

/**
 * Reads a Redis place as of one moment, that of the listing of names and versions. Texts below a beginning are kept in
 * process: only others are sent, those that were written since with the listing and the rest in pieces, and a text is
 * taken only where its version is the listed one. Where others change it in between, there is another listing.
 */
export function createRedisReader({ run }: RedisConnection, before: string, mostCharacters?: number) {
  const cache = new TextCache(mostCharacters);
  /** Up to which version the texts below a beginning were seen. */
  const seen = new Map<string, string>();

  const find = async (keys: readonly string[], beginnings: readonly string[][], room = ROOM) => {
    const values = [before, String(room), String(keys.length), ...keys, ...beginnings.flat()];
    const answer = await run((client) => client.call("EVAL", [FIND, "3", ...ownKeys(before), ...values]));
    const [last, ...rest] = foundSchema.parse(answer);
    const entries = Array.from(
      { length: rest.length / 3 },
      (_, i): Entry => ({
        ...{ key: rest[3 * i] ?? "", version: rest[3 * i + 1] ?? "", text: rest[3 * i + 2] ?? undefined },
      }),
    );
    return { last, entries };
  };

  /** Adds the texts of names to those held; false where one has another version by now, or is gone. */
  const fetch = async (wanted: ReadonlyMap<string, string>, held: Map<string, KnownText>): Promise<boolean> => {
    for (let names = [...wanted.keys()]; names.length > 0; ) {
      const asked = names.slice(0, NAMES_AT_ONCE);
      const { entries } = await find(asked, []);
      for (const { key, version, text } of entries) {
        if (text !== undefined) hold(held, key, { text, etag: version });
      }
      if (entries.length < asked.length || entries.some((each) => wanted.get(each.key) !== each.version)) return false;
      names = names.filter((name) => !held.has(name) || held.get(name)?.etag !== wanted.get(name));
    }
    return true;
  };
  const hold = (held: Map<string, KnownText>, key: string, known: KnownText) => {
    held.set(key, known);
    // What has no version could be taken for another.
    if (known.etag !== "") cache.set(key, known);
  };

  return {
    /** All keys that begin with a prefix. */
    async keys(prefix: string): Promise<string[]> {
      const { entries } = await find([], [[NAMES_ONLY, prefix]]);
      return entries.map(({ key }) => key);
    },
    /** The texts of keys and of all keys that begin with prefixes. */
    async texts(keys: readonly string[], prefixes: readonly string[]): Promise<Map<string, string>> {
      const held = new Map<string, KnownText>();
      let since = (prefix: string) => seen.get(prefix) ?? EVERYTHING;
      for (let listing = 1; listing <= LISTINGS; listing += 1) {
        const isLast = listing === LISTINGS;
        const beginnings = prefixes.map((prefix) => [isLast ? EVERYTHING : since(prefix), prefix]);
        const { last, entries } = await find(keys, beginnings, isLast ? Number.MAX_SAFE_INTEGER : ROOM);
        const missing = new Map<string, string>();
        for (const { key, version, text } of entries) {
          if (text !== undefined || held.get(key)?.etag === version) continue;
          const known = cache.get(key);
          if (known?.etag === version) held.set(key, known);
          else missing.set(key, version);
        }
        for (const { key, version, text } of entries) if (text !== undefined) hold(held, key, { text, etag: version });
        since = () => last;
        if (!(await fetch(missing, held))) continue;
        if (seen.size > MOST_BEGINNINGS) seen.clear();
        for (const prefix of prefixes) seen.set(prefix, last);
        return new Map(entries.map(({ key }) => [key, textOf(held, key)]));
      }
      throw new TypeError("a listing of everything lacks a text");
    },
  };
}

function textOf(held: ReadonlyMap<string, KnownText>, key: string): string {
  const known = held.get(key);
  if (!known) throw new TypeError("a text is held for each name that was listed");
  return known.text;
}
