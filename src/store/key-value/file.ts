import { readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { MnemailError } from "../../errors.ts";
import { errorCode, writeProblem } from "../../files/exclusive-file.ts";
import { type FileLock, withFileLock } from "../../files/file-lock.ts";
import { FILE_MODE } from "../../store-config/store-url.ts";
import type { RowDriver } from "../row-driver.ts";
import type { SearchLanguage } from "../tokens.ts";
import { allow, createFileJournal, type Folder, inGroups, makeFolders, OWN_FOLDER } from "./file-journal.ts";
import { folderOfPrefix, keyOfPath, pathOfKey } from "./file-names.ts";
import type { KeyValue } from "./key-value.ts";
import { createKeyValueDriver } from "./key-value-driver.ts";

/** How often others may write while something is read, before they are held up. */
const ATTEMPTS = 3;

/**
 * Opens memory in a folder, which is made when it is not there: one JSON file for each item, for this user alone unless
 * `mode`, that of the files, says otherwise (folders may be entered by who may read). Many processes of one machine may
 * use it at once: who writes holds a lock, who reads reads again when others wrote meanwhile. Files of others are left
 * alone.
 *
 * @throws MnemailError("store") in one line, as all of its methods do.
 */
export async function openFileDriver(
  folder: string,
  options: { mode?: number; language?: SearchLanguage } = {},
): Promise<RowDriver> {
  return createKeyValueDriver(await openFolder(folder, options.mode), options);
}

/** The texts of keys in the files of a folder, as {@link openFileDriver} keeps them. */
export async function openFolder(path: string, mode = FILE_MODE): Promise<KeyValue> {
  // Who may read a folder has to be allowed to enter it.
  const folder: Folder = { path: resolve(path), fileMode: mode, folderMode: mode | ((mode & 0o444) >> 2) };
  const journal = createFileJournal(folder);
  const guarded = <T>(what: string, run: () => Promise<T>): Promise<T> =>
    run().catch((error: unknown) => {
      throw fileError(path, what, error);
    });
  const locked = <T>(run: (lock: FileLock) => Promise<T>): Promise<T> =>
    withFileLock(join(folder.path, OWN_FOLDER, "store"), async (lock) => {
      await journal.finish(lock);
      return run(lock);
    });
  /** What is read as of one moment: again when others wrote meanwhile, and in the end while nobody may. */
  const steadily = <T>(read: () => Promise<T>): Promise<T> =>
    guarded("read", async () => {
      for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
        const before = await journal.state();
        if (before === undefined) break;
        const result = await read();
        if ((await journal.state()) === before) return result;
      }
      return locked(read);
    });
  const readOne = async (key: string) => ({ key, text: await readText(join(folder.path, ...pathOfKey(key))) });
  const list = async (prefix: string) => {
    const paths = await filesBelow(folder.path, folderOfPrefix(prefix));
    return paths.flatMap((names) => keyOfPath(names) ?? []).filter((key) => key.startsWith(prefix));
  };
  const snapshot: KeyValue["snapshot"] = (keys, prefixes) =>
    steadily(async () => {
      const listed = await Promise.all(prefixes.map(list));
      const found = await inGroups([...new Set([...keys, ...listed.flat()])], readOne);
      return new Map(found.flatMap(({ key, text }): [string, string][] => (text === null ? [] : [[key, text]])));
    });

  await guarded("opened", async () => {
    await makeFolders(join(folder.path, OWN_FOLDER), folder);
    await locked(() => journal.prepare());
  });
  return {
    name: `files in ${path}`,
    isAtomic: true,
    snapshot,
    async read(keys) {
      const found = await snapshot(keys, []);
      return keys.map((key) => found.get(key) ?? null);
    },
    async list(prefix) {
      return [...(await snapshot([], [prefix]))].map(([key, text]) => ({ key, text }));
    },
    keys: (prefix) => steadily(() => list(prefix)),
    write: (changes) =>
      guarded("written", async () => {
        if (changes.length === 0) return true;
        return locked(async (lock) => {
          const expecting = changes.filter(({ expected }) => expected !== undefined);
          const found = await inGroups(expecting, ({ key }) => readOne(key));
          if (!found.every(({ text }, i) => text === expecting[i]?.expected)) return false;
          await journal.make([...new Map(changes.map((change) => [change.key, change])).values()], lock);
          return true;
        });
      }),
    close: async () => {},
  };
}

/** The paths of all files below a folder, as names from `root` on. */
async function filesBelow(root: string, names: readonly string[]): Promise<string[][]> {
  const entries =
    (await readdir(join(root, ...names), { withFileTypes: true }).catch(allow("ENOENT", "ENOTDIR"))) ?? [];
  const files = entries.filter((each) => each.isFile()).map(({ name }) => [...names, name]);
  const folders = entries.filter((each) => each.isDirectory() && each.name !== OWN_FOLDER);
  for (const { name } of folders) files.push(...(await filesBelow(root, [...names, name])));
  return files;
}

/** Null where there is no such file; no text where it cannot be read, which is then a record that cannot. */
async function readText(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(errorCode(error))) return null;
    if (["EACCES", "EPERM", "EISDIR", "EIO"].includes(errorCode(error))) return "";
    throw error;
  }
}

function fileError(path: string, what: string, error: unknown): MnemailError {
  if (error instanceof MnemailError) return error;
  const code = errorCode(error);
  const hint = ["ENOSPC", "EDQUOT"].includes(code)
    ? "nothing was changed; make room"
    : ["EACCES", "EPERM", "EROFS", "EEXIST", "ENOTDIR"].includes(code)
      ? "set STORE_URL=file:DIR with a folder that may be written"
      : undefined;
  const reason = code === "ENOTDIR" ? "there is a file where a folder should be" : writeProblem(error);
  return new MnemailError("store", `${path}: cannot be ${what}: ${reason}`, hint, { cause: error });
}
