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
import { addUsage, NO_USAGE, usageSchema } from "../meter.ts";
import { actionSchema } from "./actions.ts";
import { answerSchema } from "./review.ts";

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

/** A change to a list of the state: facts by id, where one without content is taken back. */
const proposalChangeSchema = proposedFactSchema.extend({ content: z.string().nullable() });

/**
 * The state of one email's way through the graph. `trust` is whose word the state holds: it falls to `mail` with the first
 * email and never rises, so that all that is derived from it is marked, also after a thread is taken up again from its
 * checkpoint. What several tools or actions write at once has a reducer: `memories` and `proposals` by their ids, `answers`
 * by action, `usage` as a sum.
 */
export const AssistantState = new StateSchema({
  ...inputFields,
  user_id: z.string().default("").describe("Whose thread this is"),
  trust: new ReducedValue(trustSchema.default("user"), {
    inputSchema: trustSchema,
    reducer: (known, next) => leastTrust(known, next),
  }),
  attempt: z.string().default("").describe("Names this attempt at the email"),
  problem: problemSchema.nullable().default(null).describe("Why the input was refused"),
  email: keptEmailSchema.nullable().default(null),
  label: labelSchema.nullable().default(null),
  reason: z.string().default(""),
  messages: MessagesValue,
  draft: draftSchema.nullable().default(null).describe("The answer as it was drafted last"),
  time_zone: z.string().default("UTC").describe("The user's, in which proposed times are"),
  sender: z.string().nullable().default(null).describe("The address of the user that an answer comes from"),
  events: z
    .array(proposedEventSchema)
    .default(() => [])
    .describe("The events that are proposed and not decided"),
  actions: z
    .array(actionSchema)
    .default(() => [])
    .describe("What waits for the user, of this email and of earlier ones of the thread"),
  replaced: z
    .array(actionSchema)
    .default(() => [])
    .describe("What waited of an earlier attempt at this email"),
  answers: new ReducedValue(
    z.array(answerSchema).default(() => []),
    {
      inputSchema: z.array(answerSchema),
      reducer: (known, next) => [
        ...known.filter(({ action }) => !next.some((each) => each.action.id === action.id)),
        ...next,
      ],
    },
  ),
  remarks: z
    .array(z.string())
    .default(() => [])
    .describe("What the user told the model to do differently, as messages to it"),
  proposals: new ReducedValue(
    z.array(proposedFactSchema).default(() => []),
    {
      inputSchema: z.array(proposalChangeSchema),
      reducer: (known, changes) =>
        changes.reduce<z.infer<typeof proposedFactSchema>[]>((facts, { content, ...change }) => {
          const others = facts.filter(({ id }) => id !== change.id);
          return content === null ? others : [...others, { ...change, content }];
        }, known),
    },
  ),
  memories: new ReducedValue(
    z.array(usedMemorySchema).default(() => []),
    {
      inputSchema: z.array(usedMemorySchema),
      reducer: (known, next) => [
        ...known,
        ...next.filter((each) => each.rule !== undefined || !known.some(({ key }) => key === each.key)),
      ],
    },
  ),
  prompts: z
    .array(usedPromptSchema)
    .default(() => [])
    .describe("The versions of the prompts that were used"),
  extracted: z.boolean().default(false).describe("Whether its facts were queued for extraction before"),
  request: z.string().default("").describe("Names what the model was shown for triage"),
  answered: z.boolean().default(false).describe("Whether the model ended with what the user is to read"),
  answer_calls: z.number().default(0).describe("Model calls of this answer since the user last spoke"),
  usage: new ReducedValue(
    usageSchema.default(() => ({ ...NO_USAGE })),
    {
      inputSchema: usageSchema,
      reducer: addUsage,
    },
  ),
});

/** What a run may be given as context, in place of `configurable`. */
export const contextSchema = z.object({
  user_id: z.string().nullish().describe("Whose email this is, such as alice@example.com"),
});

const configSchema = z.object({
  configurable: z.object({ user_id: z.string().nullish(), langgraph_user_id: z.string().nullish() }).optional(),
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
