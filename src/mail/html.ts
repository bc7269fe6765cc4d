import { compile, type DomNode, type FormatCallback } from "html-to-text";
import { cleanText } from "../email.ts";

const TAG_LIMIT = 30_000;
const UNSHOWN = /^(title|template|iframe|noembed|noframes|datalist|audio|video|canvas)$/;
const PARAGRAPH = /^(p|h[1-6]|ul|ol|dl|table|hr)$/;
const BLOCK =
  /^(address|article|aside|body|center|dd|div|dt|fieldset|figure|figcaption|footer|form|header|main|nav|section|tr)$/;
const ZERO = String.raw`[-+]?(?:0+(?:\.0*)?|\.0+)`;
const HIDING = new RegExp(
  [
    "display:none$|(?:content-)?visibility:(?:hidden|collapse)$|mso-hide:(?!none)",
    `(?:opacity|max-height):(?:${ZERO}|0?\\.0\\d*)[a-z%]*$`,
    `(?:-webkit-text-fill-)?color:(?:transparent|(?:rgba|hsla)\\(.*,${ZERO}%?\\)|#\\w{3}0|#\\w{6}00)$`,
    "(?:text-indent|left|right|top|bottom|margin-left|margin-top):-\\d{3}",
    `clip:rect\\(${ZERO}|clip-path:(?:inset\\((?:50|100)%|circle\\(${ZERO})|(?:transform|filter):.*(?:scale|opacity)\\(${ZERO}[,)]`,
  ]
    .map((rule) => `^(?:${rule})`)
    .join("|"),
);
const FONT_SIZE = /^font(?:-size)?:(?:.* )?([\d.]+)(px|pt|r?em|%|(?=[ /]|$))/;
const CLIPS = /^overflow(?:-[xy])?:(?:hidden|clip)$/;
const NO_EXTENT = new RegExp(`^(?:max-)?(?:height|width):${ZERO}[a-z%]*$`);

/**
 * The text a person sees in an HTML email, and whether text was `hidden` from them. Left out: what is never rendered
 * (script, style, title, comments, template …) and elements that their own attributes hide: `hidden`, or a `style`
 * (comments and escapes of CSS undone) with display:none, visibility:hidden, opacity or max-height 0, mso-hide, a
 * clipped box without extent, transparent text or text in the colour of its background, a place far outside the page;
 * text in a font of at most 2 px, unless an element inside sets a legible one, as mail templates do. Not seen: hiding
 * by a style sheet, or white on an inherited white. Links keep their text, and `[address]` where that says something
 * else; images are their alt text. Nesting beyond 200 levels and what follows 30,000 tags become `[…]`.
 */
export function htmlToVisibleText(html: string): { text: string; hidden: boolean } {
  let hidden = false;
  let illegible = false;
  let indents = 0;
  const render: FormatCallback = (element, walk, builder) => {
    const name = element.name ?? "";
    if (UNSHOWN.test(name)) return;
    const css = declarations(element);
    if (isHidden(element, css)) {
      hidden ||= cleanText(textOf(element)).trim() !== "";
      return;
    }
    const outside = illegible;
    illegible = tooSmall(css, outside);
    let children = element.children;
    if (illegible) {
      hidden ||= children.some((child) => child.type === "text" && cleanText(child.data ?? "").trim() !== "");
      children = children.filter((child) => child.type !== "text");
    }
    const prefixed = (first: string, next: string) => {
      // Each level copies all text within it, so a bomb of quotes in quotes must not count as levels for ever.
      const level = indents++ < 6;
      builder.openBlock({ leadingLineBreaks: 1 });
      walk(children, builder);
      const indent = (text: string) => first + text.trim().replaceAll("\n", `\n${next}`);
      builder.closeBlock(level ? { trailingLineBreaks: 1, blockTransform: indent } : { trailingLineBreaks: 1 });
      indents--;
    };
    if (name === "br") builder.addLineBreak();
    else if (name === "img") builder.addInline(illegible ? "" : attribute(element, "alt"));
    else if (name === "li") prefixed("- ", "  ");
    else if (name === "blockquote") prefixed("> ", "> ");
    else if (name === "pre" || PARAGRAPH.test(name) || BLOCK.test(name)) {
      const breaks = BLOCK.test(name) ? 1 : 2;
      builder.openBlock({ leadingLineBreaks: breaks, isPre: name === "pre" });
      walk(children, builder);
      builder.closeBlock({ trailingLineBreaks: breaks });
    } else {
      walk(children, builder);
      const address = name === "a" && !illegible ? attribute(element, "href").trim() : "";
      if (/^https?:/i.test(address) && bare(address) !== bare(textOf(element))) builder.addInline(` [${address}]`);
      if (name === "td" || name === "th") builder.addInline(" ");
    }
    illegible = outside;
  };
  const formats =
    "inline anchor block blockquote lineBreak heading horizontalLine image orderedList paragraph pre table";
  const convert = compile({
    // An empty list takes the whole document: text after </body> is shown by mail programs too.
    baseElements: { selectors: [] },
    formatters: Object.fromEntries(`${formats} unorderedList wbr`.split(" ").map((format) => [format, render])),
    limits: { maxDepth: 200, ellipsis: "[…]" },
    wordwrap: false,
  });
  const shown = withinTagLimit(html);
  const text = tidy(convert(shown).replaceAll("\u00a0", " "));
  return { text: shown === html ? text : `${text}\n\n[…]`, hidden };
}

