import fc from "fast-check";
import { expect, test } from "vitest";
import { cohenKappa } from "../../../src/evals/statistics/kappa.ts";

/** The judgements that a table counts: rows are the first judge's, columns the second's. */
const fromTable = (table: number[][]) =>
  table.flatMap((row, one) =>
    row.flatMap((count, other) => Array.from({ length: count }, () => [one, other] as const)),
  );

test("50 grant proposals, 20 and 15 agreed, 5 and 10 not: kappa = 0.40 (the example of Wikipedia's article on Cohen's kappa)", () => {
  expect(
    cohenKappa(
      fromTable([
        [20, 5],
        [10, 15],
      ]),
    ),
  ).toBeCloseTo(0.4, 12);
});

test("the skin condition of 88 patients, four grades: kappa = 0.3449 (SAS/STAT, PROC FREQ, Agreement Study)", () => {
  const table = [
    [10, 4, 1, 0],
    [5, 10, 12, 2],
    [2, 4, 12, 5],
    [0, 2, 6, 13],
  ];
  expect(cohenKappa(fromTable(table))).toBeCloseTo(0.3449, 4);
});

test("149 patients of Winnipeg, two neurologists, four classes: kappa = 0.208 (Landis and Koch 1977)", () => {
  const table = [
    [38, 5, 0, 1],
    [33, 11, 3, 0],
    [10, 14, 5, 6],
    [3, 7, 3, 10],
  ];
  expect(cohenKappa(fromTable(table))).toBeCloseTo(0.208, 3);
});

test("full agreement is 1, agreement as often as by chance 0", () => {
  expect(
    cohenKappa([
      [true, true],
      [false, false],
    ]),
  ).toBe(1);
  expect(
    cohenKappa([
      [true, true],
      [true, false],
      [false, true],
      [false, false],
    ]),
  ).toBe(0);
});

test("there is none without judgements, or where both always say the same word", () => {
  expect(cohenKappa([])).toBeNull();
  expect(
    cohenKappa([
      [true, true],
      [true, true],
    ]),
  ).toBeNull();
});

test("kappa is the same for the judges exchanged and for any order, and at most 1", () => {
  const judgements = fc.array(fc.tuple(fc.boolean(), fc.boolean()));
  fc.assert(
    fc.property(judgements, (given) => {
      const kappa = cohenKappa(given);
      expect(cohenKappa(given.map(([one, other]) => [other, one] as const))).toBe(kappa);
      expect(cohenKappa(given.toReversed())).toBe(kappa);
      if (kappa !== null) expect(kappa).toBeLessThanOrEqual(1);
    }),
  );
});
