import { existsSync, readdirSync, readFileSync } from "node:fs";
import { Client } from "@langchain/langgraph-sdk";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { temporaryFolder } from "../support/assistant.ts";
import { startDevServer } from "../support/dev-server.ts";
import { startPglite } from "../support/postgres.ts";

const ANA = "ana@home.example";
const GRAPH = "email_assistant";
const config = { configurable: { user_id: ANA } };

const question = (id: string) => ({
  ...{ id, from: "Tom Berg <tom@work.example>", to: ANA, subject: "Release date" },
  body: "Hi Ana,\nCould you tell me when the release is planned?\nTom",
});

const requestSchema = z.object({
  problem: z.string().optional(),
  actionRequests: z.array(z.object({ name: z.string(), args: z.looseObject({ body: z.string().optional() }) })),
});

describe.each(["SQLite", "PostgreSQL"])("%s: the graph as Studio runs it, with the SDK", (backend) => {
  test("run, interrupt, a restart of the server, each answer, and the next email differs", async () => {
    using folder = temporaryFolder();
    const database = backend === "PostgreSQL" ? await startPglite() : undefined;
    const STORE_URL = database?.url ?? `sqlite:${folder.path("memory.db")}`;
    const environment = { STORE_URL, OUTBOX_PATH: folder.path("outbox"), MEMORY_EXTRACTION: "off" };
    const sent = () => {
      const place = folder.path("outbox");
      if (!existsSync(place)) return [];
      const files = readdirSync(place, { recursive: true, encoding: "utf8" });
      return files.filter((file) => file.endsWith(".eml")).map((file) => readFileSync(`${place}/${file}`, "utf8"));
    };
    let server = await startDevServer(folder.path("."), environment);
    try {
      let client = new Client({ apiUrl: server.url, apiKey: null });
      /** What a thread asks for now, as Studio shows it. */
      const asked = async (thread: string) => {
        const { values, tasks } = await client.threads.getState<{ trust: string }>(thread);
        expect(values.trust).toBe("mail");
        return tasks.flatMap(({ interrupts }) => interrupts.map(({ value }) => requestSchema.parse(value)));
      };
      const begin = async (id: string) => {
        const { thread_id } = await client.threads.create();
        await client.runs.wait(thread_id, GRAPH, { input: { email_input: question(id) }, config });
        return { thread_id, draft: draftOf(await asked(thread_id)) };
      };
      const resume = async (thread: string, answer: unknown) => {
        await client.runs.wait(thread, GRAPH, { command: { resume: answer }, config });
        return asked(thread);
      };

      // The server publishes no schema of the context for graphs of a StateSchema (langgraph-api, graph/parser).
      const { input_schema } = await client.assistants.getSchemas(GRAPH);
      expect(input_schema?.properties).toMatchObject({
        email_input: { description: expect.stringContaining("email") },
      });

      const first = await begin("q1@work.example");
      await server.stop();
      server = await startDevServer(folder.path("."), environment);
      client = new Client({ apiUrl: server.url, apiKey: null });
      const waiting = await client.threads.getState(first.thread_id);
      expect(waiting.tasks[0]?.interrupts).toHaveLength(1);
      expect(sent()).toEqual([]);
      const nonsense = await resume(first.thread_id, { decisions: [{ type: "maybe" }] });
      expect(nonsense[0]?.problem).toMatch(/^not an answer: /);
      expect(await resume(first.thread_id, { decisions: [{ type: "approve" }] })).toEqual([]);
      expect(sent()).toHaveLength(1);

      const second = await begin("q2@work.example");
      const args = { body: `${second.draft}\nMay it be soon.` };
      await resume(second.thread_id, { decisions: [{ type: "edit", editedAction: { name: "write_email", args } }] });
      expect(sent().filter((each) => each.includes("May it be soon."))).toHaveLength(1);

      const third = await begin("q3@work.example");
      const anew = await resume(third.thread_id, { decisions: [{ type: "respond", message: "Say: on 3 May." }] });
      expect(draftOf(anew)).toContain("3 May");
      await resume(third.thread_id, [{ type: "accept", args: null }]);
      expect(sent().filter((each) => each.includes("3 May"))).toHaveLength(1);

      const fourth = await begin("q4@work.example");
      expect(fourth.draft).not.toContain("Ana B.");
      const message = "Always sign my emails with Ana B.";
      await resume(fourth.thread_id, { decisions: [{ type: "reject", message }] });
      expect(sent()).toHaveLength(3);
      expect((await begin("q5@work.example")).draft).toContain("Ana B.");
    } finally {
      await server.stop();
      await database?.stop();
    }
  });
});

function draftOf([request]: readonly z.infer<typeof requestSchema>[]): string {
  expect(request?.actionRequests).toMatchObject([{ name: "write_email" }]);
  return request?.actionRequests[0]?.args.body ?? "";
}
