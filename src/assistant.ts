import { ReadableStream } from "node:stream/web";
import type { BaseCheckpointSaver, BaseStore } from "@langchain/langgraph-checkpoint";
import { createEmailAssistant, type EmailAssistant } from "./agent/graph.ts";
import { createDecider } from "./agent/triage.ts";
import { createClosing } from "./closing.ts";
import type { Config } from "./config.ts";
import type { Email } from "./email.ts";
import { type AssistantEvent, type EmailResult, handle } from "./handle.ts";
import { type Approval, type ApproveOptions, approve } from "./learning/approve.ts";
import { type Extracted, extractWaiting } from "./learning/extract.ts";
import { createExtractionQueue, type ExtractionTotals } from "./learning/extraction-queue.ts";
import type { Feedback } from "./learning/feedback.ts";
import { type LearningParts, learn, type Outcome, type Retried, retry } from "./learning/learn.ts";
import { remember } from "./learning/remember.ts";
import { type Log, SILENT } from "./log.ts";
import { loadCalendar } from "./mail/calendar.ts";
import { createFileOutbox, type Outbox } from "./mail/outbox.ts";
import type { UserFact } from "./memory/episodic.ts";
import type { Remembered } from "./memory/facts.ts";
import { Memory } from "./memory/memory.ts";
import { metered, type Usage } from "./meter.ts";
import { type OpenModels, openModels } from "./models.ts";
import { loadPrompts } from "./prompts.ts";
import { localThreads } from "./reviews/local-threads.ts";
import { NO_THREADS } from "./reviews/no-threads.ts";
import { openReviews, type Reviews } from "./reviews/reviews.ts";
import { adaptStore } from "./store/encoded-labels.ts";
import { type OpenCheckpointer, openCheckpointer } from "./store/open-checkpointer.ts";
import { openStore } from "./store/open-store.ts";
import { type ThreadSource, threadIdsOf } from "./store/threads.ts";

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
  /** As `handle`, and tells meanwhile how far it is. */
  stream(userId: string, email: Email): AsyncIterable<AssistantEvent>;
  /** What waits for users, and their decisions. @throws MnemailError("usage") without a checkpointer. */
  readonly reviews: Reviews;
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

/** What an assistant is opened with beside its configuration. What is given here stays the caller's to close. */
export interface AssistantOptions {
  warn?: (line: string) => void;
  now?: () => Date;
  /** Long-term memory in the place of the configured store. */
  store?: BaseStore;
  models?: Omit<OpenModels, keyof AsyncDisposable>;
  outbox?: Outbox;
  /** Told what is done, without any text of mail unless it is opened so; silent by default. */
  log?: Log;
  /**
   * Threads in the place of those kept by the setting of the store. `false` is none: runs then do not wait for the user,
   * unless a LangGraph server brings a checkpointer.
   */
  checkpointer?: BaseCheckpointSaver | false;
}

/**
 * Opens the assistant that a configuration describes: models, store, memory, threads, outbox and graph. The one place
 * where the parts meet; every entry point (CLI, LangGraph server, scripts) goes through it.
 *
 * @throws MnemailError for a store, prompt or calendar that cannot be read.
 */
