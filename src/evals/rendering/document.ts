import type { Rate, Report } from "../report.ts";
import type { Suite, Trial } from "../trial.ts";
import { count, NOTHING, percent, percentNumber } from "./format.ts";

/** A number of a report as it is shown; `key` says which one it is, so that a test can compute it again. */
export interface Figure {
  key: string;
  value: number | string | null;
  text: string;
}

/** A run of text: words, which may be a stranger's and are escaped where they are written; a name in code; or a number. */
export type Piece = string | Figure | { code: string };

/** One cell of a table. `shade`, from 0 to 1, colours it by its share; `tone` colours its text. */
export interface Cell {
  pieces: Piece[];
  shade?: number;
  tone?: Tone;
  /** As of {@link Column}, of the row that the cell is in. */
  volatile?: boolean;
}

/** What a colour stands for, besides the word that says the same. */
export type Tone = "good" | "bad" | "muted";

/** One column. One that is `volatile` differs between two runs of the same: wall-clock times, and what was known before. */
export interface Column {
  title: string;
  numeric?: boolean;
  volatile?: boolean;
}

/** A table; the first cell of each row names the row. */
export interface Table {
  kind: "table";
  caption: string;
  columns: Column[];
  rows: Cell[][];
}

/** A rate, or a difference of rates, with its interval. */
export interface PlotPoint {
  name: string;
  value: number;
  low: number;
  high: number;
  tone?: Tone;
}

/** A line of points at places of a scale, with a band. */
export interface PlotLine {
  name: string;
  points: { at: number; value: number; low: number; high: number }[];
}

/** A picture: rows of dots with intervals, or lines with bands. `summary` says in words what is to be seen. */
export type Plot = { kind: "plot"; title: string; summary: string } & (
  | { draws: "rates" | "differences"; rows: PlotPoint[] }
  | { draws: "lines"; lines: PlotLine[]; x: string }
);

/** What stands in a section, one below the other. Markdown leaves out plots, and what is folded away in HTML. */
export type Block =
  | { kind: "text"; pieces: Piece[]; look?: "notice" | "result" }
  | Table
  | Plot
  | { kind: "folded"; title: string; blocks: Block[] }
  | { kind: "wrong"; groups: WrongGroup[] };

/** The wrong trials of one arm. */
export interface WrongGroup {
  suite: Suite;
  arm: string;
  trials: Trial[];
  /** Whether it stands in short reports: arms that are to be wrong, such as controls, do not. */
  isMain: boolean;
}

/** One section of a report. */
export interface Section {
  id: string;
  title: string;
  blocks: Block[];
}

/** A report as sections, from which HTML and Markdown are written. */
export interface ReportDocument {
  title: string;
  sections: Section[];
  requests: Report["requests"];
}

/** A number that is shown. */
export function figure(key: string, value: Figure["value"], text: string): Figure {
  return { key, value, text };
}

/** A count that is shown. */
export function countFigure(key: string, value: number): Figure {
  return figure(key, value, count(value));
}

/** A number of things, such as `1 error` and `2 errors`. */
export function counted(key: string, value: number, one: string, many = `${one}s`): Piece[] {
  return [countFigure(key, value), ` ${value === 1 ? one : many}`];
}

/** A paragraph. */
export function text(...pieces: Piece[]): Block {
  return { kind: "text", pieces };
}

/** A cell of these pieces. */
export function cell(...pieces: Piece[]): Cell {
  return { pieces };
}

/** The columns of {@link rateCells}. */
export const RATE_COLUMNS: Column[] = [
  { title: "rate", numeric: true },
  { title: "95 % interval", numeric: true },
  { title: "right / of", numeric: true },
  { title: "errors", numeric: true },
];

/** A rate as four cells: itself, its interval, what it is of, and what failed. */
export function rateCells(key: string, rate: Rate): Cell[] {
  return [
    cell(figure(`${key}/rate`, rate.rate, percent(rate.rate))),
    intervalCell(key, rate.interval, percentNumber),
    cell(countFigure(`${key}/right`, rate.right), " / ", countFigure(`${key}/of`, rate.of)),
    { ...cell(countFigure(`${key}/errors`, rate.errors)), ...(rate.errors > 0 ? { tone: "bad" } : {}) },
  ];
}

/** The two ends of an interval. */
export function intervalPieces(
  key: string,
  interval: readonly [number, number] | null,
  write: (value: number | null) => string,
): Piece[] {
  if (interval === null) return [figure(`${key}/low`, null, NOTHING)];
  const [low, high] = interval;
  return [figure(`${key}/low`, low, write(low)), " to ", figure(`${key}/high`, high, write(high))];
}

/** The two ends of an interval as a cell. */
export function intervalCell(
  key: string,
  interval: readonly [number, number] | null,
  write: (value: number | null) => string,
): Cell {
  return { pieces: intervalPieces(key, interval, write), tone: "muted" };
}
