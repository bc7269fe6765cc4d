import type { Item } from "@langchain/langgraph-checkpoint";
import { decodeUserId } from "../store/namespaces.ts";
import type { JsonObject } from "../store/row-driver.ts";
import { factKey, pendingKey } from "./episodic.ts";
import { feedbackRecordSchema, receiptSchema } from "./feedback-record.ts";
import type { UserItems } from "./forget-items.ts";
import { rewriteProposal, rewriteReceipt } from "./forget-log.ts";
import { FORGOTTEN, someText } from "./forget-text.ts";
import { TELLING_LENGTH, type Traces } from "./forget-traces.ts";
import { memoryRecordSchema } from "./memory-record.ts";
import { type DecisionRecord, decisionRecordSchema, proposedEventsSchema, type UsedMemory } from "./records.ts";
import { proposalRecordSchema } from "./versions.ts";

/** What items are rewritten by. */
export interface Rewriting {
  traces: Traces;
  /** The ids of the emails whose drafts may repeat what is forgotten. */
  drafts: ReadonlySet<string>;
  /** The labels of the threads that go. */
  threads: ReadonlySet<string>;
  time: string;
}

/**
 * An item's value without what is forgotten, the address of a contact excepted; null where all of it goes. Prompts and
 * versions are not among what this can rewrite, since they depend on each other.
 */
export function rewriteItem(name: keyof UserItems, { namespace, key, value }: Item, by: Rewriting): JsonObject | null {
  const { traces } = by;
  switch (name) {
    case "decisions": {
      const decision = decisionRecordSchema.safeParse(value).data;
      if (traces.emails.has(key)) return null;
      return decision ? rewriteDecision(decision, traces) : value;
    }
    case "examples":
    case "replays":
    case "extractions":
      return traces.emails.has(key) ? null : value;
    case "events":
      return traces.emails.has(key) ? null : rewriteEvents(value, by.drafts.has(key));
    case "collection":
    case "pending":
    case "superseded":
      return traces.memories.has(key) ? null : rewriteMemory(value, traces);
    case "feedback":
      return rewriteFeedback(key, value, by);
    case "receipts": {
      const receipt = receiptSchema.safeParse(value).data;
      if (traces.feedback.has(key)) return tombstone(value, by.time);
      return receipt ? rewriteReceipt(receipt, traces) : value;
    }
    case "proposals": {
      const proposal = proposalRecordSchema.safeParse(value).data;
      return proposal ? rewriteProposal(proposal, traces) : value;
    }
    case "temporary": {
      const label = namespace.at(-1) ?? "";
      return by.threads.has(label) || isTraced([decodeUserId(label), key, value], traces) ? null : value;
    }
    default:
      return value;
  }
}

/** Which words of a decision may repeat what is forgotten: triage is shown rules and examples, answering rules and facts. */
export function spoiltIn({ memories }: DecisionRecord, traces: Traces): { reason: boolean; draft: boolean } {
  const gone = memories.filter((each) => isGone(each, traces));
  const isTriage = ({ kind, key }: UsedMemory) => kind === "semantic" || key.startsWith("triage_");
  // The record of an exchange holds no word of it.
  const isExchange = ({ kind, key }: UsedMemory) => kind === "episodic" && key.startsWith("conversation-");
  return { reason: gone.some(isTriage), draft: gone.some((each) => !isTriage(each) && !isExchange(each)) };
}

function isGone({ kind, key, rule, content }: UsedMemory, traces: Traces): boolean {
  if (kind === "episodic") return traces.memories.has(key);
  if (kind === "semantic") return traces.emails.has(key);
  return (rule !== undefined && traces.rules.has(rule)) || traces.ruleTexts.has(content);
}

function rewriteDecision(decision: DecisionRecord, traces: Traces): JsonObject {
  const spoilt = spoiltIn(decision, traces);
  const { draft, events } = decision;
  return {
    ...decision,
    memories: decision.memories.filter((each) => !isGone(each, traces)),
    ...(spoilt.reason ? { reason: FORGOTTEN } : {}),
    ...(spoilt.draft && draft ? { draft: { ...draft, subject: FORGOTTEN, body: FORGOTTEN } } : {}),
    ...(spoilt.draft ? { events: events.map((event) => ({ ...event, title: FORGOTTEN })) } : {}),
  };
}

function rewriteEvents(value: JsonObject, isSpoilt: boolean): JsonObject {
  const record = proposedEventsSchema.safeParse(value).data;
  if (!record || !isSpoilt) return value;
  return { ...record, events: record.events.map((event) => ({ ...event, title: FORGOTTEN })) };
}

function rewriteMemory(value: JsonObject, { target, address, memories }: Traces): JsonObject {
  const record = memoryRecordSchema.safeParse(value).data;
  if (!record) return value;
  const { supersedes, superseded_by, people } = record;
  const left: JsonObject = { ...value };
  if (address && people?.includes(target.id)) left["people"] = people.filter((each) => each !== target.id);
  if (superseded_by !== undefined && memories.has(superseded_by)) delete left["superseded_by"];
  if (supersedes?.some((each) => memories.has(each))) {
    const others = supersedes.filter((each) => !memories.has(each));
    if (others.length > 0) left["supersedes"] = others;
    else delete left["supersedes"];
  }
  return left;
}

/** The key of a rewritten memory, where the key is a hash of what it says; undefined where it is not. */
export function memoryKey(key: string, before: JsonObject, after: JsonObject): string | undefined {
  const [was, is] = [memoryRecordSchema.safeParse(before).data, memoryRecordSchema.safeParse(after).data];
  if (!was || !is) return undefined;
  if (key === pendingKey(was)) return pendingKey(is);
  return key === factKey(was.content, was.scope) ? factKey(is.content, is.scope) : undefined;
}

function rewriteFeedback(key: string, value: JsonObject, { traces, drafts, time }: Rewriting): JsonObject {
  if (traces.feedback.has(key) || traces.words.has(key)) return tombstone(value, time);
  const record = feedbackRecordSchema.safeParse(value).data;
  if (record?.kind !== "edited_draft" || !drafts.has(record.email_id)) return value;
  return { ...record, before: FORGOTTEN, after: FORGOTTEN };
}

/** What stays under a key that must not be used again. */
export function tombstone(value: JsonObject, time: string): JsonObject {
  return value["kind"] === "forgotten" ? value : { kind: "forgotten", at: time };
}

/** Whether any text of a value is, names or quotes something that is forgotten. */
export function isTraced(value: unknown, { address, emails, memories, rules, texts, ruleTexts }: Traces): boolean {
  const keys = [...memories.keys()];
  const told = [...texts, ...ruleTexts].filter(({ length }) => length >= TELLING_LENGTH);
  return someText(
    value,
    (text) =>
      emails.has(text) ||
      memories.has(text) ||
      rules.has(text) ||
      address?.isIn(text) === true ||
      keys.some((key) => text.includes(`[${key}]`)) ||
      told.some((each) => text.includes(each)),
  );
}
