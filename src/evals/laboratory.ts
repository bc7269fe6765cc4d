import { join } from "node:path";
import type { EmbeddingsInterface } from "@langchain/core/embeddings";
import { type OpenAssistant, openAssistant } from "../assistant.ts";
import type { Config } from "../config.ts";
import type { ExampleOptions } from "../memory/example-choice.ts";
import { Memory } from "../memory/memory.ts";
import type { OpenModels } from "../models.ts";
import type { Prompts } from "../prompts.ts";
import type { MnemailStore } from "../store/mnemail-store.ts";
import { userNamespaces } from "../store/namespaces.ts";
import { openStore } from "../store/open-store.ts";
import type { KeptRow } from "../store/row-driver.ts";
import { noteFailure, withTraffic } from "./answer-cache.ts";
import type { CaseUser } from "./cases.ts";

/** What trials are run with: nothing of it reaches the store, the outbox or the calendar of the configuration. */
export interface Laboratory {
  config: Config;
  models: OpenModels;
  prompts: Prompts;
  /** Where the calendars of the users are. */
  folder: string;
}

/** An assistant of one user on a store of its own. */
export interface TrialAssistant extends OpenAssistant {
  store: MnemailStore;
  /** All that is in the store. */
  rows(): Promise<KeptRow[]>;
}

/** The user as far as an assistant needs them. */
export type Subject = Pick<CaseUser, "id" | "calendar" | "now">;

/** Opens a store in memory that has the given rows. */
export async function openTrialStore({ config, models }: Laboratory, rows: readonly KeptRow[]): Promise<MnemailStore> {
  const { embeddings, embeddingModel: model } = models;
  const index = embeddings ? { index: { embeddings: noting(embeddings), model } } : {};
  const store = await openStore({ backend: "memory" }, { language: config.searchLanguage, ...index });
  if (rows.length > 0) await store.restore(rows);
  return store;
}

/** Embeddings whose failures are noted: where they fail, a search ranks by words alone, which would move a score unseen. */
function noting(embeddings: EmbeddingsInterface): EmbeddingsInterface {
  const noted = <T>(embedded: Promise<T>) =>
    embedded.catch((error: unknown) => {
      noteFailure(error);
      throw error;
    });
  return {
    embedDocuments: (texts) => noted(embeddings.embedDocuments(texts)),
    embedQuery: (text) => noted(embeddings.embedQuery(text)),
  };
}

/** Prepares what trials work with, in a turn; fails where it got along without a model. */
export function prepare<T>(turn: number, run: () => Promise<T>): Promise<T> {
  return withTraffic(turn, async ({ failures }) => {
    const made = await run();
    if (failures.length > 0) throw failures[0];
    return made;
  });
}

/** Opens the real assistant of a user on a store in memory that has the given rows, at the user's time. */
export async function openTrialAssistant(
  laboratory: Laboratory,
  { calendar, now }: Subject,
  rows: readonly KeptRow[],
): Promise<TrialAssistant> {
  const store = await openTrialStore(laboratory, rows);
  const calendarPath = calendar === undefined ? undefined : join(laboratory.folder, calendar);
  const config: Config = { ...laboratory.config, calendarPath, memoryExtraction: false };
  const options = { store, models: laboratory.models, checkpointer: false as const, now: () => new Date(now) };
  const assistant = await openAssistant(config, options);
  return { ...assistant, store, rows: () => rowsOf(store) };
}

/** All that a store has. */
export async function rowsOf(store: MnemailStore): Promise<KeptRow[]> {
  const all: KeptRow[] = [];
  for await (const page of store.pages([[]])) all.push(...page);
  return all;
}

/** The memory over a store, for what reads it without an assistant. */
export function memoryOver({ prompts }: Laboratory, store: MnemailStore, choice?: ExampleOptions): Memory {
  return new Memory(store, prompts, () => {}, choice);
}

/** The arms in which kinds of memory are left out. */
export const MEMORY_ARMS = ["none", "examples", "rules", "facts", "all"] as const;

/** One of {@link MEMORY_ARMS}. */
export type MemoryArm = (typeof MEMORY_ARMS)[number];

/** Of the rows of a user's memory those of an arm; the profile is in each. */
export function rowsOfArm(arm: MemoryArm, userId: string, rows: readonly KeptRow[]): KeptRow[] {
  const at = userNamespaces(userId);
  const kinds = { examples: [at.examples], rules: [at.prompts, at.versions], facts: [at.collection] };
  const kept = arm === "none" ? [] : arm === "all" ? Object.values(kinds).flat() : kinds[arm];
  const names = new Set([at.profile, ...kept].map((labels) => JSON.stringify(labels)));
  return rows.filter(({ namespace }) => names.has(JSON.stringify(namespace)));
}

/** What a user has before anything is taught: their profile. */
export async function profileRows(laboratory: Laboratory, user: CaseUser): Promise<KeptRow[]> {
  await using assistant = await openTrialAssistant(laboratory, user, []);
  await assistant.memory.profiles.change(user.id, () => user.profile);
  return assistant.rows();
}

/** A user's memory as it was learnt, and as it was after each of the first rules. */
export interface LearntMemory {
  rows: KeptRow[];
  /** `afterRules[n]`: after n rules, with all examples and facts. */
  afterRules: KeptRow[][];
}

/** Has an assistant learn what a user's file says, through the paths by which users teach: examples, facts, then rules. */
export function learnMemory(laboratory: Laboratory, user: CaseUser): Promise<LearntMemory> {
  return prepare(0, () => learn(laboratory, user));
}

async function learn(laboratory: Laboratory, user: CaseUser): Promise<LearntMemory> {
  await using assistant = await openTrialAssistant(laboratory, user, await profileRows(laboratory, user));
  const { memory } = assistant;
  const { examples, facts, rules } = user.memory;
  for (const [i, { email, label }] of examples.entries()) {
    // One after the other, as they would have been: of two that are alike, the later counts.
    const at = new Date(Date.parse(user.now) - (examples.length - i) * 3_600_000).toISOString();
    await memory.examples.add(user.id, [email], label, at);
  }
  for (const { content, person } of facts) {
    await assistant.remember(user.id, { content, ...(person === undefined ? {} : { scope: `person:${person}` }) });
  }
  const afterRules = [await assistant.rows()];
  for (const [i, text] of rules.entries()) {
    await assistant.learn(user.id, { kind: "text", text, id: `rule-${i}` });
    afterRules.push(await assistant.rows());
  }
  return { rows: afterRules.at(-1) ?? [], afterRules };
}
