/** Milliseconds of a day that has no change of clocks. */
export const DAY = 86_400_000;

const QUARTER_HOUR = 900_000;
const ZONE_NAME = /^[A-Za-z][A-Za-z0-9_+/-]*$/;
/** `T::` is what ical.js makes of a date that is not marked with VALUE=DATE. */
const VALUE = /^(\d{4})-(\d{2})-(\d{2})(?:T::|T(\d{2}):(\d{2}):(\d{2})(Z)?)?$/;

/**
 * Clocks of one place. An instant is milliseconds since 1970 in UTC; a wall time is what a clock on the wall shows,
 * as if that were UTC, so that days and hours of it are plain arithmetic.
 */
export interface Zone {
  /** The wall time at an instant. */
  wall(instant: number): number;
  /**
   * The instant of a wall time (RFC 5545 §3.3.5): one that happens twice is the first, one that clocks skip is read
   * with the offset from before the change.
   */
  instant(wall: number): number;
}

/** A DATE, DATE-TIME in local time or in UTC (RFC 5545 §3.3.4 and 3.3.5); `wall` in milliseconds, see {@link Zone}. */
export interface TimeValue {
  wall: number;
  form: "date" | "local" | "utc";
}

/** A property that cannot be understood. The message completes "the event X …"; readers turn it into a MnemailError. */
export class UnreadableError extends Error {}

/** Milliseconds since 1970 of a UTC date and time; unlike Date.UTC it takes years before 100 as they are written. */
export function utcMilliseconds(year: number, month: number, day: number, hour = 0, minute = 0, second = 0): number {
  return new Date(0).setUTCFullYear(year, month - 1, day) + ((hour * 60 + minute) * 60 + second) * 1000;
}

/** Reads `2026-03-10`, `2026-03-10T09:00:00` or the same with `Z` (RFC 7265 §3.6); undefined unless it is real. */
export function parseTimeValue(value: unknown): TimeValue | undefined {
  const match = typeof value === "string" ? VALUE.exec(value) : null;
  if (!match) return undefined;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match
    .slice(1, 7)
    .map((part) => Number(part ?? 0));
  const date = new Date(utcMilliseconds(year, month, day));
  // RFC 5545 allows the leap second 60.
  if (date.getUTCDate() !== day || date.getUTCMonth() !== month - 1 || hour > 23 || minute > 59 || second > 60) {
    return undefined;
  }
  const form = match[4] === undefined ? "date" : match[7] === undefined ? "local" : "utc";
  return { wall: utcMilliseconds(year, month, day, hour, minute, second), form };
}

/** A zone from its offset at an instant: milliseconds to add to UTC. At most one change of clocks in two days. */
export function zoneOf(offsetAt: (instant: number) => number): Zone {
  return {
    wall: (instant) => instant + offsetAt(instant),
    instant(wall) {
      const before = offsetAt(wall - DAY);
      const after = offsetAt(wall + DAY);
      const isAfter = offsetAt(wall - before) !== before && offsetAt(wall - after) === after;
      return wall - (isAfter ? after : before);
    },
  };
}

/** Coordinated universal time. */
export const UTC: Zone = zoneOf(() => 0);

/** Whether a name is a time zone of the IANA database that this Node.js knows, such as Europe/Oslo. */
export function isTimeZone(name: string): boolean {
  return ianaZone(name) !== undefined;
}

/** The zone with an IANA name, in any case; undefined when there is none. Offsets such as `+01:00` are no names. */
export function ianaZone(name: string): Zone | undefined {
  const format = ZONE_NAME.test(name) ? formatIn(name) : undefined;
  if (!format) return undefined;
  const exactOffset = (instant: number): number => {
    const parts = Object.fromEntries(format.formatToParts(instant).map(({ type, value }) => [type, Number(value)]));
    const { year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0 } = parts;
    return utcMilliseconds(year, month, day, hour, minute, second) - Math.floor(instant / 1000) * 1000;
  };
  // Intl takes microseconds per call: the offset at midnight is kept, and most days have but one offset.
  const atMidnight = new Map<number, number>();
  const offsetAtMidnight = (day: number): number => {
    const known = atMidnight.get(day) ?? exactOffset(day * DAY);
    atMidnight.set(day, known);
    return known;
  };
  return zoneOf((instant) => {
    const day = Math.floor(instant / DAY);
    const offset = offsetAtMidnight(day);
    return offset === offsetAtMidnight(day + 1) ? offset : exactOffset(instant);
  });
}

/** To make a format takes longer than to use it a hundred times. */
const FORMATS = new Map<string, Intl.DateTimeFormat>();

function formatIn(timeZone: string): Intl.DateTimeFormat | undefined {
  const known = FORMATS.get(timeZone);
  if (known) return known;
  const numeric = "numeric";
  const fields = {
    year: numeric,
    month: numeric,
    day: numeric,
    hour: numeric,
    minute: numeric,
    second: numeric,
  } as const;
  try {
    const format = new Intl.DateTimeFormat("en-US", { ...fields, hourCycle: "h23", timeZone });
    // Only names of zones come so far, of which there are some six hundred.
    FORMATS.set(timeZone, format);
    return format;
  } catch {
    return undefined;
  }
}

/**
 * The wall times that an interval of instants covers: one pair, or several when clocks change in it, since a night
 * in autumn covers some wall times twice.
 */
export function wallIntervals(zone: Zone, start: number, end: number): { start: number; end: number }[] {
  const whole = { start: zone.wall(start), end: zone.wall(end) };
  if (whole.end - whole.start === end - start) return [whole];
  const pieces: { start: number; end: number }[] = [];
  // Clocks change on the quarter hour of UTC, so that no piece has a change in it.
  for (let from = start; from < end; ) {
    const to = Math.min(end, (Math.floor(from / QUARTER_HOUR) + 1) * QUARTER_HOUR);
    // Wall times that clocks skip are covered too: nobody is free then.
    pieces.push({ start: zone.wall(from), end: Math.max(zone.wall(from) + to - from, zone.wall(to)) });
    from = to;
  }
  return pieces;
}
