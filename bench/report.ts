import { cpus, totalmem } from "node:os";
import { BATCH, DIMENSIONS, LIMIT, PER_USER } from "./data.ts";
import { judgeGoals } from "./goals.ts";
import type { Timing } from "./measure.ts";
import { NAMES } from "./peers.ts";
import type { Case, StoreReport } from "./store.ts";

/** The peers that each of ours is compared with, and how to say so. */
const COMPARED: readonly { ours: string; floor: string; upstream: string }[] = [
  { ours: NAMES.postgres, floor: NAMES.sql, upstream: NAMES.upstream },
  { ours: NAMES.sqlite, floor: NAMES.scan, upstream: NAMES.memory },
];

/** The machine of a run, in one line. */
export function describeMachine(): string {
  const [first] = cpus();
  return `${first?.model ?? "unknown"}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GB, Node ${process.version}`;
}

/** A run for programs. */
export function toJson(report: StoreReport): string {
  return JSON.stringify({ machine: describeMachine(), ...report, goals: judgeGoals(report) }, null, 2);
}

/** A run for people, in Markdown. */
export function toMarkdown(report: StoreReport): string {
  const goals = judgeGoals(report);
  const size = report.quick ? " Quick run: the sizes are not those of the goals." : "";
  return [
    `${new Date().toISOString().slice(0, 10)}; ${describeMachine()}; ${report.database}.`,
    `${DIMENSIONS} dimensions, ${LIMIT} results; times in milliseconds.${size}`,
    ...report.cases.flatMap((each) => ["", `### ${titleOf(each)}`, "", ...tableOf(each)]),
    "",
    `### What a batch of ${BATCH} puts sends`,
    "",
    ...table(
      ["", "statements", "embedding calls"],
      report.batchCosts.map(({ peer, statements, embeddingCalls }) => [peer, `${statements}`, `${embeddingCalls}`]),
    ),
    "",
    "### Goals",
    "",
    ...table(
      ["goal", "wanted", "found", ""],
      goals.map(({ name, wanted, found, met }) => [
        name,
        wanted,
        found,
        report.quick ? "not judged" : met ? "met" : "MISSED",
      ]),
    ),
  ].join("\n");
}

function titleOf({ operation, size }: Case): string {
  const count = size.toLocaleString("en");
  const users = `${count} users of ${PER_USER} memories`;
  return {
    put: `Put of one item with its vector, ${users}`,
    batch: `Batch of ${BATCH} puts, ${users}`,
    gets: `${2 * PER_USER} gets, ${users}`,
    "search in one user": `Search in one user, ${users}`,
    "search in one namespace": `Search in one namespace of ${count} memories`,
  }[operation];
}

function tableOf({ results }: Case): string[] {
  const withSame = results.some(({ besideInSame }) => besideInSame);
  const columns = ["", "p50", "p90", "beside a writer: p50", "p90"];
  if (withSame) columns.push("in the same namespace: p50", "p90");
  const p50 = (name: string) => results.find(({ peer }) => peer === name)?.alone.p50;
  const rows = results.map(({ peer, alone, beside, besideInSame }) => [
    peer,
    ...cells(alone),
    ...cells(beside),
    ...(withSame ? cells(besideInSame) : []),
    compare(peer, p50),
  ]);
  return table([...columns, "ours, p50"], rows);
}

function cells(timing: Timing | undefined): string[] {
  return timing ? [milliseconds(timing.p50), milliseconds(timing.p90)] : ["", ""];
}

function milliseconds(value: number): string {
  return value.toFixed(value < 10 ? 2 : 1);
}

/** How a store of ours stands to its floor and to upstream's. */
function compare(peer: string, p50: (name: string) => number | undefined): string {
  const names = COMPARED.find(({ ours }) => ours === peer);
  const own = p50(peer);
  if (!names || own === undefined) return "";
  const [floor, upstream] = [p50(names.floor), p50(names.upstream)];
  return [
    ...(floor === undefined ? [] : [`${(own / floor).toFixed(2)}x its floor`]),
    ...(upstream === undefined ? [] : [against(upstream, own)]),
  ].join(", ");
}

function against(upstream: number, own: number): string {
  return upstream > own
    ? `upstream ${(upstream / own).toFixed(1)}x slower`
    : `${(own / upstream).toFixed(1)}x upstream`;
}

/** A Markdown table whose source is aligned too. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((cell, i) => Math.max(3, cell.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    `| ${widths.map((width, i) => (cells[i] ?? "").padEnd(width)).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)];
}
