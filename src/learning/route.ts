import { cleanContent, type EpisodicMemory } from "../memory/episodic.ts";
import type { FeedbackRecord } from "../memory/feedback-record.ts";
import type { LessonFact } from "../memory/lesson.ts";
import type { Memory } from "../memory/memory.ts";
import type { UserPrompt } from "../memory/procedural.ts";
import type { DecisionRecord, Label, Rule } from "../memory/records.ts";
import type { PromptChange } from "../memory/version-puts.ts";
import type { Operation } from "../memory/versions.ts";
import type { Models } from "../models.ts";
import { LEARNABLE_PROMPTS, type LearnablePrompt, type Prompts } from "../prompts.ts";
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
const MEMORY = {
  name: "memory",
  when: "a fact about a person, a project or a conversation; it tells what is, not what to do.",
} satisfies Target;
/** Facts that a new one may contradict. */
const NEAREST_FACTS = 5;

/** What a feedback would change, before that is tried: at most one change of each prompt, and facts. */
export interface ProposedChanges {
  /** What a relabel takes back, which needs no test: the labels it rested on no longer agree. */
  settled: PromptChange[];
  changes: PromptChange[];
  facts: LessonFact[];
  /** Keys of facts that the user takes back. */
  retired: string[];
  /** Why something was not proposed. */
  notes: string[];
}

/**
 * Routes a feedback and proposes what it changes: code decides what a relabel does and which prompts the rest can be
 * about; where there are words of the user's own, one model call proposes the steps.
 *
 * @throws MnemailError as {@link propose}.
 */
export async function proposeChanges(
  feedback: FeedbackRecord,
  decision: DecisionRecord | undefined,
  known: { userId: string; label: Label | undefined; live: (name: LearnablePrompt) => UserPrompt },
  parts: { memory: Memory; models: Models; prompts: Prompts },
): Promise<ProposedChanges> {
  const { userId, label, live } = known;
  const notes: string[] = [];
  const settled: PromptChange[] = [];
  const changes: PromptChange[] = [];
  if (feedback.kind === "relabel" && decision) {
    const byCode = relabelChanges(feedback, decision.email, {
      userId,
      examples: await parts.memory.examples.list(userId),
      rules: {
        ignore: live("triage_ignore").rules,
        notify: live("triage_notify").rules,
        respond: live("triage_respond").rules,
      },
    });
    settled.push(...byCode.retired);
    changes.push(...byCode.added);
    // Words that come with a label may make the rule themselves.
    if (byCode.note && !feedback.text) notes.push(byCode.note);
  }
  const said = userText(feedback, decision?.email);
  const hasWords = said.typed !== "" || said.inserted.length > 0;
  const isAboutFacts = hasWords && feedback.kind !== "edited_draft";
  // What the user stated before are the rules of the memory; what was approved of mail is no word of theirs.
  const stated = isAboutFacts ? await parts.memory.facts.nearest(userId, said.typed, "user", NEAREST_FACTS) : [];
  const facts = stated.map(({ key, record }) => ({ id: key, text: record.content }));
  const targets = targetsOf(feedback, (name) => live(name).rules, facts);
  const about = aboutOf(feedback, label);
  const proposals = hasWords ? await propose({ ...said, ...(about ? { about } : {}) }, targets, parts) : [];
  if (hasWords && proposals.length === 0) notes.push("nothing in it to keep for later emails");
  if (!hasWords && feedback.kind === "edited_draft") {
    notes.push("no words of your own in the draft that could become a rule");
  }
  return {
    settled,
    changes: byPrompt([...changes, ...toChanges(feedback, proposals)]),
    ...toFacts(proposals, stated),
    notes,
  };
}

function toFacts(
  proposals: readonly Proposal[],
  stated: readonly EpisodicMemory[],
): Pick<ProposedChanges, "facts" | "retired"> {
  const about = proposals.filter(({ target }) => target === MEMORY.name);
  return {
    facts: about
      .filter(({ action }) => action !== "retire")
      .map(({ text, rule }): LessonFact => {
        const { scope, people } = stated.find(({ key }) => key === rule)?.record ?? {};
        return { text: cleanContent(text), supersedes: rule === null ? [] : [rule], scope, people };
      }),
    retired: about.flatMap(({ action, rule }) => (action === "retire" && rule !== null ? [rule] : [])),
  };
}

function targetsOf(
  feedback: FeedbackRecord,
  rulesOf: (name: LearnablePrompt) => readonly Rule[],
  facts: NonNullable<Target["rules"]>,
): Target[] {
  const about = feedback.kind === "edited_draft" ? (["agent_instructions"] as const) : LEARNABLE_PROMPTS;
  const prompts = about.map((name) => ({ name, when: WHEN[name], rules: rulesOf(name) }));
  return feedback.kind === "edited_draft" ? prompts : [...prompts, { ...MEMORY, rules: facts }];
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
export function byPrompt(changes: readonly PromptChange[]): PromptChange[] {
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
