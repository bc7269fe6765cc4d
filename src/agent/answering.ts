import { AIMessage, HumanMessage, ToolMessage } from "@langchain/core/messages";
import { Send } from "@langchain/langgraph";
import { z } from "zod";
import { type Email, quoteUntrusted } from "../email.ts";
import { MnemailError, renderError } from "../errors.ts";
import type { Memory } from "../memory/memory.ts";
import {
  draftSchema,
  keptEmailSchema,
  type ProposedEvent,
  proposedEventSchema,
  proposedFactSchema,
  usedMemorySchema,
} from "../memory/records.ts";
import { askForToolCalls, type Models } from "../models.ts";
import type { Prompts } from "../prompts.ts";
import { type Action, type ActionPlace, createAction, isClockTime } from "./actions.ts";
import { type Checked, GATED_TOOLS, type GatedTool } from "./gated-tools.ts";
import { emailOf } from "./receive.ts";
import { openAnswer } from "./respond.ts";
import type { AssistantState } from "./state.ts";
import { AGENT_TOOLS, type ToolContext, type ToolResult } from "./tools.ts";

type State = typeof AssistantState.State;
type Update = typeof AssistantState.Update;
type ToolCall = NonNullable<AIMessage["tool_calls"]>[number];

const TOOLS = [...AGENT_TOOLS.values(), ...GATED_TOOLS.values()];

/** What answering works with. */
export interface AnsweringParts {
  memory: Memory;
  models: Models;
  prompts: Prompts;
  calendarPath: string | undefined;
  respondMaxModelCalls: number;
  now: () => Date;
}

/**
 * One step of the model: its calls of tools that wait for the user become actions, the others are left to
 * {@link toolTasks}. What the user asked to be done differently is told to it first.
 *
 * @throws MnemailError("model") when the model fails or calls no tool, MnemailError("limit") when it does not come to an end.
 */
export async function answer(
  state: State,
  place: ActionPlace,
  { memory, models, prompts, respondMaxModelCalls, now }: AnsweringParts,
): Promise<Update> {
  if (state.answer_calls >= respondMaxModelCalls) {
    throw new MnemailError(
      "limit",
      `no draft after ${state.answer_calls} model calls`,
      "raise RESPOND_MAX_MODEL_CALLS",
    );
  }
  const email = emailOf(state);
  const opening =
    state.messages.length === 0 ? await openAnswer(email, place.userId, { memory, prompts, now: now() }) : undefined;
  const remarks = state.remarks.map((text) => new HumanMessage(text));
  const asked = [...(opening?.messages ?? []), ...remarks];
  const message = await askForToolCalls(models.chat, {
    tools: TOOLS,
    messages: [...state.messages, ...asked],
  });
  const calls = message.tool_calls ?? [];
  if (calls.length === 0) {
    throw new MnemailError(
      "model",
      `the model ended without a draft: ${JSON.stringify(message.text.slice(0, 80))}`,
      "try again, or set CHAT_MODEL to a model that calls tools",
    );
  }
  const { time_zone, sender } = opening ?? state;
  const gated = gateCalls(calls, { ...state, email, time_zone, sender }, place, now().toISOString());
  const isNew = ({ id }: Action) => !gated.actions.some((each) => each.id === id);
  return {
    messages: [...asked, message, ...gated.messages],
    remarks: [],
    time_zone,
    sender,
    actions: gated.actions,
    replaced: [...state.replaced, ...state.actions.filter(isNew)],
    ...drafted(gated.actions, state),
    answered: gated.answered,
    memories: opening?.memories ?? [],
    prompts: [...state.prompts, ...(opening?.prompts ?? [])],
    answer_calls: state.answer_calls + 1,
  };
}

