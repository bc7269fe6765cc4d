import {
  chmodSync,
  chownSync,
  closeSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { lstat, realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { errorCode, syncFolder, temporaryPath, writeSynced } from "./exclusive-file.ts";

const MODE = 0o600;

/**
 * Puts new content in the place of a file, or of none: every reader finds the old content or the new, whole, and it is on
 * disk when this returns. Mode 0600; whose file it was, his it stays. `mayReplace` is asked right before.
 *
 * @throws what the file system says, and Error when it may not be replaced any more; the old content is whole then.
 */
export async function replaceFile(
  path: string,
  content: Iterable<Uint8Array>,
  mayReplace: () => boolean,
): Promise<void> {
  const temporary = temporaryPath(path);
  try {
    await writeSynced(temporary, content, MODE, ownerOf(path));
    take(temporary, path, mayReplace);
    await syncFolder(dirname(path));
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** {@link replaceFile} for a process that ends, which waits for nothing any more. */
export function replaceFileNow(path: string, content: Iterable<Uint8Array>, mayReplace: () => boolean): void {
  const temporary = temporaryPath(path);
  try {
    const file = openSync(temporary, "wx", MODE);
    try {
      for (const piece of content) writeFileSync(file, piece);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    const owner = ownerOf(path);
    if (owner) chownSync(temporary, owner.uid, owner.gid);
    chmodSync(temporary, MODE);
    take(temporary, path, mayReplace);
    if (process.platform === "win32") return;
    const folder = openSync(dirname(path), "r");
    fsyncSync(folder);
    closeSync(folder);
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** Not by a thread beside, which could come after what a process that ends does itself. */
function take(temporary: string, path: string, mayReplace: () => boolean): void {
  if (!mayReplace()) throw new Error("another process took it, or what tells others that it is taken was removed");
  renameSync(temporary, path);
}

/** Whom the new content is given to: only root can give anything away. */
function ownerOf(path: string): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const found = statSync(path, { throwIfNoEntry: false });
  return found && { uid: found.uid, gid: found.gid };
}

/**
 * The file that a path leads to by its symbolic links, which is there or can be made in its folder.
 *
 * @throws Error for a link that leads to no file, and what the file system says.
 */
export async function targetOf(path: string): Promise<string> {
  return await realpath(path).catch(async (error: unknown) => {
    if (errorCode(error) !== "ENOENT") throw error;
    const isLink = await lstat(path).then(
      () => true,
      () => false,
    );
    if (isLink) throw new Error("it is a link to a file that does not exist", { cause: error });
    return join(await realpath(dirname(path)), basename(path));
  });
}
