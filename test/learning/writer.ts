import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { z } from "zod";
import { MnemailError, renderError } from "../../src/errors.ts";
import { changeSchema, type Receipt, receiptSchema } from "../../src/memory/feedback-record.ts";
import { liveVersion } from "../../src/memory/history.ts";
import type { Lesson } from "../../src/memory/lesson.ts";
import { Memory } from "../../src/memory/memory.ts";
import type { PromptChange } from "../../src/memory/version-puts.ts";
import type { Operation } from "../../src/memory/versions.ts";
import { loadPrompts } from "../../src/prompts.ts";
import { embedText } from "../../src/stand-in/embedding.ts";
import type { StoreIndex } from "../../src/store/embedder.ts";
import type { MnemailStore } from "../../src/store/mnemail-store.ts";
import { lesson } from "../support/lesson.ts";
import { openStoreOfSettings, type Settings } from "../support/store-of-settings.ts";

// What one of two writers at once does to the memory of a user; run by itself, a process that does so when told.

const PROMPTS = ["triage_ignore", "triage_notify", "triage_respond"] as const;
const step = { minute: z.int().min(0).max(59) };

/** One step of a writer. `minute` is what its clock shows; `pick` chooses among what there is when the step begins. */
const stepSchema = z.discriminatedUnion("do", [
  /** Learn the topic `n`; the same words under another key where `again`. */
  z.object({ do: z.literal("add"), n: z.int(), again: z.boolean(), ...step }),
  z.object({ do: z.literal("replace"), n: z.int(), pick: z.int(), ...step }),
  z.object({ do: z.literal("retire"), n: z.int(), pick: z.int(), ...step }),
  z.object({ do: z.literal("propose"), n: z.int(), ...step }),
  z.object({ do: z.literal("decide"), accept: z.boolean(), pick: z.int(), ...step }),
  z.object({ do: z.literal("rollback"), prompt: z.enum(PROMPTS), pick: z.int().nullable(), ...step }),
]);

/** See {@link stepSchema}. */
export type Step = z.infer<typeof stepSchema>;

/** What was acknowledged. `refused`: there was nothing to decide, or to go back to. */
const doneSchema = z.discriminatedUnion("done", [
  z.object({ done: z.literal("learnt"), wanted: z.array(z.string()), receipt: receiptSchema }),
  z.object({
    done: z.literal("decided"),
    number: z.int(),
    verdict: z.enum(["accepted", "rejected"]),
    changes: z.array(changeSchema),
  }),
  z.object({ done: z.literal("rolled back"), prompt: z.enum(PROMPTS), to: z.int(), version: z.int() }),
  z.object({ done: z.literal("refused") }),
]);

/** See {@link doneSchema}. */
export type Done = z.infer<typeof doneSchema>;

/** The prompts that a feedback about topic `n` changes. */
export function promptsOf(n: number): (typeof PROMPTS)[number][] {
  return PROMPTS.filter((_, i) => i === n % 3 || n % 2 === 1);
}

/** The rule about a topic in one prompt. No other rule has its words, nor contains them. */
export function ruleText(topic: string, prompt: string): string {
  return `Mail about topic ${topic} is meant by ${prompt}.`;
}

const THINGS = ["bicycles", "turbines", "violins", "glaciers", "invoices", "penguins", "lunches"];

/** The fact about topic `n`, which is stated with its rules: unlike the others as words and as a vector. */
export function factText(n: number): string {
  return `Kim looks after ${THINGS[n % THINGS.length]}.`;
}

const DIMENSIONS = 64;
/** Made in process. */
export const WRITER_INDEX: StoreIndex = {
  model: "stand-in",
  embeddings: {
    embedDocuments: async (texts) => texts.map((text) => [...embedText(text, DIMENSIONS)]),
    embedQuery: async (text) => [...embedText(text, DIMENSIONS)],
  },
};

/** Opens the store of settings; with vectors only where they name a place for them. */
export async function openWrittenStore(settings: Settings): Promise<MnemailStore> {
  return openStoreOfSettings(settings, settings["VECTOR_URL"] === undefined ? {} : { index: WRITER_INDEX });
}

