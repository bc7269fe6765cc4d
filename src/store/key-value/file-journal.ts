import { randomUUID } from "node:crypto";
import { access, chmod, mkdir, readdir, readFile, rename, rm, rmdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { errorCode, syncFolder, writeProblem, writeSynced } from "../../files/exclusive-file.ts";
import type { FileLock } from "../../files/file-lock.ts";
import { pathOfKey } from "./file-names.ts";
import type { KeyChange } from "./key-value.ts";

/** The folder of what is not of the keys, none of whose names begins so. */
export const OWN_FOLDER = ".mnemail";
const JOURNAL = "journal";
const APPLIED = "applied";
const STAGED = "staged-";
/** Files that are written or moved at once. */
const AT_ONCE = 16;

/** A batch: the new text of change i lies in the file `staged-ID-i`. */
const batchSchema = z.object({
  id: z.uuid(),
  changes: z.array(z.object({ key: z.string(), isRemoval: z.boolean() })),
});
type Batch = z.infer<typeof batchSchema>;

/** Where files are kept, and with which modes. */
export interface Folder {
  path: string;
  fileMode: number;
  folderMode: number;
}

/** See {@link createFileJournal}. All but `state` need the lock of the folder, and throw what the file system says. */
export interface FileJournal {
  /** Another one after each batch; undefined while one is being made, or was left in the middle. */
  state(): Promise<string | undefined>;
  /** Finishes what a process that ended has begun. */
  finish(lock: FileLock): Promise<void>;
  /** Makes changes of different keys, all or none, and returns when they are on disk. */
  make(changes: readonly KeyChange[], lock: FileLock): Promise<void>;
  /** Makes the folder ready, and removes what processes that ended have left. */
  prepare(): Promise<void>;
}

/**
 * Makes batches all or nothing in a folder of files. The texts of a batch are written beside and flushed; then its journal
 * gets its name, and from this moment the batch is made, by whoever finds the journal if need be: the files get their
 * names, and the journal goes. One change needs no journal. What may fail for want of space comes before that moment.
 */
export function createFileJournal(folder: Folder): FileJournal {
  const { path, fileMode } = folder;
  const own = (name: string) => join(path, OWN_FOLDER, name);
  const staged = (id: string, what: number | string) => own(`${STAGED}${id}-${what}`);
  const fileOf = (key: string) => join(path, ...pathOfKey(key));

  const stage = async (id: string, changes: readonly KeyChange[]) => {
    const puts = changes.flatMap(({ key, text }) => (text === null ? [] : fileOf(key)));
    for (const each of new Set(puts.map((file) => dirname(file)))) await makeFolders(each, folder);
    await inGroups(changes, async ({ key, text }, i) => {
      const file = fileOf(key);
      if ((await statOf(file))?.isDirectory()) throw new Error(`${file} is a folder where a file should be`);
      if (text !== null) await writeSynced(staged(id, i), Buffer.from(text), fileMode);
    });
    await writeSynced(staged(id, APPLIED), Buffer.from(id), fileMode);
  };

  const apply = async ({ id, changes }: Batch, lock: FileLock) => {
    await inGroups(changes, async ({ key, isRemoval }, i) => {
      await expectHeld(lock);
      if (isRemoval) await rm(fileOf(key), { force: true });
      // What is not there any more was moved before the process ended that began.
      else await rename(staged(id, i), fileOf(key)).catch(allow("ENOENT"));
    });
    const folders = [...new Set(changes.map(({ key }) => dirname(fileOf(key))))];
    await inGroups(folders, (each) => syncFolder(each).catch(allow("ENOENT")));
    // Their names tell whose memory was there.
    for (const { key, isRemoval } of changes) if (isRemoval) await removeEmpty(dirname(fileOf(key)), path);
  };

  const conclude = async (id: string) => {
    await rename(staged(id, APPLIED), own(APPLIED)).catch(allow("ENOENT"));
    await rm(own(JOURNAL), { force: true });
    // Else it could come back after a later batch.
    await syncFolder(own(""));
  };

  const removeStaged = async (id = "") => {
    const names = (await readdir(own(""))).filter((name) => name.startsWith(`${STAGED}${id}`));
    await inGroups(names, (name) => rm(own(name), { force: true }));
  };

  return {
    async state() {
      // In this order: a batch that ends in between has changed the other.
      const isBusy = await access(own(JOURNAL)).then(() => true, allow("ENOENT"));
      const applied = await readFile(own(APPLIED), "utf8").catch(allow("ENOENT"));
      if (applied === undefined) throw new Error("it was removed or replaced while it was in use; run again");
      return isBusy ? undefined : applied;
    },
    async finish(lock) {
      const text = await readFile(own(JOURNAL), "utf8").catch(allow("ENOENT"));
      if (text === undefined) return;
      const batch = parseBatch(text);
      if (!batch) throw new Error(`${own(JOURNAL)} cannot be read; without it its batch may stay half made`);
      for (const { key, isRemoval } of batch.changes) if (!isRemoval) await makeFolders(dirname(fileOf(key)), folder);
      await apply(batch, lock);
      await conclude(batch.id);
    },
    async make(changes, lock) {
      const id = randomUUID();
      const batch = { id, changes: changes.map(({ key, text }) => ({ key, isRemoval: text === null })) };
      try {
        await stage(id, changes);
        await expectHeld(lock);
        if (changes.length === 1) {
          // First, so that who reads meanwhile reads this file alone as it was or will be.
          await rename(staged(id, APPLIED), own(APPLIED));
          return await apply(batch, lock);
        }
        await writeSynced(staged(id, JOURNAL), Buffer.from(JSON.stringify(batch)), fileMode);
        await rename(staged(id, JOURNAL), own(JOURNAL));
      } catch (error) {
        await removeStaged(id).catch(() => {});
        throw error;
      }
      try {
        await syncFolder(own(""));
        await apply(batch, lock);
        await conclude(id);
      } catch (error) {
        const reason = writeProblem(error);
        throw new Error(`a batch was begun, and whoever comes next finishes it: ${reason}`, { cause: error });
      }
    },
    async prepare() {
      await removeStaged();
      if ((await statOf(own(APPLIED))) !== undefined) return;
      await writeSynced(own(APPLIED), Buffer.from(randomUUID()), fileMode);
    },
  };
}

/** Makes a folder and those above it that are missing, and returns once their names are on disk. */
export async function makeFolders(path: string, folder: Folder): Promise<void> {
  if ((await statOf(path))?.isDirectory()) return;
  if (dirname(path) !== path) await makeFolders(dirname(path), folder);
  try {
    await mkdir(path, { mode: folder.folderMode });
    // The mode of making is subject to the umask.
    await chmod(path, folder.folderMode);
    await syncFolder(dirname(path));
  } catch (error) {
    // Another process was first.
    if (errorCode(error) !== "EEXIST" || !(await statOf(path))?.isDirectory()) throw error;
  }
}

/** Runs something for each item, some at once; throws the first failure when none of them is at work any more. */
export async function inGroups<T, R>(items: readonly T[], run: (item: T, i: number) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let at = 0; at < items.length; at += AT_ONCE) {
    const group = await Promise.allSettled(items.slice(at, at + AT_ONCE).map((item, i) => run(item, at + i)));
    for (const each of group) {
      if (each.status === "rejected") throw each.reason;
      results.push(each.value);
    }
  }
  return results;
}

/** Takes some failures of the file system for nothing. */
export function allow(...codes: string[]): (error: unknown) => undefined {
  return (error) => {
    if (!codes.includes(errorCode(error))) throw error;
    return undefined;
  };
}

async function statOf(path: string) {
  return stat(path).catch(allow("ENOENT"));
}

async function expectHeld(lock: FileLock): Promise<void> {
  if (!(await lock.isHeld())) throw new Error("this process slept for so long that others went on; try again");
}

async function removeEmpty(path: string, root: string): Promise<void> {
  for (let at = path; at !== root; at = dirname(at)) {
    const isGone = await rmdir(at).then(
      () => true,
      (error: unknown) => errorCode(error) === "ENOENT",
    );
    if (!isGone) return;
  }
}

function parseBatch(text: string): Batch | undefined {
  try {
    return batchSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
