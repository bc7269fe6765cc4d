import type { Item } from "@langchain/langgraph-checkpoint";
import { hashText, type LearnablePrompt, type Prompts } from "../prompts.ts";
import type { ConditionalPut } from "../store/operations.ts";
import { type PromptRecord, promptRecordSchema, type Rule, type UsedMemory, type UsedPrompt } from "./records.ts";
import type { PromptState } from "./versions.ts";

/**
 * A user's prompt: `base` is the fixed text it grew from, `rules` what was learnt, `text` both together.
 * `stored` is the value it was read from (null: none), which a later conditional put expects to find. `isEdited`:
 * another program wrote its text.
 */
export interface UserPrompt {
  name: LearnablePrompt;
  text: string;
  base: string;
  rules: readonly Rule[];
  version: number;
  stored: Record<string, unknown> | null;
  isEdited: boolean;
  /** The default of the running release. */
  defaultText: string;
  /** When the store last took it. */
  updatedAt: Date | undefined;
}

/** The line above the learnt rules of a prompt. */
const RULES_HEADING = "Rules from the user:";
const RULES_LIST = new RegExp(`^([\\s\\S]*?)\\n\\n${RULES_HEADING}\\n((?:- .+(?:\\n|$))+)([\\s\\S]*)$`);

/** A prompt as the model reads it: the fixed text, and at its end the list of learnt rules where there are any. */
export function renderState({ base, rules }: PromptState): string {
  return rules.length === 0 ? base : `${base}\n\n${RULES_HEADING}\n${rules.map(({ text }) => `- ${text}`).join("\n")}`;
}

/**
 * Reads one prompt. The stored `prompt` is the truth: when it is not its own base with its own rules, another program
 * edited it, and its text is the base of what is learnt next. A prompt that never changed follows the
 * default of the running release. A record that cannot be understood gives the default and is left as it is.
 */
export function readPrompt(name: LearnablePrompt, item: Item | null, prompts: Prompts): UserPrompt {
  const fallback = prompts[name].text;
  const record = promptRecordSchema.safeParse(item?.value);
  const stored = item?.value ?? null;
  const unlearnt = {
    name,
    text: fallback,
    base: fallback,
    rules: [],
    version: 0,
    stored,
    isEdited: false,
    defaultText: fallback,
    updatedAt: item ? new Date(item.updatedAt) : undefined,
  };
  if (!record.success) return unlearnt;
  const { prompt, rules, version, default_hash } = record.data;
  if (isUntouchedDefault(record.data)) return { ...unlearnt, version };
  const ending = renderState({ base: "", rules });
  const base = prompt.endsWith(ending) ? prompt.slice(0, prompt.length - ending.length) : "";
  const isOurs = base !== "" && default_hash === hashText(base);
  if (isOurs) return { ...unlearnt, text: prompt, base, rules, version };
  return { ...unlearnt, text: prompt, ...readRules(prompt, rules), version, isEdited: true };
}

/**
 * Takes the list of rules out of a text that another program edited: what stands before and after it is the base.
 * A line in the words of a known rule is that rule.
 */
export function readRules(text: string, known: readonly Rule[] = []): { base: string; rules: Rule[] } {
  const [, before = "", list = "", after = ""] = RULES_LIST.exec(text) ?? [];
  if (before.trim() === "") return { base: text, rules: [] };
  const rules = list
    .trim()
    .split("\n")
    .map((line): Rule => {
      const rule = known.find((each) => each.text === line.slice(2));
      const origin = { actor: "another program", at: "", evidence: "" };
      return rule ?? { id: `r-${hashText(line).slice(0, 8)}`, text: line.slice(2), origin };
    });
  const distinct = [...new Map(rules.map((rule) => [rule.id, rule])).values()];
  return { base: `${before}${after.trim() === "" ? "" : `\n\n${after.trim()}`}`, rules: distinct };
}

function isUntouchedDefault(record: PromptRecord): boolean {
  return record.version === 0 && record.rules.length === 0 && record.default_hash === hashText(record.prompt);
}

/** The put that writes a prompt's default where there is none, or where an older release's default stands. */
export function initialise(prompt: UserPrompt, namespace: string[]): ConditionalPut[] {
  const record = promptRecordSchema.safeParse(prompt.stored);
  const isCurrent = prompt.stored !== null && !(record.success && isUntouchedDefault(record.data));
  if (isCurrent || (record.success && record.data.prompt === prompt.text)) return [];
  return [promptPut(prompt, namespace, { base: prompt.base, rules: [], version: 0 })];
}

/**
 * The put that makes `next` the live version of a prompt, on condition that nobody changed it since it was read.
 * Fields that other programs keep beside ours stay.
 */
export function promptPut(
  prompt: Pick<UserPrompt, "name" | "stored">,
  namespace: string[],
  next: PromptState & { version: number },
): ConditionalPut {
  const value = {
    ...prompt.stored,
    prompt: renderState(next),
    rules: next.rules,
    version: next.version,
    default_hash: hashText(next.base),
  };
  return { namespace, key: prompt.name, value, expected: prompt.stored, index: false };
}

/** The learnt rules of prompts as memories that went into a decision. */
export function usedRules(prompts: readonly UserPrompt[]): UsedMemory[] {
  return prompts.flatMap(({ name, rules }) =>
    rules.map((rule): UsedMemory => ({ kind: "procedural", key: name, content: rule.text, rule: rule.id })),
  );
}

/** The versions of prompts that went into a decision. */
export function usedPrompts(prompts: readonly UserPrompt[]): UsedPrompt[] {
  return prompts.map(({ name, version }) => ({ name, version }));
}
