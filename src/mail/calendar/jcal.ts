import ICAL from "ical.js";
import { z } from "zod";

const CONTENT_LINES =
  /^(?:BEGIN|END|UID|SUMMARY|STATUS|TRANSP|DTSTART|DTEND|DURATION|RRULE|RDATE|EXDATE|RECURRENCE-ID|TZID|TZOFFSETFROM|TZOFFSETTO)[;:]/i;
const SUMMARY = /^SUMMARY/i;
/** ical.js drops what stands after the seconds; of an offset from UTC, that would make another time. */
const TIME_WITH_MORE = /^(?:DT|RDATE|EXDATE|RECURRENCE|RRULE).*\dT\d{6}(?!Z?(?:[,;/]|$))/i;
/** No property has as many parts; ical.js needs time by the square of them. */
const MOST_PARTS = 50;

const propertySchema = z.tuple([z.string(), z.record(z.string(), z.unknown()), z.string()]).rest(z.unknown());
const componentSchema = z.tuple([z.string(), z.array(propertySchema), z.array(z.unknown())]);

/** A property in jCal (RFC 7265 §3.4): name, parameters, type, one or more values. */
export type Property = z.infer<typeof propertySchema>;

/** A component in jCal (RFC 7265 §3.3): name, properties, components in it, which {@link childrenOf} reads. */
export type Component = z.infer<typeof componentSchema>;

/**
 * The outermost components of an iCalendar text (RFC 5545 §3.4), of the properties only those that decide when someone
 * is busy: nothing in a description can break the reading or slow it down. Throws when the text cannot be parsed.
 */
export function parseComponents(text: string): Component[] {
  const lines = contentLines(text);
  if (lines.length === 0) return [];
  const parsed: unknown = ICAL.parse(lines.join("\r\n"));
  // ical.js unwraps a list of one.
  const root = componentSchema.safeParse(parsed);
  return root.success ? [root.data] : z.array(componentSchema).parse(parsed);
}

/** The components directly in one. */
export function childrenOf(component: Component): Component[] {
  return z.array(componentSchema).parse(component[2]);
}

/** The properties of a component that have this name, in lower case. */
export function propertiesOf(component: Component, name: string): Property[] {
  return component[1].filter((property) => property[0] === name);
}

/** The first value of a property, trimmed; undefined when it is absent or no text. */
export function textOf(component: Component, name: string): string | undefined {
  const value = propertiesOf(component, name)[0]?.[3];
  return typeof value === "string" ? value.trim() : undefined;
}

function contentLines(text: string): string[] {
  const lines = text
    .replace(/^\uFEFF/, "")
    .replace(/\r?\n[ \t]/g, "")
    .split(/\r?\n/)
    .filter((line) => CONTENT_LINES.test(line))
    .map((line) => (SUMMARY.test(line) ? line.slice(0, 400) : line.trimEnd()));
  const odd = lines.find((line) => line.split(";", MOST_PARTS + 1).length > MOST_PARTS || TIME_WITH_MORE.test(line));
  if (odd !== undefined) throw new Error(`no such line in iCalendar: ${odd.slice(0, 80)}`);
  return lines;
}
