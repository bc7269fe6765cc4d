import { oneLine } from "../../email.ts";
import type { Report } from "../report.ts";
import { isRight, type Trial } from "../trial.ts";
import { bySuite, isMainArm } from "./arms.ts";
import { type Block, type Cell, cell, countFigure, text, type WrongGroup } from "./document.ts";

/** The wrong trials, by suite and arm in the order of the summary; within one, by case. */
export function wrongBlocks({ trials, summary }: Report): Block[] {
  const groups = summary.arms.flatMap(({ suite, arm }): WrongGroup[] => {
    const wrong = trials.filter((trial) => trial.suite === suite && trial.arm === arm && isRight(trial) === false);
    return wrong.length === 0 ? [] : [{ suite, arm, trials: wrong.sort(byCase), isMain: isMainArm(suite, arm) }];
  });
  if (groups.length === 0) return [text("None.")];
  return [{ kind: "wrong", groups: groups.sort((a, b) => Number(b.isMain) - Number(a.isMain) || bySuite(a, b)) }];
}

function byCase(a: Trial, b: Trial): number {
  return compareText(a.case, b.case) || a.repeat - b.repeat || (a.position ?? 0) - (b.position ?? 0);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** What failed, by message: errors are neither right nor wrong. */
export function errorBlocks({ trials }: Report): Block[] {
  const failed = trials.filter(({ error }) => error !== null).sort((a, b) => bySuite(a, b) || byCase(a, b));
  if (failed.length === 0) return [text("None.")];
  const byMessage = new Map<string, Trial[]>();
  for (const trial of failed) {
    const key = JSON.stringify([trial.suite, trial.arm, oneLine(trial.error ?? "")]);
    byMessage.set(key, [...(byMessage.get(key) ?? []), trial]);
  }
  return [
    {
      kind: "table",
      caption: "Trials without a result: neither right nor wrong",
      columns: [
        { title: "suite" },
        { title: "arm" },
        { title: "error" },
        { title: "trials", numeric: true },
        { title: "cases" },
      ],
      rows: [...byMessage].map(([key, group]): Cell[] => {
        const { suite, arm, error } = group[0] ?? { suite: "", arm: "", error: "" };
        const cases = [...new Set(group.map((trial) => trial.case))];
        const more = cases.length - CASES_NAMED;
        return [
          cell(suite),
          cell({ code: arm }),
          cell(oneLine(error ?? "")),
          cell(countFigure(`error/${key}`, group.length)),
          cell(cases.slice(0, CASES_NAMED).join(", "), more > 0 ? ` and ${more} more` : ""),
        ];
      }),
    },
  ];
}

const CASES_NAMED = 10;
