import { HumanMessage, SystemMessage } from "@langchain/core/messages";
import { z } from "zod";
import { oneLine, quoteUntrusted } from "../email.ts";
import type { Rule } from "../memory/records.ts";
import { askForJson, type Models } from "../models.ts";
import { type Prompts, renderPrompt } from "../prompts.ts";
import { checkEvidence, checkProposal, refuse } from "./check.ts";
import type { UserText } from "./user-text.ts";

/** What one feedback may change at most. */
const MOST_OPERATIONS = 3;
/** A prompt with more rules than this is read past by models, and costs tokens with every email. */
const BUDGET = { rules: 50, characters: 6_000 };

/** Something that feedback can change. `when` says, in one sentence, which feedback is about it. */
export interface Target {
  name: string;
  when: string;
  /** How its rules are to be written, where that is said. */
  how?: string | undefined;
  /** Absent where there is nothing to replace or retire. */
  rules?: readonly Pick<Rule, "id" | "text">[];
}

/** One step that a model proposes and the checks let pass. `rule` is the id of the rule replaced or retired. */
export interface Proposal {
  target: string;
  action: "add" | "replace" | "retire";
  rule: string | null;
  text: string;
  evidence: string;
}

/**
 * Asks a model, once, what a feedback is to change: at most three steps, each of them checked. The model sees the user's
 * own words and the rules they made, and nothing that a stranger wrote. An empty list: there is nothing to learn.
 *
 * @throws MnemailError("input") for a proposal that fails a check; MnemailError("model") when there is no answer.
 */
export async function propose(
  said: UserText & { about?: string },
  targets: readonly Target[],
  { models, prompts }: { models: Models; prompts: Prompts },
): Promise<Proposal[]> {
  const names = targets.map(({ name }) => name);
  const schema = z.object({
    operations: z.array(
      z.object({
        target: z.enum(names).describe("what is changed"),
        action: z.enum(["add", "replace", "retire"]),
        rule: z.string().nullable().describe("the id of the rule to replace or retire; null to add"),
        text: z.string().nullable().describe("the rule or the fact in one short sentence; null to retire"),
        evidence: z.string().describe("the words of the feedback that say so, copied letter for letter"),
      }),
    ),
  });
  const { operations } = await askForJson(models.chat, {
    name: "learn",
    schema,
    messages: [
      new SystemMessage(renderPrompt(prompts.learn, { targets: targets.map(renderTarget).join("\n") })),
      new HumanMessage(renderSaid(said, targets)),
    ],
  });
  if (operations.length > MOST_OPERATIONS) {
    refuse(`the model proposed ${operations.length} changes at once; at most ${MOST_OPERATIONS} are allowed`);
  }
  return operations.map((each) => checkOperation(each, said, targets));
}

function renderTarget({ name, when, how }: Target): string {
  return `- \`${name}\`: ${oneLine(when)}${how ? ` How to write its rules: ${oneLine(how)}` : ""}`;
}

function renderSaid({ typed, inserted, about }: UserText & { about?: string }, targets: readonly Target[]): string {
  const rules = targets.flatMap(({ name, rules }) =>
    rules && rules.length > 0
      ? [block(`rules prompt="${name}"`, rules.map(({ id, text }) => `[${id}] ${text}`).join("\n"))]
      : [],
  );
  return [
    ...rules,
    ...(about ? [about] : []),
    ...(typed ? [block("feedback", typed)] : []),
    ...(inserted.length > 0 ? [block("edit", inserted.join("\n"))] : []),
  ].join("\n\n");
}

function block(opening: string, text: string): string {
  return `<${opening}>\n${quoteUntrusted(text)}\n</${opening.split(" ", 1)[0]}>`;
}

function checkOperation(
  operation: Omit<Proposal, "text"> & { text: string | null },
  { typed, inserted }: UserText,
  targets: readonly Target[],
): Proposal {
  const { action, rule, evidence } = operation;
  const text = operation.text?.trim() ?? "";
  const rules = targets.find(({ name }) => name === operation.target)?.rules;
  const userTexts = [typed, ...inserted];
  if (action === "retire") checkEvidence(evidence, userTexts);
  else checkProposal({ text, evidence }, userTexts);
  if (action !== "add" && !rules?.some(({ id }) => id === rule)) {
    refuse(`the model would ${action} a rule of ${operation.target} that is not there`);
  }
  if (action === "add" && rules) checkBudget(operation.target, [...rules.map((each) => each.text), text]);
  return { ...operation, rule: action === "add" ? null : rule, text };
}

function checkBudget(target: string, texts: readonly string[]): void {
  if (texts.length > BUDGET.rules || texts.join("\n").length > BUDGET.characters) {
    const limit = `${BUDGET.rules} rules or ${BUDGET.characters} characters`;
    refuse(`${target} would have more than ${limit}; tell it which rules to forget first`);
  }
}
