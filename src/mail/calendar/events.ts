import { cleanText } from "../../email.ts";
import { MnemailError } from "../../errors.ts";
import { type Component, childrenOf, type Property, parseComponents, propertiesOf, textOf } from "./jcal.ts";
import type { Work } from "./recurrence.ts";
import { parseRule, type Rule } from "./rule.ts";
import { DAY, parseTimeValue, UnreadableError, UTC, type Zone } from "./time-zone.ts";
import { zonesOf } from "./vtimezone.ts";

const LABEL_LIMIT = 60;
const LENGTH = /^([+-])?P(?=.)(?:(\d+)W)?(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$/;

/** A wall time in milliseconds and its zone; none is the user's: floating times and dates (RFC 5545 §3.3.5). */
export interface EventTime {
  wall: number;
  isDate: boolean;
  zone: Zone | undefined;
}

/** Whole days by the calendar and then exact milliseconds (RFC 5545 §3.3.6). */
export interface Length {
  days: number;
  milliseconds: number;
}

/** A start with an end, a length or neither. */
export interface Span {
  start: EventTime;
  end: EventTime | undefined;
  length: Length | undefined;
}

/**
 * What of a VEVENT (RFC 5545 §3.6.1) decides when its owner is busy: `extra` are its RDATEs, `excluded` its EXDATEs,
 * `replaces` its RECURRENCE-ID. `label` names it in errors, one line of at most 60 characters.
 */
export interface CalendarEvent extends Span {
  label: string;
  uid: string | undefined;
  blocks: boolean;
  rules: Rule[];
  extra: Span[];
  excluded: EventTime[];
  replaces: EventTime | undefined;
}

/**
 * Reads the events of an iCalendar text. Throws MnemailError `calendar` when it is no calendar, or to name an event
 * that cannot be understood: to leave that one out would show the user as free.
 */
export function parseEvents(text: string, work: Work): CalendarEvent[] {
  return calendarsOf(text, work.path).flatMap((calendar) => {
    const components = childrenOf(calendar);
    const zones = zonesOf(components, work);
    const events = components.filter(([name]) => name === "vevent");
    return events.map((event) => {
      const label = labelOf(event);
      try {
        return { label, ...parseEvent(event, zones) };
      } catch (error) {
        if (error instanceof UnreadableError) throw badEvent(label, work.path, error.message);
        throw error;
      }
    });
  });
}

/** The error for an event that cannot be understood; `problem` completes "The event X …". */
export function badEvent(label: string, path: string, problem: string): MnemailError {
  const message = `The event "${label}" of the calendar ${path} ${problem}.`;
  return new MnemailError("calendar", message, "change or remove that event, then export the calendar again");
}

function calendarsOf(text: string, path: string): Component[] {
  const expected = `The calendar ${path} is not a complete iCalendar file: expected BEGIN:VCALENDAR to END:VCALENDAR.`;
  const hint = "export the calendar again as an .ics file";
  let components: Component[];
  try {
    components = parseComponents(text);
  } catch (error) {
    throw new MnemailError("calendar", expected, hint, { cause: error });
  }
  const calendars = components.filter(([name]) => name === "vcalendar");
  if (calendars.length === 0) throw new MnemailError("calendar", expected, hint);
  return calendars;
}

type Zones = (tzid: string) => Zone;

function parseEvent(event: Component, zones: Zones): Omit<CalendarEvent, "label"> {
  const spans = (name: string) => propertiesOf(event, name).flatMap((property) => parseSpans(property, zones));
  const times = (name: string) => spans(name).map(({ start }) => start);
  const [start] = times("dtstart");
  const [end] = times("dtend");
  const [replaces] = times("recurrence-id");
  const duration = textOf(event, "duration");
  if (!start) throw new UnreadableError("has no start");
  if (propertiesOf(event, "recurrence-id").some(([, { range }]) => range !== undefined)) {
    throw new UnreadableError("changes all later repetitions too (RANGE), which is not read");
  }
  return {
    start,
    end,
    length: duration === undefined || end ? undefined : parseLength(duration),
    uid: textOf(event, "uid") || undefined,
    blocks: !has(event, "status", "CANCELLED") && !has(event, "transp", "TRANSPARENT"),
    rules: propertiesOf(event, "rrule").flatMap(([, , , ...values]) => values.map(parseRule)),
    extra: spans("rdate"),
    excluded: times("exdate"),
    replaces,
  };
}

function has(event: Component, name: string, value: string): boolean {
  return textOf(event, name)?.toUpperCase() === value;
}

function labelOf(event: Component): string {
  const line = cleanText(textOf(event, "summary") ?? "")
    .replace(/\s+/g, " ")
    .trim();
  return [...line].slice(0, LABEL_LIMIT).join("") || "(no summary)";
}

function parseSpans([, { tzid }, , ...values]: Property, zones: Zones): Span[] {
  return values.map((value) => {
    // jCal writes a PERIOD as a list of its start and its end or length.
    const [from, to] = Array.isArray(value) ? value : [value];
    const isLength = typeof to === "string" && /^[+-]?P/.test(to);
    return {
      start: parseTime(from, tzid, zones),
      end: to === undefined || isLength ? undefined : parseTime(to, tzid, zones),
      length: isLength ? parseLength(to) : undefined,
    };
  });
}

function parseTime(value: unknown, tzid: unknown, zones: Zones): EventTime {
  const time = parseTimeValue(value);
  if (!time) throw new UnreadableError("has a date or time that cannot be read");
  if (time.form === "utc") return { wall: time.wall, isDate: false, zone: UTC };
  const isDate = time.form === "date";
  return { wall: time.wall, isDate, zone: typeof tzid === "string" && !isDate ? zones(tzid) : undefined };
}

function parseLength(text: string): Length {
  const match = LENGTH.exec(text);
  const [weeks = 0, days = 0, hours = 0, minutes = 0, seconds = 0] = (match ?? [])
    .slice(2)
    .map((part) => Number(part ?? 0));
  const length = { days: weeks * 7 + days, milliseconds: ((hours * 60 + minutes) * 60 + seconds) * 1000 };
  const isReadable = match && match[1] !== "-" && length.days * DAY + length.milliseconds < 10_000 * 365 * DAY;
  if (!isReadable) throw new UnreadableError("has a length that cannot be read");
  return length;
}
