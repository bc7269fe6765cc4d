import type { SearchItem } from "@langchain/langgraph-checkpoint";
import { senderAddress } from "../email.ts";
import { tokenize } from "../store/tokens.ts";
import { EXAMPLE_CHOICE } from "./example-parameters.ts";
import { type ComparedEmail, compareEmail } from "./records.ts";
import { type Example, readExamples } from "./semantic.ts";

/** An example with its likeness to an email, from 0 to 1. */
export interface Neighbour extends Example {
  similarity: number;
}

interface Candidate extends Neighbour {
  words: Words;
}

/** The distinct words of an email with their weights, as a unit vector. */
type Words = ReadonlyMap<string, number>;

/** How examples are chosen: at most `shown`, four unless said, by the likeness of words, of embeddings, or of both. */
export interface ExampleOptions {
  shown?: number;
  likeness?: "both" | "words" | "vector";
}

/**
 * Chooses at most four examples for an email, nearest first, from what `exampleSearches` found on any LangGraph
 * store; the order in which items were found does not matter.
 *
 * Likeness is the mean of two cosines, of embeddings and of words (a convex combination, Bruch, Gai and Ingber 2023),
 * or that of words alone where the store has no comparable vectors or ignores how it was asked to rank. Of near
 * duplicates only the newest is a candidate, since the user may have changed their mind. What is less like than the
 * floors is left out. The rest is taken by maximal marginal relevance, but one label does not take all places while
 * another has a candidate: models prefer the label that examples repeat, and the last one (Zhao et al. 2021), which is
 * why the nearest is shown last.
 *
 * `without` are keys of examples to act as if they were not there.
 */
export function chooseExamples(
  email: ComparedEmail,
  found: readonly (readonly SearchItem[])[],
  options: ExampleOptions & { without?: ReadonlySet<string> } = {},
): Neighbour[] {
  const { shown = EXAMPLE_CHOICE.shown, likeness = "both", without } = options;
  const words = wordsOf(email);
  const sender = senderAddress(email);
  const cosines = likeness === "words" ? new Map<string, number>() : cosinesOf(found);
  const near = dropDuplicates(examplesOf(found, without)).flatMap((example): Candidate[] => {
    const byVector = cosines.get(example.key);
    const byWords = likeness === "vector" ? (byVector ?? 0) : cosine(words, example.words);
    const isSameSender = sender !== "" && senderAddress(example.record.email) === sender;
    const isNear =
      (likeness !== "vector" && byWords >= EXAMPLE_CHOICE.wordFloor) || (byVector ?? 0) >= EXAMPLE_CHOICE.vectorFloor;
    if (!isNear && !isSameSender) return [];
    const mean = byVector === undefined ? byWords : (byWords + Math.max(0, byVector)) / 2;
    const similarity = isSameSender ? Math.max(mean, EXAMPLE_CHOICE.senderLikeness) : mean;
    return [{ ...example, similarity }];
  });
  return pick(near, shown).map(({ words: _, ...neighbour }) => neighbour);
}

/** Greedy, by marginal relevance; the last place goes to another label where all others have the same. */
function pick(candidates: readonly Candidate[], shown: number): Candidate[] {
  const left = [...candidates];
  const chosen: Candidate[] = [];
  while (chosen.length < shown && left.length > 0) {
    const [first] = chosen;
    const isLast = chosen.length === shown - 1;
    const isOneSided = isLast && first && chosen.every(({ record }) => record.label === first.record.label);
    const others = isOneSided ? left.filter(({ record }) => record.label !== first.record.label) : [];
    const next = best(others.length > 0 ? others : left, chosen);
    if (!next) break;
    left.splice(left.indexOf(next), 1);
    chosen.push(next);
  }
  return chosen.sort(nearestFirst);
}

/** The candidate of the highest marginal relevance; of equal ones the first, which is the newest. */
function best(candidates: readonly Candidate[], chosen: readonly Candidate[]): Candidate | undefined {
  let found: { candidate: Candidate; relevance: number } | undefined;
  for (const candidate of candidates) {
    const repeated = Math.max(0, ...chosen.map(({ words }) => cosine(candidate.words, words)));
    const relevance = EXAMPLE_CHOICE.relevance * candidate.similarity - (1 - EXAMPLE_CHOICE.relevance) * repeated;
    if (!found || relevance > found.relevance) found = { candidate, relevance };
  }
  return found?.candidate;
}

