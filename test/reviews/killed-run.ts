import { AsyncLocalStorage } from "node:async_hooks";
import { existsSync, readdirSync, readFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { z } from "zod";
import { type OpenAssistant, openAssistant } from "../../src/assistant.ts";
import { loadConfig } from "../../src/config.ts";
import { MnemailError, renderError } from "../../src/errors.ts";
import { createFileOutbox, type Outbox } from "../../src/mail/outbox.ts";
import { openCheckpointer } from "../../src/store/open-checkpointer.ts";
import { openStore } from "../../src/store/open-store.ts";
import { email } from "../support/assistant.ts";

// A process that handles emails and decides, and ends by SIGKILL with each of many users' runs cut off at a point of its
// own; or one that opens what such a process left behind, and goes on. A run that is cut off stands still before its next
// write, with all before it written: of its checkpoints, the store and the outbox nothing more is changed until the kill.

const cutSchema = z.object({
  what: z.enum(["handle", "write_email", "schedule_meeting"]),
  name: z.string(),
  /** The writes that each next run gets further than the one before. */
  step: z.number(),
});
const requestSchema = z.discriminatedUnion("do", [
  z.object({
    do: z.literal("cut"),
    url: z.string(),
    folder: z.string(),
    cuts: z.array(cutSchema),
    /** At the end one more run is cut by the kill itself, right after the outbox wrote the approved action. */
    last: cutSchema,
  }),
  z.object({
    do: z.literal("recover"),
    url: z.string(),
    folder: z.string(),
    users: z.array(z.object({ user: z.string(), how: z.enum(["resume", "reject", "write again"]) })),
  }),
]);

/** What the process is told to do. */
export type Request = z.infer<typeof requestSchema>;

/** One run of a user: how many of its writes were made, and the last of them; `through` is one that was not cut off. */
export const cutReportSchema = z.object({
  user: z.string(),
  what: cutSchema.shape.what,
  name: z.string(),
  writes: z.number(),
  last: z.string(),
  through: z.boolean(),
});

/** What a user found after the kill, and what there is when they approved all that waited. */
export const recoveryReportSchema = z.object({
  user: z.string(),
  errors: z.array(z.string()),
  /** The most drafts for the first email that ever waited at once. */
  drafts: z.number(),
  waiting: z.number(),
  /** The decisions of the review log. */
  decided: z.array(z.string()),
  undone: z.number(),
  emails: z.number(),
  events: z.number(),
  receipts: z.array(z.string()),
  unlearnt: z.number(),
});

const NOW = new Date("2026-03-02T09:00:00Z");
const THREAD = "planning@work.example";
const meeting = email({ id: "m1@work.example", subject: "Planning", body: "Could we meet on 2026-03-10?" });
const first = { ...meeting, thread_id: THREAD };
const question = email({ id: "q1@work.example", subject: "Re: Planning", body: "Could you send me the plan, too?" });
const later = { ...question, thread_id: THREAD };

/** A run that is cut off when it has made its writes. */
interface Run {
  left: number;
  writes: string[];
  atWork: Set<Promise<unknown>>;
  stop: () => void;
  killAfter?: string;
}

const running = new AsyncLocalStorage<Run>();

async function write<T>(name: string, make: () => Promise<T>): Promise<T> {
  const run = running.getStore();
  if (!run) return make();
  if (run.left === 0) {
    run.stop();
    return new Promise<T>(() => {});
  }
  run.left -= 1;
  run.writes.push(name);
  const made = make();
  run.atWork.add(made);
  const result = await made.finally(() => run.atWork.delete(made));
  if (run.killAfter === name) process.kill(process.pid, "SIGKILL");
  return result;
}

/** The same object, whose methods of these names are writes; `isWrite` is asked of their first argument. */
function counted<T extends object>(target: T, names: readonly string[], isWrite = (_: unknown) => true): T {
  return new Proxy(target, {
    get(_, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        const call = () => Reflect.apply(value, target, args);
        return names.includes(String(name)) && isWrite(args[0]) ? write(String(name), call) : call();
      };
    },
  });
}

const isPut = (operations: unknown) =>
  Array.isArray(operations) && operations.some((each: object) => "value" in each && "namespace" in each);

/** The parts of the configuration that both kinds of process share; each user has a calendar of their own. */
function parts(url: string, folder: string) {
  const settings = { STORE_URL: url, CALENDAR_PATH: join(folder, "busy.ics"), MNEMAIL_MODEL: "stand-in" };
  const environment = { ...settings, MEMORY_EXTRACTION: "off", EMBEDDING_MODEL: "none" };
  const of = (user: string) => createFileOutbox({ folder: outboxOf(folder), calendarPath: calendarOf(folder, user) });
  const outbox: Outbox = {
    writeEmail: (message) => write("write_email", () => of(message.userId).writeEmail(message)),
    addEvent: (event) => write("schedule_meeting", () => of(event.userId).addEvent(event)),
  };
  return { config: loadConfig({ environment, directory: tmpdir() }), outbox, now: () => NOW };
}

const outboxOf = (folder: string) => join(folder, "outbox");
const calendarOf = (folder: string, user: string) => join(folder, `${user}.ics`);

