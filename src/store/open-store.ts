import type { BaseCheckpointSaver } from "@langchain/langgraph-checkpoint";
import type { StoreConfig } from "../store-config.ts";
import type { StoreIndex } from "./embedder.ts";
import { MnemailStore } from "./mnemail-store.ts";
import type { RowDriver } from "./row-driver.ts";
import type { SearchLanguage } from "./tokens.ts";

/**
 * Opens the store of the configuration: the only switch over backends; each driver is imported when it is asked
 * for. The caller owns the store (`await using`).
 *
 * @throws MnemailError("store") with one line that names the place.
 */
export async function openStore(
  config: StoreConfig,
  options: { index?: StoreIndex; language?: SearchLanguage; warn?: (line: string) => void } = {},
): Promise<MnemailStore> {
  return MnemailStore.open(await openDriver(config, options), options);
}

async function openDriver(
  config: StoreConfig,
  options: { language?: SearchLanguage; warn?: (line: string) => void },
): Promise<RowDriver> {
  switch (config.backend) {
    case "memory": {
      const { createMemoryDriver } = await import("./memory-driver.ts");
      return createMemoryDriver(options);
    }
    case "sqlite": {
      const { openSqliteDriver } = await import("./sqlite-driver.ts");
      return openSqliteDriver(config.path, options);
    }
    case "postgres": {
      const { openPostgresDriver } = await import("./postgres-driver.ts");
      return openPostgresDriver(config, options);
    }
  }
}

/** A checkpointer with what was opened for it. */
export interface OpenCheckpointer extends AsyncDisposable {
  checkpointer: BaseCheckpointSaver;
}

/**
 * Opens LangGraph's checkpointer of the same setting: for SQLite in a file beside the store's, so that checkpoints do
 * not wake its caches; for PostgreSQL in the same database, on a pool of its own.
 *
 * @throws MnemailError("store") with one line that names the place.
 */
export async function openCheckpointer(
  config: StoreConfig,
  options: { warn?: (line: string) => void } = {},
): Promise<OpenCheckpointer> {
  switch (config.backend) {
    case "memory": {
      const { MemorySaver } = await import("@langchain/langgraph-checkpoint");
      return { checkpointer: new MemorySaver(), [Symbol.asyncDispose]: async () => {} };
    }
    case "sqlite": {
      const { checkpointPath, openSqliteCheckpointer } = await import("./sqlite-checkpointer.ts");
      const { checkpointer, close } = await openSqliteCheckpointer(checkpointPath(config.path));
      return { checkpointer, [Symbol.asyncDispose]: async () => close() };
    }
    case "postgres": {
      const { openPostgresCheckpointer } = await import("./postgres-checkpointer.ts");
      const { openPostgresPool, withRetry } = await import("./postgres-pool.ts");
      const pool = openPostgresPool(config, options.warn);
      try {
        const checkpointer = await withRetry(config, () => openPostgresCheckpointer(pool));
        return { checkpointer, [Symbol.asyncDispose]: () => pool.end() };
      } catch (error) {
        await pool.end();
        throw error;
      }
    }
  }
}
