import type { Neighbour } from "./example-choice.ts";
import { LABELS, type Label } from "./records.ts";

/** The normal quantile of a 95 % interval. */
const Z = 1.959964;

/** One example with the others that were chosen for its email. */
export interface ScoredCase {
  label: Label;
  neighbours: readonly Neighbour[];
}

/** How one label fared; precision is null where it was never voted for, recall where no example has it. */
export interface LabelScore {
  label: Label;
  examples: number;
  precision: number | null;
  recall: number | null;
}

/** A leave-one-out score. What has no neighbour gets no label and counts as wrong. */
export interface ExampleScore {
  examples: number;
  right: number;
  without_neighbour: number;
  accuracy: number;
  /** The 95 % interval of the accuracy. */
  interval: { low: number; high: number };
  /** What always answering the commonest label would reach. */
  baseline: { label: Label; right: number; accuracy: number };
  labels: LabelScore[];
}

/** The label that neighbours vote for, each by its likeness (Dudani 1976); of equal ones, that of the nearest. */
export function vote(neighbours: readonly Neighbour[]): Label | undefined {
  const weights = new Map<Label, number>();
  const nearestFirst = [...neighbours].sort((a, b) => b.similarity - a.similarity);
  for (const { record, similarity } of nearestFirst) {
    weights.set(record.label, (weights.get(record.label) ?? 0) + similarity);
  }
  let winner: { label: Label; weight: number } | undefined;
  for (const [label, weight] of weights) if (!winner || weight > winner.weight) winner = { label, weight };
  return winner?.label;
}

/** Scores how well the label of each example follows from the others; undefined for fewer than two. */
export function scoreExamples(cases: readonly ScoredCase[]): ExampleScore | undefined {
  if (cases.length < 2) return undefined;
  const answers = cases.map(({ label, neighbours }) => ({ label, voted: vote(neighbours) }));
  const right = answers.filter(({ label, voted }) => label === voted).length;
  const labels = LABELS.map((label): LabelScore => {
    const truly = answers.filter((each) => each.label === label);
    const voted = answers.filter((each) => each.voted === label);
    const hits = truly.filter((each) => each.voted === label).length;
    return { label, examples: truly.length, precision: ratio(hits, voted.length), recall: ratio(hits, truly.length) };
  });
  const commonest = labels.reduce((most, each) => (each.examples > most.examples ? each : most));
  return {
    examples: cases.length,
    right,
    without_neighbour: answers.filter(({ voted }) => voted === undefined).length,
    accuracy: right / cases.length,
    interval: wilson(right, cases.length),
    baseline: { label: commonest.label, right: commonest.examples, accuracy: commonest.examples / cases.length },
    labels,
  };
}

/** The 95 % interval of a proportion: Wilson 1927, which holds for few cases too. */
export function wilson(right: number, of: number): { low: number; high: number } {
  const share = right / of;
  const middle = share + Z ** 2 / (2 * of);
  const margin = Z * Math.sqrt((share * (1 - share)) / of + Z ** 2 / (4 * of ** 2));
  const scale = 1 + Z ** 2 / of;
  return { low: Math.max(0, (middle - margin) / scale), high: Math.min(1, (middle + margin) / scale) };
}

function ratio(part: number, whole: number): number | null {
  return whole === 0 ? null : part / whole;
}
