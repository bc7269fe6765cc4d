import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { basename, dirname, join } from "node:path";
import { z } from "zod";

// A process that acts through an outbox: it adds events to a calendar beside another of its kind, or it writes one email
// or event and ends itself by SIGKILL right before its nth call of the file system, or another program, which knows no
// lock, changes the calendar right then.

const requestSchema = z.object({
  folder: z.string(),
  calendarPath: z.string().optional(),
  act: z.enum(["email", "event"]),
  keys: z.array(z.string()),
  /** Milliseconds since 1970 at which to begin, so that two begin together. */
  from: z.number().default(0),
  /** At which call of the file system to end; counted from 1. */
  killAt: z.number().default(Number.POSITIVE_INFINITY),
  /**
   * What comes in between, for the nth key before the nth call of the file system: another program changes the calendar,
   * except right before rename; or another process gets the lock and a while later changes the calendar that it read then:
   * before this process asked for the lock, or taking it for stale, before this process looks whether it still has it.
   */
  meddle: z.enum(["change", "lock", "steal"]).optional(),
});

const { folder, calendarPath, act, keys, from, killAt, meddle } = requestSchema.parse(
  JSON.parse(process.argv[2] ?? ""),
);

let calls = 0;
let key = 0;
let hasAsked = false;
let hasChecked = false;
let isLocked = false;
function count(name: string, path: unknown): void {
  calls += 1;
  if (calls === killAt) process.kill(process.pid, "SIGKILL");
  if (calendarPath !== undefined && calls === key) meddleWith(calendarPath, name);
  if (!String(path).includes(".lock-")) return;
  if (name === "stat" && hasAsked) hasChecked = true;
  if (name === "open") hasAsked = true;
}

function meddleWith(path: string, name: string): void {
  const changed = readFileSync(path, "utf8").replace("END:VCALENDAR", `X-OTHER:${key}\r\nEND:VCALENDAR`);
  if (meddle === "change" && name !== "rename") writeFileSync(path, changed);
  const isTime = (meddle === "lock" && !hasAsked) || (meddle === "steal" && hasAsked && !hasChecked);
  if (!isTime || isLocked) return;
  isLocked = true;
  const locks = readdirSync(dirname(path)).filter((each) => each.includes(".lock-"));
  for (const each of locks) rmSync(join(dirname(path), each));
  const lock = join(dirname(path), `.${basename(path)}.lock-00000000-1-${key}`);
  writeFileSync(lock, "");
  setTimeout(() => {
    writeFileSync(path, changed);
    rmSync(lock);
    isLocked = false;
  }, 50);
}

/** Lets every function of an object count before it does what it does. */
function countCalls(of: object, names: readonly string[]): void {
  for (const name of names) {
    const before: unknown = Reflect.get(of, name);
    if (typeof before !== "function") throw new Error(`no such function: ${name}`);
    Reflect.set(of, name, function counted(this: unknown, ...args: unknown[]): unknown {
      count(name, args[0]);
      return Reflect.apply(before, this, args);
    });
  }
}

const { createFileOutbox } = await import("../../src/mail/outbox.ts");
const handle = await promises.open(process.execPath, "r");
await handle.close();
const CALLS_BY_PATH = [
  "access",
  "link",
  "lstat",
  "mkdir",
  "open",
  "readdir",
  "readFile",
  "realpath",
  "rename",
  "rm",
  "stat",
];
countCalls(promises, CALLS_BY_PATH);
countCalls(Object.getPrototypeOf(handle), ["writeFile", "chmod", "sync"]);
syncBuiltinESMExports();

const outbox = createFileOutbox({ folder, calendarPath });
const at = new Date("2026-03-02T08:00:00Z");
while (Date.now() < from);
for (const each of keys) {
  key += 1;
  if (meddle) calls = 0;
  hasAsked = false;
  hasChecked = false;
  const of = { userId: "ana", key: each, at };
  if (act === "event") {
    await outbox.addEvent({ ...of, title: `Event ${each}`, attendees: [], start: at, durationMinutes: 30 });
  } else {
    const mail = { from: "ana@home.example", to: "bob@work.example", subject: "Hi", body: "Hello\n", references: [] };
    await outbox.writeEmail({ ...of, ...mail });
  }
}
process.stdout.write(String(calls));
