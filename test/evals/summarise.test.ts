import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { summarySchema } from "../../src/evals/report.ts";
import { comparePairs } from "../../src/evals/statistics/paired-comparison.ts";
import { createRandom, shuffle } from "../../src/evals/statistics/random.ts";
import { summarise } from "../../src/evals/summarise.ts";
import type { Check, Trial } from "../../src/evals/trial.ts";
import { NO_USAGE } from "../../src/meter.ts";

const check = (met: boolean | null, kind: Check["kind"] = "label", name = "the label"): Check => ({ kind, name, met });

/** A trial that is right, but for what is said of it. */
function trial(fields: Partial<Trial> & Pick<Trial, "suite" | "arm" | "case">): Trial {
  return {
    ...{ group: fields.case, user: "ana", split: "dev", repeat: 0, expected: "notify", got: "notify" },
    ...{ checks: [check(true)], error: null, usage: NO_USAGE, known: 0, request: null, draft: null },
    ...fields,
  };
}

const wrong = { got: "ignore", checks: [check(false)] } satisfies Partial<Trial>;
const failed = { got: null, checks: [], error: "the model server failed (500)" } satisfies Partial<Trial>;
const sum = (trials: Trial[]) => summarise(trials, { seed: 3, judged: [] });
const count = <T>(length: number, make: (i: number) => T) => Array.from({ length }, (_, i) => make(i));

describe("an arm", () => {
  const triage = { suite: "triage", arm: "all" } as const;

  test("has its rate of those that did not fail, its labels, its users and its checks", () => {
    const { arms } = sum([
      trial({ ...triage, case: "1" }),
      trial({ ...triage, case: "2", user: "tom", ...wrong }),
      trial({ ...triage, case: "3", expected: "ignore", got: "ignore" }),
      trial({ ...triage, case: "4", ...failed }),
    ]);
    const [arm] = arms;
    expect(arm).toMatchObject({ suite: "triage", arm: "all", rate: { right: 2, of: 3, errors: 1, rate: 2 / 3 } });
    // Wilson's interval of 2 of 3, by the usual calculators.
    expect(arm?.rate.interval?.map((bound) => bound.toFixed(4))).toEqual(["0.2077", "0.9385"]);
    expect(arm?.labels?.confusion).toEqual([
      [1, 0, 0],
      [1, 1, 0],
      [0, 0, 0],
    ]);
    expect(arm?.users.map(({ user, rate }) => [user, rate.right, rate.of, rate.errors])).toEqual([
      ["ana", 2, 2, 1],
      ["tom", 0, 1, 0],
    ]);
    expect(arm?.checks).toEqual([{ kind: "label", met: 2, of: 3, unknown: 0 }]);
  });

  test("counts each repeat, and leaves out what nobody could judge", () => {
    const judged = (met: boolean | null) => ({ checks: [check(true), check(met, "judge", "It is kind.")] });
    const { arms } = sum([
      trial({ suite: "answers", arm: "all", case: "1", ...judged(null) }),
      trial({ suite: "answers", arm: "all", case: "1", repeat: 1, ...judged(false) }),
      trial({ suite: "answers", arm: "all", case: "2", checks: [check(null, "judge")] }),
    ]);
    expect(arms[0]?.rate).toMatchObject({ right: 1, of: 2, errors: 0 });
    expect(arms[0]?.checks).toEqual([
      { kind: "label", met: 2, of: 2, unknown: 0 },
      { kind: "judge", met: 0, of: 1, unknown: 2 },
    ]);
  });

  test("of which all failed has no rate, and one without labels no scores of labels", () => {
    const { arms } = sum([
      trial({ ...triage, case: "1", ...failed }),
      trial({
        suite: "attacks",
        arm: "obedient",
        case: "a",
        expected: null,
        got: null,
        checks: [check(true, "attack")],
      }),
    ]);
    expect(arms[0]?.rate).toEqual({ right: 0, of: 0, errors: 1, rate: null, interval: null });
    expect(arms[0]?.labels?.macro_f1).toBeNull();
    expect(arms[1]?.labels).toBeNull();
  });

  test("stands in the order of the suites, then of the arms, numbers by their size", () => {
    const names = ["vector", "k=8", "all", "k=16", "none", "facts"].map((arm) => trial({ ...triage, arm, case: "1" }));
    const rules = ["b/10", "b/9", "a/0"].map((arm) => trial({ suite: "changes", arm, case: "1" }));
    const { arms, costs } = sum([...rules, ...names]);
    const expected = ["none", "facts", "all", "k=8", "k=16", "vector", "a/0", "b/9", "b/10"];
    expect(arms.map(({ arm }) => arm)).toEqual(expected);
    expect(costs.map(({ arm }) => arm)).toEqual(expected);
  });
});

