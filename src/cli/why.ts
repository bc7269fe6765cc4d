import { z } from "zod";
import { senderAddress } from "../email.ts";
import { MnemailError } from "../errors.ts";
import { originsOf } from "../memory/history.ts";
import type { DecisionRecord } from "../memory/records.ts";
import { LEARNABLE_PROMPTS } from "../prompts.ts";
import { printJson, shorten } from "./output.ts";
import { openMemory } from "./session.ts";

const optionsSchema = z.object({ user: z.string(), email: z.string(), json: z.boolean().default(false) });

/** `mnemail why`: what went into the decision about an email. Returns the exit code. */
export async function why(rawOptions: unknown): Promise<number> {
  const { user, email, json } = optionsSchema.parse(rawOptions);
  await using opened = await openMemory();
  const decision = await opened.memory.findDecision(user, email);
  if (!decision) {
    const hint = "run it first; the ids are at the end of each line that run prints";
    throw new MnemailError("input", `email ${email}: not among the emails processed for ${user}`, hint);
  }
  const histories = await opened.memory.ledger.histories(user);
  const origins = new Map(LEARNABLE_PROMPTS.flatMap((name) => [...originsOf(histories[name].versions)]));
  if (json) {
    const rules = decision.memories.flatMap(({ kind, key, content, rule }) => {
      const version = rule === undefined ? undefined : origins.get(rule);
      const from = { version: version?.number ?? null, feedback: version?.record?.feedback ?? null };
      return kind === "procedural" ? [{ prompt: key, rule: rule ?? null, text: content, ...from }] : [];
    });
    const { label, reason, model = null, prompts, at, memories } = decision;
    const others = memories.filter(({ kind }) => kind !== "procedural");
    const { id, subject, from: sender } = decision.email;
    printJson({ user, id, subject, from: sender, at, label, reason, model, prompts, rules, memories: others });
    return 0;
  }
  const originOf = (rule: string | undefined) => {
    const version = rule === undefined ? undefined : origins.get(rule);
    if (!version) return "";
    const { feedback } = version.record ?? {};
    return ` (since version ${version.number}${feedback ? `, feedback ${shorten(feedback)}` : ""})`;
  };
  console.log(render(decision, originOf));
  return 0;
}

function render(decision: DecisionRecord, originOf: (rule: string | undefined) => string): string {
  const { email, label, reason, model, prompts, memories, at } = decision;
  const of = (kind: string) => memories.filter((each) => each.kind === kind);
  const list = (lines: string[]) => (lines.length > 0 ? lines.map((line) => `  ${line}`) : ["  none"]);
  return [
    `${label}: ${shorten(email.subject)} (${shorten(senderAddress(email))}), ${at}`,
    `because: ${shorten(reason, 400)}`,
    ...(model ? [`model: ${model}`] : []),
    "prompts:",
    ...list(prompts.map(({ name, version }) => `${name}, version ${version}`)),
    "rules:",
    ...list(of("procedural").map(({ key, content, rule }) => `${key}: ${shorten(content, 400)}${originOf(rule)}`)),
    "examples, the nearest first:",
    ...list(of("semantic").map(({ key, content }) => `[${shorten(key)}] ${shorten(content)}`)),
    "memories:",
    ...list(of("episodic").map(({ key, content }) => `[${shorten(key)}] ${shorten(content, 400)}`)),
  ].join("\n");
}
