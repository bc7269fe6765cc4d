import { existsSync, readdirSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { isAbsolute, join, sep } from "node:path";
import { z } from "zod";
import { loadConfig } from "../config.ts";
import { MnemailError } from "../errors.ts";
import { type Asked, type Evaluated, evaluate, type Progress, resumeEvaluation } from "../evals/evaluate.ts";
import { CASES_FOLDER } from "../evals/load-cases.ts";
import { renderHtml } from "../evals/rendering/html.ts";
import { renderMarkdown } from "../evals/rendering/markdown.ts";
import { renderSummaryLine } from "../evals/rendering/summary-line.ts";
import type { Report } from "../evals/report.ts";
import { SUITES } from "../evals/trial.ts";
import { encodeUserId } from "../store/namespaces.ts";
import { note, printJson } from "./output.ts";
import { plural } from "./progress.ts";

const whole = (name: string, least: number) =>
  z.coerce
    .number({ error: `--${name}: expected a whole number` })
    .int(`--${name}: expected a whole number`)
    .min(least, {
      error: `--${name}: expected ${least} or more`,
    });

const optionsSchema = z.object({
  suite: z.string(),
  cases: z.string().optional(),
  inbox: z.string().optional(),
  user: z.string().optional(),
  split: z.enum(["all", "dev", "test"]),
  repeat: whole("repeat", 1),
  concurrency: whole("concurrency", 1),
  seed: whole("seed", 0),
  thresholds: z.string().optional(),
  resume: z.union([z.string(), z.literal(true)]).optional(),
  out: z.string(),
  json: z.boolean().default(false),
});
type Options = z.infer<typeof optionsSchema>;

/** `mnemail eval`: runs an evaluation and writes its report. Returns the exit code. */
export async function runEvaluation(rawOptions: unknown): Promise<number> {
  const parsed = optionsSchema.safeParse(rawOptions);
  if (!parsed.success) throw new MnemailError("usage", parsed.error.issues[0]?.message ?? "wrong options");
  const options = parsed.data;
  const config = loadConfig();
  const stopping = new AbortController();
  const stop = () => {
    if (stopping.signal.aborted) process.exit(130);
    stopping.abort();
    note("stopping: what is under way is finished and kept (Ctrl-C again leaves at once, and loses no answer)");
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  try {
    const { out, concurrency } = options;
    const running = { out, concurrency, signal: stopping.signal, onProgress: showTrials(), warn: note };
    const evaluated =
      options.resume === undefined
        ? await evaluate(config, askedOf(options), running)
        : await resumeEvaluation(config, findRun(options), running);
    return await finish(evaluated, options);
  } finally {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
}

function askedOf(options: Options): Asked {
  const { inbox, user, split, repeat, seed } = options;
  if ((inbox === undefined) !== (user === undefined)) {
    throw new MnemailError("usage", "--inbox and --user: give both or none", "cases name their users themselves");
  }
  if (user !== undefined) encodeUserId(user);
  const smoke = options.suite === "smoke";
  const suites = suitesOf(options.suite, inbox !== undefined);
  const cases = options.cases ?? CASES_FOLDER;
  const own = join(cases, "thresholds.json");
  const hasOwn = (smoke || options.suite === "all") && inbox === undefined && existsSync(own);
  const thresholds = options.thresholds ?? (hasOwn ? own : null);
  const given = { inbox: inbox ?? null, user: user ?? null };
  return { command: commandOf(options), cases, ...given, suites, smoke, split, repeat, seed, thresholds };
}

function suitesOf(text: string, isInbox: boolean): Asked["suites"] {
  if (isInbox) return ["triage"];
  if (text === "all") return [...SUITES];
  if (text === "smoke") return ["triage", "answers", "learning", "attacks"];
  const names = text.split(",").map((name) => name.trim());
  const unknown = names.find((name) => !SUITES.some((suite) => suite === name));
  if (unknown !== undefined) {
    throw new MnemailError(
      "usage",
      `--suite: saw ${JSON.stringify(unknown)}; expected smoke, all, ${SUITES.join(", ")}`,
    );
  }
  return SUITES.filter((suite) => names.includes(suite));
}

/** What makes the same run again; the paths are as the user gave them. */
function commandOf({ suite, cases, inbox, user, split, repeat, seed, thresholds }: Options): string {
  const given = Object.entries({
    suite: suite === "all" ? undefined : suite,
    ...{ cases, inbox, user, thresholds, split: split === "all" ? undefined : split },
    repeat: repeat === 1 ? undefined : String(repeat),
    seed: seed === 1 ? undefined : String(seed),
  }).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name} ${/^[\w@./,-]+$/.test(value) ? value : JSON.stringify(value)}`],
  );
  return ["npm run eval", ...(given.length > 0 ? ["--", ...given] : [])].join(" ");
}

/** The folder of the run to go on with: the one that is named, or the newest that is not done. */
function findRun({ resume, out }: Options): string {
  const runs = join(out, "runs");
  if (typeof resume === "string") return isAbsolute(resume) || resume.includes(sep) ? resume : join(runs, resume);
  const names = existsSync(runs) ? readdirSync(runs).sort() : [];
  const open = names.findLast((name) => !existsSync(join(runs, name, "report.json")));
  if (open === undefined) {
    throw new MnemailError("missing", `${runs}: no run was interrupted`, "name one to try its failed trials again");
  }
  return join(runs, open);
}

async function finish(evaluated: Evaluated, { json }: Options): Promise<number> {
  const { folder } = evaluated;
  if ("interrupted" in evaluated) {
    const { done, total } = evaluated.interrupted;
    note(`interrupted: ${done} of ${total} trials are kept; go on with: mnemail eval --resume ${folder}`);
    return 130;
  }
  const { report } = evaluated;
  await writeReport(folder, report);
  const missed = report.thresholds.filter(({ met }) => !met);
  const say = json ? note : (line: string) => console.log(line);
  for (const { name, found, at_least, at_most } of missed) {
    const wanted = at_least === undefined ? `at most ${at_most}` : `at least ${at_least}`;
    say(`threshold missed: ${name} is ${found ?? "not in this run"}; expected ${wanted}`);
  }
  say(`report: ${join(folder, "report.html")} (also report.md and report.json)`);
  if (json) printJson({ id: report.id, folder, summary: report.summary, thresholds: report.thresholds });
  say(renderSummaryLine(report));
  const errors = report.trials.filter(({ error }) => error !== null).length;
  return errors > 0 || missed.length > 0 ? 1 : 0;
}

/** Each file is there whole or not at all; the JSON, by which a run counts as done, is last. */
async function writeReport(folder: string, report: Report): Promise<void> {
  const files = [
    ["report.html", await renderHtml(report)],
    ["report.md", renderMarkdown(report, { times: true })],
    ["report.json", `${JSON.stringify(report)}\n`],
  ] as const;
  for (const [name, text] of files) {
    await writeFile(join(folder, `${name}.part`), text, { mode: 0o600 });
    await rename(join(folder, `${name}.part`), join(folder, name));
  }
}

const EVERY_MS = 2_000;
/** The rate is that of the last while: suites differ in how long a trial takes. */
const RATE_MS = 15_000;

/** Says on stderr how far a run is, how fast, and how long it will take. */
function showTrials(): (progress: Progress) => void {
  const seen: Progress[] = [];
  let next = EVERY_MS;
  return (progress) => {
    const { done, total, ran, ms } = progress;
    if (ran === 0) note(`${plural(total, "trial")}${done > 0 ? `, ${done} of them done before` : ""}`);
    if (ms < next && (done < total || ran === 0)) return;
    next = ms + EVERY_MS;
    while (seen[0] && seen[0].ms < ms - RATE_MS) seen.shift();
    const since = seen[0] ?? { ran: 0, ms: 0 };
    seen.push(progress);
    const rate = (ran - since.ran) / Math.max((ms - since.ms) / 1000, 0.001);
    const left = done < total ? `, about ${renderSeconds((total - done) / Math.max(rate, 0.001))} left` : "";
    note(`${done} of ${total} trials, ${rate < 10 ? rate.toFixed(1) : Math.round(rate)} a second${left}`);
  };
}

function renderSeconds(seconds: number): string {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
}
