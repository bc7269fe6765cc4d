import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Config } from "../config.ts";
import { MnemailError, renderError } from "../errors.ts";
import { openModels } from "../models.ts";
import { loadJudgePrompt, loadPrompts } from "../prompts.ts";
import type { KeptRow } from "../store/row-driver.ts";
import { maskUrl } from "../store-config/masks.ts";
import { nameStandIn, openAnswerCache } from "./answer-cache.ts";
import { beginJournal, holdRun, type Journal, type Plan, readJournal } from "./journal.ts";
import { copyMemory, loadInboxCases, withoutCases } from "./labelled-mail.ts";
import { rowsOfArm } from "./laboratory.ts";
import { type Cases, casesUsed, loadCases } from "./load-cases.ts";
import { hashJson } from "./read-lines.ts";
import type { Report } from "./report.ts";
import { runUnits } from "./run-units.ts";
import { type Judge, judgeOf } from "./scorers/judge.ts";
import { smokeCases } from "./smoke.ts";
import { summarise } from "./summarise.ts";
import { judgeThresholds, loadThresholds } from "./thresholds.ts";
import { SUITES } from "./trial.ts";
import { unitsOf } from "./units.ts";

/** What is evaluated, as its user says it. */
export type Asked = Pick<
  Plan,
  "command" | "cases" | "inbox" | "user" | "suites" | "smoke" | "split" | "repeat" | "seed" | "thresholds"
>;

/** How far a run is: trials that are done, of all; how many of them in this process, and since when (milliseconds). */
export interface Progress {
  done: number;
  total: number;
  ran: number;
  ms: number;
}

/** How an evaluation runs. */
export interface RunOptions {
  /** The folder of runs and answers. */
  out: string;
  concurrency: number;
  /** Aborted by the user's Ctrl-C: what is under way is finished and kept. */
  signal: AbortSignal;
  onProgress?: (progress: Progress) => void;
  warn?: (line: string) => void;
  now?: () => Date;
}

/** What came of a run: its report, or, where it was interrupted, how far it got. */
export type Evaluated = { folder: string } & ({ report: Report } | { interrupted: Progress });

/**
 * Runs an evaluation from its beginning, in a folder of its own below `out`.
 *
 * @throws MnemailError for cases, thresholds or settings that are wrong, and when no trial can succeed.
 */
export async function evaluate(config: Config, asked: Asked, options: RunOptions): Promise<Evaluated> {
  const at = (options.now ?? (() => new Date()))();
  const prepared = await prepare(config, asked, options);
  const what = asked.smoke
    ? "smoke"
    : SUITES.every((suite) => asked.suites.includes(suite))
      ? "all"
      : asked.suites.join("-");
  const id = `${at.toISOString().replace(/[:.]/g, "-")}-${what}`;
  const plan: Plan = {
    ...{ id, created_at: at.toISOString(), command: asked.command, version: readVersion(), cases: asked.cases },
    ...{ inbox: asked.inbox, user: asked.user, suites: asked.suites, smoke: asked.smoke, split: asked.split },
    ...{ repeat: asked.repeat, seed: asked.seed, thresholds: asked.thresholds },
    ...prepared.about,
  };
  return run(config, beginJournal(join(options.out, "runs", id), plan), prepared, options);
}

/**
 * Goes on with a run that was interrupted, in its folder; trials that failed are tried again.
 *
 * @throws MnemailError("missing") where there is none, MnemailError("conflict") where cases, prompts, model or the
 * user's memory are not those with which it began.
 */
