import type { Lesson } from "../../src/memory/lesson.ts";
import type { Memory } from "../../src/memory/memory.ts";
import type { Rule } from "../../src/memory/records.ts";
import { NO_USAGE } from "../../src/meter.ts";
import { hashText, type LearnablePrompt } from "../../src/prompts.ts";

/** The time at which lessons are learnt unless a test says otherwise. */
export const AT = "2026-03-02T09:00:00.000Z";

/** A rule as the user's words `text` make it. */
export function ruleOf(text: string, id = `r-${hashText(text).slice(0, 8)}`): Rule {
  return { id, text, origin: { actor: "user", at: AT, evidence: text } };
}

/** What is written when a feedback of this id taught what `parts` say. */
export function lesson(id: string, parts: Partial<Lesson> = {}): Lesson {
  return {
    feedback: { id, kind: "text", text: id, actor: "user", channel: "test", at: AT },
    facts: [],
    retired: [],
    live: [],
    proposed: [],
    gate: null,
    notes: [],
    model: null,
    usage: { before: { ...NO_USAGE }, gate: { ...NO_USAGE } },
    ...parts,
  };
}

/** Adds one rule to a prompt, under a key that is its text unless another is given. */
export async function learnRule(memory: Memory, userId: string, prompt: LearnablePrompt, text: string, id = text) {
  const operations = [{ op: "add" as const, rule: ruleOf(text) }];
  return memory.ledger.commit(userId, lesson(id, { live: [{ prompt, operations }] }));
}
