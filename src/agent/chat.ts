import { randomUUID } from "node:crypto";
import {
  AIMessage,
  type BaseMessage,
  HumanMessage,
  RemoveMessage,
  SystemMessage,
  ToolMessage,
} from "@langchain/core/messages";
import { END, START, StateGraph } from "@langchain/langgraph";
import type { BaseCheckpointSaver, BaseStore } from "@langchain/langgraph-checkpoint";
import { z } from "zod";
import { cleanText, oneLine } from "../email.ts";
import { MnemailError } from "../errors.ts";
import type { LearningParts } from "../learning/learn.ts";
import { StoreAccess } from "../memory/access.ts";
import { Memory } from "../memory/memory.ts";
import { Profiles, readProfile, renderProfile } from "../memory/profile.ts";
import { leastTrust } from "../memory/trust.ts";
import { metered } from "../meter.ts";
import { askForToolCalls, type Models } from "../models.ts";
import { loadPrompts, type Prompts, renderPrompt } from "../prompts.ts";
import { adaptStore } from "../store/encoded-labels.ts";
import { unknownThread } from "../store/threads.ts";
import { ownWords } from "./chat-evidence.ts";
import { parseMessage } from "./chat-message.ts";
import { ChatInput, ChatState } from "./chat-state.ts";
import type { WaitingAction } from "./chat-tool.ts";
import { callChatTool, chatTools } from "./chat-tools.ts";
import { contextSchema, userIdOf } from "./state.ts";
import { createDecider } from "./triage.ts";

type State = typeof ChatState.State;
type Update = typeof ChatState.Update;

const TOPIC_LIMIT = 80;
/** Characters of a chat that a model is shown; what is older is left out turn by turn. */
const SHOWN_LIMIT = 60_000;
/** Calls of tools in one message of a model; the rest is refused. */
const MOST_CALLS = 10;
/** The node whose words the user is shown. */
export const ANSWERING = "answer";

/** The parts a chat is made of. The caller owns the store, the checkpointer and the models. */
export interface ChatParts {
  /** Long-term memory, as for the email assistant: any LangGraph store. */
  store: BaseStore;
  models: Models;
  /** Keeps the threads of chats; without it, each message is a chat of its own. */
  checkpointer?: BaseCheckpointSaver;
  prompts?: Prompts;
  /** Hard cap on the model calls by which one message is answered, 6 by default. What is learnt costs its own. */
  respondMaxModelCalls?: number;
  /** What waits for a user's approval, where the chat may tell of it. */
  listReviews?: (userId: string) => Promise<readonly WaitingAction[]>;
  now?: () => Date;
  warn?: (line: string) => void;
}

/**
 * Builds the graph of a chat: `receive` → `answer` ⇄ `tools`. One run answers one message of the user named by
 * `configurable.user_id`, in the thread named by `configurable.thread_id`, which is that user's alone.
 *
 * The user's messages are their own word. What tools show of mail is a stranger's: from then on the thread's trust is
 * `mail`, and what the model wants to remember waits for the user's approval. No tool sends or approves anything.
 *
 * A run throws MnemailError: "usage" for a message that is none or a missing user id, "input" for another user's thread,
 * "limit" at the cap, "model" and "store" for what fails. The next message begins where the last answer ended.
 */
