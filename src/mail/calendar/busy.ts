import { badEvent, type CalendarEvent, type EventTime, type Length, type Span } from "./events.ts";
import type { Interval } from "./intervals.ts";
import { dayOf, occurrences, spend, type Work } from "./recurrence.ts";
import type { Rule } from "./rule.ts";
import { DAY, type Zone } from "./time-zone.ts";

/** No two zones are further apart, and no zone changes by as much. */
const MARGIN = 2 * DAY;
/** Converting and merging one costs about as much as looking at so many days. */
const STEPS_OF_INTERVAL = 10;

/** EXDATEs or RECURRENCE-IDs by the day on their own clocks. */
type Exclusions = Map<number, EventTime[]>;

/**
 * When the owner of events is busy between two instants; intervals are in no order, may overlap and reach out of
 * the range. Times and dates without a zone are in `userZone`. An event with DTEND lasts as many milliseconds each time it
 * repeats, one with DURATION P1D a day of its calendar (RFC 5545 §3.8.5.3). Throws MnemailError `calendar` when the
 * events take too long to work out or one ends before it starts.
 */
export function busyIntervals(events: CalendarEvent[], userZone: Zone, range: Interval, work: Work): Interval[] {
  const replaced = new Map<string, Exclusions>();
  for (const { uid, replaces } of events) {
    if (uid === undefined || !replaces) continue;
    const others = replaced.get(uid) ?? new Map<number, EventTime[]>();
    replaced.set(uid, addExclusion(others, replaces));
  }
  return events
    .filter(({ blocks }) => blocks)
    .flatMap((event) => {
      const own: Exclusions = event.excluded.reduce(addExclusion, new Map<number, EventTime[]>());
      const others = event.replaces || event.uid === undefined ? undefined : replaced.get(event.uid);
      return intervalsOf(event, { exclusions: others ? [own, others] : [own], userZone, range, work });
    });
}

function addExclusion(exclusions: Exclusions, time: EventTime): Exclusions {
  const day = dayOf(time.wall);
  const others = exclusions.get(day);
  if (others) others.push(time);
  else exclusions.set(day, [time]);
  return exclusions;
}

function intervalsOf(
  event: CalendarEvent,
  { exclusions, userZone, range, work }: { exclusions: Exclusions[]; userZone: Zone; range: Interval; work: Work },
): Interval[] {
  const near = { start: range.start - MARGIN, end: range.end + MARGIN };
  const lengths = new Map<Span, Length>();
  const lengthOnce = (span: Span): Length => {
    const length = lengths.get(span) ?? lengthOf(span, userZone);
    if (!length) throw badEvent(event.label, work.path, "ends before it starts");
    lengths.set(span, length);
    return length;
  };
  return startsOf(event, userZone, near, work).flatMap(({ start, lasting }) => {
    if (start.wall > near.end || start.wall + reachOf(lasting) < near.start) return [];
    if (exclusions.some((each) => isExcluded(start, each, userZone, work))) return [];
    spend(work, STEPS_OF_INTERVAL);
    const { days, milliseconds } = lengthOnce(lasting);
    const from = instantOf(start, userZone);
    const lastDay = { ...start, wall: Math.min(start.wall + days * DAY, near.end) };
    const to = (days === 0 ? from : instantOf(lastDay, userZone)) + milliseconds;
    return to > from && to > range.start && from < range.end ? [{ start: from, end: to }] : [];
  });
}

/** Every start that may matter, and the span that tells how long it lasts. */
function startsOf(
  event: CalendarEvent,
  userZone: Zone,
  near: Interval,
  work: Work,
): { start: EventTime; lasting: Span }[] {
  const { wall, isDate, zone } = event.start;
  const repeated = event.rules.flatMap((rule) => {
    const to = Math.min(near.end, untilOf(rule, zone ?? userZone, isDate));
    return [...occurrences(rule, wall, { from: near.start - reachOf(event), to, isDate, work })];
  });
  return [
    // DTSTART is always in the set (RFC 5545 §3.8.2.4), whether the rule has it or not.
    ...[...new Set([wall, ...repeated])].map((at) => ({ start: { ...event.start, wall: at }, lasting: event })),
    ...event.extra.map((span) => ({ start: span.start, lasting: span.end || span.length ? span : event })),
  ];
}

function instantOf({ wall, zone }: EventTime, userZone: Zone): number {
  return (zone ?? userZone).instant(wall);
}

/** The last wall time that UNTIL allows. */
function untilOf({ until }: Rule, zone: Zone, isDate: boolean): number {
  if (!until) return Number.POSITIVE_INFINITY;
  if (until.form === "date") return until.wall + DAY - 1;
  if (until.form === "local") return until.wall;
  // Programs end all-day series at midnight in UTC or at the user's midnight: the later one hides no event.
  return isDate ? Math.max(until.wall, zone.wall(until.wall)) : zone.wall(until.wall);
}

/** About how long a span lasts, in milliseconds: enough to leave far ones out before zones are asked. */
function reachOf({ start, end, length }: Span): number {
  if (end) return Math.max(0, end.wall - start.wall);
  return length ? length.days * DAY + length.milliseconds : 0;
}

/** Undefined when the end is before the start. A date without an end, or that ends as it starts, is one day. */
function lengthOf({ start, end, length = { days: 0, milliseconds: 0 } }: Span, userZone: Zone): Length | undefined {
  if (start.isDate) {
    const lasts = end ? end.wall - start.wall : length.days * DAY + length.milliseconds;
    return lasts < 0 ? undefined : { days: Math.max(1, Math.ceil(lasts / DAY)), milliseconds: 0 };
  }
  if (!end) return length;
  const milliseconds = instantOf(end, userZone) - instantOf(start, userZone);
  return milliseconds < 0 ? undefined : { days: 0, milliseconds };
}

function isExcluded(start: EventTime, exclusions: Exclusions, userZone: Zone, work: Work): boolean {
  const day = dayOf(start.wall);
  // Zones are up to 26 hours apart.
  const near = exclusions.size === 0 ? [] : [-2, -1, 0, 1, 2].flatMap((days) => exclusions.get(day + days) ?? []);
  spend(work, near.length);
  return near.some((time) =>
    start.isDate || time.isDate ? dayOf(time.wall) === day : instantOf(time, userZone) === instantOf(start, userZone),
  );
}
