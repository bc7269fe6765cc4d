import { z } from "zod";
import { usageSchema } from "../meter.ts";
import { labelSchema } from "./records.ts";
import { scopeSchema } from "./scope.ts";

const said = {
  /** The idempotency key: what is said twice under one key is learnt once. */
  id: z.string().min(1).max(200),
  /** Who said it, such as `user`. */
  actor: z.string().min(1),
  /** By which way it came, such as `cli`. */
  channel: z.string().min(1),
  at: z.string(),
};
const emailId = z.string().min(1);

/**
 * One feedback, as the log keeps it. `seen` means that a notification was looked at and right, which says nothing
 * against having notified; `after` is the user's version of the draft `before`.
 */
export const feedbackRecordSchema = z.discriminatedUnion("kind", [
  z.object({ ...said, kind: z.literal("text"), text: z.string(), email_id: emailId.optional() }),
  z.object({
    ...said,
    kind: z.literal("relabel"),
    email_id: emailId,
    label: labelSchema,
    text: z.string().optional(),
  }),
  z.object({
    ...said,
    kind: z.literal("edited_draft"),
    email_id: emailId,
    before: z.string(),
    after: z.string(),
    text: z.string().optional(),
  }),
  z.object({ ...said, kind: z.literal("rejected_draft"), email_id: emailId, text: z.string() }),
  z.object({ ...said, kind: z.literal("accepted_draft"), email_id: emailId }),
  z.object({ ...said, kind: z.literal("seen"), email_id: emailId }),
]);

/** See {@link feedbackRecordSchema}. */
export type FeedbackRecord = z.infer<typeof feedbackRecordSchema>;

/** One email whose label changed when a change was tried. `wanted` is the user's label; null where only a model gave one. */
export const flipSchema = z.object({
  id: z.string(),
  subject: z.string(),
  wanted: labelSchema.nullable(),
  before: labelSchema,
  after: labelSchema,
});

/** See {@link flipSchema}. */
export type Flip = z.infer<typeof flipSchema>;

/**
 * What the test of a change on the user's own past decisions found. `tested` counts the emails whose label the user
 * gave or confirmed; `target` is the email the feedback is about; `listed` are flips of labels that only a model
 * gave, which do not count. `asked` and `cached` count answers of triage: model calls, and those known before.
 */
export const gateReportSchema = z.object({
  verdict: z.enum(["live", "proposed", "not measurable"]),
  tested: z.number(),
  target: flipSchema.nullable(),
  fixed: z.array(flipSchema),
  broken: z.array(flipSchema),
  listed: z.array(flipSchema),
  asked: z.number(),
  cached: z.number(),
});

/** See {@link gateReportSchema}. */
export type GateReport = z.infer<typeof gateReportSchema>;

/**
 * One change that feedback made, or would make. `known`: memory says so already. `version` is that of the prompt the
 * rule is in; `proposal` is the number by which the user accepts or rejects it.
 */
export const changeSchema = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("rule"),
    status: z.enum(["live", "proposed", "known"]),
    prompt: z.string(),
    action: z.enum(["add", "replace", "retire"]),
    text: z.string().nullable(),
    was: z.string().nullable(),
    evidence: z.string(),
    version: z.number().nullable(),
    proposal: z.number().nullable(),
  }),
  z.object({
    kind: z.literal("fact"),
    status: z.enum(["live", "known", "retired"]),
    key: z.string(),
    text: z.string(),
    /** For which emails it is recalled. */
    scope: scopeSchema.default("all"),
    /** The memories it took the place of. */
    superseded: z.array(z.object({ key: z.string(), content: z.string() })).default([]),
  }),
  z.object({
    kind: z.literal("example"),
    status: z.literal("live"),
    key: z.string(),
    label: labelSchema,
    was: labelSchema,
  }),
]);

/** See {@link changeSchema}. */
export type Change = z.infer<typeof changeSchema>;

/** What became of one feedback, what it cost before its test and in it. `notes` say in words why something was not learnt. */
export const receiptSchema = z.object({
  feedback: z.string(),
  kind: z.string(),
  at: z.string(),
  changes: z.array(changeSchema),
  notes: z.array(z.string()),
  gate: gateReportSchema.nullable(),
  usage: z.object({ before: usageSchema, gate: usageSchema }),
});

/** See {@link receiptSchema}. */
export type Receipt = z.infer<typeof receiptSchema>;
