import { Client, type Thread } from "@langchain/langgraph-sdk";
import { z } from "zod";
import { threadIdFor } from "../agent/thread-id.ts";
import type { OpenAssistant } from "../assistant.ts";
import type { Email } from "../email.ts";
import { MnemailError, renderError } from "../errors.ts";
import { parseJson } from "../parse-json.ts";
import { openReviews } from "../reviews/reviews.ts";
import { reachServer, serverThreads } from "../reviews/server-threads.ts";
import type { Caller } from "./caller.ts";
import type { ThreadRunner } from "./open.ts";

const GRAPH = "email_assistant";
/** Each waits for its run to end. */
const MOST_AT_ONCE = 32;
/** How many ids an email's thread can have. */
const MOST_IDS = 20;

const ownersSchema = z.object({
  metadata: z.object({ owner: z.unknown() }).partial().nullish(),
  values: z.object({ user_id: z.unknown() }).partial().nullish(),
});
const failedRunSchema = z.object({ __error__: z.object({ message: z.string() }) });
/** How the server puts what a node threw into the message of its own error. */
const thrownSchema = z.object({ error: z.string(), message: z.string() });

/** Runs threads on the LangGraph server that this process is, in the name of who asks: its own rules hold for them. */
export function createServerRunner({ memory, learn }: Pick<OpenAssistant, "memory" | "learn">): Required<ThreadRunner> {
  const rehearse: Parameters<typeof openReviews>[0]["rehearse"] = (userId, feedback) =>
    learn(userId, feedback, { dryRun: true });
  return {
    clientOf,
    // Decisions of one user take turns by the memory, which all requests share.
    reviews: (caller) => openReviews({ memory, threads: serverThreads(clientOf(caller)), rehearse }),
    async threadOf(caller, email) {
      const { userId } = caller;
      const client = clientOf(caller);
      for (const threadId of threadIds(userId, email)) {
        const thread = await reachServer(() => client.threads.get(threadId)).catch(unlessTaken);
        if (thread && isOf(userId, thread)) return threadId;
      }
      return threadIdFor(userId, email);
    },
    async deliver(caller, email) {
      const { userId } = caller;
      const client = clientOf(caller);
      const threadId = await beginThread(client, userId, email);
      const run = await reachServer(() =>
        client.runs.wait(threadId, GRAPH, {
          input: { email_input: { ...email } },
          config: { configurable: { user_id: userId } },
          // Another email of the conversation may be at work.
          multitaskStrategy: "enqueue",
          durability: "sync",
          raiseError: false,
        }),
      );
      const failed = failedRunSchema.safeParse(run).data;
      if (failed) throw runFailure(failed.__error__.message);
      return threadId;
    },
  };
}

/** Without an address the client asks the server of its own process; where that is another, the one that was asked. */
function clientOf({ headers, origin }: Caller): Client {
  const isHere = Symbol.for("langgraph_api:fetch") in globalThis;
  return new Client({
    ...(isHere ? {} : { apiUrl: origin }),
    apiKey: null,
    defaultHeaders: headers,
    // A run that was started is not started again.
    callerOptions: { maxRetries: 0, maxConcurrency: MOST_AT_ONCE },
  });
}

function threadIds(userId: string, email: Email): string[] {
  return Array.from({ length: MOST_IDS }, (_, n) => threadIdFor(userId, email, n));
}

/** The user's thread of an email. Whoever knows the email can have a thread of the id it is given first. */
async function beginThread(client: Client, userId: string, email: Email): Promise<string> {
  for (const threadId of threadIds(userId, email)) {
    const create = { threadId, ifExists: "do_nothing" as const, metadata: { owner: userId } };
    const thread = await reachServer(() => client.threads.create(create)).catch(unlessTaken);
    if (thread && isOf(userId, thread)) return threadId;
  }
  const what = `thread: other users began all ${MOST_IDS} that this email could have`;
  throw new MnemailError("conflict", what, "give the email another thread_id");
}

/** Whether nobody else's: a server without tokens lets threads be created without an owner. */
function isOf(userId: string, thread: Thread): boolean {
  const { metadata, values } = ownersSchema.parse(thread);
  return [metadata?.owner, values?.user_id].every((each) => each === userId || !each);
}

/** A thread of another user is 409 where it would be created, and 404 where it is read. */
function unlessTaken(error: unknown): undefined {
  if (error instanceof MnemailError && (error.code === "conflict" || error.code === "missing")) return undefined;
  throw error;
}

/** A run that threw. What a store that is away fails with is met again when the delivery is given back. */
function runFailure(message: string): MnemailError {
  const thrown = thrownSchema.safeParse(parseJson(message)).data?.message ?? message;
  const what = renderError(thrown);
  // As the cause, its words do not come into the log: which of them are a stranger's is not known here.
  const cause = new Error(what);
  return new MnemailError("model", `the run failed: ${what}`, "deliver the email again", { cause });
}
