import { randomUUID } from "node:crypto";
import { unlinkSync, writeSync } from "node:fs";
import { access, lstat, open, readdir, readFile, rename, rm, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { errorCode, syncFolder, writeProblem, writeSynced } from "../../files/exclusive-file.ts";
import type { FileLock } from "../../files/file-lock.ts";
import {
  APPLIED,
  allow,
  expectNoLinks,
  type Folder,
  inGroups,
  linkError,
  makeFolders,
  OWN_FOLDER,
} from "./file-folder.ts";
import { pathOfKey } from "./file-names.ts";
import type { KeyChange } from "./key-value.ts";

const JOURNAL = "journal";
const STAGED = "staged-";

/** A batch, made upon what `base` names: the new text of change i lies in the file `staged-ID-i`. */
const batchSchema = z.object({
  id: z.uuid(),
  base: z.string(),
  changes: z.array(z.object({ key: z.string(), isRemoval: z.boolean() })),
});
type Batch = z.infer<typeof batchSchema>;

/** See {@link createFileJournal}. All but `state` need the lock of the folder, and throw what the file system says. */
export interface FileJournal {
  /** Another one after each batch; undefined while one is being made, or was left in the middle. */
  state(): Promise<string | undefined>;
  /** Finishes what a process that ended has begun, and keeps one that slept from going on. Comes first under a lock. */
  finish(lock: FileLock): Promise<void>;
  /** Makes changes of different keys, all or none, and returns when they are on disk. */
  make(changes: readonly KeyChange[], lock: FileLock): Promise<void>;
  /** Makes a new folder ready. */
  prepare(): Promise<void>;
}

/**
 * Makes batches all or nothing in a folder of files. The texts of a batch are written beside and flushed; then its journal
 * gets its name, `journal-ID`, and from this moment the batch is made, by whoever finds the journal if need be: the files
 * get their names, and the journal goes. One change needs no journal. What may fail for want of space comes before that
 * moment. Where not even removals alone find room, they are made one by one: each is whole, a kill may leave the rest.
 *
 * A process may sleep for so long, at any step, that others take its lock for one that was left. What it does when it wakes
 * is harmless, since each file gets its name from a staged one: who has the lock next removes what is staged (first what
 * would begin a batch), or finishes the batch if it has begun, so that the sleeper finds nothing to move, and its journal
 * is no other's. Only a removal moves nothing: a process that stops between asking for its lock and removing the file, two
 * calls of the system without anything between, and sleeps there until others went on, removes what they put under this
 * one key (and where the disk is full, what it writes into `applied` may undo the journal of one who was killed meanwhile).
 */
export function createFileJournal(folder: Folder): FileJournal {
  const { path, fileMode, owner } = folder;
  const own = (name: string) => join(path, OWN_FOLDER, name);
  const staged = (id: string, what: number | string) => own(`${STAGED}${id}-${what}`);
  const journalOf = (id: string) => own(`${JOURNAL}-${id}`);
  const fileOf = (key: string) => join(path, ...pathOfKey(key));
  const write = (file: string, text: string) => writeSynced(file, Buffer.from(text), fileMode, owner);

  const readApplied = async () => {
    const applied = await readFile(own(APPLIED), "utf8").catch(allow("ENOENT"));
    if (applied === undefined) throw new Error("it was removed or replaced while it was in use; run again");
    return applied;
  };

  const stage = async (id: string, changes: readonly KeyChange[]) => {
    for (const names of foldersOf(changes.filter(({ text }) => text !== null))) await makeFolders(names, folder);
    for (const names of foldersOf(changes)) await expectNoLinks(path, names);
    await inGroups(changes, async ({ key, text }, i) => {
      const file = fileOf(key);
      const found = await lstat(file).catch(allow("ENOENT"));
      if (found?.isDirectory()) throw new Error(`${file} is a folder where a file should be`);
      if (found?.isSymbolicLink()) throw linkError(file);
      if (text !== null) await write(staged(id, i), text);
    });
    await write(staged(id, APPLIED), id);
  };

  /** Moves what was staged to its place; false when it is not there any more, since another process moved or removed it. */
  const place = async (id: string, i: number, key: string): Promise<boolean> => {
    for (;;) {
      try {
        await rename(staged(id, i), fileOf(key));
        return true;
      } catch (error) {
        if (errorCode(error) !== "ENOENT") throw error;
        if ((await lstat(staged(id, i)).catch(allow("ENOENT"))) === undefined) return false;
        // The folder was removed: another process took it for one that was left empty.
        await makeFolders(pathOfKey(key).slice(0, -1), folder);
      }
    }
  };

  const remove = (key: string, lock: FileLock) => {
    // Nothing of this process comes in between.
    expectHeldNow(lock);
    try {
      unlinkSync(fileOf(key));
    } catch (error) {
      allow("ENOENT", "ENOTDIR")(error);
    }
  };

  const settle = async (changes: Batch["changes"]) => {
    const folders = foldersOf(changes).map((names) => join(path, ...names));
    await inGroups(folders, (each) => syncFolder(each).catch(allow("ENOENT", "ENOTDIR")));
    // Their names tell whose memory was there.
    for (const { key, isRemoval } of changes) if (isRemoval) await removeEmpty(dirname(fileOf(key)), path);
  };

  const apply = async ({ id, changes }: Batch, lock: FileLock) => {
    await inGroups(changes, async ({ key, isRemoval }, i) => {
      await expectHeld(lock);
      // What is not there any more was moved before the process ended that began.
      if (isRemoval) remove(key, lock);
      else await place(id, i, key);
    });
    await settle(changes);
  };

  const conclude = async (id: string) => {
    await rename(staged(id, APPLIED), own(APPLIED)).catch(allow("ENOENT"));
    await rm(journalOf(id), { force: true });
    // Else it could come back after a later batch.
    await syncFolder(own(""));
  };

  const listOwn = () => readdir(own(""));
  const removeOwn = (names: string[]) => inGroups(names, (name) => rm(own(name), { force: true }));

  const makeOne = async (id: string, { key, text }: KeyChange, lock: FileLock) => {
    // First, so that who reads meanwhile reads this file alone as it was or will be.
    await rename(staged(id, APPLIED), own(APPLIED));
    if (text === null) remove(key, lock);
    else if (!(await place(id, 0, key))) throw sleptError();
    await settle([{ key, isRemoval: text === null }]);
  };

  /** {@link makeOne} of a removal, without any room on the disk. */
  const removeInPlace = async ({ key }: KeyChange, lock: FileLock) => {
    const applied = await open(own(APPLIED), "r+");
    try {
      expectHeldNow(lock);
      writeSync(applied.fd, randomUUID(), 0);
      await applied.sync();
    } finally {
      await applied.close();
    }
    remove(key, lock);
    await settle([{ key, isRemoval: true }]);
  };

  return {
    async state() {
      // In this order: a batch that ends in between has changed the other.
      const names = await listOwn().catch(allow("ENOENT"));
      const applied = await readApplied();
      return names?.some(isJournal) ? undefined : applied;
    },
    async finish(lock) {
      // After that no process that slept can begin its batch, so that those which have begun can be counted.
      await removeOwn((await listOwn()).filter((name) => isStaged(name) && name.endsWith(`-${JOURNAL}`)));
      const names = await listOwn();
      for (const name of names.filter(isJournal)) {
        const text = await readFile(own(name), "utf8").catch(allow("ENOENT"));
        // Whose it was, and who woke meanwhile, has ended it.
        if (text === undefined) continue;
        const batch = parseBatch(text);
        if (!batch) throw new Error(`${own(name)} cannot be read; without it its batch may stay half made`);
        if (batch.base === (await readApplied())) {
          for (const each of foldersOf(batch.changes)) await expectNoLinks(path, each);
          await apply(batch, lock);
          await conclude(batch.id);
        }
        // Also that of a batch that was made, or given up, before others went on.
        await rm(own(name), { force: true });
      }
      await removeOwn(names.filter(isStaged));
    },
    async make(changes, lock) {
      const id = randomUUID();
      const isRemoval = ({ text }: KeyChange) => text === null;
      const base = await readApplied();
      const batch = { id, base, changes: changes.map((change) => ({ key: change.key, isRemoval: isRemoval(change) })) };
      const [first] = changes;
      try {
        await stage(id, changes);
        if (changes.length > 1) await write(staged(id, JOURNAL), JSON.stringify(batch));
        await expectHeld(lock);
        if (first && changes.length === 1) return await makeOne(id, first, lock);
        await rename(staged(id, JOURNAL), journalOf(id));
      } catch (error) {
        const names = await listOwn().catch(() => []);
        await removeOwn(names.filter((name) => name.startsWith(`${STAGED}${id}`))).catch(() => {});
        await expectHeld(lock);
        if (!["ENOSPC", "EDQUOT"].includes(errorCode(error)) || !changes.every(isRemoval)) throw error;
        for (const change of changes) await removeInPlace(change, lock);
        return;
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
      if (await access(own(APPLIED)).then(() => true, allow("ENOENT"))) return;
      const id = randomUUID();
      await write(staged(id, APPLIED), id);
      await rename(staged(id, APPLIED), own(APPLIED));
    },
  };
}

function isStaged(name: string): boolean {
  return name.startsWith(STAGED);
}

function isJournal(name: string): boolean {
  return name.startsWith(`${JOURNAL}-`);
}

/** The folders in which the files of keys lie, each once, as names from the root on. */
function foldersOf(changes: readonly { key: string }[]): string[][] {
  const folders = changes.map(({ key }) => pathOfKey(key).slice(0, -1));
  return [...new Map(folders.map((names) => [names.join("/"), names])).values()];
}

function sleptError(): Error {
  return new Error("this process slept for so long that others went on; try again");
}

async function expectHeld(lock: FileLock): Promise<void> {
  if (!(await lock.isHeld())) throw sleptError();
}

function expectHeldNow(lock: FileLock): void {
  if (!lock.isHeldNow()) throw sleptError();
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
