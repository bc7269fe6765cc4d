import fc from "fast-check";
import { expect, test } from "vitest";
import { assign } from "../../../src/evals/scorers/assignment.ts";

/** The smallest sum over every way to assign as many rows as can be. */
function smallest(costs: readonly (readonly number[])[], taken: readonly number[] = []): number {
  const [row, ...rest] = costs;
  if (!row) return 0;
  const sums = row.flatMap((cost, j) => (taken.includes(j) ? [] : [cost + smallest(rest, [...taken, j])]));
  const canSkip = costs.length > row.length - taken.length;
  return Math.min(...sums, ...(canSkip ? [smallest(rest, taken)] : []));
}

test("the sum of the costs is the smallest of all ways, and no column is taken twice", () => {
  const matrix = fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 0, max: 5 })).chain(([rows, columns]) =>
    fc.array(fc.array(fc.integer({ min: 0, max: 20 }), { minLength: columns, maxLength: columns }), {
      minLength: rows,
      maxLength: rows,
    }),
  );
  fc.assert(
    fc.property(matrix, (costs) => {
      const columns = assign(costs);
      const found = columns.flatMap((column) => column ?? []);
      expect(columns.length).toBe(costs.length);
      expect(new Set(found).size).toBe(found.length);
      expect(found.length).toBe(Math.min(costs.length, costs[0]?.length ?? 0));
      const sum = columns.reduce<number>((all, column, row) => all + (costs[row]?.[column ?? -1] ?? 0), 0);
      expect(sum).toBe(smallest(costs));
    }),
    { numRuns: 500 },
  );
});

test("of nothing there is nothing to assign", () => {
  expect(assign([])).toEqual([]);
  expect(assign([[], []])).toEqual([null, null]);
});
