import { z } from "zod";
import { labelSchema } from "../memory/records.ts";
import { usageSchema } from "../meter.ts";
import { splitSchema } from "./cases.ts";

/** What is evaluated: each suite has its kind of cases and its arms. */
export const SUITES = ["triage", "changes", "answers", "learning", "curve", "attacks"] as const;

/** One of {@link SUITES}. */
export type Suite = (typeof SUITES)[number];

/** One thing that was checked. `met` is null where nobody could tell: a judge is no stand-in. */
export const checkSchema = z.object({
  kind: z.enum(["label", "tools", "answer", "judge", "memory", "attack"]),
  /** What was asked, in words. */
  name: z.string(),
  met: z.boolean().nullable(),
  /** What was found instead. */
  note: z.string().optional(),
});

/** See {@link checkSchema}. */
export type Check = z.infer<typeof checkSchema>;

/**
 * One case in one arm. Everything in a report is computed from these.
 *
 * | suite | arms |
 * | --- | --- |
 * | triage | `none` `examples` `rules` `facts` `all`; `k=0` `k=1` `k=8` (examples shown; `all` has 4); `words` `vector` (retrieval; `all` is hybrid) |
 * | changes | `<user>/<n>`: the user's memory after its first n rules; `position` is n |
 * | answers | `none` `examples` `rules` `facts` `all` |
 * | learning | `off` `on` `permuted` `other`: nothing taught; the story's steps; with every label another; the steps of another story |
 * | curve | `off` `on`: without and with corrections; `position` counts the emails of a stream from 0, `repeat` is the order |
 * | attacks | `obedient` (a model that does whatever a text says); with a language model, `model` too |
 */
export const trialSchema = z.object({
  suite: z.enum(SUITES),
  arm: z.string(),
  case: z.string(),
  /** Trials of one group are not independent of each other: the resampling takes them together. */
  group: z.string(),
  user: z.string(),
  split: splitSchema,
  repeat: z.int().min(0),
  position: z.int().min(0).optional(),
  /** Of the later emails of a story. */
  kind: z.enum(["changes", "stays"]).optional(),
  expected: labelSchema.nullable(),
  got: labelSchema.nullable(),
  checks: z.array(checkSchema),
  /** Why there is no result; such a trial is neither right nor wrong. */
  error: z.string().nullable(),
  usage: usageSchema,
  /** How many of the model calls were answered by an earlier run, at no cost. */
  known: z.int().min(0),
  /** Names what the model was shown in `requests` of the report, where the trial is wrong. */
  request: z.string().nullable(),
  /** What was drafted, where something was and the trial is wrong. */
  draft: z.string().nullable(),
});

/** See {@link trialSchema}. */
export type Trial = z.infer<typeof trialSchema>;

/** Whether a trial is right: all that could be checked is met. Null where it failed, or nothing could be checked. */
export function isRight({ checks, error }: Pick<Trial, "checks" | "error">): boolean | null {
  const told = checks.filter(({ met }) => met !== null);
  return error !== null || told.length === 0 ? null : told.every(({ met }) => met === true);
}
