import { existsSync } from "node:fs";
import type { StoreConfig } from "../store-config.ts";
import type { StoreIndex } from "./embedder.ts";
import { MnemailStore } from "./mnemail-store.ts";
import type { RowDriver } from "./row-driver.ts";
import type { ThreadSource } from "./threads.ts";
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
export interface OpenCheckpointer extends ThreadSource, AsyncDisposable {
  /** Leaves nothing of deleted threads, as {@link MnemailStore.erase} does of items. */
  erase(): Promise<string[]>;
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
      const { threadIdsOf } = await import("./threads.ts");
      const checkpointer = new MemorySaver();
      const threadIds = (userId: string) => threadIdsOf(checkpointer, userId);
      return { checkpointer, threadIds, erase: async () => [], [Symbol.asyncDispose]: async () => {} };
    }
    case "sqlite": {
      const { checkpointPath, openSqliteCheckpointer } = await import("./sqlite-checkpointer.ts");
      const { close, erase, ...opened } = await openSqliteCheckpointer(checkpointPath(config.path));
      return { ...opened, erase: () => erase().then((): string[] => []), [Symbol.asyncDispose]: async () => close() };
    }
    case "postgres": {
      const { eraseThreadsOnPostgres, openPostgresCheckpointer, threadIdsOnPostgres } = await import(
        "./postgres-checkpointer.ts"
      );
      const { openPostgresPool, withRetry } = await import("./postgres-pool.ts");
      const pool = openPostgresPool(config, options.warn);
      try {
        const checkpointer = await withRetry(config, () => openPostgresCheckpointer(pool));
        const threadIds = (userId: string) => withRetry(config, () => threadIdsOnPostgres(pool, userId));
        const erase = () => withRetry(config, () => eraseThreadsOnPostgres(pool));
        return { checkpointer, threadIds, erase, [Symbol.asyncDispose]: () => pool.end() };
      } catch (error) {
        await pool.end();
        throw error;
      }
    }
  }
}

/**
 * Whether threads were ever kept by this setting, so that looking at them makes no file and no table. What `memory:`
 * keeps is never there before it was opened.
 *
 * @throws MnemailError("store") with one line that names the place.
 */
export async function hasThreads(config: StoreConfig, warn?: (line: string) => void): Promise<boolean> {
  if (config.backend === "memory") return false;
  if (config.backend === "sqlite") {
    const { checkpointPath } = await import("./sqlite-checkpointer.ts");
    return existsSync(checkpointPath(config.path));
  }
  const { hasCheckpointTables } = await import("./postgres-checkpointer.ts");
  const { openPostgresPool, withRetry } = await import("./postgres-pool.ts");
  const pool = openPostgresPool(config, warn);
  try {
    return await withRetry(config, () => hasCheckpointTables(pool));
  } finally {
    await pool.end();
  }
}
