import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { createEmailAssistant } from "../src/agent/graph.ts";
import { loadConfig } from "../src/config.ts";
import type { EmailResult } from "../src/handle.ts";
import { openInbox } from "../src/mail/inbox.ts";
import { profileSchema } from "../src/memory/profile.ts";
import { openModels } from "../src/models.ts";
import { createMemoryDriver } from "../src/store/memory-driver.ts";
import { MnemailStore } from "../src/store/mnemail-store.ts";
import { email, openTestAssistant } from "./support/assistant.ts";

const NORA = "nora.lindqvist@fjordlys.example";
const expectedSchema = z.object({
  id: z.string(),
  label: z.enum(["ignore", "notify", "respond"]),
  reply: z.enum(["none", "plain", "meeting"]),
});
const expected = readFileSync("samples/expected.jsonl", "utf8")
  .trim()
  .split("\n")
  .map((line) => expectedSchema.parse(JSON.parse(line)));

const results: EmailResult[] = [];

beforeAll(async () => {
  await using assistant = await openTestAssistant(
    { CALENDAR_PATH: "samples/calendar.ics" },
    {},
    "2026-03-06T17:00+01:00",
  );
  await assistant.memory.saveProfile(
    NORA,
    profileSchema.parse(JSON.parse(readFileSync("samples/profile.json", "utf8"))),
  );
  const inbox = await openInbox("samples/week");
  for await (const entry of inbox.entries()) {
    if (entry.status === "unreadable") throw entry.error;
    results.push(await assistant.handle(NORA, entry.email));
  }
});

describe("the sample week", () => {
  test("has at least 30 emails, all read and handled, in the order of the expected labels", () => {
    expect(results.length).toBeGreaterThanOrEqual(30);
    expect(results.map(({ id, status }) => [id, status])).toEqual(expected.map(({ id }) => [id, "done"]));
  });

  test("is labelled by the stand-in as its user would; this proves wiring, not quality", () => {
    expect(results.map(({ id, label }) => [id, label])).toEqual(expected.map(({ id, label }) => [id, label]));
  });

  test("costs one model call for ignore and notify, two for a plain reply, three for a meeting", () => {
    const calls = { none: 1, plain: 2, meeting: 3 };
    expect(results.map(({ id, usage }) => [id, usage.model_calls])).toEqual(
      expected.map(({ id, reply }) => [id, calls[reply]]),
    );
    for (const { usage } of results) expect(usage.embedding_calls).toBeLessThanOrEqual(1);
  });

  test("gets a draft to its sender for every email to be answered, and an event for every meeting", () => {
    for (const [i, { reply }] of expected.entries()) {
      expect(results[i]?.draft === null).toBe(reply === "none");
      expect(results[i]?.events).toHaveLength(reply === "meeting" ? 1 : 0);
    }
  });

  test("is offered no time that is taken: the kick-off asked for Monday 10:00, when sprint planning is", () => {
    const kickOff = results.find(({ id }) => id === expected[33]?.id);
    expect(kickOff?.events[0]?.start).toMatch(/^2026-03-/);
    expect(kickOff?.events[0]?.start).not.toBe("2026-03-09T10:00");
  });
});

test("a node makes at most two store round trips before its first model call", async () => {
  const log: ("store" | "model")[] = [];
  const store = await MnemailStore.open(createMemoryDriver());
  const [batch, putIf] = [store.batch.bind(store), store.putIf.bind(store)];
  store.putIf = (puts) => {
    log.push("store");
    return putIf(puts);
  };
  store.batch = (operations) => {
    log.push("store");
    return batch(operations);
  };
  await using models = await openModels(loadConfig({ environment: {}, directory: "/" }));
  const graph = createEmailAssistant({ store, models });
  const callbacks = [{ handleChatModelStart: () => void log.push("model") }];
  const config = { configurable: { user_id: "ana" }, callbacks };
  const question = email({ body: "Could you tell me when the release is planned?" });

  await graph.invoke({ email_input: { ...question } }, config);
  expect(log).toEqual(["store", "store", "model", "store", "store", "model", "store"]);
  log.length = 0;
  await graph.invoke({ email_input: { ...question } }, config);
  expect(log).toEqual(["store", "model", "store", "model", "store"]);
});
