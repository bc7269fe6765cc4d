import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { temporaryFolder } from "../support/assistant.ts";
import { runCli } from "../support/cli.ts";

const ANA = "ana@home.example";
const folder = temporaryFolder();
const environment = { STORE_URL: `sqlite:${folder.path("memory.db")}` };
let server: ChildProcess;
let url: string;

/** Starts `langgraphjs dev` as a user does, in a process group of its own, and waits until it answers. */
beforeAll(async () => {
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  const { PATH = "", HOME = "" } = process.env;
  server = spawn(
    "node_modules/.bin/langgraphjs",
    ["dev", "--no-browser", "--no-reload", "--host", "127.0.0.1", "--port", String(port)],
    {
      env: { PATH, HOME, ...environment },
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  let output = "";
  for (const stream of [server.stdout, server.stderr]) stream?.on("data", (chunk) => (output += chunk));
  for (let attempt = 0; attempt < 250; attempt += 1) {
    if (
      await fetch(`${url}/ok`).then(
        (response) => response.ok,
        () => false,
      )
    )
      return;
    if (server.exitCode !== null) break;
    await pause(200);
  }
  throw new Error(`langgraphjs dev did not start:\n${output}`);
}, 60_000);

afterAll(async () => {
  if (server.pid !== undefined && server.exitCode === null) {
    process.kill(-server.pid, "SIGKILL");
    await once(server, "close");
  }
  folder[Symbol.dispose]();
});

const stateSchema = z.object({
  label: z.string().optional(),
  draft: z.object({ body: z.string() }).nullish(),
  __error__: z.object({ message: z.string() }).optional(),
});

async function runOverHttp(input: object, configurable: object) {
  const response = await fetch(`${url}/runs/wait`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ assistant_id: "email_assistant", input, config: { configurable } }),
  });
  return stateSchema.parse(await response.json());
}

const question = {
  from: "Tom Berg <tom@work.example>",
  to: ANA,
  subject: "Release date",
  body: "Hi Ana,\nPlease remember that I am on leave every Friday.\nCould you tell me when the release is planned?\nTom",
};

describe("langgraphjs dev serves the graph on the same store as the scripts", () => {
  test("a run over HTTP uses what feedback on the command line taught, and what it remembers is seen there", async () => {
    const before = await runOverHttp({ email_input: question }, { user_id: ANA });
    expect(before.label).toBe("respond");
    expect(before.draft?.body).not.toContain("Ana B.");

    const learnt = await runCli(["feedback", "--user", ANA, "Always sign my emails with Ana B."], environment);
    expect(learnt.code).toBe(0);

    const after = await runOverHttp({ email_input: question }, { user_id: ANA });
    expect(after.draft?.body).toContain("Ana B.");
    const forOther = await runOverHttp({ email_input: question }, { user_id: "ben" });
    expect(forOther.draft?.body).not.toContain("Ana B.");

    const { stdout } = await runCli(["memory", "show", "--user", ANA, "--json"], environment);
    const { episodic } = JSON.parse(stdout);
    expect(episodic).toContainEqual(expect.objectContaining({ kind: "conversation", person: "tom@work.example" }));
    expect(episodic).toContainEqual(
      expect.objectContaining({ status: "pending", content: expect.stringContaining("on leave every Friday") }),
    );
  });

  test("a run without a user id is refused with a clear line", async () => {
    expect((await runOverHttp({ email_input: question }, {})).__error__?.message).toContain("user id: none given");
  });
});

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  if (typeof address !== "object" || address === null) throw new Error("no port");
  return address.port;
}
