import { renderEmail } from "../email.ts";
import { MnemailError } from "../errors.ts";
import type { FeedbackRecord, GateReport, Receipt } from "../memory/feedback-record.ts";
import { liveVersion } from "../memory/history.ts";
import type { Lesson } from "../memory/lesson.ts";
import type { Memory } from "../memory/memory.ts";
import type { UserPrompt } from "../memory/procedural.ts";
import type { DecisionRecord, Label, Rule } from "../memory/records.ts";
import { newOperations, type PromptChange } from "../memory/version-puts.ts";
import type { Operation } from "../memory/versions.ts";
import { metered, NO_USAGE } from "../meter.ts";
import type { Models } from "../models.ts";
import { LEARNABLE_PROMPTS, type LearnablePrompt, type Prompts } from "../prompts.ts";
import { type Feedback, parseFeedback } from "./feedback.ts";
import { type Decider, tryChange } from "./gate.ts";
import { type Proposal, propose, type Target } from "./propose.ts";
import { relabelChanges, ruleId } from "./relabel.ts";
import { userText } from "./user-text.ts";

/** Which feedback is about which prompt. */
const WHEN: Record<LearnablePrompt, string> = {
  triage_ignore: "which emails need neither a look nor an answer.",
  triage_notify: "which emails the person wants to see but not to answer.",
  triage_respond: "which emails should be answered.",
  agent_instructions: "how answers are written, signed, or scheduled.",
};
const MEMORY: Target = {
  name: "memory",
  when: "a fact about a person, a project or a conversation; it tells what is, not what to do. Only `add`.",
};

