import { renderError } from "../errors.ts";
import type { UserFact } from "../memory/episodic.ts";
import { checkContent, type Remembered } from "../memory/facts.ts";
import { metered } from "../meter.ts";
import { contradicted, type ReconcileParts } from "./reconcile.ts";

/**
 * Keeps a fact as the user typed it, in the place of what it contradicts. At most two model calls, none where nothing
 * is known yet; when the model fails, the fact is kept all the same, beside what is there, and `note` says so.
 *
 * @throws MnemailError("usage") for a text that is empty or too long; MnemailError("store"). Nothing was changed then.
 */
export async function remember(
  userId: string,
  fact: UserFact,
  parts: ReconcileParts & { now: () => Date },
): Promise<Remembered & { note?: string }> {
  const content = checkContent(fact.content);
  const at = parts.now().toISOString();
  const { compared, usage } = await metered(async (used) => ({
    compared: await compare(userId, content, parts),
    usage: used(),
  }));
  const cost = { kind: "remember", model: parts.models.chat.model, usage, at, email_id: fact.source } as const;
  const stated = { ...fact, content, supersedes: compared.keys };
  const kept = await parts.memory.facts.remember(userId, stated, at, usage.model_calls > 0 ? cost : undefined);
  return compared.note === undefined ? kept : { ...kept, note: compared.note };
}

async function compare(
  userId: string,
  content: string,
  parts: ReconcileParts,
): Promise<{ keys: string[]; note?: string }> {
  try {
    const own = await contradicted(userId, [content], "user", parts);
    return { keys: [...own, ...(await contradicted(userId, [content], "mail", parts))] };
  } catch (error) {
    return { keys: [], note: `kept without comparing it with what is remembered: ${renderError(error)}` };
  }
}
