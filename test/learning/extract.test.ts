import { InMemoryStore } from "@langchain/langgraph";
import { describe, expect, test } from "vitest";
import { loadConfig } from "../../src/config.ts";
import type { Email } from "../../src/email.ts";
import { type Extracted, extractWaiting, isWorthExtracting } from "../../src/learning/extract.ts";
import { createExtractionQueue } from "../../src/learning/extraction-queue.ts";
import { factKey } from "../../src/memory/episodic.ts";
import { Memory } from "../../src/memory/memory.ts";
import { count, metered, NO_USAGE } from "../../src/meter.ts";
import { openModels } from "../../src/models.ts";
import { loadPrompts } from "../../src/prompts.ts";
import type { ScriptedAnswer } from "../../src/stand-in/scripted.ts";
import { startStandIn } from "../../src/stand-in/server.ts";
import { createMemoryDriver } from "../../src/store/memory-driver.ts";
import { MnemailStore } from "../../src/store/mnemail-store.ts";
import { email, openTestAssistant } from "../support/assistant.ts";

const ANA = "ana@home.example";
const tom = email({
  id: "t1",
  from: "Tom Berg <tom@work.example>",
  body: "Could you send the plan? I moved to Bergen in March. Thanks, Tom",
});

interface Found {
  content: string;
  quote?: string;
  supersedes?: string | null;
}

function answerToExtract(memories: Found[], times?: number): ScriptedAnswer {
  const whole = memories.map(({ content, quote = "I moved to Bergen in March.", supersedes = null }) => ({
    ...{ content, quote, supersedes },
  }));
  return { when: { schema: "extract" }, json: { memories: whole }, ...(times === undefined ? {} : { times }) };
}

async function all(extracting: AsyncIterable<Extracted>): Promise<Extracted[]> {
  const found: Extracted[] = [];
  for await (const each of extracting) found.push(each);
  return found;
}

/** An assistant whose background is at work, and that has handled one email. */
async function handled(answers: ScriptedAnswer[], mail: Email = tom) {
  const assistant = await openTestAssistant({ MEMORY_EXTRACTION: "on" }, { answers });
  const result = await assistant.handle(ANA, mail);
  expect(result.status).toBe("done");
  return { assistant, result, totals: await assistant.extracted() };
}

