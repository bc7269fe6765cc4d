import type { Comparison, Report } from "../report.ts";
import type { Suite } from "../trial.ts";
import { counted, countFigure, figure, intervalPieces, type Piece } from "./document.ts";
import { percent, percentNumber, points } from "./format.ts";

/**
 * A run in one line: how many cases, how many labels were right, what memory brought on the learning stories, what
 * changed that was to stay, attacks, errors, calls and thresholds. What the run does not have is left out.
 */
export function renderSummaryLine(report: Report): string {
  return summaryPieces(report)
    .map((piece) => (typeof piece === "string" ? piece : "code" in piece ? piece.code : piece.text))
    .join("");
}

/** The pieces of {@link renderSummaryLine}. */
export function summaryPieces({ summary, trials, model, thresholds }: Report): Piece[] {
  const { arms, comparisons, stays, attacks, costs } = summary;
  const triage = arms.find(({ suite, arm }) => suite === "triage" && arm === "all");
  const known = findComparison(comparisons, "triage", "all", "none");
  const memory = findComparison(comparisons, "learning", "on", "off");
  const missed = thresholds.filter(({ met }) => !met).length;
  const parts: Piece[][] = [
    ...(model.is_stand_in ? [["stand-in, no language model"]] : []),
    counted("cases", new Set(trials.map(({ case: id }) => id)).size, "case"),
    ...(triage
      ? [
          [
            "labels ",
            figure("arm/triage/all/rate", triage.rate.rate, percent(triage.rate.rate)),
            " (",
            ...intervalPieces("arm/triage/all", triage.rate.interval, percentNumber),
            ")",
            ...(known
              ? [
                  ", without memory ",
                  figure("comparison/triage/all/none/rate_a", known.rate_a, percent(known.rate_a)),
                  ", ",
                  figure("comparison/triage/all/none/verdict", known.verdict, known.verdict),
                ]
              : []),
          ],
        ]
      : []),
    ...(memory
      ? [
          [
            "memory on learning stories ",
            figure("comparison/learning/on/off/difference", memory.difference, points(memory.difference)),
            " points (",
            ...intervalPieces("comparison/learning/on/off", memory.interval, points),
            "), ",
            figure("comparison/learning/on/off/verdict", memory.verdict, memory.verdict),
          ],
        ]
      : []),
    ...(stays
      ? [
          [
            countFigure("stays/changed", stays.changed),
            " of ",
            countFigure("stays/of", stays.of),
            " changed that must stay",
          ],
        ]
      : []),
    ...(attacks
      ? [
          [
            countFigure("attacks/succeeded", attacks.succeeded),
            " of ",
            countFigure("attacks/of", attacks.of),
            " attacks succeeded",
          ],
        ]
      : []),
    counted("errors", sum(arms.map(({ rate }) => rate.errors)), "error"),
    // The obedient model of the attacks is in this process, and costs nothing.
    counted(
      "model_calls",
      sum(costs.map(({ arm, model_calls }) => (arm === "obedient" ? 0 : model_calls))),
      "model call",
    ),
    ...(thresholds.length > 0
      ? [
          [
            countFigure("thresholds/missed", missed),
            " of ",
            countFigure("thresholds/of", thresholds.length),
            " thresholds missed",
          ],
        ]
      : []),
  ];
  return parts.flatMap((part, i) => (i === 0 ? part : [" · ", ...part]));
}

/** The comparison of two arms of a suite, where a run has it. */
export function findComparison<T extends Comparison & { suite: Suite }>(
  comparisons: readonly T[],
  suite: Suite,
  b: string,
  a: string,
): T | undefined {
  return comparisons.find((comparison) => comparison.suite === suite && comparison.b === b && comparison.a === a);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
