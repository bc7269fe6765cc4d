import { performance } from "node:perf_hooks";
import type { Email } from "../src/email.ts";
import type { Contender } from "./graph-contenders.ts";
import { percentile } from "./graph-timing.ts";
import type { ModelTraffic } from "./graph-traffic.ts";
import { anew } from "./graph-week.ts";

/** Emails handled at once. */
export const PARALLEL = [1, 8, 32] as const;
/** Milliseconds that each request to the slow model takes more. */
export const SLOW_MS = 50;

/** No email before has such a number. */
const FIRST = 1_000;

/** One contender at one number of emails at once; the medians of its runs. */
export interface Throughput {
  parallel: (typeof PARALLEL)[number];
  perSecond: number;
  /** Share of a core that the process used, of all its threads. */
  cpu: number;
  /** Share of the time in which its thread of JavaScript did something, writing to the disk included. */
  busy: number;
  /** Milliseconds of the processor. */
  cpuPerEmail: number;
}

/** Both contenders with one model. */
export interface ThroughputReport {
  delayMs: number;
  ours: Throughput[];
  bare: Throughput[];
}

/** What throughput is measured with; emails go round the users. */
export interface ThroughputParts {
  ours: Contender<unknown>;
  bare: Contender<unknown>;
  week: readonly Email[];
  users: readonly string[];
  traffic: ModelTraffic;
}

/** Emails of one run at each number in parallel, and how many runs each contender has, in turns. */
export interface ThroughputEffort {
  emails: Record<(typeof PARALLEL)[number], number>;
  runs: number;
}

/** Measures how many emails of the week, each of a conversation of its own, are done in a second. */
export async function measureThroughput(
  { ours, bare, week, users, traffic }: ThroughputParts,
  { emails, runs }: ThroughputEffort,
  note: (line: string) => void,
): Promise<ThroughputReport[]> {
  let begun = 0;
  const next = (contender: Contender<unknown>) => {
    const sample = week[begun % week.length];
    const user = users[begun % users.length];
    if (!sample || user === undefined) throw new Error("no email, or no user");
    begun += 1;
    return contender.handle(user, anew(sample, FIRST + begun), sample.id);
  };
  const cells = [0, SLOW_MS].flatMap((delayMs) =>
    PARALLEL.map((parallel) => ({ delayMs, parallel, ours: [] as Throughput[], bare: [] as Throughput[] })),
  );
  // All of them before the next run of each, so that a busy moment of the machine does not meet one alone.
  for (let run = 0; run < runs; run += 1) {
    for (const { delayMs, parallel, ...found } of cells) {
      note(`run ${run + 1} of ${runs}: ${parallel} at once, a request takes ${delayMs} ms more`);
      traffic.delayBy(delayMs);
      const order = [
        { taken: found.ours, contender: ours },
        { taken: found.bare, contender: bare },
      ];
      if (run % 2 === 1) order.reverse();
      for (const { taken, contender } of order) {
        // Each begins with the same email.
        begun = Math.ceil(begun / week.length) * week.length;
        taken.push(await runOnce(() => next(contender), parallel, emails[parallel]));
      }
    }
  }
  traffic.delayBy(0);
  return [0, SLOW_MS].map((delayMs) => {
    const own = cells.filter((cell) => cell.delayMs === delayMs);
    return {
      delayMs,
      ours: own.map((cell) => medianOf(cell.parallel, cell.ours)),
      bare: own.map((cell) => medianOf(cell.parallel, cell.bare)),
    };
  });
}

async function runOnce(
  handle: () => Promise<unknown>,
  parallel: (typeof PARALLEL)[number],
  emails: number,
): Promise<Throughput> {
  let left = emails;
  const work = async () => {
    while (left > 0) {
      left -= 1;
      await handle();
    }
  };
  const loop = performance.eventLoopUtilization();
  const processor = process.cpuUsage();
  const started = performance.now();
  await Promise.all(Array.from({ length: parallel }, work));
  const wall = performance.now() - started;
  const { user, system } = process.cpuUsage(processor);
  const cpu = (user + system) / 1_000;
  const { utilization: busy } = performance.eventLoopUtilization(loop);
  return { parallel, perSecond: (1_000 * emails) / wall, cpu: cpu / wall, busy, cpuPerEmail: cpu / emails };
}

function medianOf(parallel: Throughput["parallel"], runs: readonly Throughput[]): Throughput {
  const median = (of: (run: Throughput) => number) => percentile(runs.map(of), 0.5);
  return {
    parallel,
    perSecond: median((run) => run.perSecond),
    cpu: median((run) => run.cpu),
    busy: median((run) => run.busy),
    cpuPerEmail: median((run) => run.cpuPerEmail),
  };
}
