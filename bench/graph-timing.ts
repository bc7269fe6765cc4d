import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { z } from "zod";
import type { Email } from "../src/email.ts";
import type { EmailResult } from "../src/handle.ts";
import type { Asked } from "./graph-bare.ts";
import type { Contender, Written } from "./graph-contenders.ts";
import type { ModelTraffic } from "./graph-traffic.ts";
import { anew } from "./graph-week.ts";

/** What becomes of an email, by which times are told apart; a meeting is an answer that proposes one. */
export const OUTCOMES = ["ignore", "notify", "respond", "meeting"] as const;

/** One of {@link OUTCOMES}. */
export type Outcome = (typeof OUTCOMES)[number];

/** What one contender took for one email: wall-clock milliseconds outside requests to the model, and of the processor. */
interface Sample {
  outside: number;
  cpu: number;
}

/** Milliseconds of one contender: the mean of its emails' medians, and of all its runs. */
export interface Times {
  typical: number;
  p50: number;
  p95: number;
  cpu: number;
}

/** Both contenders on the same emails. */
export interface TimedEmails {
  emails: number;
  runs: number;
  ours: Times;
  bare: Times;
}

/** What the emails of an outcome took on average, of models and of what is kept. */
export interface EmailCost {
  outcome: Outcome;
  emails: number;
  modelCalls: number;
  inputTokens: number;
  outputTokens: number;
  embeddingCalls: number;
  storeRoundTrips: number;
  ours: Written;
  bare: Written;
}

/** Everything about single emails. */
export interface TimingReport {
  whole: TimedEmails;
  outcomes: (TimedEmails & { outcome: Outcome })[];
  costs: EmailCost[];
}

/** What both contenders are timed with. */
export interface TimingParts {
  ours: Contender<EmailResult>;
  bare: Contender<unknown>;
  week: readonly Email[];
  asked: ReadonlyMap<string, Asked>;
  traffic: ModelTraffic;
}

interface Measured {
  outcome: Outcome;
  usage: EmailResult["usage"];
  written: { ours: Written; bare: Written };
  ours: Sample[];
  bare: Sample[];
}

setFlagsFromString("--expose-gc");
const collectGarbage = z
  .custom<(options: { type: "minor" }) => void>((value) => typeof value === "function")
  .parse(runInNewContext("gc"));

/**
 * Times the emails of the week, one at a time: each by one contender and right after it by the other, in turning order, so
 * that a busy moment of the machine meets both. In each round the week is that of a new user, so that its prompts are
 * those of `asked`; the first `warmUp` rounds are forgotten. Young garbage is collected before each run, untimed.
 *
 * @throws Error when the contenders do not ask for the same.
 */
export async function timeEmails(
  { ours, bare, week, asked, traffic }: TimingParts,
  { users, warmUp }: { users: readonly string[]; warmUp: number },
  note: (line: string) => void,
): Promise<TimingReport> {
  const measured = new Map<string, Measured>();
  for (const [round, user] of users.entries()) {
    note(`week ${round + 1} of ${users.length}, email by email`);
    for (const [i, sample] of week.entries()) {
      const email = anew(sample, 1 + round);
      const runOurs = () => timeOne(() => ours.handle(user, email, sample.id), ours.written, traffic);
      const runBare = () => timeOne(() => bare.handle(user, email, sample.id), bare.written, traffic);
      const first = (round + i) % 2 === 0 ? await runOurs() : undefined;
      const other = await runBare();
      const own = first ?? (await runOurs());
      checkAsked(email, asked.get(sample.id), own.chats, other.chats);
      if (round < warmUp) continue;
      const { result } = own;
      const known = measured.get(sample.id) ?? {
        outcome: outcomeOf(result),
        usage: result.usage,
        written: { ours: own.written, bare: other.written },
        ours: [],
        bare: [],
      };
      known.ours.push(own.sample);
      known.bare.push(other.sample);
      measured.set(sample.id, known);
    }
  }
  const all = [...measured.values()];
  const groups = OUTCOMES.map((outcome) => ({ outcome, own: all.filter((each) => each.outcome === outcome) }));
  return {
    whole: summarize(all),
    outcomes: groups.map(({ outcome, own }) => ({ outcome, ...summarize(own) })),
    costs: groups.map(({ outcome, own }) => costOf(outcome, own)),
  };
}

function outcomeOf({ label, events }: EmailResult): Outcome {
  if (label === null) throw new Error("an email has no label");
  return label === "respond" && events.length > 0 ? "meeting" : label;
}

async function timeOne<T>(run: () => Promise<T>, count: () => Written, traffic: ModelTraffic) {
  traffic.takeChats();
  const before = count();
  collectGarbage({ type: "minor" });
  const busy = traffic.busyMs();
  const processor = process.cpuUsage();
  const started = performance.now();
  const result = await run();
  const outside = performance.now() - started - (traffic.busyMs() - busy);
  const { user, system } = process.cpuUsage(processor);
  const after = count();
  const written = {
    checkpoints: after.checkpoints - before.checkpoints,
    writes: after.writes - before.writes,
    bytes: after.bytes - before.bytes,
  };
  return { result, sample: { outside, cpu: (user + system) / 1_000 }, written, chats: traffic.takeChats() };
}

/** Models give calls and messages other ids each time, of the same length. */
function checkAsked({ id }: Email, asked: Asked | undefined, ours: readonly string[], bare: readonly string[]): void {
  const size = (bodies: readonly string[]) => bodies.map((body) => Buffer.byteLength(body)).join(" + ");
  if (asked?.calls === ours.length && size(ours) === size(bare)) return;
  throw new Error(`${id}: Mnemail asked ${size(ours)} bytes of the model, the bare graph ${size(bare)}`);
}

function summarize(emails: readonly Measured[]): TimedEmails {
  const timesOf = (samples: readonly (readonly Sample[])[]): Times => {
    const outside = samples.map((each) => each.map((sample) => sample.outside));
    return {
      typical: mean(outside.map((each) => percentile(each, 0.5))),
      p50: percentile(outside.flat(), 0.5),
      p95: percentile(outside.flat(), 0.95),
      cpu: mean(
        samples.map((each) =>
          percentile(
            each.map(({ cpu }) => cpu),
            0.5,
          ),
        ),
      ),
    };
  };
  return {
    emails: emails.length,
    runs: emails.reduce((sum, { ours }) => sum + ours.length, 0),
    ours: timesOf(emails.map(({ ours }) => ours)),
    bare: timesOf(emails.map(({ bare }) => bare)),
  };
}

function costOf(outcome: Outcome, emails: readonly Measured[]): EmailCost {
  const average = (of: (email: Measured) => number) => mean(emails.map(of));
  const writtenBy = (who: "ours" | "bare"): Written => ({
    checkpoints: average(({ written }) => written[who].checkpoints),
    writes: average(({ written }) => written[who].writes),
    bytes: average(({ written }) => written[who].bytes),
  });
  return {
    outcome,
    emails: emails.length,
    modelCalls: average(({ usage }) => usage.model_calls),
    inputTokens: average(({ usage }) => usage.input_tokens),
    outputTokens: average(({ usage }) => usage.output_tokens),
    embeddingCalls: average(({ usage }) => usage.embedding_calls),
    storeRoundTrips: average(({ usage }) => usage.store_round_trips),
    ours: writtenBy("ours"),
    bare: writtenBy("bare"),
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, each) => sum + each, 0) / values.length;
}

/** The value below which a share of the others lies. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
