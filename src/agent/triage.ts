import { HumanMessage, SystemMessage } from "@langchain/core/messages";
import { z } from "zod";
import { type Email, renderEmail } from "../email.ts";
import type { Memory } from "../memory/memory.ts";
import { usedRules } from "../memory/procedural.ts";
import { renderProfile } from "../memory/profile.ts";
import { type Label, labelSchema, type UsedMemory } from "../memory/records.ts";
import { renderExamples, usedExamples } from "../memory/semantic.ts";
import { askForJson, type Models } from "../models.ts";
import { type Prompts, renderPrompt } from "../prompts.ts";

const answerSchema = z.object({
  label: labelSchema.describe("what to do with the email"),
  reason: z.string().describe("one short sentence that can be checked against the email"),
});

/** What triage decided, and the memories that went into it. */
export interface Triage {
  /** The email, under an id of its own where the user has another email of the same id. */
  email: Email;
  label: Label;
  reason: string;
  memories: UsedMemory[];
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
  { memory, models, prompts }: { memory: Memory; models: Models; prompts: Prompts },
): Promise<Triage> {
  const known = await memory.readForTriage(userId, email);
  const system = renderPrompt(prompts.triage, {
    triage_ignore: known.prompts.ignore.text,
    triage_notify: known.prompts.notify.text,
    triage_respond: known.prompts.respond.text,
    profile: renderProfile(known.profile),
  });
  const examples =
    known.examples.length > 0
      ? `Emails the user decided before, the most similar last:\n\n${renderExamples(known.examples)}\n\n`
      : "";
  const { label, reason } = await askForJson(models.chat, {
    name: "triage",
    schema: answerSchema,
    messages: [
      new SystemMessage(system),
      new HumanMessage(`${examples}The email to label:\n\n<email>\n${renderEmail(email)}\n</email>`),
    ],
  });
  return {
    email: known.email,
    label,
    reason,
    memories: [...usedRules(Object.values(known.prompts)), ...usedExamples(known.examples)],
  };
}
