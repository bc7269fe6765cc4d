import { randomUUID } from "node:crypto";
import { open, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { MnemailError } from "../errors.ts";
import { knownWriteProblem } from "../files/exclusive-file.ts";
import { checkpointFileOf } from "../store/open-checkpointer.ts";
import { localPathOf } from "../store-config/describe-store.ts";
import type { StoreConfig } from "../store-config/store-config.ts";

/**
 * Writes a file whole or not at all: `write` makes it under a temporary name in the same folder, which is renamed
 * when it is on disk. Without `force` an existing file is left as it is; the store's own files always are.
 *
 * @throws MnemailError("input") for a place that cannot be written; what `write` throws.
 */
export async function writeNewFile(
  path: string,
  { force, store }: { force: boolean; store: StoreConfig },
  write: (temporaryPath: string) => Promise<void>,
): Promise<void> {
  const existing = await stat(path).catch(() => undefined);
  if (existing && !existing.isFile()) throw new MnemailError("input", `${path}: is not a file`, "name another");
  if (existing && !force) {
    throw new MnemailError("input", `${path}: exists already`, "name another file, or replace it with --force");
  }
  const place = localPathOf(store);
  if (store.backend === "file" && (await isWithin(path, store.path))) {
    throw new MnemailError("input", `${path}: is in the folder of the store itself`, "name another folder");
  }
  const files = [place, await checkpointFileOf(store)].flatMap((each) => each ?? []);
  for (const own of files.flatMap((each) => ["", "-wal", "-shm"].map((end) => each + end))) {
    const used = await stat(own).catch(() => undefined);
    if (existing && used?.ino === existing.ino && used.dev === existing.dev) {
      throw new MnemailError("input", `${path}: is the store itself`, "name another file");
    }
  }
  const temporary = `${path}.${randomUUID().slice(0, 8)}.tmp`;
  try {
    await write(temporary);
    const file = await open(temporary, "r");
    await file.sync().finally(() => file.close());
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw fileError(path, error);
  }
}

/** Whether a file, which need not be there, would be in a folder or below it, whatever links lead there. */
async function isWithin(path: string, folder: string): Promise<boolean> {
  const [parent, root] = await Promise.all(
    [dirname(resolve(path)), folder].map((each) => realpath(each).catch(() => undefined)),
  );
  return parent !== undefined && root !== undefined && (parent === root || parent.startsWith(join(root, "/")));
}

function fileError(path: string, error: unknown): unknown {
  const reason = knownWriteProblem(error);
  if (error instanceof MnemailError || reason === undefined) return error;
  return new MnemailError("input", `${path}: cannot be written: ${reason}`, "nothing was left behind", {
    cause: error,
  });
}
