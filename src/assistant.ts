import { randomUUID } from "node:crypto";
import { createEmailAssistant, type EmailAssistant } from "./agent/graph.ts";
import { createDecider } from "./agent/triage.ts";
import type { Config } from "./config.ts";
import type { Email } from "./email.ts";
import { renderError } from "./errors.ts";
import { type Approval, type ApproveOptions, approve } from "./learning/approve.ts";
import { type Extracted, extractWaiting } from "./learning/extract.ts";
import { createExtractionQueue, type ExtractionTotals } from "./learning/extraction-queue.ts";
import type { Feedback } from "./learning/feedback.ts";
import { type LearningParts, learn, type Outcome, type Retried, retry } from "./learning/learn.ts";
import { remember } from "./learning/remember.ts";
import { loadCalendar } from "./mail/calendar.ts";
import type { UserFact } from "./memory/episodic.ts";
import type { Remembered } from "./memory/facts.ts";
import { Memory } from "./memory/memory.ts";
import type { Draft, Label, ProposedEvent, UsedMemory } from "./memory/records.ts";
import { metered, type Usage } from "./meter.ts";
import { openModels } from "./models.ts";
import { loadPrompts } from "./prompts.ts";
import { openCheckpointer, openStore } from "./store/open-store.ts";

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
  usage: Usage;
  error?: string;
}

/** How a feedback is learnt from; `onProgress` hears how far the test of a change is, in emails. */
export interface LearnOptions {
  dryRun?: boolean;
  onProgress?: LearningParts["onProgress"];
}

/** An assistant with all it runs on. Disposing closes store and checkpointer and stops a stand-in it started. */
export interface OpenAssistant extends AsyncDisposable {
  graph: EmailAssistant;
  memory: Memory;
  /** One line: which model answers. */
  modelDescription: string;
  /** Handles one email. Never throws: a failure is reported in the result, and nothing of the email is remembered. */
  handle(userId: string, email: Email): Promise<EmailResult>;
  /** Learns from feedback. @throws MnemailError as {@link learn}. */
  learn(userId: string, feedback: Feedback, options?: LearnOptions): Promise<Outcome & { usage: Usage }>;
  /** Learns from the feedback that waits in the log: {@link retry}. */
  retry(userId: string, options?: Pick<LearnOptions, "onProgress">): AsyncGenerator<Retried>;
  /** Keeps a fact that the user states: {@link remember}. */
  remember(userId: string, fact: UserFact): Promise<Remembered & { note?: string; usage: Usage }>;
  /** Approves a pending memory: {@link approve}. */
  approve(userId: string, key: string, options?: ApproveOptions): Promise<Approval>;
  /** Extracts the facts of the user's emails that wait: {@link extractWaiting}. */
  extract(userId: string): AsyncGenerator<Extracted>;
  /** Where the configuration has it on, works off what waits for a user in the background. Returns at once. */
  extractInBackground(userId: string): void;
  /** Waits until the background has worked off what it was told of, and tells what it did. */
  extracted(): Promise<ExtractionTotals>;
}

/**
 * Opens the assistant that a configuration describes: models, store, memory and graph. The one place where the
 * parts meet; every entry point (CLI, LangGraph server, scripts) goes through it. With `checkpointer`, threads are
 * kept by the same setting as memory, and each run of the graph needs a `configurable.thread_id`.
 *
 * @throws MnemailError for a store, prompt or calendar that cannot be read.
 */
export async function openAssistant(
  config: Config,
  options: { warn?: (line: string) => void; now?: () => Date; checkpointer?: boolean } = {},
): Promise<OpenAssistant> {
  const prompts = loadPrompts();
  if (config.calendarPath !== undefined) await loadCalendar(config.calendarPath);
  const warn = options.warn ?? (() => {});
  const now = options.now ?? (() => new Date());
  const opened: AsyncDisposable[] = [];
  const close = async () => {
    for (const each of opened.splice(0).reverse()) await each[Symbol.asyncDispose]();
  };
  const use = <T extends AsyncDisposable>(each: T): T => {
    opened.push(each);
    return each;
  };
  try {
    const models = use(await openModels(config));
    const { embeddings, embeddingModel: model } = models;
    const index = embeddings ? { index: { embeddings, model } } : {};
    const store = use(await openStore(config.store, { warn, language: config.searchLanguage, ...index }));
    const threads = options.checkpointer ? use(await openCheckpointer(config.store, { warn })) : undefined;
    const { calendarPath, respondMaxModelCalls } = config;
    const memory = new Memory(store, prompts, warn);
    const learning = { memory, models, prompts, decider: createDecider({ models, prompts }), now };
    const queue = createExtractionQueue((userId, isDue) => extractWaiting(userId, learning, isDue), warn);
    // Closed before what it works with.
    use({ [Symbol.asyncDispose]: () => queue.stop() });
    const extractInBackground = config.memoryExtraction ? queue.start : () => {};
    const graph = createEmailAssistant({
      ...{ store, models, prompts, calendarPath, respondMaxModelCalls, now, warn },
      ...(threads ? { checkpointer: threads.checkpointer } : {}),
      ...(config.memoryExtraction ? { onQueued: extractInBackground } : {}),
    });
    return {
      graph,
      memory,
      modelDescription: models.description,
      handle: (userId, email) => metered((usage) => handle(graph, userId, email, usage)),
      learn: (userId, feedback, { dryRun = false, onProgress } = {}) =>
        metered(async (usage) => {
          const outcome = await learn(userId, feedback, { ...learning, onProgress }, { dryRun });
          return { ...outcome, usage: usage() };
        }),
      retry: (userId, { onProgress } = {}) => retry(userId, { ...learning, onProgress }),
      remember: (userId, fact) =>
        metered(async (usage) => ({ ...(await remember(userId, fact, learning)), usage: usage() })),
      approve: (userId, key, options) => approve(userId, key, learning, options),
      extract: (userId) => extractWaiting(userId, learning),
      extractInBackground,
      extracted: () => queue.idle(),
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function handle(graph: EmailAssistant, userId: string, email: Email, usage: () => Usage): Promise<EmailResult> {
  const nothing = { id: email.id, label: null, reason: null, draft: null, events: [], memories: [] };
  try {
    // A thread of its own each time: an email that failed is handled from the beginning.
    const configurable = { user_id: userId, thread_id: randomUUID() };
    const state = await graph.invoke({ email_input: { ...email } }, { configurable });
    const { label, reason, draft, events, memories } = state;
    return { id: state.email?.id ?? email.id, status: "done", label, reason, draft, events, memories, usage: usage() };
  } catch (error) {
    return { ...nothing, status: "failed", usage: usage(), error: renderError(error) };
  }
}
