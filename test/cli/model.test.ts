import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { describe, expect, test } from "vitest";
import { temporaryFolder } from "../support/assistant.ts";
import { jsonLines, runCli, startCli } from "../support/cli.ts";

describe("mnemail model", () => {
  test("serves the stand-in alone, with the answers of a script, until it is stopped", async () => {
    using folder = temporaryFolder();
    const answers = [{ when: { schema: "triage" }, json: { label: "notify", reason: "as scripted" } }];
    writeFileSync(folder.path("script.json"), JSON.stringify({ answers }));
    const mail = { id: "q1", from: "Tom <tom@work.example>", to: "ana", subject: "Hi", body: "Could you help?" };
    writeFileSync(folder.path("inbox.json"), JSON.stringify(mail));

    const server = startCli(["model", "--port", "0", "--script", folder.path("script.json")]);
    if (!server.stdout) throw new Error("no stdout");
    const [line] = await once(createInterface({ input: server.stdout }), "line");
    const url = /http:\S+\/v1/.exec(String(line))?.[0] ?? "";

    const run = await runCli(["run", "--user", "ana", "--inbox", folder.path("inbox.json"), "--json"], {
      STORE_URL: "memory:",
      OPENAI_BASE_URL: url,
    });
    expect(jsonLines(run.stdout)).toMatchObject([{ label: "notify", reason: "as scripted" }]);

    server.kill("SIGTERM");
    const [code] = await once(server, "exit");
    expect(code).toBe(0);
  });

  test.each([
    ["--port", ["--port", "many"], 2, /--port: expected a whole number/],
    ["--script", ["--script", "/nowhere.json"], 1, /nowhere\.json: is not a script/],
  ])("a bad %s is one clear line", async (_, args, code, message) => {
    const result = await runCli(["model", ...args]);
    expect(result.code).toBe(code);
    expect(result.stderr).toMatch(message);
  });
});
