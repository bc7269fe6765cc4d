import { resolve } from "node:path";
import { MnemailError } from "../errors.ts";
import { replaceFile, targetOf } from "../files/replace-file.ts";
import type { StoreIndex } from "./embedder.ts";
import { createMemoryDriver, isMemoryDriver, type MemoryDriver } from "./memory-driver.ts";
import { MnemailStore } from "./mnemail-store.ts";
import { type SnapshotDriver, takeSnapshot } from "./snapshot-driver.ts";
import { readSnapshot, snapshotError, snapshotPieces } from "./snapshot-file.ts";
import type { SearchLanguage } from "./tokens.ts";

/**
 * Saves all that is in an in-memory store to a file, for {@link loadStore} or `STORE_URL=memory:?snapshot=FILE`:
 *
 *     const store = await openStore({ backend: "memory" });
 *     await store.put(["notes"], "1", { text: "hello" });
 *     await saveStore(store, "memory.snapshot");
 *
 * The file is written whole or not at all, for its owner alone (mode 0600, new folders 0700), in the place of what was
 * there before; it is on disk when this returns. What is put meanwhile is not in it, and what is expired neither. Of a store
 * that was opened with `memory:?snapshot=FILE`, naming that file saves it now.
 *
 * @throws MnemailError("usage") for a store that is not in memory, and so keeps what is put itself; MnemailError("store")
 * in one line when the file cannot be written, or a process has it open as its snapshot.
 */
export async function saveStore(store: MnemailStore, path: string): Promise<void> {
  const { driver } = store;
  if (!isMemoryDriver(driver)) {
    const { engine } = await driver.health();
    const hint = 'saveStore is for a store of openStore({ backend: "memory" }); copy others with `mnemail memory copy`';
    throw new MnemailError("usage", `${path}: ${engine} keeps what is put already, and needs no snapshot`, hint);
  }
  if (isSnapshotDriver(driver) && driver.file === (await targetOf(resolve(path)).catch(() => undefined))) {
    return driver.save();
  }
  const { file, hold } = await takeSnapshot(path);
  try {
    await replaceFile(file, snapshotPieces(driver.contents()), hold.isHeld);
  } catch (error) {
    throw snapshotError(path, "saved", error);
  } finally {
    hold.release();
  }
}

/**
 * Opens an in-memory store with what {@link saveStore} saved, or a process with `STORE_URL=memory:?snapshot=FILE`. Nothing is
 * written to the file later on. `index` makes it searchable by meaning; vectors that were saved are used when they are of
 * the same model.
 *
 * @throws MnemailError("input") when there is no such file; MnemailError("store") in one line when it cannot be read, is no
 * snapshot, or is not whole.
 */
export async function loadStore(
  path: string,
  options: { index?: StoreIndex; language?: SearchLanguage; warn?: (line: string) => void } = {},
): Promise<MnemailStore> {
  const contents = await readSnapshot(path);
  if (!contents) throw new MnemailError("input", `${path}: there is no such file`, "name what saveStore wrote");
  const { language } = options;
  return MnemailStore.open(createMemoryDriver({ contents, ...(language ? { language } : {}) }), options);
}

function isSnapshotDriver(driver: MemoryDriver): driver is SnapshotDriver {
  return "file" in driver;
}
