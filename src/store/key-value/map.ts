import type { KeyValue } from "./key-value.ts";

/**
 * A program's own map as a place for memory: `MnemailStore.open(createKeyValueDriver(mapKeyValue(map)), { index })`. All
 * that is kept is in the map, as text, so that a program can save it and fill it again. Two stores may share one map.
 */
export function mapKeyValue(map: Map<string, string>): KeyValue {
  const beginning = (prefix: string) => [...map].filter(([key]) => key.startsWith(prefix));
  return {
    name: "a Map of the program",
    isAtomic: true,
    read: async (keys) => keys.map((key) => map.get(key) ?? null),
    list: async (prefix) => beginning(prefix).map(([key, text]) => ({ key, text })),
    keys: async (prefix) => beginning(prefix).map(([key]) => key),
    async snapshot(keys, prefixes) {
      const found = new Map(prefixes.flatMap(beginning));
      for (const key of keys) {
        const text = map.get(key);
        if (text !== undefined) found.set(key, text);
      }
      return found;
    },
    async write(changes) {
      const holds = changes.every(({ key, expected }) => expected === undefined || (map.get(key) ?? null) === expected);
      if (!holds) return false;
      for (const { key, text } of changes) {
        if (text === null) map.delete(key);
        else map.set(key, text);
      }
      return true;
    },
    close: async () => {},
  };
}
