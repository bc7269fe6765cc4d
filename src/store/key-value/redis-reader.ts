import { z } from "zod";
import type { RedisConnection } from "./redis-connection.ts";
import { FIND } from "./redis-scripts.ts";
import { TextCache } from "./text-cache.ts";

/** Newer than any version: of texts below a beginning, only the names are wanted. */
const NAMES_ONLY = "9e15";
const EVERYTHING = "-1";
const MOST_BEGINNINGS = 10_000;

const foundSchema = z.tuple([z.string()]).rest(z.string().nullable());

/** The keys of a place that are not texts, in the order of the scripts: the index, the versions, the last version. */
export function ownKeys(before: string): string[] {
  // No key has a #, so these are nobody's.
  return ["#index", "#versions", "#version"].map((name) => before + name);
}

/**
 * Reads a Redis place as of one moment. Texts below a beginning are kept in process: only those that were written since
 * are sent again, and one is taken from here only where its version is the one that stands there now.
 */
export function createRedisReader({ run }: RedisConnection, before: string) {
  const cache = new TextCache();
  /** Up to which version the texts below a beginning are kept. */
  const seen = new Map<string, string>();

  const find = async (keys: readonly string[], beginnings: readonly string[][]) => {
    const values = [before, String(keys.length), ...keys, ...beginnings.flat()];
    const [last, ...rest] = foundSchema.parse(
      await run((client) => client.eval(FIND, 3, ...ownKeys(before), ...values)),
    );
    const entries = Array.from({ length: rest.length / 3 }, (_, i) => ({
      ...{ key: rest[3 * i] ?? "", version: rest[3 * i + 1] ?? "", text: rest[3 * i + 2] ?? undefined },
    }));
    return { last, entries };
  };

  return {
    /** All keys that begin with a prefix. */
    async keys(prefix: string): Promise<string[]> {
      const { entries } = await find([], [[NAMES_ONLY, prefix]]);
      return entries.map(({ key }) => key);
    },
    /** The texts of keys and of all keys that begin with prefixes. */
    async texts(keys: readonly string[], prefixes: readonly string[]): Promise<Map<string, string>> {
      for (const isAgain of [false, true]) {
        const since = (prefix: string) => (isAgain ? EVERYTHING : (seen.get(prefix) ?? EVERYTHING));
        const { last, entries } = await find(
          keys,
          prefixes.map((prefix) => [since(prefix), prefix]),
        );
        const texts = new Map<string, string>();
        for (const { key, version, text } of entries) {
          const known = cache.get(key);
          const current = text ?? (known?.etag === version ? known.text : undefined);
          if (current === undefined) break;
          if (text !== undefined) cache.set(key, { text, etag: version });
          texts.set(key, current);
        }
        // What was let go for want of room is fetched again with all the rest.
        if (texts.size < new Set(entries.map(({ key }) => key)).size) continue;
        if (seen.size > MOST_BEGINNINGS) seen.clear();
        for (const prefix of prefixes) seen.set(prefix, last);
        return texts;
      }
      throw new TypeError("a listing of everything lacks a text");
    },
  };
}