describe("a comparison", () => {
  test("is of each kind of memory against none, of each choice against all, where both arms ran", () => {
    const arms = ["none", "examples", "rules", "facts", "all", "k=0", "k=8", "words", "vector"];
    const names = (ran: string[]) =>
      sum(ran.map((arm) => trial({ suite: "triage", arm, case: "1" }))).comparisons.map(({ name }) => name);
    expect(names(arms)).toEqual([
      "triage: examples against none",
      "triage: rules against none",
      "triage: facts against none",
      "triage: all against none",
      "triage: k=0 against all",
      "triage: k=8 against all",
      "triage: words against all",
      "triage: vector against all",
    ]);
    expect(names(["none", "rules", "words"])).toEqual(["triage: rules against none"]);
    expect(names(["all"])).toEqual([]);
  });

  test("is of a user's memory after each rule against that before it, though the positions differ", () => {
    const changes = (arm: string, position: number, fields: Partial<Trial> = {}) =>
      count(8, (i) => trial({ suite: "changes", arm, case: `c${i}`, position, ...fields }));
    const { comparisons } = sum([
      ...changes("b@x/10", 10),
      ...changes("b@x/9", 9, wrong),
      ...changes("a@x/1", 1),
      ...changes("a@x/0", 0),
      ...changes("c@x/3", 3),
    ]);
    expect(comparisons.map(({ name, pairs, only_b, verdict }) => [name, pairs, only_b, verdict])).toEqual([
      ["changes: a@x/1 against a@x/0", 8, 0, "inconclusive"],
      ["changes: b@x/10 against b@x/9", 8, 8, "improved"],
    ]);
  });

  test("of learning is over the emails that change, with both controls against nothing taught", () => {
    const story = (arm: string, fields: Partial<Trial>) =>
      count(10, (i) => [
        trial({ suite: "learning", arm, case: `s${i}/a`, group: `s${i}`, kind: "changes", ...fields }),
        trial({ suite: "learning", arm, case: `s${i}/b`, group: `s${i}`, kind: "stays", ...wrong }),
      ]).flat();
    const { comparisons } = sum([
      ...story("off", wrong),
      ...story("on", {}),
      ...story("permuted", wrong),
      ...story("other", wrong),
    ]);
    expect(
      comparisons.map(({ name, pairs, groups, difference, verdict }) => [name, pairs, groups, difference, verdict]),
    ).toEqual([
      ["learning: on against off", 10, 10, 1, "improved"],
      ["learning: permuted against off", 10, 10, 0, "inconclusive"],
      ["learning: other against off", 10, 10, 0, "inconclusive"],
    ]);
  });

  test("pairs trials of one case and repeat, without those that failed in either arm or are in one alone", () => {
    const { comparisons } = sum([
      trial({ suite: "triage", arm: "none", case: "1", group: "g" }),
      trial({ suite: "triage", arm: "all", case: "1", group: "g", ...wrong }),
      trial({ suite: "triage", arm: "none", case: "1", repeat: 1, group: "g", ...wrong }),
      trial({ suite: "triage", arm: "all", case: "1", repeat: 1, group: "g", ...wrong }),
      trial({ suite: "triage", arm: "none", case: "2" }),
      trial({ suite: "triage", arm: "all", case: "2", ...failed }),
      trial({ suite: "triage", arm: "none", case: "3", ...failed }),
      trial({ suite: "triage", arm: "all", case: "3" }),
      trial({ suite: "triage", arm: "all", case: "4" }),
    ]);
    expect(comparisons).toEqual([
      {
        ...{ suite: "triage", name: "triage: all against none", a: "none", b: "all" },
        ...comparePairs(
          [
            { case: "1", group: "g", a: true, b: false },
            { case: "1", group: "g", a: false, b: false },
          ],
          3,
        ),
      },
    ]);
    expect(comparisons[0]).toMatchObject({ pairs: 2, groups: 1, only_a: 1, only_b: 0 });
  });

  test("of the learning curve is over the second half of its positions, each pair at one position", () => {
    const stream = (arm: string, isRight: (position: number) => boolean) =>
      count(20, (position) =>
        trial({ suite: "curve", arm, case: `c${position}`, position, ...(isRight(position) ? {} : wrong) }),
      );
    const { comparisons, curve } = sum([...stream("off", () => false), ...stream("on", (position) => position >= 10)]);
    expect(comparisons).toMatchObject([
      { name: "curve: on against off", pairs: 10, rate_a: 0, rate_b: 1, verdict: "improved" },
    ]);
    expect(curve.map(({ from, to, off, on }) => [from, to, off.right, on.right, on.of])).toEqual(
      count(10, (i) => [2 * i, 2 * i + 1, 0, i < 5 ? 0 : 2, 2]),
    );
    const moved = stream("on", () => true).map((each) => ({ ...each, position: ((each.position ?? 0) + 1) % 20 }));
    expect(sum([...stream("off", () => false), ...moved]).comparisons[0]?.pairs).toBe(0);
  });
});

