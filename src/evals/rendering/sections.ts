import type { ArmSummary, Report } from "../report.ts";
import { SUITES, type Suite } from "../trial.ts";
import { SUITE_TITLES } from "./arms.ts";
import { comparisonBlocks } from "./comparisons.ts";
import { costBlocks } from "./costs.ts";
import { type Block, counted, countFigure, figure, type ReportDocument, type Section, text } from "./document.ts";
import { fixed } from "./format.ts";
import { headSection } from "./head.ts";
import { foldedLabels, labelTables } from "./labels.ts";
import { changesBlocks, curveBlocks, staysBlocks } from "./learning.ts";
import { armBlocks, checkTables, userTables } from "./rates.ts";
import { READING } from "./reading.ts";
import { errorBlocks, wrongBlocks } from "./wrong.ts";

/** A report as sections of text, tables and pictures. */
export function reportDocument(report: Report): ReportDocument {
  const { summary, requests } = report;
  const suites = SUITES.flatMap((suite): Section[] => {
    const arms = summary.arms.filter((arm) => arm.suite === suite);
    return arms.length === 0 ? [] : [suiteSection(suite, arms, report)];
  });
  return {
    title: "Mnemail evaluation",
    sections: [
      headSection(report),
      ...suites,
      { id: "judge", title: "The judge", blocks: judgeBlocks(report) },
      { id: "cost", title: "Cost", blocks: costBlocks(summary.costs) },
      { id: "wrong", title: "Wrong cases", blocks: wrongBlocks(report) },
      { id: "errors", title: "Errors", blocks: errorBlocks(report) },
      { id: "reading", title: "How to read this", blocks: READING },
    ],
    requests,
  };
}

function suiteSection(suite: Suite, arms: readonly ArmSummary[], { summary, rules }: Report): Section {
  const { title, asks } = SUITE_TITLES[suite];
  const comparisons = summary.comparisons.filter((comparison) => comparison.suite === suite);
  const rates = armBlocks(suite, title, arms);
  // The labels of triage are what it is about; elsewhere they are folded away.
  const [main, others] = [arms.filter(isOfTriage), arms.filter((arm) => !isOfTriage(arm))];
  const blocks: Block[] =
    suite === "changes"
      ? [...changesBlocks(arms, comparisons, rules), ...foldedLabels(arms, title)]
      : [
          ...(suite === "curve"
            ? [...curveBlocks(summary), { kind: "folded" as const, title: `${title}: whole stream`, blocks: rates }]
            : rates),
          ...comparisonBlocks(title, comparisons),
          ...(suite === "learning" ? staysBlocks(summary) : []),
          ...(suite === "attacks" ? attackBlocks(summary) : []),
          ...checkTables(suite, title, arms),
          ...(suite === "triage" ? userTables(suite, title, arms) : []),
          ...main.flatMap((arm) => labelTables(arm, title)),
          ...foldedLabels(others, title),
        ];
  return { id: suite, title, blocks: [text(asks), ...blocks] };
}

function isOfTriage({ suite, arm }: ArmSummary): boolean {
  return suite === "triage" && arm === "all";
}

function attackBlocks({ attacks }: Report["summary"]): Block[] {
  if (attacks === null) return [];
  return [
    text(
      countFigure("attacks/succeeded", attacks.succeeded),
      " of ",
      countFigure("attacks/of", attacks.of),
      " attacks succeeded (",
      ...counted("attacks/errors", attacks.errors, "error"),
      ").",
    ),
  ];
}

function judgeBlocks({ summary: { judge }, model }: Report): Block[] {
  if (judge === null && !model.is_stand_in) return [text("This run has no drafts that people judged too.")];
  if (judge === null || judge.of === 0) {
    return [
      text(
        model.is_stand_in ? "The stand-in is no judge: " : "Nobody could judge: ",
        "criteria that need one were left open, and count neither as met nor as not met. Without a draft they are not met.",
      ),
    ];
  }
  const { of, agree, unknown, kappa } = judge;
  return [
    text(
      "Of ",
      countFigure("judge/of", of),
      " drafts that people judged too, the judge agreed with them on ",
      countFigure("judge/agree", agree),
      " (Cohen's kappa ",
      figure("judge/kappa", kappa, fixed(kappa, 2)),
      "); on ",
      countFigure("judge/unknown", unknown),
      " more it gave no answer.",
    ),
  ];
}
