import { canonicalJson } from "../../memory/canonical-json.ts";
import { isRight, type Suite, type Trial } from "../trial.ts";
import type { Pair } from "./paired-comparison.ts";

/** Two arms of a suite that are compared, `b` against `a`, with the cases that failed in neither. */
export interface ArmPair {
  suite: Suite;
  a: string;
  b: string;
  pairs: Pair[];
}

const BY_NUMBER = new Intl.Collator("en", { numeric: true }).compare;

/** What two trials share that are of one pair: the case and the repeat, in the learning curve the position too. */
export function keyOf({ suite, case: name, repeat, position }: Trial): string {
  return canonicalJson([name, repeat, suite === "curve" ? (position ?? null) : null]);
}

/**
 * The comparisons of a report, where both arms have trials: triage and answers with each kind of memory against none, and
 * with each choice of examples against all memory; a user's memory after each rule against that before it; stories taught,
 * and the controls, against nothing taught, over the emails that change; and corrections against none, over the second
 * half of the learning curve's positions.
 */
export function armPairs(trials: readonly Trial[]): ArmPair[] {
  const of = (suite: Suite) => trials.filter((trial) => trial.suite === suite);
  const [triage, answers, changes, learning, curve] = [
    of("triage"),
    of("answers"),
    of("changes"),
    of("learning").filter(({ kind }) => kind === "changes"),
    secondHalf(of("curve")),
  ];
  const kinds = ["examples", "rules", "facts", "all"];
  const shown = namesOf(triage).filter((arm) => arm.startsWith("k="));
  return [
    ...kinds.flatMap((kind) => compared(triage, "none", kind)),
    ...[...shown, "words", "vector"].flatMap((choice) => compared(triage, "all", choice)),
    ...namesOf(changes).flatMap((arm) => compared(changes, armBefore(arm), arm)),
    ...kinds.flatMap((kind) => compared(answers, "none", kind)),
    ...["on", "permuted", "other"].flatMap((arm) => compared(learning, "off", arm)),
    ...compared(curve, "off", "on"),
  ];
}

function compared(trials: readonly Trial[], a: string, b: string): ArmPair[] {
  const [ofA, ofB] = [a, b].map((arm) => trials.filter((trial) => trial.arm === arm));
  const [first] = ofB ?? [];
  if (!ofA?.length || !ofB || !first) return [];
  const rightInA = new Map(ofA.map((trial) => [keyOf(trial), isRight(trial)]));
  const pairs = ofB.flatMap((trial): Pair[] => {
    const [inA, inB] = [rightInA.get(keyOf(trial)) ?? null, isRight(trial)];
    return inA === null || inB === null ? [] : [{ case: trial.case, group: trial.group, a: inA, b: inB }];
  });
  return [{ suite: first.suite, a, b, pairs }];
}

/** Of `<user>/<n>`, the arm with one rule less. */
function armBefore(arm: string): string {
  const at = arm.lastIndexOf("/") + 1;
  return `${arm.slice(0, at)}${Number(arm.slice(at)) - 1}`;
}

function secondHalf(trials: readonly Trial[]): Trial[] {
  const length = Math.max(0, ...trials.map(({ position }) => (position ?? -1) + 1));
  return trials.filter(({ position }) => position !== undefined && position >= length / 2);
}

function namesOf(trials: readonly Trial[]): string[] {
  return [...new Set(trials.map(({ arm }) => arm))].sort(BY_NUMBER);
}
