import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { MnemailError } from "./errors.ts";

/** The four prompts each user has a copy of, which their feedback improves. */
export const LEARNABLE_PROMPTS = ["triage_ignore", "triage_notify", "triage_respond", "agent_instructions"] as const;

/** One of {@link LEARNABLE_PROMPTS}. */
export type LearnablePrompt = (typeof LEARNABLE_PROMPTS)[number];

/** The prompts that frame every request of their kind; nothing in them is learnt. */
export type Frame = "triage" | "respond" | "learn" | "extract" | "reconcile" | "chat";

/** One prompt file: its text with `{slot}` markers, and the names of its slots. */
export interface PromptTemplate {
  name: string;
  text: string;
  slots: string[];
  learnable: boolean;
}

/** Every prompt of a folder, by name. */
export type Prompts = Record<LearnablePrompt | Frame, PromptTemplate>;

const PROMPTS_FOLDER = fileURLToPath(new URL("../prompts/", import.meta.url));
const SLOT = /\{([a-z_]+)\}/g;

const frontmatterSchema = z.object({
  name: z.string(),
  slots: z.string().transform((list) =>
    list
      .replace(/^\[|\]$/g, "")
      .split(",")
      .map((s) => s.trim())
      .filter(Boolean),
  ),
  learnable: z.enum(["true", "false"]).transform((text) => text === "true"),
});

/**
 * Loads the prompts of a folder (the project's `prompts/` by default) and checks that each has its file, that
 * its text uses exactly the slots it declares, and that the learnable ones are those the memory knows.
 *
 * @throws MnemailError("config") that names the file and what is wrong with it.
 */
export function loadPrompts(folder: string = PROMPTS_FOLDER): Prompts {
  const templates = new Map<string, PromptTemplate>();
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".md") && name !== "README.md")) {
    const template = parsePrompt(join(folder, file));
    templates.set(template.name, template);
  }
  const find = (name: LearnablePrompt | Frame): PromptTemplate => {
    const template = templates.get(name);
    if (!template) throw new MnemailError("config", `${join(folder, `${name}.md`)}: missing; restore it`);
    const learnable = LEARNABLE_PROMPTS.some((each) => each === name);
    if (template.learnable !== learnable) {
      throw new MnemailError("config", `${join(folder, `${name}.md`)}: learnable must be ${learnable}`);
    }
    return template;
  };
  return {
    triage_ignore: find("triage_ignore"),
    triage_notify: find("triage_notify"),
    triage_respond: find("triage_respond"),
    agent_instructions: find("agent_instructions"),
    triage: find("triage"),
    respond: find("respond"),
    learn: find("learn"),
    extract: find("extract"),
    reconcile: find("reconcile"),
    chat: find("chat"),
  };
}

/**
 * Loads `judges/answer.md` of a folder: what a model is told that judges answers in an evaluation.
 *
 * @throws MnemailError("config") that names the file and what is wrong with it.
 */
export function loadJudgePrompt(folder: string = PROMPTS_FOLDER): PromptTemplate {
  const path = join(folder, "judges", "answer.md");
  if (!existsSync(path)) throw new MnemailError("config", `${path}: missing; restore it`);
  const template = parsePrompt(path);
  if (template.learnable) throw new MnemailError("config", `${path}: learnable must be false`);
  return template;
}

function parsePrompt(path: string): PromptTemplate {
  const [, head, body] =
    /^---\n([\s\S]*?)\n---\n([\s\S]*)$/.exec(readFileSync(path, "utf8").replace(/\r\n/g, "\n")) ?? [];
  const fields = (head ?? "").split("\n").map((line) => line.split(/:\s*/, 2));
  const frontmatter = frontmatterSchema.safeParse(Object.fromEntries(fields));
  const text = (body ?? "").trim();
  if (!frontmatter.success || text === "") {
    throw new MnemailError("config", `${path}: expected frontmatter with name, slots and learnable, then the text`);
  }
  const { name, slots, learnable } = frontmatter.data;
  const used = new Set([...text.matchAll(SLOT)].map((match) => match[1] ?? ""));
  const same = used.size === slots.length && slots.every((slot) => used.has(slot));
  if (name !== basename(path, ".md") || !same) {
    throw new MnemailError(
      "config",
      `${path}: name is "${name}" and slots are [${slots.join(", ")}], but the text uses [${[...used].join(", ")}]`,
    );
  }
  return { name, text, slots, learnable };
}

/**
 * Fills the slots of a prompt. Values go in as they are: they may hold `$&` or `{slot}`, which
 * `String.replace` with a string, or a second pass, would expand.
 *
 * @throws MnemailError("config") when a slot has no value.
 */
export function renderPrompt(template: PromptTemplate, values: Record<string, string>): string {
  return template.text.replace(SLOT, (_, slot: string) => {
    const value = Object.hasOwn(values, slot) ? values[slot] : undefined;
    if (value === undefined) throw new MnemailError("config", `prompt ${template.name}: no value for {${slot}}`);
    return value;
  });
}

/** Names a text by its content: the version of the default that a user's prompt grew from. */
export function hashText(text: string, length = 16): string {
  return createHash("sha256").update(text).digest("hex").slice(0, length);
}
