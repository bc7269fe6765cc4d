import fc from "fast-check";
import { expect, test } from "vitest";
import { rankByVector } from "../../src/store/ranking.ts";
import { RowVectors } from "../../src/store/row-vectors.ts";

interface TestRow {
  version: number;
  vectors: Float32Array[];
}

const rowsOf = (rows: Record<string, number[][]>, version = 1) =>
  new Map(
    Object.entries(rows).map(([key, vectors]): [string, TestRow] => [
      key,
      { version, vectors: vectors.map((each) => Float32Array.from(each)) },
    ]),
  );
const query = Float32Array.of(1, 0);

function openVectors(limits: { limitBytes?: number; limitRows?: number } = {}) {
  const held = new RowVectors<TestRow>(limits);
  let asked: TestRow[] = [];
  const access = {
    versionOf: ({ version }: TestRow) => version,
    vectorsOf: (row: TestRow) => {
      asked.push(row);
      return row.vectors;
    },
  };
  return (id: string, rows: ReadonlyMap<string, TestRow>, found = rows, limit = 10, near = query) => {
    asked = [];
    const keys = held.nearest({ id, rows, found, query: near, limit }, access).map(({ key }) => key);
    return { keys, asked: asked.length };
  };
}

test("vectors are asked for where they are new, and rank as rows are now", () => {
  const nearest = openVectors();
  const rows = rowsOf({
    a: [[1, 0]],
    b: [[1, 1]],
    c: [
      [0, 1],
      [1, 0.1],
    ],
    none: [],
  });
  expect(nearest("s", rows)).toEqual({ keys: ["a", "c", "b"], asked: 4 });
  expect(nearest("s", rows, rowsOf({ b: [], c: [] }), 1)).toEqual({ keys: ["c"], asked: 0 });
  const changed = new Map([...rows, ...rowsOf({ b: [[1, 0.01]], c: [[0, 1]] }, 2)]);
  changed.delete("a");
  expect(nearest("s", changed)).toEqual({ keys: ["b", "c"], asked: 2 });
  expect(nearest("t", rows)).toEqual({ keys: ["a", "c", "b"], asked: 4 });
  expect(nearest("s", changed)).toEqual({ keys: ["b", "c"], asked: 0 });
});

test("vectors of another length are not compared, nor is anything held of them", () => {
  const nearest = openVectors();
  const rows = rowsOf({ a: [[1, 0]], b: [[1, 0, 0]] });
  expect(nearest("s", rows).keys).toEqual(["a"]);
  expect(nearest("s", rows, rows, 10, Float32Array.of(1, 0, 0)).keys).toEqual(["b"]);
  expect(nearest("s", rows).keys).toEqual(["a"]);
});

test("sets of rows that were searched last are held, up to a number of rows", () => {
  const nearest = openVectors({ limitRows: 4 });
  const rows = rowsOf({ a: [[1, 0]], b: [[1, 1]] });
  for (const id of ["s", "t", "u"]) expect(nearest(id, rows).asked).toBe(2);
  expect(["u", "t"].map((id) => nearest(id, rows).asked)).toEqual([0, 0]);
  expect(nearest("s", rows)).toEqual({ keys: ["a", "b"], asked: 2 });
  expect(["t", "u"].map((id) => nearest(id, rows).asked)).toEqual([0, 2]);
});

test("whatever changes, they rank as all rows compared one by one, with room for all, for some or for none", () => {
  const numbers = fc.integer({ min: -3, max: 3 });
  const vector = fc.tuple(numbers, numbers).map((each) => Float32Array.from(each));
  const change = fc.record({
    id: fc.constantFrom("s", "t"),
    key: fc.integer({ min: 0, max: 40 }).map(String),
    vectors: fc.option(fc.array(vector, { maxLength: 2 })),
  });
  fc.assert(
    fc.property(
      fc.array(change, { minLength: 50, maxLength: 150, size: "max" }),
      fc.constantFrom(1_000_000, 5_000, 3_000, 0),
      fc.constantFrom(1_000, 20),
      (changes, limitBytes, limitRows) => {
        const nearest = openVectors({ limitBytes, limitRows });
        const sets = new Map([..."st"].map((id) => [id, new Map<string, TestRow>()]));
        for (const [version, { id, key, vectors }] of changes.entries()) {
          const rows = sets.get(id) ?? new Map<string, TestRow>();
          if (vectors) rows.set(key, { version, vectors });
          else rows.delete(key);
          const near = Float32Array.of(1, 0.5);
          const expected = rankByVector(new Map([...rows].map(([name, row]) => [name, row.vectors])), near);
          const { keys } = nearest(id, rows, rows, Number.POSITIVE_INFINITY, near);
          // Of equal scores, rounding decides: sums of float32 and of doubles.
          const scoreOf = new Map(expected.map(({ key: name, score }) => [name, Math.round(score * 1e4)]));
          expect([...keys].sort()).toEqual([...scoreOf.keys()].sort());
          expect(keys.map((name) => scoreOf.get(name))).toEqual([...scoreOf.values()]);
        }
      },
    ),
    { numRuns: 60 },
  );
});
