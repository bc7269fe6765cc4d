import { asLabel, type Label, type Mail, oneLine, readRules, textsOf } from "./prompt-reader.ts";
import type { ChatRequest } from "./wire.ts";

/** Which emails a label rule is about. */
export type Condition = { from: string } | { list: string } | { words: string; subjectOnly: boolean } | { this: true };
/** What a rule asks for: a sign-off, or a label for some emails. */
export type Rule = { sign: string } | { label: Label; on: Condition };

/** A rule's own words, and what they mean; undefined when they are not in the grammar. */
export interface ReadRule {
  text: string;
  rule: Rule | undefined;
}

const MAILS = "(?:all |any |every )?(?:of )?(?:my |the )?(?:e-?mails?|mails?|messages?)";
const SIGN_RULE =
  /^sign (?:off )?(?:all )?(?:of )?(?:my )?(?:e-?mails?|mails?|messages|replies|answers|drafts) (?:with|as):? (.+)$/iu;
const LABEL_RULE = new RegExp(
  `^(label|ignore|notify me (?:about|of)|respond to|answer|reply to) ${MAILS} ` +
    '(?:from (.+?)|about (.+?)|with "([^"]+)" in the subject|of the list <?([\\w.-]+)>?)' +
    '(?: as "?(ignore|notify|respond)"?)?$',
  "iu",
);
const DECISION =
  /^This email gets the label (ignore|notify|respond), as the person decided for its (?:sender|domain|mailing list)\.$/;
/** A condition with such a word says more than the grammar can hold. */
const CLAUSE = /\b(?:that|which|when|unless|if|except|but|about|until|only|with|or)\b|@.*\s/i;

/** Reads one rule by the grammar in `behaviour.ts`; undefined when it is not in it. */
export function parseRule(rule: string): Rule | undefined {
  const text = oneLine(rule.slice(0, 1_000)).replace(/^(?:(?:always|please|from now on),? ){1,3}/iu, "");
  const name = unquote(dropPeriod(SIGN_RULE.exec(text)?.[1] ?? ""));
  if (name !== "") return { sign: name };
  const [, verb = "", from, about, inSubject, list, as] = LABEL_RULE.exec(dropPeriod(text)) ?? [];
  const [first = ""] = verb.toLowerCase().split(" ");
  const label = first === "label" ? asLabel(as) : as === undefined ? (asLabel(first) ?? "respond") : undefined;
  const who = /<([^<>\s]+@[^<>\s]+)>$/.exec(from ?? "")?.[1] ?? unquote(from ?? "");
  const words = inSubject ?? unquote(about ?? "").replace(/^(?:the|my|our) /iu, "");
  const isQuoted = inSubject !== undefined || /^["“]/.test(about ?? "");
  if (label === undefined || verb === "" || (!isQuoted && CLAUSE.test(who + words))) return undefined;
  if (list !== undefined) return { label, on: { list: list.toLowerCase() } };
  return { label, on: from === undefined ? { words, subjectOnly: inSubject !== undefined } : { from: who } };
}

/** Reads the sentence in which Mnemail says that one of its own rules is about the email at hand. */
function parseDecision(text: string): Rule | undefined {
  const label = asLabel(DECISION.exec(text)?.[1]);
  return label && { label, on: { this: true } };
}

/** Drops the period that ends a rule, but not that of an initial or a title at the end of a name. */
const dropPeriod = (text: string) => text.replace(/(?<![.\s]\p{L}|\b[JS]r)\.$/u, "");

/** Takes a pair of double quotes off a text. */
export const unquote = (text: string) => text.trim().replace(/^["“](.*)["”]$/u, "$1");

/** Whether an email meets the condition of a label rule. */
export function matches(on: Condition, { address, name, subject, own, listId }: Mail): boolean {
  if ("this" in on) return true;
  if ("list" in on) return on.list === listId;
  if ("words" in on) {
    const phrase = foldWords(on.words);
    return (
      phrase.trim() !== "" && [subject, on.subjectOnly ? "" : own].some((text) => foldWords(text).includes(phrase))
    );
  }
  const who = on.from.toLowerCase();
  const domain = who.replace(/^@/, "");
  const isDomain = domain.includes(".") && (address.endsWith(`@${domain}`) || address.endsWith(`.${domain}`));
  return who === address || who === name.toLowerCase() || isDomain;
}

/** Whether two conditions are about the same emails, whatever the case of their letters and the plurals. */
export function sameCondition(one: Condition, other: Condition): boolean {
  return conditionKey(one) === conditionKey(other);
}

function conditionKey(on: Condition): string {
  if ("this" in on) return "this email";
  if ("list" in on) return `list ${on.list}`;
  if ("words" in on) return `${on.subjectOnly ? "subject" : "about"} ${foldWords(on.words)}`;
  return on.from.toLowerCase().replace(/^@/, "");
}

/** Whole words between single spaces, plurals folded. */
function foldWords(text: string): string {
  const words =
    text
      .slice(0, 50_000)
      .toLowerCase()
      .match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
  return ` ${words.map((word) => (word.length > 3 ? word.replace(/s$/, "") : word)).join(" ")} `;
}

/** The rules in the system messages of a request, in their order. */
export function rulesOf(request: ChatRequest): ReadRule[] {
  return textsOf(request, "system").flatMap((text) =>
    readRules(text).map((rule) => ({ text: rule, rule: parseDecision(rule) ?? parseRule(rule) })),
  );
}

/** The rules that are not in the grammar, quoted, between `before` and `after`; nothing when there are none. */
export function unknownRules(rules: ReadRule[], before: string, after: string): string {
  const unknown = rules.filter(({ rule }) => rule === undefined).map(({ text }) => `"${text}"`);
  return unknown.length > 0 ? `${before}${unknown.join(", ")}${after}` : "";
}
