import { z } from "zod";
import type { Decision } from "../agent/review.ts";
import { MnemailError, renderError } from "../errors.ts";
import type { Preview } from "../reviews/reviews.ts";
import { note, printJson, shorten } from "./output.ts";
import { renderReceipt } from "./receipt.ts";
import { renderActionLine } from "./review-action.ts";
import { renderDecided, renderPayload, shortIds } from "./review-render.ts";
import {
  findReview,
  finishCutOff,
  openReviewSession,
  type ReviewSession,
  reviewOptionsSchema,
} from "./review-session.ts";

/** The options of every command that answers. */
export const answerOptionsSchema = reviewOptionsSchema.extend({
  learn: z.boolean().default(true),
  dryRun: z.boolean().default(false),
});

/** See {@link answerOptionsSchema}. */
export type AnswerOptions = z.infer<typeof answerOptionsSchema>;

const severalSchema = answerOptionsSchema.extend({ ids: z.array(z.string()), reason: z.string().optional() });
const respondSchema = answerOptionsSchema.extend({ id: z.string(), text: z.string() });

/** Of these, the next one would fail as well. */
const FATAL = ["store", "config", "unauthorized", "forbidden"];

/** `mnemail review approve`. Returns the exit code: 1 when one of them could not be approved. */
export async function approveReviews(rawOptions: unknown): Promise<number> {
  const { ids, reason: _, ...options } = severalSchema.parse(rawOptions);
  return await answerAll(ids, { type: "approve" }, options);
}

/** `mnemail review reject`. Returns the exit code: 1 when one of them could not be rejected. */
export async function rejectReviews(rawOptions: unknown): Promise<number> {
  const { ids, reason, ...options } = severalSchema.parse(rawOptions);
  if (reason?.trim() === "") throw new MnemailError("usage", "--reason: saw no text; leave it out, or say why");
  return await answerAll(ids, { type: "reject", ...(reason === undefined ? {} : { message: reason }) }, options);
}

/** `mnemail review respond`. Returns the exit code. */
export async function respondToReview(rawOptions: unknown): Promise<number> {
  const { id, text, ...options } = respondSchema.parse(rawOptions);
  if (text.trim() === "") throw new MnemailError("usage", "respond: saw no text; say what should be different");
  return await answerAll([id], { type: "respond", message: text }, options);
}

/** Answers each; one that is refused does not keep the next from its turn. */
async function answerAll(ids: readonly string[], decision: Decision, options: AnswerOptions): Promise<number> {
  await using session = await openReviewSession(options);
  if (!options.dryRun) await finishCutOff(session);
  let code = 0;
  for (const id of new Set(ids)) {
    try {
      code = Math.max(code, await answer(session, id, decision, options));
    } catch (error) {
      if (!(error instanceof MnemailError) || FATAL.includes(error.code)) throw error;
      if (options.json) printJson({ id, error: error.message });
      note(renderError(error));
      code = 1;
    }
  }
  return code;
}

/** Answers one review and prints what that did, or would do. Returns the exit code. */
export async function answer(
  session: ReviewSession,
  id: string,
  given: Decision,
  { learn, dryRun, json }: Pick<AnswerOptions, "learn" | "dryRun" | "json">,
): Promise<number> {
  const { reviews, user } = session;
  const decision: Decision = learn ? given : { ...given, learn: false };
  const review = await findReview(session, id);
  if (dryRun) {
    const preview = await reviews.preview(user, review.id, decision);
    if (json) printJson({ user, id: review.id, decision, dry_run: true, ...preview });
    else {
      const shortId = shortIds([review.id])(review.id);
      const action =
        decision.type === "edit"
          ? { ...review.action, args: { ...review.action.args, ...decision.args } }
          : review.action;
      const isDone = decision.type === "approve" || decision.type === "edit";
      console.log(`dry run: nothing was changed\nwould ${decision.type} [${shortId}] ${renderActionLine(action)}`);
      if (isDone) console.log(renderPayload({ ...review, action }).join("\n"));
      for (const line of renderLearning(user, preview)) console.log(line);
    }
    return 0;
  }
  const decided = await reviews.decide(user, review.id, decision);
  const { acted, receipt, note: why, next } = decided;
  if (json) printJson({ user, id: review.id, decision, acted, receipt, note: why, next });
  else console.log(renderDecided(user, decided));
  return 0;
}

/** What an answer would teach, for people. */
export function renderLearning(user: string, { receipt, note: why }: Preview): string[] {
  return [
    ...(receipt ? [renderReceipt(user, receipt, { dryRun: true })] : []),
    ...(why === null ? (receipt ? [] : ["nothing would be learnt"]) : [`  ${shorten(why, 400)}`]),
  ];
}
