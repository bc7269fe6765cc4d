import { z } from "zod";
import { loadConfig } from "../config.ts";
import { MnemailError } from "../errors.ts";
import type { Remembered } from "../memory/facts.ts";
import type { Memory } from "../memory/memory.ts";
import type { DecisionRecord } from "../memory/records.ts";
import { parseScope, participants, type Scope, senderScope } from "../memory/scope.ts";
import { encodeUserId } from "../store/namespaces.ts";
import { printJson, shorten } from "./output.ts";
import { renderScope } from "./scopes.ts";
import { openSession } from "./session.ts";

const optionsSchema = z.object({
  user: z.string(),
  text: z.string(),
  person: z.string().optional(),
  domain: z.string().optional(),
  email: z.string().optional(),
  thread: z.boolean().default(false),
  json: z.boolean().default(false),
});

/** `mnemail remember`: keeps a fact that the user types. Returns the exit code. */
export async function remember(rawOptions: unknown): Promise<number> {
  const { user, text, person, domain, email, thread, json } = optionsSchema.parse(rawOptions);
  encodeUserId(user);
  if (thread && email === undefined) throw new MnemailError("usage", "--thread needs --email ID, an email of it");
  const scope = parseScope({ person, domain });
  await using assistant = await openSession(loadConfig(), { checkpointer: false });
  const about = email === undefined ? { scope } : await scopeOfEmail(assistant.memory, user, email, thread);
  const { usage, ...kept } = await assistant.remember(user, { content: text, ...about, source: email });
  if (json) printJson({ user, scope: about.scope, ...kept, usage });
  else {
    console.log(renderRemembered(kept, about.scope));
    if (kept.note !== undefined) console.log(`  ${shorten(kept.note, 400)}`);
  }
  return 0;
}

/** What became of a fact, for people. */
export function renderRemembered(kept: Remembered, scope: Scope, verb = "remembered"): string {
  const { key, content, status, superseded } = kept;
  return [
    `${status === "known" ? "known already" : verb} [${key}]: ${shorten(content, 400)}`,
    `  recalled for ${renderScope(scope)}`,
    ...superseded.map((each) => `  instead of [${shorten(each.key)}]: ${shorten(each.content, 400)}`),
  ].join("\n");
}

/** The scope that an email stands for: its sender, or its conversation, which its participants alone open. */
export async function scopeOfEmail(memory: Memory, user: string, emailId: string, isThread: boolean) {
  const decision = await findEmail(memory, user, emailId);
  if (!isThread) return { scope: senderScope(decision.email) };
  const { thread_id } = decision.email;
  if (!thread_id) throw new MnemailError("input", `email ${emailId}: belongs to no conversation that is known`);
  return { scope: `thread:${thread_id}` as const, people: participants(decision.email) };
}

async function findEmail(memory: Memory, user: string, emailId: string): Promise<DecisionRecord> {
  const decision = emailId === "" ? undefined : await memory.findDecision(user, emailId);
  if (decision) return decision;
  const hint = "run it first; the ids are at the end of each line that run prints";
  throw new MnemailError("input", `email ${emailId || "(empty id)"}: not among the emails processed for ${user}`, hint);
}
