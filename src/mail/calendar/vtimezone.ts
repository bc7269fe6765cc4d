import { cleanText } from "../../email.ts";
import { type Component, childrenOf, propertiesOf, textOf } from "./jcal.ts";
import { occurrences, type Work } from "./recurrence.ts";
import { parseRule, type Rule } from "./rule.ts";
import { ianaZone, parseTimeValue, UnreadableError, type Zone, zoneOf } from "./time-zone.ts";

const OFFSET = /^([+-])(\d{2}):(\d{2})(?::(\d{2}))?$/;

/** A STANDARD or DAYLIGHT part: since each of its wall times, `to` is in force, and the clocks showed `from` before. */
interface Observance {
  from: number;
  to: number;
  start: number;
  dates: number[];
  rules: Rule[];
}

/**
 * Resolves the TZIDs of one VCALENDAR, given its components: by its VTIMEZONE (RFC 5545 §3.6.5), else as an IANA name. What it returns throws
 * UnreadableError for any other name. ical.js would take such times for floating and give offset 0 before the first
 * observance; its VTIMEZONEs can also repeat by the second.
 */
export function zonesOf(components: Component[], work: Work): (tzid: string) => Zone {
  const defined = new Map<string, Component>();
  for (const child of components) {
    const tzid = textOf(child, "tzid");
    if (child[0] === "vtimezone" && tzid !== undefined) defined.set(tzid, child);
  }
  const known = new Map<string, Zone>();
  return (tzid) => {
    const definition = defined.get(tzid.trim());
    // Names are the same in any case, and making a zone takes time.
    const key = definition ? tzid.trim() : tzid.trim().toLowerCase();
    const zone = known.get(key) ?? (definition && fileZone(definition, work)) ?? ianaZone(tzid.trim());
    if (!zone) throw new UnreadableError(`is in the time zone "${show(tzid)}", which is not known`);
    known.set(key, zone);
    return zone;
  };
}

function show(tzid: string): string {
  return cleanText(tzid.slice(0, 60)).replace(/\s+/g, " ");
}

function fileZone(definition: Component, work: Work): Zone | undefined {
  const observances = childrenOf(definition).map(parseObservance);
  const complete = observances.filter((observance) => observance !== undefined);
  if (complete.length === 0 || complete.length < observances.length) return undefined;
  let changes: { at: number; offset: number }[] = [];
  let builtFor = Number.NEGATIVE_INFINITY;
  let first = 0;
  return zoneOf((instant) => {
    if (builtFor < work.horizon) {
      changes = complete.flatMap((each) => changesOf(each, work)).sort((a, b) => a.at - b.at);
      first = complete.reduce((a, b) => (b.start < a.start ? b : a)).from;
      builtFor = work.horizon;
    }
    return changes.findLast(({ at }) => at <= instant)?.offset ?? first;
  });
}

function changesOf({ from, to, start, dates, rules }: Observance, work: Work): { at: number; offset: number }[] {
  const horizon = work.horizon + from;
  const repeated = rules.flatMap((rule) => {
    const until = rule.until ? rule.until.wall + (rule.until.form === "utc" ? from : 0) : horizon;
    return [...occurrences(rule, start, { from: start, to: Math.min(until, horizon), isDate: false, work })];
  });
  return [start, ...dates, ...repeated].map((wall) => ({ at: wall - from, offset: to }));
}

function parseObservance(part: Component): Observance | undefined {
  const start = parseTimeValue(textOf(part, "dtstart"));
  const from = parseOffset(textOf(part, "tzoffsetfrom"));
  const to = parseOffset(textOf(part, "tzoffsetto"));
  const dates = propertiesOf(part, "rdate").flatMap(([, , , ...values]) => values.map(parseTimeValue));
  const readable = dates.filter((date) => date !== undefined);
  if (!start || from === undefined || to === undefined || readable.length < dates.length) return undefined;
  try {
    const rules = propertiesOf(part, "rrule").flatMap(([, , , ...values]) => values.map(parseRule));
    return { from, to, start: start.wall, dates: readable.map(({ wall }) => wall), rules };
  } catch (error) {
    if (error instanceof UnreadableError) return undefined;
    throw error;
  }
}

/** Milliseconds of a jCal UTC-OFFSET such as `+01:00` (RFC 7265 §3.6.13). */
function parseOffset(text: string | undefined): number | undefined {
  const [, sign, hours, minutes, seconds = "0"] = OFFSET.exec(text ?? "") ?? [];
  if (sign === undefined) return undefined;
  const milliseconds = ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1000;
  return sign === "-" ? -milliseconds : milliseconds;
}
