import { END, interrupt, type LangGraphRunnableConfig, START, StateGraph } from "@langchain/langgraph";
import type { BaseCheckpointSaver, BaseStore } from "@langchain/langgraph-checkpoint";
import { z } from "zod";
import { MnemailError } from "../errors.ts";
import { isWorthExtracting } from "../learning/extract.ts";
import { automaticReason } from "../mail/automatic.ts";
import type { Outbox } from "../mail/outbox.ts";
import { Memory } from "../memory/memory.ts";
import { keepEmail } from "../memory/records.ts";
import { metered, NO_USAGE } from "../meter.ts";
import type { Models } from "../models.ts";
import { loadPrompts, type Prompts } from "../prompts.ts";
import { adaptStore } from "../store/encoded-labels.ts";
import { type ActionPlace, createAction, identify } from "./actions.ts";
import { answer, runTool, toolTasks } from "./answering.ts";
import { checkOwner, emailOf, isAbout, NO_INPUT, onlyNews, overwrite, ownerOf, startEmail } from "./receive.ts";
import { parseAnswers, renderRequest } from "./review.ts";
import { act, actTasks, type SettlingParts, settle, teach, toWaiting } from "./settle.ts";
import { AssistantState, contextSchema, InputState, userIdOf } from "./state.ts";
import { triage } from "./triage.ts";

type State = typeof AssistantState.State;
type Update = typeof AssistantState.Update;

/** The parts an assistant is made of. The caller owns the store, the checkpointer and the models. */
export interface EmailAssistantParts {
  /** Long-term memory: any LangGraph store; labels are encoded for LangGraph's own PostgresStore. */
  store: BaseStore;
  models: Models;
  /**
   * Short-term memory of threads, in which runs wait for the user. Where there is none, and the LangGraph server brings
   * none, a run ends with what would wait in its state.
   */
  checkpointer?: BaseCheckpointSaver;
  prompts?: Prompts;
  /** An iCalendar file, read at each look-up. */
  calendarPath?: string | undefined;
  /** Hard cap on the model calls of one answer, 6 by default; each word of the user about it begins the count anew. */
  respondMaxModelCalls?: number;
  /** Milliseconds after which a step that asks the model is given up, 5 minutes by default. */
  stepTimeoutMs?: number;
  /** Where what the user approved goes; without one nothing is done, and the answer says so. */
  outbox?: Outbox | undefined;
  /** How the user's answers are learnt from. */
  learn?: SettlingParts["learn"];
  now?: () => Date;
  warn?: (line: string) => void;
  /** Where given, emails that are done are queued for the extraction of facts, and this is told of the user. */
  onQueued?: (userId: string) => void;
}

/** A store that fails for a moment is asked once more, after the patience of its own; a model by its own client. */
const RETRY = {
  maxAttempts: 2,
  initialInterval: 50,
  jitter: false,
  logWarning: false,
  retryOn: (error: unknown) => error instanceof MnemailError && error.code === "store",
};

/**
 * Builds the graph: `receive` → `triage` → (`respond` ⇄ `tools`) → `record` → `review`, which waits for the user →
 * `settle` → `act` → `learn`. One run handles one email of the user named by `configurable.user_id`. The store is injected
 * at compile time and again by `withConfig`, since the LangGraph dev server replaces the first with its own.
 *
 * A run throws MnemailError for an email that is none, a missing user id, a model or store that fails; nothing of the
 * email is then remembered.
 */
