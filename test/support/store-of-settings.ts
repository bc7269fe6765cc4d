import { tmpdir } from "node:os";
import { loadConfig } from "../../src/config.ts";
import type { StoreIndex } from "../../src/store/embedder.ts";
import { openVectorIndex } from "../../src/store/hybrid/vector-stores.ts";
import type { MnemailStore } from "../../src/store/mnemail-store.ts";
import { openStore } from "../../src/store/open-store.ts";

/** The variables that tell a program its store, such as STORE_URL and VECTOR_URL. */
export type Settings = Record<string, string>;

/** Opens the store of settings as a program does that is told them; a PostgreSQL that is away is waited for. */
export async function openStoreOfSettings(
  settings: Settings,
  options: { index?: StoreIndex; warn?: (line: string) => void } = {},
): Promise<MnemailStore> {
  const environment = { POSTGRES_RETRY_MS: "30000", ...settings };
  const { vectors, ...place } = loadConfig({ environment, directory: tmpdir() }).store;
  if (!vectors) return openStore(place, options);
  // Not imported where it is not needed: it says on stdout when there are no packages.
  const { importVectorPackage } = await import("./vector-servers/packages.ts");
  return openStore(place, {
    ...options,
    vectors: await openVectorIndex(vectors.url, { ...vectors, importPackage: importVectorPackage }),
  });
}
