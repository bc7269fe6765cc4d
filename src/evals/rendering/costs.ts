import type { CostSummary } from "../report.ts";
import { type Block, type Cell, type Column, cell, countFigure, figure, type Table } from "./document.ts";
import { count, fixed } from "./format.ts";

const PER_EMAIL = [
  { name: "model_calls", title: "calls", decimals: 2 },
  { name: "input_tokens", title: "tokens in", decimals: 0 },
  { name: "output_tokens", title: "tokens out", decimals: 0 },
  { name: "embedding_calls", title: "embeddings", decimals: 2 },
  { name: "store_round_trips", title: "round trips", decimals: 2 },
  { name: "ms", title: "ms", decimals: 0, volatile: true },
] as const;

const COLUMNS: Column[] = [
  { title: "suite" },
  { title: "arm" },
  { title: "emails", numeric: true },
  ...PER_EMAIL.map(({ title, ...rest }) => ({ title, numeric: true, volatile: "volatile" in rest })),
  { title: "all calls", numeric: true },
  { title: "of them known", numeric: true, volatile: true },
];

/** What the arms cost. The many of `changes`, which cost alike, are folded away. */
export function costBlocks(costs: readonly CostSummary[]): Block[] {
  const isFolded = ({ suite }: CostSummary) => suite === "changes";
  const folded = costs.filter(isFolded);
  return [
    table(
      "Cost per email; calls that were known were answered by an earlier run",
      costs.filter((cost) => !isFolded(cost)),
    ),
    ...(folded.length === 0
      ? []
      : ([
          {
            kind: "folded",
            title: "The arms of changes",
            blocks: [table("Cost per email of the arms of changes", folded)],
          },
        ] satisfies Block[])),
  ];
}

function table(caption: string, costs: readonly CostSummary[]): Table {
  return {
    kind: "table",
    caption,
    columns: COLUMNS,
    rows: costs.map((cost): Cell[] => {
      const key = `cost/${cost.suite}/${cost.arm}`;
      return [
        cell(cost.suite),
        cell({ code: cost.arm }),
        cell(countFigure(`${key}/trials`, cost.trials)),
        ...PER_EMAIL.map(({ name, decimals }) => {
          const value = cost.trials === 0 ? null : cost[name] / cost.trials;
          return cell(
            figure(`${key}/${name}`, value, value !== null && decimals === 0 ? count(value) : fixed(value, decimals)),
          );
        }),
        cell(countFigure(`${key}/all_calls`, cost.model_calls)),
        cell(countFigure(`${key}/known`, cost.known)),
      ];
    }),
  };
}