export async function resumeEvaluation(config: Config, folder: string, options: RunOptions): Promise<Evaluated> {
  const journal = readJournal(folder);
  const { plan } = journal;
  const prepared = await prepare(config, plan, options);
  const { model, files, prompts, memory, settings } = prepared.about;
  const names = ({ chat, embeddings }: Plan["model"]) => ({ chat, embeddings });
  const differs = [
    ["the model", names(plan.model), names(model)] as const,
    ["the cases", plan.files, files] as const,
    ["the prompts", plan.prompts, prompts] as const,
    ["a setting", plan.settings, settings] as const,
    ["the user's memory", plan.memory, memory] as const,
    ["the version", plan.version, readVersion()] as const,
  ].find(([, before, now]) => hashJson(before) !== hashJson(now));
  if (differs) {
    const hint = "put it back, or start a new run: answers that are known cost nothing";
    throw new MnemailError("conflict", `${folder}: ${differs[0]} changed since the run began`, hint);
  }
  return run(config, journal, prepared, options);
}

interface Prepared {
  cases: Cases;
  learnt: ((userId: string) => Promise<readonly KeptRow[]>) | undefined;
  thresholds: Parameters<typeof judgeThresholds>[0];
  about: Pick<Plan, "model" | "files" | "prompts" | "memory" | "settings">;
}

/** Reads all that a run needs, so that what is wrong is said before anything is asked. */
async function prepare(
  config: Config,
  asked: Pick<Asked, "cases" | "inbox" | "user" | "smoke" | "suites" | "split" | "thresholds">,
  { warn = () => {} }: RunOptions,
): Promise<Prepared> {
  const isStandIn = config.model.kind === "stand-in";
  const chat = isStandIn ? nameStandIn() : config.chatModel;
  const embeddings = isStandIn && config.embeddingModel !== "none" ? "stand-in" : config.embeddingModel;
  const url = config.model.kind === "openai" ? (config.model.baseUrl ?? "https://api.openai.com/v1") : "";
  const description = isStandIn ? "the stand-in" : `${config.chatModel} at ${new URL(url).host}`;
  const model = { chat, embeddings, description, is_stand_in: isStandIn };
  const thresholds = await loadThresholds(asked.thresholds, asked);
  const prompts = hashJson([loadPrompts(), loadJudgePrompt()]);
  const { respondMaxModelCalls, searchLanguage } = config;
  const settings = { server: maskUrl(url), respondMaxModelCalls, searchLanguage };
  if (asked.inbox !== null && asked.user !== null) {
    const { user } = asked;
    const rows = await copyMemory(config.store, user, warn);
    const cases = casesUsed(await loadInboxCases(asked.inbox, user, rows), asked);
    const memory = withoutCases(rows, user, cases.triage);
    const left = rows.length - memory.length;
    if (left > 0) warn(`${left} of the user's examples are among the cases, and are left out`);
    if (rowsOfArm("all", user, memory).length <= rowsOfArm("none", user, memory).length) {
      warn(`${user}: nothing that they taught is in this store, so that all arms are alike`);
    }
    // Of what triage reads; an email that is handled meanwhile changes the rest.
    const read = rowsOfArm("all", user, memory).map(({ namespace, key, value }) => [namespace, key, value]);
    const about = { model, files: cases.files, prompts, settings, memory: hashJson(read) };
    return { cases, learnt: async () => memory, thresholds, about };
  }
  const all = await loadCases(asked.cases);
  const cases = casesUsed(asked.smoke ? smokeCases(all) : all, asked);
  return {
    cases,
    learnt: undefined,
    thresholds,
    about: { model, files: cases.files, prompts, settings, memory: null },
  };
}

