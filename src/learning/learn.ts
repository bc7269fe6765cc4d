import { randomUUID } from "node:crypto";
import { HumanMessage, SystemMessage } from "@langchain/core/messages";
import { z } from "zod";
import { cleanText, quoteUntrusted, renderEmail } from "../email.ts";
import { MnemailError } from "../errors.ts";
import type { Memory } from "../memory/memory.ts";
import type { DecisionRecord, Label } from "../memory/records.ts";
import { askForJson, type Models } from "../models.ts";
import { LEARNABLE_PROMPTS, type Prompts } from "../prompts.ts";
import { checkProposal } from "./check.ts";

const FEEDBACK_LIMIT = 4_000;
const SHOWN_BODY_LIMIT = 2_000;

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

/** One change that feedback made to memory. `changed` is false when it was known already. */
export type Change =
  | { kind: "rule"; prompt: string; text: string; version: number; changed: boolean }
  | { kind: "fact"; key: string; text: string; changed: boolean }
  | { kind: "example"; key: string; label: Label; was: Label; changed: boolean };

/**
 * Turns feedback into memory: a relabel becomes an example, without a model call; words become one rule of the
 * right prompt or one fact, by one model call whose proposal is checked against the words. Only what the user
 * typed can become a rule; an email beside it is context.
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
  const { emailId, label } = feedback;
  if (text === "" && label === undefined) {
    throw new MnemailError("usage", "feedback: expected a text, or --email ID with --label LABEL, or both");
  }
  if (text.length > FEEDBACK_LIMIT) {
    throw new MnemailError("usage", `feedback: saw ${text.length} characters; at most ${FEEDBACK_LIMIT} are allowed`);
  }
  if (label !== undefined && emailId === undefined) {
    throw new MnemailError("usage", "feedback: --label needs --email ID, the email it is the label of");
  }
  const decision = emailId === undefined ? undefined : await findDecision(memory, userId, emailId);
  const at = now().toISOString();
  // The fallible half comes first: when the proposal is refused, the relabel is not half of a change.
  const proposal = text === "" ? undefined : await propose(text, decision, models, prompts);
  const changes: Change[] = [];
  if (decision && label !== undefined) {
    await memory.rememberExample(userId, decision.email, label, at);
    changes.push({ kind: "example", key: decision.email.id, label, was: decision.label, changed: true });
  }
  if (proposal?.target === "memory") {
    const { key, added } = await memory.rememberFact(userId, proposal.text, at);
    changes.push({ kind: "fact", key, text: proposal.text, changed: added });
  } else if (proposal) {
    const origin = { actor: "user", at, evidence: proposal.evidence };
    const rule = { id: randomUUID(), text: proposal.text, origin };
    const { version, added } = await memory.addRule(userId, proposal.target, rule);
    changes.push({ kind: "rule", prompt: proposal.target, text: proposal.text, version, changed: added });
  }
  return changes;
}

async function findDecision(memory: Memory, userId: string, emailId: string): Promise<DecisionRecord> {
  const decision = await memory.findDecision(userId, emailId);
  if (decision) return decision;
  throw new MnemailError("input", `email ${emailId}: not among the emails processed for ${userId}`, "run it first");
}

async function propose(text: string, decision: DecisionRecord | undefined, models: Models, prompts: Prompts) {
  const beside = decision
    ? `\n\nIt is about this email, which was labelled ${decision.label}:\n\n<email>\n${renderEmail(decision.email, SHOWN_BODY_LIMIT)}\n</email>`
    : "";
  const proposal = await askForJson(models.chat, {
    name: "learn",
    schema: proposalSchema,
    messages: [
      new SystemMessage(prompts.learn.text),
      new HumanMessage(`<feedback>\n${quoteUntrusted(text)}\n</feedback>${beside}`),
    ],
  });
  checkProposal(proposal, text);
  return { ...proposal, text: cleanText(proposal.text).trim() };
}
