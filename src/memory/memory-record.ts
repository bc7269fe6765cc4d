import { z } from "zod";
import { scopeSchema } from "./scope.ts";
import { trustSchema } from "./trust.ts";

/** Characters of one memory. */
export const CONTENT_LIMIT = 2_000;

/**
 * A memory of a person or a conversation. `fact` is knowledge in words; `conversation` is written by code when an
 * email is finished and holds no word of the email. Records of other programs are read by their `content`; who wrote
 * them is not known, so they count as mail.
 */
export const memoryRecordSchema = z.looseObject({
  content: z.string().min(1),
  kind: z.enum(["fact", "conversation"]).default("fact"),
  trust: trustSchema.default("mail"),
  scope: scopeSchema.default("all"),
  /** Who wrote the words: the user, the model while it answered, the model afterwards, or code. */
  author: z.enum(["user", "agent", "extraction", "code"]).optional(),
  /** Whose email it was made from: an addr-spec. */
  person: z.string().optional(),
  /** The id of that email. */
  source: z.string().optional(),
  /** Who took part in the conversation, where that is the scope: only they open it. */
  people: z.array(z.string()).optional(),
  /** The key of the feedback that said it. */
  feedback: z.string().optional(),
  /** When it was recorded. */
  at: z.string().optional(),
  /** Since when it holds. */
  valid_from: z.string().optional(),
  /** When the user approved a memory from mail. */
  approved_at: z.string().optional(),
  /** The keys of the memories it takes the place of; while it is pending, would take. */
  supersedes: z.array(z.string()).optional(),
  superseded_at: z.string().optional(),
  superseded_by: z.string().optional(),
});

/** See {@link memoryRecordSchema}. */
export type MemoryRecord = z.infer<typeof memoryRecordSchema>;

/** Days after which a memory is gone, by what it is. What the user said of people stays. */
export const MEMORY_DAYS = { conversation: 365, approved: 365, thread: 90, pending: 90, superseded: 365 } as const;

/** The days a memory is kept; undefined for those that stay. */
export function daysOf(record: Pick<MemoryRecord, "kind" | "trust" | "scope">): number | undefined {
  if (record.kind === "conversation") return MEMORY_DAYS.conversation;
  if (record.scope.startsWith("thread:")) return MEMORY_DAYS.thread;
  return record.trust === "mail" ? MEMORY_DAYS.approved : undefined;
}
