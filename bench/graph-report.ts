import { type GraphReport, judgeGraph } from "./graph.ts";
import { EXAMPLES, FACTS, type Written } from "./graph-contenders.ts";
import type { Throughput } from "./graph-throughput.ts";
import type { TimedEmails } from "./graph-timing.ts";
import { describeMachine, table } from "./report.ts";

/** A run for programs. */
export function graphToJson(report: GraphReport): string {
  return JSON.stringify({ machine: describeMachine(), ...report, goals: judgeGraph(report) }, null, 2);
}

/** A run for people, in Markdown. */
export function graphToMarkdown(report: GraphReport): string {
  const { quick, timing, throughput } = report;
  const { whole, outcomes, costs } = timing;
  return [
    `${new Date().toISOString().slice(0, 10)}; ${describeMachine()}; SQLite; the stand-in model, in another process.`,
    `The sample week, for users with ${FACTS} facts and ${EXAMPLES} examples.${quick ? " Quick run: nothing is judged." : ""}`,
    "",
    "### Time of an email outside requests to the model",
    "",
    "Milliseconds, one email at a time.",
    "",
    ...table(
      ["", "emails", "Mnemail", "p50", "p95", "bare graph", "p50", "p95", "ratio", "processor", "bare", "ratio"],
      [timeRow("the week", whole), ...outcomes.map(({ outcome, ...times }) => timeRow(outcome, times))],
    ),
    "",
    "### Emails per second",
    "",
    ...table(
      [
        ...["a request takes", "at once", "Mnemail", "of a core", "thread busy", "ms per email"],
        ...["bare graph", "of a core", "thread busy", "ms per email"],
      ],
      throughput.flatMap(({ delayMs, ours, bare }) =>
        ours.map((own, i) => [
          i === 0 ? (delayMs === 0 ? "no time" : `${delayMs} ms`) : "",
          `${own.parallel}`,
          ...rateCells(own),
          ...rateCells(bare[i]),
        ]),
      ),
    ),
    "",
    "### What an email takes",
    "",
    ...table(
      [
        ...["", "emails", "model calls", "tokens", "embedding calls", "store round trips"],
        ...["checkpoints, writes", "kB", "bare graph", "kB"],
      ],
      costs.map((cost) => [
        cost.outcome,
        `${cost.emails}`,
        average(cost.modelCalls),
        `${Math.round(cost.inputTokens)} + ${Math.round(cost.outputTokens)}`,
        average(cost.embeddingCalls),
        average(cost.storeRoundTrips),
        ...writtenCells(cost.ours),
        ...writtenCells(cost.bare),
      ]),
    ),
    "",
    "### Goals of the graph",
    "",
    ...table(
      ["goal", "wanted", "found", ""],
      judgeGraph(report).map(({ name, wanted, found, met }) => [
        name,
        wanted,
        found,
        quick ? "not judged" : met ? "met" : "MISSED",
      ]),
    ),
  ].join("\n");
}

function timeRow(name: string, { emails, ours, bare }: TimedEmails): string[] {
  const cells = [ours, bare].flatMap(({ typical, p50, p95 }) => [typical, p50, p95].map(milliseconds));
  const ratio = (a: number, b: number) => `${(a / b).toFixed(2)}x`;
  return [
    ...[name, `${emails}`, ...cells, ratio(ours.typical, bare.typical)],
    ...[milliseconds(ours.cpu), milliseconds(bare.cpu), ratio(ours.cpu, bare.cpu)],
  ];
}

function rateCells(rate: Throughput | undefined): string[] {
  if (!rate) return [];
  const percent = (share: number) => `${Math.round(100 * share)} %`;
  return [rate.perSecond.toFixed(1), percent(rate.cpu), percent(rate.busy), milliseconds(rate.cpuPerEmail)];
}

function writtenCells({ checkpoints, writes, bytes }: Written): string[] {
  return [`${average(checkpoints)}, ${average(writes)}`, average(bytes / 1_000)];
}

function average(value: number): string {
  return Number.isInteger(value) ? `${value}` : value.toFixed(1);
}

function milliseconds(value: number): string {
  return value.toFixed(value < 10 ? 2 : 1);
}
