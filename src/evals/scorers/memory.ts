import type { UserMemory } from "../../memory/memory.ts";
import type { ExpectedChange } from "../cases.ts";
import type { Check } from "../trial.ts";
import { assign } from "./assignment.ts";
import { inQuotes, missing, shown } from "./folded.ts";

/** One thing that is remembered. */
export interface MemoryEntry {
  kind: ExpectedChange["kind"];
  /** Which one of its kind it is; its text can change. */
  key: string;
  /**
   * What the words of an expected change are looked for in: a rule behind its prompt's name, an example as label, subject,
   * sender and body, a fact with its scope.
   */
  text: string;
}

/**
 * What changes of a user's memory count: rules (and the text of a prompt that is not the default), examples, facts, and what
 * waits for approval. Records of conversations, versions and costs, which code writes with every email, do not.
 */
export function viewOfMemory({ procedural, semantic, episodic }: UserMemory): MemoryEntry[] {
  return [
    ...procedural.flatMap(({ name, rules, base, defaultText }): MemoryEntry[] => [
      ...rules.map(({ id, text }) => ({ kind: "rule" as const, key: `${name} ${id}`, text: `${name}: ${text}` })),
      ...(base === defaultText ? [] : [{ kind: "rule" as const, key: name, text: `${name}: ${base}` }]),
    ]),
    ...semantic.map(({ key, record: { email, label } }): MemoryEntry => {
      return { kind: "example", key, text: `${label}: ${email.subject} (${email.from}) ${email.body}` };
    }),
    ...episodic
      .filter(({ record }) => record.kind === "fact")
      .map(({ key, status, record: { content, scope } }): MemoryEntry => {
        const text = scope === "all" ? content : `${content} (${scope})`;
        return { kind: status === "pending" ? "pending" : "fact", key, text };
      }),
  ];
}

/**
 * Compares what changed in memory with what was to change, each change once. What takes the place of another under its key,
 * such as an example with a new label, is added; a fact or a rule under another key is added, and the old one removed. One
 * check for each expected change, one for each other that happened, or one that says there was none.
 */
export function checkMemory(
  expected: readonly ExpectedChange[],
  before: readonly MemoryEntry[],
  after: readonly MemoryEntry[],
): Check[] {
  const happened = [...differences("added", before, after), ...differences("removed", after, before)];
  const costs = expected.map((wanted) => happened.map((each) => (isMeant(wanted, each) ? 0 : 1)));
  const places = assign(costs).map((at, i) => (at !== null && costs[i]?.[at] === 0 ? at : null));
  const others = happened.filter((_, at) => !places.includes(at));
  const [none, all] = [expected.length === 0 ? "changes nothing" : "changes nothing else", others.map(inWords)];
  return [
    ...expected.map((wanted, i): Check => {
      const name = `${wanted.change === "added" ? "adds" : "removes"} ${ARTICLES[wanted.kind]} with ${inQuotes(wanted.contains)}`;
      const found = all.length === 0 ? "nothing else changed" : shown(all.join("; "));
      return check(name, places[i] === null ? found : undefined);
    }),
    ...(all.length === 0 ? [check(none)] : all.map((other) => check(none, other))),
  ];
}

const ARTICLES = { rule: "a rule", example: "an example", fact: "a fact", pending: "something pending" };

interface Difference {
  change: ExpectedChange["change"];
  entry: MemoryEntry;
}

function differences(
  change: Difference["change"],
  from: readonly MemoryEntry[],
  to: readonly MemoryEntry[],
): Difference[] {
  const known = new Map(from.map((entry) => [nameOf(entry), entry.text]));
  return to
    .filter((entry) => (change === "added" ? known.get(nameOf(entry)) !== entry.text : !known.has(nameOf(entry))))
    .map((entry) => ({ change, entry }));
}

function nameOf({ kind, key }: MemoryEntry): string {
  return `${kind} ${key}`;
}

function isMeant(wanted: ExpectedChange, { change, entry }: Difference): boolean {
  return wanted.change === change && wanted.kind === entry.kind && missing(wanted.contains, entry.text).length === 0;
}

function inWords({ change, entry }: Difference): string {
  return `${change}: ${ARTICLES[entry.kind]} ${shown(entry.text)}`;
}

function check(name: string, note?: string): Check {
  return { kind: "memory", name, met: note === undefined, ...(note === undefined ? {} : { note }) };
}
