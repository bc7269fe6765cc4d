import type { Decision } from "../agent/review.ts";
import { cleanText, senderAddress, splitLines } from "../email.ts";
import type { PendingReview } from "../reviews/pending-reviews.ts";
import type { Decided } from "../reviews/reviews.ts";
import { shorten } from "./output.ts";
import { plural } from "./progress.ts";
import { renderReceipt } from "./receipt.ts";
import {
  ACTION_WORDS,
  readAction,
  renderActionLine,
  renderDuration,
  renderStart,
  renderTime,
} from "./review-action.ts";

const SHORTEST_ID = 8;
const MINUTE_MS = 60_000;
/** An expiry that is nearer than this is worth a word in the list. */
const NEAR_MS = 3 * 24 * 60 * MINUTE_MS;
const MOST_MEMORIES = 10;

/** The shortest beginnings, of at least 8 characters, that tell ids apart. */
export function shortIds(ids: readonly string[]): (id: string) => string {
  let length = SHORTEST_ID;
  const isAmbiguous = () => new Set(ids.map((id) => id.slice(0, length))).size < new Set(ids).size;
  while (isAmbiguous()) length += 1;
  return (id) => shorten(id.slice(0, length), 40);
}

/** One line of the list: id, age, what it is, from whom, about what, and when it expires where that is near. */
export function renderRow(review: PendingReview, id: string, now: Date): string {
  const { action, email, proposed_at } = review;
  const read = readAction(action);
  const detail =
    read.name === "schedule_meeting"
      ? [renderTime(read.args)]
      : read.name === "ask_user"
        ? [`asks: ${shorten(read.args.question, 120)}`]
        : [];
  return [
    `[${id}]`,
    renderAge(now.getTime() - Date.parse(proposed_at)).padStart(7),
    ACTION_WORDS[action.name].padEnd(8),
    shorten(senderAddress(email), 30).padEnd(30),
    [shorten(email.subject || "(no subject)", 60), ...detail, ...renderExpiry(review, now)].join(" | "),
  ].join("  ");
}

function renderExpiry({ is_expired, expires_at }: PendingReview, now: Date): string[] {
  if (is_expired) return ["expired"];
  const left = Date.parse(expires_at) - now.getTime();
  return left < NEAR_MS ? [`expires in ${renderAge(left)}`] : [];
}

function renderAge(ms: number): string {
  const minutes = Math.max(0, Math.floor(ms / MINUTE_MS));
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h` : plural(Math.floor(hours / 24), "day");
}

/** All that is to be known before an answer: the email, what would be done, and what each answer would teach. */
export function renderReview(
  review: PendingReview,
  { memories, emailLines }: { memories: readonly string[]; emailLines?: number },
): string {
  const { id, email, label, reason, proposed_at, expires_at, is_expired, learning } = review;
  const why = label === null ? [] : [`  ${label}: ${shorten(reason, 400)}`];
  const teaches = Object.entries(learning).map(([type, text]) => `  ${type}: ${shorten(text, 400)}`);
  return [
    `[${shorten(id, 40)}] ${renderActionLine(review.action)}`,
    `  waits since ${renderUtc(proposed_at)}, ${is_expired ? "expired on" : "until"} ${renderUtc(expires_at)}`,
    ...why,
    "",
    ...renderEmail(email, emailLines),
    "",
    ...renderPayload(review),
    ...section("your answer would teach", teaches),
    ...section(
      "it would like to remember of this email (`mnemail memory pending list` prints the ids)",
      memories.slice(0, MOST_MEMORIES).map((content) => `  ${shorten(content, 400)}`),
    ),
  ].join("\n");
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ["", title, ...lines];
}

/** How a review can be answered, as commands. */
export function renderAnswers({ allowed, id }: PendingReview, whose: string): string {
  return `answer by: mnemail review ${allowed.join("|")} ${whose} ${shortIds([id])(id)}`;
}

/** How many lines the body of an email has, to tell whether all of it was shown. */
export function bodyLines(email: PendingReview["email"]): number {
  return splitLines(email.body).length;
}

function renderEmail(email: PendingReview["email"], mostLines = Number.POSITIVE_INFINITY): string[] {
  const header = (name: string, value: string | undefined) => (value ? [`  ${name}: ${shorten(value, 400)}`] : []);
  const lines = indented(email.body.trimEnd());
  const hidden = lines.length - mostLines;
  return [
    "the email",
    ...header("From", email.from),
    ...header("To", email.to),
    ...header("Cc", email.cc),
    ...header("Date", email.date),
    ...header("Subject", email.subject || "(no subject)"),
    ...header("Attachments", email.attachments?.join("; ")),
    "",
    ...(hidden > 0 ? [...lines.slice(0, mostLines), `  (${plural(hidden, "more line")})`] : lines),
    ...(email.cut ? ["  (the email is longer; this much of it is kept)"] : []),
  ];
}

/** Exactly what would be done. */
export function renderPayload({
  action,
  time_zone,
  sender,
}: Pick<PendingReview, "action" | "time_zone" | "sender">): string[] {
  const read = readAction(action);
  const header = (name: string, value: string) => `  ${name}: ${shorten(value, 2_000)}`;
  switch (read.name) {
    case "write_email": {
      const { to, subject, body } = read.args;
      const from = sender ?? "no address of yours is known: mnemail profile set --address";
      return [
        "would be sent",
        header("From", from),
        header("To", to),
        header("Subject", subject),
        "",
        ...indented(body),
      ];
    }
    case "schedule_meeting": {
      const { title, start, duration_minutes, attendees } = read.args;
      return [
        "would be entered into your calendar",
        header("Title", title),
        header("Start", `${renderStart(start)} (${time_zone})`),
        header("Duration", renderDuration(duration_minutes)),
        header("Attendees", attendees.join(", ") || "nobody else"),
      ];
    }
    case "ask_user":
      return ["asks you", ...indented(read.args.question)];
    case "notify":
      return ["for your attention", `  ${shorten(read.args.reason || "it needs no answer", 400)}`];
  }
}

/** A text of others, so marked that no line of it can pass for one of ours. */
function indented(text: string): string[] {
  return splitLines(cleanText(text)).map((line) => `  | ${line}`.trimEnd());
}

function renderUtc(at: string): string {
  return `${shorten(at.slice(0, 16)).replace("T", " ")} UTC`;
}

const DONE: Record<Decision["type"], string> = {
  approve: "approved",
  edit: "approved as edited",
  reject: "rejected",
  respond: "answered",
};

/** What an answer did: the file, the receipt of what was learnt, and what waits now because of it. */
export function renderDecided(user: string, { review, decision, acted, receipt, note, next }: Decided): string {
  const done = review.action.name === "notify" && decision.type === "approve" ? "seen" : DONE[decision.type];
  const edited =
    decision.type === "edit" ? { ...review.action, args: { ...review.action.args, ...decision.args } } : review.action;
  const idOf = shortIds(next.map(({ id }) => id));
  return [
    `${done} [${idOf(review.id)}] ${renderActionLine(edited)}`,
    ...(acted
      ? [`  ${acted.status === "known" ? "was written before" : "written"}: ${shorten(acted.path, 1_000)}`]
      : []),
    ...(receipt ? [renderReceipt(user, receipt)] : []),
    ...(note === null ? [] : [`  ${shorten(note, 400)}`]),
    ...next.map((each) => `waits now: [${idOf(each.id)}] ${renderActionLine(each.action)}`),
  ].join("\n");
}
