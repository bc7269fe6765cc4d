import type { Comparison } from "../report.ts";
import type { Suite } from "../trial.ts";
import {
  type Block,
  type Cell,
  cell,
  countFigure,
  figure,
  intervalCell,
  type Plot,
  type PlotPoint,
  type Table,
  type Tone,
} from "./document.ts";
import { percent, points, pValue } from "./format.ts";

/** A comparison and the suite it is of. */
export type SuiteComparison = Comparison & { suite: Suite };

const TONES: Record<Comparison["verdict"], Tone> = {
  improved: "good",
  regressed: "bad",
  "no effect detected": "muted",
  inconclusive: "muted",
};

/** Comparisons of arms: a picture of the differences, and a table. */
export function comparisonBlocks(title: string, comparisons: readonly SuiteComparison[]): Block[] {
  if (comparisons.length === 0) return [];
  return [...(comparisons.length > 1 ? differencePlots(title, comparisons) : []), comparisonTable(title, comparisons)];
}

function differencePlots(title: string, comparisons: readonly SuiteComparison[]): Plot[] {
  const rows = comparisons.flatMap(({ a, b, difference, interval, verdict }): PlotPoint[] =>
    difference === null || interval === null
      ? []
      : [{ name: `${b} − ${a}`, value: difference, low: interval[0], high: interval[1], tone: TONES[verdict] }],
  );
  if (rows.length === 0) return [];
  return [
    {
      kind: "plot",
      draws: "differences",
      title: `${title}: difference in points with its 95 % interval`,
      summary: rows.map(({ name, value }) => `${name} ${points(value)}`).join(", "),
      rows,
    },
  ];
}

function comparisonTable(title: string, comparisons: readonly SuiteComparison[]): Table {
  return {
    kind: "table",
    caption: `${title}: comparisons`,
    columns: [
      { title: "arm against arm" },
      { title: "verdict" },
      { title: "points", numeric: true },
      { title: "95 % interval", numeric: true },
      { title: "rates", numeric: true },
      { title: "only one right", numeric: true },
      { title: "p", numeric: true },
      { title: "pairs (groups)", numeric: true },
      { title: "smallest effect", numeric: true },
    ],
    rows: comparisons.map((comparison): Cell[] => {
      const { a, b } = comparison;
      const key = comparisonKey(comparison);
      return [
        cell({ code: b }, " against ", { code: a }),
        verdictCell(comparison),
        differenceCell(comparison),
        intervalCell(key, comparison.interval, points),
        cell(
          figure(`${key}/rate_a`, comparison.rate_a, percent(comparison.rate_a)),
          " → ",
          figure(`${key}/rate_b`, comparison.rate_b, percent(comparison.rate_b)),
        ),
        cell(countFigure(`${key}/only_a`, comparison.only_a), " : ", countFigure(`${key}/only_b`, comparison.only_b)),
        pCell(comparison),
        cell(countFigure(`${key}/pairs`, comparison.pairs), " (", countFigure(`${key}/groups`, comparison.groups), ")"),
        smallestEffectCell(comparison),
      ];
    }),
  };
}

/** What the keys of a comparison's numbers begin with. */
export function comparisonKey({ suite, a, b }: SuiteComparison): string {
  return `comparison/${suite}/${b}/${a}`;
}

/** The verdict word. */
export function verdictCell(comparison: SuiteComparison): Cell {
  const { verdict } = comparison;
  return { ...cell(figure(`${comparisonKey(comparison)}/verdict`, verdict, verdict)), tone: TONES[verdict] };
}

/** The difference in points. */
export function differenceCell(comparison: SuiteComparison): Cell {
  return cell(figure(`${comparisonKey(comparison)}/difference`, comparison.difference, points(comparison.difference)));
}

/** The p value. */
export function pCell(comparison: SuiteComparison): Cell {
  return cell(figure(`${comparisonKey(comparison)}/p`, comparison.p, pValue(comparison.p)));
}

/** The smallest difference that the pairs would have shown, in points. */
export function smallestEffectCell(comparison: SuiteComparison): Cell {
  const { smallest_effect: effect } = comparison;
  return cell(figure(`${comparisonKey(comparison)}/smallest_effect`, effect, points(effect).replace("+", "")));
}
