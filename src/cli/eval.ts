import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { loadConfig } from "../config.ts";
import type { Evaluated, Progress } from "../evals/evaluate.ts";
import { renderHtml } from "../evals/rendering/html.ts";
import { renderMarkdown } from "../evals/rendering/markdown.ts";
import { renderSummaryLine } from "../evals/rendering/summary-line.ts";
import type { Report } from "../evals/report.ts";
import { flushTraces, startTracing } from "../tracing.ts";
import { askedOf, type EvalOptions, findRun, parseEvalOptions } from "./eval-options.ts";
import { note, printJson } from "./output.ts";
import { plural } from "./progress.ts";

/** `mnemail eval`: runs an evaluation and writes its report. Returns the exit code. */
export async function runEvaluation(rawOptions: unknown): Promise<number> {
  const options = parseEvalOptions(rawOptions);
  const config = loadConfig();
  // Imported after the options proved right, since it loads LangChain.
  const { evaluate, resumeEvaluation } = await import("../evals/evaluate.ts");
  await startTracing(config, note);
  const stopping = new AbortController();
  const stop = () => {
    if (stopping.signal.aborted) process.exit(130);
    stopping.abort();
    note("stopping: what is under way is finished and kept (Ctrl-C again leaves at once, and loses no answer)");
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  try {
    const { concurrency } = options;
    const running = { concurrency, signal: stopping.signal, onProgress: showTrials(), warn: note };
    if (options.resume === undefined) {
      return await finish(await evaluate(config, askedOf(options), { ...running, out: options.out }), options);
    }
    const { folder, out } = findRun(options);
    return await finish(await resumeEvaluation(config, folder, { ...running, out }), options);
  } finally {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
    await flushTraces(config, note);
  }
}

async function finish(evaluated: Evaluated, { json }: EvalOptions): Promise<number> {
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
  const { calls, known } = callsOf(report);
  say(`${plural(calls, "model call")}, ${known} of them known from earlier runs`);
  say(`report: ${join(folder, "report.html")} (also report.md and report.json)`);
  if (json) printJson({ id: report.id, folder, summary: report.summary, thresholds: report.thresholds });
  say(renderSummaryLine(report));
  const errors = report.trials.filter(({ error }) => error !== null).length;
  return errors > 0 || missed.length > 0 ? 1 : 0;
}

/** Those of the configured model: the obedient one of the attacks costs nothing. */
function callsOf({ summary }: Report): { calls: number; known: number } {
  const costs = summary.costs.filter(({ arm }) => arm !== "obedient");
  const sum = (what: "model_calls" | "known") => costs.reduce((total, cost) => total + cost[what], 0);
  return { calls: sum("model_calls"), known: sum("known") };
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
    const isTelling = ran >= 50 || ms >= 10_000;
    const left =
      done < total && isTelling ? `, about ${renderSeconds((total - done) / Math.max(rate, 0.001))} left` : "";
    note(`${done} of ${total} trials, ${rate < 10 ? rate.toFixed(1) : Math.round(rate)} a second${left}`);
  };
}

function renderSeconds(seconds: number): string {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
}
