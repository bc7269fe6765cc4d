import type { BigIntStats } from "node:fs";
import { access, constants, lstat, readFile, realpath, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { MnemailError } from "../../errors.ts";
import {
  errorCode,
  removeTemporary,
  syncFolder,
  temporaryPath,
  writeExclusive,
  writeProblem,
  writeSynced,
} from "../../files/exclusive-file.ts";
import { type FileLock, withFileLock } from "../../files/file-lock.ts";
import { childrenOf, parseComponents, textOf } from "../calendar/jcal.ts";
import { type EventParts, eventText, eventUid, wholeCalendar } from "./event-text.ts";

const ATTEMPTS = 20;

/**
 * Adds an event to a user's calendar (RFC 5545), whose other bytes stay as they are, or makes a new one. Every reader
 * finds the old file or the new one, whole; two who add at once lose neither event; an event that is there is `known`.
 * A symbolic link stays one. Other programs know nothing of the lock: what they change until right before the new file takes
 * the place of the old is read again.
 *
 * @throws MnemailError("calendar") for a file that is no calendar or may not be written; nothing is changed then.
 */
export async function addToCalendar(path: string, event: EventParts): Promise<"written" | "known"> {
  try {
    const real = await target(path);
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const status = await withFileLock(real, (lock) => tryToAdd(real, event, lock));
      if (status !== undefined) return status;
    }
    throw new Error("another program changes it all the time");
  } catch (error) {
    if (error instanceof MnemailError) throw error;
    throw failure(
      path,
      `cannot be changed: ${writeProblem(error)}`,
      "check that you may write it and its folder",
      error,
    );
  }
}

async function target(path: string): Promise<string> {
  return await realpath(path).catch(async (error: unknown) => {
    if (errorCode(error) !== "ENOENT") throw error;
    const isLink = await lstat(path).catch(() => undefined);
    if (isLink) throw failure(path, "is a link to a file that does not exist", "correct the link", error);
    return join(await realpath(dirname(path)), basename(path));
  });
}

/** Undefined when somebody else changed the file, or took the lock, in the meantime. */
async function tryToAdd(path: string, event: EventParts, lock: FileLock): Promise<"written" | "known" | undefined> {
  const found = await stat(path, { bigint: true }).catch((error: unknown) => {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  });
  if (found === undefined) {
    const created = await writeExclusive(path, () => wholeCalendar(event));
    return created === "written" ? "written" : undefined;
  }
  if (!found.isFile()) throw failure(path, "is not a file", "name an .ics file");
  const changed = withEvent(path, await readFile(path), event);
  // Whose they were, they do not have the lock.
  await removeTemporary(path);
  if (changed !== undefined && !(await replace(path, changed, found, lock))) return undefined;
  await syncFolder(dirname(path));
  return changed === undefined ? "known" : "written";
}

/** Puts new content in the place of a file that was found as `found`; false when it is another by now. */
async function replace(path: string, content: Buffer, found: BigIntStats, lock: FileLock): Promise<boolean> {
  // The replacement would come about without a right to write; root has it always.
  if ((found.mode & 0o222n) === 0n) throw failure(path, "is read-only", "make it writable");
  await access(path, constants.W_OK);
  const temporary = temporaryPath(path);
  try {
    const owner = { uid: Number(found.uid), gid: Number(found.gid) };
    await writeSynced(temporary, content, Number(found.mode & 0o7777n), owner);
    if (!(await lock.isHeld())) return false;
    const now = await stat(path, { bigint: true }).catch(() => undefined);
    if (now?.ino !== found.ino || now.mtimeNs !== found.mtimeNs || now.size !== found.size) return false;
    await rename(temporary, path);
    return true;
  } finally {
    await rm(temporary, { force: true });
  }
}

/** The calendar with the event before its end; undefined when the event is there. */
function withEvent(path: string, content: Buffer, event: EventParts): Buffer | undefined {
  const expected = () =>
    failure(path, "is not a complete iCalendar file: expected BEGIN:VCALENDAR to END:VCALENDAR", "export it again");
  if (hasEvent(content.toString("utf8"), eventUid(event.key), expected)) return undefined;
  // One character for each byte, so that places in the text are places in the file.
  const ends = [...content.toString("latin1").matchAll(/(?<=(\r?\n))END:VCALENDAR[ \t]*(?=\r?\n|$)/gi)];
  const last = ends.at(-1);
  if (last === undefined) throw expected();
  const text = Buffer.from(eventText(event, last[1] === "\n" ? "\n" : "\r\n"));
  return Buffer.concat([content.subarray(0, last.index), text, content.subarray(last.index)]);
}

function hasEvent(text: string, uid: string, expected: () => MnemailError): boolean {
  try {
    const calendars = parseComponents(text).filter(([name]) => name === "vcalendar");
    if (calendars.length === 0) throw expected();
    return calendars.some((calendar) => childrenOf(calendar).some((each) => textOf(each, "uid") === uid));
  } catch (error) {
    throw error instanceof MnemailError ? error : expected();
  }
}

function failure(path: string, problem: string, hint: string, cause?: unknown): MnemailError {
  return new MnemailError("calendar", `The calendar ${path} ${problem}.`, hint, { cause });
}
