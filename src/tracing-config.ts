import { z } from "zod";
import { maskUrl } from "./store-config/masks.ts";

/** Where LangSmith receives the traces of each run, and what it receives of them. */
export interface TracingConfig {
  apiKey: string;
  endpoint: string;
  project: string;
  hideInputs: boolean;
  hideOutputs: boolean;
}

/** What the variables of tracing may be, for error messages. */
export const TRACING_VALUES: Record<string, string> = {
  LANGSMITH_TRACING: "true, false",
  LANGSMITH_API_KEY: "a key without blanks or line breaks",
  LANGSMITH_ENDPOINT: "an http or https address such as https://api.smith.langchain.com",
  LANGSMITH_HIDE_INPUTS: "true, false",
  LANGSMITH_HIDE_OUTPUTS: "true, false",
};

const flag = z.enum(["true", "false"]).default("false");

/** The variables of LangSmith, into a {@link TracingConfig}; undefined where tracing is off. */
export const tracingSchema = z
  .object({
    LANGSMITH_TRACING: flag,
    LANGSMITH_API_KEY: z
      .string()
      .regex(/^[\x21-\x7e]+$/)
      .optional(),
    LANGSMITH_ENDPOINT: z.url({ protocol: /^https?$/ }).default("https://api.smith.langchain.com"),
    LANGSMITH_PROJECT: z.string().default("default"),
    LANGSMITH_HIDE_INPUTS: flag,
    LANGSMITH_HIDE_OUTPUTS: flag,
  })
  .transform((raw, context): TracingConfig | undefined => {
    if (raw.LANGSMITH_TRACING === "false") return undefined;
    if (raw.LANGSMITH_API_KEY === undefined) {
      // LangChain would send the text of mail all the same, and be refused.
      const message = "not set, and LANGSMITH_TRACING is true; set it, or unset LANGSMITH_TRACING";
      context.addIssue({ code: "custom", path: ["LANGSMITH_API_KEY"], message });
      return z.NEVER;
    }
    return {
      apiKey: raw.LANGSMITH_API_KEY,
      endpoint: raw.LANGSMITH_ENDPOINT,
      project: raw.LANGSMITH_PROJECT,
      hideInputs: raw.LANGSMITH_HIDE_INPUTS === "true",
      hideOutputs: raw.LANGSMITH_HIDE_OUTPUTS === "true",
    };
  });

/** One line that says where traces go, and what of the user's mail goes with them. */
export function describeTracing(tracing: TracingConfig | undefined): string {
  if (!tracing) return "off";
  const { endpoint, project, hideInputs, hideOutputs } = tracing;
  const hidden = [...(hideInputs ? ["inputs"] : []), ...(hideOutputs ? ["outputs"] : [])].join(" and ");
  const leaves =
    hideInputs && hideOutputs
      ? "inputs, outputs and errors are hidden; names and times of steps and user ids leave this machine"
      : `mail text leaves this machine${hidden ? `; ${hidden} and errors are hidden` : ""}`;
  return `on, to ${maskUrl(endpoint)} (project ${project}); ${leaves}`;
}
