import type { StoreConfig } from "../config.ts";
import { MnemailError } from "../errors.ts";
import { MnemailStore, type StoreIndex } from "./mnemail-store.ts";

/**
 * Opens the store of the configuration: the only switch over backends; each driver is imported when it is asked
 * for. The caller owns the store (`await using`).
 *
 * @throws MnemailError("store") with one line that names the setting.
 */
export async function openStore(
  config: StoreConfig,
  options: { index?: StoreIndex; warn?: (line: string) => void } = {},
): Promise<MnemailStore> {
  switch (config.backend) {
    case "memory": {
      const { createMemoryDriver } = await import("./memory-driver.ts");
      return MnemailStore.open(createMemoryDriver(), options);
    }
    case "sqlite": {
      const { openSqliteDriver } = await import("./sqlite-driver.ts");
      return MnemailStore.open(openSqliteDriver(config.path), options);
    }
    case "postgres":
      throw new MnemailError(
        "store",
        "STORE_URL: PostgreSQL is not supported in this version; set STORE_URL=sqlite:PATH or STORE_URL=memory:, with USE_PERSISTENT_STORE and POSTGRES_CONNECTION_STRING unset",
      );
  }
}
