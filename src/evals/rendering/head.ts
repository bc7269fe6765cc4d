import type { Report } from "../report.ts";
import { type Block, type Cell, cell, countFigure, figure, type Piece, type Section, type Table } from "./document.ts";
import { plain } from "./format.ts";
import { summaryPieces } from "./summary-line.ts";

/** The first section: what answered and what that can show, the result in a line, thresholds, and what was run on what. */
export function headSection(report: Report): Section {
  return {
    id: "run",
    title: "This run",
    blocks: [
      ...whatAnswered(report),
      { kind: "text", pieces: summaryPieces(report), look: "result" },
      ...(report.thresholds.length > 0 ? [thresholdsTable(report)] : []),
      runTable(report),
      filesTable(report),
    ],
  };
}

function whatAnswered({ model }: Report): Block[] {
  if (model.is_stand_in) {
    return [
      notice(
        "No language model decided here. Mnemail's stand-in did: a small program with a fixed grammar of rules and a measure of likeness, which answers when there is no key.",
      ),
      notice(
        "So this report shows wiring, not quality: that what a user teaches arrives in the prompt, changes the emails it is about and leaves the others as they were, and that none of it comes from somewhere else. How well a language model sorts and answers mail cannot be read from it.",
      ),
    ];
  }
  return [
    notice(
      { code: model.chat },
      ` decided (${model.description}), with Mnemail's prompts and memory; embeddings by `,
      { code: model.embeddings },
      ".",
    ),
    notice(
      "Rates are how often this model, prompted so, did what the person of the case would want. They hold for these cases and this version of the model; the intervals say how far other cases of the kind could be from them.",
    ),
  ];
}

function notice(...pieces: Piece[]): Block {
  return { kind: "text", pieces, look: "notice" };
}

function thresholdsTable({ thresholds }: Report): Table {
  return {
    kind: "table",
    caption: "Thresholds",
    columns: [
      { title: "number" },
      { title: "demanded", numeric: true },
      { title: "found", numeric: true },
      { title: "result" },
    ],
    rows: thresholds.map(({ name, at_least, at_most, found, met }, i): Cell[] => {
      const key = `threshold/${i}`;
      return [
        cell({ code: name }),
        cell(
          ...(at_least === undefined ? [] : ["≥ ", figure(`${key}/at_least`, at_least, plain(at_least))]),
          ...(at_least === undefined || at_most === undefined ? [] : [", "]),
          ...(at_most === undefined ? [] : ["≤ ", figure(`${key}/at_most`, at_most, plain(at_most))]),
        ),
        cell(figure(`${key}/found`, found, plain(found))),
        {
          ...cell(
            figure(`${key}/met`, String(met), met ? "met" : found === null ? "not met: not in this run" : "not met"),
          ),
          tone: met ? "good" : "bad",
        },
      ];
    }),
  };
}

function runTable({ command, created_at, id, version, model, seed, repeat, suites, split }: Report): Table {
  const rows: { title: string; value: Cell; volatile?: boolean }[] = [
    { title: "command", value: cell({ code: command }) },
    { title: "suites", value: cell(suites.join(", ")) },
    { title: "split", value: cell(split) },
    { title: "model", value: cell({ code: model.chat }, `, ${model.description}`) },
    { title: "embeddings", value: cell({ code: model.embeddings }) },
    { title: "Mnemail", value: cell(version) },
    { title: "repeats of each case", value: cell(figure("repeat", repeat, String(repeat))) },
    { title: "seed of the resampling", value: cell(figure("seed", seed, String(seed))) },
    { title: "date", value: cell(created_at), volatile: true },
    { title: "run", value: cell({ code: id }), volatile: true },
  ];
  return {
    kind: "table",
    caption: "What was run",
    columns: [{ title: "what" }, { title: "value" }],
    rows: rows.map(({ title, value, volatile }) => [cell(title), volatile ? { ...value, volatile } : value]),
  };
}

function filesTable({ files }: Report): Table {
  return {
    kind: "table",
    caption: "Files of cases",
    columns: [{ title: "file" }, { title: "cases used", numeric: true }, { title: "hash of those used" }],
    rows: files.map(({ name, cases, hash }) => [
      cell({ code: name }),
      cell(countFigure(`file/${name}/cases`, cases)),
      cell({ code: hash }),
    ]),
  };
}
