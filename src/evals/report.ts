import { z } from "zod";
import { labelSchema } from "../memory/records.ts";
import { SUITES, trialSchema } from "./trial.ts";

const interval = z.tuple([z.number(), z.number()]);

/**
 * How often something is right, of those that did not fail. The interval is Wilson's, of 95 %, as if each case had been
 * tried once: repeats of a case are no further cases. Null rates are of nothing.
 */
export const rateSchema = z.object({
  right: z.int(),
  of: z.int(),
  errors: z.int(),
  rate: z.number().nullable(),
  interval: interval.nullable(),
});

/** See {@link rateSchema}. */
export type Rate = z.infer<typeof rateSchema>;

/** How labels were given. A class without predictions has no precision, one without cases no recall. */
export const labelSummarySchema = z.object({
  classes: z.array(
    z.object({
      label: labelSchema,
      support: z.int(),
      precision: z.number().nullable(),
      recall: z.number().nullable(),
      f1: z.number().nullable(),
    }),
  ),
  macro_f1: z.number().nullable(),
  /** `counts[i][j]`: of label i (in the order of `classes`), how many got label j. */
  confusion: z.array(z.array(z.int())),
});

/** See {@link labelSummarySchema}. */
export type LabelSummary = z.infer<typeof labelSummarySchema>;

/** What a comparison comes to. */
export const VERDICTS = ["improved", "regressed", "no effect detected", "inconclusive"] as const;

/** Two arms on the same cases: `b` against `a`. Cases that failed in either are in neither. */
export const comparisonSchema = z.object({
  name: z.string(),
  a: z.string(),
  b: z.string(),
  pairs: z.int(),
  groups: z.int(),
  rate_a: z.number().nullable(),
  rate_b: z.number().nullable(),
  /** `rate_b - rate_a`, with its interval of 95 % by resampling groups. */
  difference: z.number().nullable(),
  interval: interval.nullable(),
  /** Cases that are right more often in `a`, and in `b`. */
  only_a: z.int(),
  only_b: z.int(),
  /** McNemar's test over these cases, exact, two-sided. */
  p: z.number().nullable(),
  /** The smallest difference that so many groups, each taken as one pair, would have shown with a power of 80 %. */
  smallest_effect: z.number().nullable(),
  verdict: z.enum(VERDICTS),
});

/** See {@link comparisonSchema}. */
export type Comparison = z.infer<typeof comparisonSchema>;

/** What the trials of one suite and arm cost: sums, and how many of the answers were known. */
export const costSchema = z.object({
  suite: z.enum(SUITES),
  arm: z.string(),
  trials: z.int(),
  model_calls: z.int(),
  known: z.int(),
  input_tokens: z.int(),
  output_tokens: z.int(),
  embedding_calls: z.int(),
  store_round_trips: z.int(),
  ms: z.number(),
});

/** See {@link costSchema}. */
export type CostSummary = z.infer<typeof costSchema>;

/** One arm of a suite. */
export const armSchema = z.object({
  suite: z.enum(SUITES),
  arm: z.string(),
  rate: rateSchema,
  labels: labelSummarySchema.nullable(),
  /** The same by user. */
  users: z.array(z.object({ user: z.string(), rate: rateSchema })),
  /** By kind of check; `unknown` are those nobody could judge. */
  checks: z.array(z.object({ kind: z.string(), met: z.int(), of: z.int(), unknown: z.int() })),
});

/** See {@link armSchema}. */
export type ArmSummary = z.infer<typeof armSchema>;

/** One window of the learning curve: the rate of the emails at these positions of the streams. */
export const curvePointSchema = z.object({ from: z.int(), to: z.int(), off: rateSchema, on: rateSchema });

/** See {@link curvePointSchema}. */
export type CurvePoint = z.infer<typeof curvePointSchema>;

/** A judge model beside people: on how many they agree, and Cohen's kappa. */
export const agreementSchema = z.object({
  of: z.int(),
  agree: z.int(),
  unknown: z.int(),
  kappa: z.number().nullable(),
});

/** See {@link agreementSchema}. */
export type Agreement = z.infer<typeof agreementSchema>;

/** All that is computed from the trials. */
export const summarySchema = z.object({
  arms: z.array(armSchema),
  comparisons: z.array(comparisonSchema.extend({ suite: z.enum(SUITES) })),
  /** The later emails of stories where nothing may change: how many did. */
  stays: z.object({ of: z.int(), changed: z.int(), errors: z.int() }).nullable(),
  curve: z.array(curvePointSchema),
  attacks: z.object({ of: z.int(), succeeded: z.int(), errors: z.int() }).nullable(),
  judge: agreementSchema.nullable(),
  costs: z.array(costSchema),
});

/** See {@link summarySchema}. */
export type Summary = z.infer<typeof summarySchema>;

/** One threshold and what was found; `found` is null where the run has no such number. */
export const thresholdResultSchema = z.object({
  name: z.string(),
  at_least: z.number().optional(),
  at_most: z.number().optional(),
  found: z.number().nullable(),
  met: z.boolean(),
});

/** See {@link thresholdResultSchema}. */
export type ThresholdResult = z.infer<typeof thresholdResultSchema>;

/** A whole run, as `report.json` has it. */
export const reportSchema = z.object({
  format: z.literal(1),
  id: z.string(),
  /** The command that makes it again. */
  command: z.string(),
  created_at: z.string(),
  version: z.string(),
  model: z.object({ chat: z.string(), embeddings: z.string(), description: z.string(), is_stand_in: z.boolean() }),
  seed: z.int(),
  repeat: z.int(),
  suites: z.array(z.enum(SUITES)),
  split: z.enum(["all", "dev", "test"]),
  /** A hash of the prompts. */
  prompts: z.string(),
  /** Of each arm `<user>/<n>` of the suite changes, the rule that is new in it, as the user typed it. */
  rules: z.record(z.string(), z.string()),
  /** The files of cases, each with how many of them were used and a hash of those. */
  files: z.array(z.object({ name: z.string(), cases: z.int(), hash: z.string() })),
  /** A hash of each case by its id: two reports are compared where it is the same. */
  cases: z.record(z.string(), z.string()).optional(),
  trials: z.array(trialSchema),
  /** The judge's word on drafts that people judged. */
  judged: z.array(z.object({ id: z.string(), person: z.boolean(), judge: z.boolean().nullable() })),
  /** What the model was shown in wrong trials, by name. */
  requests: z.record(z.string(), z.array(z.object({ role: z.string(), text: z.string() }))),
  summary: summarySchema,
  thresholds: z.array(thresholdResultSchema),
});

/** See {@link reportSchema}. */
export type Report = z.infer<typeof reportSchema>;
