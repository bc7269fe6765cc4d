import fc from "fast-check";
import { expect, test } from "vitest";
import { scoreLabels } from "../../../src/evals/statistics/label-scores.ts";

const zip = (expected: number[], got: number[]) =>
  expected.flatMap((each, i) => {
    const other = got[i];
    return other === undefined ? [] : [{ expected: each, got: other }];
  });
const rounded = (value: number | null, digits: number) => (value === null ? null : Number(value.toFixed(digits)));

test("F1 of three classes: 0.8, 0 and 0, macro 0.27; macro precision 0.22, recall 0.33 (scikit-learn, f1_score, precision_score, recall_score)", () => {
  const { classes, macro_f1 } = scoreLabels([0, 1, 2], zip([0, 1, 2, 0, 1, 2], [0, 2, 1, 0, 0, 1]));
  expect(classes.map(({ f1 }) => rounded(f1, 10))).toEqual([0.8, 0, 0]);
  expect(rounded(macro_f1, 2)).toBe(0.27);
  const mean = (values: (number | null)[]) => values.reduce<number>((sum, value) => sum + (value ?? 0), 0) / 3;
  expect(rounded(mean(classes.map(({ precision }) => precision)), 2)).toBe(0.22);
  expect(rounded(mean(classes.map(({ recall }) => recall)), 2)).toBe(0.33);
});

test("precision, recall, F1 and support of scikit-learn's classification_report", () => {
  const { classes, macro_f1 } = scoreLabels([0, 1, 2], zip([0, 1, 2, 2, 2], [0, 0, 2, 2, 1]));
  expect(classes.map(({ support }) => support)).toEqual([1, 1, 3]);
  expect(classes.map(({ precision, recall, f1 }) => [precision, recall, f1].map((each) => rounded(each, 2)))).toEqual([
    [0.5, 1, 0.67],
    [0, 0, 0],
    [1, 0.67, 0.8],
  ]);
  expect(rounded(macro_f1, 2)).toBe(0.49);
});

test("rows of the confusion are what was expected, columns what was given (scikit-learn, confusion_matrix)", () => {
  const { confusion } = scoreLabels([0, 1, 2], zip([2, 0, 2, 2, 0, 1], [0, 0, 2, 2, 0, 2]));
  expect(confusion).toEqual([
    [2, 0, 0],
    [0, 0, 1],
    [1, 0, 2],
  ]);
});

test("a label that is never given has no precision, one that never occurs no recall; one of neither has no F1 and is not in the mean", () => {
  const { classes, macro_f1 } = scoreLabels([0, 1, 2, 3], zip([0, 1], [0, 2]));
  expect(classes).toEqual([
    { label: 0, support: 1, precision: 1, recall: 1, f1: 1 },
    { label: 1, support: 1, precision: null, recall: 0, f1: 0 },
    { label: 2, support: 0, precision: 0, recall: null, f1: 0 },
    { label: 3, support: 0, precision: null, recall: null, f1: null },
  ]);
  expect(macro_f1).toBeCloseTo(1 / 3, 12);
  expect(scoreLabels([0, 1], []).macro_f1).toBeNull();
});

test("F1 is the harmonic mean of precision and recall, and the confusion counts each case once", () => {
  const label = fc.integer({ min: 0, max: 2 });
  fc.assert(
    fc.property(fc.array(fc.record({ expected: label, got: label })), (given) => {
      const { classes, confusion } = scoreLabels([0, 1, 2], given);
      expect(confusion.flat().reduce((sum, count) => sum + count, 0)).toBe(given.length);
      for (const { precision, recall, f1 } of classes) {
        if (precision && recall) expect(f1).toBeCloseTo((2 * precision * recall) / (precision + recall), 12);
      }
    }),
  );
});
