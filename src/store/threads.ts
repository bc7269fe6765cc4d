import {
  type BaseCheckpointSaver,
  type CheckpointTuple,
  ERROR,
  INTERRUPT,
  TASKS,
} from "@langchain/langgraph-checkpoint";
import { z } from "zod";
import { MnemailError, renderError } from "../errors.ts";

/** Threads of all users: LangGraph's checkpointer, and which of its threads are a user's, newest checkpoint first. */
export interface ThreadSource {
  checkpointer: BaseCheckpointSaver;
  threadIds(userId: string): Promise<string[]>;
}

/**
 * Where a thread stands: `interrupted` waits for the user's answer, `failed` ended with an error, `unfinished` was killed
 * or is at work.
 */
export type ThreadStatus = "done" | "interrupted" | "failed" | "unfinished";

/**
 * A thread as its newest checkpoint has it; null is what its state does not say. `updatedAt` is ISO 8601; `topic` is what
 * a chat began with, and tells it from threads of email.
 */
export interface ThreadSummary {
  threadId: string;
  updatedAt: string;
  emailId: string | null;
  from: string | null;
  subject: string | null;
  label: string | null;
  topic?: string;
  status: ThreadStatus;
}

const draftSchema = z.object({ to: z.string(), subject: z.string(), body: z.string() });

// The channels of the assistant's state that are looked at; threads of another shape are shown without them.
const stateSchema = z.object({
  user_id: z.string().catch(""),
  email: z.object({ id: z.string(), from: z.string(), subject: z.string() }).nullable().catch(null),
  label: z.string().nullable().catch(null),
  draft: draftSchema.nullable().catch(null),
  topic: z.string().min(1).nullable().catch(null),
  problem: z.unknown().optional(),
});
const placeSchema = z.object({
  configurable: z.object({ thread_id: z.string(), checkpoint_ns: z.string().default(""), checkpoint_id: z.string() }),
});

/** One email of a thread, and what the thread made of it. `at` is when its last step ended, ISO 8601. */
export interface ThreadEmail {
  id: string;
  from: string;
  subject: string;
  label: string | null;
  draft: z.infer<typeof draftSchema> | null;
  at: string;
}

/** A thread with its emails, oldest first. */
export interface Thread extends ThreadSummary {
  emails: ThreadEmail[];
}

/**
 * The `threadIds` of a {@link ThreadSource} for any checkpointer. It reads every checkpoint of every user; where SQL can
 * be had, that names the same threads faster.
 */
export async function threadIdsOf(checkpointer: BaseCheckpointSaver, userId: string): Promise<string[]> {
  const newest = new Map<string, { id: string; owner: string }>();
  for await (const { config, checkpoint } of checkpointer.list({})) {
    const { thread_id, checkpoint_ns, checkpoint_id: id } = placeSchema.parse(config).configurable;
    if (checkpoint_ns !== "" || (newest.get(thread_id)?.id ?? "") >= id) continue;
    newest.set(thread_id, { id, owner: stateSchema.parse(checkpoint.channel_values).user_id });
  }
  return [...newest]
    .filter(([, { owner }]) => owner === userId)
    .sort(([, a], [, b]) => (a.id > b.id ? -1 : 1))
    .map(([threadId]) => threadId);
}

/**
 * The threads of one user, newest first, at most `recent` of them, and how many there are. Only those are read.
 *
 * @throws MnemailError("store") when a thread cannot be read.
 */
export async function listThreads(
  source: ThreadSource,
  userId: string,
  { recent = Number.POSITIVE_INFINITY }: { recent?: number } = {},
): Promise<{ threads: ThreadSummary[]; total: number }> {
  const ids = await source.threadIds(userId);
  const threads: ThreadSummary[] = [];
  for (const threadId of ids.slice(0, recent)) {
    const thread = await findThread(source, userId, threadId);
    if (thread) threads.push(thread);
  }
  return { threads, total: ids.length };
}

/**
 * One thread of a user, or undefined where they have none of that id, whether or not another has.
 *
 * @throws MnemailError("store") when it cannot be read.
 */
