import type { Client } from "@langchain/langgraph-sdk";
import { z } from "zod";
import { MnemailError, renderError } from "../errors.ts";
import { type GraphThreads, stateAfterRun, threadState, threadValuesSchema } from "./threads.ts";

const GRAPH = "email_assistant";
const PAGE = 100;

const failureSchema = z.object({ status: z.number().optional().catch(undefined), message: z.string().catch("") });

/**
 * Threads of a running LangGraph server, which keeps its own checkpoints. The client says where it is and, by its headers,
 * who asks.
 */
export function serverThreads(client: Client): GraphThreads {
  const run = async (userId: string, threadId: string, payload: object) => {
    const config = { configurable: { user_id: userId } };
    const options = { ...payload, config, durability: "sync" as const, multitaskStrategy: "reject" as const };
    return await reach(() => client.runs.wait(threadId, GRAPH, { ...options, raiseError: true }));
  };
  return {
    isServer: true,
    async read(_userId, threadId) {
      const state = await reach(() => client.threads.getState(threadId)).catch((error: unknown) => {
        if (error instanceof MnemailError && error.code === "missing") return undefined;
        throw error;
      });
      return state && threadState(state.values, state.tasks);
    },
    resume: async (userId, threadId, answers) =>
      stateAfterRun(await run(userId, threadId, { input: null, command: { resume: answers } })),
    async proceed(userId, threadId) {
      await run(userId, threadId, { input: null });
    },
    async unfinished(userId) {
      const found = await reach(() => client.threads.search({ status: "error", limit: PAGE }));
      return found
        .filter(({ values }) => threadValuesSchema.safeParse(values).data?.user_id === userId)
        .map(({ thread_id }) => thread_id);
    },
  };
}

async function reach<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    const { status, message } = failureSchema.parse(error);
    const because = (
      code: "missing" | "conflict" | "unauthorized" | "forbidden" | "store",
      what: string,
      hint: string,
    ) => new MnemailError(code, `LangGraph server: ${what}`, hint, { cause: error });
    if (status === 404) throw because("missing", "has no such thread", "list what waits again");
    if (status === 401) throw because("unauthorized", "the token was refused (401)", "give --token or MNEMAIL_TOKEN");
    if (status === 403) throw because("forbidden", "this is another user's (403)", "use the token of that user");
    if (status === 409) throw because("conflict", "the thread is at work", "try again when it is done");
    throw because("store", `failed: ${renderError(message || error)}`, "check that it runs, and its address");
  }
}
