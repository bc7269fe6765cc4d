import { tmpdir } from "node:os";
import { loadConfig } from "../../src/config.ts";
import type { StoreIndex } from "../../src/store/embedder.ts";
import { openFileDriver } from "../../src/store/key-value/file.ts";
import { openRedisDriver } from "../../src/store/key-value/redis.ts";
import { MnemailStore } from "../../src/store/mnemail-store.ts";
import { openStore } from "../../src/store/open-store.ts";

/** Opens the store of a URL as a program does that is told it; a server that is away is waited for. */
export async function openStoreOf(
  url: string,
  options: { index?: StoreIndex; warn?: (line: string) => void } = {},
): Promise<MnemailStore> {
  if (url.startsWith("file:")) return MnemailStore.open(await openFileDriver(url.slice("file:".length)), options);
  if (url.startsWith("redis:")) return MnemailStore.open(await openRedisDriver(url, { retryMs: 30_000 }), options);
  const environment = { STORE_URL: url, POSTGRES_RETRY_MS: "30000" };
  return openStore(loadConfig({ environment, directory: tmpdir() }).store, options);
}
