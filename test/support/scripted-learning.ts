import type { ScriptedAnswer } from "../../src/stand-in/scripted.ts";

/** One step that a scripted model proposes. The evidence is its text unless it is said. */
export interface ScriptedStep {
  target?: string;
  action?: "add" | "replace" | "retire";
  rule?: string | null;
  text?: string | null;
  evidence?: string;
}

/** The scripted answer to a request to learn, for feedback that has the words `when`, or for any. */
export function answerToLearn(steps: readonly ScriptedStep[], when?: string): ScriptedAnswer {
  const operations = steps.map(
    ({ target = "agent_instructions", action = "add", rule = null, text = null, ...rest }) => ({
      target,
      action,
      rule,
      text,
      evidence: rest.evidence ?? text ?? "",
    }),
  );
  return { when: { schema: "learn", ...(when === undefined ? {} : { contains: when }) }, json: { operations } };
}
