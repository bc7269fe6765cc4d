import { randomUUID } from "node:crypto";
import { link, lstat, mkdir, open, readdir, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";

/** What a file is to hold, whole or piece by piece: the next is asked for when one is written. */
export type Content = Uint8Array | Iterable<Uint8Array>;

/**
 * Creates a file whole or not at all, never over another: `written` is told to exactly one of those who try, and only
 * when file and folder are on disk; `known` when there is such a file, and `make` is not asked for its content then. Mode
 * 0600, new folders 0700. What a process that was killed left behind is hidden, and removed by the next who tries.
 * Throws what `make` throws and what the file system says.
 */
export async function writeExclusive(
  path: string,
  make: () => Content | Promise<Content>,
): Promise<"written" | "known"> {
  await makeFolder(dirname(path));
  const isNew = !(await isFile(path)) && (await create(path, await make()));
  await syncFolder(dirname(path));
  // Only now: whoever writes the same file finds it there, should they miss their own.
  await removeTemporary(path);
  return isNew ? "written" : "known";
}

async function create(path: string, content: Content): Promise<boolean> {
  const temporary = temporaryPath(path);
  try {
    await writeSynced(temporary, content, 0o600);
    // Unlike rename, link refuses to replace a file.
    await link(temporary, path);
    return true;
  } catch (error) {
    if (await isFile(path)) return false;
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Where a file is made before it gets its name: hidden, in the same folder. */
export function temporaryPath(path: string): string {
  return join(dirname(path), `${temporaryPrefix(path)}${randomUUID()}`);
}

function temporaryPrefix(path: string): string {
  return `.${basename(path)}.tmp-`;
}

/** Removes what {@link temporaryPath} named and a killed process left. */
export async function removeTemporary(path: string): Promise<void> {
  const names = await readdir(dirname(path));
  const leftOver = names.filter((name) => name.startsWith(temporaryPrefix(path)));
  await Promise.all(leftOver.map((name) => rm(join(dirname(path), name), { force: true })));
}

/** Whether there is a file. @throws Error for anything else of that name. */
async function isFile(path: string): Promise<boolean> {
  const found = await lstat(path).catch((error: unknown) => {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  });
  if (found !== undefined && !found.isFile()) throw new Error("it is not a file");
  return found !== undefined;
}

/** Writes a file that is not there yet, and returns once it is on disk. `owner` is whom it is given to. */
export async function writeSynced(
  path: string,
  content: Content,
  mode: number,
  owner?: { uid: number; gid: number },
): Promise<void> {
  const file = await open(path, "wx", mode);
  try {
    for (const piece of content instanceof Uint8Array ? [content] : content) await file.writeFile(piece);
    const own = await file.stat();
    if (owner && (owner.uid !== own.uid || owner.gid !== own.gid)) await file.chown(owner.uid, owner.gid);
    // The mode of opening is subject to the umask.
    await file.chmod(mode);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes the names in a folder last (fsync of a folder), which Windows neither needs nor allows. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  await handle.sync().finally(() => handle.close());
}

/** Makes a folder and those above it that are missing, with mode 0700, and returns once their names are on disk. */
export async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let made = resolve(folder); made.length >= resolve(first).length; made = dirname(made)) {
    await syncFolder(dirname(made));
  }
}

/** The code of a system error, such as ENOENT. */
export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

const REASONS: Record<string, string> = {
  ENOENT: "there is no such folder",
  ENOTDIR: "there is no such folder",
  EEXIST: "there is a file where a folder should be",
  EACCES: "it may not be written",
  EPERM: "it may not be written",
  EROFS: "the disk is read-only",
  EBUSY: "it is in use and cannot be replaced",
  ENOSPC: "the disk is full",
  EDQUOT: "the disk is full",
  ENAMETOOLONG: "the name is too long",
  ENOTSUP: "the file system has no hard links",
};

/** What a failed write says to people: "… cannot be written: REASON". */
export function writeProblem(error: unknown): string {
  return knownWriteProblem(error) ?? (error instanceof Error ? error.message : String(error));
}

/** As {@link writeProblem}; undefined for what is not the file system's to say. */
export function knownWriteProblem(error: unknown): string | undefined {
  return REASONS[errorCode(error)];
}
