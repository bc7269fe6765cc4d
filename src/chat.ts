import { randomUUID } from "node:crypto";
import { AIMessage, type BaseMessage } from "@langchain/core/messages";
import { ANSWERING, createChatAssistant } from "./agent/chat.ts";
import { parseMessage } from "./agent/chat-message.ts";
import type { ChatChange } from "./agent/chat-state.ts";
import { createEmailAssistant } from "./agent/graph.ts";
import { createDecider } from "./agent/triage.ts";
import { createClosing } from "./closing.ts";
import type { Config } from "./config.ts";
import { MnemailError } from "./errors.ts";
import { learn } from "./learning/learn.ts";
import { Memory } from "./memory/memory.ts";
import type { Trust } from "./memory/trust.ts";
import { metered, type Usage } from "./meter.ts";
import { openModels } from "./models.ts";
import { loadPrompts } from "./prompts.ts";
import { localThreads } from "./reviews/local-threads.ts";
import { openReviews } from "./reviews/reviews.ts";
import { encodeUserId } from "./store/namespaces.ts";
import { openCheckpointer } from "./store/open-checkpointer.ts";
import { openStore } from "./store/open-store.ts";
import { findThread, unknownThread } from "./store/threads.ts";

/** The answer to one message. `trust` is whose words the thread holds now; `changes` are what the message changed. */
export interface ChatAnswer {
  threadId: string;
  answer: string;
  trust: Trust;
  changes: ChatChange[];
  usage: Usage;
}

/** A chat with all it runs on. Disposing closes store and checkpointer and stops a stand-in it started. */
export interface OpenChat extends AsyncDisposable {
  /** One line: which model answers. */
  modelDescription: string;
  /**
   * Checks that a thread is a chat of the user.
   *
   * @throws MnemailError("input") for another user's thread, one that does not exist, and one of email.
   */
  checkThread(userId: string, threadId: string): Promise<void>;
  /**
   * Says something in a thread of the user, a new one where none is named. `onText` hears the words as the model writes
   * them, those before a call of a tool too.
   *
   * @throws MnemailError as the graph of `agent/chat.ts`, and as `checkThread`.
   */
  say(
    userId: string,
    message: string,
    options?: { threadId?: string | undefined; onText?: ((piece: string) => void) | undefined },
  ): Promise<ChatAnswer>;
}

/**
 * Opens the chat that a configuration describes: models, store, memory, and threads by the same setting as memory.
 *
 * @throws MnemailError for a store or prompt that cannot be read.
 */
export async function openChat(
  config: Config,
  options: { warn?: (line: string) => void; now?: () => Date } = {},
): Promise<OpenChat> {
  const prompts = loadPrompts();
  const warn = options.warn ?? (() => {});
  const now = options.now ?? (() => new Date());
  const { use, close } = createClosing();
  try {
    const models = use(await openModels(config));
    const { embeddings, embeddingModel: model } = models;
    const index = embeddings ? { index: { embeddings, model } } : {};
    const store = use(await openStore(config.store, { warn, language: config.searchLanguage, ...index }));
    const threads = use(await openCheckpointer(config.store, { warn }));
    const { checkpointer } = threads;
    const memory = new Memory(store, prompts, warn);
    // The threads of email are only read here: what waits in them is the user's to decide elsewhere.
    const mail = createEmailAssistant({ store, models, checkpointer, prompts, now, warn });
    const learning = { memory, models, prompts, decider: createDecider({ models, prompts }), now };
    const reviews = openReviews({
      ...{ memory, threads: localThreads(mail, threads, memory.reviews.leases), now },
      rehearse: (userId, feedback) => learn(userId, feedback, learning, { dryRun: true }),
    });
    const graph = createChatAssistant({
      ...{ store, models, checkpointer, prompts, now, warn, respondMaxModelCalls: config.respondMaxModelCalls },
      listReviews: (userId) => reviews.list(userId),
    });
    const checkThread = async (userId: string, threadId: string) => {
      const thread = await findThread(threads, userId, threadId);
      if (!thread) throw unknownThread(userId, threadId);
      if (thread.topic !== undefined) return;
      const what = `thread ${JSON.stringify(threadId)}: is about an email and no chat`;
      throw new MnemailError("input", what, "`mnemail chat` without --thread begins a new chat");
    };
    return {
      modelDescription: models.description,
      checkThread,
      say: (userId, message, { threadId, onText } = {}) =>
        metered(async (usage) => {
          encodeUserId(userId);
          const text = parseMessage(message);
          if (threadId !== undefined) await checkThread(userId, threadId);
          const thread = threadId ?? randomUUID();
          const run = { configurable: { user_id: userId, thread_id: thread } };
          const stream = await graph.stream({ message: text }, { ...run, streamMode: ["messages", "values"] });
          let last: { messages: BaseMessage[]; trust: Trust; changes: ChatChange[] } | undefined;
          let speaking: string | undefined;
          for await (const [mode, part] of stream) {
            if (mode === "values") {
              last = part;
              continue;
            }
            const [{ id, text: piece }, metadata] = part;
            if (metadata["langgraph_node"] !== ANSWERING || piece === "") continue;
            onText?.(speaking === undefined || speaking === id ? piece : `\n${piece}`);
            speaking = id;
          }
          const said = last?.messages.at(-1);
          const { trust = "mail", changes = [] } = last ?? {};
          return {
            threadId: thread,
            answer: AIMessage.isInstance(said) ? said.text : "",
            trust,
            changes,
            usage: usage(),
          };
        }),
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
