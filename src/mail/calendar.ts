import { readFile, stat } from "node:fs/promises";
import { z } from "zod";
import { cleanText } from "../email.ts";
import { MnemailError } from "../errors.ts";
import { busyIntervals } from "./calendar/busy.ts";
import { parseEvents } from "./calendar/events.ts";
import { gapsBetween, type Interval, union } from "./calendar/intervals.ts";
import { dayOf, renewWork, type Work, weekdayOf } from "./calendar/recurrence.ts";
import { DAY, ianaZone, isTimeZone, parseTimeValue, wallIntervals, type Zone } from "./calendar/time-zone.ts";

const MINUTE = 60_000;
const DAY_MINUTES = 1440;
const SHORTEST_FREE_MINUTES = 15;
const MOST_DAYS = 14;
const MOST_BYTES = 20 * 1024 * 1024;
const WEEKDAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"] as const;

/** A day of the week by its English name. */
export type Weekday = (typeof WEEKDAYS)[number];

/** When the user works, on the clocks of their time zone: HH:MM from `start` to `end` (24:00 at most) on `days`. */
export interface WorkingHours {
  start: string;
  end: string;
  days: Weekday[];
}

/** A stretch of one day on local clocks, HH:MM; an `end` of 24:00 is midnight. */
export interface LocalInterval {
  start: string;
  end: string;
}

/**
 * One day, YYYY-MM-DD: the gaps of 15 minutes or more in its working hours, and every busy time of the day, all
 * sorted and apart from each other. `working` is false on days that are not working days. Times only: nothing of what
 * the events say may reach a draft.
 */
export interface DayAvailability {
  day: string;
  weekday: Weekday;
  working: boolean;
  free: LocalInterval[];
  busy: LocalInterval[];
}

/** A calendar that was read from `path`. */
export interface Calendar {
  path: string;
  /**
   * Free and busy times of up to 14 days (YYYY-MM-DD), in their order, each once. Throws MnemailError `calendar` for
   * days that do not exist, no days or too many, a zone that does not exist, an event that ends before it starts, and
   * repetitions that take too long.
   */
  availability(days: string[], options: AvailabilityOptions): DayAvailability[];
}

/** Whose clocks and hours count; `taken` are times that the file does not know of: local YYYY-MM-DDTHH:MM, minutes. */
export interface AvailabilityOptions {
  timeZone: string;
  workingHours: WorkingHours;
  taken?: { start: string; duration_minutes: number }[];
}

const time = z.string().regex(/^(?:[01]\d|2[0-3]):[0-5]\d$/, "expected a time such as 09:00");
const endTime = z.string().regex(/^(?:(?:[01]\d|2[0-3]):[0-5]\d|24:00)$/, "expected a time such as 17:00");

/** Parses {@link WorkingHours}: the start before the end, at least one day. */
export const workingHoursSchema: z.ZodType<WorkingHours> = z
  .object({ start: time, end: endTime, days: z.array(z.enum(WEEKDAYS)).min(1, "expected at least one weekday") })
  .refine(({ start, end }) => start < end, { message: "expected a start before the end", path: ["end"] });

/** Parses the IANA name of a time zone that this Node.js knows, such as Europe/Oslo. */
export const timeZoneSchema = z
  .string()
  .refine(isTimeZone, "expected the IANA name of a time zone, such as Europe/Oslo");

/** 09:00 to 17:00, Monday to Friday. */
export const DEFAULT_WORKING_HOURS: WorkingHours = {
  start: "09:00",
  end: "17:00",
  days: ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"],
};

/**
 * Reads an iCalendar file (RFC 5545) of at most 20 MB. Busy are confirmed and tentative events that are not marked as
 * transparent. Throws MnemailError `calendar`, in one line that names the path: no such file, unreadable, empty, too
 * large, not a calendar, or an event whose time, zone or repetition cannot be understood, which it names.
 */
export async function loadCalendar(path: string): Promise<Calendar> {
  const text = await readText(path);
  if (lastRead?.path === path && lastRead.text === text) return lastRead.calendar;
  const calendar = parseCalendar(text, path);
  lastRead = { path, text, calendar };
  return calendar;
}

/** To parse a calendar and the changes of its time zones takes far longer than to read it. */
let lastRead: { path: string; text: string; calendar: Calendar } | undefined;

