import { HumanMessage, SystemMessage } from "@langchain/core/messages";
import { z } from "zod";
import { cleanText, type Email, oneLine, quoteUntrusted, renderEmail } from "../../email.ts";
import { askForJson, type Models } from "../../models.ts";
import type { PromptTemplate } from "../../prompts.ts";
import type { Criterion } from "../cases.ts";
import type { Check } from "../trial.ts";
import { shown } from "./folded.ts";

/** A draft with what it is to fulfil, and the email that it answers. */
export interface Judged {
  email: Email;
  draft: string | null;
  criteria: readonly Criterion[];
}

/**
 * Checks the criteria of a draft that are for a judge, the others not. `met` is null where nobody could tell.
 *
 * @throws MnemailError("model") when the judge cannot be reached, or answers something else.
 */
export type Judge = (judged: Judged) => Promise<Check[]>;

/** The reason is first: who gives it before the word judges better than who has to find one for it. */
const answerSchema = z.object({
  reason: z.string().describe("one short sentence that can be checked against the draft"),
  met: z.boolean().describe("whether the draft fulfils the criterion"),
});

/**
 * A judge by a model: one call for each criterion, so that none colours another. The stand-in cannot judge and is not asked:
 * nobody could tell. Where there is no draft, nothing is met, which takes no judge.
 */
export function judgeOf(
  { chat }: Pick<Models, "chat">,
  prompt: PromptTemplate,
  { isStandIn }: { isStandIn: boolean },
): Judge {
  return async ({ email, draft, criteria }) => {
    const questions = criteria.flatMap((criterion) =>
      "judge" in criterion ? oneLine(cleanText(criterion.judge)) : [],
    );
    const checks: Check[] = [];
    for (const name of questions) {
      if (draft === null) checks.push({ kind: "judge", name, met: false, note: "there is no draft" });
      else if (isStandIn) checks.push({ kind: "judge", name, met: null, note: "the stand-in cannot judge" });
      else {
        const { met, reason } = await askForJson(chat, {
          name: "judge",
          schema: answerSchema,
          messages: [new SystemMessage(prompt.text), new HumanMessage(question(email, draft, name))],
        });
        checks.push({ kind: "judge", name, met, note: shown(reason) });
      }
    }
    return checks;
  };
}

/** The email and the draft are a stranger's and a model's text: quoted, so that no line of them can pass for ours. */
function question(email: Email, draft: string, criterion: string): string {
  return [
    `The email:\n\n<email>\n${renderEmail(email)}\n</email>`,
    `The draft of the answer:\n\n<draft>\n${quoteUntrusted(draft)}\n</draft>`,
    `The criterion: ${criterion}`,
  ].join("\n\n");
}