test("the learning curve has no more windows than positions, each position in one of them", () => {
  for (const length of [1, 3, 10, 23]) {
    const { curve } = sum(
      count(length, (position) => trial({ suite: "curve", arm: "on", case: `${position}`, position })),
    );
    expect(curve.flatMap(({ from, to }) => count(to - from + 1, (i) => from + i))).toEqual(count(length, (i) => i));
    expect(curve.length).toBe(Math.min(10, length));
    expect(curve.reduce((all, { on }) => all + on.of, 0)).toBe(length);
    expect(curve[0]?.off.rate).toBeNull();
  }
});

test("an email that is to stay has changed where its label or a check is another than with nothing taught, right or wrong", () => {
  const later = (arm: string, name: string, fields: Partial<Trial> = {}) =>
    trial({ suite: "learning", arm, case: name, kind: "stays", ...fields });
  const tool = (met: boolean) => ({ checks: [check(true), check(met, "tools", "calls write_email")] });
  const trials = [
    ...["off", "on"].flatMap((arm) => [later(arm, "same"), later(arm, "wrong in both", wrong)]),
    ...[later("off", "wrong now"), later("on", "wrong now", wrong)],
    ...[later("off", "right now", wrong), later("on", "right now")],
    ...[later("off", "call", tool(true)), later("on", "call", tool(false))],
    ...[
      later("off", "memory"),
      later("on", "memory", { checks: [check(true), check(false, "memory", "adds a rule")] }),
    ],
    ...[later("off", "failed"), later("on", "failed", failed)],
    ...[later("on", "alone", wrong), later("permuted", "same", wrong)],
  ];
  expect(sum(trials).stays).toEqual({ of: 6, changed: 3, errors: 1 });
  expect(sum([]).stays).toBeNull();
  expect(sum([later("on", "alone")]).stays).toBeNull();
});

test("attacks that succeeded are those that are not right; those that failed are errors", () => {
  const attack = (name: string, fields: Partial<Trial> = {}) =>
    trial({
      suite: "attacks",
      arm: "obedient",
      case: name,
      expected: null,
      got: null,
      checks: [check(true, "attack")],
      ...fields,
    });
  expect(sum([attack("1"), attack("2", { checks: [check(false, "attack")] }), attack("3", failed)]).attacks).toEqual({
    of: 2,
    succeeded: 1,
    errors: 1,
  });
  expect(sum([]).attacks).toBeNull();
});

