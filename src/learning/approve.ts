import { renderError } from "../errors.ts";
import type { EpisodicMemory } from "../memory/episodic.ts";
import type { Remembered } from "../memory/facts.ts";
import type { OtherScope } from "../memory/pending.ts";
import { metered } from "../meter.ts";
import { contradicted, type ReconcileParts } from "./reconcile.ts";

/** How a pending memory is approved. */
export interface ApproveOptions {
  other?: OtherScope | undefined;
  /** What becomes of the user's own facts that it contradicts; undecided, it is not approved where there are any. */
  contradicted?: "replace" | "keep" | undefined;
}

/** What became of an approval; `conflicts` are facts of the user's that stand against it, and nothing was approved. */
export type Approval =
  | (Remembered & { status: "live" | "known"; note?: string })
  | { status: "undecided"; content: string; conflicts: EpisodicMemory[] };

/**
 * Approves a pending memory, unless it contradicts what the user stated and they did not say which is to hold: a model is
 * asked once, where there is anything to compare with. It reads a stranger's words beside the user's, so all that its
 * answer can do is to make the user decide.
 *
 * @throws MnemailError("input") for a key that nothing waits under; MnemailError("store").
 */
export async function approve(
  userId: string,
  key: string,
  parts: ReconcileParts & { now: () => Date },
  { other, contradicted: decision }: ApproveOptions = {},
): Promise<Approval> {
  const { memory, now } = parts;
  const at = now().toISOString();
  const waiting = (await memory.pending.list(userId)).find((each) => each.key === key)?.record;
  if (!waiting || decision === "keep") return memory.pending.approve(userId, key, at, { ...other });
  const { keys, note, usage } = await metered(async (used) => ({
    ...(await compare(userId, waiting.content, parts)),
    usage: used(),
  }));
  const asked = { kind: "remember", model: parts.models.chat.model, usage, at, email_id: waiting.source } as const;
  const cost = usage.model_calls > 0 ? asked : undefined;
  const others = keys.filter((each) => !waiting.supersedes?.includes(each));
  if (others.length > 0 && decision === undefined) {
    if (cost) await memory.costs.add(userId, cost);
    const found = await Promise.all(others.map((each) => memory.facts.find(userId, each)));
    return { status: "undecided", content: waiting.content, conflicts: found.filter((each) => each !== undefined) };
  }
  const kept = await memory.pending.approve(userId, key, at, { ...other, supersedes: others }, cost);
  return note === undefined ? kept : { ...kept, note };
}

async function compare(
  userId: string,
  content: string,
  parts: ReconcileParts,
): Promise<{ keys: string[]; note?: string }> {
  try {
    return { keys: await contradicted(userId, [content], "user", parts) };
  } catch (error) {
    return { keys: [], note: `approved without comparing it with what you stated: ${renderError(error)}` };
  }
}
