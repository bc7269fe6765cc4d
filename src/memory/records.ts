import { z } from "zod";
import { automaticReasonSchema, cleanText, type Email } from "../email.ts";
import { keptThreadId } from "./scope.ts";
import { trustSchema } from "./trust.ts";

/** The three labels of triage. */
export const LABELS = ["ignore", "notify", "respond"] as const;

/** One of {@link LABELS}. */
export const labelSchema = z.enum(LABELS);

/** See {@link labelSchema}. */
export type Label = z.infer<typeof labelSchema>;

/** By which header a rule that code wrote from a relabel tells its emails; each value is copied from an email. */
export const ruleMatchSchema = z.object({
  from: z.string().optional(),
  domain: z.string().optional(),
  list_id: z.string().optional(),
});

/** See {@link ruleMatchSchema}. */
export type RuleMatch = z.infer<typeof ruleMatchSchema>;

/** One learnt rule. `evidence` is what it rests on: the user's words, or the ids of the emails they labelled. */
export const ruleSchema = z.object({
  id: z.string(),
  text: z.string().min(1),
  origin: z.object({ actor: z.string(), at: z.string(), evidence: z.string(), feedback: z.string().optional() }),
  match: ruleMatchSchema.optional(),
});

/** One learnt rule of a prompt, with what it rests on. */
export type Rule = z.infer<typeof ruleSchema>;

/**
 * The head of one prompt: `prompt` is its whole current text. Only that field is needed, so that prompts written
 * by programs that follow the guides' layout are read; other fields of theirs are kept.
 */
export const promptRecordSchema = z.looseObject({
  prompt: z.string().min(1),
  rules: z.array(ruleSchema).catch([]),
  version: z.int().min(0).catch(0),
  default_hash: z.string().optional().catch(undefined),
});

/** See {@link promptRecordSchema}. */
export type PromptRecord = z.infer<typeof promptRecordSchema>;

/** The part of an email that is kept: enough to recognise and show it. */
export const keptEmailSchema = z.object({
  id: z.string(),
  from: z.string(),
  to: z.string(),
  subject: z.string(),
  body: z.string(),
  cc: z.string().optional(),
  date: z.string().optional(),
  thread_id: z.string().optional(),
  list_id: z.string().optional(),
  attachments: z.array(z.string()).optional(),
  message_id: z.string().optional(),
  references: z.array(z.string()).optional(),
  automatic: automaticReasonSchema.optional().catch(undefined),
  /** Whether the body is longer than what is kept of it. */
  cut: z.boolean().optional(),
});

/** See {@link keptEmailSchema}. */
export type KeptEmail = z.infer<typeof keptEmailSchema>;

const comparedEmailSchema = keptEmailSchema.pick({ from: true, to: true, subject: true, body: true });

/** The part of an email by which it is compared with others; it is embedded as JSON. */
export type ComparedEmail = z.infer<typeof comparedEmailSchema>;

/** A labelled example. The label is one the user gave or confirmed. */
export const exampleRecordSchema = z.looseObject({
  email: comparedEmailSchema,
  label: labelSchema,
  at: z.string(),
  list_id: z.string().optional(),
});

/** See {@link exampleRecordSchema}. */
export type ExampleRecord = z.infer<typeof exampleRecordSchema>;

/** The draft of an answer, as `write_email` records it. Nothing is sent. */
export const draftSchema = z.object({ to: z.string(), subject: z.string(), body: z.string() });

/** See {@link draftSchema}. */
export type Draft = z.infer<typeof draftSchema>;

/** An event that was proposed to the user. `start` is local time, `YYYY-MM-DDTHH:MM`. */
export const proposedEventSchema = z.object({
  title: z.string(),
  attendees: z.array(z.string()),
  start: z.string(),
  duration_minutes: z.number(),
});

/** See {@link proposedEventSchema}. */
export type ProposedEvent = z.infer<typeof proposedEventSchema>;

/**
 * What a model wants to remember of an email. `id` names it to the model while it works on that email; `supersedes` is
 * the key of the memory that it would take the place of.
 */
export const proposedFactSchema = z.object({ id: z.string(), content: z.string(), supersedes: z.string().optional() });

/** See {@link proposedFactSchema}. */
export type ProposedFact = z.infer<typeof proposedFactSchema>;

/** The events proposed for one email. */
export const proposedEventsSchema = z.looseObject({ events: z.array(proposedEventSchema) });

/**
 * One memory that went into a decision or a draft: a learnt rule (`key` is its prompt), an example, or what is known
 * of people.
 */
export const usedMemorySchema = z.object({
  kind: z.enum(["procedural", "semantic", "episodic"]),
  key: z.string(),
  content: z.string(),
  rule: z.string().optional(),
});

/** See {@link usedMemorySchema}. */
export type UsedMemory = z.infer<typeof usedMemorySchema>;

/** Which version of a prompt went into a decision. */
export const usedPromptSchema = z.object({ name: z.string(), version: z.number() });

/** See {@link usedPromptSchema}. */
export type UsedPrompt = z.infer<typeof usedPromptSchema>;

/**
 * What was decided about one processed email, and with which memories. `request` names what the model was shown for
 * triage, so that the same question need not be asked again.
 */
export const decisionRecordSchema = z.looseObject({
  email: keptEmailSchema,
  label: labelSchema,
  reason: z.string(),
  draft: draftSchema.nullable(),
  events: z.array(proposedEventSchema),
  memories: z.array(usedMemorySchema),
  prompts: z.array(usedPromptSchema).catch([]),
  model: z.string().optional(),
  request: z.string().optional(),
  trust: trustSchema.optional(),
  /** Whether its facts were queued for extraction: not again when the email is handled again. */
  extracted: z.boolean().optional(),
  at: z.string(),
});

/** See {@link decisionRecordSchema}. */
export type DecisionRecord = z.infer<typeof decisionRecordSchema>;

const KEPT_BODY_LIMIT = 4_000;

/** The part of an email that memory keeps: each text cut at 4,000 characters, without invisible characters. */
export function keepEmail(email: Email): KeptEmail {
  const { id, date, list_id } = email;
  const cut = (text: string | undefined, limit = KEPT_BODY_LIMIT) => text && cleanText(text.slice(0, limit));
  return {
    id,
    ...compareEmail(email),
    cc: cut(email.cc),
    date,
    thread_id: email.thread_id && keptThreadId(email.thread_id),
    list_id,
    attachments: email.attachments,
    message_id: email.message_id,
    references: email.references,
    automatic: email.automatic,
    ...(email.body.length > KEPT_BODY_LIMIT ? { cut: true } : {}),
  };
}

/** The part of an email that is compared, cut like {@link keepEmail}. */
export function compareEmail({ from, to, subject, body }: ComparedEmail): ComparedEmail {
  const kept = (text: string) => cleanText(text.slice(0, KEPT_BODY_LIMIT));
  return { from: kept(from), to: kept(to), subject: kept(subject), body: kept(body) };
}
