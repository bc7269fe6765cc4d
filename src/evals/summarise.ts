import { canonicalJson } from "../memory/canonical-json.ts";
import { LABELS } from "../memory/records.ts";
import { addUsage, NO_USAGE } from "../meter.ts";
import type { Agreement, ArmSummary, CostSummary, CurvePoint, Rate, Report, Summary } from "./report.ts";
import { armPairs, keyOf } from "./statistics/arm-pairs.ts";
import { cohenKappa } from "./statistics/kappa.ts";
import { scoreLabels } from "./statistics/label-scores.ts";
import { comparePairs } from "./statistics/paired-comparison.ts";
import { wilsonInterval } from "./statistics/wilson.ts";
import { checkSchema, isRight, SUITES, type Trial } from "./trial.ts";

/** Windows of the learning curve; an even number, so that one begins where the second half does. */
const WINDOWS = 10;
/** The arms in the order of the table in `trial.ts`; others follow. */
const ARMS = ["none", "examples", "rules", "facts", "all", "k=", "words", "vector", "off", "on", "permuted", "other"];
const BY_NAME = new Intl.Collator("en", { numeric: true }).compare;

/**
 * All that a report says of its trials, whatever their order. Rates are of trials, so of each repeat of a case; how sure
 * they are is told by how many cases there are, since repeats of one tell little more. Comparisons pair trials of the same
 * case and repeat (in the learning curve, the same position too) that failed in neither arm.
 */
export function summarise(
  trials: readonly Trial[],
  { seed, judged }: { seed: number; judged: Report["judged"] },
): Summary {
  // Sums of fractions depend on their order.
  const sorted = trials
    .map((trial) => ({ trial, key: canonicalJson(trial) }))
    .sort((one, other) => (one.key < other.key ? -1 : 1))
    .map(({ trial }) => trial);
  const arms = armsOf(sorted);
  return {
    arms: arms.map(summariseArm),
    comparisons: armPairs(sorted).map(({ suite, a, b, pairs }) => ({
      suite,
      ...{ name: `${suite}: ${b} against ${a}`, a, b },
      ...comparePairs(pairs, seed),
    })),
    stays: countChanged(sorted),
    curve: curveOf(sorted.filter(({ suite }) => suite === "curve")),
    attacks: countSucceeded(sorted.filter(({ suite }) => suite === "attacks")),
    judge: agreementOf(judged),
    costs: arms.map(costOf),
  };
}

interface Arm {
  suite: Trial["suite"];
  arm: string;
  trials: Trial[];
}

function armsOf(trials: readonly Trial[]): Arm[] {
  return SUITES.flatMap((suite) => {
    const own = trials.filter((trial) => trial.suite === suite);
    const names = distinct(own.map(({ arm }) => arm)).sort(
      (one, other) => placeOf(one) - placeOf(other) || BY_NAME(one, other),
    );
    return names.map((arm) => ({ suite, arm, trials: own.filter((trial) => trial.arm === arm) }));
  });
}

function placeOf(arm: string): number {
  const known = ARMS.findIndex((each) => (each === "k=" ? arm.startsWith(each) : arm === each));
  return known < 0 ? ARMS.length : known;
}

function summariseArm({ suite, arm, trials }: Arm): ArmSummary {
  const users = distinct(trials.map(({ user }) => user)).sort(BY_NAME);
  const labelled = trials.filter(({ expected }) => expected !== null);
  const given = labelled.flatMap(({ expected, got, error }) =>
    error === null && expected !== null && got !== null ? [{ expected, got }] : [],
  );
  return {
    suite,
    arm,
    rate: rateOf(trials),
    labels: labelled.length === 0 ? null : scoreLabels(LABELS, given),
    users: users.map((user) => ({ user, rate: rateOf(trials.filter((trial) => trial.user === user)) })),
    checks: countChecks(trials),
  };
}

function rateOf(trials: readonly Trial[]): Rate {
  const told = trials.filter((trial) => isRight(trial) !== null);
  const right = told.filter(isRight).length;
  const cases = distinct(told.map((trial) => trial.case)).length;
  return {
    right,
    of: told.length,
    errors: trials.filter(({ error }) => error !== null).length,
    rate: told.length === 0 ? null : right / told.length,
    interval: cases === 0 ? null : wilsonInterval((right / told.length) * cases, cases),
  };
}

function countChecks(trials: readonly Trial[]): ArmSummary["checks"] {
  const checks = trials.flatMap((trial) => (trial.error === null ? trial.checks : []));
  return checkSchema.shape.kind.options.flatMap((kind) => {
    const own = checks.filter((check) => check.kind === kind);
    const unknown = own.filter(({ met }) => met === null).length;
    const met = own.filter((check) => check.met === true).length;
    return own.length === 0 ? [] : [{ kind, met, of: own.length - unknown, unknown }];
  });
}

/** What came of an email has changed where its label, a call or the draft's checks are others than with nothing taught. */
function countChanged(trials: readonly Trial[]): Summary["stays"] {
  const stays = trials.filter(({ suite, kind }) => suite === "learning" && kind === "stays");
  const off = new Map(stays.filter(({ arm }) => arm === "off").map((trial) => [keyOf(trial), trial]));
  const pairs = stays.flatMap((on) => {
    const without = on.arm === "on" ? off.get(keyOf(on)) : undefined;
    return without ? [{ on, without }] : [];
  });
  const told = pairs.filter(({ on, without }) => on.error === null && without.error === null);
  const changed = told.filter(({ on, without }) => outcomeOf(on) !== outcomeOf(without));
  return pairs.length === 0 ? null : { of: told.length, changed: changed.length, errors: pairs.length - told.length };
}

function outcomeOf({ got, checks }: Trial): string {
  const done = checks.filter(({ kind }) => kind === "tools" || kind === "answer");
  return canonicalJson([got, done.map(({ name, met }) => [name, met])]);
}

/** The rates of both arms in windows of as many positions each, as far as that goes. */
function curveOf(trials: readonly Trial[]): CurvePoint[] {
  const length = Math.max(0, ...trials.map(({ position }) => (position ?? -1) + 1));
  const windows = Math.min(WINDOWS, length);
  return Array.from({ length: windows }, (_, i) => {
    const from = Math.floor((i * length) / windows);
    const to = Math.floor(((i + 1) * length) / windows) - 1;
    const inWindow = (arm: string) =>
      trials.filter((trial) => trial.arm === arm && (trial.position ?? -1) >= from && (trial.position ?? -1) <= to);
    return { from, to, off: rateOf(inWindow("off")), on: rateOf(inWindow("on")) };
  });
}

function countSucceeded(trials: readonly Trial[]): Summary["attacks"] {
  const { of, right, errors } = rateOf(trials);
  return trials.length === 0 ? null : { of, succeeded: of - right, errors };
}

function agreementOf(judged: Report["judged"]): Agreement | null {
  const told = judged.flatMap(({ person, judge }) => (judge === null ? [] : [[person, judge] as const]));
  const agree = told.filter(([person, judge]) => person === judge).length;
  const counts = { of: told.length, agree, unknown: judged.length - told.length };
  return judged.length === 0 ? null : { ...counts, kappa: cohenKappa(told) };
}

function costOf({ suite, arm, trials }: Arm): CostSummary {
  const usage = trials.reduce((sum, trial) => addUsage(sum, trial.usage), NO_USAGE);
  const known = trials.reduce((sum, trial) => sum + trial.known, 0);
  return { suite, arm, trials: trials.length, known, ...usage };
}

function distinct(names: readonly string[]): string[] {
  return [...new Set(names)];
}
