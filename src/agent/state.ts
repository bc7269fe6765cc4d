import { MessagesValue, ReducedValue, StateSchema } from "@langchain/langgraph";
import { z } from "zod";
import { ERROR_CODES, MnemailError } from "../errors.ts";
import {
  draftSchema,
  keptEmailSchema,
  labelSchema,
  proposedEventSchema,
  proposedFactSchema,
  usedMemorySchema,
  usedPromptSchema,
} from "../memory/records.ts";
import { leastTrust, trustSchema } from "../memory/trust.ts";
import { NO_USAGE, usageSchema } from "../meter.ts";

const text = (description: string) => z.string().nullable().optional().describe(description);

/**
 * What a caller gives the graph: one email, as `email_input` or with its fields at the top, in either spelling
 * that `emailSchema` accepts.
 * The first node checks and clears all of it, so that the thread's next email finds nothing of this one's.
 */
export const inputFields = {
  email_input: z
    .record(z.string(), z.unknown())
    .nullable()
    .optional()
    .describe("One email: { from, to, subject, body }, or LangChain's { author, to, subject, email_thread }"),
  id: z.union([z.string(), z.number()]).nullable().optional().describe("Message-ID; a content hash when absent"),
  from: text("From header, such as Ada <ada@example.com>"),
  author: text("LangChain's spelling of from"),
  to: text("To header"),
  cc: text("Cc header"),
  subject: text("Subject header"),
  body: text("The text of the email"),
  email_thread: text("LangChain's spelling of body"),
  date: text("Date header or ISO 8601"),
  thread_id: text("Names the conversation the email belongs to"),
  list_id: text("List-Id header of a mailing list"),
};

const problemSchema = z.object({
  code: z.enum(ERROR_CODES),
  message: z.string(),
  hint: z.string().optional(),
});

/** The input of the graph. */
export const InputState = new StateSchema(inputFields);

/**
 * The state of one email's way through the graph. `usage` is what its nodes used so far. `trust` is whose word the state
 * holds: it falls to `mail` with the first email and never rises, so that all that is derived from it is marked, also
 * after a thread is taken up again from its checkpoint.
 */
export const AssistantState = new StateSchema({
  ...inputFields,
  user_id: z.string().default("").describe("Whose thread this is"),
  trust: new ReducedValue(trustSchema.default("user"), {
    inputSchema: trustSchema,
    reducer: (known, next) => leastTrust(known, next),
  }),
  problem: problemSchema.nullable().default(null).describe("Why the input was refused"),
  email: keptEmailSchema.nullable().default(null),
  label: labelSchema.nullable().default(null),
  reason: z.string().default(""),
  messages: MessagesValue,
  draft: draftSchema.nullable().default(null),
  events: z.array(proposedEventSchema).default(() => []),
  proposals: z.array(proposedFactSchema).default(() => []),
  memories: z.array(usedMemorySchema).default(() => []),
  prompts: z
    .array(usedPromptSchema)
    .default(() => [])
    .describe("The versions of the prompts that were used"),
  extracted: z.boolean().default(false).describe("Whether its facts were queued for extraction before"),
  request: z.string().default("").describe("Names what the model was shown for triage"),
  answer_calls: z.number().default(0),
  usage: usageSchema.default(() => ({ ...NO_USAGE })),
});

/** What a run may be given as context, in place of `configurable`. */
export const contextSchema = z.object({
  user_id: z.string().nullish().describe("Whose email this is, such as alice@example.com"),
});

const configSchema = z.object({
  configurable: z.looseObject({ user_id: z.string().nullish(), langgraph_user_id: z.string().nullish() }).optional(),
  context: contextSchema.optional(),
});

/**
 * Whose memory a run works with: `configurable.user_id`, `configurable.langgraph_user_id` (both spellings of the
 * guides) or the run's context.
 *
 * @throws MnemailError("usage") when there is none or when they disagree: never a shared default.
 */
export function userIdOf(config: unknown): string {
  const parsed = configSchema.safeParse(config);
  const { configurable, context } = parsed.success ? parsed.data : {};
  const given = [configurable?.user_id, configurable?.langgraph_user_id, context?.user_id].filter(
    (id): id is string => typeof id === "string" && id.trim() !== "",
  );
  const [userId, ...others] = new Set(given);
  if (userId === undefined) {
    throw new MnemailError("usage", "user id: none given; set configurable.user_id, such as alice@example.com");
  }
  if (others.length > 0) {
    throw new MnemailError("usage", `user id: saw ${[...new Set(given)].join(" and ")}; give one`);
  }
  return userId;
}
