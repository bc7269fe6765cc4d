import type { Item } from "@langchain/langgraph-checkpoint";
import { addUsage } from "../meter.ts";
import type { LearnablePrompt } from "../prompts.ts";
import type { UserNamespaces } from "../store/namespaces.ts";
import type { ConditionalPut } from "../store/operations.ts";
import { costPut } from "./costs.ts";
import { factKey, factPut, revivedPut, supersedePuts, type UserFact } from "./episodic.ts";
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

/** A fact that a feedback states, and the keys of those it takes the place of, whose scope it has. */
export interface LessonFact extends Pick<UserFact, "scope" | "people"> {
  text: string;
  supersedes: string[];
}

/** All that one feedback changes, to be written whole or not at all. */
export interface Lesson {
  feedback: FeedbackRecord;
  example?: { email: KeptEmail; label: Label; was: Label } | undefined;
  facts: LessonFact[];
  /** The keys of facts that no longer hold, and that nothing takes the place of. */
  retired: string[];
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
  /** The lesson's facts that memory has, and those they take the place of, by key. */
  facts: ReadonlyMap<string, Item>;
  /** Needed when the lesson changes prompts. */
  histories: Record<LearnablePrompt, PromptHistory> | undefined;
  /** The next proposal's number and key. */
  proposal: { number: number; key: string };
}

/**
 * The puts that write a lesson and what it cost, all on condition that memory is still as it was found, and the receipt
 * among them.
 */
export function prepareLesson(
  at: UserNamespaces,
  lesson: Lesson,
  { facts: found, histories, proposal }: Found,
): { puts: ConditionalPut[]; receipt: Receipt } {
  const { feedback, example, gate, notes } = lesson;
  const changes: Change[] = [];
  const puts: ConditionalPut[] = [];
  if (example) {
    const { email, label, was } = example;
    puts.push(examplePut(at, email, label, feedback.at));
    changes.push({ kind: "example", status: "live", key: email.id, label, was });
  }
  const [facts, factChanges] = prepareFacts(at, lesson, found);
  puts.push(...facts);
  changes.push(...factChanges);
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
  if (lesson.model !== null) {
    const usage = addUsage(lesson.usage.before, lesson.usage.gate);
    puts.push(costPut(at, { kind: "feedback", model: lesson.model, usage, at: time, email_id: feedback.email_id }));
  }
  return { puts, receipt };
}

/** The keys that {@link prepareLesson} needs to find in memory. */
export function factKeys({ facts, retired }: Pick<Lesson, "facts" | "retired">): string[] {
  return [
    ...new Set([...facts.flatMap(({ text, scope, supersedes }) => [factKey(text, scope), ...supersedes]), ...retired]),
  ];
}

function prepareFacts(
  at: UserNamespaces,
  { feedback, facts, retired }: Lesson,
  found: ReadonlyMap<string, Item>,
): [ConditionalPut[], Change[]] {
  const puts: ConditionalPut[] = [];
  const changes: Change[] = [];
  const left = new Map(found);
  const take = (keys: readonly string[], by: string | null) => {
    const items = keys.flatMap((key) => left.get(key) ?? []);
    for (const { key } of items) left.delete(key);
    puts.push(...supersedePuts(at, items, { key: by, at: feedback.at }));
    return items.map(({ key, value }) => ({ key, content: String(value["content"] ?? "") }));
  };
  for (const fact of new Map(facts.map((each) => [factKey(each.text, each.scope), each])).values()) {
    const { text, scope = "all", people, supersedes } = fact;
    const put = factPut(at, { content: text, scope, people, feedback: feedback.id, supersedes }, feedback.at);
    const existing = found.get(put.key);
    // What was approved of mail becomes the user's word when the user says it.
    const isKnown = existing?.value["trust"] === "user";
    if (!isKnown) puts.push({ ...put, expected: existing?.value ?? null }, revivedPut(at, put.key));
    left.delete(put.key);
    const superseded = take(supersedes, put.key);
    changes.push({ kind: "fact", status: isKnown ? "known" : "live", key: put.key, text, scope, superseded });
  }
  for (const { key, content } of take(retired, null)) {
    changes.push({ kind: "fact", status: "retired", key, text: content, scope: "all", superseded: [] });
  }
  return [puts, changes];
}

function originOf({ feedback, gate, model }: Lesson): Origin {
  const author = { actor: feedback.actor, channel: feedback.channel };
  return { author, feedback: feedback.id, gate, accepted: false, restores: null, model, at: feedback.at };
}

function proposalOf({ feedback, proposed: changes, gate, model }: Lesson, number: number): ProposalRecord {
  const author = { actor: feedback.actor, channel: feedback.channel };
  return { number, status: "open", changes, author, feedback: feedback.id, gate, model, at: feedback.at };
}
