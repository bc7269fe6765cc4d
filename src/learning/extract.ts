import { HumanMessage, SystemMessage } from "@langchain/core/messages";
import { z } from "zod";
import { type Email, renderEmail, senderAddress } from "../email.ts";
import { renderError } from "../errors.ts";
import { costPut } from "../memory/costs.ts";
import type { ProposedMemory } from "../memory/episodic.ts";
import type { ExtractionJob } from "../memory/extractions.ts";
import type { Memory } from "../memory/memory.ts";
import { renderMemories } from "../memory/recall.ts";
import type { DecisionRecord, Label } from "../memory/records.ts";
import { metered, NO_USAGE, type Usage } from "../meter.ts";
import { askForJson, type Models } from "../models.ts";
import type { Prompts } from "../prompts.ts";
import { userNamespaces } from "../store/namespaces.ts";
import type { ConditionalPut } from "../store/operations.ts";
import { restsOn } from "./check.ts";

const MOST_MEMORIES = 3;
const MOST_ATTEMPTS = 5;
/** Memories of the sender that the model is shown, so that it proposes nothing twice. */
const SHOWN = 5;
/** Senders that are no person, by their local part. */
const AUTOMATED =
  /^(?:no-?reply|do-?not-?reply|notifications?|alerts?|mailer-daemon|postmaster|newsletter|news|billing|invoices?|ci|builds?|bot|automated?)\b/;

const answerSchema = z.object({
  memories: z.array(
    z.object({
      content: z.string().describe("what is worth knowing about the sender, in one short sentence"),
      quote: z.string().describe("the sentence of the email that says so, copied letter for letter"),
      supersedes: z
        .string()
        .nullable()
        .describe("the id of the memory that is no longer true; null where there is none"),
    }),
  ),
});

/** What extraction works with. */
export interface ExtractParts {
  memory: Memory;
  models: Models;
  prompts: Prompts;
  now: () => Date;
}

/** What became of one queued email: how many memories wait because of it, or why it waits itself. */
export interface Extracted {
  emailId: string;
  found: number;
  usage: Usage;
  error?: string;
}

/** Whether an email may hold what is worth knowing about a person: what is ignored, lists and machines do not. */
export function isWorthExtracting(email: Pick<Email, "from" | "list_id">, label: Label): boolean {
  return label !== "ignore" && email.list_id === undefined && !AUTOMATED.test(senderAddress(email));
}

/**
 * Extracts the facts of the emails that wait, oldest first: one model call each. What is found is pending, and is written
 * together with the end of the job, so that it is there once, whoever is killed or runs beside. An email that fails waits
 * for the next time, and after five times is given up. `isDue` picks the emails to try now.
 *
 * @throws MnemailError("store") when the store fails; what waits goes on waiting.
 */
export async function* extractWaiting(
  userId: string,
  parts: ExtractParts,
  isDue: (emailId: string) => boolean = () => true,
): AsyncGenerator<Extracted> {
  const { memory } = parts;
  const waiting = await memory.extractions.waiting(userId);
  for (const job of waiting.filter(({ emailId }) => isDue(emailId))) {
    yield await metered(async (usage): Promise<Extracted> => {
      const { emailId } = job;
      const decision = await memory.findDecision(userId, emailId);
      try {
        const found = decision ? await find(userId, decision, parts) : [];
        const isDone = await finish(
          userId,
          job,
          decision?.email,
          found,
          parts,
          costOf(userId, emailId, usage(), parts),
        );
        return { emailId, found: isDone ?? 0, usage: usage() };
      } catch (error) {
        const isLast = job.attempts + 1 >= MOST_ATTEMPTS;
        const cost = costOf(userId, emailId, usage(), parts);
        await (isLast ? memory.extractions.finish(userId, job, cost) : memory.extractions.fail(userId, job, cost));
        const outlook = isLast ? `given up after ${MOST_ATTEMPTS} attempts` : "it is tried again later";
        return { emailId, found: 0, usage: { ...NO_USAGE, ...usage() }, error: `${renderError(error)}; ${outlook}` };
      }
    });
  }
}

/** How many memories wait now; undefined when somebody else finished the job. */
async function finish(
  userId: string,
  job: ExtractionJob,
  email: Email | undefined,
  found: readonly ProposedMemory[],
  { memory, now }: ExtractParts,
  cost: readonly ConditionalPut[],
): Promise<number | undefined> {
  const pending = email ? await memory.pending.puts(userId, email, found, now().toISOString()) : [];
  const puts = [...pending, ...cost];
  return (await memory.extractions.finish(userId, job, puts)) ? pending.length : undefined;
}

/** The put of what an extraction cost; none where no model was asked. */
function costOf(userId: string, emailId: string, usage: Usage, { models, now }: ExtractParts): ConditionalPut[] {
  if (usage.model_calls === 0) return [];
  const cost = { kind: "extraction", model: models.chat.model, usage, at: now().toISOString() } as const;
  return [costPut(userNamespaces(userId), { ...cost, email_id: emailId })];
}

async function find(
  userId: string,
  { email }: DecisionRecord,
  { memory, models, prompts }: ExtractParts,
): Promise<ProposedMemory[]> {
  const known = await memory.facts.search(userId, { query: `${email.subject}\n${email.body}`, email, limit: SHOWN });
  const remembered =
    known.length > 0
      ? `What is remembered of the sender:\n\n<memories>\n${renderMemories(known)}\n</memories>\n\n`
      : "";
  const { memories } = await askForJson(models.chat, {
    name: "extract",
    schema: answerSchema,
    messages: [
      new SystemMessage(prompts.extract.text),
      new HumanMessage(`${remembered}The email:\n\n<email>\n${renderEmail(email)}\n</email>`),
    ],
  });
  const keys = new Set(known.map(({ key }) => key));
  return memories
    .filter(({ quote }) => restsOn(quote, `${email.subject}\n${email.body}`))
    .slice(0, MOST_MEMORIES)
    .map(({ content, supersedes }) => ({
      content,
      author: "extraction",
      ...(supersedes !== null && keys.has(supersedes) ? { supersedes } : {}),
    }));
}
