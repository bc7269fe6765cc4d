import { threadIdFor } from "../agent/thread-id.ts";
import type { OpenAssistant } from "../assistant.ts";
import { MnemailError } from "../errors.ts";
import type { ThreadRunner } from "./open.ts";

/** Runs threads in this process, on checkpoints of its own. */
export function createLocalRunner(assistant: Pick<OpenAssistant, "handle" | "reviews">): ThreadRunner {
  return {
    reviews: () => assistant.reviews,
    threadOf: async ({ userId }, email) => threadIdFor(userId, email),
    async deliver({ userId }, email) {
      const { status, reviews, error = "failed", code = "model" } = await assistant.handle(userId, email);
      if (status === "failed") {
        // As the cause, its words do not come into the log, which has them from the handling.
        const cause = new Error(error);
        throw new MnemailError(code, `the email was not handled: ${error}`, "deliver the email again", { cause });
      }
      return reviews[0]?.thread_id ?? threadIdFor(userId, email);
    },
  };
}
