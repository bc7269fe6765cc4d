import type { LearnablePrompt } from "../prompts.ts";
import type { UserNamespaces } from "../store/namespaces.ts";
import type { ConditionalPut } from "../store/operations.ts";
import { factPut } from "./episodic.ts";
import type { Change, FeedbackRecord, GateReport, Receipt } from "./feedback-record.ts";
import { liveVersion } from "./history.ts";
import type { KeptEmail, Label } from "./records.ts";
import { examplePut } from "./semantic.ts";
import {
  newOperations,
  type Origin,
  type PromptChange,
  type PromptHistory,
  ruleChange,
  versionPuts,
} from "./version-puts.ts";
import type { ProposalRecord } from "./versions.ts";

/** All that one feedback changes, to be written whole or not at all. */
export interface Lesson {
  feedback: FeedbackRecord;
  example?: { email: KeptEmail; label: Label; was: Label } | undefined;
  facts: string[];
  /** Changes that go live. */
  live: PromptChange[];
  /** Changes that wait for the user's word. */
  proposed: PromptChange[];
  gate: GateReport | null;
  notes: string[];
  model: string | null;
  usage: Receipt["usage"];
}

/** What memory has at the moment a lesson is written. */
export interface Found {
  /** The keys of the lesson's facts that memory has. */
  knownFacts: ReadonlySet<string>;
  /** Needed when the lesson changes prompts. */
  histories: Record<LearnablePrompt, PromptHistory> | undefined;
  /** The next proposal's number and key. */
  proposal: { number: number; key: string };
}

/** The puts that write a lesson, all on condition that memory is still as it was found, and the receipt among them. */
export function prepareLesson(
  at: UserNamespaces,
  lesson: Lesson,
  { knownFacts, histories, proposal }: Found,
): { puts: ConditionalPut[]; receipt: Receipt } {
  const { feedback, example, gate, notes } = lesson;
  const changes: Change[] = [];
  const puts: ConditionalPut[] = [];
  if (example) {
    const { email, label, was } = example;
    puts.push(examplePut(at, email, label, feedback.at));
    changes.push({ kind: "example", status: "live", key: email.id, label, was });
  }
  for (const text of new Set(lesson.facts)) {
    const put = factPut(at, text, feedback.at);
    const isKnown = knownFacts.has(put.key);
    if (!isKnown) puts.push(put);
    changes.push({ kind: "fact", status: isKnown ? "known" : "live", key: put.key, text });
  }
  for (const { prompt, operations } of lesson.live) {
    const history = histories?.[prompt];
    if (!history) continue;
    const { fresh, known } = newOperations(history, operations);
    const version = liveVersion(history.versions).number;
    if (fresh.length > 0) puts.push(...versionPuts(at, history, fresh, originOf(lesson)));
    changes.push(...fresh.map((each) => ruleChange(prompt, history, each, { status: "live", version: version + 1 })));
    changes.push(...known.map((each) => ruleChange(prompt, history, each, { status: "known", version })));
  }
  if (lesson.proposed.length > 0) {
    const { number, key } = proposal;
    puts.push({ namespace: at.proposals, key, value: proposalOf(lesson, number), expected: null, index: false });
  }
  for (const { prompt, operations } of lesson.proposed) {
    const history = histories?.[prompt];
    const outcome = { status: "proposed", proposal: proposal.number } as const;
    if (history) changes.push(...operations.map((each) => ruleChange(prompt, history, each, outcome)));
  }
  const { id, kind, at: time } = feedback;
  const receipt: Receipt = { feedback: id, kind, at: time, changes, notes, gate, usage: lesson.usage };
  puts.push({ namespace: at.receipts, key: feedback.id, value: receipt, expected: null, index: false });
  return { puts, receipt };
}

function originOf({ feedback, gate, model }: Lesson): Origin {
  const author = { actor: feedback.actor, channel: feedback.channel };
  return { author, feedback: feedback.id, gate, accepted: false, restores: null, model, at: feedback.at };
}

function proposalOf({ feedback, proposed: changes, gate, model }: Lesson, number: number): ProposalRecord {
  const author = { actor: feedback.actor, channel: feedback.channel };
  return { number, status: "open", changes, author, feedback: feedback.id, gate, model, at: feedback.at };
}
