import type { ArmSummary, Comparison, CostSummary, CurvePoint, Report, Summary } from "../../src/evals/report.ts";
import type { Suite, Trial } from "../../src/evals/trial.ts";
import { problemsOfPage } from "./recompute-page.ts";
import { agreementOf, compareTrials, labelsOf, rateOf, verdictOnTrial, wordFor } from "./recompute-summary.ts";

/** How far the end of an interval may be from that of other random numbers: by chance, or by one pair more. */
function tolerance({ pairs }: { pairs: number }): number {
  return Math.max(0.02, 1.1 / Math.max(1, pairs));
}

/**
 * What is wrong with the numbers of a report, its page and its Markdown, a line for each; none where all is as other code
 * computes it from the trials alone.
 */
export function problemsOf(report: Report, html: string, markdown: string): string[] {
  const own = recomputeSummary(report);
  const problems = [...differences("summary", withoutResampling(report.summary), withoutResampling(own))];
  for (const found of report.summary.comparisons) {
    const { name, interval, verdict } = found;
    const mine = own.comparisons.find((each) => each.name === name && each.suite === found.suite);
    if (mine === undefined) continue;
    const isNear = [0, 1].every((end) => {
      const [one, other] = [interval?.[end === 0 ? 0 : 1], mine.interval?.[end === 0 ? 0 : 1]];
      return one === other || Math.abs((one ?? Infinity) - (other ?? 0)) <= tolerance(found);
    });
    if (!isNear) problems.push(`${name}: interval ${interval}, expected about ${mine.interval}`);
    const word = wordFor({ ...mine, interval });
    if (verdict !== word) problems.push(`${name}: verdict ${verdict}, expected ${word}`);
    // What is shown of them is held against what the report has, which is near enough.
    Object.assign(mine, { interval, verdict });
  }
  for (const { name, found, at_least: least, at_most: most, met } of report.thresholds) {
    const number = numberOf(name, own);
    problems.push(...differences(`threshold ${name}`, found, number));
    const isMet = number !== null && number >= (least ?? number) && number <= (most ?? number);
    if (isMet !== met) problems.push(`threshold ${name}: met is ${met}, expected ${isMet}`);
  }
  return [...problems, ...problemsOfPage({ ...report, summary: own }, html, markdown)];
}

/** All but what random numbers decide. */
function withoutResampling(summary: Summary): unknown {
  const comparisons = summary.comparisons.map(({ interval: _, verdict: __, ...rest }) => rest);
  return { ...summary, comparisons };
}

/** Where two values differ; lists of records in whatever order. */
function differences(at: string, found: unknown, expected: unknown): string[] {
  if (typeof found === "number" && typeof expected === "number") {
    const isNear = Math.abs(found - expected) <= 1e-6 * Math.max(1, Math.abs(expected));
    return isNear ? [] : [`${at}: ${found}, expected ${expected}`];
  }
  if (Array.isArray(found) && Array.isArray(expected)) {
    const nameOf = (value: unknown, i: number) => nameIn(value) ?? String(i);
    return differences(
      at,
      Object.fromEntries(found.map((value: unknown, i) => [nameOf(value, i), value])),
      Object.fromEntries(expected.map((value: unknown, i) => [nameOf(value, i), value])),
    );
  }
  if (typeof found === "object" && typeof expected === "object" && found !== null && expected !== null) {
    const [one, other] = [new Map(Object.entries(found)), new Map(Object.entries(expected))];
    return [...new Set([...one.keys(), ...other.keys()])].flatMap((key) =>
      differences(`${at}.${key}`, one.get(key), other.get(key)),
    );
  }
  return found === expected ? [] : [`${at}: ${JSON.stringify(found)}, expected ${JSON.stringify(expected)}`];
}

function nameIn(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const fields = new Map(Object.entries(value));
  const names = ["name", "suite", "arm", "user", "kind", "label", "from"].flatMap((field) => fields.get(field) ?? []);
  return names.length === 0 ? undefined : names.join(" ");
}

