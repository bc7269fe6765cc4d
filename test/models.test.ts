import { describe, expect, test } from "vitest";
import { renderError } from "../src/errors.ts";
import { email, openTestAssistant, temporaryFolder } from "./support/assistant.ts";

const ANA = "ana@home.example";
const question = email({ id: "q1", body: "Could you tell me when the release is planned?" });

describe("a model that fails is reported in one line, sends nothing and leaves memory as it was", () => {
  test.each([
    ["rate_limit", /429/],
    ["server_error", /model server failed \(500\)/],
    ["unauthorized", /OPENAI_API_KEY was refused \(401\)/],
    ["timeout", /did not answer in time/],
    ["cut_stream", /failed|no connection/],
    ["malformed_json", /answered something else than the JSON asked for/],
    ["nonsense", /answered something else than the JSON asked for/],
  ] as const)("%s", async (kind, message) => {
    const faults = [{ kind, when: { path: "chat" as const } }];
    await using assistant = await openTestAssistant({ MODEL_TIMEOUT_MS: "300" }, { faults });
    const result = await assistant.handle(ANA, question);
    expect(result).toMatchObject({ id: "q1", status: "failed", label: null, draft: null });
    expect(result.error).toMatch(message);
    expect(result.error).not.toMatch(/\n|\bat .*:\d+:\d+/);
    const { semantic, episodic } = await assistant.memory.readAll(ANA);
    expect([semantic, episodic]).toEqual([[], []]);

    const learning = assistant.learn(ANA, { kind: "text", text: "Always sign my emails with Ana." });
    await expect(learning.catch((error) => Promise.reject(new Error(renderError(error))))).rejects.toThrow(message);
    const { procedural } = await assistant.memory.readAll(ANA);
    expect(procedural.every(({ version }) => version === 0)).toBe(true);
  });

  test("embeddings that fail make the search go on by words, said once", async () => {
    const faults = [{ kind: "server_error" as const, when: { path: "embeddings" as const } }];
    await using assistant = await openTestAssistant({}, { faults });
    expect((await assistant.handle(ANA, question)).status).toBe("done");
    expect((await assistant.handle(ANA, question)).status).toBe("done");
    expect(assistant.warnings).toEqual([expect.stringContaining("searched by words alone")]);
  });

  test("a failure that passes is survived by trying again", async () => {
    const faults = [{ kind: "rate_limit" as const, when: { path: "chat" as const }, times: 1 }];
    await using assistant = await openTestAssistant({ MODEL_MAX_RETRIES: "1" }, { faults });
    expect((await assistant.handle(ANA, question)).status).toBe("done");
  });

  test("no server at the address", async () => {
    await using assistant = await openTestAssistant({ OPENAI_BASE_URL: "http://127.0.0.1:9/v1" });
    expect((await assistant.handle(ANA, question)).error).toMatch(/no connection to the model server/);
  });
});

test("a store that was used with another embedding model is searched by words, and says so", async () => {
  using folder = temporaryFolder();
  const store = { STORE_URL: `sqlite:${folder.path("m.db")}` };
  {
    await using assistant = await openTestAssistant({ ...store, EMBEDDING_MODEL: "one" });
    await assistant.handle(ANA, question);
    await assistant.learn(ANA, { kind: "relabel", email_id: "q1", label: "notify" });
  }
  await using assistant = await openTestAssistant({ ...store, EMBEDDING_MODEL: "another" });
  expect(assistant.warnings).toEqual([expect.stringContaining('vectors of the embedding model "one"')]);
  expect((await assistant.handle(ANA, question)).memories).toContainEqual(
    expect.objectContaining({ kind: "semantic" }),
  );
});
