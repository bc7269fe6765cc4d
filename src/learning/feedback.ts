import { randomUUID } from "node:crypto";
import { z } from "zod";
import { cleanText, oneLine } from "../email.ts";
import { MnemailError } from "../errors.ts";
import { type FeedbackRecord, feedbackRecordSchema } from "../memory/feedback-record.ts";
import { LABELS } from "../memory/records.ts";

/** Characters of what a user types, of a draft they edited, and of a key. */
const LIMITS = [
  { name: "text", field: "text", limit: 4_000 },
  { name: "draft", field: "after", limit: 20_000 },
  { name: "key", field: "id", limit: 200 },
];

type Given<R> = R extends FeedbackRecord
  ? Omit<R, "id" | "actor" | "channel" | "at" | "before"> & {
      id?: string | undefined;
      actor?: string | undefined;
      channel?: string | undefined;
    }
  : never;

/**
 * What a user says about the assistant's work. `id` is the idempotency key: saying it again under one key changes
 * nothing; without one, each call is a feedback of its own. The draft that was edited is the one that was recorded.
 */
export type Feedback = Given<FeedbackRecord>;

/**
 * Checks a feedback and completes it to the record that is logged; `before` is the recorded draft of an edited one.
 *
 * @throws MnemailError("usage") that says what is wrong with it; nothing was logged.
 */
export function parseFeedback(feedback: Feedback, { at, before }: { at: string; before?: string | undefined }) {
  const refuse = (what: string, hint?: string): never => {
    throw new MnemailError("usage", `feedback: ${what}`, hint);
  };
  // Programs in JavaScript can give anything.
  if (typeof feedback !== "object" || feedback === null) refuse("expected an object with a kind, such as text");
  for (const field of ["kind", "id", "text", "after", "email_id"]) {
    const value = Object.entries(feedback).find(([name]) => name === field)?.[1];
    if (value !== undefined && typeof value !== "string") refuse(`${field}: expected a text`);
  }
  if (feedback.kind === "edited_draft" && feedback.after === undefined) refuse("after: expected the edited draft");
  const text = "text" in feedback ? feedback.text?.trim() : undefined;
  const isWords = feedback.kind === "text" || feedback.kind === "rejected_draft";
  if (isWords && !text) refuse("expected a text; saw none", "say in a sentence what should be different");
  if (feedback.kind === "edited_draft" && feedback.after.trim() === "") {
    refuse("the draft is empty", "give your whole version of it, or reject it with a reason");
  }
  if (feedback.id !== undefined && (feedback.id.trim() === "" || cleanText(feedback.id) !== feedback.id)) {
    refuse("key: expected visible characters", "leave it out or name one, such as a message's id");
  }
  for (const { name, field, limit } of LIMITS) {
    const value = z.string().safeParse(Object.entries(feedback).find(([key]) => key === field)?.[1]).data ?? "";
    if (value.length > limit) refuse(`${name}: saw ${value.length} characters; at most ${limit} are allowed`);
  }
  const emailId = feedback.email_id === undefined ? undefined : oneLine(cleanText(feedback.email_id));
  if (emailId === "") refuse("email: saw an empty id");
  const given = {
    ...feedback,
    ...(text ? { text: storable(text) } : { text: undefined }),
    ...("after" in feedback ? { after: storable(feedback.after) } : {}),
    ...(emailId === undefined ? {} : { email_id: emailId }),
    id: feedback.id ?? randomUUID(),
    actor: feedback.actor ?? "user",
    channel: feedback.channel ?? "program",
    at,
    before,
  };
  const record = feedbackRecordSchema.safeParse(given);
  if (record.success) return record.data;
  const [issue] = record.error.issues;
  const expected = issue?.path[0] === "label" ? `expected ${LABELS.join(", ")}` : issue?.message;
  return refuse(`${issue?.path.join(".") || "kind"}: ${expected}`);
}

/** What PostgreSQL cannot store is left out: NUL, and half a surrogate pair. */
function storable(text: string): string {
  return text.toWellFormed().replaceAll("\0", "");
}
