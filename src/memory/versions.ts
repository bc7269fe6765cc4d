import { z } from "zod";
import { LEARNABLE_PROMPTS } from "../prompts.ts";
import { gateReportSchema } from "./feedback-record.ts";
import { type Rule, ruleSchema } from "./records.ts";

/**
 * One step of a prompt. `add`, `replace` and `retire` commute with those of other writers. `restore` sets the fixed
 * text and the rules; rules that its writer had not `seen` stay after them, so that nobody's feedback is lost.
 */
export const operationSchema = z.discriminatedUnion("op", [
  z.object({ op: z.literal("add"), rule: ruleSchema }),
  z.object({ op: z.literal("replace"), id: z.string(), rule: ruleSchema }),
  z.object({ op: z.literal("retire"), id: z.string(), evidence: z.string().default("") }),
  z.object({ op: z.literal("restore"), base: z.string(), rules: z.array(ruleSchema), seen: z.array(z.string()) }),
]);

/** See {@link operationSchema}. */
export type Operation = z.infer<typeof operationSchema>;

/** The fixed text of a prompt and the rules learnt for it. */
export interface PromptState {
  base: string;
  rules: readonly Rule[];
}

/**
 * One version of a prompt, as the log keeps it under a key of its own: the operations that made it from its parent.
 * A rule has its evidence with it. `feedback` is the key of what caused it, `restores` the version a rollback went to.
 */
export const versionRecordSchema = z.looseObject({
  prompt: z.enum(LEARNABLE_PROMPTS),
  version: z.int().min(1),
  parent: z.int().min(0),
  operations: z.array(operationSchema),
  author: z.object({ actor: z.string(), channel: z.string() }),
  feedback: z.string().nullable(),
  gate: gateReportSchema.nullable(),
  /** Whether the user accepted it although its test had not passed. */
  accepted: z.boolean().default(false),
  restores: z.int().min(0).nullable().default(null),
  /** How many rules were forgotten: they are in no version any more. */
  forgotten: z.int().min(0).optional(),
  model: z.string().nullable(),
  at: z.string(),
});

/** See {@link versionRecordSchema}. */
export type VersionRecord = z.infer<typeof versionRecordSchema>;

/** A change that waits for the user's word: what it would do to which prompts, and what its test found. */
export const proposalRecordSchema = z.looseObject({
  number: z.int().min(1),
  status: z.enum(["open", "accepted", "rejected"]),
  changes: z.array(z.object({ prompt: z.enum(LEARNABLE_PROMPTS), operations: z.array(operationSchema) })),
  author: z.object({ actor: z.string(), channel: z.string() }),
  feedback: z.string(),
  gate: gateReportSchema.nullable(),
  model: z.string().nullable(),
  at: z.string(),
});

/** See {@link proposalRecordSchema}. */
export type ProposalRecord = z.infer<typeof proposalRecordSchema>;

/** What each step of a change rests on: the user's words, or the ids of emails they labelled. */
export function evidenceOf(operations: readonly Operation[]): string[] {
  return operations.flatMap((each) => {
    if (each.op === "restore") return [];
    const evidence = each.op === "retire" ? each.evidence : each.rule.origin.evidence;
    return evidence === "" ? [] : [evidence];
  });
}

/** The state after some operations. Those that name rules which are gone lose nothing: a replacement is then added. */
export function applyOperations(state: PromptState, operations: readonly Operation[]): PromptState {
  let { base, rules } = state;
  for (const each of operations) {
    switch (each.op) {
      case "add":
        // Two writers who did not see each other can add the same words.
        if (!rules.some(({ id, text }) => id !== each.rule.id && sameWords(text, each.rule.text))) {
          rules = without(rules, [each.rule.id]).concat(each.rule);
        }
        break;
      case "replace": {
        const at = rules.findIndex(({ id }) => id === each.id);
        const others = without(rules, [each.id, each.rule.id]);
        rules = at < 0 ? [...others, each.rule] : others.toSpliced(at, 0, each.rule);
        break;
      }
      case "retire":
        rules = without(rules, [each.id]);
        break;
      case "restore": {
        const restored = each.rules.map(({ id }) => id);
        ({ base } = each);
        rules = [...each.rules, ...without(rules, [...each.seen, ...restored])];
        break;
      }
    }
  }
  return { base, rules };
}

/** Whether two rules say the same. */
export function sameWords(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}

function without(rules: readonly Rule[], ids: readonly string[]): Rule[] {
  return rules.filter(({ id }) => !ids.includes(id));
}

/**
 * The order in which the versions of one prompt are folded: by number; those that writers on a store without
 * conditional put gave the same number, by time and feedback, so that every reader folds alike.
 */
export function inOrder(records: readonly VersionRecord[]): VersionRecord[] {
  const order = ({ version, at, feedback }: VersionRecord) => [String(version).padStart(9, "0"), at, feedback ?? ""];
  const keyed = records.map((record) => ({ record, key: order(record).join(" ") }));
  return keyed.sort((a, b) => (a.key < b.key ? -1 : Number(a.key > b.key))).map(({ record }) => record);
}
