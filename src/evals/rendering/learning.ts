import type { ArmSummary, Report, Summary } from "../report.ts";
import {
  comparisonKey,
  differenceCell,
  pCell,
  type SuiteComparison,
  smallestEffectCell,
  verdictCell,
} from "./comparisons.ts";
import {
  type Block,
  type Cell,
  cell,
  counted,
  countFigure,
  intervalCell,
  type PlotLine,
  RATE_COLUMNS,
  rateCells,
  type Table,
  text,
} from "./document.ts";
import { percent, points } from "./format.ts";

/** How many of the later emails that must stay as they were did not. */
export function staysBlocks({ stays }: Summary): Block[] {
  if (stays === null) return [];
  return [
    text(
      "Of the later emails that must stay as they were, ",
      countFigure("stays/changed", stays.changed),
      " of ",
      countFigure("stays/of", stays.of),
      " came out otherwise than with nothing taught, by label, tool calls or checks of the draft (",
      ...counted("stays/errors", stays.errors, "error"),
      ").",
    ),
  ];
}

/** The learning curve: memory on and off by how many emails have come. */
export function curveBlocks({ curve }: Summary): Block[] {
  if (curve.length === 0) return [];
  const middle = (from: number, to: number) => (from + to) / 2 + 1;
  const lines = (["on", "off"] as const).map(
    (name): PlotLine => ({
      name,
      points: curve.flatMap(({ from, to, [name]: { rate, interval } }) =>
        rate === null || interval === null
          ? []
          : [{ at: middle(from, to), value: rate, low: interval[0], high: interval[1] }],
      ),
    }),
  );
  const table: Table = {
    kind: "table",
    caption: "Learning curve: rate by place in the stream",
    columns: [
      { title: "emails" },
      ...["on", "off"].flatMap((name) =>
        RATE_COLUMNS.map((column) => ({ ...column, title: `${name}: ${column.title}` })),
      ),
    ],
    rows: curve.map(({ from, to, on, off }): Cell[] => [
      cell(from === to ? String(from + 1) : `${from + 1} to ${to + 1}`),
      ...rateCells(`curve/${from}-${to}/on`, on),
      ...rateCells(`curve/${from}-${to}/off`, off),
    ]),
  };
  return [
    {
      kind: "plot",
      draws: "lines",
      title: "Rate over the stream with corrections (on) and without (off), each with its 95 % band",
      summary: lines
        .map(({ name, points: [first, ...rest] }) => {
          const last = rest.at(-1) ?? first;
          return `${name} from ${percent(first?.value ?? null)} to ${percent(last?.value ?? null)}`;
        })
        .join(", "),
      lines,
      x: "emails so far",
    },
    table,
  ];
}

/** Each user's memory rule by rule, each step against the one before. */
export function changesBlocks(
  arms: readonly ArmSummary[],
  comparisons: readonly SuiteComparison[],
  rules: Report["rules"],
): Block[] {
  const steps = arms.map((summary) => ({ ...stepOf(summary.arm), rate: summary.rate }));
  const users = [...new Set(steps.map(({ user }) => user))];
  const plots = users.map((user): Block => {
    const points = steps
      .filter((step) => step.user === user)
      .sort((a, b) => a.rules - b.rules)
      .flatMap(({ rules, rate: { rate, interval } }) =>
        rate === null || interval === null ? [] : [{ at: rules, value: rate, low: interval[0], high: interval[1] }],
      );
    return {
      kind: "plot",
      draws: "lines",
      title: `${user}: rate by how many rules memory has, with its 95 % band`,
      summary: points.map(({ at, value }) => `${at}: ${percent(value)}`).join(", "),
      lines: [{ name: user, points }],
      x: "rules",
    };
  });
  return [...plots, changesTable(arms, comparisons, rules)];
}

function changesTable(
  arms: readonly ArmSummary[],
  comparisons: readonly SuiteComparison[],
  rules: Report["rules"],
): Table {
  return {
    kind: "table",
    caption: "Each rule against the state before it",
    columns: [
      { title: "user / rules" },
      { title: "the rule that is new" },
      ...RATE_COLUMNS,
      { title: "verdict" },
      { title: "points", numeric: true },
      { title: "interval of points", numeric: true },
      { title: "p", numeric: true },
      { title: "smallest effect", numeric: true },
    ],
    rows: arms.map(({ suite, arm, rate }): Cell[] => {
      const step = comparisons.find(({ b }) => b === arm);
      return [
        cell({ code: arm }),
        cell(rules[arm] ?? "none yet"),
        ...rateCells(`arm/${suite}/${arm}`, rate),
        ...(step === undefined
          ? [cell(), cell(), cell(), cell(), cell()]
          : [
              verdictCell(step),
              differenceCell(step),
              intervalCell(comparisonKey(step), step.interval, points),
              pCell(step),
              smallestEffectCell(step),
            ]),
      ];
    }),
  };
}

function stepOf(arm: string): { user: string; rules: number } {
  const end = arm.lastIndexOf("/");
  return { user: arm.slice(0, Math.max(0, end)), rules: Number(arm.slice(end + 1)) };
}
