import { z } from "zod";
import { actionSchema } from "../agent/actions.ts";
import { answerSchema } from "../agent/review.ts";
import { proposedFactSchema } from "../memory/records.ts";
import type { Turns } from "../memory/thread-leases.ts";

/** What is read of a thread's state; threads of another shape hold nothing that waits. */
export const threadValuesSchema = z.object({
  user_id: z.string().catch(""),
  attempt: z.string().catch(""),
  actions: z.array(actionSchema).catch([]),
  answers: z.array(answerSchema).catch([]),
  proposals: z.array(proposedFactSchema).catch([]),
});

/** See {@link threadValuesSchema}. */
export type ThreadValues = z.infer<typeof threadValuesSchema>;

/** Where a thread stands: its state, whether it waits for its user, and whether it has steps left to do. */
export interface ThreadState {
  values: ThreadValues;
  isInterrupted: boolean;
  isUnfinished: boolean;
}

/**
 * A thread as LangGraph tells of it. Its `next` leaves out the steps whose results are written and not yet in a
 * checkpoint, so that a run that was killed in between would count as ended; and its interrupt stays until then, though it
 * is answered.
 */
export function threadState(values: unknown, tasks: readonly { interrupts: readonly unknown[] }[]): ThreadState {
  const parsed = threadValuesSchema.parse(values);
  const isAnswered = parsed.answers.some(({ status }) => status === "given");
  const isInterrupted = !isAnswered && tasks.some(({ interrupts }) => interrupts.length > 0);
  return { values: parsed, isInterrupted, isUnfinished: tasks.length > 0 };
}

/** A thread as a run left it: LangGraph tells of what it waits for in `__interrupt__`. */
export function stateAfterRun(values: unknown): ThreadState {
  const { __interrupt__: interrupts } = z.object({ __interrupt__: z.array(z.unknown()).catch([]) }).parse(values);
  return threadState(values, interrupts.length > 0 ? [{ interrupts }] : []);
}

/**
 * Where threads of the graph are run: in this process on a checkpointer of ours, or on a LangGraph server. Methods throw
 * MnemailError: "store" where threads cannot be reached, "forbidden" for another user's.
 */
export interface GraphThreads {
  isServer: boolean;
  /** A thread as it stands, or undefined where there is none of that id. */
  read(userId: string, threadId: string): Promise<ThreadState | undefined>;
  /** Who may work on a thread, and when. */
  turns: Turns;
  /** Goes on with what the user answered, until the thread ends or waits again; returns how this run left it. */
  resume(userId: string, threadId: string, answers: unknown): Promise<ThreadState>;
  /** Goes on where a run was cut off. */
  proceed(userId: string, threadId: string): Promise<void>;
  /** The threads of a user whose runs were cut off or failed. */
  unfinished(userId: string): Promise<string[]>;
}
