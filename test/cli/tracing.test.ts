import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { afterEach, describe, expect, test } from "vitest";
import { loadConfig, renderConfig } from "../../src/config.ts";
import { temporaryFolder } from "../support/assistant.ts";
import { jsonLines, startCli } from "../support/cli.ts";

const KEY = "lsv2_pt_0123456789abcdef0123456789";
const question = {
  ...{ id: "q1", from: "Tom Berg <tom@work.example>", to: "ana@home.example", subject: "Release" },
  body: "Hi Ana, could you tell me when the zebraplan is due?",
};
let server: Server | undefined;

afterEach(async () => {
  server?.closeAllConnections();
  if (server) await new Promise((resolve) => server?.close(resolve));
  server = undefined;
});

/** A LangSmith on loopback that takes what it is sent; one that is `isDead` takes it and never answers. */
async function startLangSmith({ isDead = false } = {}) {
  const received: { path: string; key: string | undefined; body: string }[] = [];
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { "x-api-key": key } = request.headers;
      received.push({ path: request.url ?? "", key: String(key), body: Buffer.concat(chunks).toString("utf8") });
      if (!isDead) response.setHeader("content-type", "application/json").end("{}");
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return { received, url: `http://127.0.0.1:${port}` };
}

/**
 * `mnemail run` on one email, in a folder of its own, whose `.env.development` has the lines of `file`. `lingered` is how
 * long it went on after it had given up the traces, in milliseconds.
 */
async function runTraced(environment: Record<string, string>, file: readonly string[] = []) {
  using folder = temporaryFolder();
  writeFileSync(folder.path("inbox.jsonl"), JSON.stringify(question));
  writeFileSync(folder.path(".env.development"), file.join("\n"));
  const args = ["run", "--user", "ana@home.example", "--inbox", "inbox.jsonl", "--json"];
  const child = startCli(args, { STORE_URL: "memory:", ...environment }, folder.path("."));
  let [stdout, stderr, givenUp] = ["", "", 0];
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
    if (givenUp === 0 && stderr.includes("traces: ")) givenUp = performance.now();
  });
  const [code] = await once(child, "close");
  return { code, stdout, stderr, lingered: performance.now() - givenUp };
}

const tracing = (url: string) => ({
  ...{ LANGSMITH_TRACING: "true", LANGSMITH_API_KEY: KEY, LANGSMITH_ENDPOINT: url, LANGSMITH_PROJECT: "mail" },
});

describe("with the variables of LangSmith", () => {
  test("a run is traced whole, every node and model call, before the command ends", async () => {
    const { received, url } = await startLangSmith();
    const { code, stderr } = await runTraced(tracing(url));
    expect(code).toBe(0);
    expect(stderr).toContain(`tracing: on, to ${url}/ (project mail); mail text leaves this machine`);
    const posted = received.filter(({ path }) => path.startsWith("/runs"));
    expect(posted.map(({ key }) => key)).toEqual(posted.map(() => KEY));
    const text = posted.map(({ body }) => body).join("\n");
    for (const name of ["email_assistant", "receive", "triage", "respond", "record", "ChatOpenAI", "extract"]) {
      expect(text).toContain(`"name":"${name}"`);
    }
    expect(text).toContain("zebraplan");
    expect(text).toContain('"session_name":"mail"');
    expect(text).not.toContain(KEY);
    // The last thing that happens is in it, with its end.
    expect(text).toMatch(/"end_time"/);
  });

  test("in the file of settings too, where inputs and outputs can be hidden", async () => {
    const { received, url } = await startLangSmith();
    const lines = Object.entries(tracing(url)).map(([name, value]) => `${name}=${value}`);
    const { stderr } = await runTraced({ LANGSMITH_HIDE_INPUTS: "true", LANGSMITH_HIDE_OUTPUTS: "true" }, lines);
    expect(stderr).toContain("inputs, outputs and errors are hidden");
    const text = received.map(({ body }) => body).join("\n");
    expect(text).toContain('"name":"email_assistant"');
    for (const word of ["zebraplan", "Tom Berg", "tom@work.example"]) expect(text).not.toContain(word);
  });

  test.each([true, false])(
    "a server that is away neither fails nor delays the command (it hangs: %s)",
    async (isDead) => {
      const { url } = await startLangSmith({ isDead });
      if (!isDead) await new Promise((resolve) => server?.close(resolve));
      const { code, stdout, stderr, lingered } = await runTraced(tracing(url));
      expect(code).toBe(0);
      expect(jsonLines(stdout)).toMatchObject([{ id: "q1", label: "respond" }]);
      expect(stderr).toContain(`traces: ${url}/ did not take them within 3 s`);
      // LangSmith's own patience is 90 seconds, or four attempts in 15 to 30.
      expect(lingered).toBeLessThan(10_000);
    },
  );
});

test("without them nothing is sent", async () => {
  const { received, url } = await startLangSmith();
  const { LANGSMITH_TRACING: _, ...others } = tracing(url);
  const { code, stderr } = await runTraced(others);
  expect(code).toBe(0);
  expect(received).toEqual([]);
  expect(stderr).not.toContain("tracing");
});

describe("the settings of tracing", () => {
  const load = (environment: Record<string, string>) => loadConfig({ environment, directory: tmpdir() });
  const on = { LANGSMITH_TRACING: "true", LANGSMITH_API_KEY: KEY };

  test("are shown, the key masked", () => {
    expect(renderConfig(load({}))).toMatchObject({ tracing: "off" });
    const shown = renderConfig(load(on));
    expect(shown).toMatchObject({
      tracing: "on, to https://api.smith.langchain.com/ (project default); mail text leaves this machine",
      langsmith_api_key: "set (ends in …6789)",
    });
    expect(renderConfig(load({ ...on, LANGSMITH_HIDE_INPUTS: "true" }))["tracing"]).toMatch(
      /leaves .*; inputs and errors are hidden$/,
    );
  });

  test("are those of LangChain in their older spelling too, and any that says on is on", () => {
    const older = { LANGCHAIN_TRACING_V2: "true", LANGCHAIN_API_KEY: KEY, LANGCHAIN_PROJECT: "mail" };
    expect(load(older).tracing).toMatchObject({ apiKey: KEY, project: "mail" });
    expect(load({ ...older, LANGSMITH_TRACING: "false" }).tracing).toBeDefined();
    expect(load({ LANGSMITH_API_KEY: KEY, LANGSMITH_TRACING: "false" }).tracing).toBeUndefined();
  });

  test("are refused where they cannot be meant", () => {
    expect(() => load({ LANGSMITH_TRACING: "true" })).toThrow(
      /^LANGSMITH_API_KEY: not set, and LANGSMITH_TRACING is true/,
    );
    expect(() => load({ LANGSMITH_TRACING: "yes" })).toThrow(/^LANGSMITH_TRACING: saw "yes"; allowed: true, false/);
    const secretive = { ...on, LANGSMITH_ENDPOINT: "me:hunter2@host", LANGSMITH_HIDE_INPUTS: "maybe" };
    expect(() => load(secretive)).toThrow(
      /LANGSMITH_ENDPOINT: saw "me:…"; allowed: an http[^\n]*\nLANGSMITH_HIDE_INPUTS: /,
    );
    expect(() => load({ ...on, LANGSMITH_API_KEY: "hunter2\nx" })).toThrow(/saw a value that cannot be a key/);
  });
});