/** Newest first, each that nearly repeats none that is kept. */
function dropDuplicates(examples: readonly Omit<Candidate, "similarity">[]): Omit<Candidate, "similarity">[] {
  const kept: Omit<Candidate, "similarity">[] = [];
  for (const example of [...examples].sort(newestFirst)) {
    if (!kept.some(({ words }) => isNearDuplicate(words, example.words))) kept.push(example);
  }
  return kept;
}

function examplesOf(found: readonly (readonly SearchItem[])[], without?: ReadonlySet<string>) {
  const byKey = new Map(readExamples(found.flat()).map((example) => [example.key, example]));
  const examples = [...byKey.values()].filter(({ key }) => !without?.has(key));
  return examples.map((example) => ({ ...example, words: wordsOf(example.record.email) }));
}

/**
 * The cosines of a search by vector. Where there are no vectors, our stores rank by words both times, and other stores
 * rank both times in a way of their own: then both searches give the same scores, which are not taken for cosines.
 */
function cosinesOf([hybrid = [], vector = []]: readonly (readonly SearchItem[])[]): Map<string, number> {
  const fused = new Map(hybrid.map(({ key, score }) => [key, score]));
  const scored = vector.flatMap(({ key, score }) => (score === undefined ? [] : [{ key, score }]));
  const areCosines = scored.some(({ key, score }) => {
    const other = fused.get(key);
    return other !== undefined && other !== score;
  });
  return new Map(areCosines ? scored.map(({ key, score }) => [key, score]) : []);
}

/**
 * The words of subject and body, the sender's address and its domain, each as one word: the parts of an address would
 * make all short emails from gmail.com alike. Whom it is to is left out, since in a mailbox that is nearly always the same.
 */
function wordsOf(email: ComparedEmail): Words {
  const { from, subject, body } = compareEmail(email);
  const text = JSON.stringify([from, subject, body]);
  const known = WORDS.get(text);
  if (known) return known;
  const words = countWords({ from, subject, body });
  WORDS.set(text, words);
  const [oldest] = WORDS.keys();
  if (WORDS.size > KNOWN_WORDS && oldest !== undefined) WORDS.delete(oldest);
  return words;
}

/** A user's examples come again with each of their emails; splitting them into words takes longer than all the rest. */
const WORDS = new Map<string, Words>();
const KNOWN_WORDS = 2_000;

function countWords({ from, subject, body }: Pick<ComparedEmail, "from" | "subject" | "body">): Words {
  const address = senderAddress({ from });
  const sender = address === "" ? [] : [address, `@${address.slice(address.lastIndexOf("@") + 1)}`];
  const counts = new Map<string, number>();
  for (const word of [...tokenize(`${subject}\n${body}`, "english"), ...sender]) {
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const weights = [...counts].map(([word, count]): [string, number] => [word, 1 + Math.log(count)]);
  const norm = Math.sqrt(weights.reduce((sum, [, weight]) => sum + weight * weight, 0));
  return new Map(weights.map(([word, weight]) => [word, weight / norm]));
}

function cosine(a: Words, b: Words): number {
  const [few, many] = a.size < b.size ? [a, b] : [b, a];
  let sum = 0;
  for (const [word, weight] of few) sum += weight * (many.get(word) ?? 0);
  return Math.min(1, sum);
}

function isNearDuplicate(a: Words, b: Words): boolean {
  const [few, many] = a.size < b.size ? [a, b] : [b, a];
  if (few.size < EXAMPLE_CHOICE.nearDuplicate * many.size) return false;
  let shared = 0;
  for (const word of few.keys()) if (many.has(word)) shared += 1;
  return shared >= EXAMPLE_CHOICE.nearDuplicate * (few.size + many.size - shared);
}

/** Equal ones stay as they were: newest first. */
function nearestFirst(a: Neighbour, b: Neighbour): number {
  return b.similarity - a.similarity;
}

function newestFirst(a: Example, b: Example): number {
  const [atA, atB] = [timeOf(a), timeOf(b)];
  if (atA !== atB) return atB - atA;
  return a.key < b.key ? -1 : Number(a.key > b.key);
}

/** Other programs may have written no time that can be read: such an example is the oldest. */
function timeOf({ record }: Example): number {
  const time = Date.parse(record.at);
  return Number.isNaN(time) ? 0 : time;
}