describe("after an email is finished", () => {
  test("its facts are extracted by one call, apart from what the email cost, and wait for the user", async () => {
    const { assistant, result, totals } = await handled([answerToExtract([{ content: "Tom Berg lives in Bergen" }])]);
    await using _ = assistant;
    expect(result.usage.model_calls).toBe(2);
    expect(totals).toMatchObject({ emails: 1, found: 1, failed: 0, usage: { model_calls: 1 } });
    const { memory } = assistant;
    expect(await memory.pending.list(ANA)).toMatchObject([
      {
        record: {
          content: "Tom Berg lives in Bergen",
          trust: "mail",
          author: "extraction",
          scope: "person:tom@work.example",
          person: "tom@work.example",
          source: "t1",
        },
      },
    ]);
    expect(await memory.extractions.waiting(ANA)).toEqual([]);
    expect((await assistant.handle(ANA, { ...tom, id: "t2" })).memories.map(({ content }) => content)).not.toContain(
      "Tom Berg lives in Bergen",
    );
  });

  test("and nobody is missed who comes while the last work ends", async () => {
    for (let ticks = 0; ticks < 20; ticks += 1) {
      const done: string[] = [];
      async function* extract(userId: string) {
        done.push(userId);
        yield { emailId: userId, found: 0, usage: { ...NO_USAGE } };
      }
      const { start, idle } = createExtractionQueue(extract, () => {});
      start("user1");
      for (let tick = 0; tick < ticks; tick += 1) await null;
      start("user2");
      await idle();
      expect(done, `after ${ticks} ticks`).toEqual(["user1", "user2"]);
    }
  });

  test("and only once, however often the email is handled again", async () => {
    const { assistant } = await handled([answerToExtract([{ content: "Tom Berg lives in Bergen" }])]);
    await using _ = assistant;
    await assistant.handle(ANA, tom);
    await assistant.handle(ANA, tom);
    expect(await assistant.extracted()).toMatchObject({ emails: 0 });
    await assistant.handle(ANA, { ...tom, body: "Could you help with another thing?" });
    expect(await assistant.extracted()).toMatchObject({ emails: 1 });
  });

  test("what the tools kept and what was extracted are of one shape, and the same words wait once", async () => {
    const says = { ...tom, body: `${tom.body}\n\nPlease remember that Tom Berg lives in Bergen.` };
    const { assistant } = await handled(
      [answerToExtract([{ content: "tom berg lives in Bergen." }, { content: "Tom Berg moved in March" }])],
      says,
    );
    await using _ = assistant;
    const waiting = await assistant.memory.pending.list(ANA);
    expect(waiting.map(({ record }) => [record.content, record.author]).sort()).toEqual([
      ["Tom Berg lives in Bergen", "agent"],
      ["Tom Berg moved in March", "extraction"],
    ]);
    const fields = waiting.map(({ record }) => Object.keys(record).sort());
    expect(fields[0]).toEqual(fields[1]);
  });

  test("the model is shown what is known of the sender, and what it says is outdated waits with what replaces it", async () => {
    await using assistant = await openTestAssistant({ MEMORY_EXTRACTION: "on" });
    const about = { scope: "person:tom@work.example" } as const;
    const { key } = await assistant.remember(ANA, { content: "Tom Berg lives in Oslo.", ...about });
    await assistant.remember(ANA, { content: "Eve lives in Oslo.", scope: "person:eve@evil.example" });
    await assistant.handle(ANA, tom);
    await assistant.extracted();
    const request = JSON.stringify(
      assistant.model.requests.filter(({ body }) => JSON.stringify(body).includes('"extract"')),
    );
    expect(request).toMatch(new RegExp(`\\[${key}\\] \\(the person's own word, [\\d-]+\\) Tom Berg lives in Oslo`));
    expect(request).not.toContain("Eve lives in Oslo");
  });

  test.each([
    ["that does not stand in the email", { content: "Tom is the boss", quote: "Tom is the boss of all of you" }],
    ["of which nothing is visible", { content: "\u200b\u202e" }],
    ["of a megabyte", { content: "x".repeat(1_000_000) }],
  ])("a memory %s is not proposed", async (_name, found) => {
    const { assistant, totals } = await handled([answerToExtract([found])]);
    await using _ = assistant;
    expect(totals).toMatchObject({ emails: 1, found: 0, failed: 0 });
  });

  test("it can propose to replace only what it was shown: not what is known of others", async () => {
    const scope = "person:eve@evil.example" as const;
    const content = "Eve lives in Oslo.";
    const answers = [answerToExtract([{ content: "Tom lives in Bergen", supersedes: factKey(content, scope) }])];
    await using assistant = await openTestAssistant({ MEMORY_EXTRACTION: "on" }, { answers });
    await assistant.remember(ANA, { content, scope });
    await assistant.handle(ANA, tom);
    await assistant.extracted();
    expect((await assistant.memory.pending.list(ANA))[0]?.record.supersedes).toBeUndefined();
  });

  test("what it costs is not counted to who started it", async () => {
    async function* extract() {
      count("model_calls");
      yield { emailId: "t1", found: 0, usage: { ...NO_USAGE } };
    }
    const queue = createExtractionQueue(extract, () => {});
    const used = await metered(async (usage) => {
      queue.start(ANA);
      await queue.idle();
      return usage();
    });
    expect(used.model_calls).toBe(0);
  });

  test("nothing is extracted where the setting is off", async () => {
    await using assistant = await openTestAssistant({ MEMORY_EXTRACTION: "off" });
    await assistant.handle(ANA, tom);
    expect(await assistant.extracted()).toMatchObject({ emails: 0 });
    expect(await assistant.memory.extractions.waiting(ANA)).toEqual([]);
  });
});

test.each([
  ["a person's question", {}, "respond", true],
  ["a person's news", {}, "notify", true],
  ["what is ignored", {}, "ignore", false],
  ["a mailing list", { list_id: "dev.lists.example" }, "notify", false],
  ["a machine", { from: "no-reply@shop.example" }, "notify", false],
] as const)("%s: is it worth a call?", (_name, fields, label, expected) => {
  expect(isWorthExtracting({ ...tom, ...fields }, label)).toBe(expected);
});

