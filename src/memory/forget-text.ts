import { addressParser } from "postal-mime";
import type { JsonObject } from "../store/row-driver.ts";

/** What stands in the place of forgotten text. */
export const FORGOTTEN = "(forgotten)";

/** Finds one address in texts, and takes it out of them. */
export interface AddressFinder {
  /** Whether a text names the address, in letters of any case. */
  isIn(text: string): boolean;
  /** The text with {@link FORGOTTEN} for the address, together with the name and brackets that go with it. */
  without(text: string): string;
}

/**
 * Finds an address as a whole: not in `anne@…` where `ne@…` is meant, nor in `….example.org` where `….example` is. `names`
 * are those that headers give with it. Links write the @ as %40, HTML as &#64;, and labels of namespaces a period as =2E.
 */
export function findAddress(address: string, names: ReadonlySet<string> = new Set()): AddressFinder {
  const spelt = [...address].map((character) => SPELT[character] ?? escapePattern(character)).join("");
  // Before it may stand a percent-encoded character; after a period, an apostrophe or the like a longer one would go on.
  const whole = `(?:(?<![\\p{L}\\p{N}])|(?<=%[0-9a-f]{2}))(?<![\\p{L}\\p{N}][._+'!#$*^{|}~\\-])${spelt}(?![\\p{L}\\p{N}])(?![.-][\\p{L}\\p{N}])`;
  const known = new Set([...names].map(bareName).filter(Boolean));
  const find = new RegExp(whole, "iu");
  return {
    isIn: (text) => find.test(text),
    without: (text) => withoutMailboxes(text, new RegExp(whole, "giu"), known),
  };
}

function withoutMailboxes(text: string, address: RegExp, names: ReadonlySet<string>): string {
  let kept = "";
  let from = 0;
  for (const { 0: found, index } of text.matchAll(address)) {
    const { start, end } = mailboxAround(text, { from, start: index, end: index + found.length }, names);
    kept += `${text.slice(from, start)}${FORGOTTEN}`;
    from = end;
  }
  return from === 0 ? text : kept + text.slice(from);
}

/** The place of an address with its brackets and the name before them, where that is one of some names. */
function mailboxAround(
  text: string,
  { from, start, end }: { from: number; start: number; end: number },
  names: ReadonlySet<string>,
): { start: number; end: number } {
  const begin = Math.max(from, start - NAME_LIMIT);
  const before = text.slice(begin, start);
  const opening = /\s*[<([]\s*(?:mailto:)?$/i.exec(before);
  const closing = /^\s*[>)\]]/.exec(text.slice(end, end + 10));
  if (!opening || !closing) return { start, end };
  const words = [...before.slice(0, opening.index).matchAll(/\S+/g)].slice(-MOST_NAME_WORDS);
  const named = words.find(({ index }) => names.has(bareName(before.slice(index, opening.index))));
  return named ? { start: begin + named.index, end: end + closing[0].length } : { start, end };
}

/** A display name as it is compared: without quotes and case, one space for any white space. */
function bareName(name: string): string {
  return name
    .replace(/["'\\]/g, "")
    .replace(/\s+/g, " ")
    .trim()
    .toLowerCase();
}

const NAME_LIMIT = 300;
const MOST_NAME_WORDS = 12;
const SPELT: Record<string, string> = { "@": "(?:@|%40|&#0*64;|&#x0*40;|&commat;)", ".": "(?:\\.|=2E|%2E)" };

function escapePattern(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, (character) => `\\x${character.charCodeAt(0).toString(16)}`);
}

/** The display names that an address header (RFC 5322 §3.4) gives to an address, as they stand there. */
export function namesIn(header: string, address: string): string[] {
  return addressParser(header, { flatten: true }).flatMap((mailbox) =>
    mailbox.name && mailbox.address?.toLowerCase() === address ? [mailbox.name] : [],
  );
}

/** A JSON object with each of its strings, names of fields included, put through `change`. */
export function mapTexts(value: JsonObject, change: (text: string) => string): JsonObject {
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [change(name), mapText(field, change)]));
}

function mapText(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === "string") return change(value);
  if (Array.isArray(value)) return value.map((each) => mapText(each, change));
  return typeof value === "object" && value !== null ? mapTexts({ ...value }, change) : value;
}

/** Whether any string of a JSON value, names of fields included, fits. */
export function someText(value: unknown, fits: (text: string) => boolean): boolean {
  if (typeof value === "string") return fits(value);
  if (Array.isArray(value)) return value.some((each) => someText(each, fits));
  if (typeof value !== "object" || value === null) return false;
  return Object.entries(value).some(([name, field]) => fits(name) || someText(field, fits));
}

/** Texts as they are compared where one may quote the other: composed, lower-case, one space for any white space. */
export function comparable(text: string): string {
  return text.normalize("NFKC").toLowerCase().replace(/\s+/g, " ").trim();
}
