import { performance } from "node:perf_hooks";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import pg from "pg";
import { z } from "zod";

/** Milliseconds. */
export interface Timing {
  p50: number;
  p90: number;
  runs: number;
}

/** How much to measure: `rounds` runs of each, fewer where they take longer than `budgetMs`, but never below `least`. */
export interface Effort {
  rounds: number;
  least: number;
  warmUp: number;
  budgetMs: number;
}

/** Slower runs than this do not notice what a processor's caches held before. */
const NOTICES_CACHES_MS = 20;

setFlagsFromString("--expose-gc");
const collectGarbage = z
  .custom<(options: { type: "minor" }) => void>((value) => typeof value === "function")
  .parse(runInNewContext("gc"));

/**
 * Times several contenders against each other: every round runs each once, in turning order, so that a busy moment of
 * the machine meets all. Nobody pays for what another left: young garbage is collected before a run, and a fast one is
 * run once beforehand, untimed, which fills the caches. The slow ones sit out rounds, evenly, to keep their budget.
 */
export async function interleave(contenders: ReadonlyMap<string, Run>, effort: Effort): Promise<Map<string, Timing>> {
  const { rounds, least, warmUp, budgetMs } = effort;
  // The warm-up is a measurement whose times are forgotten.
  await runRounds(contenders, { rounds: warmUp, least: 1, budgetMs: budgetMs / 4 });
  const times = await runRounds(contenders, { rounds, least, budgetMs });
  return new Map([...times].map(([name, taken]) => [name, summarize(taken)]));
}

/** One operation, done once; `round` counts from 0. */
export type Run = (round: number) => Promise<unknown>;

async function runRounds(
  contenders: ReadonlyMap<string, Run>,
  { rounds, least, budgetMs }: Omit<Effort, "warmUp">,
): Promise<Map<string, number[]>> {
  const times = new Map([...contenders.keys()].map((name) => [name, [] as number[]]));
  const order = [...contenders];
  for (let round = 0; round < rounds; round += 1) {
    order.push(...order.splice(0, 1));
    const due = (round + 1) / rounds;
    for (const [name, run] of order) {
      const taken = times.get(name) ?? [];
      const spent = taken.reduce((sum, each) => sum + each, 0);
      if (spent > budgetMs * due && taken.length >= Math.ceil(least * due)) continue;
      if ((taken.at(-1) ?? 0) < NOTICES_CACHES_MS) await run(round);
      collectGarbage({ type: "minor" });
      const started = performance.now();
      await run(round);
      taken.push(performance.now() - started);
    }
  }
  return times;
}

function summarize(times: number[]): Timing {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { p50: at(0.5), p90: at(0.9), runs: sorted.length };
}

/** How many statements `pg` sends while `run` runs; each is awaited, so that it is a round trip too. */
export async function countStatements(run: () => Promise<unknown>): Promise<number> {
  const original = z.custom<(...parameters: unknown[]) => unknown>().parse(Reflect.get(pg.Client.prototype, "query"));
  let count = 0;
  Reflect.set(pg.Client.prototype, "query", function (this: pg.Client, ...parameters: unknown[]) {
    count += 1;
    return Reflect.apply(original, this, parameters);
  });
  try {
    await run();
  } finally {
    Reflect.set(pg.Client.prototype, "query", original);
  }
  return count;
}
