import { AIMessage } from "@langchain/core/messages";
import { isNodeTimeoutError } from "@langchain/langgraph";
import { z } from "zod";
import type { EmailAssistant } from "./agent/graph.ts";
import type { AssistantState } from "./agent/state.ts";
import { threadIdFor } from "./agent/thread-id.ts";
import type { Email } from "./email.ts";
import { type ErrorCode, MnemailError, renderError } from "./errors.ts";
import type { Log } from "./log.ts";
import type { Memory } from "./memory/memory.ts";
import {
  type Draft,
  draftSchema,
  type Label,
  labelSchema,
  type ProposedEvent,
  proposedEventSchema,
  type UsedMemory,
} from "./memory/records.ts";
import { metered, type Usage } from "./meter.ts";
import { type PendingReview, pendingReviews } from "./reviews/pending-reviews.ts";
import { threadState } from "./reviews/threads.ts";

/**
 * What became of one email. `id` is what feedback takes: the email's, with a suffix where the user has another email
 * of that id. `events` are proposals: nothing was sent or changed.
 */
export interface EmailResult {
  id: string;
  status: "done" | "pending_review" | "failed";
  label: Label | null;
  reason: string | null;
  draft: Draft | null;
  events: ProposedEvent[];
  memories: UsedMemory[];
  /** What waits for the user's word: of a draft, a meeting, a notification or a question. */
  reviews: PendingReview[];
  usage: Usage;
  /** Why it failed, in a line. */
  error?: string;
  code?: ErrorCode;
}

type State = typeof AssistantState.State;

/** What one tells of an email while it is handled; the last is `done`. */
export type AssistantEvent =
  | { type: "triaged"; label: Label; reason: string }
  | { type: "calling"; tools: string[] }
  | { type: "drafted"; draft: Draft; events: ProposedEvent[] }
  | { type: "done"; result: EmailResult };

/** What emails are handled with. */
export interface Handling {
  graph: EmailAssistant;
  hasThreads: boolean;
  now: () => Date;
  memory: Memory;
  model: string;
  log: Log;
}

/** Handles one email of a user, and tells how far it is. Never throws: what fails is in the result. */
export function handle(
  userId: string,
  email: Email,
  { graph, hasThreads, now, memory, model, log }: Handling,
  tell?: (event: AssistantEvent) => void,
): Promise<EmailResult> {
  return metered(async (usage) => {
    const nothing = { id: email.id, label: null, reason: null, draft: null, events: [], memories: [], reviews: [] };
    // Its text is embedded while the turn at the thread is taken and the first steps are kept.
    memory.facts.expect(email);
    try {
      const { threadId, state } = await inThread(userId, email, { graph, hasThreads, memory }, (at) =>
        runGraph(graph, email, at, tell),
      );
      if (!state) throw new MnemailError("input", `${email.id}: the run ended without a state`);
      const { label, reason, draft, events, memories } = state;
      const id = state.email?.id ?? email.id;
      const here = { userId, threadId, now: now(), onServer: false };
      const reviews = hasThreads ? pendingReviews(state, here).filter((each) => each.email.id === id) : [];
      const status = reviews.length > 0 ? "pending_review" : "done";
      const found = { label, outcome: status, reviews: reviews.length, usage: usage() } as const;
      log.event("email.handled", { user: userId, email: id, ...found });
      return { id, status, label, reason, draft, events, memories, reviews, usage: usage() };
    } catch (thrown) {
      const error = isNodeTimeoutError(thrown) ? tookTooLong(thrown) : thrown;
      log.event("email.failed", { user: userId, email: email.id, error, usage: usage() });
      const cost = { kind: "email", model, usage: usage(), at: now().toISOString(), email_id: email.id } as const;
      const isStore = error instanceof MnemailError && error.code === "store";
      // What failed because of the store cannot be kept there; the failure that is reported is the first.
      if (cost.usage.model_calls > 0 && !isStore) await memory.costs.add(userId, cost).catch(() => {});
      return { ...nothing, status: "failed", usage: usage(), error: renderError(error), ...codeOf(error) };
    }
  });
}

