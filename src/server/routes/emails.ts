import { Hono } from "hono";
import { threadIdFor } from "../../agent/thread-id.ts";
import { type Email, emailSchema } from "../../email.ts";
import type { Memory } from "../../memory/memory.ts";
import type { DecisionRecord } from "../../memory/records.ts";
import { similarityText, suffixedId } from "../../memory/semantic.ts";
import type { Reviews } from "../../reviews/reviews.ts";
import { type Caller, type HttpEnv, readBody } from "../caller.ts";

/** What the delivery of emails works with. `deliver` handles one email to its end, or until it waits for the user. */
export interface EmailParts {
  memory: Pick<Memory, "deliveries" | "findDecision">;
  reviewsOf(caller: Caller): Reviews;
  /** @throws MnemailError or what the run failed with; nothing of the email is remembered then. */
  deliver(caller: Caller, email: Email): Promise<void>;
  now(): Date;
}

/**
 * `POST /emails`: handles one email. One that was delivered before, or is just being handled, is not handled again; one
 * whose handling failed, or was cut off ten minutes ago, is.
 */
export function emailRoutes({ memory, reviewsOf, deliver, now }: EmailParts): Hono<HttpEnv> {
  const { deliveries } = memory;
  return new Hono<HttpEnv>().post("/emails", async (c) => {
    const caller = c.get("caller");
    const { userId } = caller;
    const email = await readBody(c, emailSchema, "email");
    const threadId = threadIdFor(userId, email);
    const reply = async (status: "running" | "done", duplicate: boolean) => {
      const decided = status === "done" ? await findDecision(memory, userId, email) : undefined;
      const waiting = status === "done" ? await reviewsOf(caller).list(userId) : [];
      const { label = null, reason = null, draft = null } = decided ?? {};
      return c.json({
        ...{ duplicate, status, id: decided?.email.id ?? email.id, thread_id: threadId, label, reason, draft },
        reviews: waiting.filter(({ thread_id }) => thread_id === threadId),
      });
    };
    const claim = await deliveries.claim(userId, email, now());
    if (claim.status !== "claimed") return reply(claim.status, true);
    try {
      await deliver(caller, email);
    } catch (error) {
      await deliveries.release(userId, claim);
      throw error;
    }
    await deliveries.finish(userId, claim, now());
    return reply("done", false);
  });
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
