/** How well one label is given. A class without predictions has no precision, one without cases no recall. */
export interface ClassScore<L> {
  label: L;
  /** How many cases have it. */
  support: number;
  precision: number | null;
  recall: number | null;
  /** 2 TP / (2 TP + FP + FN): 0 where nothing is right, null where the label neither occurs nor is given. */
  f1: number | null;
}

/** The scores of each label in the order given, and `confusion[i][j]`: of label i, how many got label j. */
export interface LabelScores<L> {
  classes: ClassScore<L>[];
  /** The mean of the labels' F1, each counting as much as the others; labels without one are left out. */
  macro_f1: number | null;
  confusion: number[][];
}

/** Precision, recall, F1 and confusion of labels that were given, beside those expected. */
export function scoreLabels<L>(labels: readonly L[], given: readonly { expected: L; got: L }[]): LabelScores<L> {
  const count = (holds: (each: { expected: L; got: L }) => boolean) => given.filter(holds).length;
  const classes = labels.map((label): ClassScore<L> => {
    const right = count(({ expected, got }) => expected === label && got === label);
    const support = count(({ expected }) => expected === label);
    const predicted = count(({ got }) => got === label);
    return {
      label,
      support,
      precision: ratio(right, predicted),
      recall: ratio(right, support),
      f1: ratio(2 * right, support + predicted),
    };
  });
  const f1s = classes.flatMap(({ f1 }) => f1 ?? []);
  const sum = f1s.reduce((all, f1) => all + f1, 0);
  return {
    classes,
    macro_f1: ratio(sum, f1s.length),
    confusion: labels.map((i) => labels.map((j) => count(({ expected, got }) => expected === i && got === j))),
  };
}

function ratio(part: number, whole: number): number | null {
  return whole === 0 ? null : part / whole;
}