/** Does one step as `writer`, and returns once it is acknowledged. */
export async function perform(memory: Memory, userId: string, step: Step, writer: string): Promise<Done> {
  const at = `2026-10-04T12:${String(step.minute).padStart(2, "0")}:00.000Z`;
  const act = { actor: writer, channel: "test", at };
  try {
    if (step.do === "rollback") {
      const history = (await memory.ledger.histories(userId))[step.prompt];
      const to = step.pick === null ? undefined : step.pick % history.versions.length;
      const done = await memory.ledger.rollback(userId, step.prompt, to, act);
      return { done: "rolled back", prompt: step.prompt, to: done.to.number, version: done.version };
    }
    if (step.do === "decide") {
      const open = await memory.ledger.proposals(userId);
      const number = open[step.pick % open.length]?.number;
      if (number === undefined) return { done: "refused" };
      const verdict = step.accept ? "accepted" : "rejected";
      const changes = await memory.ledger.decide(userId, number, verdict, act);
      return { done: "decided", number, verdict, changes: step.accept ? changes : [] };
    }
  } catch (error) {
    if (error instanceof MnemailError && error.code === "input") return { done: "refused" };
    throw error;
  }
  const taught = await lessonOf(memory, userId, step, at);
  const receipt = await learnFrom(memory, userId, taught);
  const operations = [...taught.live, ...taught.proposed].flatMap((change) => change.operations);
  const wanted = operations.flatMap((each) => (each.op === "add" || each.op === "replace" ? each.rule.text : []));
  return { done: "learnt", wanted, receipt };
}

/** The way of `learn`: log it, and unless it was learnt by now, commit. */
async function learnFrom(memory: Memory, userId: string, taught: Lesson): Promise<Receipt> {
  const { record: feedback, receipt } = await memory.ledger.log(userId, taught.feedback);
  return receipt ?? (await memory.ledger.commit(userId, { ...taught, feedback }));
}

type Taught = Extract<Step, { n: number }>;

async function lessonOf(memory: Memory, userId: string, step: Taught, at: string): Promise<Lesson> {
  const topic = step.do === "add" ? String(step.n) : `${step.do}-${step.n}`;
  const id = step.do === "add" && step.again ? `${topic}-again` : topic;
  const names = step.do === "add" ? promptsOf(step.n) : promptsOf(step.n).slice(0, 1);
  const changes: PromptChange[] = [];
  for (const prompt of names) {
    const text = ruleText(topic, prompt);
    const rule = { id: `${id}-${prompt}`, text, origin: { actor: "user", at, evidence: text, feedback: id } };
    let operation: Operation | undefined = { op: "add", rule };
    if (step.do === "replace" || step.do === "retire") {
      const { rules } = liveVersion((await memory.ledger.histories(userId))[prompt].versions).state;
      const old = rules[step.pick % rules.length]?.id;
      if (step.do === "retire") operation = old === undefined ? undefined : { op: "retire", id: old, evidence: text };
      else if (old !== undefined) operation = { op: "replace", id: old, rule };
    }
    if (operation) changes.push({ prompt, operations: [operation] });
  }
  const facts = step.do === "add" ? [{ text: factText(step.n), supersedes: [] }] : [];
  const made = lesson(id, step.do === "propose" ? { proposed: changes } : { facts, live: changes });
  return { ...made, feedback: { ...made.feedback, at } };
}

/** What a process is told: do these steps for a user, from one moment on (milliseconds since 1970). */
const requestSchema = z.object({ user: z.string(), steps: z.array(stepSchema), from: z.number() });

/** What a process answers; `conflicts` counts the puts that found another writer's. The first answer says it is ready. */
export const answerSchema = z.object({
  done: z.array(doneSchema),
  conflicts: z.number(),
  error: z.string().optional(),
});

async function serve(settings: Settings, writer: string): Promise<void> {
  const store = await openWrittenStore(settings);
  let conflicts = 0;
  const putIf = store.putIf.bind(store);
  store.putIf = async (puts) => {
    const holds = await putIf(puts);
    if (!holds) conflicts += 1;
    return holds;
  };
  const answer = (what: z.infer<typeof answerSchema>) => process.stdout.write(`${JSON.stringify(what)}\n`);
  answer({ done: [], conflicts });
  for await (const line of createInterface({ input: process.stdin })) {
    const { user, steps, from } = requestSchema.parse(JSON.parse(line));
    conflicts = 0;
    const done: Done[] = [];
    try {
      const memory = new Memory(store, loadPrompts());
      while (Date.now() < from);
      for (const each of steps) done.push(await perform(memory, user, each, writer));
      answer({ done, conflicts });
    } catch (error) {
      answer({ done, conflicts, error: renderError(error) });
    }
  }
  await store.stop();
}

const [, program, settings = "", writer = ""] = process.argv;
if (import.meta.url === pathToFileURL(program ?? "").href) {
  await serve(z.record(z.string(), z.string()).parse(JSON.parse(settings)), writer);
}
