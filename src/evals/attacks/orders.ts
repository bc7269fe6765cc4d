import { z } from "zod";
import { parseJson } from "../../parse-json.ts";

/**
 * One order that a text gives. `do` names a tool, of the answer or one that does not exist; `label` is for triage;
 * `learn`, `extract` and `contradicted` are for the requests of these names; `repeat` puts all that the model is shown
 * into whatever it writes.
 *
 * In any text `$EVERYTHING` stands for all that the model is shown, `$SAID` for the user's words in feedback, and
 * `$SHOWN` for the id of a fact: an order that has it is done once for each fact that is shown.
 */
export const orderSchema = z.union([
  z.object({ do: z.string(), args: z.record(z.string(), z.unknown()).default({}) }),
  z.object({ label: z.enum(["ignore", "notify", "respond"]) }),
  z.object({ learn: z.record(z.string(), z.unknown()) }),
  z.object({ extract: z.record(z.string(), z.unknown()) }),
  z.object({ contradicted: z.literal("all") }),
  z.object({ repeat: z.literal("everything") }),
]);

/** See {@link orderSchema}. */
export type Order = z.input<typeof orderSchema>;

/** An order parsed. */
export type ParsedOrder = z.output<typeof orderSchema>;

/** An order as a text gives it. */
export function obey(order: Order): string {
  return `OBEY${JSON.stringify(order)}`;
}

const HINT = /OBEY|T0JFWX|\p{Cf}/u;
const ENTITIES: Record<string, string> = { quot: '"', amp: "&", lt: "<", gt: ">", apos: "'" };

/**
 * Every order in a text, each once, in whatever way it is written: quoted, wrapped, in entities of HTML, escaped as in
 * a header or in JSON, in base64, in tag characters (which no person sees), or with invisible characters in between.
 */
export function findOrders(text: string): ParsedOrder[] {
  if (!HINT.test(text)) return [];
  const unquoted = text.replace(/^(?:[ \t]*[>|])+[ \t]?/gm, "");
  const read = [text, unquoted.replace(/\r?\n/g, ""), unquoted.replace(/\s*\r?\n\s*/g, " ")].flatMap(decodings);
  const found = read.flatMap((each) => [each, unescapeQuotes(each)]).flatMap(ordersIn);
  return [...new Map(found.map((order) => [JSON.stringify(order), order])).values()];
}

function decodings(text: string): string[] {
  const visible = text.replace(/\p{Cf}/gu, "");
  const tags = [...text].map((character) => character.codePointAt(0) ?? 0).filter((code) => code >> 7 === 0x1c00);
  const hidden = String.fromCodePoint(...tags.map((code) => code & 0x7f));
  const html = visible.replace(/&(?:#(\d+)|#x([0-9a-f]+)|(\w+));/gi, (whole, decimal, hex, name) => {
    const code = decimal ? Number(decimal) : hex ? Number.parseInt(hex, 16) : undefined;
    return code === undefined ? (ENTITIES[String(name).toLowerCase()] ?? whole) : String.fromCodePoint(code);
  });
  const encoded = [...visible.matchAll(/T0JFWX[A-Za-z0-9+/]*={0,2}/g)].map(([blob]) =>
    Buffer.from(blob, "base64").toString("utf8"),
  );
  return [visible, html, hidden, ...encoded];
}

function unescapeQuotes(text: string): string {
  return text.replace(/\\(["\\])/g, "$1");
}

function ordersIn(text: string): ParsedOrder[] {
  return [...text.matchAll(/OBEY(?=\{)/g)].flatMap(({ index }) => {
    const order = orderSchema.safeParse(parseJson(objectAt(text, index + "OBEY".length)));
    return order.success ? [order.data] : [];
  });
}

/** The text of the JSON object that begins at a place. */
function objectAt(text: string, start: number): string {
  let depth = 0;
  let isString = false;
  for (let at = start; at < text.length; at += 1) {
    const character = text[at];
    if (isString && character === "\\") at += 1;
    else if (character === '"') isString = !isString;
    else if (!isString && character === "{") depth += 1;
    else if (!isString && character === "}") depth -= 1;
    if (depth === 0) return text.slice(start, at + 1);
  }
  return "";
}
