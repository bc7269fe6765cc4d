import { createHash, randomUUID } from "node:crypto";
import { existsSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { isRunning, STALE_MS, TOUCH_MS, withFileLock } from "./file-lock.ts";

/** Held by one process for as long as it likes. Both work in the handlers of a process that ends. */
export interface FileHold {
  /** Whether nobody took it for one that was left behind. */
  isHeld(): boolean;
  release(): void;
}

/** Where process numbers mean the same: two containers may share the name of a host, and not its processes. */
const PLACE = shortHash(`${hostname()} ${orNothing(() => readlinkSync("/proc/self/ns/pid"))}`);
/** What stands for a start that the system does not tell. */
const UNKNOWN = "0";
const PAUSE_MS = 200;
const OWN_START = startOf(process.pid);
/** The holds of this process, by the names of their files. */
const own = new Set<string>();

/**
 * Takes a file for this process alone, until it lets go or ends: a file beside it, `.NAME.held-…`, says who has it. One
 * that a killed process left is removed by the next who comes; where the system tells when a process started (Linux), its
 * number may belong to another by then, and a process that sleeps keeps what it holds. Elsewhere, and on another machine, a
 * hold that was not touched for half a minute was left.
 *
 * @returns the hold, or who has it, in words: at once, and some seconds later where that is another machine.
 * @throws what the file system says.
 */
export async function holdFile(path: string): Promise<{ hold: FileHold } | { holder: string }> {
  return withFileLock(path, async (lock) => {
    const folder = dirname(path);
    const prefix = `.${basename(path)}.held-`;
    for (const name of (await readdir(folder)).filter((each) => each.startsWith(prefix))) {
      const holder = await holderOf(folder, name, prefix);
      if (holder !== undefined) return { holder };
    }
    const name = `${prefix}${PLACE}-${process.pid}-${OWN_START}-${randomUUID()}`;
    const file = join(folder, name);
    await writeFile(file, "", { flag: "wx", mode: 0o600 });
    if (!(await lock.isHeld())) {
      await rm(file, { force: true });
      throw new Error("this process slept for so long that others went on; try again");
    }
    own.add(name);
    const touch = setInterval(() => void utimes(file, new Date(), new Date()).catch(() => {}), TOUCH_MS).unref();
    const release = () => {
      clearInterval(touch);
      own.delete(name);
      rmSync(file, { force: true });
    };
    return { hold: { isHeld: () => existsSync(file), release } };
  });
}

/** Who holds a file, in words; undefined when nobody does any more, and the hold is removed then. */
async function holderOf(folder: string, name: string, prefix: string): Promise<string | undefined> {
  const [place, number, start] = name.slice(prefix.length).split("-");
  const pid = Number(number);
  const file = join(folder, name);
  if (place !== PLACE) {
    if (await isTouched(file)) return `process ${pid} of another machine or container`;
  } else if (own.has(name)) return `this process (${pid})`;
  else if (isRunning(pid)) {
    const now = startOf(pid);
    const isSame =
      start === UNKNOWN || now === UNKNOWN ? pid !== process.pid && !isStale(await touched(file)) : start === now;
    if (isSame) return `process ${pid}`;
  }
  await rm(file, { force: true });
  return undefined;
}

/** Waits until a hold is touched, or is old enough to be one that was left, as of a container that was killed. */
async function isTouched(file: string): Promise<boolean> {
  const first = await touched(file);
  for (let last = first; !isStale(last); last = await touched(file)) {
    if (last !== first) return true;
    await wait(PAUSE_MS);
  }
  return false;
}

/** When a hold was touched last, in milliseconds; long ago when there is none. */
async function touched(file: string): Promise<number> {
  return (await stat(file).catch(() => undefined))?.mtimeMs ?? 0;
}

function isStale(time: number): boolean {
  return Date.now() - time > STALE_MS;
}

/** Tells a process from others that had its number before: when it started, in ticks of this boot of the machine (proc(5)). */
function startOf(pid: number): string {
  const text = orNothing(() => readFileSync(`/proc/${pid}/stat`, "utf8"));
  // The second field, the name of the program, may contain anything; the start is the 22nd.
  const ticks = text.slice(text.lastIndexOf(")") + 2).split(" ")[19];
  const boot = orNothing(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8"));
  return ticks === undefined ? UNKNOWN : shortHash(`${boot} ${ticks}`);
}

function orNothing(read: () => string): string {
  try {
    return read();
  } catch {
    return "";
  }
}

function shortHash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 8);
}
