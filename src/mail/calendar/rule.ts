import { z } from "zod";
import { parseTimeValue, type TimeValue, UnreadableError } from "./time-zone.ts";

const WEEKDAY_CODES = ["SU", "MO", "TU", "WE", "TH", "FR", "SA"];

const numbers = listOf(z.number().int());
const weekday = z
  .string()
  .regex(/^[+-]?\d*(?:SU|MO|TU|WE|TH|FR|SA)$/)
  // No number parses to NaN: every such weekday, position 0.
  .transform((code) => ({ position: Number.parseInt(code, 10) || 0, weekday: WEEKDAY_CODES.indexOf(code.slice(-2)) }));
// Strict: a part that is not known (RSCALE and SKIP of RFC 7529) changes which days a rule means.
const recurSchema = z.strictObject({
  freq: z.enum(["SECONDLY", "MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"]),
  interval: z.number().int().positive().default(1),
  count: z.number().int().positive().optional(),
  until: z.string().optional(),
  wkst: z.number().int().min(1).max(7).default(2),
  byday: listOf(weekday),
  bymonth: numbers,
  bymonthday: numbers,
  byyearday: numbers,
  byweekno: numbers,
  byhour: numbers,
  byminute: numbers,
  bysecond: numbers,
  bysetpos: numbers,
  // What a semicolon at the end of a rule becomes.
  "": z.undefined().optional(),
});

/**
 * A recurrence rule (RFC 5545 §3.3.10) that repeats by days or longer, its parts named as there. Empty lists are
 * absent parts. Weekdays count from 0, Sunday; `position` is the 2 of `2MO`, 0 for every Monday.
 */
export interface Rule {
  freq: "DAILY" | "WEEKLY" | "MONTHLY" | "YEARLY";
  interval: number;
  count: number | undefined;
  until: TimeValue | undefined;
  weekStart: number;
  byDay: { position: number; weekday: number }[];
  byMonth: number[];
  byMonthDay: number[];
  byYearDay: number[];
  byWeekNumber: number[];
  byHour: number[];
  byMinute: number[];
  bySecond: number[];
  bySetPosition: number[];
}

/** Reads an RRULE from jCal (RFC 7265 §3.6.10). Throws UnreadableError, for SECONDLY, MINUTELY and HOURLY too. */
export function parseRule(value: unknown): Rule {
  const parsed = recurSchema.safeParse(value);
  if (!parsed.success) throw new UnreadableError("has a repetition that cannot be read");
  const { freq, interval, count, ...parts } = parsed.data;
  if (freq === "SECONDLY" || freq === "MINUTELY" || freq === "HOURLY") {
    throw new UnreadableError(`repeats ${freq}, and the shortest repetition that is read is DAILY`);
  }
  const until = parseTimeValue(parts.until);
  if (parts.until !== undefined && !until) throw new UnreadableError("has a repetition whose end cannot be read");
  return {
    freq,
    interval,
    count,
    until,
    // jCal counts weekdays from 1, Sunday.
    weekStart: parts.wkst - 1,
    byDay: parts.byday,
    byMonth: parts.bymonth,
    byMonthDay: parts.bymonthday,
    byYearDay: parts.byyearday,
    byWeekNumber: parts.byweekno,
    byHour: parts.byhour,
    byMinute: parts.byminute,
    bySecond: parts.bysecond,
    bySetPosition: parts.bysetpos,
  };
}

/** jCal writes a list of one as its one value. */
function listOf<Item extends z.ZodType>(item: Item) {
  return z
    .union([item.transform((one) => [one]), z.array(item)])
    .optional()
    .transform((list) => list ?? []);
}
