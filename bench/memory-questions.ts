import { type EpisodicMemory, factKey } from "../src/memory/episodic.ts";
import type { Scope } from "../src/memory/scope.ts";
import { tokenize } from "../src/store/tokens.ts";
import { KINDS, type Kind } from "./memory-kinds.ts";
import { fillFor, makePeople, type Person, pick, shuffle } from "./memory-people.ts";

/** People of the set that is asked about: 2,097 facts. */
const ASKED_PEOPLE = 300;

/** One fact about one person. */
export interface Fact {
  key: string;
  content: string;
  scope: Scope;
  person: Person;
  kind: Kind;
  /** What is said, and the same in other words. */
  value: string;
  otherwise: string;
}

/** What questions share with the facts that answer them. */
export const GROUPS = ["same words", "paraphrase", "by name among near-duplicates"] as const;

/** One question with the keys of all facts that answer it. */
export interface Question {
  group: (typeof GROUPS)[number];
  text: string;
  relevant: ReadonlySet<string>;
}

const FEWEST_PER_PERSON = 4;
/** Questions of one group about one kind of fact. */
const PER_KIND = 4;
/** Questions that are a name or an address and nothing else. */
const NAME_ONLY = 20;
/** More facts than this answer no question of ours. */
const FEW = 3;
/** A person who is asked for by name alone has at most this many facts. */
const FEW_OF_PERSON = 5;
/** Others that hold a fact of the same kind and share the surname or the company. */
const NEAR_DUPLICATES = 2;

/** Of each person, 4 to 10 facts of different kinds. The same people have the same facts, however many there are. */
function makeFacts(people: readonly Person[]): Fact[] {
  return people.flatMap((person) =>
    shuffle(KINDS, "kinds", person.number)
      .slice(0, FEWEST_PER_PERSON + (person.number % 7))
      .map((kind) => makeFact(person, kind)),
  );
}

/** The first `count` facts about as many people as that takes. */
export function makeManyFacts(count: number): Fact[] {
  const facts = makeFacts(makePeople(Math.ceil(count / FEWEST_PER_PERSON))).slice(0, count);
  if (new Set(facts.map(({ key }) => key)).size !== count) throw new Error(`there are no ${count} different facts`);
  return facts;
}

function makeFact(person: Person, kind: Kind): Fact {
  const fill = fillFor(person, kind.name);
  const [value, otherwise] = pick(kind.values, "value", kind.name, person.number).map((each) => fillIn(each, fill));
  const { name, first, company, address } = person;
  const who = pick(
    [name, name, `${name} of ${company}`, `${name} of ${company}`, address, first],
    "who",
    kind.name,
    name,
  );
  const template = pick(kind.facts, "template", kind.name, name);
  const content = fillIn(template, { ...fill, who, value: value ?? "" });
  const scope: Scope = `person:${address}`;
  return { key: factKey(content, scope), content, scope, person, kind, value: value ?? "", otherwise: otherwise ?? "" };
}

function fillIn(template: string, values: Readonly<Record<string, string>>): string {
  return template.replace(/\{(\w+)\}/g, (slot, name: string) => values[name] ?? slot);
}

/** Questions of all {@link GROUPS} about facts. */
function makeQuestions(facts: readonly Fact[]): Question[] {
  const ofKind = (kind: Kind, seed: string) =>
    shuffle(
      facts.filter((fact) => fact.kind === kind),
      seed,
      kind.name,
    );
  return KINDS.flatMap((kind) => [
    ...first(PER_KIND / 2, ofKind(kind, "same person"), (fact) =>
      ask("same words", kind.same[0], fact, facts, samePerson),
    ),
    ...first(PER_KIND / 2, ofKind(kind, "same unnamed"), (fact) =>
      ask("same words", kind.same[1], fact, facts, sameValueAtCompany),
    ),
    ...first(PER_KIND / 2, ofKind(kind, "other person"), (fact) =>
      ask("paraphrase", kind.other[0], fact, facts, sameFirstName),
    ),
    ...first(PER_KIND / 2, ofKind(kind, "other unnamed"), (fact) =>
      ask("paraphrase", kind.other[1], fact, facts, sameValueAtCompany),
    ),
    ...first(PER_KIND, ofKind(kind, "by name"), (fact) => askByName(fact, facts)),
  ]).concat(first(NAME_ONLY, shuffle(facts, "name only"), (fact) => askNameOnly(fact, facts)));
}

