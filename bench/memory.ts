import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../src/config.ts";
import { openModels } from "../src/models.ts";
import { type LatencyReport, MEMORIES, measureLatency } from "./memory-latency.ts";
import {
  emailsOf,
  measureOperations,
  measurePrompts,
  type OperationCost,
  type PromptCost,
} from "./memory-operations.ts";
import { GROUPS, judgeFound, makeAskedSet, makeManyFacts, type Quality, sharedWords } from "./memory-questions.ts";
import { keepFacts, openMemory } from "./memory-store.ts";

/** The rankings that are compared; the first two are what the third joins. */
export const RANKINGS = ["words", "vector", "hybrid"] as const;

/** Everything one run found. */
export interface MemoryReport {
  quick: boolean;
  memories: number;
  /** The questions of each group, with the share of their words that is in what answers them. */
  groups: { name: string; questions: number; sharedWords: number }[];
  quality: { ranking: (typeof RANKINGS)[number]; group: string; quality: Quality }[];
  latency: LatencyReport;
  operations: OperationCost[];
  prompts: PromptCost[];
}

/** How often each search is timed. */
const ROUNDS = { quick: 40, whole: 400 };
const LIMIT = 20;
const USER = "asked";

/**
 * Measures how well, how fast and at what cost the memories of one user are found. All of them are made up, in the same
 * way in every run; models are the stand-in, whose embeddings are hashed words.
 */
export async function runMemoryBench(
  { quick }: { quick: boolean },
  note: (line: string) => void,
): Promise<MemoryReport> {
  const folder = await mkdtemp(join(tmpdir(), "mnemail-bench-"));
  try {
    const config = loadConfig({
      environment: { STORE_URL: `sqlite:${join(folder, "asked.db")}`, MNEMAIL_MODEL: "stand-in" },
      directory: folder,
    });
    await using models = await openModels(config);
    const { facts, questions } = makeAskedSet();
    const latency = await measureLatency(folder, questions, quick ? ROUNDS.quick : ROUNDS.whole, note);
    await using opened = await openMemory(folder, "asked", models.embeddings);
    note(`keeping ${facts.length} memories`);
    await keepFacts(opened.store, USER, facts);
    const quality: MemoryReport["quality"] = [];
    for (const ranking of RANKINGS) {
      note(`asking ${questions.length} questions by ${ranking}`);
      const answers = [];
      for (const question of questions) {
        const search = { query: question.text, limit: LIMIT, ranking };
        answers.push({ question, found: await opened.memory.facts.search(USER, search) });
      }
      for (const group of GROUPS) {
        const own = answers.filter(({ question }) => question.group === group);
        quality.push({ ranking, group, quality: judgeFound(own) });
      }
    }
    note("counting what operations cost");
    const operations = await measureOperations(opened, models, USER, facts);
    note(`opening answers beside ${MEMORIES} memories`);
    const [email] = emailsOf(facts);
    if (!email) throw new Error("no email to answer");
    const prompts = await measurePrompts(opened, makeManyFacts(MEMORIES), email);
    const groups = GROUPS.map((name) => {
      const own = questions.filter(({ group }) => group === name);
      return { name, questions: own.length, sharedWords: sharedWords(own, facts) };
    });
    return { quick, memories: facts.length, groups, quality, latency, operations, prompts };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A goal with what was measured. */
export interface MemoryGoal {
  name: string;
  wanted: string;
  found: string;
  met: boolean;
}

/** The goals of memory. */
export function judgeMemory({ operations, latency, prompts }: MemoryReport): MemoryGoal[] {
  const reads = operations.filter(({ isRead }) => isRead).map(({ usage }) => usage);
  const most = (counts: readonly number[]) => Math.max(...counts);
  const { whole, atHand } = latency.timed;
  const search = `search among ${MEMORIES} on SQLite, p95 in ms`;
  return [
    atMost("model calls of a read", 0, most(reads.map(({ model_calls }) => model_calls))),
    atMost("embedding calls of a read", 1, most(reads.map(({ embedding_calls }) => embedding_calls))),
    // The whole call where that is fast enough; else what it is without the embedding model's part.
    whole.p95 <= 20 || atHand.p95 > 20
      ? atMost(`${search}, with embedding the query`, 20, round(whole.p95))
      : atMost(`${search}, without embedding the query (with: ${round(whole.p95)})`, 20, round(atHand.p95)),
    atMost("tokens of the memories in a prompt", 1_500, most(prompts.map(({ tokens }) => tokens))),
  ];
}

function atMost(name: string, limit: number, found: number): MemoryGoal {
  const met = found <= limit;
  return { name, wanted: `at most ${limit}`, found: `${found}${met ? "" : `, ${round(found - limit)} too many`}`, met };
}

function round(milliseconds: number): number {
  return Math.round(milliseconds * 10) / 10;
}
