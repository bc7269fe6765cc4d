import { existsSync } from "node:fs";
import { join } from "node:path";
import type { PlaceConfig, StoreConfig } from "../store-config/store-config.ts";
import type { KeyValue } from "./key-value/key-value.ts";
import type { ThreadSource } from "./threads.ts";

/** A checkpointer with what was opened for it. */
export interface OpenCheckpointer extends ThreadSource, AsyncDisposable {
  /** Leaves nothing of deleted threads, as {@link MnemailStore.erase} does of items. */
  erase(): Promise<string[]>;
}

interface CheckpointerOptions {
  warn?: (line: string) => void;
}

/**
 * Opens LangGraph's checkpointer of the same setting as the store's. For SQLite it is a file beside the store's, so that
 * checkpoints do not wake its caches; so it is for a snapshot and for a folder, which would write all of a thread at each
 * step. For PostgreSQL it is the same database, on a pool of its own; for Redis and S3 the same place.
 *
 * @throws MnemailError("store") with one line that names the place.
 */
export async function openCheckpointer(
  config: StoreConfig,
  options: CheckpointerOptions = {},
): Promise<OpenCheckpointer> {
  const file = await checkpointFileOf(config);
  if (file !== undefined) {
    if (config.backend === "file") await makeFolder(config);
    const { openSqliteCheckpointer } = await import("./sqlite-checkpointer.ts");
    const mode = config.backend === "file" ? config.mode : undefined;
    const { close, erase, ...opened } = await openSqliteCheckpointer(file, mode);
    return { ...opened, erase: () => erase().then((): string[] => []), [Symbol.asyncDispose]: async () => close() };
  }
  switch (config.backend) {
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
    case "redis":
    case "s3": {
      const { openKeyValueCheckpointer } = await import("./key-value/key-value-checkpointer.ts");
      return openKeyValueCheckpointer(await openPlace(config, options));
    }
    default: {
      const { MemorySaver } = await import("@langchain/langgraph-checkpoint");
      const { threadIdsOf } = await import("./threads.ts");
      const checkpointer = new MemorySaver();
      const threadIds = (userId: string) => threadIdsOf(checkpointer, userId);
      return { checkpointer, threadIds, erase: async () => [], [Symbol.asyncDispose]: async () => {} };
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
  const file = await checkpointFileOf(config);
  if (file !== undefined) return existsSync(file);
  switch (config.backend) {
    case "postgres": {
      const { hasCheckpointTables } = await import("./postgres-checkpointer.ts");
      const { openPostgresPool, withRetry } = await import("./postgres-pool.ts");
      const pool = openPostgresPool(config, warn);
      try {
        return await withRetry(config, () => hasCheckpointTables(pool));
      } finally {
        await pool.end();
      }
    }
    case "redis":
    case "s3": {
      const { hasThreadsAt } = await import("./key-value/key-value-checkpointer.ts");
      const place = await openPlace(config, warn ? { warn } : {});
      return hasThreadsAt(place).finally(() => place.close());
    }
    default:
      return false;
  }
}

/** The SQLite file of the threads, where that is where they are. */
export async function checkpointFileOf(config: StoreConfig): Promise<string | undefined> {
  switch (config.backend) {
    case "memory":
      return config.snapshot && `${config.snapshot.path}.checkpoints.db`;
    case "file": {
      const { OWN_FOLDER } = await import("./key-value/file-folder.ts");
      return join(config.path, OWN_FOLDER, "checkpoints.db");
    }
    case "sqlite": {
      const { checkpointPath } = await import("./sqlite-checkpointer.ts");
      return checkpointPath(config.path);
    }
    default:
      return undefined;
  }
}

/** Makes a store's folder, where it is missing, as the store would. */
async function makeFolder({ path, mode }: Extract<PlaceConfig, { backend: "file" }>): Promise<void> {
  const { openFolder } = await import("./key-value/file.ts");
  await (await openFolder(path, mode)).close();
}

async function openPlace(
  place: Extract<PlaceConfig, { backend: "redis" | "s3" }>,
  options: CheckpointerOptions,
): Promise<KeyValue> {
  if (place.backend === "redis") {
    const { openRedis } = await import("./key-value/redis.ts");
    return openRedis(place.url, options);
  }
  const { openS3 } = await import("./key-value/s3.ts");
  return openS3(place, options);
}
