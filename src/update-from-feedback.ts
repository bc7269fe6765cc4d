import { inspect } from "node:util";
import type { BaseStore } from "@langchain/langgraph-checkpoint";
import { createDecider } from "./agent/triage.ts";
import { loadConfig } from "./config.ts";
import { MnemailError } from "./errors.ts";
import { learn, type Outcome } from "./learning/learn.ts";
import { Memory } from "./memory/memory.ts";
import { type Models, openModels } from "./models.ts";
import { hashText, loadPrompts, type Prompts } from "./prompts.ts";
import { adaptStore } from "./store/encoded-labels.ts";

/** What {@link updateAgentFromFeedback} may be given; models are opened from the environment by default. */
export interface UpdateParts {
  models?: Models;
  prompts?: Prompts;
  now?: () => Date;
  /** The idempotency key; by default that of the messages and the feedback. */
  id?: string;
}

/**
 * Improves a user's prompts by what they said about a conversation, as LangGraph's guides do it: routes, proposes,
 * checks, tries and writes as {@link learn} does, on any LangGraph store. The messages are the occasion: the same
 * feedback on the same messages is learnt once, so that a node may run again. They are not shown to the model that
 * proposes, since they hold mail; only `feedback` is the user's word.
 *
 * @throws MnemailError as {@link learn}.
 */
export async function updateAgentFromFeedback(
  store: BaseStore,
  userId: string,
  messages: readonly unknown[],
  feedback: string,
  parts: UpdateParts = {},
): Promise<Outcome> {
  if (typeof feedback !== "string" || typeof userId !== "string") {
    throw new MnemailError(
      "usage",
      "updateAgentFromFeedback: expected (store, user id, messages, text of the feedback)",
    );
  }
  const prompts = parts.prompts ?? loadPrompts();
  await using opened = parts.models ? undefined : await openModels(loadConfig());
  const models = parts.models ?? opened;
  if (!models) throw new Error("models were neither given nor opened");
  return await learn(
    userId,
    {
      kind: "text",
      text: feedback,
      id:
        parts.id ??
        `messages-${hashText(`${inspect(messages, { depth: 8, maxArrayLength: null, maxStringLength: null })} ${feedback}`)}`,
    },
    {
      memory: new Memory(adaptStore(store), prompts),
      models,
      prompts,
      decider: createDecider({ models, prompts }),
      now: parts.now ?? (() => new Date()),
    },
  );
}
