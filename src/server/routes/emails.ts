import { Hono } from "hono";
import { type Email, emailSchema } from "../../email.ts";
import type { Memory } from "../../memory/memory.ts";
import type { DecisionRecord, KeptEmail } from "../../memory/records.ts";
import { similarityText, suffixedId } from "../../memory/semantic.ts";
import type { Reviews } from "../../reviews/reviews.ts";
import { type Caller, type HttpEnv, readBody } from "../caller.ts";

/** What the delivery of emails works with. */
export interface EmailParts {
  memory: Pick<Memory, "deliveries" | "findDecision">;
  reviewsOf(caller: Caller): Reviews;
  /**
   * Handles one email to its end, or until it waits for the user, and tells the id of its thread.
   *
   * @throws MnemailError or what the run failed with; nothing of the email is remembered then.
   */
  deliver(caller: Caller, email: Email): Promise<string>;
  /** The id of the thread of an email that was delivered before. */
  threadOf(caller: Caller, email: Email): Promise<string>;
  now(): Date;
}

/**
 * `POST /emails`: handles one email. One that was delivered before, or is just being handled, is not handled again; one
 * whose handling failed, or was cut off ten minutes ago, is.
 */
export function emailRoutes({ memory, reviewsOf, deliver, threadOf, now }: EmailParts): Hono<HttpEnv> {
  const { deliveries } = memory;
  return new Hono<HttpEnv>().post("/emails", async (c) => {
    const caller = c.get("caller");
    const { userId } = caller;
    const email = await readBody(c, emailSchema, "email");
    const reply = async (status: "running" | "done", delivered?: string) => {
      const decided = status === "done" ? await findDecision(memory, userId, email) : undefined;
      // Others of its conversation wait in the same thread.
      const waiting = status === "done" ? await reviewsOf(caller).list(userId) : [];
      const reviews = waiting.filter((each) => isAbout(each.email, email));
      const threadId = delivered ?? reviews[0]?.thread_id ?? (await threadOf(caller, email));
      const duplicate = delivered === undefined;
      const { label = null, reason = null, draft = null } = decided ?? {};
      const outcome = reviews.length > 0 ? "pending_review" : status;
      return c.json({
        ...{ duplicate, status: outcome, id: decided?.email.id ?? email.id, thread_id: threadId, label, reason, draft },
        reviews,
      });
    };
    const claim = await deliveries.claim(userId, email, now());
    if (claim.status !== "claimed") return reply(claim.status);
    let threadId: string;
    try {
      threadId = await deliver(caller, email);
    } catch (error) {
      await deliveries.release(userId, claim);
      throw error;
    }
    await deliveries.finish(userId, claim, now());
    return reply("done", threadId);
  });
}

/** Whether what is kept is this very email: its id alone is its sender's choice. */
function isAbout(kept: KeptEmail, email: Email): boolean {
  return [email.id, suffixedId(email)].includes(kept.id) && similarityText(kept) === similarityText(email);
}

/** What was decided about an email, which has an id of its own where the user has another of its Message-ID. */
async function findDecision(
  memory: EmailParts["memory"],
  userId: string,
  email: Email,
): Promise<DecisionRecord | undefined> {
  const decision = await memory.findDecision(userId, email.id);
  const isOther = decision !== undefined && similarityText(decision.email) !== similarityText(email);
  return isOther ? memory.findDecision(userId, suffixedId(email)) : decision;
}
