import type { Comparison, LabelSummary, Rate, Report, Summary } from "../../src/evals/report.ts";
import type { Trial } from "../../src/evals/trial.ts";

// The statistics of a report a second time, from the docstrings of src/evals/report.ts and the sources they name, by other
// ways than src/evals/statistics where there are any. Nothing here may import code of src.

const LABELS = ["ignore", "notify", "respond"] as const;
const Z_TEST = 1.95996398454;
const Z_POWER = 0.84162123357;

/** Whether a trial is right; null for one that is neither. */
export function verdictOnTrial(trial: Trial): boolean | null {
  if (trial.error !== null) return null;
  let isRight: boolean | null = null;
  for (const { met } of trial.checks) {
    if (met === false) return false;
    if (met) isRight = true;
  }
  return isRight;
}

/** Wilson's interval: both solutions p of (rate - p)² = z² p (1 - p) / n. */
export function wilson(right: number, of: number): [number, number] | null {
  if (of === 0) return null;
  const rate = right / of;
  const [a, b, c] = [1 + Z_TEST ** 2 / of, -(2 * rate + Z_TEST ** 2 / of), rate ** 2];
  const root = Math.sqrt(Math.max(0, b * b - 4 * a * c));
  return [(-b - root) / (2 * a), (-b + root) / (2 * a)];
}

/** How often these trials are right. */
export function rateOf(trials: readonly Trial[]): Rate {
  const told = trials.filter((trial) => verdictOnTrial(trial) !== null);
  const right = told.filter(verdictOnTrial).length;
  const cases = new Set(told.map((trial) => trial.case)).size;
  return {
    right,
    of: told.length,
    errors: trials.filter(({ error }) => error !== null).length,
    rate: told.length === 0 ? null : right / told.length,
    interval: cases === 0 ? null : wilson((cases * right) / told.length, cases),
  };
}

/** McNemar's exact test by whole numbers: 2 · Σ C(n, k) / 2^n. */
export function mcNemar(onlyA: number, onlyB: number): number {
  const n = onlyA + onlyB;
  let [choices, sum] = [1n, 0n];
  for (let k = 0; k <= Math.min(onlyA, onlyB); k += 1) {
    sum += choices;
    choices = (choices * BigInt(n - k)) / BigInt(k + 1);
  }
  const scale = 10n ** 18n;
  return Math.min(1, Number((2n * sum * scale) / 2n ** BigInt(n)) / 1e18);
}

/** Connor's formula solved by bisection; with fewer discordant pairs than the solution asks for, all on one side. */
export function smallestEffect(pairs: number, discordant: number): number | null {
  if (pairs < 6) return null;
  const rate = discordant / pairs;
  const needed = (effect: number, q: number) =>
    (Z_TEST * Math.sqrt(q) + Z_POWER * Math.sqrt(Math.max(0, q - effect ** 2))) ** 2 / effect ** 2;
  const solve = (isEnough: (effect: number) => boolean) => {
    let [low, high] = [1e-9, 1];
    for (let i = 0; i < 80; i += 1) {
      const middle = (low + high) / 2;
      if (isEnough(middle)) high = middle;
      else low = middle;
    }
    return high;
  };
  const effect = solve((d) => needed(d, rate) <= pairs);
  return effect <= rate && rate > 0 ? effect : solve((d) => needed(d, d) <= pairs);
}

function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface PairOfTrials {
  case: string;
  group: string;
  a: boolean;
  b: boolean;
}

/** The difference of the means of groups drawn with replacement: its 2.5th and 97.5th percentile. */
export function groupInterval(pairs: readonly PairOfTrials[]): [number, number] | null {
  const gains = new Map<string, [number, number]>();
  for (const { group, a, b } of pairs) {
    const [gain, of] = gains.get(group) ?? [0, 0];
    gains.set(group, [gain + Number(b) - Number(a), of + 1]);
  }
  const groups = [...gains.values()];
  if (groups.length < 2) return null;
  // The same groups give the same interval, and tests ask for it again and again.
  const key = JSON.stringify(groups);
  const known = INTERVALS.get(key) ?? resample(groups);
  INTERVALS.set(key, known);
  return known;
}

const INTERVALS = new Map<string, [number, number]>();

function resample(groups: readonly [number, number][]): [number, number] {
  const random = randomNumbers(20_260_306);
  const means: number[] = [];
  for (let i = 0; i < 8_000; i += 1) {
    let [gain, of] = [0, 0];
    for (let j = 0; j < groups.length; j += 1) {
      const drawn = groups[Math.floor(random() * groups.length)];
      gain += drawn?.[0] ?? 0;
      of += drawn?.[1] ?? 0;
    }
    means.push(gain / of);
  }
  means.sort((one, other) => one - other);
  return [means[Math.floor(0.025 * means.length)] ?? Number.NaN, means[Math.floor(0.975 * means.length)] ?? Number.NaN];
}

