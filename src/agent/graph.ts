import { AIMessage, RemoveMessage, ToolMessage } from "@langchain/core/messages";
import { END, type LangGraphRunnableConfig, REMOVE_ALL_MESSAGES, START, StateGraph } from "@langchain/langgraph";
import type { BaseCheckpointSaver, BaseStore } from "@langchain/langgraph-checkpoint";
import { type Email, emailSchema, quoteUntrusted } from "../email.ts";
import { MnemailError, renderError } from "../errors.ts";
import { isWorthExtracting } from "../learning/extract.ts";
import { Memory } from "../memory/memory.ts";
import { keepEmail, type UsedMemory } from "../memory/records.ts";
import { addUsage, metered, NO_USAGE } from "../meter.ts";
import { askForToolCalls, type Models } from "../models.ts";
import { loadPrompts, type Prompts } from "../prompts.ts";
import { adaptStore } from "../store/encoded-labels.ts";
import { openAnswer } from "./respond.ts";
import { AssistantState, contextSchema, InputState, inputFields, userIdOf } from "./state.ts";
import { AGENT_TOOLS, type ToolContext, type ToolResult } from "./tools.ts";
import { triage } from "./triage.ts";

type State = typeof AssistantState.State;
type Update = typeof AssistantState.Update;

/** The state in which each email starts, whatever the thread held before. */
const FRESH = {
  problem: null,
  label: null,
  reason: "",
  messages: [new RemoveMessage({ id: REMOVE_ALL_MESSAGES })],
  draft: null,
  events: [],
  proposals: [],
  memories: [],
  prompts: [],
  extracted: false,
  request: "",
  answer_calls: 0,
  usage: { ...NO_USAGE },
} satisfies Update;

/** The parts an assistant is made of. The caller owns the store, the checkpointer and the models. */
export interface EmailAssistantParts {
  /** Long-term memory: any LangGraph store; labels are encoded for LangGraph's own PostgresStore. */
  store: BaseStore;
  models: Models;
  /** Short-term memory of threads; none is needed while nothing interrupts a run. */
  checkpointer?: BaseCheckpointSaver;
  prompts?: Prompts;
  /** An iCalendar file, read at each look-up. */
  calendarPath?: string | undefined;
  /** Hard cap on the model calls of one answer, 6 by default. */
  respondMaxModelCalls?: number;
  now?: () => Date;
  warn?: (line: string) => void;
  /** Where given, emails that are done are queued for the extraction of facts, and this is told of the user. */
  onQueued?: (userId: string) => void;
}

/**
 * Builds the graph: `receive` → `triage` → (`respond` ⇄ `tools`) → `record`. One run handles one email of the
 * user named by `configurable.user_id`. The store is injected at compile time and again by `withConfig`, since
 * the LangGraph dev server replaces the first with its own.
 *
 * A run throws MnemailError for an email that is none, a missing user id, a model or store that fails; nothing of the
 * email is then remembered.
 */