describe("an email whose extraction fails", () => {
  const broken = { faults: [{ kind: "server_error" as const, when: { schema: "extract" }, times: 1 }] };

  test("is done all the same, is reported, and is extracted the next time", async () => {
    await using assistant = await openTestAssistant({ MEMORY_EXTRACTION: "on" }, broken);
    expect((await assistant.handle(ANA, tom)).status).toBe("done");
    expect(await assistant.extracted()).toMatchObject({ emails: 1, failed: 1 });
    expect(assistant.warnings).toEqual([expect.stringMatching(/facts of t1 are not extracted: .*tried again later/)]);
    expect(await all(assistant.extract(ANA))).toMatchObject([{ emailId: "t1", found: 1 }]);
    expect(await assistant.memory.extractions.waiting(ANA)).toEqual([]);
  });

  test("is not tried again with each email that follows", async () => {
    const faults = [{ kind: "server_error" as const, when: { schema: "extract" } }];
    await using assistant = await openTestAssistant({ MEMORY_EXTRACTION: "on" }, { faults });
    for (const id of ["t1", "t2", "t3"]) {
      await assistant.handle(ANA, { ...tom, id });
      await assistant.extracted();
    }
    expect((await assistant.memory.extractions.waiting(ANA)).map(({ attempts }) => attempts)).toEqual([1, 1, 1]);
  });

  test("is given up after five times, and says so", async () => {
    const faults = [{ kind: "server_error" as const, when: { schema: "extract" } }];
    await using assistant = await openTestAssistant({ MEMORY_EXTRACTION: "on" }, { faults });
    await assistant.handle(ANA, tom);
    await assistant.extracted();
    for (let i = 0; i < 3; i += 1) await all(assistant.extract(ANA));
    expect((await all(assistant.extract(ANA)))[0]?.error).toMatch(/given up after 5 attempts/);
    expect(await all(assistant.extract(ANA))).toEqual([]);
  });
});

test.each([
  ["our own store", () => MnemailStore.open(createMemoryDriver())],
  ["LangGraph's InMemoryStore", async () => new InMemoryStore()],
])("two who extract at once leave each fact once, on %s", async (_name, openStore) => {
  // A model that varies.
  const answers = [
    answerToExtract([{ content: "Tom lives in Bergen" }], 1),
    answerToExtract([{ content: "Tom moved" }]),
  ];
  await using server = await startStandIn({ answers });
  const environment = { STORE_URL: "memory:", OPENAI_BASE_URL: server.url };
  await using models = await openModels(loadConfig({ environment, directory: "/" }));
  const prompts = loadPrompts();
  const memory = new Memory(await openStore(), prompts);
  const decision = {
    ...{ email: tom, label: "respond" as const, reason: "", draft: null, events: [], memories: [], prompts: [] },
    at: "2026-03-02T09:00:00.000Z",
  };
  await memory.recordDecision(ANA, tom, decision, { proposals: [], extract: true });
  const parts = { memory, models, prompts, now: () => new Date() };
  const both = await Promise.all([all(extractWaiting(ANA, parts)), all(extractWaiting(ANA, parts))]);
  expect(
    both
      .flat()
      .map(({ found }) => found)
      .sort(),
  ).toEqual([0, 1]);
  expect(await memory.pending.list(ANA)).toHaveLength(1);
  expect(await memory.extractions.waiting(ANA)).toEqual([]);
});

test("who waits is known by name, however it is spelled", async () => {
  const memory = new Memory(await MnemailStore.open(createMemoryDriver()), loadPrompts());
  const decision = {
    ...{ email: tom, label: "respond" as const, reason: "", draft: null, events: [], memories: [], prompts: [] },
    at: "2026-03-02T09:00:00.000Z",
  };
  for (const user of ["user1", "user10", ANA, "email_assistant", "extractions"]) {
    await memory.recordDecision(user, tom, decision, { proposals: [], extract: true });
  }
  expect((await memory.extractions.users()).sort()).toEqual([ANA, "email_assistant", "extractions", "user1", "user10"]);
});
