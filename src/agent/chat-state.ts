import { MessagesValue, ReducedValue, StateSchema } from "@langchain/langgraph";
import { z } from "zod";
import { leastTrust, trustSchema } from "../memory/trust.ts";

/**
 * Something that a message of a chat changed, in words of code: a fact that is live or no longer true, a memory that
 * waits for the user's approval, a rule or fact that was learnt from feedback, or one that is proposed. `id` names it.
 */
export const chatChangeSchema = z.object({
  what: z.enum(["remembered", "no longer remembered", "waits for approval", "learnt", "proposed"]),
  id: z.string().nullable(),
  text: z.string(),
});

/** See {@link chatChangeSchema}. */
export type ChatChange = z.infer<typeof chatChangeSchema>;

const message = z.string().nullable().optional().describe("What the user says, at most 4,000 characters");

/** The input of the chat graph. */
export const ChatInput = new StateSchema({ message });

/**
 * The state of a chat. `trust` is whose words it holds: the user's alone, until a tool shows what comes from mail; it
 * never rises, also after the chat is taken up again from its checkpoint. `topic` is what the chat began with.
 */
export const ChatState = new StateSchema({
  message,
  user_id: z.string().default("").describe("Whose chat this is"),
  topic: z.string().default(""),
  trust: new ReducedValue(trustSchema.default("user"), {
    inputSchema: trustSchema,
    reducer: (known, next) => leastTrust(known, next),
  }),
  messages: MessagesValue,
  changes: z
    .array(chatChangeSchema)
    .default(() => [])
    .describe("What the last message of the user changed"),
  answer_calls: z.number().default(0),
});
