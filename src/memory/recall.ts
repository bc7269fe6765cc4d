import type { Item } from "@langchain/langgraph-checkpoint";
import { type Email, oneLine, quoteUntrusted, senderAddress } from "../email.ts";
import type { UserNamespaces } from "../store/namespaces.ts";
import type { RankedSearch } from "../store/operations.ts";
import { type EpisodicMemory, readMemories } from "./episodic.ts";
import type { MemoryRecord } from "./memory-record.ts";
import type { UsedMemory } from "./records.ts";
import { type Scope, scopesOf } from "./scope.ts";
import { similarityText } from "./semantic.ts";

/** Tokens that the memories in one prompt may take, and those of a single memory. */
const BUDGET = { all: 1_400, one: 350 };
const CONVERSATIONS = 3;
/** Facts among which those that fit are taken. */
const CANDIDATES = 20;
/** The same where the store cannot tell scopes apart, and code has to. */
const UNFILTERED = 200;

/** How facts are searched. */
export interface FactSearch {
  query: string;
  /** Only facts that this email opens; without one, all. */
  email?: Pick<Email, "from" | "thread_id"> | undefined;
  /** Only facts of this scope. */
  only?: Scope | undefined;
  limit: number;
  ranking?: RankedSearch["ranking"];
}

/**
 * The search for facts. Scopes are filtered by the store where it can do that; {@link isRecalled} decides in any case.
 * Facts without a scope were kept before there were scopes.
 */
export function factSearch(at: UserNamespaces, search: FactSearch, hasOperators: boolean): RankedSearch {
  const { query, email, only, limit, ranking = "hybrid" } = search;
  const scope = email && hasOperators ? { scope: { $in: [null, ...scopesOf(email)] } } : {};
  return {
    namespacePrefix: at.collection,
    query,
    ranking,
    filter: { kind: "fact", ...scope, ...(only === undefined ? {} : { scope: only }) },
    limit: hasOperators ? limit : Math.max(limit, UNFILTERED),
  };
}

/** What is recalled before an email is answered: the facts nearest to it, and the last exchanges with its sender. */
export function recallSearches(
  at: UserNamespaces,
  email: Email,
  hasOperators: boolean,
): [facts: RankedSearch, conversations: RankedSearch] {
  const query = similarityText(email);
  return [
    factSearch(at, { query, email, limit: CANDIDATES }, hasOperators),
    {
      namespacePrefix: at.collection,
      filter: { kind: "conversation", person: senderAddress(email) },
      limit: CONVERSATIONS,
    },
  ];
}

/** Of what the searches found, what the email opens and the budget has room for, exchanges first. */
export function recalled(email: Email, [facts, conversations]: [Item[], Item[]]): EpisodicMemory[] {
  const exchanges = readMemories(conversations).filter(({ record }) => record.kind === "conversation");
  return withinBudget([...exchanges, ...recallable(facts, email).slice(0, CANDIDATES)]);
}

/** Those of the found facts that may be recalled, for an email or, without one, at all. */
export function recallable(items: readonly Item[], email?: FactSearch["email"]): EpisodicMemory[] {
  const opens = email && { sender: senderAddress(email), scopes: scopesOf(email) };
  return readMemories(items).filter(({ record }) => isRecalled(record, opens));
}

/**
 * Whether a fact may be recalled: it is the user's word or was approved, and its scope is one that the email opens. A
 * conversation is opened by those who take part in it only, since ids of threads can be guessed.
 */
function isRecalled(
  { kind, trust, approved_at, scope, people }: MemoryRecord,
  opens: { sender: string; scopes: readonly Scope[] } | undefined,
): boolean {
  if (kind !== "fact" || (trust !== "user" && approved_at === undefined)) return false;
  if (!opens) return true;
  if (!opens.scopes.includes(scope)) return false;
  return !scope.startsWith("thread:") || (people?.includes(opens.sender) ?? false);
}

/** The first memories that fit into the budget of a prompt; one too many does not keep the next, shorter, out. */
export function withinBudget(memories: readonly EpisodicMemory[]): EpisodicMemory[] {
  let left = BUDGET.all;
  return memories.filter((memory) => {
    const tokens = estimateTokens(`${renderMemory(memory)}\n`);
    if (tokens > left) return false;
    left -= tokens;
    return true;
  });
}

/** Memories as a user or tool message shows them: one quoted line each, with the key that names it and whose word it is. */
export function renderMemories(memories: readonly EpisodicMemory[]): string {
  return memories.map(renderMemory).join("\n");
}

function renderMemory({ key, record }: EpisodicMemory): string {
  const since = (record.valid_from ?? record.at)?.slice(0, 10);
  const day = since === undefined ? "" : `, ${since}`;
  const origin =
    record.kind === "conversation"
      ? ""
      : record.trust === "user"
        ? `(the person's own word${day}) `
        : `(from an email${day}) `;
  // Before the content, which could end in words that look the same.
  return quoteUntrusted(`[${key}] ${origin}${cutTokens(oneLine(record.content), BUDGET.one)}`);
}

/** Memories as memories that went into a draft. */
export function usedMemories(memories: readonly EpisodicMemory[]): UsedMemory[] {
  return memories.map(({ key, record }) => ({ kind: "episodic", key, content: record.content }));
}

/**
 * Tokens of a text, estimated high enough for common tokenizers: four characters a token in ASCII, one character a token
 * in any other script.
 */
export function estimateTokens(text: string): number {
  let ascii = 0;
  let other = 0;
  for (const character of text) {
    if (character <= "\u007f") ascii += 1;
    else other += 1;
  }
  return Math.ceil(ascii / 4) + other;
}

function cutTokens(text: string, tokens: number): string {
  if (estimateTokens(text) <= tokens) return text;
  const characters = [...text];
  let [low, high] = [0, characters.length];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (estimateTokens(characters.slice(0, middle).join("")) <= tokens - 1) low = middle;
    else high = middle - 1;
  }
  return `${characters.slice(0, low).join("")}…`;
}
