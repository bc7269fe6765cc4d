import { oneLine, readBlocks, sentences, textsOf } from "./prompt-reader.ts";
import { parseRule, type Rule } from "./rules.ts";
import type { ChatRequest } from "./wire.ts";
import { FACT, PRAISE, STYLE } from "./words.ts";

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

const MOST_OPERATIONS = 3;
const FORGET = /^(?:please )?(?:forget|drop|remove|delete) the rule:? (.+)$/i;
const CLOSING = /^(?:(?:best|kind|warm) (?:regards|wishes)|best|cheers|regards|thanks)\b,?\s*/i;
const NAME = /^\p{Lu}[\p{L}'.-]*(?: \p{Lu}[\p{L}'.-]*){0,3}$/u;

/** What is learnt of a feedback, by the grammar that `behaviour.ts` describes. */
export function learn(request: ChatRequest): { operations: Operation[] } {
  const blocks = readBlocks(textsOf(request, "user").at(-1) ?? "");
  const lines = (tag: string) => blocks.filter((block) => block.tag === tag).flatMap((block) => block.lines);
  const known = blocks
    .filter(({ tag }) => tag === "rules")
    .flatMap(({ prompt = "", lines }) => readKnown(prompt, lines));
  const feedback = lines("feedback").join("\n").trim();
  const found = feedback === "" ? learnFromEdit(lines("edit")) : learnFromWords(feedback, known);
  const targets = targetsOf(request);
  const fallback = targets.find((name) => name !== "memory") ?? "agent_instructions";
  const asTarget = (name: string) => (targets.length === 0 || targets.includes(name) ? name : fallback);
  return { operations: found.map((each) => ({ ...each, target: asTarget(each.target) })) };
}

function readKnown(prompt: string, lines: readonly string[]): KnownRule[] {
  return lines.flatMap((line) => {
    const [, id, text] = /^\[([^\]]+)\] (.+)$/.exec(line) ?? [];
    return id === undefined || text === undefined ? [] : [{ id, prompt, text, rule: parseRule(text) }];
  });
}

function learnFromWords(feedback: string, known: readonly KnownRule[]): Operation[] {
  if (PRAISE.test(oneLine(feedback))) return [];
  const each = sentences(feedback);
  const areRules = each.length <= MOST_OPERATIONS && each.every((sentence) => parseRule(sentence) !== undefined);
  const found = areRules ? each.flatMap((said) => learnOne(said, known)) : learnOne(feedback, known);
  return found.slice(0, MOST_OPERATIONS);
}

function learnOne(evidence: string, known: readonly KnownRule[]): Operation[] {
  const text = oneLine(evidence);
  const forgotten = FORGET.exec(text)?.[1];
  if (forgotten !== undefined) {
    const old = known.find((each) => plain(each.text) === plain(forgotten));
    return old ? [{ target: old.prompt, action: "retire", rule: old.id, text: null, evidence }] : [];
  }
  const rule = parseRule(text);
  const target = targetOf(text, rule);
  if (rule && "sign" in rule) {
    const old = known.findLast((each) => each.rule && "sign" in each.rule);
    if (old) return [{ target: old.prompt, action: "replace", rule: old.id, text, evidence }];
  }
  const added: Operation = { target, action: "add", rule: null, text, evidence };
  if (!rule || !("label" in rule)) return [added];
  const isContrary = (each: KnownRule) =>
    each.rule !== undefined &&
    "label" in each.rule &&
    each.rule.label !== rule.label &&
    JSON.stringify(each.rule.on).toLowerCase() === JSON.stringify(rule.on).toLowerCase();
  const contrary = known.filter(isContrary);
  return [
    ...contrary.map(
      ({ prompt, id }): Operation => ({ target: prompt, action: "retire", rule: id, text: null, evidence }),
    ),
    added,
  ];
}

function learnFromEdit(runs: readonly string[]): Operation[] {
  const evidence = runs.findLast((run) => NAME.test(run.replace(CLOSING, "")));
  if (evidence === undefined) return [];
  const text = `Sign emails with ${evidence.replace(CLOSING, "")}`;
  return [{ target: "agent_instructions", action: "add", rule: null, text, evidence }];
}

/** Case, quotes, a final period and the words that rules may begin with do not tell rules apart. */
function plain(text: string): string {
  return oneLine(text)
    .toLowerCase()
    .replace(/^["“'](.*?)["”']?\.?$/u, "$1")
    .replace(/^(?:(?:always|please),? )+/, "")
    .replace(/[."”]+$/u, "");
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
