import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { temporaryFolder } from "../support/assistant.ts";
import { startDevServer } from "../support/dev-server.ts";
import { startServe } from "../support/serve.ts";

const text = readFileSync("docs/deploy.md", "utf8");
const commands = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block]) => (block ?? "").trim().split("\n"));
const SERVE = /^API_TOKENS=file:(\S+) npm run -s mnemail -- serve --port 8000$/;
const DEV = /^API_TOKENS=file:(\S+) npx langgraphjs dev --no-browser --port 2024$/;
const IMAGE = "npx langgraphjs dockerfile Dockerfile";

test("the commands of docs/deploy.md work one after the other", async () => {
  using folder = temporaryFolder();
  const { PATH = "", HOME = "" } = process.env;
  const settings = { STORE_URL: `sqlite:${folder.path("memory.db")}`, OUTBOX_PATH: folder.path("outbox") };
  const variables: Record<string, string> = {};
  const bash = async (script: string, cwd = folder.path(".")) => {
    const run = promisify(execFile)("bash", ["-euo", "pipefail", "-c", script], {
      cwd,
      env: { PATH, HOME, ...variables },
    });
    return (await run).stdout;
  };
  const stops: (() => Promise<unknown>)[] = [];
  const urls: [string, string][] = [];
  const printed: string[] = [];
  try {
    for (const command of commands) {
      const [, served] = SERVE.exec(command) ?? [];
      const [, dev] = DEV.exec(command) ?? [];
      if (served !== undefined) {
        const server = await startServe(folder.path("."), { ...settings, API_TOKENS: `file:${served}` });
        stops.push(() => server.stop());
        urls.push(["http://127.0.0.1:8000", server.url]);
      } else if (dev !== undefined) {
        const server = await startDevServer(folder.path("."), { ...settings, API_TOKENS: `file:${folder.path(dev)}` });
        stops.push(server.stop);
        urls.push(["http://127.0.0.1:2024", server.url]);
      } else if (command === IMAGE) {
        await bash(`npx langgraphjs dockerfile ${folder.path("Dockerfile")}`, process.cwd());
      } else {
        const here = urls.reduce((line, [from, to]) => line.replaceAll(from, to), command);
        const [, name] = /^([A-Z]+)=/.exec(here) ?? [];
        if (name === undefined) printed.push(await bash(here));
        else variables[name] = await bash(`${here}\nprintf %s "$${name}"`);
      }
    }
  } finally {
    for (const stop of stops) await stop();
  }
  const all = printed.join("\n");
  expect(all).toContain('"status":"ready"');
  expect(all).toMatch(/"duplicate":false,"status":"pending_review".*"label":"respond"/);
  expect(all).toMatch(/"receipt":\{.*"kind":"example"/);
  expect(all).toMatch(/"acted":\{"kind":"email","status":"written"/);
  expect(printed.slice(-2)).toEqual(["[]", '{"reviews":[],"elsewhere":0}']);
  const image = readFileSync(folder.path("Dockerfile"), "utf8");
  expect(image).toContain("FROM langchain/langgraphjs-api:20");
  expect(image).toContain('LANGGRAPH_AUTH=\'{"path":"./src/server/auth.ts:auth","disable_studio_auth":true}\'');
  expect(image).toContain('"app":"./src/server/app.ts:app"');
});
