import { Hono } from "hono";
import { z } from "zod";
import { MnemailError } from "../../errors.ts";
import type { ForgetTarget } from "../../memory/forget-traces.ts";
import type { Version } from "../../memory/history.ts";
import type { Memory } from "../../memory/memory.ts";
import { LEARNABLE_PROMPTS, type LearnablePrompt } from "../../prompts.ts";
import { type Caller, type HttpEnv, readBody } from "../caller.ts";
import type { Forgotten } from "../forget.ts";

/** What the routes of memory work with. */
export interface MemoryParts {
  memory: Memory;
  /** Tells what forgetting would do, and with `confirm` does it. */
  forget(caller: Caller, target: ForgetTarget, options: { confirm: boolean }): Promise<Forgotten>;
  now(): Date;
}

const promptName = z.enum(LEARNABLE_PROMPTS);
const rollbackSchema = z.strictObject({ prompt: promptName, version: z.int().min(0).optional() });
const name = z.string().min(1).optional();
const forgetSchema = z.strictObject({ contact: name, email: name, memory: name, confirm: z.boolean().default(false) });

/** What is remembered of the caller: all of it, the versions of a prompt, rollback, forgetting. */
export function memoryRoutes({ memory, forget, now }: MemoryParts): Hono<HttpEnv> {
  return new Hono<HttpEnv>()
    .get("/memory", async (c) => {
      const { userId } = c.get("caller");
      const { procedural, semantic, episodic } = await memory.readAll(userId);
      return c.json({
        user: userId,
        procedural: procedural.map(({ name: key, text, version, rules }) => ({ key, version, prompt: text, rules })),
        semantic: semantic.map(({ key, record }) => ({ key, ...record })),
        episodic: episodic.map(({ key, status, record }) => ({ key, status, ...record })),
      });
    })
    .get("/memory/history/:prompt", async (c) => {
      const { userId } = c.get("caller");
      const prompt = promptNamed(c.req.param("prompt"));
      const { versions } = (await memory.ledger.histories(userId))[prompt];
      return c.json({ user: userId, prompt, versions: versions.toReversed().map(asJson) });
    })
    .post("/memory/rollback", async (c) => {
      const { userId } = c.get("caller");
      const { prompt, version } = await readBody(c, rollbackSchema, "rollback");
      const act = { actor: "user", channel: "api", at: now().toISOString() };
      const done = await memory.ledger.rollback(userId, prompt, version, act);
      return c.json({ prompt, from: done.from.number, restored: done.to.number, version: done.version });
    })
    .post("/memory/forget", async (c) => {
      const given = await readBody(c, forgetSchema, "forget");
      const forgotten = await forget(c.get("caller"), targetOf(given), given);
      return c.json({ dry_run: !given.confirm, ...forgotten });
    });
}

function promptNamed(given: string): LearnablePrompt {
  const prompt = promptName.safeParse(given);
  if (prompt.success) return prompt.data;
  throw new MnemailError(
    "missing",
    `prompt: there is none of that name`,
    `the prompts are ${LEARNABLE_PROMPTS.join(", ")}`,
  );
}

function targetOf({ contact, email, memory }: z.infer<typeof forgetSchema>): ForgetTarget {
  const targets: ForgetTarget[] = [];
  if (contact !== undefined) targets.push({ what: "contact", id: contact });
  if (email !== undefined) targets.push({ what: "email", id: email });
  if (memory !== undefined) targets.push({ what: "memory", id: memory });
  const [target, ...others] = targets;
  if (target && others.length === 0) return target;
  throw new MnemailError("usage", "forget: expected one of contact (an address), email or memory (an id)");
}

function asJson({ number, text, record, isRecorded }: Version) {
  const { parent, operations, feedback, author, gate, accepted, restores, model, at } = record ?? {};
  return {
    version: number,
    parent,
    at,
    author,
    feedback,
    operations,
    gate,
    accepted,
    restores,
    model,
    recorded: isRecorded,
    text,
  };
}
