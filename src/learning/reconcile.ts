import { HumanMessage, SystemMessage } from "@langchain/core/messages";
import { z } from "zod";
import { oneLine, quoteUntrusted } from "../email.ts";
import type { EpisodicMemory } from "../memory/episodic.ts";
import type { Memory } from "../memory/memory.ts";
import type { Trust } from "../memory/trust.ts";
import { askForJson, type Models } from "../models.ts";
import type { Prompts } from "../prompts.ts";

/** Memories that a new fact is compared with. */
const COMPARED = 5;

const answerSchema = z.object({
  contradicted: z.array(z.string()).describe("the ids of the memories that cannot be true any more"),
});

/** What comparing facts works with. */
export interface ReconcileParts {
  memory: Memory;
  models: Models;
  prompts: Prompts;
}

/**
 * The keys of the memories of one trust (of mail, of one person) that new facts of the user contradict: one model call, none where there are no
 * such memories. Memories of the two trusts are never in one request, so that no stranger's sentence decides about the
 * user's word (`docs/decisions/0009`). That a contradiction supersedes instead of standing beside is mem0's update step
 * (Chhikara et al. 2025, arXiv:2504.19413), here without deleting.
 *
 * @throws MnemailError("model") when the model fails.
 */
export async function contradicted(
  userId: string,
  facts: readonly string[],
  trust: Trust,
  { memory, models, prompts }: ReconcileParts,
): Promise<string[]> {
  if (facts.length === 0) return [];
  const said = new Set(facts.map((fact) => fact.toLowerCase()));
  const nearest = (await memory.facts.nearest(userId, facts.join("\n"), trust, COMPARED)).filter(
    ({ record }) => !said.has(record.content.toLowerCase()),
  );
  // One stranger's words do not decide about those of another, either. What the user said is nobody's in particular.
  const known = nearest.filter(({ record }) => trust === "user" || record.person === nearest[0]?.record.person);
  if (known.length === 0) return [];
  const { contradicted: keys } = await askForJson(models.chat, {
    name: "reconcile",
    schema: answerSchema,
    messages: [new SystemMessage(prompts.reconcile.text), new HumanMessage(renderComparison(known, facts))],
  });
  return known.map(({ key }) => key).filter((key) => keys.includes(key));
}

function renderComparison(known: readonly EpisodicMemory[], facts: readonly string[]): string {
  const memories = known.map(({ key, record }) => quoteUntrusted(`[${key}] ${oneLine(record.content)}`)).join("\n");
  return `<memories>\n${memories}\n</memories>\n\n<fact>\n${quoteUntrusted(facts.map(oneLine).join("\n"))}\n</fact>`;
}
