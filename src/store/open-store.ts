import type { PlaceConfig, StoreConfig, VectorConfig } from "../store-config/store-config.ts";
import type { StoreIndex } from "./embedder.ts";
import type { VectorIndex } from "./hybrid/vector-index.ts";
import { MnemailStore } from "./mnemail-store.ts";
import type { RowDriver } from "./row-driver.ts";
import type { SearchLanguage } from "./tokens.ts";

/** How a driver is opened: how words are compared, and who hears in a line what goes on worse than it should. */
interface DriverOptions {
  language?: SearchLanguage;
  warn?: (line: string) => void;
}

/**
 * Opens the store of the configuration: the only switch over backends; each driver is imported when it is asked
 * for. The caller owns the store (`await using`). `vectors` is where vectors are kept in the place of those of the
 * configuration, such as any LangChain.js `VectorStore` (`createVectorIndex`); it is closed with the store.
 *
 * @throws MnemailError("store") with one line that names the place; MnemailError("config") for a vector database whose
 * package is not installed, with the command that installs it.
 */
export async function openStore(
  config: StoreConfig,
  options: DriverOptions & { index?: StoreIndex; vectors?: VectorIndex } = {},
): Promise<MnemailStore> {
  return MnemailStore.open(await openDriver(config, options), options);
}

async function openDriver(
  { vectors: configured, ...place }: StoreConfig,
  { vectors: given, ...options }: DriverOptions & { vectors?: VectorIndex },
): Promise<RowDriver> {
  const documents = await openPlace(place, options);
  try {
    const vectors = given ?? (configured && (await openVectors(configured)));
    if (!vectors) return documents;
    const { openHybridDriver } = await import("./hybrid/hybrid-driver.ts");
    return await openHybridDriver(documents, vectors, options);
  } catch (error) {
    await documents.close();
    throw error;
  }
}

async function openVectors({ url, apiKey }: VectorConfig): Promise<VectorIndex> {
  const { openVectorIndex } = await import("./hybrid/vector-stores.ts");
  return openVectorIndex(url, apiKey === undefined ? {} : { apiKey });
}

async function openPlace(place: PlaceConfig, options: DriverOptions): Promise<RowDriver> {
  switch (place.backend) {
    case "memory": {
      if (place.snapshot) {
        const { openSnapshotDriver } = await import("./snapshot-driver.ts");
        return openSnapshotDriver(place.snapshot, options);
      }
      const { createMemoryDriver } = await import("./memory-driver.ts");
      return createMemoryDriver(options);
    }
    case "sqlite": {
      const { openSqliteDriver } = await import("./sqlite-driver.ts");
      return openSqliteDriver(place.path, options);
    }
    case "postgres": {
      const { openPostgresDriver } = await import("./postgres-driver.ts");
      return openPostgresDriver(place, options);
    }
    case "file": {
      const { openFileDriver } = await import("./key-value/file.ts");
      return openFileDriver(place.path, { ...options, ...(place.mode === undefined ? {} : { mode: place.mode }) });
    }
    case "redis": {
      const { openRedisDriver } = await import("./key-value/redis.ts");
      return openRedisDriver(place.url, options);
    }
    case "s3": {
      const { openS3Driver } = await import("./key-value/s3.ts");
      return openS3Driver(place, options);
    }
  }
}
