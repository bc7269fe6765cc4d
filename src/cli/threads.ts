import { z } from "zod";
import { type Config, loadConfig } from "../config.ts";
import { MnemailError } from "../errors.ts";
import { StoreAccess } from "../memory/access.ts";
import { TemporaryData } from "../memory/temporary.ts";
import { encodeUserId } from "../store/namespaces.ts";
import { hasThreads, type OpenCheckpointer, openCheckpointer } from "../store/open-checkpointer.ts";
import {
  deleteThread,
  findThread,
  listThreads,
  readThread,
  type Thread,
  type ThreadSummary,
  unknownThread,
} from "../store/threads.ts";
import { describeStore, isVolatile } from "../store-config/describe-store.ts";
import { confirm } from "./memory-keep.ts";
import { note, printJson, shorten } from "./output.ts";
import { plural } from "./progress.ts";
import { openPlainStore } from "./stores.ts";

const LISTED = 20;
const ID_LIMIT = 1_100;

const baseSchema = z.object({ user: z.string(), json: z.boolean().default(false) });
const chosenSchema = baseSchema.extend({ recent: z.string().optional(), all: z.boolean().default(false) });
const showSchema = baseSchema.extend({ thread: z.string() });
const deleteSchema = chosenSchema.extend({
  threads: z.array(z.string()).default([]),
  yes: z.boolean().default(false),
  dryRun: z.boolean().default(false),
});

/** `mnemail threads list`: newest first. Returns the exit code. */
export async function showThreads(rawOptions: unknown): Promise<number> {
  const { user, json, all, ...given } = chosenSchema.parse(rawOptions);
  const recent = readRecent(given.recent) ?? LISTED;
  await using kept = await openThreads(user, loadConfig());
  const { threads, total } = kept.source
    ? await listThreads(kept.source, user, all ? {} : { recent })
    : { threads: [], total: 0 };
  if (json) {
    printJson({ user, total, threads: threads.map(asJson) });
    return 0;
  }
  for (const each of threads) console.log(renderThread(each));
  if (total === 0) console.log(noThreads(user));
  if (threads.length < total) note(`${threads.length} of ${plural(total, "thread")}; --all prints them all`);
  return 0;
}

/** `mnemail threads show`: the emails of a thread and its temporary data. Returns the exit code. */
export async function showThread(rawOptions: unknown): Promise<number> {
  const { user, json, thread: threadId } = showSchema.parse(rawOptions);
  const config = loadConfig();
  await using kept = await openThreads(user, config);
  if (!kept.source) throw unknownThread(user, threadId);
  const thread = await readThread(kept.source, user, threadId);
  await using store = await openPlainStore(config);
  const temporary = await new TemporaryData(new StoreAccess(store, note)).list(user, threadId);
  if (json) {
    const items = temporary.map(({ key, value, expiresAt }) => ({ key, value, expires_at: expiresAt }));
    printJson({ user, ...asJson(thread), emails: thread.emails, temporary: items });
    return 0;
  }
  console.log(renderThread(thread));
  for (const line of thread.emails.flatMap(renderEmail)) console.log(line);
  for (const { key, value, expiresAt } of temporary) {
    console.log(
      `temporary until ${shorten(expiresAt, 30)}  ${shorten(key, 100)}: ${shorten(JSON.stringify(value), 500)}`,
    );
  }
  return 0;
}