async function cut({ url, folder, cuts, last }: Extract<Request, { do: "cut" }>): Promise<void> {
  const { config, ...shared } = parts(url, folder);
  const store = await openStore(config.store);
  const { checkpointer } = await openCheckpointer(config.store);
  const assistant = await openAssistant(config, {
    ...shared,
    store: counted(store, ["batch", "putIf"], isPut),
    checkpointer: counted(checkpointer, ["put", "putWrites"]),
  });
  for (const each of cuts) {
    for (let writes = 0; !(await cutOff(assistant, each, writes)); writes += each.step);
  }
  await cutOff(assistant, last, Number.POSITIVE_INFINITY, last.what);
}

/** Runs what is to be cut off after so many writes; returns whether it came to its end before. */
async function cutOff(
  assistant: OpenAssistant,
  { what, name }: z.infer<typeof cutSchema>,
  writes: number,
  killAfter?: string,
): Promise<boolean> {
  const user = `${name}-${writes}@home.example`;
  let stop = () => {};
  const stopped = new Promise<false>((resolve) => {
    stop = () => resolve(false);
  });
  const run: Run = { left: writes, writes: [], atWork: new Set(), stop, ...(killAfter ? { killAfter } : {}) };
  const report = (through: boolean) =>
    print({ user, what, name, writes: run.writes.length, last: run.writes.at(-1) ?? "", through });
  let begin = async (): Promise<unknown> => refuseFailed(await assistant.handle(user, first));
  if (what !== "handle") {
    await begin();
    const review = (await assistant.reviews.list(user)).find(({ action }) => action.name === what);
    if (!review) throw new Error(`${user}: no ${what} waits`);
    begin = () => assistant.reviews.decide(user, review.id, { type: "approve" });
  }
  if (killAfter) report(false);
  const through = await Promise.race([running.run(run, async () => begin()).then(() => true), stopped]);
  await Promise.all(run.atWork);
  report(through);
  return through;
}

function refuseFailed({ status, error }: { status: string; error?: string }): void {
  if (status === "failed") throw new Error(error);
}

async function recover({ url, folder, users }: Extract<Request, { do: "recover" }>): Promise<void> {
  const { config, ...shared } = parts(url, folder);
  await using assistant = await openAssistant(config, shared);
  for (const { user, how } of users) print(await recoverOne(assistant, folder, user, how));
}

async function recoverOne(
  assistant: OpenAssistant,
  folder: string,
  user: string,
  how: string,
): Promise<z.infer<typeof recoveryReportSchema>> {
  const { memory, reviews } = assistant;
  const errors: string[] = [];
  const tell = (error: unknown) => errors.push(renderError(error));
  let drafts = 0;
  const look = async () => {
    const found = await reviews.list(user);
    const ofFirst = found.filter(({ action, email }) => action.name === "write_email" && email.id === first.id);
    drafts = Math.max(drafts, ofFirst.length);
    return found;
  };
  if (how === "write again") await assistant.handle(user, later).then(refuseFailed).catch(tell);
  if (how === "reject") {
    for (const { id } of await look()) {
      await reviews.decide(user, id, { type: "reject" }).catch((error: unknown) => {
        if (!(error instanceof MnemailError) || error.code !== "conflict") tell(error);
      });
    }
  }
  for await (const { error } of reviews.resume(user)) if (error !== undefined) tell(error);
  const known = await memory.reviews.find(user, "");
  if ((await look()).length === 0 && !known.some(({ status }) => status !== "waiting" && status !== "replaced")) {
    await assistant.handle(user, first).then(refuseFailed).catch(tell);
  }
  for (let left = 5; left > 0; left -= 1) {
    const [next] = await look();
    if (!next) break;
    await reviews.decide(user, next.id, { type: "approve" }).catch(tell);
  }
  const records = await memory.reviews.find(user, "");
  const decided = records.filter(({ status }) => status !== "waiting" && status !== "replaced");
  const receipts = await Promise.all(decided.map(({ id }) => memory.ledger.find(user, `review-${id}`)));
  return {
    ...{ user, errors, drafts },
    waiting: (await reviews.list(user)).length + records.filter(({ status }) => status === "waiting").length,
    decided: decided.map(({ status }) => status).sort(),
    undone: decided.filter(({ done }) => done !== true).length,
    emails: filesOf(folder, user).filter((name) => name.endsWith(".eml")).length,
    events: read(calendarOf(folder, user)).split("BEGIN:VEVENT").length - 1,
    receipts: receipts.flatMap(({ receipt }) => receipt?.kind ?? []),
    unlearnt: (await memory.ledger.unlearnt(user)).length,
  };
}

function filesOf(folder: string, user: string): string[] {
  const place = outboxOf(folder);
  const own = existsSync(place)
    ? readdirSync(place).find((name) => name.startsWith(`${user.split("@")[0]}@`))
    : undefined;
  return own === undefined ? [] : readdirSync(join(place, own));
}

function read(path: string): string {
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}

/** Written at once: what a killed process holds back is lost. */
function print(report: object): void {
  writeSync(1, `${JSON.stringify(report)}\n`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const request = requestSchema.parse(JSON.parse(process.argv[2] ?? ""));
  await (request.do === "cut" ? cut(request) : recover(request));
}
