import type { Item, PutOperation } from "@langchain/langgraph-checkpoint";
import { cleanText, type Email, oneLine, senderAddress } from "../email.ts";
import { hashText } from "../prompts.ts";
import type { UserNamespaces } from "../store/namespaces.ts";
import type { ConditionalPut } from "../store/operations.ts";
import { daysOf, MEMORY_DAYS, type MemoryRecord, memoryRecordSchema } from "./memory-record.ts";
import type { DecisionRecord } from "./records.ts";
import { type Scope, senderScope } from "./scope.ts";

const DAY_MINUTES = 24 * 60;

/** One memory with its key in the store. */
export interface EpisodicMemory {
  key: string;
  record: MemoryRecord;
}

/** Parses found memories; records of another shape, and those past their days, are passed over. */
export function readMemories(items: readonly Item[]): EpisodicMemory[] {
  return items.flatMap((item) => {
    const record = memoryRecordSchema.safeParse(item.value).data;
    if (!record) return [];
    // Not every store knows a time to live.
    const days = daysOf(record);
    const isOver = days !== undefined && Date.now() - new Date(item.updatedAt).getTime() > days * DAY_MINUTES * 60_000;
    return isOver ? [] : [{ key: item.key, record }];
  });
}

/** The words of a memory as they are kept: one line without invisible characters, composed (NFC). */
export function cleanContent(text: string): string {
  return oneLine(cleanText(text)).normalize("NFC");
}

/** The key of a fact: its words' and its scope's, so that saying it again adds nothing. */
export function factKey(content: string, scope: Scope = "all"): string {
  const words = content
    .normalize("NFKC")
    .toLowerCase()
    .replace(/[\s.!]+$/u, "")
    .replace(/\s+/gu, " ");
  return `fact-${hashText(scope === "all" ? words : `${words}\0${scope}`)}`;
}

/** A fact that the user stated. */
export interface UserFact {
  content: string;
  scope?: Scope | undefined;
  /** Who takes part, where the scope is a conversation. */
  people?: readonly string[] | undefined;
  /** The key of the feedback that states it. */
  feedback?: string | undefined;
  /** The id of the email on whose occasion it was stated. */
  source?: string | undefined;
  supersedes?: readonly string[];
}

/** The put of a fact that the user stated, where there is none of its key. */
export function factPut(namespaces: UserNamespaces, fact: UserFact, at: string): ConditionalPut {
  const { content, scope = "all", people, feedback, source, supersedes = [] } = fact;
  const value = {
    content,
    kind: "fact",
    trust: "user",
    scope,
    author: "user",
    ...(people === undefined ? {} : { people: [...people] }),
    ...(feedback === undefined ? {} : { feedback }),
    ...(source === undefined ? {} : { source }),
    at,
    valid_from: at,
    ...(supersedes.length === 0 ? {} : { supersedes: [...supersedes] }),
  } satisfies MemoryRecord;
  const put = { namespace: namespaces.collection, key: factKey(content, scope), value, index: ["content"] };
  return { ...put, ...timeToLive(daysOf(value)), expected: null };
}

/** The time to live of a put; on stores that know none, {@link readMemories} hides what is past its days. */
export function timeToLive(days: number | undefined): { ttlMinutes?: number } {
  return days === undefined ? {} : { ttlMinutes: days * DAY_MINUTES };
}

/** The puts that move memories out of recall, since another takes their place; they are kept to be looked up. */
export function supersedePuts(
  namespaces: UserNamespaces,
  items: readonly Item[],
  by: { key: string | null; at: string },
): ConditionalPut[] {
  return items.flatMap(({ key, value }): ConditionalPut[] => [
    { namespace: namespaces.collection, key, value: null, expected: value },
    {
      namespace: namespaces.superseded,
      key,
      value: { ...value, superseded_at: by.at, ...(by.key === null ? {} : { superseded_by: by.key }) },
      index: false,
      ...timeToLive(MEMORY_DAYS.superseded),
    },
  ]);
}

/** The put that takes a memory from among the superseded, since it is live again. */
export function revivedPut(namespaces: UserNamespaces, key: string): ConditionalPut {
  return { namespace: namespaces.superseded, key, value: null };
}

/** What a model wants to remember of an email. */
export interface ProposedMemory {
  content: string;
  author: "agent" | "extraction";
  supersedes?: string | undefined;
}

/**
 * The record of what a model wants to remember of an email. It is about the sender and nobody else, whatever it says:
 * recalled for everybody, a stranger's sentence would steer every answer.
 */
export function pendingRecord(email: Email, { content, author, supersedes }: ProposedMemory, at: string) {
  const sent = Date.parse(email.date ?? "");
  return {
    content: cleanContent(content),
    kind: "fact",
    trust: "mail",
    scope: senderScope(email),
    author,
    person: senderAddress(email),
    source: email.id,
    at,
    valid_from: Number.isNaN(sent) ? at : new Date(sent).toISOString(),
    ...(supersedes === undefined ? {} : { supersedes: [supersedes] }),
  } satisfies MemoryRecord;
}

/** The key of a pending memory: a hash of all that is approved with it. Who approves a key approves that and no more. */
export function pendingKey({ content, scope, supersedes = [] }: MemoryRecord): string {
  return `pending-${hashText(JSON.stringify([content, scope, supersedes]), 32)}`;
}

/** The put of a pending memory: not indexed, since it is never recalled before approval. */
export function pendingPut(namespaces: UserNamespaces, record: MemoryRecord): ConditionalPut {
  const key = pendingKey(record);
  return { namespace: namespaces.pending, key, value: record, index: false, ...timeToLive(MEMORY_DAYS.pending) };
}

/**
 * The record of an exchange, written by code when an email is finished. It holds who, when and what was done,
 * and no word of the email, so that recalling it cannot carry a stranger's instructions. One per email: running
 * the email again replaces it; an email to be ignored leaves none. `answered` is what the user had done with it.
 */
export function conversationPut(
  namespaces: UserNamespaces,
  email: Email,
  decision: Pick<DecisionRecord, "label" | "draft" | "events" | "at">,
  answered?: string,
): PutOperation {
  const person = senderAddress(email);
  const drafted = `an answer was drafted${decision.events.length > 0 ? " and a meeting proposed" : ""}`;
  const done = answered ?? (decision.draft === null ? "the user was notified" : drafted);
  const value = {
    content: `${nameOf(person)} wrote${dayOf(email)}; ${done}`,
    kind: "conversation",
    trust: "mail",
    scope: senderScope(email),
    author: "code",
    person,
    source: email.id,
    at: decision.at,
  } satisfies MemoryRecord;
  const put = { namespace: namespaces.collection, key: `conversation-${hashText(email.id)}`, index: false as const };
  return { ...put, value: decision.label === "ignore" ? null : value, ...timeToLive(MEMORY_DAYS.conversation) };
}

/** A quoted local part (RFC 5321 §4.1.2) can hold whole sentences; such a sender is not named. */
function nameOf(person: string): string {
  return /^[\p{L}\p{N}.!#$%&'*+/=?^_`{|}~-]{1,64}@[\p{L}\p{N}.-]{1,190}$/u.test(person) ? person : "the sender";
}

function dayOf(email: Email): string {
  const time = Date.parse(email.date ?? "");
  return Number.isNaN(time) ? "" : ` on ${new Date(time).toISOString().slice(0, 10)}`;
}