function parseCalendar(text: string, path: string): Calendar {
  const work: Work = { path, steps: 0, horizon: Number.NEGATIVE_INFINITY };
  const events = parseEvents(text, work);
  return {
    path,
    availability(days, { timeZone, workingHours, taken = [] }) {
      const zone = ianaZone(timeZone);
      if (!zone)
        throw new MnemailError("calendar", `Unknown time zone ${show(timeZone)}: expected one such as Europe/Oslo.`);
      const midnights = parseDays(days);
      renewWork(work, Math.max(...midnights) + 3 * DAY);
      const busyTimes = daysInARow(midnights).flatMap(({ start, end }) =>
        busyIntervals(events, zone, { start: zone.instant(start), end: zone.instant(end) }, work),
      );
      const takenTimes = taken.map(({ start, duration_minutes }): Interval => {
        const from = zone.instant(Date.parse(`${start}Z`));
        return { start: from, end: from + duration_minutes * MINUTE };
      });
      const times = [...busyTimes, ...takenTimes];
      return midnights.map((midnight) => availabilityOf(midnight, zone, workingHours, times));
    },
  };
}

/** One line for each day: `2026-03-10 (Tuesday): free 09:00-10:00, 11:30-17:00`, nothing free or outside working hours. */
export function renderAvailability(days: DayAvailability[]): string {
  return days
    .map(({ day, weekday, working, free }) => {
      const times = free.map(({ start, end }) => `${start}-${end}`).join(", ");
      return `${day} (${weekday}): ${times ? `free ${times}` : working ? "nothing free" : "outside working hours"}`;
    })
    .join("\n");
}

async function readText(path: string): Promise<string> {
  const failed = (problem: string, hint: string, cause?: unknown) =>
    new MnemailError("calendar", `The calendar ${path} ${problem}.`, hint, { cause });
  try {
    const found = await stat(path);
    // A pipe would keep us waiting.
    if (!found.isFile()) throw failed("is not a file", "name an .ics file");
    if (found.size > MOST_BYTES) throw failed("is larger than 20 MB", "export recent and coming events only");
    const text = await readFile(path, "utf8");
    if (text.trim() === "") throw failed("is empty", "export the calendar again as an .ics file");
    return text;
  } catch (error) {
    if (error instanceof MnemailError) throw error;
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT") throw failed("does not exist", "check the path, or export the calendar to it", error);
    throw failed(`cannot be read (${code ?? "unknown error"})`, "check that you may read this file", error);
  }
}

/** Wall times of the midnights that begin the days. */
function parseDays(days: string[]): number[] {
  const walls = [...new Set(days)].map((day) => {
    const time = parseTimeValue(day);
    if (time?.form === "date" && day.length === 10 && !day.startsWith("0000")) return time.wall;
    throw new MnemailError(
      "calendar",
      `No such day: ${show(day)}; expected a real date as YYYY-MM-DD, such as 2026-03-10.`,
    );
  });
  if (walls.length > 0 && walls.length <= MOST_DAYS) return walls;
  throw new MnemailError(
    "calendar",
    `${walls.length} days were asked for; expected 1 to ${MOST_DAYS}, each as YYYY-MM-DD.`,
  );
}

/** Days that follow each other are looked up together; years between two would make the look-up long. */
function daysInARow(midnights: number[]): Interval[] {
  return union(midnights.map((start) => ({ start, end: start + DAY })));
}

function show(text: string): string {
  return JSON.stringify(cleanText(text).slice(0, 40));
}

function availabilityOf(midnight: number, zone: Zone, hours: WorkingHours, busyTimes: Interval[]): DayAvailability {
  const range = { start: zone.instant(midnight), end: zone.instant(midnight + DAY) };
  const busy = union(
    busyTimes
      .filter(({ start, end }) => start < range.end && end > range.start)
      .flatMap(({ start, end }) =>
        wallIntervals(zone, Math.max(start, range.start), Math.min(end, range.end)).map((wall) => ({
          start: Math.max(0, Math.floor((wall.start - midnight) / MINUTE)),
          end: Math.min(DAY_MINUTES, Math.ceil((wall.end - midnight) / MINUTE)),
        })),
      ),
  );
  const weekday = WEEKDAYS[weekdayOf(dayOf(midnight))] ?? "Sunday";
  const working = hours.days.includes(weekday);
  const hoursOfDay = { start: minutesOf(hours.start), end: minutesOf(hours.end) };
  const gaps = working ? gapsBetween(busy, hoursOfDay) : [];
  const free = gaps.filter(({ start, end }) => end - start >= SHORTEST_FREE_MINUTES);
  const day = new Date(midnight).toISOString().slice(0, 10);
  return { day, weekday, working, free: free.map(renderInterval), busy: busy.map(renderInterval) };
}

function minutesOf(clock: string): number {
  const [hours = 0, minutes = 0] = clock.split(":").map(Number);
  return hours * 60 + minutes;
}

function renderInterval({ start, end }: Interval): LocalInterval {
  const clock = (minutes: number) =>
    [Math.floor(minutes / 60), minutes % 60].map((part) => String(part).padStart(2, "0")).join(":");
  return { start: clock(start), end: clock(end) };
}