/** The number that a threshold names. */
function numberOf(name: string, summary: Summary): number | null {
  const totals: Record<string, number | null> = {
    "stays.changed": summary.stays?.changed ?? null,
    "attacks.succeeded": summary.attacks?.succeeded ?? null,
    "judge.kappa": summary.judge?.kappa ?? null,
    errors: summary.arms.reduce((sum, { rate }) => sum + rate.errors, 0),
    model_calls: summary.costs.reduce((sum, cost) => sum + cost.model_calls, 0),
  };
  if (name in totals) return totals[name] ?? null;
  const [suite, arm = "", ...field] = name.split(".");
  const against = arm === "memory" ? ["on", "off"] : suite === "learning" ? [arm, "off"] : arm.split("-");
  if (["difference", "interval"].includes(field[0] ?? "")) {
    const found = summary.comparisons.find(
      (one) => one.suite === suite && one.b === against[0] && one.a === against[1],
    );
    const ends: Record<string, number | undefined> = { low: found?.interval?.[0], high: found?.interval?.[1] };
    return (field[0] === "difference" ? found?.difference : ends[field[1] ?? ""]) ?? null;
  }
  const found = summary.arms.find((one) => one.suite === suite && one.arm === arm);
  const fields: Record<string, number | null | undefined> = {
    rate: found?.rate.rate,
    "rate.low": found?.rate.interval?.[0],
    macro_f1: found?.labels?.macro_f1,
    errors: found?.rate.errors,
  };
  return fields[field.join(".")] ?? null;
}

/** The pairs of arms that a summary compares: b, then a. */
function comparedArms(trials: readonly Trial[]): { suite: Suite; b: string; a: string; only?: "changes" | "later" }[] {
  const has = (suite: Suite) => [...new Set(trials.filter((trial) => trial.suite === suite).map(({ arm }) => arm))];
  const among = (suite: Suite, pairs: readonly (readonly [string, string])[]) =>
    pairs.filter(([b, a]) => has(suite).includes(b) && has(suite).includes(a)).map(([b, a]) => ({ suite, b, a }));
  const against = (a: string, ...arms: string[]) => arms.map((b) => [b, a] as const);
  const steps = has("changes").flatMap((arm) => {
    const [, user, n] = /^(.*)\/(\d+)$/.exec(arm) ?? [];
    return n === undefined || n === "0" ? [] : [[arm, `${user}/${Number(n) - 1}`] as const];
  });
  const memory = against("none", "examples", "rules", "facts", "all");
  const shown = has("triage").filter((arm) => arm.startsWith("k="));
  return [
    ...among("triage", [...memory, ...against("all", ...shown, "words", "vector")]),
    ...among("changes", steps),
    ...among("answers", memory),
    ...among("learning", against("off", "on", "permuted", "other")).map((one) => ({
      ...one,
      only: "changes" as const,
    })),
    ...among("curve", against("off", "on")).map((one) => ({ ...one, only: "later" as const })),
  ];
}

/** A summary of trials, but for the words and names of comparisons. */
export function recomputeSummary({ trials, judged }: Pick<Report, "trials" | "judged">): Summary {
  const places = [...new Set(trials.map(({ suite, arm }) => JSON.stringify([suite, arm])))];
  const groups = places.map((place) => {
    const own = trials.filter(({ suite, arm }) => JSON.stringify([suite, arm]) === place);
    const [first] = own;
    if (first === undefined) throw new Error("no trials");
    return { suite: first.suite, arm: first.arm, own };
  });
  const curve = trials.filter(({ suite }) => suite === "curve");
  const middle = (Math.max(...curve.map(({ position }) => position ?? 0)) + 1) / 2;
  return {
    arms: groups.map(
      ({ suite, arm, own }): ArmSummary => ({
        suite,
        arm,
        rate: rateOf(own),
        labels: labelsOf(own),
        users: [...new Set(own.map(({ user }) => user))].sort().map((user) => ({
          user,
          rate: rateOf(own.filter((trial) => trial.user === user)),
        })),
        checks: checksOf(own),
      }),
    ),
    comparisons: comparedArms(trials).map(({ suite, b, a, only }) => {
      const among = (trial: Trial) =>
        only === "changes" ? trial.kind === "changes" : only === "later" ? (trial.position ?? 0) >= middle : true;
      const numbers = compareTrials(trials, { suite, a, b }, among);
      const verdict = wordFor({ ...numbers, verdict: "inconclusive" });
      return {
        suite,
        name: `${suite}: ${b} against ${a}`,
        a,
        b,
        ...numbers,
        verdict: verdict as Comparison["verdict"],
      };
    }),
    stays: staysOf(trials),
    curve: curveOf(curve),
    attacks: attacksOf(trials),
    judge: agreementOf(judged),
    costs: groups.map(({ suite, arm, own }) => costOf(suite, arm, own)),
  };
}