export function createEmailAssistant(parts: EmailAssistantParts) {
  const { models, checkpointer, calendarPath, respondMaxModelCalls = 6, stepTimeoutMs = 300_000 } = parts;
  const store = adaptStore(parts.store);
  const prompts = parts.prompts ?? loadPrompts();
  const memory = new Memory(store, prompts, parts.warn);
  const now = parts.now ?? (() => new Date());
  const answering = { memory, models, prompts, calendarPath, respondMaxModelCalls, now };
  const settling = { memory, outbox: parts.outbox, learn: parts.learn, now };
  // The LangGraph server brings its own.
  const onServer = checkpointer === undefined;

  /** Checks whose thread it is, and adds what a node used to the usage in the state. */
  const measured =
    <S extends Pick<State, "user_id">>(
      run: (state: S, place: ActionPlace, config: LangGraphRunnableConfig) => Promise<Update>,
    ) =>
    (state: S, config: LangGraphRunnableConfig): Promise<Update> =>
      metered(async (usage) => {
        const place = placeOf(config);
        checkOwner(state, place.userId);
        const update = await run(state, place, config);
        return { ...onlyNews(update, state), usage: usage() };
      });

  // The input is cleared in a step of its own even when it is refused: a thread keeps the input of a step that throws,
  // and would mix it into its next email.
  const receive = async (state: State, config: LangGraphRunnableConfig): Promise<Update> => {
    try {
      const userId = userIdOf(config);
      if (state.user_id !== "") checkOwner(state, userId);
      if (storeOf(config) !== store) {
        throw new MnemailError("usage", "store: given to this run; give it to createEmailAssistant instead");
      }
      return startEmail(state, placeOf(config));
    } catch (error) {
      if (!(error instanceof MnemailError)) throw error;
      const { code, message, hint } = error;
      // What was refused is in the thread's checkpoints all the same: the thread is its user's, to list and to forget.
      const owner = state.user_id === "" ? ownerOf(config) : {};
      return { ...NO_INPUT, ...owner, trust: "mail", problem: { code, message, hint } };
    }
  };

  const refuse = async ({ problem }: State): Promise<Update> => {
    throw new MnemailError(problem?.code ?? "input", problem?.message ?? "email: refused", problem?.hint);
  };

  const sort = measured(async (state: State, place) => {
    const found = await triage(emailOf(state), place.userId, { memory, models, prompts });
    const { email, label, reason } = found;
    const automatic = automaticReason(email);
    // RFC 3834 §2: what a machine sent is not answered, or two machines would answer each other.
    const isShown = label === "notify" || (label === "respond" && automatic !== undefined);
    // Those of an email that got an id of its own just now; the others were found when it was received.
    const isSame = isAbout(email);
    const actions = state.actions.filter((each) => !isSame(each));
    const sorted = { ...found, actions, replaced: [...state.replaced, ...state.actions.filter(isSame)] };
    if (!isShown) return sorted;
    const why = label === "notify" ? reason : `${reason} No answer was drafted: ${automatic}.`;
    const shown = { from: email.from, subject: email.subject, reason: why };
    const { attempt } = state;
    const notice = { call_id: "notify", attempt, name: "notify", args: shown, email: keepEmail(email) } as const;
    const asked = { label, reason, time_zone: "UTC", sender: null, proposed_at: now().toISOString() };
    return { ...sorted, actions: [...actions, createAction({ ...notice, ...asked }, place)] };
  });

  const respond = measured((state: State, place) => answer(state, place, answering));

  const tools = measured((task: Pick<State, "user_id">, { userId }) => runTool(task, userId, answering));

  const record = measured(async (state: State, place, config) => {
    const email = emailOf(state);
    const { label, reason, draft, events, proposals, memories, prompts: used, request, trust } = state;
    if (label === null) throw new MnemailError("input", `${email.id}: has no label yet`);
    const at = now().toISOString();
    const { model } = models.chat;
    const decision = {
      email: keepEmail(email),
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
    // What an earlier round cost was charged with it.
    const isAgain = state.answers.some(({ action }) => action.email.id === email.id);
    const cost = { kind: isAgain ? "review" : "email", model, usage: state.usage, at, email_id: email.id } as const;
    const waits = hasCheckpointer(config);
    const waiting = waits ? state.actions.filter(({ asked }) => !asked) : [];
    if (waits) await memory.reviews.replace(place.userId, toWaiting(state.replaced, place, onServer));
    const reviews = memory.reviews.puts(place.userId, toWaiting(waiting, place, onServer));
    await memory.recordDecision(place.userId, email, decision, { proposals, extract, cost, reviews });
    if (extract) parts.onQueued?.(place.userId);
    const actions = state.actions.map((action) => ({ ...action, asked: waits }));
    return { actions, replaced: [], extracted: state.extracted || extract };
  });

  // What this step does before it waits is done again when it goes on: nothing but asking.
  const review = async (state: State, config: LangGraphRunnableConfig): Promise<Update> => {
    const place = placeOf(config);
    checkOwner(state, place.userId);
    const actions = state.actions.map((action) => identify(action, place));
    const { attempt, proposals } = state;
    let problem: string | undefined;
    for (;;) {
      const given: unknown = interrupt(renderRequest(actions, { proposals, problem, attempt }));
      const parsed = parseAnswers(given, actions, { now: now(), attempt });
      if ("answers" in parsed) return { answers: overwrite(parsed.answers) };
      problem = parsed.problem;
    }
  };

  const learn = measured((state: State, place) => teach(state, place, settling, onServer));

  const graph = new StateGraph({ state: AssistantState, input: InputState, context: contextSchema })
    .addNode("receive", receive)
    .addNode("refuse", refuse)
    .addNode("triage", sort, { retryPolicy: RETRY, timeout: stepTimeoutMs })
    .addNode("respond", respond, { retryPolicy: RETRY, timeout: stepTimeoutMs })
    .addNode("tools", tools, { retryPolicy: RETRY })
    .addNode("record", record, { retryPolicy: RETRY })
    .addNode("review", review)
    .addNode(
      "settle",
      measured((state: State, place) => settle(state, place, settling, onServer)),
      { retryPolicy: RETRY },
    )
    .addNode(
      "act",
      measured((task: Pick<State, "user_id">, place) => act(task, place, settling)),
      { retryPolicy: RETRY },
    )
    .addNode(
      "learn",
      async (state: State, config: LangGraphRunnableConfig) => ({
        ...(await learn(state, config)),
        // Learning keeps its own costs.
        usage: overwrite({ ...NO_USAGE }),
      }),
      { retryPolicy: RETRY },
    )
    .addEdge(START, "receive")
    .addConditionalEdges("receive", afterReceipt, ["triage", "refuse", "settle"])
    .addEdge("refuse", END)
    .addConditionalEdges("triage", afterTriage, ["respond", "record"])
    .addConditionalEdges("respond", (state) => (toolTasks(state).length > 0 ? toolTasks(state) : afterAnswer(state)), [
      "tools",
      "respond",
      "record",
    ])
    .addConditionalEdges("tools", afterAnswer, ["respond", "record"])
    .addConditionalEdges("record", afterRecord, ["review", END])
    .addEdge("review", "settle")
    .addConditionalEdges("settle", (state) => (actTasks(state).length > 0 ? actTasks(state) : "learn"), [
      "act",
      "learn",
    ])
    .addEdge("act", "learn")
    .addConditionalEdges("learn", afterLearning, ["triage", "respond", "review", END]);

  return graph
    .compile({ store, ...(checkpointer ? { checkpointer } : {}), name: "email_assistant" })
    .withConfig({ store, recursionLimit: 2 * respondMaxModelCalls + 20 });
}

/** The compiled graph that {@link createEmailAssistant} returns. */
export type EmailAssistant = ReturnType<typeof createEmailAssistant>;

/** What the user decided is carried out first, where a run was killed over it. */
function afterReceipt({ problem, answers }: State) {
  if (problem !== null) return "refuse";
  return answers.length > 0 ? "settle" : "triage";
}

function afterTriage({ label, actions, email }: State) {
  const isNotice = actions.some((each) => each.name === "notify" && each.email.id === email?.id);
  return label === "respond" && !isNotice ? "respond" : "record";
}

function afterAnswer({ answered }: State) {
  return answered ? "record" : "respond";
}

/** Told by the state, since a state that is edited (in Studio) is routed without a checkpointer in its config. */
function afterRecord({ actions }: State) {
  return actions.some(({ asked }) => asked) ? "review" : END;
}

function afterLearning({ label, remarks, actions }: State) {
  if (label === null) return "triage";
  if (remarks.length > 0) return "respond";
  return actions.length > 0 ? "review" : END;
}

const placeSchema = z.object({
  configurable: z.object({ thread_id: z.string().default("") }).default({ thread_id: "" }),
});

function placeOf(config: LangGraphRunnableConfig): ActionPlace {
  const { configurable } = placeSchema.parse({ configurable: config.configurable });
  return { userId: userIdOf(config), threadId: configurable.thread_id };
}

/** Whether a run can wait; LangGraph hands its nodes the checkpointer under this name. */
function hasCheckpointer({ configurable }: LangGraphRunnableConfig): boolean {
  return configurable?.["__pregel_checkpointer"] !== undefined;
}

/** The store a run was given; LangGraph wraps it for nodes. */
function storeOf({ store }: LangGraphRunnableConfig): unknown {
  return store !== undefined && "store" in store ? store.store : store;
}
