import type { Item } from "@langchain/langgraph-checkpoint";
import { hashText, type LearnablePrompt, type Prompts } from "../prompts.ts";
import type { ConditionalPut } from "../store/operations.ts";
import { type PromptRecord, promptRecordSchema, type Rule, type UsedMemory } from "./records.ts";

/**
 * A user's prompt: `base` is the fixed text it grew from, `rules` what was learnt, `text` both together.
 * `stored` is the value it was read from (null: none), which a later conditional put expects to find.
 */
export interface UserPrompt {
  name: LearnablePrompt;
  text: string;
  base: string;
  rules: Rule[];
  version: number;
  stored: Record<string, unknown> | null;
}

/** The list of learnt rules as it stands at the end of a prompt; nothing when there are none. */
function renderRules(rules: readonly Rule[]): string {
  return rules.length === 0 ? "" : `\n\nRules from the user:\n${rules.map((rule) => `- ${rule.text}`).join("\n")}`;
}

/**
 * Reads one prompt. The stored `prompt` is the truth: when it does not end in its own rules, another program
 * edited it, and its text becomes the base of what is learnt next. A prompt that never changed follows the
 * default of the running release. A record that cannot be understood gives the default and is left as it is.
 */
export function readPrompt(name: LearnablePrompt, item: Item | null, prompts: Prompts): UserPrompt {
  const fallback = prompts[name].text;
  const record = promptRecordSchema.safeParse(item?.value);
  const stored = item?.value ?? null;
  if (!record.success) return { name, text: fallback, base: fallback, rules: [], version: 0, stored };
  const { prompt, rules, version } = record.data;
  const ending = renderRules(rules);
  if (isUntouchedDefault(record.data)) return { name, text: fallback, base: fallback, rules: [], version, stored };
  if (!prompt.endsWith(ending)) return { name, text: prompt, base: prompt, rules: [], version, stored };
  return { name, text: prompt, base: prompt.slice(0, prompt.length - ending.length), rules, version, stored };
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
  prompt: UserPrompt,
  namespace: string[],
  next: { base: string; rules: Rule[]; version: number },
): ConditionalPut {
  const value = {
    ...prompt.stored,
    prompt: next.base + renderRules(next.rules),
    rules: next.rules,
    version: next.version,
    default_hash: hashText(next.base),
  };
  return { namespace, key: prompt.name, value, expected: prompt.stored, index: false };
}

/** The learnt rules of prompts as memories that went into a decision. */
export function usedRules(prompts: readonly UserPrompt[]): UsedMemory[] {
  return prompts.flatMap(({ name, rules }) =>
    rules.map((rule): UsedMemory => ({ kind: "procedural", key: name, content: rule.text })),
  );
}
