import { Client } from "@langchain/langgraph-sdk";
import { z } from "zod";
import { threadIdFor } from "../agent/thread-id.ts";
import type { OpenAssistant } from "../assistant.ts";
import { MnemailError, renderError } from "../errors.ts";
import { openReviews, type Reviews } from "../reviews/reviews.ts";
import { serverThreads } from "../reviews/server-threads.ts";
import type { Caller } from "./caller.ts";
import type { ThreadRunner } from "./open.ts";

const GRAPH = "email_assistant";
/** Each waits for its run to end. */
const MOST_AT_ONCE = 32;

const failureSchema = z.object({ status: z.number().optional().catch(undefined), message: z.string().catch("") });

/** Runs threads on the LangGraph server that this process is, in the name of who asks: its own rules hold for them. */
export function createServerRunner({ memory, learn }: Pick<OpenAssistant, "memory" | "learn">): Required<ThreadRunner> {
  const rehearse: Parameters<typeof openReviews>[0]["rehearse"] = (userId, feedback) =>
    learn(userId, feedback, { dryRun: true });
  // One for each user, so that decisions that come at once take turns. Any of their tokens stands for the same user.
  const opened = new Map<string, Reviews>();
  return {
    clientOf,
    reviews(caller) {
      const known = opened.get(caller.userId);
      const reviews = known ?? openReviews({ memory, threads: serverThreads(clientOf(caller)), rehearse });
      opened.set(caller.userId, reviews);
      return reviews;
    },
    async deliver(caller, email) {
      const { userId } = caller;
      const threadId = threadIdFor(userId, email);
      const client = clientOf(caller);
      await reach(() => client.threads.create({ threadId, ifExists: "do_nothing", metadata: { owner: userId } }));
      await reach(() =>
        client.runs.wait(threadId, GRAPH, {
          input: { email_input: { ...email } },
          config: { configurable: { user_id: userId } },
          // Another email of the conversation may be at work.
          multitaskStrategy: "enqueue",
          durability: "sync",
          raiseError: true,
        }),
      );
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

async function reach<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    const { status, message } = failureSchema.parse(error);
    if (status === 409 || status === 404) {
      throw new MnemailError(
        "conflict",
        "thread: another user began one of this id",
        "give the email another thread_id",
      );
    }
    throw new MnemailError("store", `the run failed: ${renderError(message || error)}`, "deliver the email again", {
      cause: error,
    });
  }
}