export async function openAssistant(config: Config, options: AssistantOptions = {}): Promise<OpenAssistant> {
  const prompts = loadPrompts();
  if (config.calendarPath !== undefined) await loadCalendar(config.calendarPath);
  const warn = options.warn ?? (() => {});
  const now = options.now ?? (() => new Date());
  const log = options.log ?? SILENT;
  const { use, close } = createClosing();
  try {
    const models = options.models ?? use(await openModels(config));
    const { embeddings, embeddingModel: model } = models;
    const index = embeddings ? { index: { embeddings, model } } : {};
    const indexed = { warn, language: config.searchLanguage, ...index };
    const store = options.store ? adaptStore(options.store) : use(await openStore(config.store, indexed));
    const threads = await openThreads(config, options, use);
    const { calendarPath, respondMaxModelCalls, outboxPath: folder, modelTimeoutMs, modelMaxRetries } = config;
    const outbox = logged(options.outbox ?? createFileOutbox({ folder, calendarPath }), log);
    const memory = new Memory(store, prompts, warn);
    const learning = { memory, models, prompts, decider: createDecider({ models, prompts }), now };
    const queue = createExtractionQueue(async function* (userId, isDue) {
      for await (const extracted of extractWaiting(userId, learning, isDue)) {
        const { found, usage, error } = extracted;
        log.event("extraction.done", { user: userId, emails: 1, found, failed: error === undefined ? 0 : 1, usage });
        yield extracted;
      }
    }, warn);
    // Closed before what it works with.
    use({ [Symbol.asyncDispose]: () => queue.stop() });
    const extractInBackground = config.memoryExtraction ? queue.start : () => {};
    const teach = (userId: string, feedback: Feedback, onProgress?: LearningParts["onProgress"]) =>
      metered(async (usage) => {
        const outcome = await learn(userId, feedback, { ...learning, onProgress }).catch((error: unknown) => {
          log.event("learn.failed", { user: userId, error });
          throw error;
        });
        const what = { kind: feedback.kind, changes: outcome.receipt.changes.length, usage: usage() };
        const done = outcome.repeated ? "repeated" : "done";
        log.event("learn.done", { user: userId, email: feedback.email_id, outcome: done, ...what });
        return { ...outcome, usage: usage() };
      });
    const graph = createEmailAssistant({
      ...{ store, models, prompts, calendarPath, respondMaxModelCalls, outbox, now, warn },
      // Beside its attempts, the client waits between them.
      stepTimeoutMs: modelTimeoutMs * (modelMaxRetries + 1) + 60_000 * (modelMaxRetries + 1),
      learn: teach,
      ...(threads ? { checkpointer: threads.checkpointer } : {}),
      ...(config.memoryExtraction ? { onQueued: extractInBackground } : {}),
    });
    const rehearse = (userId: string, feedback: Feedback, onProgress?: LearningParts["onProgress"]) =>
      metered(async (usage) => {
        const outcome = await learn(userId, feedback, { ...learning, onProgress }, { dryRun: true });
        return { ...outcome, usage: usage() };
      });
    const graphThreads = threads ? localThreads(graph, threads, memory.reviews.leases) : NO_THREADS;
    const handling = { graph, hasThreads: threads !== undefined, now, memory, model: models.chat.model, log };
    return {
      graph,
      memory,
      reviews: openReviews({ memory, threads: graphThreads, rehearse, now, log }),
      modelDescription: models.description,
      handle: (userId, email) => handle(userId, email, handling),
      stream: (userId, email) =>
        new ReadableStream<AssistantEvent>({
          async start(controller) {
            const result = await handle(userId, email, handling, (event) => controller.enqueue(event));
            controller.enqueue({ type: "done", result });
            controller.close();
          },
        }),
      learn: (userId, feedback, { dryRun = false, onProgress } = {}) =>
        dryRun ? rehearse(userId, feedback, onProgress) : teach(userId, feedback, onProgress),
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

/** Threads on a checkpointer of the caller's or, unless they want none, of the configuration. */
async function openThreads(
  config: Config,
  { checkpointer, warn = () => {} }: AssistantOptions,
  use: (opened: OpenCheckpointer) => OpenCheckpointer,
): Promise<ThreadSource | undefined> {
  if (checkpointer === false) return undefined;
  if (checkpointer) return { checkpointer, threadIds: (userId) => threadIdsOf(checkpointer, userId) };
  return use(await openCheckpointer(config.store, { warn }));
}

/** An outbox that tells the log what it wrote. */
function logged(outbox: Outbox, log: Log): Outbox {
  return {
    async writeEmail(message) {
      const acted = await outbox.writeEmail(message);
      log.event("outbox.written", { user: message.userId, kind: "email", outcome: acted.status });
      return acted;
    },
    async addEvent(event) {
      const acted = await outbox.addEvent(event);
      log.event("outbox.written", { user: event.userId, kind: "event", outcome: acted.status });
      return acted;
    },
  };
}
