import { oneLine, readBlocks, readListed, sentences, textsOf } from "./prompt-reader.ts";
import { contradicts, plainFact } from "./remember.ts";
import { parseRule, type Rule, sameCondition, unquote } from "./rules.ts";
import type { ChatRequest } from "./wire.ts";
import { FACT, PRAISE, STYLE, WITH_PRAISE } from "./words.ts";

/** One step of what the stand-in would keep of a feedback. */
interface Operation {
  target: string;
  action: "add" | "replace" | "retire";
  rule: string | null;
  text: string | null;
  evidence: string;
}

interface KnownRule {
  id: string;
  prompt: string;
  text: string;
  rule: Rule | undefined;
}

/** What the user taught before. Facts are apart: one may read like a rule, and is none. */
interface Known {
  rules: readonly KnownRule[];
  facts: readonly { id: string; text: string }[];
}

const MOST_OPERATIONS = 3;
const FORGET_FACT = /^(?:please,? )?forget(?: that|:) (.+)$/i;
const FORGET = /^(?:please,? )?(?:forget|drop|remove|delete) the rule:? (.+)$/i;
/** A closing on a line of its own, or the one word by which a draft's closing was changed: "Kind". */
const CLOSING = /^(?:best|cheers|thanks|kind|warm|(?:(?:best|kind|warm) )?(?:regards|wishes)),?$/i;
/** A closing before the name on its line; without a comma, "Thanks Tom" closes nothing. */
const CLOSED = /^(?:(?:best|cheers|thanks|wishes),|(?:(?:best|kind|warm) )?(?:regards,?|wishes,)) (.+)$/i;
const NAME = /^\p{Lu}[\p{L}\p{M}'’.-]*(?: \p{Lu}[\p{L}\p{M}'’.-]*){0,3}$/u;
/** What begins a line of capitalised words that is no name. */
const NO_NAME = /^(?:best|cheers|thanks?|kind|warm|regards|wishes|dear|hello|hi|hey|re)\b/i;

/** What is learnt of a feedback, by the grammar that `behaviour.ts` describes. */
export function learn(request: ChatRequest): { operations: Operation[] } {
  const blocks = readBlocks(textsOf(request, "user").at(-1) ?? "");
  const lines = (tag: string) => blocks.filter((block) => block.tag === tag).flatMap((block) => block.lines);
  const listed = blocks
    .filter(({ tag }) => tag === "rules")
    .flatMap(({ prompt = "", lines }) => readListed(lines).map((each) => ({ ...each, prompt })));
  const known: Known = {
    rules: listed.filter(({ prompt }) => prompt !== "memory").map((each) => ({ ...each, rule: parseRule(each.text) })),
    facts: listed.filter(({ prompt }) => prompt === "memory"),
  };
  const feedback = lines("feedback").join("\n").trim();
  const found = feedback === "" ? learnFromEdit(lines("edit")) : learnFromWords(feedback, known);
  const targets = targetsOf(request);
  const fallback = targets.find((name) => name !== "memory") ?? "agent_instructions";
  const asTarget = (name: string) => (targets.length === 0 || targets.includes(name) ? name : fallback);
  return { operations: found.map((each) => ({ ...each, target: asTarget(each.target) })) };
}

function learnFromWords(feedback: string, known: Known): Operation[] {
  if (isPraise(feedback)) return [];
  const said = sentences(feedback);
  const areRules = said.length <= MOST_OPERATIONS && said.every((sentence) => parseRule(sentence) !== undefined);
  if (said.length > 1 && areRules) {
    const found: Operation[] = [];
    for (const sentence of said) {
      // A known rule gives way to one sentence only.
      const rules = known.rules.filter(({ id }) => !found.some(({ rule }) => rule === id));
      found.push(...learnOne(asItStands(sentence, feedback), { ...known, rules }));
    }
    if (found.length <= MOST_OPERATIONS) return found;
  }
  return learnOne(feedback, known);
}

/** Thanks or praise, and no other word. */
function isPraise(text: string): boolean {
  const words = text.toLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
  return words.some((word) => PRAISE.has(word)) && words.every((word) => PRAISE.has(word) || WITH_PRAISE.has(word));
}

