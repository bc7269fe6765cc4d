import { z } from "zod";
import type { PendingReview } from "../reviews/pending-reviews.ts";
import { shorten } from "./output.ts";

const text = z.string().catch("");

const emailArgs = z.object({ to: text, subject: text, body: text });
const meetingArgs = z.object({
  title: text,
  attendees: z.array(z.string()).catch([]),
  start: text,
  duration_minutes: z.number().catch(0),
});
const questionArgs = z.object({ question: text });
const noticeArgs = z.object({ from: text, subject: text, reason: text });

/** The answer to an email, as it would be written. */
export type EmailArgs = z.infer<typeof emailArgs>;

/** A meeting, as it would be entered. `start` is local time, `YYYY-MM-DDTHH:MM`. */
export type MeetingArgs = z.infer<typeof meetingArgs>;

/** What waits, with its arguments read by kind; what a foreign program left out is empty. */
export type ReadAction =
  | { name: "write_email"; args: EmailArgs }
  | { name: "schedule_meeting"; args: MeetingArgs }
  | { name: "ask_user"; args: z.infer<typeof questionArgs> }
  | { name: "notify"; args: z.infer<typeof noticeArgs> };

/** Reads the arguments of what waits by its kind. */
export function readAction({ name, args }: PendingReview["action"]): ReadAction {
  switch (name) {
    case "write_email":
      return { name, args: emailArgs.parse(args) };
    case "schedule_meeting":
      return { name, args: meetingArgs.parse(args) };
    case "ask_user":
      return { name, args: questionArgs.parse(args) };
    case "notify":
      return { name, args: noticeArgs.parse(args) };
  }
}

/** What it is, in a word. */
export const ACTION_WORDS = {
  write_email: "email",
  schedule_meeting: "meeting",
  ask_user: "question",
  notify: "notice",
} as const;

/** What would be done, on one line. */
export function renderActionLine(action: PendingReview["action"]): string {
  const read = readAction(action);
  switch (read.name) {
    case "write_email":
      return `email to ${shorten(read.args.to, 100)}: "${shorten(read.args.subject, 100)}"`;
    case "schedule_meeting": {
      const { title, attendees } = read.args;
      const others = attendees.length > 0 ? ` with ${shorten(attendees.join(", "), 300)}` : "";
      return `meeting ${renderTime(read.args)}: "${shorten(title, 100)}"${others}`;
    }
    case "ask_user":
      return `question: ${shorten(read.args.question, 300)}`;
    case "notify":
      return `notice of "${shorten(read.args.subject, 100)}" from ${shorten(read.args.from, 100)}`;
  }
}

/** Weekday, start and length of a meeting, such as `Mon 2026-03-09 10:00 (30 min)`. */
export function renderTime({ start, duration_minutes }: Pick<MeetingArgs, "start" | "duration_minutes">): string {
  return `${renderStart(start)} (${renderDuration(duration_minutes)})`;
}

/** A local start with its weekday; what is no time is shown as it is. */
export function renderStart(start: string): string {
  const at = new Date(`${start}Z`);
  if (Number.isNaN(at.getTime())) return shorten(start, 40);
  const weekday = new Intl.DateTimeFormat("en-GB", { weekday: "short", timeZone: "UTC" }).format(at);
  return `${weekday} ${shorten(start, 40).replace("T", " ")}`;
}

/** Minutes as people say them, such as `45 min` or `1 h 30 min`. */
export function renderDuration(minutes: number): string {
  const hours = Math.floor(minutes / 60);
  const rest = minutes % 60;
  if (hours === 0) return `${minutes} min`;
  return rest === 0 ? `${hours} h` : `${hours} h ${rest} min`;
}
