import { isCancel, select, text } from "@clack/prompts";
import type { Decision } from "../agent/review.ts";
import { MnemailError, renderError } from "../errors.ts";
import type { EpisodicMemory } from "../memory/episodic.ts";
import type { PendingReview } from "../reviews/pending-reviews.ts";
import type { Decided } from "../reviews/reviews.ts";
import { note, shorten } from "./output.ts";
import { renderWaiting } from "./pending.ts";
import { plural } from "./progress.ts";
import { renderRemembered } from "./remember.ts";
import { chooseLearning, withEdit } from "./review-edit.ts";
import { withoutKeys } from "./review-keys.ts";
import { bodyLines, renderDecided, renderReview } from "./review-render.ts";
import { pendingMemories, type ReviewSession } from "./review-session.ts";
import { renderScope } from "./scopes.ts";

/** Lines of the email shown at first, so that what would be done is on the same screen. */
const EMAIL_LINES = 20;
/** After these the same review can be answered otherwise. */
const MENDABLE = ["usage", "input", "config", "limit"];
/** After these nothing else can be answered either. */
const FATAL = ["store", "unauthorized", "forbidden"];

type Choice = Decision["type"] | "approve without" | "read" | "skip" | "quit";

/**
 * Goes through reviews one by one on the terminal: shows each, asks, and tells what the answer did. What is not answered
 * stays as it was, also when the user leaves by Ctrl-C. Returns the exit code.
 */
export async function walk(session: ReviewSession, first: readonly PendingReview[]): Promise<number> {
  const { user, assistant } = session;
  let queue = [...first];
  let skipped: PendingReview[] = [];
  const tally = new Map<string, number>();
  const offered = new Set<string>();
  console.log(`${plural(queue.length, "answer")} to give; Ctrl-C leaves everything that was not answered as it was`);
  for (let review = queue.shift(); review !== undefined; review = queue.shift()) {
    const answered = await visit(session, review, queue.length);
    if (answered === "quit") {
      queue.unshift(review);
      break;
    }
    if (answered === "skip") {
      skipped.push(review);
      continue;
    }
    if (answered === "gone") continue;
    const { decision, next } = answered;
    tally.set(decision.type, (tally.get(decision.type) ?? 0) + 1);
    // What waits of the thread now is the truth about it; what was skipped is not asked again.
    const isHere = ({ thread_id }: PendingReview) => thread_id === answered.review.thread_id;
    const wasSkipped = (each: PendingReview) => skipped.some(({ id }) => id === each.id);
    queue = [...next.filter((each) => !wasSkipped(each)), ...queue.filter((each) => !isHere(each))];
    skipped = skipped.filter((each) => !isHere(each) || next.some(({ id }) => id === each.id));
    const { email } = answered.review;
    if (queue.some((each) => each.email.id === email.id)) continue;
    const pending = await assistant.memory.pending.list(user);
    const ofEmail = pending.filter(({ key, record }) => record.source === email.id && !offered.has(key));
    for (const { key } of ofEmail) offered.add(key);
    await offerMemories(session, ofEmail);
  }
  const done = [...tally].map(([type, count]) => `${count} ${type}`).join(", ") || "none";
  console.log(`\nanswered: ${done}; ${plural(queue.length + skipped.length, "review")} not answered`);
  for (const line of renderWaiting(user, await assistant.memory.pending.list(user))) console.log(line);
  return 0;
}

/** Shows one and asks until it is answered, skipped, or gone because somebody else answered it. */
async function visit(
  session: ReviewSession,
  review: PendingReview,
  others: number,
): Promise<Decided | "skip" | "quit" | "gone"> {
  let emailLines = EMAIL_LINES;
  const memories = (await pendingMemories(session))(review.email.id);
  const show = () => console.log(`\n${renderReview(review, { memories, emailLines })}\n`);
  show();
  for (;;) {
    const choice = await choose(review, others, bodyLines(review.email) > emailLines);
    if (choice === "skip" || choice === "quit") return choice;
    if (choice === "read") {
      emailLines = Number.POSITIVE_INFINITY;
      show();
      continue;
    }
    try {
      const decided = await answer(session, review, choice);
      if (decided === undefined) continue;
      console.log(`\n${renderDecided(session.user, decided)}`);
      return decided;
    } catch (error) {
      if (!(error instanceof MnemailError) || FATAL.includes(error.code)) throw error;
      note(renderError(error));
      if (!MENDABLE.includes(error.code)) return "gone";
    }
  }
}

