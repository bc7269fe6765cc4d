import { Command } from "@langchain/langgraph";
import type { EmailAssistant } from "../agent/graph.ts";
import type { Turns } from "../memory/thread-leases.ts";
import { listThreads, type ThreadSource } from "../store/threads.ts";
import { type GraphThreads, stateAfterRun, threadState } from "./threads.ts";

/** How far back threads are looked through for runs that were cut off. */
const RECENT = 500;

/** Threads that this process runs, on the checkpointer the graph was compiled with. Each step is kept before the next. */
export function localThreads(graph: EmailAssistant, source: ThreadSource, turns: Turns): GraphThreads {
  const at = (userId: string, threadId: string) => ({
    configurable: { user_id: userId, thread_id: threadId },
    durability: "sync" as const,
  });
  return {
    isServer: false,
    turns,
    async read(_userId, threadId) {
      const { values, tasks } = await graph.getState({ configurable: { thread_id: threadId } });
      return Object.keys(values).length === 0 ? undefined : threadState(values, tasks);
    },
    async resume(userId, threadId, answers) {
      return stateAfterRun(await graph.invoke(new Command({ resume: answers }), at(userId, threadId)));
    },
    async proceed(userId, threadId) {
      const { next } = await graph.getState({ configurable: { thread_id: threadId } });
      // An input that was refused moved the thread on from what waits in it.
      if (next.includes("refuse")) await graph.updateState(at(userId, threadId), { problem: null }, "record");
      await graph.invoke(null, at(userId, threadId));
    },
    async unfinished(userId) {
      const { threads } = await listThreads(source, userId, { recent: RECENT });
      return threads
        .filter(({ status }) => status === "unfinished" || status === "failed")
        .map(({ threadId }) => threadId);
    },
  };
}
