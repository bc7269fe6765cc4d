import { z } from "zod";
import { emailSchema } from "../email.ts";
import { profileFieldsSchema } from "../memory/profile.ts";
import { labelSchema } from "../memory/records.ts";

/** Which cases may be looked at while prompts are improved; those of `test` are locked. */
export const splitSchema = z.enum(["dev", "test"]);

/** See {@link splitSchema}. */
export type Split = z.infer<typeof splitSchema>;

const name = z.string().regex(/^[\w.@+#-]{1,200}$/, "expected letters, digits and .@+#_- only");
const words = z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]);

const base = {
  /** Names the case in reports; no two cases have one. */
  id: name,
  user: z.string().min(1),
  split: splitSchema.default("dev"),
  /** Where the case comes from, such as `written`, `imported` or `reviewed`. */
  origin: z.string().min(1),
  /** Why this is the right answer, for people. */
  why: z.string().optional(),
  /** Cases that are about the same things, such as one email for several users; statistics take them together. */
  group: name.optional(),
};

/** How one argument of a tool call is checked: a value is compared as JSON, an object says how. */
export const argumentCheckSchema = z.union([
  z.strictObject({ contains: words }),
  z.strictObject({ matches: regularExpression() }),
  z.strictObject({ one_of: z.array(z.unknown()).min(1) }),
  z.strictObject({ at_least: z.number().optional(), at_most: z.number().optional() }),
  z.strictObject({ equals: z.unknown() }),
  z.string(),
  z.number(),
  z.boolean(),
  z.array(z.unknown()),
]);

/** See {@link argumentCheckSchema}. */
export type ArgumentCheck = z.infer<typeof argumentCheckSchema>;

/** The tool calls an answer needs; `may` are the names of tools that may be called besides. */
export const expectedToolsSchema = z.strictObject({
  calls: z.array(z.strictObject({ name: z.string(), args: z.record(z.string(), argumentCheckSchema).default({}) })),
  in_order: z.boolean().default(false),
  may: z.array(z.string()).default([]),
});

/** See {@link expectedToolsSchema}. */
export type ExpectedTools = z.infer<typeof expectedToolsSchema>;

/** One thing an answer has to fulfil: checked by code, or, a sentence, by a judge model. Letters' case does not count. */
export const criterionSchema = z.union([
  z.strictObject({ contains: words }),
  z.strictObject({ contains_any: z.array(z.string().min(1)).min(1) }),
  z.strictObject({ lacks: words }),
  z.strictObject({ matches: regularExpression() }),
  z.strictObject({ at_most_words: z.int().positive() }),
  z.strictObject({ at_most_sentences: z.int().positive() }),
  z.strictObject({ signed: z.string().min(1) }),
  z.strictObject({ judge: z.string().min(1) }),
]);

/** See {@link criterionSchema}. */
export type Criterion = z.infer<typeof criterionSchema>;

/** One change of memory that is to happen; a list of them means these and no other. */
export const expectedChangeSchema = z.strictObject({
  kind: z.enum(["rule", "example", "fact", "pending"]),
  change: z.enum(["added", "removed"]).default("added"),
  contains: words,
});

/** See {@link expectedChangeSchema}. */
export type ExpectedChange = z.infer<typeof expectedChangeSchema>;

/** An email whose label is known. `classification` is another name of `label`. */
export const triageCaseSchema = z.preprocess(
  renameClassification,
  z.strictObject({ ...base, email: emailSchema, label: labelSchema }),
);

/** See {@link triageCaseSchema}. */
export type TriageCase = z.infer<typeof triageCaseSchema>;

const outcome = {
  email: emailSchema,
  label: labelSchema,
  tools: expectedToolsSchema.optional(),
  answer: z.array(criterionSchema).default([]),
};

/** An email to be answered: its label, the tool calls, what the draft fulfils, and what memory gains (nothing, if unsaid). */
export const answerCaseSchema = z.preprocess(
  renameClassification,
  z.strictObject({ ...base, ...outcome, memory: z.array(expectedChangeSchema).default([]) }),
);

/** See {@link answerCaseSchema}. */
export type AnswerCase = z.infer<typeof answerCaseSchema>;

/** One thing that happens in a story before its questions: an email comes, or the user teaches. */
export const storyStepSchema = z.union([
  z.strictObject({ email: emailSchema }),
  z.strictObject({ relabel: z.string(), label: labelSchema }),
  z.strictObject({ say: z.string(), about: z.string().optional() }),
  z.strictObject({ edit: z.string(), after: z.string() }),
  z.strictObject({ reject: z.string(), say: z.string() }),
  z.strictObject({ remember: z.string(), person: z.string().optional() }),
]);

/** See {@link storyStepSchema}. `relabel`, `about`, `edit` and `reject` name an email of an earlier step by its id. */
export type StoryStep = z.infer<typeof storyStepSchema>;

/**
 * What a user taught, and what comes later: emails that `changes` by it, and emails where everything `stays` as it would
 * have been. `memory` is what the steps change, if that is to be checked.
 */
export const storySchema = z.strictObject({
  ...base,
  steps: z.array(storyStepSchema).min(1),
  memory: z.array(expectedChangeSchema).optional(),
  later: z
    .array(
      z.preprocess(renameClassification, z.strictObject({ id: name, kind: z.enum(["changes", "stays"]), ...outcome })),
    )
    .min(1),
});

/** See {@link storySchema}. */
export type Story = z.infer<typeof storySchema>;

/** A user of the cases: who they are, and what their assistant has learnt of them. */
export const caseUserSchema = z.strictObject({
  id: z.string().min(1),
  /** Who they are and how they want their mail sorted, for people. */
  about: z.string(),
  profile: profileFieldsSchema,
  /** An iCalendar file beside the users' file. */
  calendar: z
    .string()
    .regex(/^[\w-][\w.-]*$/, "expected the name of a file in the same folder")
    .optional(),
  /** The time at which all cases of the user happen. */
  now: z.iso.datetime({ offset: true }),
  memory: z.strictObject({
    /** Feedback as the user typed it, in its order. */
    rules: z.array(z.string().min(1)),
    examples: z.array(z.preprocess(renameClassification, z.strictObject({ email: emailSchema, label: labelSchema }))),
    facts: z.array(z.strictObject({ content: z.string().min(1), person: z.string().optional() })),
  }),
});

/** See {@link caseUserSchema}. */
export type CaseUser = z.infer<typeof caseUserSchema>;

/** A draft whose criterion a person judged, to compare the judge model with. */
export const judgedSchema = z.strictObject({
  id: name,
  email: emailSchema,
  draft: z.string(),
  criterion: z.string(),
  met: z.boolean(),
});

/** See {@link judgedSchema}. */
export type Judged = z.infer<typeof judgedSchema>;

function regularExpression() {
  return z.string().refine((source) => {
    try {
      new RegExp(source, "iu");
      return true;
    } catch {
      return false;
    }
  }, "expected a regular expression");
}

/** LangChain's evaluation sets name the label so. */
function renameClassification(value: unknown): unknown {
  if (typeof value !== "object" || value === null || !("classification" in value) || "label" in value) return value;
  const { classification, ...rest } = value;
  return { ...rest, label: classification };
}