/** `mnemail threads delete`: threads with their temporary data. Returns the exit code: 1 when it was not done. */
export async function deleteThreads(rawOptions: unknown): Promise<number> {
  const { user, json, threads: ids, recent: rawRecent, all, yes, dryRun } = deleteSchema.parse(rawOptions);
  const recent = readRecent(rawRecent);
  if ([ids.length > 0, recent !== undefined, all].filter(Boolean).length !== 1) {
    throw new MnemailError(
      "usage",
      "threads delete: expected ids of threads, or --recent N, or --all, and one of these",
    );
  }
  if (!yes && !dryRun && !(process.stdin.isTTY && process.stderr.isTTY)) {
    const what = "threads delete: asks before it removes, and there is no terminal to ask on";
    throw new MnemailError("usage", what, "add --yes, or --dry-run to see what it would remove");
  }
  const config = loadConfig();
  await using kept = await openThreads(user, config);
  const chosen = await chooseThreads(kept.source, user, { ids, recent });
  if (dryRun || chosen.length === 0 || !kept.source) {
    if (json) printJson({ user, ...(dryRun ? { would_delete: chosen.map(asJson) } : { deleted: [] }) });
    else for (const each of chosen) console.log(`would delete  ${renderThread(each)}`);
    if (!json && chosen.length === 0) console.log(noThreads(user));
    return 0;
  }
  if (!yes) {
    for (const each of chosen) note(renderThread(each));
    const question = `Delete ${plural(chosen.length, "thread")} of ${shorten(user)} for good? [y/N] `;
    if (!(await confirm(question, { input: process.stdin, output: process.stderr }))) {
      note("nothing was deleted");
      return 1;
    }
  }
  await using store = await openPlainStore(config);
  const temporary = new TemporaryData(new StoreAccess(store, note));
  for (const { threadId } of chosen) {
    // First, so that what is left of a deletion that was interrupted can still be named and deleted.
    await temporary.clear(user, threadId);
    await deleteThread(kept.source, user, threadId);
  }
  // What is past its time is hidden from clearing.
  await store.sweep();
  for (const each of [...(await store.erase()), ...(await kept.source.erase())]) note(each);
  if (json) printJson({ user, deleted: chosen.map(({ threadId }) => threadId) });
  else console.log(`deleted ${plural(chosen.length, "thread")} of ${shorten(user)}`);
  return 0;
}

/** The threads that were asked for. @throws MnemailError("input") for an id the user has no thread of. */
async function chooseThreads(
  source: OpenCheckpointer | undefined,
  user: string,
  { ids, recent }: { ids: readonly string[]; recent: number | undefined },
): Promise<ThreadSummary[]> {
  if (ids.length === 0) {
    if (!source) return [];
    return (await listThreads(source, user, recent === undefined ? {} : { recent })).threads;
  }
  const found: ThreadSummary[] = [];
  for (const threadId of new Set(ids)) {
    const thread = source && (await findThread(source, user, threadId));
    if (!thread) throw unknownThread(user, threadId);
    found.push(thread);
  }
  return found;
}

/** Opens the threads where any were ever kept, and says on stderr where; makes nothing. */
async function openThreads(
  user: string,
  { store }: Config,
): Promise<AsyncDisposable & { source: OpenCheckpointer | undefined }> {
  encodeUserId(user);
  note(isVolatile(store) ? "threads: memory: keeps them until their process ends" : describeStore(store));
  const source = (await hasThreads(store, note)) ? await openCheckpointer(store, { warn: note }) : undefined;
  return { source, [Symbol.asyncDispose]: async () => source?.[Symbol.asyncDispose]() };
}

function readRecent(given: string | undefined): number | undefined {
  if (given === undefined) return undefined;
  if (/^[1-9]\d{0,8}$/.test(given)) return Number(given);
  throw new MnemailError(
    "usage",
    `--recent: saw ${JSON.stringify(shorten(given, 80))}; expected a whole number from 1`,
  );
}

function asJson({ threadId, updatedAt, emailId, from, subject, label, topic, status }: ThreadSummary) {
  return { thread_id: threadId, updated_at: updatedAt, email_id: emailId, from, subject, label, topic, status };
}

function renderThread({ threadId, updatedAt, emailId, from, subject, label, topic, status }: ThreadSummary): string {
  const other = topic === undefined ? "(no email)" : `"${shorten(topic, 60)}"`;
  const what = emailId === null ? other : renderSubject({ subject: subject ?? "", from: from ?? "" });
  const kind = label ?? (topic === undefined ? "-" : "chat");
  const columns = [status.padEnd(11), shorten(kind, 20).padEnd(7), shorten(updatedAt, 30), what];
  return `${columns.join("  ")}  [${shorten(threadId, ID_LIMIT)}]`;
}

function renderEmail({ id, from, subject, label, draft, at }: Thread["emails"][number]): string[] {
  const line = `${shorten(label ?? "-", 20).padEnd(7)}  ${shorten(at, 30)}  ${renderSubject({ subject, from })}`;
  const drafted = draft ? [`draft to ${shorten(draft.to, 100)}: ${shorten(draft.body, 500)}`] : [];
  return [`${line}  [${shorten(id, ID_LIMIT)}]`, ...drafted].map((each) => `  ${each}`);
}

function renderSubject({ subject, from }: { subject: string; from: string }): string {
  return `${shorten(subject || "(no subject)", 60)} (${shorten(from, 60)})`;
}

function noThreads(user: string): string {
  return `no threads of ${shorten(user)}: run and chat begin them`;
}
