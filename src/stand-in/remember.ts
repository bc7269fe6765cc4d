import {
  type Block,
  type Mail,
  oneLine,
  readBlocks,
  readListed,
  readMail,
  sentences,
  textsOf,
} from "./prompt-reader.ts";
import type { ChatRequest } from "./wire.ts";
import { ASKED_TO_REMEMBER, BEING, LEAD_IN, OF_THE_SPEAKER, ONE_VALUE_VERBS, STATEMENTS } from "./words.ts";

/** A memory that the stand-in would keep of an email. `supersedes` is the key of the memory it takes the place of. */
interface Found {
  content: string;
  quote: string;
  supersedes: string | null;
}

const MOST_MEMORIES = 3;
const SENTENCE_LIMIT = 500;
/** What Mnemail says before a memory of whose word it is. */
const ORIGIN = /^\((?:the person's own word|from an email)(?:, \d{4}-\d\d-\d\d)?\) /;

/** What an email states about its sender that is worth knowing later, by the grammar that `behaviour.ts` describes. */
export function extract(request: ChatRequest): { memories: Found[] } {
  const blocks = readBlocks(textsOf(request, "user").at(-1) ?? "");
  const email = blocks.findLast(({ tag }) => tag === "email");
  if (!email) return { memories: [] };
  const mail = readMail(email);
  const known = readMemories(blocks);
  const passedOver = new Set([...factsAskedFor(mail), ...known.map(({ text }) => text)].map(plainFact));
  const memories: Found[] = [];
  for (const quote of sentences(mail.own)) {
    const said = statementOf(quote);
    if (!said || passedOver.has(plainFact(said.statement))) continue;
    const content = saidOf(mail.name || mail.address, said);
    if (passedOver.has(plainFact(content))) continue;
    passedOver.add(plainFact(content));
    memories.push({ content, quote, supersedes: known.find(({ text }) => contradicts(content, text))?.id ?? null });
  }
  return { memories: memories.slice(0, MOST_MEMORIES) };
}

/** The memories that are no longer true if the facts are. */
export function reconcile(request: ChatRequest): { contradicted: string[] } {
  const blocks = readBlocks(textsOf(request, "user").at(-1) ?? "");
  const facts = blocks.filter(({ tag }) => tag === "fact").flatMap(({ lines }) => lines);
  const gone = readMemories(blocks).filter(({ text }) => facts.some((fact) => contradicts(fact, text)));
  return { contradicted: gone.map(({ id }) => id) };
}

/** The facts that an email asks to remember. */
export function factsAskedFor({ own }: Mail): string[] {
  return sentences(own).flatMap((each) => ASKED_TO_REMEMBER.exec(each)?.[1]?.replace(/[.!]+$/, "") ?? []);
}

/** Whether two facts cannot both be true: one subject and verb with two values, or one of them says "no longer". */
export function contradicts(one: string, other: string): boolean {
  const [a, b] = [plainFact(one), plainFact(other)];
  const [wasA, wasB] = [a, b].map((fact) => fact.replace(/\bno longer /, ""));
  // A denial gives no other value: it contradicts only what it denies.
  const [isDeniedA, isDeniedB] = [wasA !== a, wasB !== b];
  if (isDeniedA || isDeniedB) return wasA === wasB && isDeniedA !== isDeniedB;
  const [first, second] = [splitAtVerb(a), splitAtVerb(b)];
  return first !== undefined && first.stem === second?.stem && first.value !== second.value;
}

/** A fact without what does not tell facts apart: case, white space, a final period, "Please remember that". */
export function plainFact(text: string): string {
  return oneLine(text)
    .toLowerCase()
    .replaceAll("’", "'")
    .replace(/^(?:please,? )?(?:remember|note)(?: that|:) /, "")
    .replace(/\.$/, "");
}

/** A fact's subject with the first verb behind it, and what the fact says; undefined when there are not all three. */
function splitAtVerb(fact: string): { stem: string; value: string } | undefined {
  const words = fact.split(" ");
  let isOwned = false;
  for (let at = 1; at < words.length - 1; at += 1) {
    const hasOneValue = (verb: string) => ONE_VALUE_VERBS.has(verb) || (BEING.has(verb) && isOwned);
    // "Tom's number is": the word before the subject's last is an owner.
    isOwned ||= at > 1 && (words[at - 2]?.endsWith("'s") ?? false);
    const length = [2, 1].find((count) => hasOneValue(words.slice(at, at + count).join(" ")));
    if (length === undefined) continue;
    const value = words.slice(at + length).join(" ");
    return value === "" ? undefined : { stem: words.slice(0, at + length).join(" "), value };
  }
  return undefined;
}

interface Statement {
  /** The sentence without what leads it in and the final period. */
  statement: string;
  /** What is said behind the sender's name; undefined where only their own words will do. */
  predicate: string | undefined;
}

function statementOf(sentence: string): Statement | undefined {
  if (sentence.length > SENTENCE_LIMIT || sentence.endsWith("?") || ASKED_TO_REMEMBER.test(sentence)) return undefined;
  const statement = sentence.replace(LEAD_IN, "").replace(/[.!]+$/, "");
  const [said, instead] = STATEMENTS.find(([pattern]) => pattern.test(statement)) ?? [];
  if (!said) return undefined;
  const predicate = instead === undefined ? undefined : statement.replace(said, instead);
  return { statement, predicate: predicate && !OF_THE_SPEAKER.test(predicate) ? predicate : undefined };
}

function saidOf(name: string, { statement, predicate }: Statement): string {
  return predicate === undefined ? `${name} wrote: "${statement}"` : `${name}${predicate}`;
}

function readMemories(blocks: readonly Block[]): { id: string; text: string }[] {
  const lines = blocks.filter(({ tag }) => tag === "memories").flatMap((block) => block.lines);
  return readListed(lines).map(({ id, text }) => ({ id, text: text.replace(ORIGIN, "") }));
}