interface RunConfig {
  configurable: { user_id: string; thread_id: string };
}

async function runGraph(
  graph: EmailAssistant,
  email: Email,
  at: RunConfig,
  tell?: (event: AssistantEvent) => void,
): Promise<State | undefined> {
  const input = { email_input: { ...email } };
  const durable = { ...at, durability: "sync" as const };
  if (!tell) return graph.invoke(input, durable);
  const run = { ...durable, streamMode: ["updates" as const, "values" as const] };
  let state: State | undefined;
  for await (const [mode, step] of await graph.stream(input, run)) {
    // A run that waits ends with a chunk of the interrupt alone.
    if (mode === "values") state = { ...state, ...step };
    else for (const event of eventsOf(step)) tell(event);
  }
  return state;
}

/** Where the run of a thread stands that carries out what the user decided. */
const CARRYING_OUT = ["review", "settle", "act", "learn"];

/**
 * Runs an email in the thread of its conversation, while nobody else is at work there. Where a run of another email, or one
 * that carries out a decision, was cut off there, it is the next thread of the conversation: the other is still to be
 * resumed.
 */
async function inThread(
  userId: string,
  email: Email,
  { graph, hasThreads, memory }: Pick<Handling, "graph" | "hasThreads" | "memory">,
  run: (at: RunConfig) => Promise<State | undefined>,
): Promise<{ threadId: string; state: State | undefined }> {
  for (let n = 0; ; n += 1) {
    const threadId = threadIdFor(userId, email, n);
    const at = { configurable: { user_id: userId, thread_id: threadId } };
    if (!hasThreads) return { threadId, state: await run(at) };
    const held = await memory.reviews.leases.hold(userId, threadId, async () => {
      const { values, tasks } = await graph.getState(at);
      const { isInterrupted, isUnfinished } = threadState(values, tasks);
      const isAtWork = isUnfinished && !isInterrupted;
      const isOther = cutOffSchema.safeParse(values).data?.email.id !== email.id;
      const isDecided = tasks.some(({ name }) => CARRYING_OUT.includes(name));
      if (isAtWork && (isOther || isDecided) && n < MOST_THREADS) return undefined;
      return { state: await run(at) };
    });
    if (held) return { threadId, ...held };
  }
}

/** Of one conversation; a hundred broken runs in it are left to `resume`. */
const MOST_THREADS = 100;
const cutOffSchema = z.object({ email: z.object({ id: z.string() }) });

function tookTooLong(cause: unknown): MnemailError {
  const hint = "try again, or raise MODEL_TIMEOUT_MS";
  return new MnemailError("model", "the model did not answer in time", hint, { cause });
}

function codeOf(error: unknown): { code?: ErrorCode } {
  return error instanceof MnemailError ? { code: error.code } : {};
}

/** What one step of the graph tells. */
function eventsOf(update: Record<string, unknown>): AssistantEvent[] {
  const { triage, respond } = stepSchema.parse(update);
  const calls = respond?.messages.flatMap((message) =>
    AIMessage.isInstance(message) ? (message.tool_calls ?? []) : [],
  );
  return [
    ...(triage ? [{ type: "triaged" as const, ...triage }] : []),
    ...(calls ? [{ type: "calling" as const, tools: calls.map(({ name }) => name) }] : []),
    ...(respond?.draft ? [{ type: "drafted" as const, draft: respond.draft, events: respond.events }] : []),
  ];
}

const stepSchema = z.object({
  triage: z.object({ label: labelSchema, reason: z.string().default("") }).optional(),
  respond: z
    .object({
      messages: z.array(z.unknown()),
      draft: draftSchema.nullable().default(null),
      events: z.array(proposedEventSchema).default([]),
    })
    .optional(),
});
