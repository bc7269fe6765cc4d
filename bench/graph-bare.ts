import { AIMessage, HumanMessage, RemoveMessage, SystemMessage, ToolMessage } from "@langchain/core/messages";
import {
  Annotation,
  END,
  interrupt,
  type LangGraphRunnableConfig,
  MessagesAnnotation,
  REMOVE_ALL_MESSAGES,
  Send,
  START,
  StateGraph,
} from "@langchain/langgraph";
import type { BaseCheckpointSaver } from "@langchain/langgraph-checkpoint";
import { z } from "zod";
import { GATED_TOOLS } from "../src/agent/gated-tools.ts";
import { AGENT_TOOLS } from "../src/agent/tools.ts";
import type { Email } from "../src/email.ts";
import type { Models } from "../src/models.ts";

const messageSchema = z.object({
  role: z.enum(["system", "user", "assistant", "tool"]),
  content: z.string().nullish(),
  tool_call_id: z.string().optional(),
  tool_calls: z.array(z.object({ id: z.string(), function: z.object({ name: z.string() }) })).optional(),
});
const chatSchema = z.object({
  messages: z.array(messageSchema),
  response_format: z
    .object({
      type: z.literal("json_schema"),
      json_schema: z.object({ name: z.string(), strict: z.boolean(), schema: z.record(z.string(), z.unknown()) }),
    })
    .optional(),
});

/** What Mnemail asked a model about one email, so that the bare graph can ask the same. */
export interface Asked {
  /** How many requests there were. */
  calls: number;
  format: NonNullable<z.infer<typeof chatSchema>["response_format"]>;
  triage: Opening;
  /** Absent where no answer was drafted. */
  answer: Opening | undefined;
  /** What the tools that run at once said, in the order of their calls. */
  toolResults: string[];
}

interface Opening {
  system: string;
  user: string;
}

/** Reads the requests of one email, in order. @throws ZodError for other requests than Mnemail's. */
export function readAsked(bodies: readonly string[]): Asked {
  const [triage, ...answers] = bodies.map((body) => chatSchema.parse(JSON.parse(body)));
  if (!triage?.response_format) throw new Error("the first request of an email is not triage's");
  const last = answers.at(-1)?.messages ?? [];
  const gated = new Set(
    last
      .flatMap(({ tool_calls = [] }) => tool_calls)
      .filter((call) => GATED_TOOLS.has(call.function.name))
      .map(({ id }) => id),
  );
  const results = last.filter(({ role, tool_call_id = "" }) => role === "tool" && !gated.has(tool_call_id));
  return {
    calls: bodies.length,
    format: triage.response_format,
    triage: openingOf(triage),
    answer: answers[0] && openingOf(answers[0]),
    toolResults: results.map(({ content }) => content ?? ""),
  };
}

function openingOf({ messages }: z.infer<typeof chatSchema>): Opening {
  const text = (wanted: string) => messages.find(({ role }) => role === wanted)?.content ?? "";
  return { system: text("system"), user: text("user") };
}

interface BareAction {
  id: string;
  name: string;
  args: Record<string, unknown>;
  email: Email;
}

const BareState = Annotation.Root({
  ...MessagesAnnotation.spec,
  email: Annotation<Email>,
  label: Annotation<string | null>,
  reason: Annotation<string>,
  draft: Annotation<Record<string, unknown> | null>,
  actions: Annotation<BareAction[]>,
  answered: Annotation<boolean>,
});
type State = typeof BareState.State;
type Update = typeof BareState.Update;

interface ToolTask {
  call: { id?: string | undefined; name: string };
  email: Email;
  /** The how many-th call of this email it is, from 0. */
  number: number;
}

const verdictSchema = z.object({ label: z.string(), reason: z.string() });

/**
 * The bare graph: the nodes and edges of `createEmailAssistant` and the same requests to the same client, and nothing
 * else: no memory, no store, no checks. It keeps the email, the messages, the draft and what waits, one thread for each
 * conversation, and stops at the review. `asked` is what Mnemail asked about the email that `configurable.sample` names.
 */