export function createEmailAssistant(parts: EmailAssistantParts) {
  const { models, checkpointer, calendarPath, respondMaxModelCalls = 6 } = parts;
  const store = adaptStore(parts.store);
  const prompts = parts.prompts ?? loadPrompts();
  const memory = new Memory(store, prompts, parts.warn);
  const now = parts.now ?? (() => new Date());

  /** Adds what a node used to the usage in the state. */
  const measured =
    (run: (state: State, userId: string) => Promise<Update>) =>
    (state: State, config: unknown): Promise<Update> =>
      metered(async (usage) => {
        const userId = userIdOf(config);
        checkOwner(state, userId);
        const update = await run(state, userId);
        return { ...update, usage: addUsage(state.usage, usage()) };
      });

  // The input is cleared in a step of its own even when it is refused: a thread keeps the input of a step that throws,
  // and would mix it into its next email.
  const receive = async (state: State, config: LangGraphRunnableConfig): Promise<Update> => {
    const cleared = Object.fromEntries(Object.keys(inputFields).map((name) => [name, null]));
    try {
      const userId = userIdOf(config);
      if (state.user_id !== "") checkOwner(state, userId);
      if (storeOf(config) !== store) {
        throw new MnemailError("usage", "store: given to this run; give it to createEmailAssistant instead");
      }
      return { ...cleared, ...FRESH, user_id: userId, trust: "mail", email: parseInput(state) };
    } catch (error) {
      if (!(error instanceof MnemailError)) throw error;
      const { code, message, hint } = error;
      // What was refused is in the thread's checkpoints all the same: the thread is its user's, to list and to forget.
      const owner = state.user_id === "" ? ownerOf(config) : {};
      return { ...cleared, ...owner, trust: "mail", problem: { code, message, hint } };
    }
  };

  const refuse = async ({ problem }: State): Promise<Update> => {
    throw new MnemailError(problem?.code ?? "input", problem?.message ?? "email: refused", problem?.hint);
  };

  const sort = measured(async (state, userId) => {
    const { email, ...found } = await triage(emailOf(state), userId, { memory, models, prompts });
    return { email, ...found };
  });

  const respond = measured(async (state, userId) => {
    if (state.answer_calls >= respondMaxModelCalls) {
      throw new MnemailError(
        "limit",
        `no draft after ${state.answer_calls} model calls`,
        "raise RESPOND_MAX_MODEL_CALLS",
      );
    }
    const isFirst = state.answer_calls === 0;
    const opening = isFirst ? await openAnswer(emailOf(state), userId, { memory, prompts, now: now() }) : undefined;
    const answer = await askForToolCalls(models.chat, {
      tools: [...AGENT_TOOLS.values()],
      messages: opening?.messages ?? state.messages,
    });
    if ((answer.tool_calls ?? []).length === 0) {
      throw new MnemailError(
        "model",
        `the model ended without a draft: ${JSON.stringify(answer.text.slice(0, 80))}`,
        "try again, or set CHAT_MODEL to a model that calls tools",
      );
    }
    return {
      messages: [...(opening?.messages ?? []), answer],
      memories: [...state.memories, ...(opening?.memories ?? [])],
      prompts: [...state.prompts, ...(opening?.prompts ?? [])],
      answer_calls: state.answer_calls + 1,
    };
  });

  const tools = measured(async (state, userId) => {
    const last = state.messages.at(-1);
    const calls = AIMessage.isInstance(last) ? (last.tool_calls ?? []) : [];
    const messages: ToolMessage[] = [];
    const events = [...state.events];
    let { draft, proposals, memories } = state;
    for (const call of calls) {
      const context = { userId, email: emailOf(state), memory, calendarPath, proposals, memories };
      const result = await callTool(call.name, call.args, context);
      messages.push(new ToolMessage({ content: result.text, tool_call_id: call.id ?? "", name: call.name }));
      draft = result.draft ?? draft;
      proposals = result.proposals ?? proposals;
      if (result.event) events.push(result.event);
      const isNew = ({ key }: UsedMemory) => !memories.some((each) => each.key === key);
      memories = [...memories, ...(result.memories ?? []).filter(isNew)];
    }
    return { messages, draft, events, proposals, memories };
  });

  const record = measured(async (state, userId) => {
    const email = emailOf(state);
    const { label, reason, draft, events, proposals, memories, prompts: used, request, trust } = state;
    if (label === null) throw new MnemailError("input", `${email.id}: has no label yet`);
    const at = now().toISOString();
    const { model } = models.chat;
    const kept = keepEmail(email);
    const decision = {
      email: kept,
      label,
      reason,
      draft,
      events,
      memories,
      prompts: used,
      model,
      request,
      trust,
      extracted: state.extracted,
      at,
    };
    const extract = parts.onQueued !== undefined && !state.extracted && isWorthExtracting(email, label);
    await memory.recordDecision(userId, email, decision, { proposals, extract });
    if (extract) parts.onQueued?.(userId);
    return {};
  });

  const graph = new StateGraph({ state: AssistantState, input: InputState, context: contextSchema })
    .addNode("receive", receive)
    .addNode("refuse", refuse)
    .addNode("triage", sort)
    .addNode("respond", respond)
    .addNode("tools", tools)
    .addNode("record", record)
    .addEdge(START, "receive")
    .addConditionalEdges("receive", (state) => (state.problem === null ? "triage" : "refuse"), ["triage", "refuse"])
    .addEdge("refuse", END)
    .addConditionalEdges("triage", (state) => (state.label === "respond" ? "respond" : "record"), ["respond", "record"])
    .addEdge("respond", "tools")
    .addConditionalEdges("tools", (state) => (state.draft === null ? "respond" : "record"), ["respond", "record"])
    .addEdge("record", END);

  return graph
    .compile({ store, ...(checkpointer ? { checkpointer } : {}), name: "email_assistant" })
    .withConfig({ store, recursionLimit: 2 * respondMaxModelCalls + 10 });
}

/** The compiled graph that {@link createEmailAssistant} returns. */
export type EmailAssistant = ReturnType<typeof createEmailAssistant>;

/** Whose a run's thread is, where the run says so. */
function ownerOf(config: unknown): { user_id?: string } {
  try {
    return { user_id: userIdOf(config) };
  } catch {
    return {};
  }
}

/** A thread is one user's: neither its next email nor the rest of a broken run may become another's. */
function checkOwner(state: State, userId: string): void {
  if (state.user_id === userId) return;
  throw new MnemailError("usage", "thread: belongs to another user", "start a new thread");
}

/** The store a run was given; LangGraph wraps it for nodes. */
function storeOf({ store }: LangGraphRunnableConfig): unknown {
  return store !== undefined && "store" in store ? store.store : store;
}

function parseInput(state: State): Email {
  const parsed = emailSchema.safeParse(
    state.email_input ?? Object.fromEntries(Object.entries(state).filter(([name]) => Object.hasOwn(inputFields, name))),
  );
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new MnemailError(
    "input",
    `email: ${issue?.path.join(".") || "input"}: ${issue?.message ?? "not an email"}`,
    "expected { from, to, subject, body } or { author, to, subject, email_thread }, wrapped in email_input or not",
  );
}

function emailOf(state: State): Email {
  if (state.email === null) throw new MnemailError("input", "email: none received", "give the graph an email");
  return state.email;
}

async function callTool(name: string, args: unknown, context: ToolContext): Promise<ToolResult> {
  const tool = AGENT_TOOLS.get(name);
  if (!tool) return { text: `Refused: there is no tool ${JSON.stringify(name)}.` };
  try {
    return await tool.call(args, context);
  } catch (error) {
    // The model can correct its arguments and work without a calendar; a store that fails ends the run.
    if (error instanceof MnemailError && error.code === "store") throw error;
    return { text: `Failed:\n${quoteUntrusted(renderError(error), 500)}` };
  }
}
