import { addressList, cleanText, oneLine } from "../email.ts";
import { MnemailError } from "../errors.ts";
import type { PendingReview } from "../reviews/pending-reviews.ts";
import { shorten } from "./output.ts";
import { type MeetingArgs, type ReadAction, readAction, renderDuration } from "./review-action.ts";

const MEETING_FIELDS = ["title", "start", "duration", "attendees"] as const;

/** What an edit makes of an action: the fields it may change, by the tool's names. */
export type Edit = Record<string, string | number | string[]>;

/**
 * The text that a user edits: of an email its subject as a header, an empty line and the body; of a meeting one line for
 * each field. @throws MnemailError("input") for what cannot be edited.
 */
export function renderForm(action: PendingReview["action"]): string {
  const read = editable(action);
  if (read.name === "write_email") {
    return `Subject: ${oneLine(cleanText(read.args.subject))}\n\n${cleanText(read.args.body).trimEnd()}\n`;
  }
  const { title, start, duration_minutes, attendees } = read.args;
  const lines = [
    `Title: ${oneLine(cleanText(title))}`,
    `Start: ${start.replace("T", " ")}`,
    `Duration: ${renderDuration(duration_minutes)}`,
    `Attendees: ${attendees.join(", ")}`,
  ];
  return `${lines.join("\n")}\n`;
}

/**
 * Reads an edited form back. `name` is what its problems are told of, such as its path.
 *
 * @throws MnemailError("input") that names the line and what was expected there.
 */
export function parseForm(text: string, action: PendingReview["action"], name: string): Edit {
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  const read = editable(action);
  return read.name === "write_email" ? parseEmail(lines, read.args.to, name) : parseMeeting(lines, name);
}

/** What of an action may be edited. @throws MnemailError("input") for questions and notices. */
export function editable(
  action: PendingReview["action"],
): Extract<ReadAction, { name: "write_email" | "schedule_meeting" }> {
  const read = readAction(action);
  if (read.name === "write_email" || read.name === "schedule_meeting") return read;
  const what = read.name === "ask_user" ? "a question" : "a notice";
  throw new MnemailError("input", `${what} cannot be edited`, "answer it with `mnemail review respond`");
}

function parseEmail(lines: readonly string[], to: string, name: string): Edit {
  const [first = "", second = ""] = lines;
  const subject = /^subject:(.*)$/i.exec(first)?.[1];
  if (subject === undefined) throw wrong(name, 1, first, "`Subject: …`, then an empty line, then the text");
  if (second.trim() !== "") {
    const other = /^([a-z-]+):/i.exec(second)?.[1];
    const fixed = `only subject and text can be changed; the answer goes to ${shorten(to, 100)}`;
    throw wrong(name, 2, second, `an empty line before the text${other === undefined ? "" : ` (${fixed})`}`);
  }
  const body = lines.slice(2).join("\n").replace(/^\n+/, "").trimEnd();
  if (body === "") throw new MnemailError("input", `${name}: the text is empty`, "to send nothing, reject it");
  return { subject: subject.trim(), body };
}

function parseMeeting(lines: readonly string[], name: string): Edit {
  const found = new Map<string, string>();
  for (const [i, line] of lines.entries()) {
    if (line.trim() === "") continue;
    const [, field = "", value = ""] = /^\s*([a-z]+)\s*:(.*)$/i.exec(line) ?? [];
    const key = MEETING_FIELDS.find((each) => each === field.toLowerCase());
    if (key === undefined || found.has(key))
      throw wrong(name, i + 1, line, "one line each: Title, Start, Duration, Attendees");
    found.set(key, value.trim());
  }
  const value = (field: (typeof MEETING_FIELDS)[number]) => {
    const given = found.get(field);
    if (given !== undefined) return given;
    const line = `${field.slice(0, 1).toUpperCase()}${field.slice(1)}:`;
    throw new MnemailError("input", `${name}: has no line ${line}`, "leave it there; Attendees may be empty");
  };
  return {
    title: value("title"),
    start: parseStart(value("start"), name),
    duration_minutes: parseDuration(value("duration"), name),
    attendees: parseAttendees([value("attendees")], name),
  };
}

/** A local start as the tool has it, `YYYY-MM-DDTHH:MM`. @throws MnemailError("input"). */
export function parseStart(text: string, name: string): string {
  const [, day, time] = /^(?:[a-z]{2,9},? )?(\d{4}-\d\d-\d\d)[T ]+(\d\d:\d\d)$/i.exec(text.trim()) ?? [];
  if (day === undefined || time === undefined) {
    throw new MnemailError("input", `${name}: start: saw "${shorten(text, 80)}"; expected such as 2026-03-09 10:00`);
  }
  return `${day}T${time}`;
}

/** Minutes from such as `45`, `45 min`, `1h30` or `1 h 30 min`. @throws MnemailError("input"). */
export function parseDuration(text: string, name: string): number {
  const minutes = /^(\d{1,4})\s*(?:m|min|minutes?)?$/i.exec(text.trim())?.[1];
  if (minutes !== undefined) return Number(minutes);
  const [, hours, rest] = /^(\d{1,2})\s*(?:h|hours?)\s*(?:(\d{1,2})\s*(?:m|min|minutes?)?)?$/i.exec(text.trim()) ?? [];
  if (hours !== undefined) return Number(hours) * 60 + Number(rest ?? 0);
  throw new MnemailError(
    "input",
    `${name}: duration: saw "${shorten(text, 80)}"; expected such as 45 min or 1 h 30 min`,
  );
}

/** Addresses from lists of them. @throws MnemailError("input") where there is something else. */
export function parseAttendees(lists: readonly string[], name: string): MeetingArgs["attendees"] {
  const attendees = lists.flatMap((list) => list.split(/[,;]/)).flatMap((each) => each.trim() || []);
  const wrongOne = attendees.find((each) => addressList(each).length !== 1);
  if (wrongOne === undefined) return attendees;
  throw new MnemailError(
    "input",
    `${name}: attendees: saw "${shorten(wrongOne, 80)}"; expected addresses, with commas between`,
  );
}

function wrong(name: string, line: number, seen: string, expected: string): MnemailError {
  return new MnemailError("input", `${name}: line ${line}: saw "${shorten(seen, 80)}"; expected ${expected}`);
}
