import { cleanText, oneLine } from "../email.ts";
import { fixed, NOTHING, percent, percentNumber, points, pValue } from "./rendering/format.ts";
import { type Report, VERDICTS } from "./report.ts";
import { keyOf } from "./statistics/arm-pairs.ts";
import { comparePairs, type Pair, type PairedComparison } from "./statistics/paired-comparison.ts";
import { isRight, type Suite, type Trial } from "./trial.ts";

/** What a report is known by. */
export type ReportName = Pick<Report, "id" | "created_at" | "version" | "command"> & { model: string };

/** What an arm's emails cost in each report: the mean of one trial. Null where a report has none. */
export interface CostDifference {
  what: "model_calls" | "input_tokens" | "output_tokens" | "embedding_calls" | "store_round_trips" | "ms";
  a: number | null;
  b: number | null;
}

/** One arm in two reports. Cases are named once, however often they were repeated. */
export interface ArmComparison extends PairedComparison {
  suite: Suite;
  arm: string;
  became_right: string[];
  became_wrong: string[];
  /** Cases that are in one of the reports only. */
  only_in_a: string[];
  only_in_b: string[];
  /** Cases that say something else in the other report; they are not compared. */
  changed: string[];
  /** Pairs that are not compared since one of them failed, or nothing of it could be checked. */
  failed: number;
  costs: CostDifference[];
}

/** Two reports, `b` against `a`. `differs` says in words what else is not the same in both. */
export interface ReportsComparison {
  a: ReportName;
  b: ReportName;
  differs: string[];
  arms: ArmComparison[];
  /** Arms, as `suite arm`, that one of the reports lacks. */
  arms_only_in_a: string[];
  arms_only_in_b: string[];
}

/**
 * Compares two reports arm by arm, over the trials of the same case, repeat and position that failed in neither, with the
 * statistics of a report's own comparisons and the seed of `a`. Cases whose content is not the same are left out; where a
 * report has no hashes of its cases, what was expected of them tells.
 */
export function compareReports(a: Report, b: Report): ReportsComparison {
  const [armsA, armsB] = [armsOf(a), armsOf(b)];
  return {
    a: nameOf(a),
    b: nameOf(b),
    differs: differencesOf(a, b),
    arms: [...armsA.keys()]
      .filter((name) => armsB.has(name))
      .map((name) => compareArm(armsA.get(name) ?? [], armsB.get(name) ?? [], a, b)),
    arms_only_in_a: [...armsA.keys()].filter((name) => !armsB.has(name)),
    arms_only_in_b: [...armsB.keys()].filter((name) => !armsA.has(name)),
  };
}

function nameOf({ id, created_at, version, command, model }: Report): ReportName {
  return { id, created_at, version, command, model: model.chat };
}

/** The trials of each arm, in the order of the summary. */
function armsOf({ trials, summary }: Report): Map<string, Trial[]> {
  return new Map(
    summary.arms.map(({ suite, arm }) => [
      `${suite} ${arm}`,
      trials.filter((trial) => trial.suite === suite && trial.arm === arm),
    ]),
  );
}

function compareArm(inA: readonly Trial[], inB: readonly Trial[], a: Report, b: Report): ArmComparison {
  const [known, further] = [byKey(inA), byKey(inB)];
  const changed = new Set<string>();
  const [right, wrong] = [new Set<string>(), new Set<string>()];
  const pairs: Pair[] = [];
  const compared: [a: Trial, b: Trial][] = [];
  let failed = 0;
  for (const [key, trial] of further) {
    const before = known.get(key);
    if (before === undefined) continue;
    if (!isSameCase(before, trial, a, b)) {
      changed.add(trial.case);
      continue;
    }
    const [was, is] = [isRight(before), isRight(trial)];
    if (was === null || is === null) {
      failed += 1;
      continue;
    }
    compared.push([before, trial]);
    pairs.push({ case: trial.case, group: before.group, a: was, b: is });
    if (was === false && is) right.add(trial.case);
    if (was && is === false) wrong.add(trial.case);
  }
  const [first] = [...inB, ...inA];
  return {
    suite: first?.suite ?? "triage",
    arm: first?.arm ?? "",
    ...comparePairs(pairs, a.seed),
    became_right: [...right].sort(),
    became_wrong: [...wrong].sort(),
    only_in_a: casesMissing(inA, inB),
    only_in_b: casesMissing(inB, inA),
    changed: [...changed].sort(),
    failed,
    costs: costsOf(
      compared.map(([one]) => one),
      compared.map(([, other]) => other),
    ),
  };
}

function byKey(trials: readonly Trial[]): Map<string, Trial> {
  return new Map(trials.map((trial) => [keyOf(trial), trial]));
}

function casesMissing(from: readonly Trial[], other: readonly Trial[]): string[] {
  const there = new Set(other.map((trial) => trial.case));
  return [...new Set(from.flatMap((trial) => (there.has(trial.case) ? [] : [trial.case])))].sort();
}

/** A later email of a story is named `<story>/<email>`; the hash is that of the story. */
function isSameCase(one: Trial, other: Trial, a: Report, b: Report): boolean {
  const id = one.case.split("/")[0] ?? one.case;
  const [before, after] = [a.cases?.[id], b.cases?.[id]];
  if (before !== undefined && after !== undefined) return before === after;
  return one.user === other.user && one.expected === other.expected && one.kind === other.kind;
}

const COSTS = ["model_calls", "input_tokens", "output_tokens", "embedding_calls", "store_round_trips", "ms"] as const;

