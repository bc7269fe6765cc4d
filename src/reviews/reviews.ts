import { type Action, identify } from "../agent/actions.ts";
import { type Answer, checkDecision, type Decision } from "../agent/review.ts";
import { feedbackOf } from "../agent/teach.ts";
import { MnemailError, renderError } from "../errors.ts";
import type { Feedback } from "../learning/feedback.ts";
import { type Log, SILENT } from "../log.ts";
import { canonicalJson } from "../memory/canonical-json.ts";
import type { Receipt } from "../memory/feedback-record.ts";
import type { Memory } from "../memory/memory.ts";
import type { ReviewRecord } from "../memory/review-log.ts";
import { type PendingReview, pendingReviews } from "./pending-reviews.ts";
import type { GraphThreads, ThreadState } from "./threads.ts";

/** What became of a decision. */
export interface Decided {
  review: PendingReview;
  decision: Decision;
  acted: Answer["acted"];
  receipt: Receipt | null;
  note: string | null;
  /** What waits of this thread now: a new draft, or its other actions. */
  next: PendingReview[];
}

/** What a decision would teach: the receipt of a dry run, or why nothing. */
export interface Preview {
  receipt: Receipt | null;
  note: string | null;
}

/**
 * What waits for users, and their decisions. Methods throw MnemailError: "missing" for an id that nothing waits under,
 * "conflict" for what was decided or is at work, "expired" for an approval that comes too late, "input" for a decision
 * that cannot be meant. The thread is then as it was.
 */
export interface Reviews {
  /** What waits in these threads, newest first. */
  list(userId: string): Promise<PendingReview[]>;
  /** How many actions wait in other threads: the LangGraph server's, or the local ones. */
  elsewhere(userId: string): Promise<number>;
  /** The one whose id begins so. */
  find(userId: string, id: string): Promise<PendingReview>;
  /** What a decision would do and teach; nothing is changed. */
  preview(userId: string, id: string, decision: Decision): Promise<Preview>;
  /** Decides, does and learns. */
  decide(userId: string, id: string, decision: Decision): Promise<Decided>;
  /** Goes on with threads whose runs were cut off, also between a decision and what it does. */
  resume(userId: string): AsyncGenerator<{ thread_id: string; error?: unknown }>;
}

/** What reviews work on. */
export interface ReviewsParts {
  memory: Memory;
  threads: GraphThreads;
  /** Learns from a feedback without writing: `learn` with `dryRun`. */
  rehearse: (userId: string, feedback: Feedback) => Promise<{ receipt: Receipt }>;
  now?: () => Date;
  log?: Log;
}

/** How long a decision waits for a run of its thread. */
const DECISION_PATIENCE_MS = 30_000;

