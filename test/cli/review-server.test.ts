import { existsSync, readdirSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { temporaryFolder } from "../support/assistant.ts";
import { jsonLines, runCli } from "../support/cli.ts";
import { type DevServer, startDevServer } from "../support/dev-server.ts";

const ANA = "ana@home.example";
const TOKEN = "token-of-ana-0123456789abcdef";
const MAIL = {
  id: "q1@work.example",
  from: "Tom <tom@work.example>",
  to: ANA,
  subject: "Plan",
  body: "Could you send the plan?",
};
const folder = temporaryFolder();
const environment = {
  STORE_URL: `sqlite:${folder.path("memory.db")}`,
  OUTBOX_PATH: folder.path("outbox"),
  MEMORY_EXTRACTION: "off",
};
let server: DevServer;

beforeAll(async () => {
  server = await startDevServer(folder.path("."), { ...environment, API_TOKENS: JSON.stringify({ [ANA]: TOKEN }) });
}, 60_000);

afterAll(async () => {
  await server.stop();
  folder[Symbol.dispose]();
});

const listSchema = z.array(z.object({ reviews: z.array(z.looseObject({ id: z.string() })) }));

async function post(path: string, body: object): Promise<unknown> {
  const headers = { "content-type": "application/json", authorization: `Bearer ${TOKEN}` };
  const response = await fetch(`${server.url}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  expect(response.status, path).toBe(200);
  return await response.json();
}

const review = (args: string[], more: Record<string, string> = { MNEMAIL_TOKEN: TOKEN }) =>
  runCli(["review", ...args, "--user", ANA], { ...environment, ...more }, folder.path("."));
const last = (text: string) => text.trim().split("\n").at(-1) ?? "";

test("threads of a running LangGraph server are answered with --server and a token, and with nothing less", async () => {
  const thread_id = "0f0e0d0c-0b0a-4908-8706-050403020100";
  await post("/threads", { thread_id });
  const config = { configurable: { user_id: ANA } };
  await post(`/threads/${thread_id}/runs/wait`, {
    assistant_id: "email_assistant",
    input: { email_input: MAIL },
    config,
  });

  const here = await review(["list"]);
  expect(here.stdout).toContain("1 more waits on the LangGraph server: --server URL");
  const at = ["--server", server.url];
  const listed = listSchema.parse(jsonLines((await review(["list", "--json", ...at])).stdout));
  const [{ id } = { id: "" }] = listed.flatMap(({ reviews }) => reviews);
  expect(listed).toMatchObject([
    { reviews: [{ thread_id, on_server: true, email: { id: MAIL.id }, action: { name: "write_email" } }] },
  ]);

  for (const [args, more, says] of [
    [["approve", id], undefined, /waits on a LangGraph server: give --server/],
    [["approve", id, ...at], {}, /401.*give --token or MNEMAIL_TOKEN/],
    [["approve", id, ...at, "--token", "wrong"], {}, /401.*give --token or MNEMAIL_TOKEN/],
  ] as const) {
    const refused = await review([...args], more);
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(last(refused.stderr)).toMatch(says);
  }
  expect(existsSync(folder.path("outbox"))).toBe(false);

  const edited = await review(["edit", id.slice(0, 8), "--subject", "The plan", ...at]);
  expect(edited, edited.stderr).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^approved as edited .*"The plan"\n {2}written: /),
  });
  expect(
    readdirSync(folder.path("outbox"), { recursive: true }).filter((name) => String(name).endsWith(".eml")),
  ).toHaveLength(1);
  const again = await review(["approve", id, ...at]);
  expect(last(again.stderr)).toMatch(/was approved with changes on 2/);
  expect((await review(["list", ...at])).stdout).toBe(`nothing of ${ANA}'s mail waits for your word\n`);
});
