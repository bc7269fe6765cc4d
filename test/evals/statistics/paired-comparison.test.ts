import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { comparePairs, type Pair, verdictOf } from "../../../src/evals/statistics/paired-comparison.ts";
import { createRandom } from "../../../src/evals/statistics/random.ts";

/** So many pairs of each outcome, each pair a group of its own unless a group is named. */
const pairs = (counts: { both?: number; a?: number; b?: number; neither?: number }, group?: string): Pair[] => {
  const outcomes: [number | undefined, boolean, boolean][] = [
    [counts.both, true, true],
    [counts.a, true, false],
    [counts.b, false, true],
    [counts.neither, false, false],
  ];
  return outcomes.flatMap(([count = 0, a, b], kind) =>
    Array.from({ length: count }, (_, i) => ({
      ...{ case: `${group}-${kind}-${i}`, group: group ?? `g${kind}-${i}` },
      ...{ a, b },
    })),
  );
};

const anyPairs = fc.array(
  fc.record({
    ...{ case: fc.constantFrom("1", "2", "3", "4", "5", "6", "7", "8", "9", "ä") },
    ...{ group: fc.constantFrom("a", "b", "c", "d", "e", "f", "g", "ä"), a: fc.boolean(), b: fc.boolean() },
  }),
  { maxLength: 40 },
);

describe("the numbers", () => {
  test("are those of the pairs, with an interval near the formula's where each pair is a group of its own (Agresti 2013, approval ratings)", () => {
    const found = comparePairs(pairs({ both: 794, a: 150, b: 86, neither: 570 }), 1);
    expect(found).toMatchObject({ pairs: 1600, groups: 1600, only_a: 150, only_b: 86, rate_a: 0.59, rate_b: 0.55 });
    expect(found.difference).toBeCloseTo(-0.04, 12);
    // Agresti gives 0.04 ± 1.96 (0.0095), which is (0.021, 0.059).
    expect(found.interval?.[0]).toBeCloseTo(-0.059, 2);
    expect(found.interval?.[1]).toBeCloseTo(-0.021, 2);
    expect(found.verdict).toBe("regressed");
  });

  test("of no pairs are null, and inconclusive", () => {
    expect(comparePairs([], 1)).toEqual({
      ...{ pairs: 0, groups: 0, only_a: 0, only_b: 0, rate_a: null, rate_b: null, difference: null },
      ...{ interval: null, p: null, smallest_effect: null, verdict: "inconclusive" },
    });
  });

  test("of one group have no interval, and are inconclusive, whatever McNemar's test says", () => {
    const found = comparePairs(pairs({ b: 20 }, "one"), 1);
    expect(found).toMatchObject({ groups: 1, difference: 1, interval: null, verdict: "inconclusive" });
    expect(found.p).toBeLessThan(0.001);
  });

  test("of pairs that never differ are an interval of zero, and p is 1", () => {
    const found = comparePairs(pairs({ both: 100, neither: 100 }), 1);
    expect(found).toMatchObject({ difference: 0, interval: [0, 0], p: 1 });
    expect(found.smallest_effect).toBeLessThan(0.05);
    expect(found.verdict).toBe("no effect detected");
  });

  test("have a wider interval where pairs come in groups that agree", () => {
    const grouped = Array.from({ length: 10 }, (_, g) => pairs(g < 6 ? { b: 10 } : { a: 10 }, `g${g}`)).flat();
    const alone = grouped.map((pair, i) => ({ ...pair, group: `p${i}` }));
    const width = ([low, high]: [number, number]) => high - low;
    const [wide, narrow] = [comparePairs(grouped, 1), comparePairs(alone, 1)];
    expect(width(wide.interval ?? [0, 0])).toBeGreaterThan(2 * width(narrow.interval ?? [0, 0]));
    expect([wide.groups, narrow.groups]).toEqual([10, 100]);
  });

  test("cover the truth about 95 times of 100, also where groups agree within", () => {
    let covered = 0;
    const runs = 200;
    const random = createRandom(42);
    for (let run = 0; run < runs; run += 1) {
      // 40 groups of three pairs that share a fate: the difference is 0.3 - 0.1 = 0.2.
      const drawn = Array.from({ length: 40 }, (_, g) => {
        const fate = random.below(10);
        return pairs(fate < 3 ? { b: 3 } : fate < 4 ? { a: 3 } : { both: 3 }, `g${g}`);
      }).flat();
      const [low, high] = comparePairs(drawn, run).interval ?? [1, 1];
      if (low <= 0.2 && 0.2 <= high) covered += 1;
    }
    // Binomial with a standard deviation of 0.016; percentile intervals of 40 groups cover a little less than they say.
    expect(covered / runs).toBeGreaterThan(0.89);
    expect(covered / runs).toBeLessThan(0.99);
  });

  test("are no surer where each case was only repeated", () => {
    const once = pairs({ both: 10, a: 2, b: 9, neither: 10 });
    const twice = comparePairs([...once, ...once], 1);
    const { pairs: _, ...same } = comparePairs(once, 1);
    expect(twice).toMatchObject({ ...same, pairs: 62 });
  });

  test("count a case once, for the arm that was right more often in its repeats", () => {
    const named = (name: string, ...outcomes: [boolean, boolean][]) =>
      outcomes.map(([a, b]): Pair => ({ case: name, group: name, a, b }));
    const found = comparePairs(
      [
        ...named("b wins", [false, true], [true, true], [false, true]),
        ...named("a wins", [true, false], [false, false]),
        ...named("drawn", [true, false], [false, true]),
      ],
      1,
    );
    expect(found).toMatchObject({ pairs: 7, groups: 3, only_a: 1, only_b: 1, p: 1 });
    expect(found.difference).toBeCloseTo(1 / 7, 12);
  });

  test("do not depend on the order of the pairs, and do on nothing but pairs and seed", () => {
    fc.assert(
      fc.property(anyPairs, fc.integer({ min: 0, max: 99 }), (given, seed) => {
        const found = comparePairs(given, seed);
        expect(comparePairs(given.toReversed(), seed)).toEqual(found);
        expect(comparePairs([...given.slice(3), ...given.slice(0, 3)], seed)).toEqual(found);
      }),
      { numRuns: 30 },
    );
  });

  test("change their sign, and nothing else, when the arms are exchanged", () => {
    fc.assert(
      fc.property(anyPairs, (given) => {
        const found = comparePairs(given, 5);
        const other = comparePairs(
          given.map(({ a, b, ...pair }) => ({ ...pair, a: b, b: a })),
          5,
        );
        const opposite = { improved: "regressed", regressed: "improved" } as const;
        const { verdict } = found;
        expect(other).toMatchObject({ p: found.p, only_a: found.only_b, rate_a: found.rate_b });
        expect(other.smallest_effect).toBe(found.smallest_effect);
        expect(other.verdict).toBe(verdict === "improved" || verdict === "regressed" ? opposite[verdict] : verdict);
        expect(other.interval === null).toBe(found.interval === null);
        expect(other.interval?.[0] ?? 0).toBeCloseTo(-(found.interval?.[1] ?? 0), 12);
        expect(other.interval?.[1] ?? 0).toBeCloseTo(-(found.interval?.[0] ?? 0), 12);
      }),
      { numRuns: 50 },
    );
  });

  test("have the difference in the interval or beside it by no more than a resample", () => {
    fc.assert(
      fc.property(anyPairs, (given) => {
        const { interval, difference } = comparePairs(given, 5);
        if (interval === null || difference === null) return;
        expect(interval[0]).toBeLessThanOrEqual(difference + 1e-12);
        expect(interval[1]).toBeGreaterThanOrEqual(difference - 1e-12);
      }),
      { numRuns: 50 },
    );
  });
});