export async function findThread(
  { checkpointer }: ThreadSource,
  userId: string,
  threadId: string,
): Promise<ThreadSummary | undefined> {
  if (threadId === "") return undefined;
  const newest = await reading(threadId, () => checkpointer.getTuple({ configurable: { thread_id: threadId } }));
  if (!newest) return undefined;
  const { user_id, email, label, topic } = stateSchema.parse(newest.checkpoint.channel_values);
  // A thread whose first run ended before it was known whose it is, is nobody's.
  if (user_id === "" || user_id !== userId) return undefined;
  return {
    ...{ threadId, updatedAt: newest.checkpoint.ts, label, status: statusOf(newest) },
    ...{ emailId: email?.id ?? null, from: email?.from ?? null, subject: email?.subject ?? null },
    ...(topic === null ? {} : { topic }),
  };
}

/**
 * One thread of a user with its emails. An email that was given to the thread twice is there twice; one that was refused
 * is not there.
 *
 * @throws MnemailError("input") where the user has no such thread, MnemailError("store") when it cannot be read.
 */
export async function readThread(source: ThreadSource, userId: string, threadId: string): Promise<Thread> {
  const thread = await findThread(source, userId, threadId);
  if (!thread) throw unknownThread(userId, threadId);
  return { ...thread, emails: await reading(threadId, () => readEmails(source.checkpointer, threadId)) };
}

/**
 * Deletes all checkpoints of one thread of a user. What the store keeps for the thread is not touched.
 *
 * @throws MnemailError("input") where the user has no such thread, MnemailError("store") when it cannot be read or deleted.
 */
export async function deleteThread(source: ThreadSource, userId: string, threadId: string): Promise<void> {
  if (!(await findThread(source, userId, threadId))) throw unknownThread(userId, threadId);
  await reading(threadId, () => source.checkpointer.deleteThread(threadId));
}

/** Says that a user has no thread of an id, in the same words where another user has one. */
export function unknownThread(userId: string, threadId: string): MnemailError {
  const hint = `\`mnemail threads list --user ${userId}\` prints the ids`;
  return new MnemailError("input", `thread ${JSON.stringify(threadId)}: ${userId} has none of that id`, hint);
}

/** A run begins with a checkpoint of its input, in which the state is still that of the run before. */
async function readEmails(checkpointer: BaseCheckpointSaver, threadId: string): Promise<ThreadEmail[]> {
  const steps = [];
  for await (const { config, checkpoint, metadata } of checkpointer.list({ configurable: { thread_id: threadId } })) {
    const { checkpoint_ns, checkpoint_id: id } = placeSchema.parse(config).configurable;
    const { email, label, draft, problem } = stateSchema.parse(checkpoint.channel_values);
    if (checkpoint_ns !== "") continue;
    const state = email && !problem ? { ...email, label, draft, at: checkpoint.ts } : undefined;
    steps.push({ id, state, isInput: metadata?.source === "input" });
  }
  const runs: (ThreadEmail | undefined)[] = [];
  for (const { state, isInput } of steps.sort((a, b) => (a.id < b.id ? -1 : 1))) {
    if (isInput || runs.length === 0) runs.push(undefined);
    if (!isInput) runs[runs.length - 1] = state;
  }
  return runs.filter((run) => run !== undefined);
}

/** What is left to do is read off the channels by which LangGraph starts nodes: they hold a value until the node ran. */
function statusOf({ checkpoint, pendingWrites = [] }: CheckpointTuple): ThreadStatus {
  const written = new Set(pendingWrites.map(([, channel]) => channel));
  if (written.has(INTERRUPT)) return "interrupted";
  if (written.has(ERROR)) return "failed";
  const { [TASKS]: sends, ...channels } = checkpoint.channel_values;
  const isWaiting = Array.isArray(sends) && sends.length > 0;
  const next = Object.keys(channels).some((name) => name === "__start__" || name.startsWith("branch:to:"));
  return isWaiting || next ? "unfinished" : "done";
}

async function reading<T>(threadId: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof MnemailError) throw error;
    throw new MnemailError(
      "store",
      `thread ${JSON.stringify(threadId)}: the checkpoints failed: ${renderError(error)}`,
      undefined,
      { cause: error },
    );
  }
}