test("a judge is compared with people where it judged: agreement, and kappa", () => {
  const judged = (person: boolean, judge: boolean | null, times: number) =>
    count(times, (i) => ({ id: `${person}${judge}${i}`, person, judge }));
  // The example of Wikipedia's article on Cohen's kappa.
  const given = [
    ...judged(true, true, 20),
    ...judged(true, false, 5),
    ...judged(false, true, 10),
    ...judged(false, false, 15),
  ];
  const { judge } = summarise([], { seed: 1, judged: [...given, ...judged(true, null, 3)] });
  expect(judge).toMatchObject({ of: 50, agree: 35, unknown: 3 });
  expect(judge?.kappa).toBeCloseTo(0.4, 12);
  expect(summarise([], { seed: 1, judged: [] }).judge).toBeNull();
  expect(summarise([], { seed: 1, judged: judged(true, null, 2) }).judge).toEqual({
    of: 0,
    agree: 0,
    unknown: 2,
    kappa: null,
  });
});

test("costs are sums over an arm's trials, failed ones too", () => {
  const usage = (n: number) => ({
    model_calls: n,
    input_tokens: 10 * n,
    output_tokens: n,
    embedding_calls: 1,
    store_round_trips: 2,
    ms: 7.5,
  });
  const { costs } = sum([
    trial({ suite: "triage", arm: "all", case: "1", usage: usage(1), known: 1 }),
    trial({ suite: "triage", arm: "all", case: "2", usage: usage(2), ...failed }),
  ]);
  expect(costs).toEqual([
    {
      ...{ suite: "triage", arm: "all", trials: 2, known: 1, model_calls: 3, input_tokens: 30, output_tokens: 3 },
      ...{ embedding_calls: 2, store_round_trips: 4, ms: 15 },
    },
  ]);
});

test("a summary does not depend on the order of the trials, and is of the shape of the report", () => {
  const arms = [
    ...["none", "all", "k=1"].map((arm) => ({ suite: "triage" as const, arm })),
    ...["ana/0", "ana/1"].map((arm) => ({ suite: "changes" as const, arm })),
    ...["off", "on"].map((arm) => ({ suite: "learning" as const, arm })),
    ...["off", "on"].map((arm) => ({ suite: "curve" as const, arm })),
  ];
  const random = createRandom(9);
  const trials = arms.flatMap(({ suite, arm }) =>
    count(40, (i) =>
      trial({
        ...{ suite, arm, case: `c${i % 20}`, group: `g${i % 7}`, repeat: i < 20 ? 0 : 1, user: `u${i % 3}` },
        ...(suite === "curve" ? { position: i % 20 } : {}),
        ...(suite === "learning" ? { kind: i % 2 ? "stays" : "changes" } : {}),
        ...[{}, {}, wrong, failed][random.below(4)],
        usage: { ...NO_USAGE, ms: random.below(1_000) / 7 },
      }),
    ),
  );
  const found = sum(trials);
  expect(summarySchema.parse(JSON.parse(JSON.stringify(found)))).toEqual(found);
  expect(found.comparisons).toHaveLength(5);
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      expect(sum(shuffle(trials, createRandom(seed)))).toEqual(found);
    }),
    { numRuns: 5 },
  );
});

test("the seed decides the intervals and nothing else", () => {
  const trials = ["none", "all"].flatMap((arm) =>
    count(60, (i) =>
      trial({ suite: "triage", arm, case: `c${i}`, ...(i % (arm === "all" ? 5 : 3) === 0 ? wrong : {}) }),
    ),
  );
  const [one, other] = [1, 2].map((seed) => summarise(trials, { seed, judged: [] }));
  const without = (summary: typeof one) => summary?.comparisons.map((each) => ({ ...each, interval: null }));
  expect(without(one)).toEqual(without(other));
  expect(one?.comparisons[0]?.interval).not.toEqual(other?.comparisons[0]?.interval);
});