/** The sentence with the white space that it has in the text. */
function asItStands(sentence: string, text: string): string {
  const words = sentence.split(" ").map((word) => word.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"));
  return new RegExp(words.join("\\s+")).exec(text)?.[0] ?? sentence;
}

function learnOne(evidence: string, { rules, facts }: Known): Operation[] {
  const text = oneLine(evidence);
  const untrue = FORGET_FACT.exec(text)?.[1];
  if (untrue !== undefined) {
    const words = [untrue, unquote(untrue.replace(/\.$/, ""))].map(plainFact);
    const old = facts.find((each) => words.includes(plainFact(each.text)));
    return old ? [{ target: "memory", action: "retire", rule: old.id, text: null, evidence }] : [];
  }
  const forgotten = FORGET.exec(text)?.[1];
  if (forgotten !== undefined) {
    const words = [forgotten, unquote(forgotten.replace(/\.$/, ""))].map(plain);
    const old = rules.find((each) => words.includes(plain(each.text)));
    return old ? [{ target: old.prompt, action: "retire", rule: old.id, text: null, evidence }] : [];
  }
  const rule = parseRule(text);
  const added: Operation = { target: targetOf(text, rule), action: "add", rule: null, text, evidence };
  if (!rule) {
    const old = added.target === "memory" ? facts.find((each) => contradicts(text, each.text)) : undefined;
    return [old ? { ...added, action: "replace", rule: old.id } : added];
  }
  if ("sign" in rule) {
    const old = rules.findLast((each) => each.rule && "sign" in each.rule);
    // What is known already is for the caller to find out.
    const isNew = old !== undefined && plain(old.text) !== plain(text);
    return isNew ? [{ ...added, target: old.prompt, action: "replace", rule: old.id }] : [added];
  }
  const contrary = rules.filter(
    (each) =>
      each.rule && "label" in each.rule && each.rule.label !== rule.label && sameCondition(each.rule.on, rule.on),
  );
  const retired = contrary.map(({ prompt, id }): Operation => {
    return { target: prompt, action: "retire", rule: id, text: null, evidence };
  });
  return [...retired.slice(1 - MOST_OPERATIONS), added];
}

function learnFromEdit(runs: readonly string[]): Operation[] {
  const signed = runs.flatMap((run, at) => {
    const name = nameIn(run.trim(), runs[at - 1], at === runs.length - 1);
    return name === undefined ? [] : [{ name, evidence: run }];
  });
  const last = signed.at(-1);
  if (!last) return [];
  const text = `Sign emails with ${last.name}`;
  return [{ target: "agent_instructions", action: "add", rule: null, text, evidence: last.evidence }];
}

/** The name that a run of inserted words signs with. Where the draft had a closing, only the name was inserted. */
function nameIn(run: string, before: string | undefined, isLast: boolean): string | undefined {
  const closed = CLOSED.exec(run)?.[1];
  if (closed !== undefined) return NAME.test(closed) ? closed : undefined;
  if (!NAME.test(run) || NO_NAME.test(run)) return undefined;
  const isClosed = before !== undefined && CLOSING.test(before.trim());
  return isClosed || (isLast && run.includes(" ")) ? run : undefined;
}

/** Case, a final period and the words that rules may begin with do not tell rules apart. */
function plain(text: string): string {
  return oneLine(text)
    .toLowerCase()
    .replace(/^(?:(?:always|please|from now on),? )+/, "")
    .replace(/\.$/, "");
}

function targetOf(text: string, rule: Rule | undefined): string {
  if (rule && "label" in rule) return `triage_${rule.label}`;
  if (rule) return "agent_instructions";
  const word = /\b(?:ignore|notif|respond|label)/i.exec(text)?.[0].toLowerCase();
  if (word === "ignore") return "triage_ignore";
  if (word === "notif") return "triage_notify";
  const isFact = /\bremember that\b|\bprefers\b/i.test(text) || (FACT.test(text) && !STYLE.test(text));
  return word === undefined && isFact ? "memory" : "agent_instructions";
}

/** The targets that the answer's schema allows; none when it has no such list. */
function targetsOf({ format }: ChatRequest): string[] {
  let at: unknown = format?.schema;
  for (const key of ["properties", "operations", "items", "properties", "target", "enum"]) {
    at = typeof at === "object" && at !== null ? Object.entries(at).find(([name]) => name === key)?.[1] : undefined;
  }
  return Array.isArray(at) ? at.filter((name): name is string => typeof name === "string") : [];
}
