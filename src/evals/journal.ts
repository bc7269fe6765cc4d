import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { MnemailError } from "../errors.ts";
import { parseJson } from "../parse-json.ts";
import type { RunTrial } from "./run-trial.ts";
import { SUITES, trialSchema } from "./trial.ts";

/** What a run is about. A run that is resumed must be about the same, or its report would mix two. */
export const planSchema = z.object({
  id: z.string(),
  created_at: z.string(),
  command: z.string(),
  version: z.string(),
  /** The folder of cases, or the file of labelled mail. */
  cases: z.string(),
  inbox: z.string().nullable(),
  user: z.string().nullable(),
  suites: z.array(z.enum(SUITES)).min(1),
  smoke: z.boolean(),
  split: z.enum(["dev", "test", "all"]),
  repeat: z.int().min(1),
  seed: z.int(),
  thresholds: z.string().nullable(),
  model: z.object({ chat: z.string(), embeddings: z.string(), description: z.string(), is_stand_in: z.boolean() }),
  files: z.array(z.object({ name: z.string(), cases: z.int(), hash: z.string() })),
  /** Of the configuration, what decides outcomes: the model's server, and limits. */
  settings: z.record(z.string(), z.union([z.string(), z.number()])),
  /** A hash of the prompts, which decide what is asked. */
  prompts: z.string(),
  /** A hash of the memory that is tried, where it is a user's own. */
  memory: z.string().nullable(),
});

/** See {@link planSchema}. */
export type Plan = z.infer<typeof planSchema>;

const lineSchema = z.object({
  key: z.string(),
  done: z.array(
    z.object({
      trial: trialSchema,
      shown: z.array(z.object({ role: z.string(), text: z.string() })).optional(),
    }),
  ),
});

/** What is kept of a run while it goes on. */
export interface Journal {
  folder: string;
  plan: Plan;
  /** The units that are done, by key. */
  done: Map<string, RunTrial[]>;
  /** Keeps a unit that is done. */
  keep(key: string, done: readonly RunTrial[]): void;
}

/** Begins a run in a folder of its own. @throws MnemailError("input") where the folder cannot be made. */
export function beginJournal(folder: string, plan: Plan): Journal {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(join(folder, "run.json"), `${JSON.stringify(plan, null, 2)}\n`, { mode: 0o600, flag: "wx" });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new MnemailError("input", `${folder}: cannot be written (${why})`, "name another with --out");
  }
  return openJournal(folder, plan, new Map());
}

/**
 * Reads what is kept of a run, to go on with it. The line that a killed process was writing is done again, and so are units
 * in which something failed.
 *
 * @throws MnemailError("missing") where there is no such run.
 */
export function readJournal(folder: string): Journal {
  const path = join(folder, "run.json");
  const plan = existsSync(path) ? planSchema.safeParse(parseJson(readFileSync(path, "utf8"))).data : undefined;
  if (!plan) throw new MnemailError("missing", `${folder}: no evaluation run is kept there`);
  const trials = join(folder, "trials.jsonl");
  const text = existsSync(trials) ? readFileSync(trials, "utf8") : "";
  // What a killed process was writing has no end of line.
  if (text !== "" && !text.endsWith("\n")) appendFileSync(trials, "\n");
  const done = new Map<string, RunTrial[]>();
  for (const line of text.split("\n")) {
    const read = lineSchema.safeParse(parseJson(line)).data;
    if (!read) continue;
    if (read.done.some(({ trial }) => trial.error !== null)) done.delete(read.key);
    else
      done.set(
        read.key,
        read.done.map(({ trial, shown }) => ({ trial, shown })),
      );
  }
  return openJournal(folder, plan, done);
}

function openJournal(folder: string, plan: Plan, done: Journal["done"]): Journal {
  const path = join(folder, "trials.jsonl");
  return {
    folder,
    plan,
    done,
    keep(key, units) {
      appendFileSync(path, `${JSON.stringify({ key, done: units })}\n`, { mode: 0o600 });
      done.set(key, [...units]);
    },
  };
}

const HOLDER = "running.pid";

/**
 * Keeps other processes of this machine from the same run until it is disposed.
 *
 * @throws MnemailError("conflict") while another is at it.
 */
export function holdRun(folder: string): Disposable {
  const path = join(folder, HOLDER);
  const holder = existsSync(path) ? Number(readFileSync(path, "utf8")) : Number.NaN;
  if (holder !== process.pid && isAlive(holder)) {
    throw new MnemailError("conflict", `${folder}: process ${holder} is at this run`, "wait for it, or stop it");
  }
  writeFileSync(path, String(process.pid), { mode: 0o600 });
  return { [Symbol.dispose]: () => rmSync(path, { force: true }) };
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // A process of another user is alive too.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
