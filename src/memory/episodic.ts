import type { Item, PutOperation } from "@langchain/langgraph-checkpoint";
import { type Email, oneLine, quoteUntrusted, senderAddress } from "../email.ts";
import { hashText } from "../prompts.ts";
import type { UserNamespaces } from "../store/namespaces.ts";
import type { ConditionalPut, RankedSearch } from "../store/operations.ts";
import { type DecisionRecord, type MemoryRecord, memoryRecordSchema, type UsedMemory } from "./records.ts";
import { similarityText } from "./semantic.ts";

const RECALLED_FACTS = 5;
const RECALLED_CONVERSATIONS = 3;

/** One memory with its key in the store. */
export interface EpisodicMemory {
  key: string;
  record: MemoryRecord;
}

/** What is recalled before an email is answered: the facts nearest to it, and the last exchanges with its sender. */
export function recall(namespaces: UserNamespaces, email: Email): [RankedSearch, RankedSearch] {
  return [
    {
      namespacePrefix: namespaces.collection,
      query: similarityText(email),
      ranking: "hybrid",
      filter: { kind: "fact" },
      limit: RECALLED_FACTS,
    },
    {
      namespacePrefix: namespaces.collection,
      filter: { kind: "conversation", person: senderAddress(email) },
      limit: RECALLED_CONVERSATIONS,
    },
  ];
}

/** Parses found memories; records of another shape are passed over. */
export function readMemories(items: readonly Item[]): EpisodicMemory[] {
  return items.flatMap((item) => {
    const record = memoryRecordSchema.safeParse(item.value);
    return record.success ? [{ key: item.key, record: record.data }] : [];
  });
}

/** Memories as a user or tool message shows them: one quoted line each, with the key that names it. */
export function renderMemories(memories: readonly EpisodicMemory[]): string {
  return memories.map(({ key, record }) => quoteUntrusted(`[${key}] ${oneLine(record.content)}`, 2_000)).join("\n");
}

/** Memories as memories that went into a draft. */
export function usedMemories(memories: readonly EpisodicMemory[]): UsedMemory[] {
  return memories.map(({ key, record }) => ({ kind: "episodic", key, content: record.content }));
}

/** The put of what a model wants to remember of an email: not indexed, since it is never recalled before approval. */
export function proposalPut(namespaces: UserNamespaces, email: Email, content: string, at: string): PutOperation {
  const value = {
    content,
    kind: "fact",
    trust: "mail",
    person: senderAddress(email),
    source: email.id,
    at,
  } satisfies MemoryRecord;
  return { namespace: namespaces.pending, key: `pending-${hashText(email.id + content)}`, value, index: false };
}

/** The key of a fact that the user stated: its content's. */
export function factKey(content: string): string {
  return `fact-${hashText(content)}`;
}

/** The put of a fact that the user stated. Its key is its content's, so that saying it again adds nothing. */
export function factPut(namespaces: UserNamespaces, content: string, at: string): ConditionalPut {
  const value = { content, kind: "fact", trust: "user", at } satisfies MemoryRecord;
  return {
    namespace: namespaces.collection,
    key: factKey(content),
    value,
    expected: null,
    index: ["content"],
  };
}

/**
 * The record of an exchange, written by code when an email is finished. It holds who, when and what was done,
 * and no word of the email, so that recalling it cannot carry a stranger's instructions. One per email: running
 * the email again replaces it; an email to be ignored leaves none.
 */
export function conversationPut(namespaces: UserNamespaces, email: Email, decision: DecisionRecord): PutOperation {
  const person = senderAddress(email);
  const done =
    decision.label === "respond"
      ? `an answer was drafted${decision.events.length > 0 ? " and a meeting proposed" : ""}`
      : "the user was notified";
  const value = {
    content: `${nameOf(person)} wrote${dayOf(email)}; ${done}`,
    kind: "conversation",
    trust: "mail",
    person,
    source: email.id,
    at: decision.at,
  } satisfies MemoryRecord;
  const key = `conversation-${hashText(email.id)}`;
  return { namespace: namespaces.collection, key, value: decision.label === "ignore" ? null : value, index: false };
}

/** A quoted local part (RFC 5321 §4.1.2) can hold whole sentences; such a sender is not named. */
function nameOf(person: string): string {
  return /^[\p{L}\p{N}.!#$%&'*+/=?^_`{|}~-]{1,64}@[\p{L}\p{N}.-]{1,190}$/u.test(person) ? person : "the sender";
}

function dayOf(email: Email): string {
  const time = Date.parse(email.date ?? "");
  return Number.isNaN(time) ? "" : ` on ${new Date(time).toISOString().slice(0, 10)}`;
}
