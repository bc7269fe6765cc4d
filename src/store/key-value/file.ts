import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { MnemailError } from "../../errors.ts";
import { errorCode, writeProblem } from "../../files/exclusive-file.ts";
import { type FileLock, withFileLock } from "../../files/file-lock.ts";
import type { RowDriver } from "../row-driver.ts";
import type { SearchLanguage } from "../tokens.ts";
import { allow, expectNoLinks, inGroups, linkError, OWN_FOLDER, prepareFolder, readText } from "./file-folder.ts";
import { createFileJournal } from "./file-journal.ts";
import { folderOfPrefix, isFolderOfKeys, keyOfPath, pathOfKey } from "./file-names.ts";
import type { KeyValue } from "./key-value.ts";
import { createKeyValueDriver } from "./key-value-driver.ts";

/** How often others may write while something is read, before they are held up. */
const ATTEMPTS = 3;

/**
 * Opens memory in a folder, which is made when it is not there: one JSON file for each item, for this user alone unless
 * `mode`, that of new files, or the files that are there say otherwise (`file-folder.ts`). Many processes of one machine may
 * use it at once: who writes holds a lock, who reads reads again when others wrote meanwhile. Files of others are left
 * alone; a link where a folder or file of ours could be is refused.
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
export async function openFolder(path: string, mode?: number): Promise<KeyValue> {
  const guarded = <T>(what: string, run: () => Promise<T>): Promise<T> =>
    run().catch((error: unknown) => {
      throw fileError(path, what, error);
    });
  const folder = await guarded("opened", () => prepareFolder(path, mode));
  const journal = createFileJournal(folder);
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
  const fileOf = (key: string) => join(folder.path, ...pathOfKey(key));
  const readAll = (keys: readonly string[]) => {
    const seen = new Set<string>();
    return inGroups(keys, async (key) => {
      await expectNoLinks(folder.path, pathOfKey(key).slice(0, -1), seen);
      return { key, text: await readText(fileOf(key)) };
    });
  };
  const list = async (prefix: string) => {
    const names = folderOfPrefix(prefix);
    await expectNoLinks(folder.path, names);
    return (await keysBelow(folder.path, names)).filter(({ key }) => key.startsWith(prefix));
  };
  const snapshot: KeyValue["snapshot"] = (keys, prefixes) =>
    steadily(async () => {
      const listed = await Promise.all(prefixes.map(list));
      const found = new Map<string, string>();
      const add = ({ key, text }: { key: string; text: string | null }) => text !== null && found.set(key, text);
      for (const each of await readAll(keys)) add(each);
      // What is no file has no text, which is a record that cannot be read.
      const read = async ({ key, isFile }: ListedKey) =>
        add({ key, text: isFile ? await readText(fileOf(key), true) : "" });
      await inGroups(listed.flat(), read);
      return found;
    });

  await guarded("opened", () => locked(() => journal.prepare()));
  return {
    name: `files in ${path}`,
    isAtomic: true,
    nameOf: (key) => join(...pathOfKey(key)),
    snapshot,
    async read(keys) {
      const found = await snapshot(keys, []);
      return keys.map((key) => found.get(key) ?? null);
    },
    async list(prefix) {
      return [...(await snapshot([], [prefix]))].map(([key, text]) => ({ key, text }));
    },
    keys: (prefix) => steadily(async () => (await list(prefix)).map(({ key }) => key)),
    write: (changes) =>
      guarded("written", async () => {
        if (changes.length === 0) return true;
        return locked(async (lock) => {
          const expecting = changes.filter(({ expected }) => expected !== undefined);
          const found = await readAll(expecting.map(({ key }) => key));
          if (!found.every(({ text }, i) => text === expecting[i]?.expected)) return false;
          await journal.make([...new Map(changes.map((change) => [change.key, change])).values()], lock);
          return true;
        });
      }),
    close: async () => {},
  };
}

/** A key, and whether what has the name of its file is a file at all. */
interface ListedKey {
  key: string;
  isFile: boolean;
}

/**
 * The keys below a folder; others' files are left out.
 *
 * @throws MnemailError("store") for a link where something of ours could be: what is behind it would be missing.
 */
async function keysBelow(root: string, names: readonly string[]): Promise<ListedKey[]> {
  const found: ListedKey[] = [];
  const folders = [names];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const entries =
      (await readdir(join(root, ...folder), { withFileTypes: true }).catch(allow("ENOENT", "ENOTDIR"))) ?? [];
    for (const entry of entries) {
      const path = [...folder, entry.name];
      const key = keyOfPath(path);
      if (entry.isSymbolicLink() && (key !== undefined || isFolderOfKeys(path))) throw linkError(join(root, ...path));
      if (entry.isDirectory()) {
        if (isFolderOfKeys(path)) folders.push(path);
      } else if (key !== undefined) found.push({ key, isFile: entry.isFile() });
    }
  }
  return found;
}

function fileError(path: string, what: string, error: unknown): MnemailError {
  if (error instanceof MnemailError) return error;
  const code = errorCode(error);
  const problem = (reason: string, hint?: string) =>
    new MnemailError("store", `${path}: cannot be ${what}: ${reason}`, hint, { cause: error });
  if (what === "read" && ["EACCES", "EPERM"].includes(code)) {
    const file = error instanceof Error && "path" in error ? String(error.path) : "it";
    return problem(`${file} may not be read`, "let this user read and write the folder and all in it");
  }
  if (["ENOSPC", "EDQUOT"].includes(code)) return problem(writeProblem(error), "nothing was changed; make room");
  const reason = code === "ENOTDIR" ? "there is a file where a folder should be" : writeProblem(error);
  const isRefused = ["EACCES", "EPERM", "EROFS", "EEXIST", "ENOTDIR"].includes(code);
  return problem(reason, isRefused ? "set STORE_URL=file:DIR with a folder that may be written" : undefined);
}