async function run(
  config: Config,
  journal: Journal,
  { cases, learnt, thresholds }: Prepared,
  { out, concurrency, signal, onProgress = () => {}, warn = () => {}, now = () => new Date() }: RunOptions,
): Promise<Evaluated> {
  const { plan, folder } = journal;
  using _ = holdRun(folder);
  const server = plan.model.is_stand_in ? { server: plan.model.chat } : {};
  using answers = openAnswerCache(join(out, "answers.db"), { run: plan.id, ...server });
  await using models = await openModels(config, { fetch: answers.fetch });
  const judge = judgeOf(models, loadJudgePrompt(), { isStandIn: plan.model.is_stand_in });
  const laboratory = { config, models, prompts: loadPrompts(), folder: cases.folder };
  const units = unitsOf(plan, cases, { laboratory, judge, ...(learnt ? { learnt } : {}) });
  const total = units.reduce((sum, { trials }) => sum + trials, 0);
  const empty = plan.suites.filter((suite) => !units.some(({ key }) => key.startsWith(`${suite}/`)));
  if (total === 0 || (empty.length > 0 && !plan.smoke && plan.suites.length < SUITES.length)) {
    const where = `${plan.inbox ?? plan.cases}${plan.split === "all" ? "" : `, split ${plan.split}`}`;
    throw new MnemailError("input", `${where}: no cases for ${empty.join(", ")}`, "name other suites or another split");
  }
  if (empty.length > 0) warn(`there are no cases for ${empty.join(", ")}`);
  const waiting = units.filter(({ key }) => !journal.done.has(key));
  const progress = { done: total - waiting.reduce((sum, { trials }) => sum + trials, 0), total, ran: 0 };
  const began = now().getTime();
  const tell = () => onProgress({ ...progress, ms: now().getTime() - began });
  tell();
  await runUnits(waiting, {
    concurrency,
    signal,
    keep: ({ key, trials }, done) => {
      answers.check();
      journal.keep(key, done);
      progress.done += trials;
      progress.ran += trials;
      tell();
    },
  });
  if (signal.aborted) return { folder, interrupted: { ...progress, ms: now().getTime() - began } };
  const judged = await judgeAgain(cases, judge, warn);
  const done = units.flatMap(({ key }) => journal.done.get(key) ?? []);
  const trials = done.map(({ trial }) => trial).sort(byName);
  const requests = done.flatMap(({ trial, shown }) =>
    trial.request && shown ? [[trial.request, shown] as const] : [],
  );
  const summary = summarise(trials, { seed: plan.seed, judged });
  const { id, command, created_at, version, model, seed, repeat, files, suites, split, prompts } = plan;
  return {
    folder,
    report: {
      ...{ format: 1, id, command, created_at, version, model, seed, repeat, files, trials, judged, summary },
      ...{ suites, split, prompts, rules: rulesOf(cases) },
      cases: Object.fromEntries(cases.lockable.map((each) => [each.id, each.hash])),
      requests: Object.fromEntries(requests.sort(([a], [b]) => (a < b ? -1 : 1))),
      thresholds: judgeThresholds(thresholds, summary),
    },
  };
}

/** The rule that is new in each arm of the suite changes. */
function rulesOf({ users }: Cases): Record<string, string> {
  const rules = [...users.values()].flatMap(({ id, memory }) =>
    memory.rules.map((text, i) => [`${id}/${i + 1}`, text] as const),
  );
  return Object.fromEntries(rules);
}

/** What the judge says of the drafts that people judged; null for each where nobody can judge, or the judge failed. */
async function judgeAgain(cases: Cases, judge: Judge, warn: (line: string) => void): Promise<Report["judged"]> {
  const judged: Report["judged"] = [];
  for (const { id, email, draft, criterion, met } of cases.judged) {
    const checks = await judge({ email, draft, criteria: [{ judge: criterion }] }).catch((error: unknown) => {
      warn(`${id}: the judge failed: ${renderError(error)}`);
      return [];
    });
    judged.push({ id, person: met, judge: checks[0]?.met ?? null });
  }
  return judged;
}

function byName(a: Report["trials"][number], b: Report["trials"][number]): number {
  const key = ({ suite, arm, case: id, repeat, position = 0 }: typeof a) =>
    [SUITES.indexOf(suite), arm, id, repeat, position] as const;
  const [keyA, keyB] = [key(a), key(b)];
  const at = keyA.findIndex((part, i) => part !== keyB[i]);
  if (at < 0) return 0;
  const [partA, partB] = [keyA[at] ?? 0, keyB[at] ?? 0];
  return partA < partB ? -1 : 1;
}

const packageSchema = z.object({ version: z.string() });

function readVersion(): string {
  return packageSchema.parse(JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"))).version;
}
