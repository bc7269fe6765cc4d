import { randomUUID } from "node:crypto";
import { BaseMessage } from "@langchain/core/messages";
import { z } from "zod";
import { MnemailError } from "../errors.ts";
import { readRules, renderState } from "../memory/procedural.ts";
import { applyOperations, type Operation } from "../memory/versions.ts";
import type { Models } from "../models.ts";
import { loadPrompts, type Prompts } from "../prompts.ts";
import { refuse } from "./check.ts";
import { type Proposal, propose, type Target } from "./propose.ts";
import { userText } from "./user-text.ts";

const FEEDBACK_LIMIT = 4_000;
/** A variable of a prompt template, as LangChain and Python write it; `{{` stands for a brace. */
const VARIABLE = /(?<!\{)\{\s*([\p{L}_][\p{L}\p{N}_.]*)\s*\}(?!\})/gu;

const promptSchema = z.object({
  name: z.string().regex(/^[\w.-]{1,100}$/, "expected letters, digits, '_', '-' or '.'"),
  prompt: z.string().min(1, "expected the text of the prompt"),
  when_to_update: z.string().nullish(),
  update_instructions: z.string().nullish(),
});

/** A prompt to improve, in LangMem's spelling. The hints are the developer's, and are shown to the model as such. */
export type OptimizedPrompt = z.infer<typeof promptSchema>;

const feedbackSchema = z.union([z.string(), z.record(z.string(), z.unknown())]).nullish();

/** One conversation and what the user said about it: a text, or texts by name (`{ clarity: "too long" }`). */
export type Trajectory = readonly [messages: readonly unknown[], feedback?: z.infer<typeof feedbackSchema>];

const trajectoriesSchema = z.array(z.tuple([z.array(z.unknown())]).rest(z.unknown()));

/** What {@link createMultiPromptOptimizer} works with. */
export interface OptimizerParts {
  models: Models;
  prompts?: Prompts;
  /**
   * Whether the human messages of the trajectories are the user's own words, as they are in a chat; then they count as
   * feedback. In an email assistant they hold mail, which is a stranger's.
   */
  trustMessages?: boolean;
}

/** Improves several prompts by what users said; {@link createMultiPromptOptimizer}. */
export interface MultiPromptOptimizer {
  /** Returns all prompts in their order; those that nothing was learnt for are the same. */
  invoke<P extends OptimizedPrompt>(input: {
    trajectories: readonly Trajectory[];
    prompts: readonly P[];
  }): Promise<P[]>;
}

/**
 * An optimizer with the inputs of LangMem's `create_multi_prompt_optimizer`, on the algorithm of this project: the text
 * of a prompt is never rewritten. What is learnt is a list of rules at its end, which later calls read back, replace
 * and retire. So no variable or JSON brace is lost, and a prompt never becomes empty; "no change" changes nothing.
 * One model call for each trajectory that has words of the user. Source: langchain-ai/langmem, prompt optimization.
 *
 * @throws MnemailError("usage") for inputs of another shape; MnemailError("input") for a proposal that fails a check;
 * MnemailError("model") when there is no answer. Then no prompt is returned, and none has changed.
 */
export function createMultiPromptOptimizer(parts: OptimizerParts): MultiPromptOptimizer {
  const frames = parts.prompts ?? loadPrompts();
  return {
    async invoke(input) {
      const { trajectories, prompts } = input ?? {};
      if (!trajectoriesSchema.safeParse(trajectories).success) {
        throw usage("trajectories: expected a list of [messages, feedback]");
      }
      const parsed = z.array(promptSchema).min(1).safeParse(prompts);
      if (!parsed.success) throw usage(`prompts: ${issueOf(parsed.error)}`, "each needs a name and a prompt");
      const names = new Set(prompts.map(({ name }) => name));
      if (names.size < prompts.length) throw usage("prompts: saw two of one name", "give each a name of its own");
      let current = [...prompts];
      for (const trajectory of trajectories) {
        const typed = wordsOf(trajectory, parts.trustMessages ?? false);
        if (typed === "") continue;
        const targets = current.map(targetOf);
        const found = await propose({ typed, inserted: [] }, targets, { models: parts.models, prompts: frames });
        current = current.map((prompt) => improve(prompt, found));
      }
      return current;
    },
  };
}

function targetOf({ name, prompt, when_to_update, update_instructions }: OptimizedPrompt): Target {
  const when = when_to_update || `feedback about what this prompt is for, which begins: ${prompt.slice(0, 200)}`;
  return { name, when, ...(update_instructions ? { how: update_instructions } : {}), rules: readRules(prompt).rules };
}

function improve<P extends OptimizedPrompt>(prompt: P, proposals: readonly Proposal[]): P {
  const state = readRules(prompt.prompt);
  const known = new Set(variablesOf(prompt.prompt));
  const operations = proposals
    .filter(({ target }) => target === prompt.name)
    .filter(({ action, text }) => action !== "add" || !state.rules.some((rule) => rule.text === text))
    .map(({ action, rule: id, text, evidence }): Operation => {
      const added = variablesOf(text).find((name) => !known.has(name));
      if (added !== undefined) refuse(`the rule would add the variable {${added}} to the prompt ${prompt.name}`);
      if (/[{}]/.test(text.replace(VARIABLE, ""))) refuse(`the rule would add a brace to the template ${prompt.name}`);
      if (action === "retire") return { op: "retire", id: id ?? "", evidence };
      const rule = { id: `r-${randomUUID()}`, text, origin: { actor: "user", at: "", evidence } };
      return action === "add" ? { op: "add", rule } : { op: "replace", id: id ?? "", rule };
    });
  return operations.length === 0 ? prompt : { ...prompt, prompt: renderState(applyOperations(state, operations)) };
}

function variablesOf(text: string): string[] {
  return [...text.matchAll(VARIABLE)].map(([, name]) => name ?? "");
}

function wordsOf([messages, feedback]: Trajectory, trustMessages: boolean): string {
  const parsed = feedbackSchema.safeParse(feedback);
  if (!parsed.success) throw usage("feedback: expected a text, or an object of texts");
  const { data } = parsed;
  const said =
    typeof data === "string" || !data
      ? [data ?? ""]
      : Object.entries(data).map(([name, value]) => `${name}: ${asText(value)}`);
  const human = trustMessages ? messages.flatMap(humanText) : [];
  // Each by itself: what one message quotes at its end must not hide the feedback.
  const unknown = { id: "", actor: "user", channel: "program", at: "", kind: "text" } as const;
  const own = [...human, ...said].map((text) => userText({ ...unknown, text }).typed).filter(Boolean);
  const text = own.join("\n");
  if (text.length > FEEDBACK_LIMIT) {
    throw usage(`feedback: saw ${text.length} characters; at most ${FEEDBACK_LIMIT} are allowed`);
  }
  return text;
}

function asText(value: unknown): string {
  return typeof value === "string" || typeof value === "bigint" ? String(value) : JSON.stringify(value);
}

const humanSchema = z.object({ role: z.enum(["user", "human"]), content: z.string() });

function humanText(message: unknown): string[] {
  if (BaseMessage.isInstance(message)) return message.type === "human" ? [message.text] : [];
  const parsed = humanSchema.safeParse(message);
  return parsed.success ? [parsed.data.content] : [];
}

function usage(what: string, hint?: string): MnemailError {
  return new MnemailError("usage", what, hint);
}

function issueOf(error: z.ZodError): string {
  const [issue] = error.issues;
  return `${issue?.path.join(".") || "list"}: ${issue?.message}`;
}
