import { HumanMessage, SystemMessage } from "@langchain/core/messages";
import { z } from "zod";
import { type Email, renderEmail } from "../email.ts";
import type { Decider, ShownMemory } from "../learning/gate.ts";
import { matches } from "../learning/relabel.ts";
import type { Memory } from "../memory/memory.ts";
import { renderState, type UserPrompt, usedPrompts, usedRules } from "../memory/procedural.ts";
import { renderProfile } from "../memory/profile.ts";
import { type Label, labelSchema, type Rule, type UsedMemory, type UsedPrompt } from "../memory/records.ts";
import { renderExamples, usedExamples } from "../memory/semantic.ts";
import { askForJson, type Models } from "../models.ts";
import { hashText, type Prompts, renderPrompt } from "../prompts.ts";

const answerSchema = z.object({
  label: labelSchema.describe("what to do with the email"),
  reason: z.string().describe("one short sentence that can be checked against the email"),
});

/** What triage decided, and the memories that went into it. `request` names what the model was shown. */
export interface Triage {
  /** The email, under an id of its own where the user has another email of the same id. */
  email: Email;
  extracted: boolean;
  label: Label;
  reason: string;
  memories: UsedMemory[];
  prompts: UsedPrompt[];
  request: string;
}

/** What triage works with. */
export interface TriageParts {
  models: Models;
  prompts: Prompts;
}

/**
 * Labels one email: one model call, one store round trip before it (two the first time). The user's prompts are
 * the system message; examples and the email are strangers' text and stay quoted in the user message.
 *
 * @throws MnemailError("model") when the model fails or answers something else than a label.
 */
export async function triage(
  email: Email,
  userId: string,
  { memory, ...parts }: TriageParts & { memory: Memory },
): Promise<Triage> {
  const known = await memory.readForTriage(userId, email);
  const shown = renderTriage(email, known, parts.prompts);
  const { label, reason } = await decide(shown, parts.models);
  const prompts = Object.values(known.prompts).map((prompt) => ({ ...prompt, rules: rulesFor(email, prompt) }));
  return {
    email: known.email,
    extracted: known.extracted,
    label,
    reason,
    memories: [...usedRules(prompts), ...usedExamples(known.examples)],
    prompts: usedPrompts(prompts),
    request: nameOf(shown, parts.models),
  };
}

/** Triage as learning tries changes of its prompts on it. */
export function createDecider({ models, prompts }: TriageParts): Decider {
  return {
    request: (email, known) => nameOf(renderTriage(email, known, prompts), models),
    decide: async (email, known) => (await decide(renderTriage(email, known, prompts), models)).label,
  };
}

interface Shown {
  system: string;
  user: string;
}

function renderTriage(email: Email, known: ShownMemory, prompts: Prompts): Shown {
  const system = renderPrompt(prompts.triage, {
    triage_ignore: textFor(email, known.prompts.ignore, "ignore"),
    triage_notify: textFor(email, known.prompts.notify, "notify"),
    triage_respond: textFor(email, known.prompts.respond, "respond"),
    profile: renderProfile(known.profile),
  });
  const examples =
    known.examples.length > 0
      ? `Emails the user decided before, the most similar last:\n\n${renderExamples(known.examples)}\n\n`
      : "";
  return { system, user: `${examples}The email to label:\n\n<email>\n${renderEmail(email)}\n</email>` };
}

/** The rules that can be about an email: code tells of those it wrote from relabels, by their headers. */
function rulesFor(email: Email, { rules }: UserPrompt): Rule[] {
  return rules.filter(({ match }) => !match || matches(match, email));
}

/**
 * A prompt as this email needs it. A rule that code wrote names a header, which its sender chose: it stands there without
 * that, so that no word of an email is in a system message.
 */
function textFor(email: Email, prompt: UserPrompt, label: Label): string {
  if (prompt.isEdited || !prompt.rules.some(({ match }) => match)) return prompt.text;
  const rules = rulesFor(email, prompt).map((rule) => {
    const { list_id, from } = rule.match ?? {};
    const by = list_id !== undefined ? "mailing list" : from !== undefined ? "sender" : "domain";
    const text = `This email gets the label ${label}, as the person decided for its ${by}.`;
    return rule.match ? { ...rule, text } : rule;
  });
  return renderState({ base: prompt.base, rules });
}

async function decide({ system, user }: Shown, models: Models) {
  return askForJson(models.chat, {
    name: "triage",
    schema: answerSchema,
    messages: [new SystemMessage(system), new HumanMessage(user)],
  });
}

function nameOf({ system, user }: Shown, models: Models): string {
  return hashText(JSON.stringify([models.chat.model, system, user]));
}