describe("the verdict", () => {
  const seen = { groups: 50, interval: [0.02, 0.2] as [number, number], p: 0.01, smallest_effect: 0.1 };

  test.each([
    ["improved", "an interval above zero and p below 0.05", {}],
    ["regressed", "an interval below zero and p below 0.05", { interval: [-0.2, -0.02] }],
    ["inconclusive", "an interval that holds zero", { interval: [0, 0.2] }],
    ["inconclusive", "a p-value of 0.05 or more", { p: 0.05 }],
    ["inconclusive", "fewer than six groups", { groups: 5 }],
    [
      "no effect detected",
      "what is nothing, where five of a hundred would have been seen",
      { interval: [-0.02, 0.03], p: 0.6, smallest_effect: 0.05 },
    ],
    [
      "inconclusive",
      "what is nothing, where only more would have been seen",
      { interval: [-0.02, 0.03], p: 0.6, smallest_effect: 0.051 },
    ],
    [
      "inconclusive",
      "an interval that reaches further than five of a hundred",
      { interval: [-0.02, 0.06], p: 0.6, smallest_effect: 0.04 },
    ],
    ["inconclusive", "no interval", { interval: null }],
  ] as const)("is %s for %s", (verdict, _, changed) => {
    const { interval, ...rest } = { ...seen, ...changed };
    expect(verdictOf({ ...rest, interval: interval === null ? null : [interval[0], interval[1]] })).toBe(verdict);
  });
});
