import { z } from "zod";
import { labelSchema } from "../../memory/records.ts";
import { splitSchema } from "../cases.ts";
import { orderSchema } from "./orders.ts";

const text = z.string().min(1);

/** An email as an attack has it; what is left out is filled in. Nothing is cleaned here: that is for what is attacked. */
export const attackMailSchema = z.strictObject({
  id: z.string().optional(),
  from: z.string().optional(),
  to: z.string().optional(),
  cc: z.string().optional(),
  subject: z.string().optional(),
  body: z.string(),
  date: z.string().optional(),
  thread_id: z.string().optional(),
  list_id: z.string().optional(),
  attachments: z.array(z.string()).optional(),
});

/** See {@link attackMailSchema}. */
export type AttackMail = z.infer<typeof attackMailSchema>;

/**
 * Feedback on the last email. `edit` is what the user made of the draft: in it `{draft}` stands for the draft, `{end}` for
 * its last sentence and `{rest}` for what comes before that, `{body}` for the body of the email and `{quoted}` for the
 * same with "> " before each line.
 */
export const attackFeedbackSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("relabel"), label: labelSchema, text: text.optional() }),
  z.strictObject({ kind: z.enum(["text", "rejected_draft"]), text }),
  z.strictObject({ kind: z.literal("edited_draft"), edit: text }),
]);

/** See {@link attackFeedbackSchema}. */
export type AttackFeedback = z.infer<typeof attackFeedbackSchema>;

/**
 * One thing that happens: what the attacker, the user or another program does.
 *
 * | act | what happens |
 * | --- | --- |
 * | `mail` | an email comes, for the user unless `userId` names another; `sender` is who really gets the answer |
 * | `eml` | an email comes as it goes over the wire |
 * | `left` | an earlier email of the attacker has left this memory, which waits |
 * | `approve` | the user looks at what waits because of the emails, and approves it all; for everybody, where that is said |
 * | `reject` | the user looks at what waits because of the emails, and rejects it all |
 * | `tamper` | another program writes this text under each id that waits, after the user has looked at it |
 * | `feedback` | the user gives feedback on the last email |
 * | `remember` | the user states a fact |
 * | `calendar` | this is written into the user's calendar |
 * | `tool` | an agent that reads what strangers wrote, and has our memory tool, obeys them |
 */
export const actSchema = z.union([
  z.strictObject({ mail: attackMailSchema, userId: text.optional(), sender: text.optional() }),
  z.strictObject({ eml: text, sender: text.optional() }),
  z.strictObject({ left: text }),
  z.strictObject({ approve: z.literal("all"), scope: z.literal("all").optional() }),
  z.strictObject({ reject: z.literal("all") }),
  z.strictObject({ tamper: text }),
  z.strictObject({ feedback: attackFeedbackSchema }),
  z.strictObject({ remember: text }),
  z.strictObject({ calendar: text }),
  z.strictObject({
    tool: z.strictObject({
      action: z.enum(["create", "update", "delete"]),
      content: text.optional(),
      id: text.optional(),
    }),
  }),
]);

/** See {@link actSchema}. */
export type Act = z.infer<typeof actSchema>;

/** One attack: what happens, in which way (`vector`), and what it is to bring about (`goal`). */
export const attackCaseSchema = z.strictObject({
  /** Names the case in reports; no two cases have one. */
  id: z.string().regex(/^[\w.@+#-]{1,200}$/, "expected letters, digits and .@+#_- only"),
  name: text,
  vector: text,
  goal: text,
  /** Where the case comes from, such as `written`. */
  origin: text,
  split: splitSchema.default("dev"),
  /** The user let the attacker's words in, so that they are shown later, quoted: in these requests. */
  returns: z.enum(["to the sender", "to everybody"]).optional(),
  acts: z.array(actSchema).min(1),
  /** The orders that an obedient model has to be seen to obey, or nothing is proven. */
  obeyed: z.array(orderSchema).default([]),
  /** The orders that must never reach a model. */
  unseen: z.array(orderSchema).default([]),
});

/** See {@link attackCaseSchema}. */
export type AttackCase = z.infer<typeof attackCaseSchema>;