export function createChatAssistant(parts: ChatParts) {
  const { models, checkpointer, respondMaxModelCalls = 6, listReviews } = parts;
  const store = adaptStore(parts.store);
  const warn = parts.warn ?? (() => {});
  const now = parts.now ?? (() => new Date());
  const prompts = parts.prompts ?? loadPrompts();
  const memory = new Memory(store, prompts, warn);
  const access = new StoreAccess(store, warn);
  const profiles = new Profiles(access);
  const learning: LearningParts = { memory, models, prompts, decider: createDecider({ models, prompts }), now };
  const tools = chatTools({ canListReviews: listReviews !== undefined });

  const receive = async (state: State, config: unknown): Promise<Update> => {
    const userId = ownerOf(state, config);
    const text = parseMessage(state.message ?? "");
    return {
      message: null,
      user_id: userId,
      topic: state.topic || cleanText(oneLine(text).slice(0, TOPIC_LIMIT)),
      // Quoted and forwarded lines that the user pastes are a stranger's.
      trust: ownWords(text) === text ? "user" : "mail",
      messages: [...unfinished(state.messages), new HumanMessage({ id: randomUUID(), content: text })],
      changes: [],
      answer_calls: 0,
    };
  };

  const answer = async (state: State, config: unknown): Promise<Update> => {
    const userId = ownerOf(state, config);
    if (state.answer_calls >= respondMaxModelCalls) {
      throw new MnemailError(
        "limit",
        `no answer after ${state.answer_calls} model calls`,
        "ask in smaller steps, or raise RESPOND_MAX_MODEL_CALLS",
      );
    }
    const profile = readProfile(await profiles.read(userId));
    const today = new Intl.DateTimeFormat("en-GB", { timeZone: profile.time_zone, dateStyle: "full" }).format(now());
    const system = renderPrompt(prompts.chat, { profile: renderProfile(profile), today });
    const said = await metered(async (usage) => {
      try {
        return await askForToolCalls(models.chat, {
          tools: [...tools.values()],
          messages: [new SystemMessage(system), ...recentTurns(state.messages)],
          choice: "auto",
        });
      } finally {
        await memory.costs.add(userId, {
          kind: "chat",
          model: models.chat.model,
          usage: usage(),
          at: now().toISOString(),
        });
      }
    });
    if ((said.tool_calls ?? []).length === 0 && said.text.trim() === "") {
      throw new MnemailError("model", "the model answered nothing", "try again, or say it in other words");
    }
    return { messages: [said], answer_calls: state.answer_calls + 1 };
  };

  const runTools = async (state: State, config: unknown): Promise<Update> => {
    const userId = ownerOf(state, config);
    const users = state.messages.filter((each) => HumanMessage.isInstance(each));
    const userTexts = users.map(({ text }) => ownWords(text));
    const messageId = users.at(-1)?.id ?? "";
    const messages: ToolMessage[] = [];
    const changes = [...state.changes];
    let { trust } = state;
    for (const [i, call] of callsOf(state.messages).entries()) {
      const context = { userId, userTexts, messageId, trust, access, learning, listReviews };
      const result =
        i < MOST_CALLS
          ? await callChatTool(tools, call.name, call.args, context)
          : { text: `Refused: at most ${MOST_CALLS} calls at once.` };
      messages.push(new ToolMessage({ content: result.text, tool_call_id: call.id ?? "", name: call.name }));
      trust = leastTrust(trust, result.trust ?? "user");
      // The same again changes nothing.
      const known = new Set(changes.map((each) => JSON.stringify(each)));
      changes.push(...(result.changes ?? []).filter((each) => !known.has(JSON.stringify(each))));
    }
    return { messages, trust, changes };
  };

  return new StateGraph({ state: ChatState, input: ChatInput, context: contextSchema })
    .addNode("receive", receive)
    .addNode(ANSWERING, answer)
    .addNode("tools", runTools)
    .addEdge(START, "receive")
    .addEdge("receive", ANSWERING)
    .addConditionalEdges(ANSWERING, (state) => (callsOf(state.messages).length > 0 ? "tools" : END), ["tools", END])
    .addEdge("tools", ANSWERING)
    .compile({ store, ...(checkpointer ? { checkpointer } : {}), name: "mnemail_chat" })
    .withConfig({ store, recursionLimit: 2 * respondMaxModelCalls + 10 });
}

/** The compiled graph that {@link createChatAssistant} returns. */
export type ChatAssistant = ReturnType<typeof createChatAssistant>;

/** @throws MnemailError("input") for a thread of another user, in the words for one that does not exist. */
function ownerOf(state: State, config: unknown): string {
  const userId = userIdOf(config);
  if (state.user_id === "" || state.user_id === userId) return userId;
  const { thread_id: threadId = "" } = runSchema.safeParse(config).data?.configurable ?? {};
  throw unknownThread(userId, threadId);
}

const runSchema = z.object({ configurable: z.looseObject({ thread_id: z.string().optional() }) });

function callsOf(messages: readonly BaseMessage[]) {
  const last = messages.at(-1);
  return AIMessage.isInstance(last) ? (last.tool_calls ?? []) : [];
}

/** What a turn that failed or was killed left after the user's message; a call without its result breaks a thread. */
function unfinished(messages: readonly BaseMessage[]): RemoveMessage[] {
  const asked = messages.findLastIndex((each) => HumanMessage.isInstance(each));
  const last = messages.at(-1);
  if (asked < 0 || (AIMessage.isInstance(last) && callsOf(messages).length === 0)) return [];
  return messages.slice(asked + 1).flatMap(({ id }) => (id === undefined ? [] : [new RemoveMessage({ id })]));
}

/** The last turns of a chat that have room; the last one always, a turn whole or not at all. */
function recentTurns(messages: readonly BaseMessage[]): BaseMessage[] {
  let from = messages.length;
  let length = 0;
  for (let at = messages.length - 1; at >= 0; at -= 1) {
    const message = messages[at];
    length += message?.text.length ?? 0;
    if (length > SHOWN_LIMIT && from < messages.length) break;
    if (HumanMessage.isInstance(message)) from = at;
  }
  return messages.slice(from);
}
