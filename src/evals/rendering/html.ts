import type { Report } from "../report.ts";
import type { Block, Cell, Piece, Plot, ReportDocument, Section, Table } from "./document.ts";
import { escapeHtml } from "./escape-html.ts";
import { type Draw, LINES, loadPlots } from "./plots.ts";
import { reportDocument } from "./sections.ts";
import { STYLE } from "./style.ts";
import { wrongHtml } from "./wrong-html.ts";

/** The widths in pixels at which each picture is drawn; the page shows the one that it has room for. */
const WIDTHS = { wide: 860, narrow: 330 };

/**
 * A report as one HTML file that needs nothing else: no network, no script. Each number is a `data` element whose
 * `data-key` says which number it is and whose `data-value` is the number before rounding.
 */
export async function renderHtml(report: Report): Promise<string> {
  const document = reportDocument(report);
  const draw = await loadPlots();
  return page(document, draw);
}

function page(document: ReportDocument, draw: Draw): string {
  const { title, sections } = document;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<header><h1>${escapeHtml(title)}</h1></header>
<nav aria-label="Sections"><ul>
${sections.map(({ id, title: name }) => `<li><a href="#${id}">${escapeHtml(name)}</a></li>`).join("\n")}
</ul></nav>
<main>
${sections.map((section) => sectionHtml(section, document, draw)).join("\n")}
</main>
</body>
</html>
`;
}

function sectionHtml({ id, title, blocks }: Section, document: ReportDocument, draw: Draw): string {
  return `<section id="${id}" aria-labelledby="${id}-title">
<h2 id="${id}-title">${escapeHtml(title)}</h2>
${blocks.map((block) => blockHtml(block, document, draw)).join("\n")}
</section>`;
}

function blockHtml(block: Block, document: ReportDocument, draw: Draw): string {
  switch (block.kind) {
    case "text":
      return `<p${block.look === undefined ? "" : ` class="${block.look}"`}>${piecesHtml(block.pieces)}</p>`;
    case "table":
      return tableHtml(block);
    case "plot":
      return plotHtml(block, draw);
    case "folded":
      return `<details class="folded"><summary>${escapeHtml(block.title)}</summary>
${block.blocks.map((inner) => blockHtml(inner, document, draw)).join("\n")}
</details>`;
    case "wrong":
      return wrongHtml(block.groups, document.requests);
  }
}

/** A table scrolls within a region of its own, which the keyboard reaches. */
function tableHtml({ caption, columns, rows }: Table): string {
  const heads = columns.map(
    ({ title, numeric }) => `<th scope="col"${numeric ? ' class="number"' : ""}>${escapeHtml(title)}</th>`,
  );
  const lines = rows.map((cells) => {
    const written = cells.map((one, i) => cellHtml(one, i === 0, columns[i]?.numeric === true));
    return `<tr>${written.join("")}</tr>`;
  });
  return `<div class="scroll" role="region" tabindex="0" aria-label="${escapeHtml(caption)}"><table${columns.length === 2 ? ' class="pairs"' : ""}>
<caption>${escapeHtml(caption)}</caption>
<thead><tr>${heads.join("")}</tr></thead>
<tbody>
${lines.join("\n")}
</tbody>
</table></div>`;
}

function cellHtml({ pieces, shade, tone }: Cell, isHead: boolean, isNumeric: boolean): string {
  const classes = [
    ...(isNumeric ? ["number"] : []),
    ...(tone === undefined ? [] : [tone]),
    ...(shade === undefined ? [] : ["shaded"]),
  ];
  const attributes = [
    ...(isHead ? ['scope="row"'] : []),
    ...(classes.length > 0 ? [`class="${classes.join(" ")}"`] : []),
    ...(shade === undefined ? [] : [`style="--share: ${(shade * 100).toFixed(0)}%"`]),
  ];
  const tag = isHead ? "th" : "td";
  return `<${[tag, ...attributes].join(" ")}>${piecesHtml(pieces)}</${tag}>`;
}

function piecesHtml(pieces: readonly Piece[]): string {
  return pieces
    .map((piece) => {
      if (typeof piece === "string") return escapeHtml(piece);
      if ("code" in piece) return `<code>${escapeHtml(piece.code)}</code>`;
      const { key, value, text } = piece;
      return `<data data-key="${escapeHtml(key)}" data-value="${escapeHtml(String(value))}">${escapeHtml(text)}</data>`;
    })
    .join("");
}

function plotHtml(plot: Plot, draw: Draw): string {
  const drawings = Object.entries(WIDTHS).map(([name, width]) => `<div class="${name}">${draw(plot, width)}</div>`);
  const legend =
    plot.draws === "lines" && plot.lines.length > 1
      ? `<ul class="legend">${plot.lines.map(({ name }, i) => `<li>${sample(i)} ${escapeHtml(name)}</li>`).join("")}</ul>`
      : "";
  return `<figure><figcaption>${escapeHtml(plot.title)}</figcaption>${legend}${drawings.join("")}</figure>`;
}

/** A piece of a line, as the picture has it. */
function sample(line: number): string {
  const { colour, dashes, symbol } = LINES[line] ?? LINES[0];
  const point =
    symbol === "circle"
      ? `<circle cx="20" cy="6" r="4.5" fill="${colour}"/>`
      : `<rect x="16" y="2" width="8" height="8" fill="${colour}"/>`;
  return `<svg class="sample" width="40" height="12" aria-hidden="true"><path d="M0,6H40" stroke="${colour}" stroke-width="2.5" stroke-dasharray="${dashes}"/>${point}</svg>`;
}