function checksOf(trials: readonly Trial[]): ArmSummary["checks"] {
  const kinds = ["label", "tools", "answer", "judge", "memory", "attack"] as const;
  return kinds.flatMap((kind) => {
    const found = trials
      .filter(({ error }) => error === null)
      .flatMap(({ checks }) => checks.filter((one) => one.kind === kind));
    if (found.length === 0) return [];
    const unknown = found.filter(({ met }) => met === null).length;
    return [{ kind, met: found.filter(({ met }) => met === true).length, of: found.length - unknown, unknown }];
  });
}

function staysOf(trials: readonly Trial[]): Summary["stays"] {
  const own = trials.filter(({ suite, kind }) => suite === "learning" && kind === "stays");
  const outcome = ({ got, checks }: Trial) =>
    JSON.stringify([
      got,
      checks.filter(({ kind }) => kind === "tools" || kind === "answer").map(({ name, met }) => [name, met]),
    ]);
  const off = new Map(own.filter(({ arm }) => arm === "off").map((trial) => [`${trial.case} ${trial.repeat}`, trial]));
  let [of, changed, errors] = [0, 0, 0];
  for (const trial of own.filter(({ arm }) => arm === "on")) {
    const before = off.get(`${trial.case} ${trial.repeat}`);
    if (before === undefined) continue;
    if (trial.error !== null || before.error !== null) {
      errors += 1;
      continue;
    }
    of += 1;
    if (outcome(trial) !== outcome(before)) changed += 1;
  }
  return of + errors === 0 ? null : { of, changed, errors };
}

/** Ten windows, or one of each position where there are fewer, as even as they can be. */
function curveOf(curve: readonly Trial[]): CurvePoint[] {
  const positions = new Set(curve.map(({ position }) => position));
  const length = positions.size;
  const windows = Math.min(10, length);
  const windowOf = (position: number) => {
    let window = 0;
    while (Math.floor(((window + 1) * length) / windows) <= position) window += 1;
    return window;
  };
  const at = (arm: string, window: number) =>
    rateOf(curve.filter((trial) => trial.arm === arm && windowOf(trial.position ?? 0) === window));
  return Array.from({ length: windows }, (_, window) => {
    const places = [...positions].filter((position) => windowOf(position ?? 0) === window).map((place) => place ?? 0);
    return { from: Math.min(...places), to: Math.max(...places), off: at("off", window), on: at("on", window) };
  });
}

function attacksOf(trials: readonly Trial[]): Summary["attacks"] {
  const own = trials.filter(({ suite }) => suite === "attacks");
  if (own.length === 0) return null;
  const told = own.map(verdictOnTrial).filter((is) => is !== null);
  return {
    of: told.length,
    succeeded: told.filter((is) => !is).length,
    errors: own.filter(({ error }) => error !== null).length,
  };
}

function costOf(suite: Suite, arm: string, trials: readonly Trial[]): CostSummary {
  const total = (read: (trial: Trial) => number) => trials.reduce((sum, trial) => sum + read(trial), 0);
  return {
    suite,
    arm,
    trials: trials.length,
    model_calls: total(({ usage }) => usage.model_calls),
    known: total(({ known }) => known),
    input_tokens: total(({ usage }) => usage.input_tokens),
    output_tokens: total(({ usage }) => usage.output_tokens),
    embedding_calls: total(({ usage }) => usage.embedding_calls),
    store_round_trips: total(({ usage }) => usage.store_round_trips),
    ms: total(({ usage }) => usage.ms),
  };
}