/** The HTML parser takes quadratic time over tags that nobody closes, or that nobody opened. */
function withinTagLimit(html: string): string {
  let tags = 0;
  for (const { index } of html.matchAll(/<[a-z/]/gi)) if (++tags > TAG_LIMIT) return html.slice(0, index);
  return html;
}

function attribute(element: DomNode, name: string): string {
  const value: unknown = element.attribs?.[name];
  return typeof value === "string" ? value : "";
}

/** The declarations of a style attribute as `name:value`, without white space. */
function declarations(element: DomNode): string[] {
  return attribute(element, "style")
    .replace(/\/\*[\s\S]*?(?:\*\/|$)/g, "")
    .replace(/\\([0-9a-f]{1,6})\s?/gi, (_, hex: string) =>
      String.fromCodePoint(Math.min(Number.parseInt(hex, 16), 0x10ffff)),
    )
    .toLowerCase()
    .split(";")
    .map((declaration) =>
      declaration
        .replace(/!\s*important/, "")
        .replace(/\s+/g, " ")
        .replace(/ ?: ?/, ":")
        .trim(),
    );
}

function isHidden(element: DomNode, css: string[]): boolean {
  if (element.attribs?.["hidden"] !== undefined) return true;
  const plain = css.map((declaration) => declaration.replaceAll(" ", ""));
  const colour = plain.find((declaration) => declaration.startsWith("color:"))?.slice("color:".length);
  return (
    plain.some((declaration) => HIDING.test(declaration)) ||
    (plain.some((declaration) => CLIPS.test(declaration)) &&
      plain.some((declaration) => NO_EXTENT.test(declaration))) ||
    (colour !== undefined &&
      plain.some((declaration) => /^background(-color)?:/.test(declaration) && declaration.endsWith(`:${colour}`)))
  );
}

/** Whether text directly in an element is too small to read; a size relative to a tiny one stays tiny. */
function tooSmall(css: string[], outside: boolean): boolean {
  const sizes = css.flatMap((declaration) => {
    const [, number, unit = ""] = FONT_SIZE.exec(declaration) ?? [];
    if (number === undefined) return /^font-size:[a-z-]*(?:small|medium|large)$/.test(declaration) ? [false] : [];
    const relative = /em|%/.test(unit);
    const pixels = Number.parseFloat(number) * (unit === "%" ? 0.16 : relative ? 16 : 1);
    return [pixels <= 2 || (outside && relative && unit !== "rem")];
  });
  return sizes.length > 0 ? sizes.includes(true) : outside;
}

/** The text in an element as written, from its beginning: enough of it to compare, since hostile links nest. */
function textOf(root: DomNode): string {
  let text = "";
  const rest = [root];
  for (let node = rest.pop(); node !== undefined && text.length < 5_000; node = rest.pop()) {
    if (node.type === "text") text += node.data ?? "";
    for (const child of (node.children ?? []).toReversed()) rest.push(child);
  }
  return text;
}

function bare(address: string): string {
  return address
    .trim()
    .toLowerCase()
    .replace(/^https?:\/\//, "")
    .replace(/\/$/, "");
}

/** Text without blanks at the ends of its lines, and with at most two empty lines in a row. */
export function tidy(text: string): string {
  const lines = text.split(/\r\n|[\r\n]/).map((line) => line.trimEnd());
  return lines
    .filter((line, index) => line !== "" || lines[index - 1] !== "" || lines[index - 2] !== "")
    .join("\n")
    .trim();
}
