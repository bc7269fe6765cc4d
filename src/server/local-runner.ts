import type { OpenAssistant } from "../assistant.ts";
import { MnemailError } from "../errors.ts";
import type { ThreadRunner } from "./open.ts";

/** Runs threads in this process, on checkpoints of its own. */
export function createLocalRunner(assistant: Pick<OpenAssistant, "handle" | "reviews">): ThreadRunner {
  return {
    reviews: () => assistant.reviews,
    async deliver({ userId }, email) {
      const { status, error, code = "model" } = await assistant.handle(userId, email);
      if (status === "failed")
        throw new MnemailError(code, `${email.id}: ${error ?? "failed"}`, "deliver the email again");
    },
  };
}