async function choose(review: PendingReview, others: number, isCut: boolean): Promise<Choice> {
  const { allowed, learning, action } = review;
  const isNotice = action.name === "notify";
  const labels: Record<Decision["type"], string> = {
    approve: isNotice ? "seen" : "approve",
    edit: "edit, then approve",
    reject: isNotice ? "should not have been shown" : "reject",
    respond: isNotice ? "have it answered" : action.name === "ask_user" ? "answer" : "say what to change",
  };
  const options: { value: Choice; label: string; hint?: string }[] = [];
  for (const type of allowed) {
    options.push({ value: type, label: labels[type] });
    if (type === "approve" && learning.approve !== undefined) {
      options.push({ value: "approve without", label: `${labels.approve}, and learn nothing` });
    }
  }
  if (isCut) options.push({ value: "read", label: "read the whole email" });
  options.push({ value: "skip", label: "skip" }, { value: "quit", label: "quit", hint: `${others} more` });
  const choice = await select<Choice>({ message: "What should be done?", options, showInstructions: false });
  return isCancel(choice) ? "quit" : choice;
}

/** Asks what an answer needs and gives it; undefined where the user goes back. */
async function answer(
  session: ReviewSession,
  review: PendingReview,
  choice: Exclude<Choice, "read" | "skip" | "quit">,
): Promise<Decided | undefined> {
  const { reviews, user } = session;
  const decide = (decision: Decision) => withoutKeys(() => reviews.decide(user, review.id, decision));
  switch (choice) {
    case "approve":
      return await decide({ type: "approve" });
    case "approve without":
      return await decide({ type: "approve", learn: false });
    case "edit":
      return await withEdit(session, review, { learn: true, dryRun: false, isTerminal: true }, decide);
    case "reject": {
      const isNotice = review.action.name === "notify";
      const message = isNotice ? "" : await ask("Why? What you say teaches; Enter for no reason.");
      if (message === undefined) return undefined;
      const chosen = await chooseLearning(
        session,
        review,
        { type: "reject", ...(message === "" ? {} : { message }) },
        { learn: message !== "" || isNotice, canRepeat: false },
      );
      return chosen === undefined || chosen === "again" ? undefined : await decide(chosen);
    }
    case "respond": {
      const isQuestion = review.action.name === "ask_user";
      const message = await ask(isQuestion ? "Your answer:" : "What should be different?", "expected a sentence");
      if (message === undefined) return undefined;
      const chosen = await chooseLearning(
        session,
        review,
        { type: "respond", message },
        { learn: true, canRepeat: false },
      );
      return chosen === undefined || chosen === "again" ? undefined : await decide(chosen);
    }
  }
}

async function ask(message: string, required?: string): Promise<string | undefined> {
  const validate = (value: string | undefined) => (required !== undefined && !value?.trim() ? required : undefined);
  const said = await text({ message, validate });
  return isCancel(said) ? undefined : (said ?? "").trim();
}

/** Offers what the assistant would like to remember of an email that was answered. */
async function offerMemories({ assistant, user }: ReviewSession, memories: readonly EpisodicMemory[]): Promise<void> {
  for (const { key, record } of memories) {
    const { content, scope } = record;
    console.log(`\nit would like to remember: ${shorten(content, 400)}\n  recalled for ${renderScope(scope)}`);
    const choice = await select<"remember" | "drop" | "later">({
      message: "Remember it?",
      options: [
        { value: "remember", label: "remember it" },
        { value: "drop", label: "drop it, and do not propose it again" },
        { value: "later", label: "decide later" },
      ],
    });
    if (isCancel(choice)) return;
    if (choice === "drop") {
      await assistant.memory.pending.reject(user, key, new Date().toISOString());
      console.log("dropped");
    }
    if (choice === "remember") await approveMemory(assistant, user, key, scope);
  }
}

async function approveMemory(
  assistant: ReviewSession["assistant"],
  user: string,
  key: string,
  scope: EpisodicMemory["record"]["scope"],
): Promise<void> {
  let kept = await withoutKeys(() => assistant.approve(user, key));
  if (kept.status === "undecided") {
    for (const { record } of kept.conflicts)
      console.log(`  it contradicts what you said: ${shorten(record.content, 400)}`);
    const choice = await select<"replace" | "keep" | "later">({
      message: "What holds?",
      options: [
        { value: "replace", label: "this; what you said no longer counts" },
        { value: "keep", label: "both" },
        { value: "later", label: "decide later" },
      ],
    });
    if (isCancel(choice) || choice === "later") return;
    kept = await withoutKeys(() => assistant.approve(user, key, { contradicted: choice }));
  }
  if (kept.status !== "undecided") console.log(renderRemembered(kept, scope, "approved"));
}