/** The mean cost of the trials that are compared. */
function costsOf(a: readonly Trial[], b: readonly Trial[]): CostDifference[] {
  const each = (trials: readonly Trial[], what: CostDifference["what"]) =>
    trials.length === 0 ? null : trials.reduce((sum, { usage }) => sum + usage[what], 0) / trials.length;
  return COSTS.map((what) => ({ what, a: each(a, what), b: each(b, what) }));
}

function differencesOf(a: Report, b: Report): string[] {
  const changed = (what: string, before: string | number, after: string | number) =>
    before === after ? [] : [`${what}: ${before} in a, ${after} in b`];
  const hashes = (report: Report) => new Map(report.files.map(({ name, hash }) => [name, hash]));
  const [before, after] = [hashes(a), hashes(b)];
  const isHashed = a.cases !== undefined && b.cases !== undefined;
  return [
    ...changed("model", a.model.chat, b.model.chat),
    ...changed("embeddings", a.model.embeddings, b.model.embeddings),
    ...changed("model server", a.model.description, b.model.description),
    ...changed("prompts", a.prompts, b.prompts),
    ...changed("seed", a.seed, b.seed),
    ...changed("split", a.split, b.split),
    ...changed("version", a.version, b.version),
    ...changed("repeats", a.repeat, b.repeat),
    ...[...new Set([...before.keys(), ...after.keys()])].flatMap((name) => {
      if (!before.has(name) || !after.has(name)) return [`${name}: only in ${before.has(name) ? "a" : "b"}`];
      if (before.get(name) === after.get(name)) return [];
      if (name === "users.json") return [`${name}: not the same, so that memory differs`];
      const how = isHashed
        ? "only cases that are in both and the same are compared"
        : "a report without hashes of its cases cannot tell which";
      return [`${name}: not the same; ${how}`];
    }),
  ];
}

/** How many cases of a kind are named on a terminal; `--json` has them all. */
const CASES_NAMED = 12;

/** A comparison of reports for a terminal: what differs, then each arm with its verdict, its cases and its cost. */
export function renderComparisonText({
  a,
  b,
  differs,
  arms,
  arms_only_in_a,
  arms_only_in_b,
}: ReportsComparison): string {
  const name = (letter: string, { id, model }: ReportName) => `${letter}: ${line(id)}, ${line(model)}`;
  return [
    name("a", a),
    name("b", b),
    ...differs.map((what) => `differs: ${line(what)}`),
    ...named("arms only in a", arms_only_in_a),
    ...named("arms only in b", arms_only_in_b),
    "",
    ...arms.flatMap(armLines),
    "",
    totalLine(arms),
  ].join("\n");
}

function armLines(arm: ArmComparison): string[] {
  const [low, high] = arm.interval ?? [null, null];
  const interval = arm.interval === null ? "" : ` (${points(low)} to ${points(high)})`;
  const rates = `${percent(arm.rate_a)} → ${percent(arm.rate_b)}, ${points(arm.difference)} points${interval}`;
  const isSame = arm.only_a + arm.only_b === 0;
  return [
    `${arm.suite} ${line(arm.arm)}: ${isSame ? `all ${arm.pairs} as before, ${percent(arm.rate_b)}` : arm.verdict}`,
    ...(isSame ? [] : [`  ${rates}, p ${pValue(arm.p)}, ${arm.pairs} pairs`]),
    ...(arm.verdict === "inconclusive" && !isSame
      ? [`  too few pairs to tell: a difference of ${percentNumber(arm.smallest_effect)} points would have shown`]
      : []),
    ...named("  became right", arm.became_right),
    ...named("  became wrong", arm.became_wrong),
    ...named("  only in a", arm.only_in_a),
    ...named("  only in b", arm.only_in_b),
    ...named("  not compared, as the case changed", arm.changed),
    ...(arm.failed > 0 ? [`  not compared, as one of them failed: ${arm.failed}`] : []),
    ...costLines(arm.costs),
  ];
}

/** Time is left out: it is of the machine and of what was known, more than of the run. */
function costLines(costs: readonly CostDifference[]): string[] {
  const decimals = ({ what }: CostDifference) => (what.endsWith("tokens") ? 0 : 2);
  const changes = costs
    .filter(({ what }) => what !== "ms")
    .map((cost) => ({ ...cost, before: fixed(cost.a, decimals(cost)), after: fixed(cost.b, decimals(cost)) }))
    .filter(({ before, after }) => before !== after && before !== NOTHING && after !== NOTHING)
    .map(({ what, before, after }) => `${what.replaceAll("_", " ")} ${before} → ${after}`);
  return changes.length === 0 ? [] : [`  cost of one: ${changes.join(", ")}`];
}

function named(what: string, names: readonly string[]): string[] {
  if (names.length === 0) return [];
  const more = names.length - CASES_NAMED;
  const shown = names.slice(0, CASES_NAMED).map(line).join(", ");
  return [`${what} (${names.length}): ${shown}${more > 0 ? ` and ${more} more` : ""}`];
}

function totalLine(arms: readonly ArmComparison[]): string {
  if (arms.every(({ pairs }) => pairs === 0)) return "nothing to compare: no case is in the same arm of both reports";
  const isSame = ({ only_a, only_b }: ArmComparison) => only_a + only_b === 0;
  const changed = arms.filter((arm) => !isSame(arm));
  const counts = VERDICTS.map((verdict) => ({
    verdict,
    arms: changed.filter((arm) => arm.verdict === verdict).length,
  }));
  return [
    `${arms.length} ${arms.length === 1 ? "arm" : "arms"}: ${arms.length - changed.length} as before`,
    ...counts.flatMap(({ verdict, arms: many }) => (many === 0 ? [] : [`${many} ${verdict}`])),
  ].join(", ");
}

/** A name, which may be a stranger's, on one line that cannot steer a terminal. */
function line(text: string): string {
  return oneLine(cleanText(text));
}