/** The calls of the model that wait for the user as actions, beside those that wait already. A new draft replaces the last. */
function gateCalls(
  calls: readonly ToolCall[],
  state: Pick<State, "actions" | "attempt" | "label" | "messages" | "reason" | "sender" | "time_zone"> & {
    email: Email;
  },
  place: ActionPlace,
  proposed_at: string,
): { actions: Action[]; messages: ToolMessage[]; answered: boolean } {
  const { email, attempt, label, reason, time_zone, sender } = state;
  let actions = [...state.actions];
  const messages: ToolMessage[] = [];
  let answered = false;
  for (const [i, { id = "", name, args }] of calls.entries()) {
    const tool = GATED_TOOLS.get(name);
    if (!tool) continue;
    const checked = checkCall(tool, args, email, time_zone);
    const content = "refused" in checked ? `Refused: ${checked.refused}` : tool.waiting;
    messages.push(new ToolMessage({ content, tool_call_id: id, name }));
    if ("refused" in checked) continue;
    answered ||= tool.ends;
    if (tool.ends) actions = actions.filter((each) => each.attempt !== attempt || each.name !== name);
    // Models may give each of their messages the same ids.
    const call_id = `${state.messages.length}-${i}-${id}`;
    const call = { call_id, attempt, name: actionNameSchema.parse(name), args: checked.args };
    const kept = keptEmailSchema.parse(email);
    actions.push(createAction({ ...call, email: kept, label, reason, time_zone, sender, proposed_at }, place));
  }
  return { actions, messages, answered };
}

function checkCall(tool: GatedTool, args: unknown, email: Email, time_zone: string): Checked {
  const checked = tool.check(args, email);
  const isSkipped = "args" in checked && "start" in checked.args && !isClockTime({ args: checked.args, time_zone });
  return isSkipped ? { refused: `clocks in ${time_zone} skip that start.` } : checked;
}

const actionNameSchema = z.enum(["write_email", "schedule_meeting", "ask_user"]);

/** The draft and the events that wait for the email a thread is at. */
function drafted(
  actions: readonly Action[],
  state: Pick<State, "attempt" | "draft">,
): Pick<Update, "draft" | "events"> {
  const own = actions.filter(({ attempt }) => attempt === state.attempt);
  const last = own.findLast(({ name }) => name === "write_email");
  return { draft: last ? draftSchema.parse(last.args) : state.draft, events: eventsOf(own) };
}

/** The events among actions. */
export function eventsOf(actions: readonly Action[]): ProposedEvent[] {
  return actions.flatMap(({ name, args }) => (name === "schedule_meeting" ? [proposedEventSchema.parse(args)] : []));
}

const toolTaskSchema = z.object({
  tool_call: z.object({ id: z.string().optional(), name: z.string(), args: z.unknown() }),
  user_id: z.string(),
  email: keptEmailSchema,
  proposals: z.array(proposedFactSchema),
  memories: z.array(usedMemorySchema),
});

/**
 * One task for each call of the model's last message that may run at once. A task of its own runs once: a step that asks
 * the user begins anew when it is taken up again.
 */
export function toolTasks(state: State): Send[] {
  const last = state.messages.findLast((message) => AIMessage.isInstance(message));
  const { user_id, email, proposals, memories } = state;
  return (last?.tool_calls ?? [])
    .filter(({ name }) => !GATED_TOOLS.has(name))
    .map(({ id, name, args }) => {
      const task = { tool_call: { id, name, args }, user_id, email, proposals, memories };
      return new Send("tools", task);
    });
}

/** Runs one call of {@link toolTasks}. @throws MnemailError("store") when the store fails. */
export async function runTool(
  task: unknown,
  userId: string,
  { memory, calendarPath }: Pick<AnsweringParts, "memory" | "calendarPath">,
): Promise<Update> {
  const { tool_call, email, proposals, memories } = toolTaskSchema.parse(task);
  const { id = "", name, args } = tool_call;
  const result = await callTool(name, args, { userId, email, memory, calendarPath, proposals, memories });
  return {
    messages: [new ToolMessage({ content: result.text, tool_call_id: id, name })],
    ...(result.proposals ? { proposals: result.proposals } : {}),
    ...(result.memories ? { memories: result.memories } : {}),
  };
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
