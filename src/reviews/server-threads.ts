import type { Client } from "@langchain/langgraph-sdk";
import { z } from "zod";
import { MnemailError, renderError } from "../errors.ts";
import type { Turns } from "../memory/thread-leases.ts";
import { parseJson } from "../parse-json.ts";
import { type GraphThreads, stateAfterRun, threadState, threadValuesSchema } from "./threads.ts";

const GRAPH = "email_assistant";
const PAGE = 100;

/** The server lets one run at a time work on a thread. */
const SERVER_TURNS: Turns = {
  hold: (_userId, _threadId, run) => run(),
  holdIfFree: async (_userId, _threadId, run) => ({ result: await run() }),
};

const failureSchema = z.object({ status: z.number().optional().catch(undefined), message: z.string().catch("") });

/**
 * Threads of a running LangGraph server, which keeps its own checkpoints. The client says where it is and, by its headers,
 * who asks.
 */
export function serverThreads(client: Client): GraphThreads {
  const run = async (userId: string, threadId: string, payload: object) => {
    const config = { configurable: { user_id: userId } };
    const options = { ...payload, config, durability: "sync" as const, multitaskStrategy: "reject" as const };
    return await reachServer(() => client.runs.wait(threadId, GRAPH, { ...options, raiseError: true }));
  };
  return {
    isServer: true,
    turns: SERVER_TURNS,
    async read(_userId, threadId) {
      const state = await reachServer(() => client.threads.getState(threadId)).catch((error: unknown) => {
        if (error instanceof MnemailError && error.code === "missing") return undefined;
        throw error;
      });
      return state && threadState(state.values, state.tasks);
    },
    resume: async (userId, threadId, answers) =>
      stateAfterRun(await run(userId, threadId, { input: null, command: { resume: answers } })),
    async proceed(userId, threadId) {
      const { next } = await reachServer(() => client.threads.getState(threadId));
      // An input that was refused moved the thread on from what waits in it.
      const back = { values: { problem: null }, asNode: "record" };
      if (next.includes("refuse")) await reachServer(() => client.threads.updateState(threadId, back));
      await run(userId, threadId, { input: null });
    },
    async unfinished(userId) {
      const found = await reachServer(() => client.threads.search({ status: "error", limit: PAGE }));
      return found
        .filter(({ values }) => threadValuesSchema.safeParse(values).data?.user_id === userId)
        .map(({ thread_id }) => thread_id);
    },
  };
}

/** How the server tells of a run that threw. */
const runErrorSchema = z.object({ error: z.string(), message: z.string() });

/**
 * Asks a LangGraph server.
 *
 * @throws MnemailError("missing", "unauthorized", "forbidden", "conflict") as its status says, "model" for a run that threw, and "store"
 * where it fails otherwise.
 */
export async function reachServer<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    const { status, message } = failureSchema.parse(error);
    const because = (
      code: "missing" | "conflict" | "unauthorized" | "forbidden" | "model" | "store",
      what: string,
      hint: string,
    ) => new MnemailError(code, `LangGraph server: ${what}`, hint, { cause: error });
    if (status === 404) throw because("missing", "has no such thread", "list what waits again");
    if (status === 401) throw because("unauthorized", "the token was refused (401)", "give --token or MNEMAIL_TOKEN");
    if (status === 403) throw because("forbidden", "this is another user's (403)", "use the token of that user");
    // A thread at work is 409 where runs are refused, and 422 from the server of `langgraphjs dev`.
    if (status === 409 || status === 422)
      throw because("conflict", "the thread is at work", "try again when it is done");
    const failed = runErrorSchema.safeParse(parseJson(message.slice(message.indexOf("{")))).data;
    if (failed) throw because("model", `the run failed: ${failed.message}`, "what was answered is kept: resume it");
    throw because("store", `failed: ${renderError(message || error)}`, "check that it runs, and its address");
  }
}
