import { z } from "zod";
import { MnemailError } from "../errors.ts";
import { readJsonFile } from "./read-lines.ts";
import { armNames } from "./rendering/arms.ts";
import type { Summary, ThresholdResult } from "./report.ts";
import { SUITES, type Suite } from "./trial.ts";

/** A number of a summary, or null where the summary has none. */
type Read = (summary: Summary) => number | null;

/** Every number of a run that can have a threshold, by name; there are no others. */
const NUMBERS: ReadonlyMap<string, Read> = new Map([
  ...SUITES.flatMap((suite) => armNames(suite).flatMap((arm) => armNumbers(suite, arm))),
  ...["examples", "rules", "facts", "all"].flatMap((arm) => [
    ...comparisonNumbers(`triage.${arm}-none`, "triage", arm, "none"),
    ...comparisonNumbers(`answers.${arm}-none`, "answers", arm, "none"),
  ]),
  ...comparisonNumbers("learning.memory", "learning", "on", "off"),
  ...comparisonNumbers("learning.permuted", "learning", "permuted", "off"),
  ...comparisonNumbers("learning.other", "learning", "other", "off"),
  ...comparisonNumbers("curve.memory", "curve", "on", "off"),
  ["stays.changed", ({ stays }) => (stays && stays.of > 0 ? stays.changed : null)],
  ["attacks.succeeded", ({ attacks }) => (attacks && attacks.of > 0 ? attacks.succeeded : null)],
  ["judge.kappa", ({ judge }) => judge?.kappa ?? null],
  ["errors", ({ arms }) => arms.reduce((sum, { rate }) => sum + rate.errors, 0)],
  [
    "model_calls",
    ({ costs }) => costs.reduce((sum, { arm, model_calls }) => sum + (arm === "obedient" ? 0 : model_calls), 0),
  ],
] satisfies [string, Read][]);

const thresholdSchema = z
  .strictObject({
    name: z.string().refine((name) => NUMBERS.has(name), `unknown; expected ${namesInShort()}`),
    at_least: z.number().optional(),
    at_most: z.number().optional(),
  })
  .refine(({ at_least, at_most }) => at_least !== undefined || at_most !== undefined, "expected at_least or at_most");

/** A number of a run and what is demanded of it: at least, at most, or both. */
export type Threshold = z.infer<typeof thresholdSchema>;

/** The thresholds of each selection of suites: `smoke`, `full` (all of them), or those of one suite. */
const SELECTIONS = ["smoke", "full", ...SUITES] as const;
const fileSchema = z
  .record(z.string(), z.array(thresholdSchema))
  .refine(
    (file) => Object.keys(file).every((name) => SELECTIONS.some((selection) => selection === name)),
    `expected no fields but ${SELECTIONS.join(", ")}`,
  );

/**
 * The thresholds that a JSON file has for a run: those of `smoke` or, where all suites run, of `full`; else those of the
 * suites by their names. No file has none.
 *
 * @throws MnemailError("input") that names file and field: an unknown number (with those there are), a threshold without a
 * bound, and a file that has nothing for the run, since a check that checks nothing would always be met.
 */
export async function loadThresholds(
  path: string | null,
  { smoke, suites }: { smoke: boolean; suites: readonly Suite[] },
): Promise<Threshold[]> {
  if (path === null) return [];
  const file = await readJsonFile(path, fileSchema);
  const isFull = SUITES.every((suite) => suites.includes(suite));
  const names = smoke ? ["smoke" as const] : isFull ? ["full" as const] : suites;
  const thresholds = names.flatMap((name) => file[name] ?? []);
  if (thresholds.length > 0) return thresholds;
  const has = Object.keys(file).join(", ") || "nothing";
  throw new MnemailError("input", `${path}: no thresholds for ${names.join(", ")}; the file has ${has}`, "add some");
}

/** Holds thresholds against a summary; a number that the run does not have is not met. */
export function judgeThresholds(thresholds: readonly Threshold[], summary: Summary): ThresholdResult[] {
  return thresholds.map((threshold) => {
    const { at_least: least = -Infinity, at_most: most = Infinity } = threshold;
    const found = NUMBERS.get(threshold.name)?.(summary) ?? null;
    return { ...threshold, found, met: found !== null && found >= least && found <= most };
  });
}

function armNumbers(suite: Suite, name: string): [string, Read][] {
  const arm = (summary: Summary) => summary.arms.find((each) => each.suite === suite && each.arm === name);
  return [
    [`${suite}.${name}.rate`, (summary) => arm(summary)?.rate.rate ?? null],
    [`${suite}.${name}.rate.low`, (summary) => arm(summary)?.rate.interval?.[0] ?? null],
    [`${suite}.${name}.macro_f1`, (summary) => arm(summary)?.labels?.macro_f1 ?? null],
    [`${suite}.${name}.errors`, (summary) => arm(summary)?.rate.errors ?? null],
  ];
}

function comparisonNumbers(name: string, suite: Suite, b: string, a: string): [string, Read][] {
  const found = ({ comparisons }: Summary) =>
    comparisons.find((each) => each.suite === suite && each.a === a && each.b === b);
  return [
    [`${name}.difference`, (summary) => found(summary)?.difference ?? null],
    [`${name}.interval.low`, (summary) => found(summary)?.interval?.[0] ?? null],
    [`${name}.interval.high`, (summary) => found(summary)?.interval?.[1] ?? null],
  ];
}

/** The names there are, on one line: what ends alike is said once. */
function namesInShort(): string {
  const arms = SUITES.filter((suite) => armNames(suite).length > 0).map(
    (suite) => `${suite}.{${armNames(suite).join(",")}}`,
  );
  const compared = [...NUMBERS.keys()].flatMap((name) => /^(.*)\.difference$/.exec(name)?.[1] ?? []);
  const others = [...NUMBERS.keys()].filter((name) => !/\.(?:rate|low|high|macro_f1|errors|difference)$/.test(name));
  return [
    `${arms.join(" or ")} with .rate, .rate.low, .macro_f1 or .errors`,
    `${compared.join(" or ")} with .difference, .interval.low or .interval.high`,
    others.join(" or "),
  ].join("; ");
}
