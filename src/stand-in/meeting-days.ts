const DAY_MS = 86_400_000;
const DAYS_AT_MOST = 7;
const SHORTEST_SLOT = 30;
const WEEKDAYS = ["sun", "mon", "tues", "wednes", "thurs", "fri", "satur"];

/** The user's local time as `YYYY-MM-DD` and `HH:MM`. */
export interface Moment {
  day: string;
  time: string;
}

/**
 * The days to look up for a meeting: the ISO dates in the text; else its weekdays, each the first one after the
 * email's date; else the next working day. None in the past, at most seven.
 */
export function wantedDays(text: string, sent: string, now: Moment): string[] {
  const dates = [...text.matchAll(/\b\d{4}-\d\d-\d\d\b/g)].map(([date]) => date);
  const named = dates.filter((date) => isoDay(Date.parse(`${date}T00:00Z`)) === date && date >= now.day);
  if (named.length > 0) return firstOf(named);
  const written = sentDay(sent);
  const base = written !== undefined && written < now.day ? written : now.day;
  const weekdays = [...text.matchAll(/\b(sun|mon|tues|wednes|thurs|fri|satur)days?\b/gi)].map(([, name]) => {
    const weekday = WEEKDAYS.indexOf((name ?? "").toLowerCase());
    const next = nextWeekday(base, weekday);
    return next >= now.day ? next : nextWeekday(addDays(now.day, -1), weekday);
  });
  return weekdays.length > 0 ? firstOf(weekdays) : [nextWorkingDay(now.day)];
}

/** The length of a meeting that the text asks for, in minutes: `45 minutes`, `45-minute`, `1 hour`; 30 without. */
export function wantedMinutes(text: string): number {
  const [, count, unit] = /\b(\d{1,3})[ -]?(min|hour)/i.exec(text) ?? [];
  const minutes = Number(count ?? 0) * (unit?.toLowerCase() === "hour" ? 60 : 1);
  return minutes >= 5 && minutes <= 480 ? minutes : 30;
}

/**
 * The first free time long enough for a meeting in the calendar's lines, `2026-03-10 (Tuesday): free 09:00-10:00,
 * 11:30-17:00`, as `YYYY-MM-DDTHH:MM`. Today counts from the next full half hour on.
 */
export function firstFreeTime(calendar: string, minutes: number, now: Moment): string | undefined {
  for (const [, day, times] of calendar.slice(0, 10_000).matchAll(/(\d{4}-\d\d-\d\d)[^\n:]{0,40}: free ([^\n]*)/g)) {
    for (const [, from, to] of (times ?? "").matchAll(/(\d\d:\d\d)[-–](\d\d:\d\d)/g)) {
      const earliest = day === now.day ? Math.ceil(minuteOf(now.time) / 30) * 30 : 0;
      const start = Math.max(minuteOf(from ?? ""), earliest);
      const isPast = day === undefined || day < now.day;
      if (!isPast && minuteOf(to ?? "") - start >= Math.max(minutes, SHORTEST_SLOT)) {
        const two = (value: number) => String(value).padStart(2, "0");
        return `${day}T${two(Math.floor(start / 60))}:${two(start % 60)}`;
      }
    }
  }
  return undefined;
}

/** The day an email says it was sent, by the sender's own clock. */
function sentDay(date: string): string | undefined {
  const written = /\d{4}-\d\d-\d\d/.exec(date)?.[0];
  return written ?? isoDay(Date.parse(`${date.replace(/\d{1,2}:\d\d.*$/, "")} UTC`));
}

function nextWeekday(after: string, weekday: number): string {
  const start = new Date(`${after}T00:00Z`).getUTCDay();
  return addDays(after, ((weekday - start + 6) % 7) + 1);
}

function nextWorkingDay(after: string): string {
  const next = addDays(after, 1);
  const weekday = new Date(`${next}T00:00Z`).getUTCDay();
  return addDays(next, weekday === 6 ? 2 : weekday === 0 ? 1 : 0);
}

function addDays(day: string, days: number): string {
  return isoDay(Date.parse(`${day}T00:00Z`) + days * DAY_MS) ?? day;
}

function isoDay(time: number): string | undefined {
  const day = Number.isNaN(time) ? "" : new Date(time).toISOString().slice(0, 10);
  return /^\d{4}-\d\d-\d\d$/.test(day) ? day : undefined;
}

function firstOf(days: string[]): string[] {
  return [...new Set(days)].sort().slice(0, DAYS_AT_MOST);
}

function minuteOf(time: string): number {
  const [hours, minutes] = time.split(":");
  return Number(hours) * 60 + Number(minutes);
}
