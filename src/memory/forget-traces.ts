import { senderAddress } from "../email.ts";
import { feedbackRecordSchema, receiptSchema } from "./feedback-record.ts";
import { memoriesOf, rulesOf, type UserItems } from "./forget-items.ts";
import { type AddressFinder, comparable, findAddress, namesIn, someText } from "./forget-text.ts";
import type { MemoryRecord } from "./memory-record.ts";
import { decisionRecordSchema, exampleRecordSchema } from "./records.ts";

/** What is forgotten: a person by their address, one email by its id, or one memory by its key. */
export type ForgetTarget = { what: "contact" | "email" | "memory"; id: string };

/** Shorter texts stand in others by chance. */
export const TELLING_LENGTH = 12;

/** All that goes with a target. Each map holds why, by id, in words for the user. */
export interface Traces {
  target: ForgetTarget;
  /** Finds the address of a contact. */
  address: AddressFinder | undefined;
  emails: Map<string, string>;
  /** Feedback that goes with all that came of it. */
  feedback: Map<string, string>;
  /** Feedback of which the words go, and what they quote; what else came of it stays. */
  words: Map<string, string>;
  memories: Map<string, string>;
  rules: Map<string, string>;
  /** The words of the facts that go. */
  texts: Set<string>;
  /** The words of the rules that go. */
  ruleTexts: Set<string>;
}

/** Follows a target through all that a user has, until nothing more is found. `known` is what was found before. */
export function findTraces(user: UserItems, target: ForgetTarget, known?: Traces): Traces {
  const address = target.what === "contact" ? findAddress(target.id, namesOf(user, target.id)) : undefined;
  const seeds = known ?? {
    ...{ emails: new Map(), feedback: new Map(), words: new Map(), memories: new Map(), rules: new Map() },
    ...{ texts: new Set(), ruleTexts: new Set() },
  };
  const traces: Traces = { ...seeds, target, address };
  if (target.what === "email") traces.emails.set(target.id, "this email");
  if (target.what === "memory") traces.memories.set(target.id, "this memory");
  for (let before = -1; before !== sizeOf(traces); ) {
    before = sizeOf(traces);
    followEmails(user, traces);
    followFeedback(user, traces);
    followMemories(user, traces);
    followRules(user, traces);
  }
  return traces;
}

function sizeOf({ emails, feedback, words, memories, rules }: Traces): number {
  return emails.size + feedback.size + words.size + memories.size + rules.size;
}

/** The names that emails give to an address. */
function namesOf(user: UserItems, address: string): Set<string> {
  const headers = [
    ...user.decisions.flatMap(({ value }) => {
      const email = decisionRecordSchema.safeParse(value).data?.email;
      return email ? [email.from, email.to, email.cc ?? ""] : [];
    }),
    ...user.examples.flatMap(({ value }) => {
      const email = exampleRecordSchema.safeParse(value).data?.email;
      return email ? [email.from, email.to] : [];
    }),
  ];
  const naming = [...new Set(headers)].filter((header) => header.toLowerCase().includes(address));
  return new Set(naming.flatMap((header) => namesIn(header, address)));
}

function followEmails(user: UserItems, { target, address, emails }: Traces): void {
  if (!address) return;
  for (const { key, value } of [...user.decisions, ...user.examples]) {
    const email = (decisionRecordSchema.safeParse(value).data ?? exampleRecordSchema.safeParse(value).data)?.email;
    // What cannot be read and names the address goes too: nothing says what else of it is theirs.
    const isTheirs = email ? senderAddress(email) === target.id : someText(value, address.isIn);
    if (isTheirs) add(emails, key, `from ${target.id}`);
  }
}

function followFeedback(user: UserItems, traces: Traces): void {
  const { target, address, emails, feedback, words, memories, texts } = traces;
  const told = [...texts].filter((text) => text.length >= TELLING_LENGTH).map(comparable);
  for (const { key, value } of user.feedback) {
    const emailId = feedbackRecordSchema.safeParse(value).data?.email_id;
    const isAbout = emailId !== undefined && emails.has(emailId);
    if (isAbout) add(feedback, key, `about ${emailIn({ target, emails }, emailId)}`);
    if (address && someText(value, address.isIn)) add(words, key, `names ${target.id}`);
    if (told.length > 0 && someText(value, (text) => repeats(text, told))) add(words, key, "says what is forgotten");
  }
  for (const { key, value } of user.receipts) {
    const changes = receiptSchema.safeParse(value).data?.changes ?? [];
    if (changes.some((each) => each.kind === "fact" && memories.has(each.key)))
      add(words, key, "says what is forgotten");
  }
  for (const { key, record } of memoriesOf(user)) {
    if (memories.has(key) && record.feedback !== undefined) add(words, record.feedback, "says what is forgotten");
  }
}

