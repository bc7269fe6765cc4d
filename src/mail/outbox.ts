import { join } from "node:path";
import { MnemailError } from "../errors.ts";
import { writeExclusive, writeProblem } from "../files/exclusive-file.ts";
import { hashText } from "../prompts.ts";
import { encodeUserId } from "../store/namespaces.ts";
import { addToCalendar } from "./outbox/calendar-file.ts";
import { composeEmail, type EmailParts } from "./outbox/compose.ts";
import { type EventParts, wholeCalendar } from "./outbox/event-text.ts";

/** File systems take names of 255 octets. */
const FOLDER_LIMIT = 200;

/** An email that the user approved. `key` stands for exactly this email: of each key, one is written. */
export interface OutgoingEmail extends EmailParts {
  userId: string;
}

/** An event that the user approved. `key` stands for exactly this event: of each key, one is written. */
export interface OutgoingEvent extends EventParts {
  userId: string;
}

/** What was done, and where; `known` when it had been done before, and was left as it is. */
export interface Acted {
  status: "written" | "known";
  path: string;
}

/** What acts for the user, and only on what they approved. Doing the same twice does it once. */
export interface Outbox {
  writeEmail(message: OutgoingEmail): Promise<Acted>;
  addEvent(event: OutgoingEvent): Promise<Acted>;
}

/**
 * An outbox of files: emails become `FOLDER/USER/KEY.eml`, which mail programs open; events are added to the calendar at
 * `calendarPath`, without one they become `FOLDER/USER/KEY.ics`. Each is on disk, whole, when the call returns, and a
 * process that is killed leaves it whole or not at all. Nothing is sent.
 *
 * Its methods throw MnemailError `usage` (no sender), `input` (addresses or times that cannot be written),
 * `store` (the folder) and `calendar` (the calendar).
 */
export function createFileOutbox(options: { folder: string; calendarPath?: string | undefined }): Outbox {
  const { folder, calendarPath } = options;
  return {
    async writeEmail({ userId, ...parts }) {
      const path = pathOf(folder, userId, parts.key, "eml");
      return { status: await write(path, () => composeEmail(parts)), path };
    },
    async addEvent({ userId, ...parts }) {
      const path = pathOf(folder, userId, parts.key, "ics");
      if (calendarPath !== undefined) return { status: await addToCalendar(calendarPath, parts), path: calendarPath };
      return { status: await write(path, () => wholeCalendar(parts)), path };
    },
  };
}

function pathOf(folder: string, userId: string, key: string, ending: string): string {
  if (!/^[\w-]{1,128}$/.test(key)) {
    throw new MnemailError(
      "input",
      `key: saw ${JSON.stringify(key.slice(0, 40))}; expected 1 to 128 letters and digits`,
    );
  }
  return join(folder, userFolder(userId), `${key}.${ending}`);
}

/** Labels of namespaces may hold what separates folders, and be too long; no two users share a folder. */
function userFolder(userId: string): string {
  const label = encodeUserId(userId).replace(/[/\\<>"|?]/g, (character) => {
    return `=${character.charCodeAt(0).toString(16).toUpperCase()}`;
  });
  return Buffer.byteLength(label) <= FOLDER_LIMIT ? label : `=sha256-${hashText(label, 64)}`;
}

async function write(path: string, make: () => Uint8Array | Promise<Uint8Array>): Promise<Acted["status"]> {
  try {
    return await writeExclusive(path, make);
  } catch (error) {
    if (error instanceof MnemailError) throw error;
    const problem = `${path}: cannot be written: ${writeProblem(error)}`;
    throw new MnemailError("store", problem, "set OUTBOX_PATH to a folder that you may write", { cause: error });
  }
}
