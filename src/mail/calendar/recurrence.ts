import { MnemailError } from "../../errors.ts";
import type { Rule } from "./rule.ts";
import { DAY, utcMilliseconds } from "./time-zone.ts";

/** At most about a second. */
const STEPS = 3_000_000;
const LONGEST_DAYS = { DAILY: 1, WEEKLY: 7, MONTHLY: 31, YEARLY: 366 };

/** What one look-up may still cost, in steps, and the file that an error names. Zones are exact up to `horizon`. */
export interface Work {
  readonly path: string;
  /** An instant in milliseconds, see Zone. */
  horizon: number;
  steps: number;
}

/** Starts a look-up whose last instant is `horizon`, with a fresh allowance. */
export function renewWork(work: Work, horizon: number): void {
  work.steps = STEPS;
  work.horizon = horizon;
}

/** Takes steps off the allowance. Throws MnemailError `calendar` when it is used up, so that no file can hang us. */
export function spend(work: Work, steps: number): void {
  work.steps -= steps;
  if (work.steps >= 0) return;
  throw new MnemailError(
    "calendar",
    `The repeating events of the calendar ${work.path} take too long to work out.`,
    "export recent and coming events only",
  );
}

/**
 * The wall times (milliseconds, ascending) at which a rule that starts at the wall time `start` repeats, from `from`
 * to `to`, both included (RFC 5545 §3.3.10); a date has no time of day. UNTIL is for the caller to put into `to`.
 * Goes period by period from shortly before `from`; only a COUNT of uneven periods is counted from the start. ical.js has an iterator too, but one step of it can loop for ever, and it leaves out parts such as BYWEEKNO.
 * Throws MnemailError `calendar`, see {@link spend}.
 */
export function* occurrences(
  rule: Rule,
  start: number,
  { from, to, isDate, work }: { from: number; to: number; isDate: boolean; work: Work },
): Generator<number> {
  const filled = fillIn(rule, start);
  const times = isDate ? [0] : timesOfDay(rule, start - dayOf(start) * DAY);
  spend(work, times.length);
  const wallsOf = (index: number): number[] => {
    const { days } = daysOfPeriod(filled, dayOf(start), index * rule.interval);
    const walls = days.filter((day) => isDayOf(filled, day)).flatMap((day) => times.map((time) => day * DAY + time));
    spend(work, 1 + days.length + walls.length);
    return atPositions(walls, rule.bySetPosition).filter((wall) => wall >= start);
  };
  let index = Math.max(0, Math.floor((from - start) / DAY / (LONGEST_DAYS[rule.freq] * rule.interval)) - 1);
  let left = rule.count ?? Number.POSITIVE_INFINITY;
  if (rule.count !== undefined && index > 0) {
    if (hasEvenPeriods(rule)) left -= wallsOf(0).length + (index - 1) * wallsOf(1).length;
    else index = 0;
  }
  for (; left > 0; index += 1) {
    // Negated, because the first day is NaN past the end of what Date can hold.
    if (!(daysOfPeriod(filled, dayOf(start), index * rule.interval).first * DAY <= to)) return;
    for (const wall of wallsOf(index)) {
      if (wall > to || left === 0) return;
      left -= 1;
      if (wall >= from) yield wall;
    }
  }
}

/** Whether all periods but the first have as many times in them. */
function hasEvenPeriods({ freq, byDay, byMonth, byMonthDay, byYearDay, byWeekNumber }: Rule): boolean {
  const filters = [...byMonth, ...byMonthDay, ...byYearDay, ...byWeekNumber, ...(freq === "DAILY" ? byDay : [])];
  return (freq === "DAILY" || freq === "WEEKLY") && filters.length === 0;
}

/** The day of a wall time, counted from 1970-01-01. */
export function dayOf(wall: number): number {
  return Math.floor(wall / DAY);
}

/** The weekday of a day that is counted from 1970-01-01, itself counted from 0, Sunday. */
export function weekdayOf(day: number): number {
  return (((day + 4) % 7) + 7) % 7;
}

/** What a rule leaves open is as at its start. */
function fillIn(rule: Rule, start: number): Rule {
  const { freq, byMonth, byMonthDay, byYearDay, byWeekNumber, byDay } = rule;
  const { month, date } = dateOf(dayOf(start));
  if (byDay.length > 0 || byMonthDay.length > 0 || byYearDay.length > 0 || freq === "DAILY") return rule;
  if (freq === "WEEKLY" || byWeekNumber.length > 0) {
    return { ...rule, byDay: [{ position: 0, weekday: weekdayOf(dayOf(start)) }] };
  }
  return { ...rule, byMonthDay: [date], byMonth: freq === "YEARLY" && byMonth.length === 0 ? [month] : byMonth };
}

