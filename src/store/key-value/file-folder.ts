import { constants } from "node:fs";
import { chmod, chown, lstat, mkdir, readFile, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { MnemailError } from "../../errors.ts";
import { errorCode, syncFolder } from "../../files/exclusive-file.ts";
import { FILE_MODE } from "../../store-config/store-url.ts";

/** The folder of what is not of the keys, none of whose names begins so. */
export const OWN_FOLDER = ".mnemail";
/** The file in it whose text is another one after each batch. */
export const APPLIED = "applied";
/** Files that are written or moved at once. */
const AT_ONCE = 16;
/** The bit of a folder whose entries get its group (S_ISGID). */
const GIVES_GROUP = 0o2000;
/** What opening or reading says of what may not be read, or is no file. */
const UNREADABLE = ["EACCES", "EPERM", "EISDIR", "EIO", "ENXIO", "ENODEV", "EAGAIN"];
/** Neither follows a link nor waits for whoever writes into a pipe; 0 where the system has no such thing. */
const READ_PLAIN = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/** Where files are kept, with which modes, and to whom they are given; undefined where that is not ours to say. */
export interface Folder {
  path: string;
  fileMode: number;
  folderMode: number;
  owner: { uid: number; gid: number } | undefined;
}

/**
 * Makes a folder of files when it is not there. New files get the mode `mode`, or that of the files that are there (0600
 * where there are none), folders may be entered by who may read; both get the group of the folder, and from root its owner.
 *
 * @throws what the file system says.
 */
export async function prepareFolder(given: string, mode?: number): Promise<Folder> {
  const path = resolve(given);
  const kept = await stat(join(path, OWN_FOLDER, APPLIED)).catch(allow("ENOENT"));
  const fileMode = mode ?? ((kept?.mode ?? FILE_MODE) & 0o777) | FILE_MODE;
  // Who may read a folder has to be allowed to enter it.
  const folder = { path, fileMode, folderMode: fileMode | ((fileMode & 0o444) >> 2), owner: undefined };
  await makeRoot(path, folder);
  const owned = { ...folder, owner: await ownerOf(path) };
  await makeFolders([OWN_FOLDER], owned);
  return owned;
}

/**
 * Makes the folders of a path below the root that are missing, and returns once their names are on disk.
 *
 * @throws MnemailError("store") for a link on the way, and what the file system says.
 */
export async function makeFolders(names: readonly string[], folder: Folder): Promise<void> {
  let path = folder.path;
  for (const name of names) {
    path = join(path, name);
    const found = await lstat(path).catch(allow("ENOENT"));
    if (found?.isSymbolicLink()) throw linkError(path);
    if (!found?.isDirectory()) await makeOne(path, folder);
  }
}

/** Refuses a path below the root that leads through a link; `seen` has the folders that were looked at. */
export async function expectNoLinks(root: string, names: readonly string[], seen = new Set<string>()): Promise<void> {
  const paths = names.map((_, i) => join(root, ...names.slice(0, i + 1))).filter((path) => !seen.has(path));
  for (const path of paths) seen.add(path);
  // What may not be looked at may not be read either, and says so there.
  const found = await Promise.all(paths.map((path) => lstat(path).catch(allow("ENOENT", "ENOTDIR", "EACCES"))));
  const link = paths.find((_, i) => found[i]?.isSymbolicLink());
  if (link !== undefined) throw linkError(link);
}

/** A link is no part of a folder of files: what it leads to has another owner, another backup, or is there twice. */
export function linkError(path: string): MnemailError {
  const hint = "put what it leads to in its place, or remove the link";
  return new MnemailError("store", `${path}: it is a link, and no link below the folder is followed`, hint);
}

/**
 * The text of a file; null where there is none; no text, which is then a record that cannot be read, for one that may not
 * be read and for what is no file. `isKnown` says that a listing just found a file there.
 *
 * @throws MnemailError("store") for a link, and what the file system says.
 */
export async function readText(path: string, isKnown = false): Promise<string | null> {
  try {
    const found = isKnown ? undefined : await lstat(path);
    if (found?.isSymbolicLink()) throw linkError(path);
    return found?.isFile() === false ? "" : await readFile(path, { encoding: "utf8", flag: READ_PLAIN });
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(errorCode(error))) return null;
    // What opening a link without following it says.
    if (["ELOOP", "EMLINK"].includes(errorCode(error))) throw linkError(path);
    if (UNREADABLE.includes(errorCode(error))) return "";
    throw error;
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

/** The folder that was named may be a link, and so may those above it. */
async function makeRoot(path: string, folder: Folder): Promise<void> {
  if ((await stat(path).catch(allow("ENOENT")))?.isDirectory()) return;
  if (dirname(path) !== path) await makeRoot(dirname(path), folder);
  await makeOne(path, folder);
}

async function makeOne(path: string, { folderMode, owner }: Folder): Promise<void> {
  try {
    await mkdir(path, { mode: folderMode });
  } catch (error) {
    // Another process was first.
    if (errorCode(error) === "EEXIST" && (await lstat(path).catch(allow("ENOENT")))?.isDirectory()) return;
    throw error;
  }
  const made = await stat(path);
  if (owner && (owner.uid !== made.uid || owner.gid !== made.gid)) await chown(path, owner.uid, owner.gid);
  // The mode of making is subject to the umask; what the folder above handed down stays.
  await chmod(path, folderMode | (made.mode & GIVES_GROUP));
  await syncFolder(dirname(path));
}

/** Whom new files of a folder are given to: only root can give anything away, and others to a group they are in. */
async function ownerOf(path: string): Promise<{ uid: number; gid: number } | undefined> {
  const { geteuid, getegid, getgroups } = process;
  if (!geteuid || !getegid || !getgroups) return undefined;
  const { uid, gid } = await stat(path);
  if (geteuid() === 0) return { uid, gid };
  return [getegid(), ...getgroups()].includes(gid) ? { uid: geteuid(), gid } : undefined;
}
