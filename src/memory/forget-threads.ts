import { listThreads, type ThreadSource } from "../store/threads.ts";
import { isTraced } from "./forget-rewrite.ts";
import type { Traces } from "./forget-traces.ts";

/** A thread that goes, with the subject of its last email. */
export interface ForgottenThread {
  threadId: string;
  text: string;
  why: string;
}

/**
 * The threads of a user that hold anything of what was traced, in any of their checkpoints.
 *
 * @throws MnemailError("store") when a thread cannot be read.
 */
export async function tracedThreads(source: ThreadSource, userId: string, traces: Traces): Promise<ForgottenThread[]> {
  const found: ForgottenThread[] = [];
  const { threads } = await listThreads(source, userId);
  for (const { threadId, subject } of threads) {
    if (!(await isThreadTraced(source, threadId, traces))) continue;
    found.push({ threadId, text: subject ?? "", why: "its checkpoints hold what is forgotten" });
  }
  return found;
}

async function isThreadTraced({ checkpointer }: ThreadSource, threadId: string, traces: Traces): Promise<boolean> {
  if (traces.address?.isIn(threadId)) return true;
  for await (const { checkpoint, metadata, pendingWrites } of checkpointer.list({
    configurable: { thread_id: threadId },
  })) {
    // As JSON, messages show what they hold.
    const text = JSON.stringify([checkpoint.channel_values, metadata ?? null, pendingWrites ?? null]);
    if (isTraced(JSON.parse(text), traces)) return true;
  }
  return false;
}
