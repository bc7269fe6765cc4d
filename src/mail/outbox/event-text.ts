import { MnemailError } from "../../errors.ts";
import { mailbox, plainAddress } from "./compose.ts";

const MINUTE = 60_000;
/** RFC 5545 §3.1, in octets, without the line break. */
const LINE_LIMIT = 75;

/** What an event is made of. Attendees are addresses alone, plain ones; the organizer may have a name. */
export interface EventParts {
  /** Names the event for good: its UID is made of it. */
  key: string;
  title: string;
  attendees: string[];
  start: Date;
  durationMinutes: number;
  organizer?: string | undefined;
  at: Date;
}

/** The UID of the event with a key. */
export function eventUid(key: string): string {
  return `${key}@mnemail`;
}

/**
 * The lines of a VEVENT (RFC 5545 §3.6.1), times in UTC, each ending in `lineBreak`. Without METHOD, and with
 * SCHEDULE-AGENT=NONE (RFC 6638 §7.1): no calendar server may send invitations, which nobody approved.
 *
 * @throws MnemailError("input") for an organizer or attendees that are not plain addresses and times that cannot be written.
 */
export function eventText(
  { key, title, attendees, start, durationMinutes, organizer, at }: EventParts,
  lineBreak: string,
) {
  const lines = [
    "BEGIN:VEVENT",
    `UID:${eventUid(key)}`,
    `DTSTAMP:${utc(at.getTime())}`,
    `DTSTART:${utc(start.getTime())}`,
    `DTEND:${utc(start.getTime() + durationMinutes * MINUTE)}`,
    `SUMMARY:${escapeText(title)}`,
    ...(organizer === undefined ? [] : [`ORGANIZER:${mailto(mailbox("organizer", organizer).address)}`]),
    ...attendees.map((each) => `ATTENDEE;SCHEDULE-AGENT=NONE:${mailto(plainAddress("attendee", each))}`),
    "END:VEVENT",
  ];
  return lines.map((line) => fold(line, lineBreak) + lineBreak).join("");
}

/** A calendar of one event, as bytes of a file. @throws as {@link eventText}. */
export function wholeCalendar(event: EventParts): Uint8Array {
  const frame = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Mnemail//Outbox//EN"]
    .map((line) => `${line}\r\n`)
    .join("");
  return Buffer.from(`${frame}${eventText(event, "\r\n")}END:VCALENDAR\r\n`);
}

function utc(instant: number): string {
  const [, date, hours, minutes, seconds] =
    /^(\d{4}-\d\d-\d\d)T(\d\d):(\d\d):(\d\d)/.exec(Number.isNaN(instant) ? "" : new Date(instant).toISOString()) ?? [];
  if (date === undefined) throw new MnemailError("input", "event: its start or end is no time of the years 0 to 9999");
  return `${date.replaceAll("-", "")}T${hours}${minutes}${seconds}Z`;
}

/** RFC 5545 §3.3.11: no control characters but tabs; line breaks are written out. */
function escapeText(text: string): string {
  return text
    .toWellFormed()
    .replace(/[\\;,]/g, "\\$&")
    .replace(/\r\n?|\n/g, "\\n")
    .replace(/(?!\t)\p{Cc}/gu, "");
}

function mailto(address: string): string {
  return `mailto:${address.split("@").map(escapeUri).join("@")}`;
}

function escapeUri(text: string): string {
  return text.replace(/[^A-Za-z0-9.+_~!$'*=-]/gu, encodeURIComponent);
}

/** RFC 5545 §3.1: a long line goes on after a line break and a space, never within a character. */
function fold(line: string, lineBreak: string): string {
  let folded = "";
  let length = 0;
  for (const character of line) {
    const octets = Buffer.byteLength(character);
    if (length + octets > LINE_LIMIT) {
      folded += `${lineBreak} `;
      length = 1;
    }
    folded += character;
    length += octets;
  }
  return folded;
}
