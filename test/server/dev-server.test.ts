import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { temporaryFolder } from "../support/assistant.ts";
import { runCli } from "../support/cli.ts";
import { type DevServer, startDevServer } from "../support/dev-server.ts";

const ANA = "ana@home.example";
const folder = temporaryFolder();
const environment = { STORE_URL: `sqlite:${folder.path("memory.db")}`, OUTBOX_PATH: folder.path("outbox") };
let server: DevServer;

beforeAll(async () => {
  server = await startDevServer(folder.path("."), environment);
}, 60_000);

afterAll(async () => {
  await server.stop();
  folder[Symbol.dispose]();
});

const stateSchema = z.object({
  label: z.string().optional(),
  draft: z.object({ body: z.string() }).nullish(),
  __error__: z.object({ message: z.string() }).optional(),
});

async function runOverHttp(input: object, configurable: object) {
  const response = await fetch(`${server.url}/runs/wait`, {
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

  test("without tokens it says that it is open, and the routes of Mnemail ask for the user", async () => {
    expect(server.output()).toContain(
      "API_TOKENS is not set: everybody who reaches this server can act for every user",
    );
    const list = (path: string, headers = {}) => fetch(`${server.url}/v1/reviews${path}`, { headers });
    expect((await list("")).status).toBe(422);
    expect((await list("?user=ana", { "x-user-id": "ben" })).status).toBe(422);
    expect(await (await list("?user=ana")).json()).toEqual({ reviews: [], elsewhere: 0 });
    expect((await list("", { "x-user-id": "ana" })).status).toBe(200);
  });
});
