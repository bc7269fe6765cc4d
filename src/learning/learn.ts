import { MnemailError } from "../errors.ts";
import type { FeedbackRecord, GateReport, Receipt } from "../memory/feedback-record.ts";
import { liveVersion } from "../memory/history.ts";
import type { Lesson } from "../memory/lesson.ts";
import type { Memory } from "../memory/memory.ts";
import type { UserPrompt } from "../memory/procedural.ts";
import type { DecisionRecord, Label } from "../memory/records.ts";
import { newOperations } from "../memory/version-puts.ts";
import { metered } from "../meter.ts";
import type { Models } from "../models.ts";
import type { LearnablePrompt, Prompts } from "../prompts.ts";
import { type Feedback, parseFeedback } from "./feedback.ts";
import { changedPrompts, type Decider, tryChange } from "./gate.ts";
import { contradicted } from "./reconcile.ts";
import { byPrompt, proposeChanges } from "./route.ts";
import { userText } from "./user-text.ts";

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
  const said = userText(record, decision?.email);
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
    throw keptForLater(error, userId, logged.record.id);
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

function keptForLater(error: unknown, userId: string, key: string): unknown {
  if (!(error instanceof MnemailError)) return error;
  const command = `mnemail feedback --user ${userId}`;
  const hint = `the feedback is kept: \`${command} --retry\` tries again, \`--discard ${key}\` gives it up`;
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
  const known = decision && (await memory.examples.find(userId, decision.email.id))?.record;
  // Who edits a draft says how to answer, and takes back no label they gave; nor does what waited since before it.
  const isDraft = feedback.kind === "edited_draft" && known !== undefined && known.label !== label;
  const isKept = isDraft || (known !== undefined && label !== undefined && known.at > feedback.at);
  const was = known?.label ?? decision?.label;
  const example = decision && label && was && !isKept ? { email: decision.email, label, was } : undefined;
  const histories = await memory.ledger.histories(userId);
  const live = (name: LearnablePrompt): UserPrompt => {
    const { prompt, versions } = histories[name];
    const { number, state, text } = liveVersion(versions);
    return { ...prompt, ...state, text, version: number };
  };
  const proposed = await metered(async (usage) => {
    const found = await proposeChanges(
      feedback,
      isKept && !isDraft ? undefined : decision,
      { userId, label, live },
      parts,
    );
    // What was approved of mail gives way to the user's word as well; it is asked for apart.
    const texts = found.facts.map(({ text }) => text);
    const gone = await contradicted(userId, texts, "mail", parts);
    const facts = found.facts.map((fact, i) =>
      i === 0 ? { ...fact, supersedes: [...fact.supersedes, ...gone] } : fact,
    );
    return { ...found, facts, usage: usage() };
  });
  const { settled } = proposed;
  const prompts = changedPrompts(
    { ignore: live("triage_ignore"), notify: live("triage_notify"), respond: live("triage_respond") },
    settled,
  );
  const fresh = proposed.changes
    .map(({ prompt, operations }) => ({ prompt, operations: newOperations(histories[prompt], operations).fresh }))
    .filter(({ operations }) => operations.length > 0);
  const triage = fresh.filter(({ prompt }) => prompt !== "agent_instructions");
  const others = proposed.changes.filter(({ prompt }) => prompt === "agent_instructions");
  const { gate, usage: gateUsage } = await metered(async (usage) => {
    const target = example && { email: example.email, label: example.label };
    const trial = { userId, prompts, changes: triage, target };
    const report = triage.length > 0 ? await tryChange(trial, { ...parts, ...options }) : undefined;
    const isStyle = fresh.some(({ prompt }) => prompt === "agent_instructions");
    return { gate: report ?? (isStyle ? NOT_MEASURABLE : null), usage: usage() };
  });
  const isHeld = gate?.verdict === "proposed";
  return {
    feedback,
    example,
    facts: proposed.facts,
    retired: proposed.retired,
    live: byPrompt([...settled, ...(isHeld ? others : proposed.changes)]),
    proposed: isHeld ? triage : [],
    gate,
    notes: [...proposed.notes, ...(isKept ? [`the label you gave this email stays: ${known?.label}`] : [])],
    model: proposed.usage.model_calls + gateUsage.model_calls > 0 ? models.chat.model : null,
    usage: { before: proposed.usage, gate: gateUsage },
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
