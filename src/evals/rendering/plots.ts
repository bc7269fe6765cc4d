import { cleanText } from "../../email.ts";
import type { Plot, PlotLine, PlotPoint, Tone } from "./document.ts";
import { escapeHtml } from "./escape-html.ts";
import { percent, points } from "./format.ts";

/** Draws a picture at a width in pixels, as an SVG element without a size of its own. */
export type Draw = (plot: Plot, width: number) => string;

type Library = typeof import("@observablehq/plot");

const COLOURS: Record<Tone | "accent", string> = {
  accent: "var(--accent)",
  good: "var(--good)",
  bad: "var(--bad)",
  muted: "var(--muted)",
};

/**
 * Loads Observable Plot and a document for it to draw in, which takes a while and is needed for pictures only. Colours
 * are the variables of the page's style, so that a picture is readable in light and dark.
 */
export async function loadPlots(): Promise<Draw> {
  const [library, { parseHTML }] = await Promise.all([import("@observablehq/plot"), import("linkedom")]);
  const { document }: { document: unknown } = parseHTML("<html></html>");
  return (plot, width) => {
    const options = plot.draws === "lines" ? lines(library, plot, width) : rows(library, plot, width);
    const drawn: unknown = library.plot({ ...options, document, width, className: "drawing" });
    return withTitle(cleanText(markupOf(drawn)), plot);
  };
}

function rows(library: Library, plot: Plot & { draws: "rates" | "differences" }, width: number) {
  const { dot, gridX, axisX, axisY, ruleX, ruleY } = library;
  const write = plot.draws === "rates" ? percent : points;
  const title = ({ name, value, low, high }: PlotPoint) => `${name}: ${write(value)} (${write(low)} to ${write(high)})`;
  const domain = plot.draws === "rates" ? [0, 1] : differenceDomain(plot.rows);
  const marginLeft = 16 + Math.max(...plot.rows.map(({ name }) => name.length)) * CHARACTER;
  const mark = { x: "value", y: "name", r: 5, strokeWidth: 2, title };
  const ofTone = (tones: (Tone | undefined)[]) => plot.rows.filter(({ tone }) => tones.includes(tone));
  return {
    marginLeft,
    marginRight: 24,
    marginTop: 8,
    marginBottom: 36,
    height: 52 + plot.rows.length * 26,
    style: STYLE,
    x: { domain },
    y: { domain: plot.rows.map(({ name }) => name), label: null },
    marks: [
      gridX({ ticks: ticksOf(width), stroke: "currentColor", strokeOpacity: 0.15 }),
      axisX({
        ticks: ticksOf(width),
        tickFormat: (value: number) =>
          plot.draws === "rates" ? `${Math.round(value * 100)} %` : points(value).replace(".0", ""),
        label: null,
        tickSize: 0,
      }),
      axisY({ label: null, tickSize: 0 }),
      ...(plot.draws === "differences" ? [ruleX([0], { stroke: "currentColor", strokeWidth: 1.5 })] : []),
      ruleY(plot.rows, {
        x1: "low",
        x2: "high",
        y: "name",
        stroke: ({ tone }: PlotPoint) => COLOURS[tone ?? "accent"],
        strokeWidth: 2,
      }),
      dot(ofTone([undefined]), { ...mark, fill: COLOURS.accent }),
      dot(ofTone(["good"]), { ...mark, fill: COLOURS.good, symbol: "triangle", r: 6 }),
      dot(ofTone(["bad"]), { ...mark, fill: COLOURS.bad, symbol: "triangle", r: 6, rotate: 180 }),
      dot(ofTone(["muted"]), { ...mark, fill: "var(--page)", stroke: COLOURS.muted }),
    ],
  };
}

function lines(library: Library, plot: Plot & { draws: "lines" }, width: number) {
  const { areaY, axisX, axisY, dot, gridY, line } = library;
  const title = (name: string) => (point: PlotLine["points"][number]) =>
    `${name}, ${point.at}: ${percent(point.value)} (${percent(point.low)} to ${percent(point.high)})`;
  return {
    marginLeft: 52,
    marginRight: 16,
    marginTop: 10,
    marginBottom: 44,
    height: width < 500 ? 220 : plot.lines.length > 1 ? 300 : 200,
    style: STYLE,
    y: { domain: [0, 1] },
    x: { label: plot.x },
    marks: [
      gridY({ ticks: 5, stroke: "currentColor", strokeOpacity: 0.15 }),
      axisY({ ticks: 5, tickFormat: (value: number) => `${Math.round(value * 100)} %`, label: null, tickSize: 0 }),
      axisX({
        ticks: wholeNumbers(plot.lines, ticksOf(width)),
        tickFormat: String,
        label: plot.x,
        labelAnchor: "center",
        labelArrow: "none",
        tickSize: 4,
      }),
      ...plot.lines.flatMap(({ name, points: data }, i) => {
        const { colour, dashes, symbol } = LINES[i] ?? LINES[0];
        return [
          areaY(data, { x: "at", y1: "low", y2: "high", fill: colour, fillOpacity: 0.16 }),
          line(data, { x: "at", y: "value", stroke: colour, strokeWidth: 2.5, strokeDasharray: dashes }),
          dot(data, { x: "at", y: "value", fill: colour, symbol, r: 4.5, title: title(name) }),
        ];
      }),
    ],
  };
}

/** How the lines of a picture are told apart: by colour, by dashes and by the form of their points. */
export const LINES = [
  { colour: "var(--accent)", dashes: "none", symbol: "circle" },
  { colour: "var(--second)", dashes: "6 4", symbol: "square" },
] as const;

/** The width of a character of the axes in pixels, on the wide side. */
const CHARACTER = 7.6;
const STYLE = { fontSize: "13px", overflow: "visible" };

function ticksOf(width: number): number {
  return width < 500 ? 4 : 8;
}

/** At most about so many whole numbers along lines; there is no half an email. */
function wholeNumbers(lines: readonly PlotLine[], most: number): number[] {
  const places = lines.flatMap(({ points }) => points.map(({ at }) => at));
  const [first, last] = [Math.ceil(Math.min(...places)), Math.floor(Math.max(...places))];
  const step = Math.max(1, Math.ceil((last - first) / most));
  return Array.from({ length: Math.floor((last - first) / step) + 1 }, (_, i) => first + i * step);
}

/** Zero is always to be seen, and some room beside the intervals. */
function differenceDomain(data: readonly PlotPoint[]): [number, number] {
  const low = Math.min(0, ...data.map((point) => point.low));
  const high = Math.max(0, ...data.map((point) => point.high));
  const room = Math.max(0.02, (high - low) * 0.05);
  return [low - room, high + room];
}

function markupOf(drawn: unknown): string {
  if (typeof drawn === "object" && drawn !== null && "outerHTML" in drawn && typeof drawn.outerHTML === "string") {
    return drawn.outerHTML;
  }
  throw new TypeError("Observable Plot drew no element");
}

/** The style that Plot writes knows no dark page, so the page's own takes its place. */
function withTitle(svg: string, { title, summary }: Plot): string {
  return svg
    .replace(/<style>[\s\S]*?<\/style>/, "")
    .replace(/^<svg /, () => `<svg role="img" aria-label="${escapeHtml(`${title}. ${summary}`)}" `);
}
