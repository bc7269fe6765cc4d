import { z } from "zod";
import type { PendingReview } from "../reviews/pending-reviews.ts";
import { printJson, shorten } from "./output.ts";
import { renderWaiting } from "./pending.ts";
import { plural } from "./progress.ts";
import { renderAnswers, renderReview, renderRow, shortIds } from "./review-render.ts";
import {
  findReview,
  finishCutOff,
  openReviewSession,
  pendingMemories,
  type ReviewSession,
  renderWhose,
  reviewOptionsSchema,
} from "./review-session.ts";

const showSchema = reviewOptionsSchema.extend({ id: z.string() });

/** `mnemail review`: goes through what waits; prints the list where nobody can be asked. Returns the exit code. */
export async function walkReviews(rawOptions: unknown): Promise<number> {
  const options = reviewOptionsSchema.parse(rawOptions);
  if (options.json || !process.stdin.isTTY || !process.stdout.isTTY) return await listReviews(rawOptions);
  await using session = await openReviewSession(options);
  await finishCutOff(session);
  const reviews = await session.reviews.list(session.user);
  if (reviews.length === 0) {
    console.log(await renderList(session, reviews));
    return 0;
  }
  const { walk } = await import("./review-walk.ts");
  return await walk(session, reviews);
}

/** `mnemail review list`: what waits, newest first. Returns the exit code. */
export async function listReviews(rawOptions: unknown): Promise<number> {
  const options = reviewOptionsSchema.parse(rawOptions);
  await using session = await openReviewSession(options);
  await finishCutOff(session);
  const reviews = await session.reviews.list(session.user);
  if (options.json)
    printJson({ user: session.user, reviews, elsewhere: await session.reviews.elsewhere(session.user) });
  else console.log(await renderList(session, reviews));
  return 0;
}

/** `mnemail review show`: one of them whole. Returns the exit code. */
export async function showReview(rawOptions: unknown): Promise<number> {
  const { id, ...options } = showSchema.parse(rawOptions);
  await using session = await openReviewSession(options);
  const review = await findReview(session, id);
  if (options.json) printJson(review);
  else {
    const memories = (await pendingMemories(session))(review.email.id);
    console.log(`${renderReview(review, { memories })}\n\n${renderAnswers(review, renderWhose(session))}`);
  }
  return 0;
}

/** `mnemail review resume`: finishes what was cut off. Returns the exit code: 1 when something is still not finished. */
export async function resumeReviews(rawOptions: unknown): Promise<number> {
  const options = reviewOptionsSchema.parse(rawOptions);
  await using session = await openReviewSession(options);
  const { finished, failed } = await finishCutOff(session);
  if (options.json) printJson({ user: session.user, finished, failed });
  else if (finished + failed === 0) console.log("nothing was cut off");
  else console.log(`finished ${finished} of ${plural(finished + failed, "thread")} that were cut off`);
  return failed > 0 ? 1 : 0;
}

async function renderList(session: ReviewSession, reviews: readonly PendingReview[]): Promise<string> {
  const { user, assistant } = session;
  const idOf = shortIds(reviews.map(({ id }) => id));
  const now = new Date();
  const memoriesOf = await pendingMemories(session);
  const told = new Set<string>();
  const rows = reviews.flatMap((review) => {
    // The actions of one email share what is to be remembered of it.
    const memories = told.has(review.email.id) ? [] : memoriesOf(review.email.id);
    told.add(review.email.id);
    return [
      renderRow(review, idOf(review.id), now),
      ...memories.map((content) => `${" ".repeat(12)}would like to remember: ${shorten(content, 200)}`),
    ];
  });
  const whose = renderWhose(session);
  const hint = `\nread one: mnemail review show ${whose} ID; go through them: mnemail review ${whose}`;
  return [
    ...(rows.length > 0 ? [...rows, hint] : [`nothing of ${shorten(user)}'s mail waits for your word`]),
    ...(await renderElsewhere(session)),
    ...renderWaiting(user, await assistant.memory.pending.list(user)),
  ].join("\n");
}

/** How many wait on the other side: on a server, or locally. */
async function renderElsewhere({ reviews, user, server }: ReviewSession): Promise<string[]> {
  const count = await reviews.elsewhere(user);
  if (count === 0) return [];
  const more = `${count} more ${count === 1 ? "waits" : "wait"}`;
  return [server === undefined ? `${more} on the LangGraph server: --server URL` : `${more} here, without --server`];
}
