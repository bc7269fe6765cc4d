import { z } from "zod";
import { cleanText, oneLine, quoteUntrusted, splitLines } from "../email.ts";
import { ianaZone, UTC } from "../mail/calendar/time-zone.ts";
import { canonicalJson } from "../memory/canonical-json.ts";
import { keptEmailSchema, labelSchema } from "../memory/records.ts";
import { hashText } from "../prompts.ts";

/** What waits for the user's word. `notify` is made by code, the others are calls of the model. */
export const ACTION_NAMES = ["notify", "write_email", "schedule_meeting", "ask_user"] as const;

/** One of {@link ACTION_NAMES}. */
export type ActionName = (typeof ACTION_NAMES)[number];

const named = { id: z.string(), call_id: z.string(), attempt: z.string(), proposed_at: z.string() };

/**
 * An action as it waits in the state of its thread, with the email it belongs to. `id` stands for exactly this payload
 * ({@link actionId}); `expires_at` is ISO 8601.
 */
export const actionSchema = z.object({
  ...named,
  expires_at: z.string(),
  name: z.enum(ACTION_NAMES),
  args: z.record(z.string(), z.unknown()),
  email: keptEmailSchema,
  label: labelSchema.nullable(),
  reason: z.string(),
  /** In which the times of `args` are. */
  time_zone: z.string(),
  /** Of the user's addresses the one that an answer or an invitation comes from; null where none is known. */
  sender: z.string().nullable(),
  /** How often it could not be done, and waits again. */
  round: z.int(),
  /** Whether the user was asked: the review log has it. */
  asked: z.boolean(),
});

/** See {@link actionSchema}. */
export type Action = z.infer<typeof actionSchema>;

const DAY_MS = 86_400_000;
/** What nobody answered for so long is not done any more: who wrote has long found another way. */
const EXPIRES_AFTER_DAYS = 30;

/** Whose action it is, and in which thread. */
export interface ActionPlace {
  userId: string;
  threadId: string;
}

/** What an id stands for. */
type Payload = Pick<Action, "call_id" | "attempt" | "name" | "args" | "email" | "time_zone" | "sender" | "round">;

/**
 * The id of an action: a hash of all that an approval of it approves. Another payload has another id, so that an answer
 * to this one cannot be taken for an answer to that.
 */
export function actionId({ round, ...payload }: Payload, place: ActionPlace): string {
  return hashText(canonicalJson([outboxKey(payload, place), round]), 32);
}

/** The key under which an action is written to the outbox, once however often it is tried: a hash of what is written. */
export function outboxKey(
  { call_id, attempt, name, args, email, time_zone, sender }: Omit<Payload, "round">,
  { userId, threadId }: ActionPlace,
): string {
  const payload = [userId, threadId, attempt, email.id, call_id, name, args, time_zone, sender];
  return hashText(canonicalJson(payload), 32);
}

/** Makes an action of its parts: its id, and when it expires; a meeting does when it begins. */
export function createAction(given: Omit<Action, "id" | "expires_at" | "asked" | "round">, place: ActionPlace): Action {
  const parts = { ...given, round: 0 };
  const latest = Date.parse(parts.proposed_at) + EXPIRES_AFTER_DAYS * DAY_MS;
  const starts = parts.name === "schedule_meeting" ? startOf(parts).getTime() : latest;
  const expires_at = new Date(Math.min(latest, starts)).toISOString();
  return { ...parts, id: actionId(parts, place), expires_at, asked: false };
}

/** An action with the id of its payload as it is now; one that was changed in the checkpoint was not asked about. */
export function identify(action: Action, place: ActionPlace): Action {
  const id = actionId(action, place);
  return id === action.id ? action : { ...action, id, asked: false };
}

/** An action that could not be done, as it waits again. */
export function renewAction(action: Action, place: ActionPlace): Action {
  const renewed = { ...action, round: action.round + 1, asked: false };
  return { ...renewed, id: actionId(renewed, place) };
}

/** Whether clocks in the time zone of a meeting show the time it begins; in spring they skip an hour. */
export function isClockTime(meeting: Pick<Action, "args" | "time_zone">): boolean {
  const zone = ianaZone(meeting.time_zone) ?? UTC;
  return zone.wall(startOf(meeting).getTime()) === Date.parse(`${String(meeting.args["start"])}Z`);
}

/** When a proposed meeting begins. */
export function startOf({ args, time_zone }: Pick<Action, "args" | "time_zone">): Date {
  const wall = Date.parse(`${String(args["start"])}Z`);
  return new Date((ianaZone(time_zone) ?? UTC).instant(wall));
}

/** What is to be done, for people: a paragraph, whose quoted lines are the model's words after a stranger's email. */
export function renderAction({
  name,
  args,
  time_zone,
  sender,
}: Pick<Action, "name" | "args" | "time_zone" | "sender">): string {
  const text = (key: string) => {
    const value = args[key];
    return Array.isArray(value) ? value.join(", ") : String(value ?? "");
  };
  const line = (key: string) => oneLine(cleanText(text(key)));
  switch (name) {
    case "write_email":
      return `Send this answer to ${line("to")}, from ${sender ?? "no address yet"}, subject "${line("subject")}":\n${indent(text("body"))}`;
    case "schedule_meeting": {
      const start = line("start").replace("T", " ");
      const attendees = line("attendees");
      return `Put "${line("title")}" into the calendar: ${start} (${time_zone}), ${line("duration_minutes")} minutes${attendees === "" ? "" : `, with ${attendees}`}.`;
    }
    case "ask_user":
      return `The assistant asks, before it answers:\n${quoteUntrusted(text("question"), 2_000)}`;
    case "notify":
      return `For your attention, from ${line("from")}: "${line("subject")}". ${line("reason")}`;
  }
}

function indent(text: string): string {
  return splitLines(cleanText(text))
    .map((each) => `  ${each}`.trimEnd())
    .join("\n");
}
