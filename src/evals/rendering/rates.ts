import type { ArmSummary } from "../report.ts";
import type { Suite } from "../trial.ts";
import { describeArm } from "./arms.ts";
import {
  type Block,
  type Cell,
  cell,
  countFigure,
  figure,
  type Plot,
  type PlotPoint,
  RATE_COLUMNS,
  rateCells,
  type Table,
} from "./document.ts";
import { fixed, percent } from "./format.ts";

/** The rates of a suite's arms: a picture where there are several, and a table. */
export function armBlocks(suite: Suite, title: string, arms: readonly ArmSummary[]): Block[] {
  return [...(arms.length > 1 ? armPlots(title, arms) : []), armTable(suite, title, arms)];
}

function armPlots(title: string, arms: readonly ArmSummary[]): Plot[] {
  const rows = arms.flatMap(({ arm, rate: { rate, interval } }): PlotPoint[] =>
    rate === null || interval === null ? [] : [{ name: arm, value: rate, low: interval[0], high: interval[1] }],
  );
  if (rows.length === 0) return [];
  return [
    {
      kind: "plot",
      draws: "rates",
      title: `${title}: rate of each arm with its 95 % interval`,
      summary: rows.map(({ name, value }) => `${name} ${percent(value)}`).join(", "),
      rows,
    },
  ];
}

function armTable(suite: Suite, title: string, arms: readonly ArmSummary[]): Table {
  // A mean over labels says nothing where all cases have one and the same.
  const hasLabels = arms.some(({ labels }) => labels && labels.classes.filter(({ support }) => support > 0).length > 1);
  return {
    kind: "table",
    caption: `${title}: arms`,
    columns: [
      { title: "arm" },
      { title: "what it is" },
      ...RATE_COLUMNS,
      ...(hasLabels ? [{ title: "macro F1", numeric: true }] : []),
    ],
    rows: arms.map(({ arm, rate, labels }): Cell[] => [
      cell({ code: arm }),
      cell(describeArm(suite, arm)),
      ...rateCells(`arm/${suite}/${arm}`, rate),
      ...(hasLabels
        ? [cell(figure(`arm/${suite}/${arm}/macro_f1`, labels?.macro_f1 ?? null, fixed(labels?.macro_f1 ?? null, 3)))]
        : []),
    ]),
  };
}

/** The rates by user, where there is more than one. */
export function userTables(suite: Suite, title: string, arms: readonly ArmSummary[]): Table[] {
  const users = [...new Set(arms.flatMap((arm) => arm.users.map(({ user }) => user)))];
  if (users.length < 2) return [];
  return [
    {
      kind: "table",
      caption: `${title}: rate by user (right / of)`,
      columns: [{ title: "arm" }, ...users.map((user) => ({ title: user, numeric: true }))],
      rows: arms.map((arm): Cell[] => [
        cell({ code: arm.arm }),
        ...users.map((user) => {
          const rate = arm.users.find((one) => one.user === user)?.rate;
          const key = `arm/${suite}/${arm.arm}/user/${user}`;
          if (rate === undefined) return cell();
          return cell(
            figure(`${key}/rate`, rate.rate, percent(rate.rate)),
            " (",
            countFigure(`${key}/right`, rate.right),
            " / ",
            countFigure(`${key}/of`, rate.of),
            ")",
          );
        }),
      ]),
    },
  ];
}

const CHECK_KINDS: Record<string, string> = {
  tools: "tool calls",
  answer: "draft, by code",
  judge: "draft, by a judge",
};

/** What was checked, by kind, where a trial is more than one check. */
export function checkTables(suite: Suite, title: string, arms: readonly ArmSummary[]): Table[] {
  const kinds = [...new Set(arms.flatMap(({ checks }) => checks.map(({ kind }) => kind)))];
  if (kinds.length < 2) return [];
  return [
    {
      kind: "table",
      caption: `${title}: checks met / of, by kind`,
      columns: [{ title: "arm" }, ...kinds.map((kind) => ({ title: CHECK_KINDS[kind] ?? kind, numeric: true }))],
      rows: arms.map(({ arm, checks }): Cell[] => [
        cell({ code: arm }),
        ...kinds.map((kind) => {
          const found = checks.find((one) => one.kind === kind);
          if (found === undefined) return cell();
          const key = `arm/${suite}/${arm}/check/${kind}`;
          return cell(
            countFigure(`${key}/met`, found.met),
            " / ",
            countFigure(`${key}/of`, found.of),
            ...(found.unknown === 0 ? [] : [" (", countFigure(`${key}/unknown`, found.unknown), " open)"]),
          );
        }),
      ]),
    },
  ];
}