/** What learning works with. `decider` is triage; `onProgress` hears how far the test of a change is. */
export interface LearningParts {
  memory: Memory;
  models: Models;
  prompts: Prompts;
  decider: Decider;
  now: () => Date;
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** What became of a feedback. `repeated`: it was learnt before, under the same key, and nothing was done now. */
export interface Outcome {
  receipt: Receipt;
  repeated: boolean;
}

/**
 * Turns one feedback into memory: logs it, proposes a change (by code where the feedback says what to change, else by
 * one model call over the user's own words), checks it, tries a change of the triage prompts on the user's past
 * decisions, and writes all of it with a receipt, or nothing. A change that does not pass its test is kept as
 * proposed. `dryRun` does the same and writes nothing.
 *
 * @throws MnemailError("usage" or "input") for feedback that cannot be meant: nothing was logged. After that, for a
 * model or store that fails and for a proposal that fails its checks: nothing was learnt, and the feedback waits in
 * the log for {@link retry}.
 */
export async function learn(
  userId: string,
  feedback: Feedback,
  parts: LearningParts,
  options: { dryRun?: boolean } = {},
): Promise<Outcome> {
  const { memory, now } = parts;
  const at = now().toISOString();
  // An edited draft is checked whole once the draft it was made of is known.
  const { email_id: emailId } = parseFeedback(feedback, { at, before: "" });
  const decision = emailId === undefined ? undefined : await findDecision(memory, userId, emailId);
  const before = decision?.draft?.body;
  if ((feedback.kind === "edited_draft" || feedback.kind.endsWith("_draft")) && before === undefined) {
    throw new MnemailError("input", `email ${emailId}: has no draft to give feedback on`, "only answers have one");
  }
  const record = parseFeedback(feedback, { at, before });
  const said = userText(record, decision ? renderEmail(decision.email) : "");
  if ("text" in record && record.text !== undefined && said.typed === "") {
    throw new MnemailError(
      "usage",
      "feedback: saw only quoted lines",
      "say in your own words what should be different",
    );
  }
  if (options.dryRun) {
    const lesson = await teach(userId, record, decision, parts, { dryRun: true });
    return { receipt: await memory.ledger.commit(userId, lesson, { dryRun: true }), repeated: false };
  }
  const logged = await memory.ledger.log(userId, record);
  if (logged.receipt) return { receipt: logged.receipt, repeated: true };
  try {
    const lesson = await teach(userId, logged.record, decision, parts);
    return { receipt: await memory.ledger.commit(userId, lesson), repeated: false };
  } catch (error) {
    throw keptForLater(error);
  }
}

/** A feedback that was tried again: its receipt, or why it still waits. */
export interface Retried {
  feedback: FeedbackRecord;
  receipt: Receipt | undefined;
  error: unknown;
}

/**
 * Learns from each feedback that waits in the log because a model or store had failed, oldest first. One that fails
 * again goes on waiting, and does not keep the next from its turn.
 */
export async function* retry(userId: string, parts: LearningParts): AsyncGenerator<Retried> {
  const { memory } = parts;
  for (const feedback of await memory.ledger.unlearnt(userId)) {
    try {
      const { email_id: emailId } = feedback;
      const decision = emailId === undefined ? undefined : await findDecision(memory, userId, emailId);
      const lesson = await teach(userId, feedback, decision, parts);
      yield { feedback, receipt: await memory.ledger.commit(userId, lesson), error: undefined };
    } catch (error) {
      yield { feedback, receipt: undefined, error };
    }
  }
}

function keptForLater(error: unknown): unknown {
  if (!(error instanceof MnemailError)) return error;
  const hint = "the feedback is kept: `mnemail feedback --user ID --retry` learns from it";
  const { code, message } = error;
  return new MnemailError(code, message, error.hint ? `${error.hint}; ${hint}` : hint, { cause: error });
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

/** Routes, proposes, checks and tries; writes nothing but the answers that the test of a change got. */
async function teach(
  userId: string,
  feedback: FeedbackRecord,
  decision: DecisionRecord | undefined,
  parts: LearningParts,
  options: { dryRun?: boolean } = {},
): Promise<Lesson> {
  const { memory, models } = parts;
  const label = labelOf(feedback, decision);
  const example = decision && label ? { email: decision.email, label, was: decision.label } : undefined;
  const histories = await memory.ledger.histories(userId);
  const live = (name: LearnablePrompt): UserPrompt => {
    const { prompt, versions } = histories[name];
    const { number, state, text } = liveVersion(versions);
    return { ...prompt, ...state, text, version: number };
  };
  const rules = { ignore: live("triage_ignore"), notify: live("triage_notify"), respond: live("triage_respond") };
  const notes: string[] = [];
  const before = { ...NO_USAGE };
  const changes: PromptChange[] = [];
  const facts: string[] = [];

  await metered(async (usage) => {
    if (feedback.kind === "relabel" && decision) {
      const { ignore, notify, respond } = rules;
      const byCode = relabelChanges(feedback, decision.email, {
        examples: await memory.examples.list(userId),
        rules: { ignore: ignore.rules, notify: notify.rules, respond: respond.rules },
      });
      changes.push(...byCode.changes);
      if (byCode.note) notes.push(byCode.note);
    }
    const said = userText(feedback, decision ? renderEmail(decision.email) : "");
    if (said.typed !== "" || said.inserted.length > 0) {
      const targets = targetsOf(feedback, (name) => live(name).rules);
      const about = aboutOf(feedback, label);
      const proposals = await propose({ ...said, ...(about ? { about } : {}) }, targets, parts);
      if (proposals.length === 0) notes.push("nothing in it to keep for later emails");
      changes.push(...toChanges(feedback, proposals));
      facts.push(...proposals.filter(({ target }) => target === MEMORY.name).map(({ text }) => text));
    } else if (feedback.kind === "edited_draft") {
      notes.push("no words of your own in the draft that could become a rule");
    }
    Object.assign(before, usage());
  });

  const merged = byPrompt(changes);
  const fresh = merged
    .map(({ prompt, operations }) => ({ prompt, operations: newOperations(histories[prompt], operations).fresh }))
    .filter(({ operations }) => operations.length > 0);
  const triage = fresh.filter(({ prompt }) => prompt !== "agent_instructions");
  const others = merged.filter(({ prompt }) => prompt === "agent_instructions");
  const { gate, usage: gateUsage } = await metered(async (usage) => {
    const target = example && { email: example.email, label: example.label };
    const trial = { userId, prompts: rules, changes: triage, target };
    const report = triage.length > 0 ? await tryChange(trial, { ...parts, ...options }) : undefined;
    const isStyle = fresh.some(({ prompt }) => prompt === "agent_instructions");
    return { gate: report ?? (isStyle ? NOT_MEASURABLE : null), usage: usage() };
  });
  const isHeld = gate?.verdict === "proposed";
  return {
    feedback,
    example,
    facts,
    live: isHeld ? others : merged,
    proposed: isHeld ? triage : [],
    gate,
    notes,
    model: before.model_calls + gateUsage.model_calls > 0 ? models.chat.model : null,
    usage: { before, gate: gateUsage },
  };
}

/** How answers are written has no label to measure it by. */
const NOT_MEASURABLE: GateReport = {
  verdict: "not measurable",
  tested: 0,
  target: null,
  fixed: [],
  broken: [],
  listed: [],
  asked: 0,
  cached: 0,
};

/** The label that the user gave or confirmed by a feedback. To let a draft or a notification stand confirms its label. */
function labelOf(feedback: FeedbackRecord, decision: DecisionRecord | undefined): Label | undefined {
  if (feedback.kind === "relabel") return feedback.label;
  if (feedback.kind === "accepted_draft" || feedback.kind === "edited_draft") return "respond";
  return feedback.kind === "seen" ? decision?.label : undefined;
}

function targetsOf(feedback: FeedbackRecord, rulesOf: (name: LearnablePrompt) => readonly Rule[]): Target[] {
  const about = feedback.kind === "edited_draft" ? (["agent_instructions"] as const) : LEARNABLE_PROMPTS;
  const prompts = about.map((name) => ({ name, when: WHEN[name], rules: rulesOf(name) }));
  return feedback.kind === "edited_draft" ? prompts : [...prompts, MEMORY];
}

/** What code knows of the occasion; no word of an email or draft is in it. */
function aboutOf(feedback: FeedbackRecord, label: Label | undefined): string | undefined {
  if (feedback.kind === "rejected_draft") return "The person rejected the draft of an answer, and says why:";
  if (feedback.kind === "edited_draft") return "The person edited the draft of an answer:";
  if (feedback.kind === "relabel") return `The person gave an email the label ${label}, and says:`;
  return undefined;
}

function toChanges(feedback: FeedbackRecord, proposals: readonly Proposal[]): PromptChange[] {
  return proposals.flatMap((proposal) => {
    const prompt = LEARNABLE_PROMPTS.find((name) => name === proposal.target);
    return prompt ? [{ prompt, operations: [toOperation(feedback, proposal)] }] : [];
  });
}

/** One change for each prompt: a feedback makes at most one version of it. */
function byPrompt(changes: readonly PromptChange[]): PromptChange[] {
  return LEARNABLE_PROMPTS.flatMap((prompt) => {
    const operations = changes.filter((change) => change.prompt === prompt).flatMap((change) => change.operations);
    return operations.length > 0 ? [{ prompt, operations }] : [];
  });
}

function toOperation(feedback: FeedbackRecord, { action, rule: id, text, evidence }: Proposal): Operation {
  if (action === "retire") return { op: "retire", id: id ?? "", evidence };
  const { actor, at, id: key } = feedback;
  const rule: Rule = { id: ruleId(key, text), text, origin: { actor, at, evidence, feedback: key } };
  return action === "add" ? { op: "add", rule } : { op: "replace", id: id ?? "", rule };
}