function followMemories(user: UserItems, traces: Traces): void {
  const { target, address, emails, feedback, memories, texts } = traces;
  const all = memoriesOf(user);
  for (const { key, record } of all) {
    const { source, person, scope, content } = record;
    if (source !== undefined && emails.has(source)) add(memories, key, `made from ${emailIn(traces, source)}`);
    if (record.feedback !== undefined && feedback.has(record.feedback)) {
      add(memories, key, `you said it in feedback ${feedback.get(record.feedback)}`);
    }
    if (!address) continue;
    if (person === target.id || scope === `person:${target.id}`) add(memories, key, `is about ${target.id}`);
    if (address.isIn(content)) add(memories, key, `names ${target.id}`);
  }
  for (const { key, record } of all) {
    if (memories.has(key) && record.kind === "fact") texts.add(record.content);
  }
  const told = toldOf(all, memories);
  for (const { key, record } of told.size > 0 ? all : []) {
    const words = comparable(record.content);
    const repeated = told.has(words)
      ? [words]
      : record.trust === "mail"
        ? [...told.keys()].filter((text) => words.includes(text))
        : [];
    // What another person said in the same words is theirs, unless the model was shown this when it read their mail.
    const isShown = () => record.trust === "mail" && wasShown(user, record.source, memories);
    const person = personOf(record);
    const isCopy = repeated.some((text) => person === undefined || isAbout(told.get(text), person) || isShown());
    if (isCopy) add(memories, key, "repeats what is forgotten");
  }
}

/** The words of the facts that go, and whom each is about: undefined stands for nobody in particular. */
function toldOf(
  all: readonly { key: string; record: MemoryRecord }[],
  memories: ReadonlyMap<string, string>,
): Map<string, Set<string | undefined>> {
  const told = new Map<string, Set<string | undefined>>();
  for (const { key, record } of all) {
    const words = comparable(record.content);
    if (!memories.has(key) || record.kind !== "fact" || words.length < TELLING_LENGTH) continue;
    told.set(words, (told.get(words) ?? new Set()).add(personOf(record)));
  }
  return told;
}

function isAbout(persons: ReadonlySet<string | undefined> | undefined, person: string): boolean {
  return persons?.has(undefined) || persons?.has(person) || false;
}

/** Whether some memories may have been shown to the model when it handled an email: it was, or nobody knows. */
function wasShown(user: UserItems, emailId: string | undefined, memories: ReadonlyMap<string, string>): boolean {
  const decision = user.decisions.find(({ key }) => key === emailId);
  const used = decisionRecordSchema.safeParse(decision?.value).data?.memories;
  return used?.some(({ key }) => memories.has(key)) ?? true;
}

/** The address that a memory is about or came from, where it is one. */
function personOf({ person, scope }: MemoryRecord): string | undefined {
  return person ?? (scope.startsWith("person:") ? scope.slice("person:".length) : undefined);
}

function followRules(user: UserItems, traces: Traces): void {
  const { target, address, emails, feedback, rules, texts, ruleTexts } = traces;
  const told = [...texts].filter((text) => text.length >= TELLING_LENGTH).map(comparable);
  for (const { rule, cause } of rulesOf(user)) {
    const { origin, match } = rule;
    const said = [origin.feedback, cause].find((each) => typeof each === "string" && feedback.has(each));
    if (typeof said === "string") {
      add(rules, rule.id, `learnt from your feedback of ${origin.at.slice(0, 10)} ${feedback.get(said)}`);
    }
    const labelled = [...emails.keys()].find((id) => match && namesEmail(origin.evidence, id));
    if (labelled !== undefined) add(rules, rule.id, `learnt from your label of ${emailIn(traces, labelled)}`);
    if (address && match?.from !== undefined && match.from.toLowerCase() === target.id) {
      add(rules, rule.id, `is about mail from ${target.id}`);
      for (const id of origin.evidence.split(", ").filter(Boolean)) add(emails, id, `from ${target.id}`);
    }
    if (address?.isIn(rule.text)) add(rules, rule.id, `names ${target.id}`);
    if (repeats(rule.text, told)) add(rules, rule.id, "repeats what is forgotten");
    if (rules.has(rule.id)) ruleTexts.add(rule.text);
  }
}

function repeats(text: string, told: readonly string[]): boolean {
  const words = comparable(text);
  return told.some((each) => words.includes(each));
}

/** Whether the evidence of a relabel, the ids of emails, has one of them. */
export function namesEmail(evidence: string, id: string): boolean {
  return `, ${evidence}, `.includes(`, ${id}, `);
}

function emailIn({ target, emails }: Pick<Traces, "target" | "emails">, id: string): string {
  return target.what === "email" ? "this email" : `an email ${emails.get(id)}`;
}

function add(to: Map<string, string>, key: string, why: string): void {
  if (!to.has(key)) to.set(key, why);
}