/** The first `count` questions that can be asked, none of them twice. */
function first(count: number, facts: readonly Fact[], toQuestion: (fact: Fact) => Question | undefined): Question[] {
  const questions = new Map<string, Question>();
  for (const fact of facts) {
    const question = toQuestion(fact);
    if (question) questions.set(question.text, question);
    if (questions.size === count) break;
  }
  return [...questions.values()];
}

const samePerson = (a: Fact, b: Fact) => a.person === b.person;
const sameFirstName = (a: Fact, b: Fact) => a.person.first === b.person.first;
const sameValueAtCompany = (a: Fact, b: Fact) => a.person.company === b.person.company && a.value === b.value;

/** Undefined where too many facts of the kind answer it. */
function ask(
  group: Question["group"],
  template: string,
  fact: Fact,
  facts: readonly Fact[],
  answersToo: (a: Fact, b: Fact) => boolean,
): Question | undefined {
  const { person, value, otherwise, kind } = fact;
  const answers = facts.filter((other) => other.kind === kind && answersToo(fact, other));
  const text = fillIn(template, { name: person.name, first: person.first, company: person.company, value, otherwise });
  return answers.length <= FEW ? { group, text, relevant: keysOf(answers) } : undefined;
}

/** Undefined where few others could be mistaken for the person. */
function askByName(fact: Fact, facts: readonly Fact[]): Question | undefined {
  const { person, kind } = fact;
  const { first: given, last, address, company } = person;
  const others = facts.filter((other) => other.kind === kind && other.person !== person);
  const alike = others.filter(({ person: each }) => each.last === last || each.company === company);
  const isAmbiguous = others.some(({ person: each }) => each.last === last && each.company === company);
  if (alike.length < NEAR_DUPLICATES || isAmbiguous) return undefined;
  const names = [`${given} ${last}`, address, `${last} (${company})`, `${last}, ${given}`];
  const name = pick(names, "asked by", kind.name, person.number);
  return { group: "by name among near-duplicates", text: `${name}: ${kind.topic}`, relevant: new Set([fact.key]) };
}

function askNameOnly({ person }: Fact, facts: readonly Fact[]): Question | undefined {
  const answers = facts.filter((other) => other.person === person);
  const namesakes = new Set(facts.map((each) => each.person).filter(({ last }) => last === person.last));
  if (answers.length > FEW_OF_PERSON || namesakes.size <= NEAR_DUPLICATES) return undefined;
  const text = pick([person.name, person.address], "name only", person.number);
  return { group: "by name among near-duplicates", text, relevant: keysOf(answers) };
}

function keysOf(facts: readonly Fact[]): Set<string> {
  return new Set(facts.map(({ key }) => key));
}

/** The part of a question's words, stemmed, that also stand in a fact that answers it, on average over questions. */
export function sharedWords(questions: readonly Question[], facts: readonly Fact[]): number {
  const wordsOf = (text: string) => new Set(tokenize(text, "english"));
  const shares = questions.map(({ text, relevant }) => {
    const asked = wordsOf(text);
    const told = facts.filter(({ key }) => relevant.has(key)).map(({ content }) => wordsOf(content));
    const best = Math.max(...told.map((words) => [...asked].filter((word) => words.has(word)).length));
    return best / asked.size;
  });
  return shares.reduce((sum, share) => sum + share, 0) / shares.length;
}

/** How well the answers of one ranking were found. Recall is the found part of what is relevant, averaged. */
export interface Quality {
  recall5: number;
  recall10: number;
  recall20: number;
  /** Mean of 1 / place of the first relevant memory of the first twenty, 0 without one. */
  mrr: number;
}

/** Judges what was found for questions, best first. */
export function judgeFound(
  answers: readonly { question: Question; found: readonly Pick<EpisodicMemory, "key">[] }[],
): Quality {
  const mean = (score: (relevant: ReadonlySet<string>, keys: readonly string[]) => number) =>
    answers.reduce(
      (sum, { question, found }) =>
        sum +
        score(
          question.relevant,
          found.map(({ key }) => key),
        ),
      0,
    ) / answers.length;
  const recall = (most: number) =>
    mean((relevant, keys) => keys.slice(0, most).filter((key) => relevant.has(key)).length / relevant.size);
  return {
    recall5: recall(5),
    recall10: recall(10),
    recall20: recall(20),
    mrr: mean((relevant, keys) => {
      const place = keys.slice(0, 20).findIndex((key) => relevant.has(key));
      return place < 0 ? 0 : 1 / (place + 1);
    }),
  };
}

/** The facts that are asked about, and the questions. */
export function makeAskedSet(): { facts: Fact[]; questions: Question[] } {
  const facts = makeFacts(makePeople(ASKED_PEOPLE));
  return { facts, questions: makeQuestions(facts) };
}