/** Opens the reviews of some threads. */
export function openReviews({
  memory,
  threads,
  rehearse,
  now = () => new Date(),
  log = SILENT,
}: ReviewsParts): Reviews {
  const isHere = ({ on_server }: ReviewRecord) => on_server === threads.isServer;

  const waitingIn = (userId: string, threadId: string, { isInterrupted, values }: ThreadState) =>
    isInterrupted ? pendingReviews(values, { userId, threadId, now: now(), onServer: threads.isServer }) : [];

  /** What waits, newest first. What the log does not know was changed in the checkpoint, and is asked about first. */
  const waiting = async (userId: string) => {
    const records = (await memory.reviews.open(userId)).filter((each) => isHere(each) && each.status === "waiting");
    const known = new Set(records.map(({ id }) => id));
    const found: { review: PendingReview; state: ThreadState }[] = [];
    for (const threadId of new Set(records.map(({ thread_id }) => thread_id))) {
      const state = await threads.read(userId, threadId);
      for (const review of state ? waitingIn(userId, threadId, state) : []) {
        const isDecided = !known.has(review.id) && (await memory.reviews.find(userId, review.id)).length > 0;
        if (state && !isDecided) found.push({ review, state });
      }
    }
    const newest = (a: PendingReview, b: PendingReview) =>
      a.proposed_at > b.proposed_at ? -1 : Number(a.proposed_at < b.proposed_at);
    return found.sort((a, b) => newest(a.review, b.review));
  };

  const locate = async (userId: string, prefix: string) => {
    const found = prefix.length < 4 ? [] : await memory.reviews.find(userId, prefix);
    const unknown = () =>
      new MnemailError(
        "missing",
        `review ${JSON.stringify(prefix)}: ${userId} has none of that id`,
        `\`mnemail review list --user ${userId}\` prints the ids`,
      );
    const open = found.filter(({ status }) => status === "waiting");
    const [record] = open.length > 0 ? open : found;
    if (!record) {
      const changed = (await waiting(userId)).find(({ review }) => prefix.length >= 4 && review.id.startsWith(prefix));
      if (changed) return changed;
      throw unknown();
    }
    if (open.length > 1) {
      const ids = open.map(({ id }) => id.slice(0, 12)).join(", ");
      throw new MnemailError(
        "input",
        `review ${JSON.stringify(prefix)}: ${open.length} begin so: ${ids}`,
        "give more of it",
      );
    }
    if (record.status === "replaced") {
      throw new MnemailError(
        "conflict",
        `review ${prefix}: its email was run again, or drafted anew`,
        "list what waits now",
      );
    }
    if (record.status !== "waiting") throw decidedAlready(record);
    if (!isHere(record)) {
      const where = record.on_server ? "on a LangGraph server: give --server" : "in local threads: leave out --server";
      throw new MnemailError("missing", `review ${prefix}: waits ${where}`);
    }
    const state = await threads.read(userId, record.thread_id);
    const review = state && waitingIn(userId, record.thread_id, state).find(({ id }) => id === record.id);
    if (state && review) return { review, state };
    if (!state) throw unknown();
    if (state.isUnfinished && !state.isInterrupted) {
      throw new MnemailError(
        "conflict",
        `review ${prefix}: its thread is at work or was cut off`,
        "try again, or `mnemail review resume`",
      );
    }
    throw new MnemailError("conflict", `review ${prefix}: does not wait any more`, "list what waits now");
  };

  const check = (
    userId: string,
    { review, state }: { review: PendingReview; state: ThreadState },
    decision: Decision,
  ) => {
    const place = { userId, threadId: review.thread_id };
    const action = state.values.actions.map((each): Action => identify(each, place)).find(({ id }) => id === review.id);
    if (!action)
      throw new MnemailError("conflict", `review ${review.id}: does not wait any more`, "list what waits now");
    const checked = checkDecision(decision, action, { now: now(), attempt: state.values.attempt });
    if (!("problem" in checked)) return checked;
    const isLate = review.is_expired && checked.problem.startsWith("expired");
    throw new MnemailError(
      isLate ? "expired" : "input",
      `review ${review.id.slice(0, 8)}: ${checked.problem}`,
      "nothing was changed",
    );
  };

  /** Decides while nobody else is at work on the thread. */
  const decideHeld = async (userId: string, id: string, decision: Decision): Promise<Decided> => {
    const found = await locate(userId, id);
    const { review } = found;
    const checked = check(userId, found, decision);
    // Of this run: the thread may be left by another's, who decided at the same time.
    const state = await threads.resume(userId, review.thread_id, {
      decisions: [{ ...toResume(checked.decision), id: review.id }],
    });
    const answer = state.values.answers.find(({ action }) => action.id === review.id);
    if (answer?.status !== "done" || said(answer) !== said(checked)) {
      const [record] = await memory.reviews.find(userId, review.id);
      if (record && record.status !== "waiting") throw decidedAlready(record);
      throw new MnemailError("conflict", `review ${review.id.slice(0, 8)}: was not decided`, "list what waits now");
    }
    const { acted, failure, receipt, note } = answer;
    if (failure !== null)
      throw new MnemailError(failure.code, `not done: ${failure.message}`, "it waits again, under a new id");
    const what = { action: review.action.name, decision: checked.decision.type, outcome: "done" } as const;
    log.event("review.decided", { user: userId, email: review.email.id, ...what });
    const next = waitingIn(userId, review.thread_id, state);
    return { review, decision: checked.decision, acted, receipt, note, next };
  };

  return {
    list: async (userId) => (await waiting(userId)).map(({ review }) => review),

    async elsewhere(userId) {
      const open = await memory.reviews.open(userId);
      return open.filter((each) => each.status === "waiting" && !isHere(each)).length;
    },

    find: async (userId, id) => (await locate(userId, id)).review,

    async preview(userId, id, decision) {
      const found = await locate(userId, id);
      const feedback = feedbackOf(check(userId, found, decision));
      if ("note" in feedback) return { receipt: null, note: feedback.note };
      try {
        return { receipt: (await rehearse(userId, feedback)).receipt, note: null };
      } catch (error) {
        if (!(error instanceof MnemailError) || error.code === "store") throw error;
        return { receipt: null, note: `nothing would be learnt: ${renderError(error)}` };
      }
    },

    async decide(userId, id, decision) {
      const { review } = await locate(userId, id);
      const run = () => decideHeld(userId, review.id, decision);
      return threads.turns.hold(userId, review.thread_id, run, { patienceMs: DECISION_PATIENCE_MS });
    },

    async *resume(userId) {
      const open = (await memory.reviews.open(userId)).filter(isHere).map(({ thread_id }) => thread_id);
      for (const threadId of new Set([...open, ...(await threads.unfinished(userId))])) {
        try {
          // What somebody is at work on was not cut off.
          const held = await threads.turns.holdIfFree(userId, threadId, async () => {
            const state = await threads.read(userId, threadId);
            if (!state || state.values.user_id !== userId || state.isInterrupted || !state.isUnfinished) return false;
            await threads.proceed(userId, threadId);
            return true;
          });
          if (held?.result) yield { thread_id: threadId };
        } catch (error) {
          yield { thread_id: threadId, error };
        }
      }
    },
  };
}

/** What an answer comes to, to tell it from another's. */
function said({ decision, args }: Pick<Answer, "decision" | "args">): string {
  return canonicalJson([decision, args]);
}

/** A decision as the review of the graph takes it, in the shape of the human-in-the-loop middleware. */
function toResume(decision: Decision): Record<string, unknown> {
  const { type, learn } = decision;
  return {
    type,
    ...(type === "edit" ? { editedAction: { args: decision.args } } : {}),
    ...("message" in decision && decision.message ? { message: decision.message } : {}),
    ...(learn === undefined ? {} : { learn }),
  };
}

function decidedAlready({ id, status, decided_at, done }: ReviewRecord): MnemailError {
  const words: Record<string, string> = {
    approve: "approved",
    edit: "approved with changes",
    reject: "rejected",
    respond: "answered",
  };
  const when = decided_at === undefined ? "" : ` on ${decided_at}`;
  const hint = done ? "nothing was done now" : "if it was not carried out, `mnemail review resume` does";
  return new MnemailError("conflict", `review ${id.slice(0, 8)}: was ${words[status] ?? status}${when}`, hint);
}
