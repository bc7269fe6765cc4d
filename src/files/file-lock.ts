import { createHash, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { open, readdir, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

/** A lock is held for milliseconds; one that was not touched for so long belongs to a process that ended or sleeps. */
export const STALE_MS = 30_000;
/** How often who holds a lock touches it. */
export const TOUCH_MS = 5_000;
/** Longer than a lock of a process that ended can be in the way. */
const PATIENCE_MS = 60_000;
const PAUSE_MS = 10;

const HOST = createHash("sha256").update(hostname()).digest("hex").slice(0, 8);
/** The locks that this process has, or tries to get. */
const own = new Set<string>();
/** The last of this process who waits for the lock of a path: they take turns without looking at files. */
const queues = new Map<string, Promise<unknown>>();

/** Held by one process at a time. */
export interface FileLock {
  /** Whether nobody took the lock for one that was left behind, as happens to a process that sleeps for long. */
  isHeld(): Promise<boolean>;
  /** The same, and nothing else of this process goes on before the answer is used. */
  isHeldNow(): boolean;
}

/**
 * Runs `run` while no other process has the lock of a file, which lies beside it as `.NAME.lock-…`. Who wants it says so
 * by a file of their own and then looks for others: of two at the same time, one at least sees the other, and who sees
 * another steps back. So no file is ever taken over, and the files of processes that ended can be removed at any time.
 *
 * @throws Error when others have it for a minute, and what the file system says.
 */
export async function withFileLock<T>(path: string, run: (lock: FileLock) => Promise<T>): Promise<T> {
  const turn = (queues.get(path) ?? Promise.resolve()).then(() => lockAndRun(path, run));
  const settled = turn.then(
    () => undefined,
    () => undefined,
  );
  queues.set(path, settled);
  try {
    return await turn;
  } finally {
    if (queues.get(path) === settled) queues.delete(path);
  }
}

async function lockAndRun<T>(path: string, run: (lock: FileLock) => Promise<T>): Promise<T> {
  const folder = dirname(path);
  const prefix = `.${basename(path)}.lock-`;
  const others = async (name?: string) => {
    const names = (await readdir(folder)).filter((each) => each.startsWith(prefix) && each !== name);
    const alive = await Promise.all(names.map(async (each) => (await isAlive(folder, each, prefix)) && each));
    return alive.some(Boolean);
  };
  for (const started = Date.now(); Date.now() - started < PATIENCE_MS; await pause()) {
    if (await others()) continue;
    const name = `${prefix}${HOST}-${process.pid}-${randomUUID()}`;
    const lockPath = join(folder, name);
    own.add(name);
    try {
      const file = await open(lockPath, "wx", 0o600);
      await file.close();
      if (await others(name)) continue;
      const touch = setInterval(() => void utimes(lockPath, new Date(), new Date()).catch(() => {}), TOUCH_MS);
      try {
        return await run({
          isHeld: async () => (await stat(lockPath).catch(() => undefined)) !== undefined,
          isHeldNow: () => existsSync(lockPath),
        });
      } finally {
        clearInterval(touch);
      }
    } finally {
      await rm(lockPath, { force: true });
      own.delete(name);
    }
  }
  throw new Error(`another process has been changing it for a minute; if none is, remove ${join(folder, prefix)}*`);
}

/** Whether a lock belongs to somebody; one that does not is removed. */
async function isAlive(folder: string, name: string, prefix: string): Promise<boolean> {
  const [host, pid] = name.slice(prefix.length).split("-");
  const found = await stat(join(folder, name)).catch(() => undefined);
  if (found === undefined) return false;
  const isStale = Date.now() - found.mtimeMs > STALE_MS;
  if (!isStale && (host !== HOST || (Number(pid) === process.pid ? own.has(name) : isRunning(Number(pid)))))
    return true;
  await rm(join(folder, name), { force: true });
  return false;
}

/** Whether there is a process of this number, as far as this one can see processes. */
export function isRunning(pid: number): boolean {
  try {
    // Signal 0 is not sent; it asks whether there is such a process.
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** Of random length, so that two do not step back and come again together for ever. */
async function pause(): Promise<void> {
  await wait(PAUSE_MS * Math.random());
}