/** Milliseconds of the times of day, ascending. */
function timesOfDay({ byHour, byMinute, bySecond }: Rule, ofStart: number): number[] {
  const start = new Date(ofStart);
  const or = (list: number[], own: number) => (list.length > 0 ? list : [own]);
  const seconds = or(byHour, start.getUTCHours()).flatMap((hour) =>
    or(byMinute, start.getUTCMinutes()).flatMap((minute) =>
      or(bySecond, start.getUTCSeconds()).map((second) => (hour * 60 + minute) * 60 + second),
    ),
  );
  return [...new Set(seconds)].sort((a, b) => a - b).map((second) => second * 1000);
}

/** The first day of the period so many units after the start's, and the days in it that can be in the set. */
function daysOfPeriod(rule: Rule, start: number, offset: number): { first: number; days: number[] } {
  if (rule.freq === "DAILY") return { first: start + offset, days: [start + offset] };
  if (rule.freq === "WEEKLY") {
    const first = startOfWeek(rule, start) + 7 * offset;
    return { first, days: count(first, 7) };
  }
  const { year, month } = dateOf(start);
  if (rule.freq === "MONTHLY")
    return { first: firstDay(year, month + offset), days: daysOfMonth(year, month + offset) };
  const months = rule.byMonth.length > 0 ? rule.byMonth.toSorted((a, b) => a - b) : count(1, 12);
  return { first: firstDay(year + offset, 1), days: months.flatMap((each) => daysOfMonth(year + offset, each)) };
}

/** BYDAY, BYMONTH, BYMONTHDAY, BYYEARDAY and BYWEEKNO: a day of the set passes each part that the rule has. */
function isDayOf(rule: Rule, day: number): boolean {
  const weekday = weekdayOf(day);
  const onWeekday = rule.byDay.filter((each) => each.weekday === weekday);
  if (rule.byDay.length > 0 && onWeekday.length === 0) return false;
  const { year, month, date } = dateOf(day);
  const ofMonth = () => ({ number: date, of: firstDay(year, month + 1) - firstDay(year, month) });
  if (!allows(rule.byMonth, () => ({ number: month, of: 12 }))) return false;
  if (!allows(rule.byMonthDay, ofMonth)) return false;
  if (!allows(rule.byYearDay, () => dayOfYear(day, year))) return false;
  if (!allows(rule.byWeekNumber, () => weekOfYear(rule, day))) return false;
  // Only a month or a year has a second Monday.
  const hasPositions = (rule.freq === "MONTHLY" || rule.freq === "YEARLY") && rule.byWeekNumber.length === 0;
  if (!hasPositions || rule.byDay.length === 0 || onWeekday.some(({ position }) => position === 0)) return true;
  const { number, of } = rule.freq === "YEARLY" && rule.byMonth.length === 0 ? dayOfYear(day, year) : ofMonth();
  const [fromStart, fromEnd] = [Math.ceil(number / 7), -Math.ceil((of - number + 1) / 7)];
  return onWeekday.some(({ position }) => position === fromStart || position === fromEnd);
}

/** Whether a list has the number, counted from the start or, negative, from the end. An absent part allows all. */
function allows(list: number[], place: () => { number: number; of: number }): boolean {
  if (list.length === 0) return true;
  const { number, of } = place();
  return list.includes(number) || list.includes(number - of - 1);
}

function atPositions(walls: number[], positions: number[]): number[] {
  if (positions.length === 0) return walls;
  return walls.filter((_, index) => allows(positions, () => ({ number: index + 1, of: walls.length })));
}

function dateOf(day: number): { year: number; month: number; date: number } {
  const at = new Date(day * DAY);
  return { year: at.getUTCFullYear(), month: at.getUTCMonth() + 1, date: at.getUTCDate() };
}

function firstDay(year: number, month: number): number {
  return dayOf(utcMilliseconds(year, month, 1));
}

function daysOfMonth(year: number, month: number): number[] {
  const first = firstDay(year, month);
  return count(first, firstDay(year, month + 1) - first);
}

function dayOfYear(day: number, year: number): { number: number; of: number } {
  const first = firstDay(year, 1);
  return { number: day - first + 1, of: firstDay(year + 1, 1) - first };
}

function startOfWeek({ weekStart }: Rule, day: number): number {
  return day - ((weekdayOf(day) - weekStart + 7) % 7);
}

/** A week is of the year that has four days of it or more; 28 December is always in the last one. */
function weekOfYear(rule: Rule, day: number): { number: number; of: number } {
  const middle = startOfWeek(rule, day) + 3;
  const { year } = dateOf(middle);
  const lastMiddle = startOfWeek(rule, firstDay(year + 1, 1) - 4) + 3;
  const weekAt = (at: number) => Math.floor((at - firstDay(year, 1)) / 7) + 1;
  return { number: weekAt(middle), of: weekAt(lastMiddle) };
}

function count(first: number, length: number): number[] {
  return Array.from({ length }, (_, index) => first + index);
}