/** Two arms compared by what is the same in both. */
export function compareTrials(
  trials: readonly Trial[],
  { suite, a, b }: { suite: string; a: string; b: string },
  among: (trial: Trial) => boolean = () => true,
): Omit<Comparison, "name" | "verdict" | "a" | "b"> {
  const nameOf = (trial: Trial) =>
    JSON.stringify([trial.case, trial.repeat, suite === "changes" ? null : (trial.position ?? null)]);
  const own = trials.filter((trial) => trial.suite === suite && among(trial));
  const inA = new Map(own.filter(({ arm }) => arm === a).map((trial) => [nameOf(trial), trial]));
  const pairs: PairOfTrials[] = [];
  for (const trial of own.filter(({ arm }) => arm === b)) {
    const other = inA.get(nameOf(trial));
    const [isA, isB] = [other ? verdictOnTrial(other) : null, verdictOnTrial(trial)];
    if (isA !== null && isB !== null) pairs.push({ case: trial.case, group: trial.group, a: isA, b: isB });
  }
  const names = [...new Set(pairs.map((each) => each.case))];
  const ahead = names.map((name) => {
    const own = pairs.filter((each) => each.case === name);
    return own.filter(({ b }) => b).length - own.filter(({ a }) => a).length;
  });
  const [onlyA, onlyB] = [ahead.filter((gain) => gain < 0).length, ahead.filter((gain) => gain > 0).length];
  const n = pairs.length;
  const groups = new Set(pairs.map(({ group }) => group)).size;
  return {
    pairs: n,
    groups,
    rate_a: n === 0 ? null : pairs.filter((each) => each.a).length / n,
    rate_b: n === 0 ? null : pairs.filter((each) => each.b).length / n,
    difference: n === 0 ? null : ahead.reduce((sum, gain) => sum + gain, 0) / n,
    interval: groupInterval(pairs),
    only_a: onlyA,
    only_b: onlyB,
    p: n === 0 ? null : mcNemar(onlyA, onlyB),
    smallest_effect: n === 0 ? null : smallestEffect(groups, groups * ((onlyA + onlyB) / names.length)),
  };
}

/** The word, by the rule at the docstring of `verdictOf`, from the numbers of a report. */
export function wordFor({
  groups,
  interval,
  p,
  smallest_effect: effect,
}: Omit<Comparison, "name" | "a" | "b">): string {
  if (groups < 6 || interval === null || p === null) return "inconclusive";
  if (p < 0.05 && interval[0] > 0) return "improved";
  if (p < 0.05 && interval[1] < 0) return "regressed";
  const isNarrow = interval[0] * interval[1] <= 0 && Math.max(Math.abs(interval[0]), Math.abs(interval[1])) <= 0.05;
  return isNarrow && effect !== null && effect <= 0.05 ? "no effect detected" : "inconclusive";
}

/** Precision, recall, F1 and confusion of trials that have a label and were to have one. */
export function labelsOf(trials: readonly Trial[]): LabelSummary | null {
  const table = new Map<string, number>();
  const cells = (expected: string, got: string) => table.get(`${expected} ${got}`) ?? 0;
  for (const { expected, got, error } of trials) {
    if (error !== null || expected === null || got === null) continue;
    table.set(`${expected} ${got}`, cells(expected, got) + 1);
  }
  if (trials.every(({ expected }) => expected === null)) return null;
  const add = (numbers: number[]) => numbers.reduce((sum, each) => sum + each, 0);
  const classes = LABELS.map((label) => {
    const support = add(LABELS.map((got) => cells(label, got)));
    const predicted = add(LABELS.map((expected) => cells(expected, label)));
    const hits = cells(label, label);
    const precision = predicted === 0 ? null : hits / predicted;
    const recall = support === 0 ? null : hits / support;
    const harmonic = precision && recall ? 2 / (1 / precision + 1 / recall) : 0;
    return { label, support, precision, recall, f1: support + predicted === 0 ? null : harmonic };
  });
  const f1s = classes.flatMap(({ f1 }) => f1 ?? []);
  return {
    classes,
    macro_f1: f1s.length === 0 ? null : add(f1s) / f1s.length,
    confusion: LABELS.map((expected) => LABELS.map((got) => cells(expected, got))),
  };
}

/** Agreement with people, Cohen's kappa from the shares of the four outcomes. */
export function agreementOf(judged: Report["judged"]): Summary["judge"] {
  if (judged.length === 0) return null;
  const told = judged.filter(({ judge }) => judge !== null);
  const share = (holds: (one: Report["judged"][number]) => boolean) => told.filter(holds).length / told.length;
  const agree = told.filter(({ person, judge }) => person === judge).length;
  const [people, judges] = [share(({ person }) => person), share(({ judge }) => judge === true)];
  const chance = people * judges + (1 - people) * (1 - judges);
  const isDefined = told.length > 0 && Math.abs(1 - chance) > 1e-12;
  return {
    of: told.length,
    agree,
    unknown: judged.length - told.length,
    kappa: isDefined ? (agree / told.length - chance) / (1 - chance) : null,
  };
}
