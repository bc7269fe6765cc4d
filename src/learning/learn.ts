import { HumanMessage, SystemMessage } from "@langchain/core/messages";
import { z } from "zod";
import { cleanText, oneLine, quoteUntrusted } from "../email.ts";
import { MnemailError } from "../errors.ts";
import type { Memory } from "../memory/memory.ts";
import type { DecisionRecord, Label } from "../memory/records.ts";
import { askForJson, type Models } from "../models.ts";
import { LEARNABLE_PROMPTS, type Prompts } from "../prompts.ts";
import { checkProposal } from "./check.ts";

const FEEDBACK_LIMIT = 4_000;

const proposalSchema = z.object({
  target: z.enum([...LEARNABLE_PROMPTS, "memory"]).describe("what the feedback is about"),
  text: z.string().describe("the rule or the fact in one short sentence"),
  evidence: z.string().describe("the words of the feedback that say so, copied letter for letter"),
});

/** What a user says about the assistant's work: words, the right label of an email they have seen, or both. */
export interface Feedback {
  text?: string | undefined;
  emailId?: string | undefined;
  label?: Label | undefined;
}

/** One change that feedback made to memory. `changed` is false for a rule or fact that was known; `was` is triage's label. */
export type Change =
  | { kind: "rule"; prompt: string; text: string; version: number; changed: boolean }
  | { kind: "fact"; key: string; text: string; changed: boolean }
  | { kind: "example"; key: string; label: Label; was: Label; changed: boolean };

/**
 * Turns feedback into memory: a relabel becomes an example, without a model call; words become one rule of the
 * right prompt or one fact, by one model call whose proposal is checked against the words. Only what the user
 * typed can become a rule: the model is shown nothing else. All changes are written together or not at all.
 *
 * @throws MnemailError for feedback that says nothing, an unknown email, or a proposal that fails its checks;
 * then nothing was changed.
 */
export async function learn(
  userId: string,
  feedback: Feedback,
  { memory, models, prompts, now }: { memory: Memory; models: Models; prompts: Prompts; now: () => Date },
): Promise<Change[]> {
  const text = feedback.text?.trim() ?? "";
  const { label } = feedback;
  const emailId = feedback.emailId === undefined ? undefined : oneLine(cleanText(feedback.emailId));
  if (text === "" && label === undefined) {
    throw new MnemailError("usage", "feedback: expected a text, or --email ID with --label LABEL, or both");
  }
  if (text.length > FEEDBACK_LIMIT) {
    throw new MnemailError("usage", `feedback: saw ${text.length} characters; at most ${FEEDBACK_LIMIT} are allowed`);
  }
  if (label !== undefined && emailId === undefined) {
    throw new MnemailError("usage", "feedback: --label needs --email ID, the email it is the label of");
  }
  if (emailId === "") throw new MnemailError("usage", "feedback: --email: saw an empty id");
  const decision = emailId === undefined ? undefined : await findDecision(memory, userId, emailId);
  const at = now().toISOString();
  const proposal = text === "" ? undefined : await propose(text, models, prompts);
  const example = decision && label !== undefined ? { email: decision.email, label } : undefined;
  const said = proposal && { text: proposal.text, origin: { actor: "user", at, evidence: proposal.evidence } };
  const { rule, fact } = await memory.learn(userId, at, {
    example,
    fact: proposal?.target === "memory" ? proposal.text : undefined,
    rule: said && proposal.target !== "memory" ? { prompt: proposal.target, ...said } : undefined,
  });
  const changes: Change[] = [];
  if (decision && label !== undefined) {
    changes.push({ kind: "example", key: decision.email.id, label, was: decision.label, changed: true });
  }
  if (proposal && fact) changes.push({ kind: "fact", key: fact.key, text: proposal.text, changed: fact.added });
  if (proposal && rule) {
    const { version, added } = rule;
    changes.push({ kind: "rule", prompt: proposal.target, text: proposal.text, version, changed: added });
  }
  return changes;
}

async function findDecision(memory: Memory, userId: string, emailId: string): Promise<DecisionRecord> {
  const decision = await memory.findDecision(userId, emailId);
  if (decision) return decision;
  throw new MnemailError(
    "input",
    `email ${emailId}: not among the emails processed for ${userId}`,
    "run it first; the ids are at the end of each line that run prints",
  );
}

/** The model sees the user's words alone: what a stranger wrote cannot find its way into a rule. */
async function propose(text: string, models: Models, prompts: Prompts) {
  const proposal = await askForJson(models.chat, {
    name: "learn",
    schema: proposalSchema,
    messages: [
      new SystemMessage(prompts.learn.text),
      new HumanMessage(`<feedback>\n${quoteUntrusted(text)}\n</feedback>`),
    ],
  });
  checkProposal(proposal, text);
  return { ...proposal, text: proposal.text.trim() };
}
