import { LABELS, type Label } from "../../memory/records.ts";
import type { StoryStep } from "../cases.ts";

/** How people say each label at the beginning of a sentence; the first form is what another is replaced by. */
const VERBS: Record<Label, { says: string; pattern: RegExp }> = {
  ignore: { says: "ignore", pattern: /\bignore\b/i },
  notify: { says: "notify me about", pattern: /\bnotify me (?:about|of)\b/i },
  respond: { says: "respond to", pattern: /\b(?:respond to|reply to|answer)\b/i },
};
const AS_LABEL = /\b(as "?)(ignore|notify|respond)\b/i;

/**
 * The steps of a story with every taught label replaced by the next one (ignore → notify → respond → ignore): a control in
 * which the same is learnt, but nothing of it is true. Undefined where no label is taught.
 */
export function permuted(steps: readonly StoryStep[]): StoryStep[] | undefined {
  let isChanged = false;
  const changed = steps.map((step): StoryStep => {
    if ("relabel" in step) {
      isChanged = true;
      return { ...step, label: nextLabel(step.label) };
    }
    if (!("say" in step) || "reject" in step) return step;
    const say = permuteSentences(step.say);
    isChanged ||= say !== step.say;
    return { ...step, say };
  });
  return isChanged ? changed : undefined;
}

function nextLabel(label: Label): Label {
  return LABELS[(LABELS.indexOf(label) + 1) % LABELS.length] ?? label;
}

function permuteSentences(text: string): string {
  return text
    .split(/(?<=[.!?]\s)/)
    .map((sentence) => {
      const [, , as] = AS_LABEL.exec(sentence) ?? [];
      const label = LABELS.find((each) => each === as?.toLowerCase());
      if (label) return sentence.replace(AS_LABEL, (_, before: string) => `${before}${nextLabel(label)}`);
      const said = LABELS.find((each) => VERBS[each].pattern.test(sentence));
      return said ? sentence.replace(VERBS[said].pattern, VERBS[nextLabel(said)].says) : sentence;
    })
    .join("");
}