export function createBareGraph({
  chat,
  asked,
  checkpointer,
}: Pick<Models, "chat"> & { asked: ReadonlyMap<string, Asked>; checkpointer: BaseCheckpointSaver }) {
  const [any] = asked.values();
  if (!any) throw new Error("nothing was asked");
  const router = chat.withConfig({ response_format: any.format });
  const tools = [...AGENT_TOOLS.values(), ...GATED_TOOLS.values()];
  const writer = chat.bindTools(tools, { tool_choice: "required", strict: true });
  const askedOf = ({ configurable }: LangGraphRunnableConfig): Asked => {
    const found = asked.get(String(configurable?.["sample"]));
    if (!found) throw new Error(`nothing was asked about ${configurable?.["sample"]}`);
    return found;
  };

  // A conversation's next email finds what waits of those before, as with Mnemail.
  const receive = async ({ email, actions = [] }: State): Promise<Update> => ({
    messages: [new RemoveMessage({ id: REMOVE_ALL_MESSAGES })],
    label: null,
    reason: "",
    draft: null,
    actions: actions.filter((each) => each.email.id !== email.id),
    answered: false,
  });

  const triage = async ({ email, actions }: State, config: LangGraphRunnableConfig): Promise<Update> => {
    const { triage, answer } = askedOf(config);
    const message = await router.invoke([new SystemMessage(triage.system), new HumanMessage(triage.user)]);
    const { label, reason } = verdictSchema.parse(JSON.parse(message.text));
    if (answer || label === "ignore") return { label, reason };
    const args = { from: email.from, subject: email.subject, reason };
    return { label, reason, actions: [...actions, { id: "notify", name: "notify", args, email }] };
  };

  const respond = async (state: State, config: LangGraphRunnableConfig): Promise<Update> => {
    const { answer } = askedOf(config);
    const isFirst = state.messages.length === 0;
    const opening = answer && isFirst ? [new SystemMessage(answer.system), new HumanMessage(answer.user)] : [];
    const message = await writer.invoke([...state.messages, ...opening]);
    const gated = (message.tool_calls ?? []).flatMap(({ id = "", name, args }) => {
      const tool = GATED_TOOLS.get(name);
      return tool ? [{ id, name, args, tool }] : [];
    });
    return {
      messages: [
        ...opening,
        message,
        ...gated.map(({ id, name, tool }) => new ToolMessage({ content: tool.waiting, tool_call_id: id, name })),
      ],
      actions: [...state.actions, ...gated.map(({ id, name, args }) => ({ id, name, args, email: state.email }))],
      draft: gated.findLast(({ name }) => name === "write_email")?.args ?? state.draft,
      answered: gated.some(({ tool }) => tool.ends),
    };
  };

  const runTool = async ({ call, number }: ToolTask, config: LangGraphRunnableConfig): Promise<Update> => {
    const content = askedOf(config).toolResults[number] ?? "";
    return { messages: [new ToolMessage({ content, tool_call_id: call.id ?? "", name: call.name })] };
  };

  const review = async ({ actions }: State): Promise<Update> => {
    interrupt({
      actionRequests: actions.map(({ name, args }) => ({ name, args })),
      reviewConfigs: actions.map(({ name }) => ({ actionName: name, allowedDecisions: ["approve", "edit", "reject"] })),
    });
    return {};
  };

  const nothing = async (): Promise<Update> => ({});

  return new StateGraph(BareState)
    .addNode("receive", receive)
    .addNode("refuse", nothing)
    .addNode("triage", triage)
    .addNode("respond", respond)
    .addNode("tools", runTool)
    .addNode("record", nothing)
    .addNode("review", review)
    .addNode("settle", nothing)
    .addNode("act", nothing)
    .addNode("learn", nothing)
    .addEdge(START, "receive")
    .addConditionalEdges("receive", () => "triage", ["triage", "refuse"])
    .addEdge("refuse", END)
    .addConditionalEdges("triage", (_, config) => (askedOf(config).answer ? "respond" : "record"), [
      "respond",
      "record",
    ])
    .addConditionalEdges("respond", (state) => (toolTasks(state).length > 0 ? toolTasks(state) : afterAnswer(state)), [
      "tools",
      "respond",
      "record",
    ])
    .addConditionalEdges("tools", afterAnswer, ["respond", "record"])
    .addConditionalEdges("record", ({ actions }) => (actions.length > 0 ? "review" : END), ["review", END])
    .addEdge("review", "settle")
    .addConditionalEdges("settle", () => "learn", ["act", "learn"])
    .addEdge("act", "learn")
    .addConditionalEdges("learn", () => END, ["respond", "review", END])
    .compile({ checkpointer, name: "bare" });
}

function afterAnswer({ answered }: State) {
  return answered ? "record" : "respond";
}

function toolTasks({ messages, email }: State): Send[] {
  const last = messages.findLast((message) => AIMessage.isInstance(message));
  const done = messages.filter((message) => ToolMessage.isInstance(message) && !GATED_TOOLS.has(message.name ?? ""));
  return (last?.tool_calls ?? [])
    .filter(({ name }) => !GATED_TOOLS.has(name))
    .map((call, i) => new Send("tools", { call, email, number: done.length + i } satisfies ToolTask));
}
