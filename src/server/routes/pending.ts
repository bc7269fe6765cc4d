import { Hono } from "hono";
import { z } from "zod";
import type { OpenAssistant } from "../../assistant.ts";
import { MnemailError } from "../../errors.ts";
import { type HttpEnv, pathKey, readBody } from "../caller.ts";

const approvalSchema = z.strictObject({ contradicted: z.enum(["replace", "keep"]).optional() });
const rejectionSchema = z.strictObject({});

/** What models want to remember and the caller has not approved; and the caller's word on it. */
export function pendingRoutes(
  { memory, approve }: Pick<OpenAssistant, "memory" | "approve">,
  now: () => Date,
): Hono<HttpEnv> {
  return new Hono<HttpEnv>()
    .get("/memory/pending", async (c) => {
      const pending = await memory.pending.list(c.get("caller").userId);
      return c.json({ pending: pending.map(({ key, record }) => ({ key, ...record })) });
    })
    .post("/memory/pending/:key/approve", async (c) => {
      const { contradicted } = await readBody(c, approvalSchema, "approval");
      const { userId } = c.get("caller");
      const key = await waitingKey(userId, pathKey(c, "key", "memory"));
      const approved = await approve(userId, key, { contradicted });
      if (approved.status !== "undecided") return c.json(approved);
      const facts = approved.conflicts.map(({ record }) => record.content).join(" | ");
      const hint = 'send { "contradicted": "replace" } or { "contradicted": "keep" }';
      throw new MnemailError("conflict", `"${approved.content}" contradicts what you stated: ${facts}`, hint);
    })
    .post("/memory/pending/:key/reject", async (c) => {
      await readBody(c, rejectionSchema, "rejection");
      const { userId } = c.get("caller");
      const key = await waitingKey(userId, pathKey(c, "key", "memory"));
      const { content } = await memory.pending.reject(userId, key, now().toISOString());
      return c.json({ key, content, status: "rejected" });
    });

  async function waitingKey(userId: string, key: string): Promise<string> {
    if ((await memory.pending.list(userId)).some((each) => each.key === key)) return key;
    throw new MnemailError("missing", `memory ${key}: does not wait`, "GET /v1/memory/pending lists what does");
  }
}
