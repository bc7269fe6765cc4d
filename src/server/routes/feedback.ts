import { Hono } from "hono";
import { z } from "zod";
import type { OpenAssistant } from "../../assistant.ts";
import { labelSchema } from "../../memory/records.ts";
import { type HttpEnv, readBody } from "../caller.ts";

const said = {
  id: z.string().optional(),
  dry_run: z.boolean().default(false),
};
const text = z.string();

/** Feedback as a program sends it; `id` is the idempotency key. How long texts may be, and the rest, is learning's to say. */
const feedbackSchema = z.discriminatedUnion("kind", [
  z.strictObject({ ...said, kind: z.literal("text"), text, email_id: text.optional() }),
  z.strictObject({ ...said, kind: z.literal("relabel"), email_id: text, label: labelSchema, text: text.optional() }),
  z.strictObject({ ...said, kind: z.literal("edited_draft"), email_id: text, after: text, text: text.optional() }),
  z.strictObject({ ...said, kind: z.literal("rejected_draft"), email_id: text, text }),
  z.strictObject({ ...said, kind: z.literal("accepted_draft"), email_id: text }),
  z.strictObject({ ...said, kind: z.literal("seen"), email_id: text }),
]);

/** `POST /feedback`: learns from what the caller says, and replies with the receipt. */
export function feedbackRoutes(learn: OpenAssistant["learn"]): Hono<HttpEnv> {
  return new Hono<HttpEnv>().post("/feedback", async (c) => {
    const { dry_run: dryRun, ...feedback } = await readBody(c, feedbackSchema, "feedback");
    const { userId } = c.get("caller");
    const outcome = await learn(userId, { ...feedback, actor: "user", channel: "api" }, { dryRun });
    return c.json({ dry_run: dryRun, ...outcome });
  });
}
