import { cleanText, oneLine } from "../../email.ts";
import type { Report } from "../report.ts";
import type { Trial } from "../trial.ts";
import { SUITE_TITLES } from "./arms.ts";
import type { Block, Cell, Piece, Table, WrongGroup } from "./document.ts";
import { count } from "./format.ts";
import { reportDocument } from "./sections.ts";

/**
 * A report as Markdown: the tables of the HTML without what is folded away there, pictures and prompts. Without `times`
 * nothing in it differs between two runs of the same: no date, no id, no wall-clock time, no count of known answers.
 */
export function renderMarkdown(report: Report, { times }: { times: boolean }): string {
  const { title, sections } = reportDocument(report);
  const parts = sections.map((section) => {
    const blocks = section.blocks.flatMap((block) => blockMarkdown(block, times));
    return [`## ${escapeMarkdown(section.title)}`, ...blocks].join("\n\n");
  });
  return `${[`# ${escapeMarkdown(title)}`, ...parts].join("\n\n")}\n`;
}

function blockMarkdown(block: Block, times: boolean): string[] {
  switch (block.kind) {
    case "text":
      return [piecesMarkdown(block.pieces)];
    case "table":
      return [`**${escapeMarkdown(block.caption)}**`, tableMarkdown(block, times)];
    case "plot":
    case "folded":
      return [];
    case "wrong":
      return wrongMarkdown(block.groups);
  }
}

function tableMarkdown({ columns, rows }: Table, times: boolean): string {
  const isShown = (i: number) => times || columns[i]?.volatile !== true;
  const line = (cells: string[]) => `| ${cells.filter((_, i) => isShown(i)).join(" | ")} |`;
  return [
    line(columns.map(({ title }) => escapeMarkdown(title))),
    line(columns.map(({ numeric }) => (numeric ? "---:" : "---"))),
    ...rows
      .filter((cells) => times || !cells.some((one) => one.volatile))
      .map((cells) => line(cells.map((one: Cell) => piecesMarkdown(one.pieces)))),
  ].join("\n");
}

function piecesMarkdown(pieces: readonly Piece[]): string {
  return pieces
    .map((piece) => {
      if (typeof piece === "string") return escapeMarkdown(piece);
      return "code" in piece ? codeMarkdown(piece.code) : escapeMarkdown(piece.text);
    })
    .join("");
}

/** How many wrong cases of an arm are named; the HTML has them all. */
const CASES_NAMED = 5;

function wrongMarkdown(groups: readonly WrongGroup[]): string[] {
  const others = groups
    .filter(({ isMain, suite }) => !isMain && suite !== "changes")
    .map(({ suite, arm, trials }) => `${suite} ${codeMarkdown(arm)} ${count(trials.length)}`);
  return [
    ...groups.filter(({ isMain }) => isMain).map(groupMarkdown),
    ...(others.length === 0 ? [] : [`Wrong in the arms to compare with: ${others.join(", ")}.`]),
    "The HTML report has each of them with the prompt that led to it.",
  ];
}

function groupMarkdown({ suite, arm, trials }: WrongGroup): string {
  const lines = new Map<string, number>();
  for (const trial of trials) lines.set(caseMarkdown(trial), (lines.get(caseMarkdown(trial)) ?? 0) + 1);
  const named = [...lines].map(([line, times]) => `- ${line}${times === 1 ? "" : ` (${times} times)`}`);
  const more = named.length - CASES_NAMED;
  return [
    `${escapeMarkdown(SUITE_TITLES[suite].title)}, ${codeMarkdown(arm)}: ${count(trials.length)} wrong`,
    "",
    ...named.slice(0, CASES_NAMED),
    ...(more > 0 ? [`- and ${more} more`] : []),
  ].join("\n");
}

function caseMarkdown({ case: id, expected, got, checks }: Trial): string {
  const unmet = checks.filter(({ kind, met }) => met === false && kind !== "label").map(({ name }) => name);
  const labels = expected === got ? "" : `expected ${expected ?? "none"}, got ${got ?? "none"}`;
  return [codeMarkdown(id), [labels, ...unmet.map(escapeMarkdown)].filter((part) => part !== "").join("; ")].join(": ");
}

/** A text, which may be a stranger's, on one line that GitHub reads as text. */
function escapeMarkdown(text: string): string {
  return cleanText(text)
    .replace(/[\s\u0085]+/g, " ")
    .replace(/[\\`*_[\]|<>&~#]/g, (character) => `\\${character}`);
}

/** The same in a code span, in which only a run of backticks and, in tables, a bar mean anything. */
function codeMarkdown(text: string): string {
  const line = oneLine(cleanText(text)).replaceAll("|", "\\|");
  const longest = Math.max(0, ...[...line.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = "`".repeat(longest + 1);
  return longest === 0 ? `${fence}${line}${fence}` : `${fence} ${line} ${fence}`;
}
