import type { ArmSummary, LabelSummary } from "../report.ts";
import { type Block, type Cell, cell, countFigure, figure, type Table } from "./document.ts";
import { percent } from "./format.ts";

/** How an arm gave labels: precision, recall and F1 of each, and the confusion matrix. */
export function labelTables({ suite, arm, labels }: ArmSummary, title: string): Table[] {
  if (labels === null) return [];
  const key = `arm/${suite}/${arm}`;
  return [classTable(key, `${title}, ${arm}`, labels), confusionTable(key, `${title}, ${arm}`, labels)];
}

/** The same of several arms, folded away. */
export function foldedLabels(arms: readonly ArmSummary[], title: string): Block[] {
  const blocks = arms.flatMap((arm) => labelTables(arm, title));
  return blocks.length === 0 ? [] : [{ kind: "folded", title: `${title}: labels and confusion by arm`, blocks }];
}

function classTable(key: string, title: string, { classes }: LabelSummary): Table {
  return {
    kind: "table",
    caption: `${title}: labels`,
    columns: [
      { title: "label" },
      ...["cases", "precision", "recall", "F1"].map((name) => ({ title: name, numeric: true })),
    ],
    rows: classes.map(({ label, support, precision, recall, f1 }): Cell[] => [
      cell(label),
      cell(countFigure(`${key}/label/${label}/support`, support)),
      ...Object.entries({ precision, recall, f1 }).map(([name, value]) =>
        cell(figure(`${key}/label/${label}/${name}`, value, percent(value))),
      ),
    ]),
  };
}

/** Cells are shaded by the share of their row, which is a label's cases; what is right lies on the diagonal. */
function confusionTable(key: string, title: string, { classes, confusion }: LabelSummary): Table {
  const names = classes.map(({ label }) => label);
  return {
    kind: "table",
    caption: `${title}: confusion`,
    columns: [{ title: "expected" }, ...names.map((name) => ({ title: `got ${name}`, numeric: true }))],
    rows: names.map((expected, i): Cell[] => {
      const row = confusion[i] ?? [];
      const total = row.reduce((sum, value) => sum + value, 0);
      return [
        cell(expected),
        ...names.map((got, j) => {
          const value = row[j] ?? 0;
          return {
            ...cell(countFigure(`${key}/confusion/${expected}/${got}`, value)),
            shade: total === 0 ? 0 : value / total,
          };
        }),
      ];
    }),
  };
}
