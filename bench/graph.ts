import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Email } from "../src/email.ts";
import { startChild } from "./child.ts";
import { type Asked, readAsked } from "./graph-bare.ts";
import { type Contenders, openContenders } from "./graph-contenders.ts";
import { measureThroughput, SLOW_MS, type ThroughputReport } from "./graph-throughput.ts";
import { type TimingReport, timeEmails } from "./graph-timing.ts";
import { type ModelTraffic, watchModel } from "./graph-traffic.ts";
import { anew, loadWeek } from "./graph-week.ts";

/** Everything one run found. */
export interface GraphReport {
  quick: boolean;
  timing: TimingReport;
  throughput: ThroughputReport[];
}

/** Every how many-th email of the week, the weeks that are timed and those before, and users whose emails come at once. */
const WHOLE = {
  every: 1,
  rounds: 15,
  warmUp: 3,
  users: 16,
  throughput: { emails: { 1: 36, 8: 72, 32: 144 }, runs: 3 },
};
const QUICK = { every: 3, rounds: 2, warmUp: 1, users: 4, throughput: { emails: { 1: 4, 8: 16, 32: 32 }, runs: 1 } };

/**
 * Measures what Mnemail's graph takes beside its model, against a bare graph with the same nodes, edges and requests, in
 * one process on SQLite. The stand-in is in another process.
 */
export async function runGraphBench({ quick }: { quick: boolean }, note: (line: string) => void): Promise<GraphReport> {
  const { every, rounds, warmUp, users: several, throughput: effort } = quick ? QUICK : WHOLE;
  const folder = await mkdtemp(join(tmpdir(), "mnemail-bench-"));
  const model = startChild("graph-model.ts");
  try {
    const url = await model.next();
    using traffic = watchModel(url);
    await using contenders = await openContenders(folder, url);
    const week = (await loadWeek()).filter((_, i) => i % every === 0);
    const users = Array.from({ length: rounds }, (_, i) => `week-${i}@fjordlys.example`);
    const many = Array.from({ length: several }, (_, i) => `many-${i}@fjordlys.example`);
    note(`a memory for ${1 + users.length + many.length} users`);
    for (const user of ["first@fjordlys.example", ...users, ...many]) await contenders.furnish(user);
    note("reading what is asked about each email");
    const asked = await readWeek("first@fjordlys.example", week, contenders, traffic);
    const { ours } = contenders;
    const bare = contenders.openBare(asked);
    const timing = await timeEmails({ ours, bare, week, asked, traffic }, { users, warmUp }, note);
    const throughput = await measureThroughput({ ours, bare, week, users: many, traffic }, effort, note);
    return { quick, timing, throughput };
  } finally {
    await model.end();
    await rm(folder, { recursive: true, force: true });
  }
}

/** What Mnemail asks about each email of the week when it is a user's first. */
async function readWeek(
  user: string,
  week: readonly Email[],
  { ours }: Contenders,
  traffic: ModelTraffic,
): Promise<Map<string, Asked>> {
  const asked = new Map<string, Asked>();
  for (const email of week) {
    traffic.takeChats();
    await ours.handle(user, anew(email, 0), email.id);
    asked.set(email.id, readAsked(traffic.takeChats()));
  }
  return asked;
}

/** A goal with what was measured. */
export interface GraphGoal {
  name: string;
  wanted: string;
  found: string;
  met: boolean;
}

/** Most of the bare graph's time that Mnemail may take. */
const MOST = 1.5;
/** The share of a core from which it counts as full. */
const FULL = 0.9;

/** The goals of the graph. */
export function judgeGraph({ timing: { whole }, throughput }: GraphReport): GraphGoal[] {
  const ratio = whole.ours.typical / whole.bare.typical;
  const slow = throughput.find(({ delayMs }) => delayMs === SLOW_MS)?.ours ?? [];
  const isGrown = slow.every((each, i) => {
    const before = slow[i - 1];
    return before === undefined || each.perSecond > before.perSecond || each.cpu >= FULL;
  });
  const rates = slow.map(({ perSecond }) => perSecond.toFixed(1)).join(", ");
  const cores = slow.map(({ cpu }) => `${Math.round(100 * cpu)} %`).join(", ");
  return [
    {
      name: "time of an email outside requests to the model, against the bare graph",
      wanted: `at most ${MOST}x`,
      found: `${ratio.toFixed(2)}x${ratio <= MOST ? "" : `, ${Math.round(100 * (ratio / MOST - 1))} % too much`}`,
      met: ratio <= MOST,
    },
    {
      name: `emails per second grow from ${slow.map(({ parallel }) => parallel).join(" to ")} at once, until a core is full`,
      wanted: `more, or ${100 * FULL} % of a core`,
      found: `${rates} (${cores})`,
      met: isGrown,
    },
  ];
}
