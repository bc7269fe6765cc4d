import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openAssistant } from "../src/assistant.ts";
import { loadConfig } from "../src/config.ts";
import { temporaryFolder } from "./support/assistant.ts";
import { startPglite, type TestDatabase } from "./support/postgres.ts";

const email = { from: "Tom <tom@work.example>", to: "ana", subject: "Hi", body: "Could you help?" };
const thread = { configurable: { user_id: "ana", thread_id: "t1" } };

describe("threads are kept by the same setting as memory", () => {
  let pglite: TestDatabase;
  const folder = temporaryFolder();
  beforeAll(async () => {
    pglite = await startPglite();
  });
  afterAll(async () => {
    await pglite.stop();
    folder[Symbol.dispose]();
  });
  const open = (url: string) => openAssistant(loadConfig({ environment: { STORE_URL: url }, directory: "/" }));

  test.each(["SQLite", "PostgreSQL"])("%s: a thread is there after everything was closed", async (name) => {
    const url = name === "SQLite" ? `sqlite:${folder.path("memory.db")}` : pglite.url;
    {
      await using assistant = await open(url);
      await assistant.graph.invoke({ email_input: email }, thread);
    }
    await using assistant = await open(url);
    expect((await assistant.graph.getState(thread)).values).toMatchObject({ label: "respond", user_id: "ana" });
    await expect(
      assistant.graph.invoke({ email_input: email }, { configurable: { user_id: "eve", thread_id: "t1" } }),
    ).rejects.toThrow("belongs to another user");
  });

  test.each(["SQLite", "PostgreSQL"])(
    "%s: that a thread holds strangers' words stays known, whoever says otherwise",
    async (name) => {
      const url = name === "SQLite" ? `sqlite:${folder.path("trust.db")}` : pglite.url;
      const at = { configurable: { user_id: "ana", thread_id: "t-trust" } };
      {
        await using assistant = await open(url);
        expect(await assistant.graph.invoke({ email_input: email }, at)).toMatchObject({ trust: "mail" });
      }
      await using assistant = await open(url);
      expect((await assistant.graph.getState(at)).values).toMatchObject({ trust: "mail" });
      await assistant.graph.updateState(at, { trust: "user" });
      expect((await assistant.graph.getState(at)).values).toMatchObject({ trust: "mail" });
      const { id = "" } =
        (await assistant.graph.invoke({ email_input: { ...email, subject: "Again" } }, at)).email ?? {};
      expect((await assistant.memory.findDecision("ana", id))?.trust).toBe("mail");
    },
  );

  test("an email that is refused leaves a thread of its user all the same", async () => {
    await using assistant = await open(`sqlite:${folder.path("refused.db")}`);
    const at = { configurable: { user_id: "ana", thread_id: "t-refused" } };
    await expect(assistant.graph.invoke({ email_input: { ...email, attachments: "x" } }, at)).rejects.toThrow("email:");
    expect((await assistant.graph.getState(at)).values).toMatchObject({ user_id: "ana" });
  });

  test("memory: a thread lasts as long as the process", async () => {
    await using assistant = await open("memory:");
    await assistant.graph.invoke({ email_input: email }, thread);
    expect((await assistant.graph.getState(thread)).values).toMatchObject({ label: "respond" });
  });
});
