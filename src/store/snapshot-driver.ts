import { access, constants, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { MnemailError, renderError } from "../errors.ts";
import { makeFolder, removeTemporary, writeExclusive } from "../files/exclusive-file.ts";
import { type FileHold, holdFile } from "../files/file-hold.ts";
import { replaceFile, replaceFileNow, targetOf } from "../files/replace-file.ts";
import { createMemoryDriver, type MemoryContents, type MemoryDriver } from "./memory-driver.ts";
import { doAtExit } from "./snapshot-at-exit.ts";
import { readSnapshot, snapshotError, snapshotPieces } from "./snapshot-file.ts";
import type { SearchLanguage } from "./tokens.ts";

/** The longest that a timer can wait. */
const LONGEST_MS = 2 ** 31 - 1;

/** Rows in memory that are saved to a file. */
export interface SnapshotDriver extends MemoryDriver {
  /** The file itself, whatever links led to it. */
  readonly file: string;
  /** Saves what is there now, and returns when it is on disk. @throws MnemailError("store"). */
  save(): Promise<void>;
}

/**
 * Opens rows in the memory of this process that outlive it: they come from the last snapshot in a file, if there is one,
 * and are saved to it, whole or not at all, every so often where something changed, when they are closed, and when the
 * process ends otherwise. A process that is killed, or a power cut, loses what was changed since the last save. One process
 * at a time. A file that is no whole snapshot is refused and left alone.
 *
 * `warn` is told when a save in the background fails; it is tried again.
 *
 * @throws MnemailError("store") in one line that names the file.
 */
export async function openSnapshotDriver(
  { path, everyMs }: { path: string; everyMs: number },
  options: { language?: SearchLanguage; warn?: (line: string) => void } = {},
): Promise<SnapshotDriver> {
  const { file, hold } = await takeSnapshot(path);
  try {
    const contents = await readSnapshot(path);
    return driverOf({ path, file, hold, everyMs }, contents, options);
  } catch (error) {
    hold.release();
    throw error;
  }
}

/**
 * Takes the file of a snapshot for this process, in a folder that is made when it is not there.
 *
 * @throws MnemailError("store") when another has it, or it cannot be written here.
 */
export async function takeSnapshot(path: string): Promise<{ file: string; hold: FileHold }> {
  try {
    await makeFolder(dirname(resolve(path)));
    const file = await targetOf(resolve(path));
    await expectWritable(path);
    const taken = await holdFile(file);
    if ("hold" in taken) {
      // Whose they were, they do not have the file.
      await removeTemporary(file);
      return { file, hold: taken.hold };
    }
    const copy = `mnemail memory copy --from 'memory:?snapshot=${path}' --to sqlite:PATH`;
    const hint = `one process at a time: end that one; for several at once then run \`${copy}\` and set STORE_URL=sqlite:PATH`;
    throw new MnemailError("store", `${path}: ${taken.holder} has it open`, hint);
  } catch (error) {
    throw snapshotError(path, "opened", error);
  }
}

/** What could be replaced without a right to write it is left alone: root has that right always, and so a mark counts. */
async function expectWritable(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile()) return;
  if ((found.mode & 0o222) === 0) {
    throw new MnemailError("store", `${path}: is read-only`, "make it writable (chmod u+w) or name another file");
  }
  await access(path, constants.W_OK);
}

function driverOf(
  { path, file, hold, everyMs }: { path: string; file: string; hold: FileHold; everyMs: number },
  contents: MemoryContents | undefined,
  { language, warn = () => {} }: { language?: SearchLanguage; warn?: (line: string) => void },
): SnapshotDriver {
  const memory = createMemoryDriver({ ...(language ? { language } : {}), ...(contents ? { contents } : {}) });
  let saved = memory.revision;
  let saving: Promise<void> | undefined;
  let isWarned = false;
  let closing: Promise<void> | undefined;

  const saveOnce = async () => {
    const { revision } = memory;
    await replaceFile(file, snapshotPieces(memory.contents()), hold.isHeld);
    saved = revision;
    isWarned = false;
  };
  /** After a save that is under way, which began with older rows. */
  const save = async () => {
    const mine = (saving ?? Promise.resolve()).catch(() => {}).then(saveOnce);
    saving = mine;
    try {
      await mine;
    } catch (error) {
      throw snapshotError(path, "saved", error);
    } finally {
      if (saving === mine) saving = undefined;
    }
  };
  const timer = setInterval(
    () => {
      if (memory.revision === saved || saving) return;
      save().catch((error: unknown) => {
        if (!isWarned) warn(`${renderError(error)}; until a save succeeds, what changed since is in memory alone`);
        isWarned = true;
      });
    },
    Math.min(everyMs, LONGEST_MS),
  ).unref();
  const takeBack = doAtExit(() => {
    try {
      if (memory.revision !== saved) replaceFileNow(file, snapshotPieces(memory.contents()), hold.isHeld);
    } catch (error) {
      warn(`${renderError(snapshotError(path, "saved", error))}; what changed since the last save is lost`);
      process.exitCode ||= 1;
    }
    hold.release();
  });
  const writable = () => {
    if (closing) throw new MnemailError("store", `${path}: it is closed, and nothing is saved any more`);
  };

  const close = async () => {
    await saving?.catch(() => {});
    if (memory.revision !== saved) await save();
    clearInterval(timer);
    takeBack();
    hold.release();
    await memory.close();
  };

  return {
    withoutVectors: memory.withoutVectors,
    isAtomic: memory.isAtomic,
    file,
    async save() {
      writable();
      await save();
    },
    async run(batch) {
      if (batch.writes.length > 0) writable();
      return memory.run(batch);
    },
    vectorSpace: memory.vectorSpace,
    async resetVectors(space) {
      writable();
      return memory.resetVectors(space);
    },
    unembedded: memory.unembedded,
    pages: memory.pages,
    async drop(prefixes) {
      writable();
      return memory.drop(prefixes);
    },
    async sweep() {
      writable();
      return memory.sweep();
    },
    async vacuum() {
      // The last snapshot still has what was removed.
      if (memory.revision !== saved) await save();
      return [];
    },
    async health() {
      return { ...(await memory.health()), engine: `process memory, saved to ${path}` };
    },
    contents: memory.contents,
    get revision() {
      return memory.revision;
    },
    async backup(to) {
      const pieces = snapshotPieces(memory.contents());
      const result = await writeExclusive(to, () => pieces).catch((error: unknown) => {
        throw snapshotError(to, "written", error);
      });
      if (result === "known")
        throw new MnemailError("store", `${to}: exists already`, "name another file or remove it");
    },
    async close() {
      closing ??= close().catch((error: unknown) => {
        // What is not saved is kept, to be closed again, or saved when the process ends.
        closing = undefined;
        throw error;
      });
      return closing;
    },
  };
}
