import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { type BaseStore, InMemoryStore, type Operation } from "@langchain/langgraph-checkpoint";
import { Redis } from "ioredis";
import { openFileDriver } from "../src/store/key-value/file.ts";
import { folderOfPrefix, pathOfKey } from "../src/store/key-value/file-names.ts";
import { createKeyValueDriver } from "../src/store/key-value/key-value-driver.ts";
import { rowKey, rowPrefix } from "../src/store/key-value/keys.ts";
import { mapKeyValue } from "../src/store/key-value/map.ts";
import { openRedisDriver } from "../src/store/key-value/redis.ts";
import { MnemailStore } from "../src/store/mnemail-store.ts";
import { openStore } from "../src/store/open-store.ts";
import type { RankedSearch } from "../src/store/operations.ts";
import type { Address } from "../src/store/row-driver.ts";
import { DIMENSIONS, KnownEmbeddings, LIMIT, MODEL } from "./data.ts";
import type { BenchItem } from "./peers.ts";

/** Names in tables. */
export const PLACES = {
  sqlite: "SQLite",
  memory: "memory:",
  map: "Map",
  file: "file:",
  redis: "Redis",
  upstream: "upstream InMemoryStore",
  readFiles: "floor: reading the files",
  mget: "floor: MGET of the keys",
} as const;

/** What is compared. An operation that a floor does not have is absent. */
export interface PlaceContender {
  name: string;
  putAll?(items: readonly BenchItem[]): Promise<unknown>;
  /** How many were found. */
  getAll(addresses: readonly Address[]): Promise<number>;
  /** The keys that a search finds, best first; of floors, how many were read. */
  search(namespace: string[], query: string): Promise<string[] | number>;
  close(): Promise<void>;
}

/** Opens our stores, upstream's and the floors; those of Redis where there is the URL of a server. */
export async function openContenders(folder: string, redis: string | undefined): Promise<PlaceContender[]> {
  const embeddings = new KnownEmbeddings();
  const index = { embeddings, model: MODEL, fields: ["text"] };
  const files = join(folder, "files");
  const ours = async (name: string, store: Promise<MnemailStore>) => storeContender(name, await store);
  const opened = [
    await ours(PLACES.sqlite, openStore({ backend: "sqlite", path: join(folder, "memory.db") }, { index })),
    await ours(PLACES.memory, openStore({ backend: "memory" }, { index })),
    storeContender(PLACES.upstream, new InMemoryStore({ index: { dims: DIMENSIONS, embeddings, fields: ["text"] } })),
    await ours(PLACES.map, MnemailStore.open(createKeyValueDriver(mapKeyValue(new Map())), { index })),
    await ours(PLACES.file, MnemailStore.open(await openFileDriver(files), { index })),
    fileFloor(files),
  ];
  if (redis === undefined) return opened;
  const store = MnemailStore.open(await openRedisDriver(`${redis}?prefix=bench`), { index });
  return [...opened, await ours(PLACES.redis, store), redisFloor(redis, "{bench}:")];
}

function storeContender(name: string, store: BaseStore): PlaceContender {
  return {
    name,
    putAll: (items) =>
      store.batch(items.map(({ namespace, key, text }): Operation => ({ namespace, key, value: { text } }))),
    async getAll(addresses) {
      const found = await store.batch(addresses.map(({ namespace, key }) => ({ namespace, key })));
      return found.filter((item) => item !== null).length;
    },
    async search(namespacePrefix, query) {
      const search: RankedSearch = { namespacePrefix, query, limit: LIMIT, ranking: "hybrid" };
      const [found] = await store.batch([search]);
      return (found ?? []).map(({ key }) => key);
    },
    close: async () => void (await store.stop()),
  };
}

/** Reads the same files and does nothing with them. */
function fileFloor(folder: string): PlaceContender {
  const read = async (paths: readonly string[]) => {
    const texts = await Promise.all(paths.map((path) => readFile(path, "utf8")));
    return texts.filter((text) => text !== "").length;
  };
  return {
    name: PLACES.readFiles,
    getAll: (addresses) => read(addresses.map((address) => join(folder, ...pathOfKey(rowKey(address))))),
    async search(namespace) {
      const below = join(folder, ...folderOfPrefix(rowPrefix(namespace).prefix));
      return read((await readdir(below)).map((name) => join(below, name)));
    },
    close: async () => {},
  };
}

/** Fetches the same texts and does nothing with them; it is told the keys that a search has to find. */
function redisFloor(url: string, before: string): PlaceContender {
  const client = new Redis(url);
  const known = new Map<string, string[]>();
  const fetch = async (keys: readonly string[]) =>
    (await client.mget(keys.map((key) => before + key))).filter((text) => text !== null).length;
  return {
    name: PLACES.mget,
    getAll: (addresses) => fetch(addresses.map(rowKey)),
    async search(namespace) {
      const { prefix } = rowPrefix(namespace);
      const names = known.get(prefix) ?? (await client.zrangebylex(`${before}#index`, `[${prefix}`, `(${prefix}\x7f`));
      known.set(prefix, names);
      return fetch(names);
    },
    close: async () => client.disconnect(),
  };
}
