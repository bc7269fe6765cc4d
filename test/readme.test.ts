import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { temporaryFolder } from "./support/assistant.ts";
import { runCli } from "./support/cli.ts";

const readme = readFileSync("README.md", "utf8");
const commandsOf = (text: string) =>
  [...text.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block]) => (block ?? "").trim().split("\n"));
const commands = commandsOf(readme);
const CLI = "npm run -s mnemail -- ";
/** Run by test/server/dev-server.test.ts, which waits for it and stops it. */
const ELSEWHERE = ["npx langgraphjs dev --no-browser"];

/** Runs the mnemail commands of a text one after the other in a folder; each must succeed. Returns what they printed. */
async function runAll(lines: readonly string[], folder: ReturnType<typeof temporaryFolder>): Promise<string[]> {
  symlinkSync(join(process.cwd(), "samples"), folder.path("samples"));
  const outputs: string[] = [];
  for (const command of lines.filter((each) => each.startsWith(CLI))) {
    const words = [...command.slice(CLI.length).matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare);
    const given = words.filter((word) => word !== undefined);
    const result = await runCli(given, {}, folder.path("."));
    expect(result, command).toMatchObject({ code: 0 });
    outputs.push(result.stdout);
  }
  return outputs;
}

test("the commands of docs/memory.md work one after the other, and show what it says", async () => {
  using folder = temporaryFolder();
  const lines = commandsOf(readFileSync("docs/memory.md", "utf8"));
  expect(lines.filter((each) => !each.startsWith(CLI))).toEqual([]);
  const outputs = await runAll(lines, folder);
  const printed = (part: string) => outputs[lines.findIndex((line) => line.includes(part))] ?? "";
  expect(printed('"Always sign')).toMatch(
    /^learnt \(agent_instructions, version 1\): Always sign my emails with Nora L\./,
  );
  expect(printed("--dry-run")).toMatch(/^dry run: nothing was written/);
  expect(printed("--draft")).toMatch(/^example CAwt31.*respond \(confirmed\)/);
  expect(printed("--fine")).toMatch(/respond \(confirmed\)/);
  expect(printed("--retry")).toBe("learnt from 0 of 0 that waited\n");
  expect(printed("memory proposed")).toMatch(/breaks "Build failed[\s\S]*breaks "Acceptance protocol/);
  expect(printed("memory accept")).toMatch(/^proposal 1: accepted\nlearnt \(triage_ignore, version 1\)/);
  expect(printed("memory reject")).toBe("proposal 2: rejected\n");
  expect(printed("memory history")).toMatch(/^version \d+ \(live\)[\s\S]*version 0: the default\n$/);
  expect(printed("memory diff")).toMatch(/^\+- /m);
  expect(printed("memory blame")).toMatch(/because of: Always sign my emails with Nora L\./);
  expect(printed("memory rollback")).toMatch(/^agent_instructions: version \d+ is live again, as version \d+/);
  expect(printed("why")).toMatch(/^notify: Build failed[\s\S]*prompts:[\s\S]*rules:[\s\S]*examples[\s\S]*memories:/);
  expect(printed("examples list")).toMatch(/notify {3}.*Build failed/);
  expect(printed("memory stats")).toMatch(/examples/);
});

/** Runs the programs of a text, each in a process of its own, and returns the value of an expression at their end. */
async function runPrograms(text: string, expressions: readonly string[]): Promise<unknown[]> {
  const programs = [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, program]) => program ?? "");
  const { PATH = "" } = process.env;
  return Promise.all(
    expressions.map(async (expression, i) => {
      const path = join(process.cwd(), `program-of-the-docs-${randomUUID()}.ts`);
      writeFileSync(path, `${programs[i]}\nconsole.log(JSON.stringify(${expression}));`);
      // The package as its users import it, from the sources.
      const loader = ["--conditions=source", "--import", import.meta.resolve("tsx"), path];
      using folder = temporaryFolder();
      const env = { PATH, STORE_URL: "memory:", OUTBOX_PATH: folder.path("outbox") };
      const run = promisify(execFile)(process.execPath, loader, { env });
      const { stdout } = await run.finally(() => rmSync(path));
      return JSON.parse(stdout);
    }),
  );
}

test("the commands of docs/episodic-memory.md work one after the other, and show what it says", async () => {
  using folder = temporaryFolder();
  const lines = commandsOf(readFileSync("docs/episodic-memory.md", "utf8"));
  expect(lines.filter((each) => !each.startsWith(CLI))).toEqual([]);
  const outputs = await runAll(lines, folder);
  const printed = (part: string) => outputs[lines.findIndex((line) => line.includes(part))] ?? "";
  expect(printed("afternoons")).toMatch(/^remembered [\s\S]*instead of \[fact-\w+\]: Marit prefers mornings\./);
  expect(printed("--thread")).toMatch(/recalled for the conversation /);
  expect(printed("audit of the gates")).toMatch(/^remembered \(fact-\w+\): The audit of the gates is in April\./);
  expect(printed("memory show")).toMatch(/No longer true, and not used\n.*Marit prefers mornings/);
  expect(printed("pending list")).toMatch(/I am on leave every Friday[\s\S]*approve or reject by id/);
  expect(printed("pending approve")).toMatch(/^approved \[fact-\w+\]: I am on leave every Friday/);
  expect(printed("--dry-run")).toContain("Marit prefers");
  expect(outputs[lines.findLastIndex((line) => line.includes("memory forget"))]).toMatch(/Marit prefers/);
  expect(printed("threads list")).toMatch(/^interrupted {2}respond /m);
  expect(printed("profile show")).toMatch(/Nora Lindqvist, Fjordlys/);
});

test("the commands of docs/reviews.md work one after the other, and show what it says", async () => {
  using folder = temporaryFolder();
  const lines = commandsOf(readFileSync("docs/reviews.md", "utf8"));
  expect(lines.filter((each) => !each.startsWith(CLI))).toEqual([]);
  const outputs = await runAll(lines, folder);
  const printed = (part: string) => outputs[lines.findIndex((line) => line.includes(part))] ?? "";
  expect(printed("review list")).toMatch(
    /^\[[0-9a-f]{8}\] .* notice .*\n[\s\S]*would like to remember: I am on leave/m,
  );
  expect(printed("review show")).toMatch(
    /the email\n[\s\S]*would be sent\n[\s\S]*your answer would teach\n {2}approve: /,
  );
  expect(printed("--dry-run")).toMatch(
    /^dry run: nothing was changed\nwould approve \[[\s\S]*would keep the example CAwt31/,
  );
  const approved = outputs[lines.findLastIndex((line) => line.includes("approve") && line.includes("CAwt31"))] ?? "";
  expect(approved).toMatch(
    /^approved \[[\s\S]* {2}written: \.mnemail\/outbox\/.*\.eml\nexample CAwt31.*respond \(confirmed\)/,
  );
  expect(printed("review edit")).toMatch(
    /^approved as edited \[.*\n {2}written: .*\n {2}as you wished, nothing is learnt/,
  );
  expect(printed("--reason")).toMatch(/^rejected \[.*\nlearnt \(agent_instructions, version 1\): Always sign/);
  expect(printed("review respond")).toMatch(/^answered \[[\s\S]*^waits now: \[[0-9a-f]{8}\] email to per\.lindaas/m);
  expect(printed("maint-2026").match(/^seen \[/gm)).toHaveLength(2);
  expect(printed("deploy-ingest")).toMatch(/^rejected \[[\s\S]*: ignore \(was notify\)/);
  expect(printed("review resume")).toBe("nothing was cut off\n");
});

test("the program of docs/episodic-memory.md runs as it stands", async () => {
  const [found] = await runPrograms(readFileSync("docs/episodic-memory.md", "utf8"), ["JSON.parse(found)"]);
  expect(found).toMatchObject([{ content: "Marit prefers mornings.", trust: "user" }]);
});

test("the programs of docs/memory.md run as they stand", async () => {
  const printed = await runPrograms(readFileSync("docs/memory.md", "utf8"), ["receipt", "improved"]);
  expect(printed).toMatchObject([
    { changes: [{ status: "live", prompt: "agent_instructions", text: "Always sign my emails with Nora." }] },
    [{ prompt: "Summarise {text}.\n\nRules from the user:\n- Keep summaries to one line." }],
  ]);
});

test("the program of docs/operations.md runs as it stands", async () => {
  const [prompt] = await runPrograms(readFileSync("docs/operations.md", "utf8"), ["[kept.size > 0, prompt?.value]"]);
  expect(prompt).toMatchObject([true, { rules: [{ text: "Always sign my emails with Nora." }] }]);
});

test("the commands of docs/evaluation.md work one after the other, and show what it says", async () => {
  using folder = temporaryFolder();
  const all = commandsOf(readFileSync("docs/evaluation.md", "utf8"));
  const lines = all.filter((line) => line.startsWith(CLI));
  const ci = readFileSync(".ci/run", "utf8");
  expect(all.filter((line) => !line.startsWith(CLI) && !ci.includes(line))).toEqual([]);
  const outputs = await runAll(lines, folder);
  const printed = (part: string) => outputs[lines.findIndex((line) => line.includes(part))] ?? "";
  expect(printed("eval record")).toMatch(/^nora-cases\.jsonl: 1 case of nora/);
  expect(printed("--inbox nora-cases")).toMatch(/\nstand-in, no language model · 1 case · .*\n$/);
  expect(printed("eval import")).toMatch(/^imported\.jsonl: 3 cases of nora/);
});

describe("the README", () => {
  test("has on its first screen what it is, a capture, and the two commands that do all set-up", () => {
    const firstScreen = readme.split("\n").slice(0, 40).join("\n");
    expect(firstScreen).toContain("$ npm run -s demo");
    expect(firstScreen).toContain("npm ci && npm run demo\nnpm ci && npm test");
  });

  test("has no command that neither CI nor a test runs", () => {
    const ci = readFileSync(".ci/run", "utf8");
    const unknown = commands
      .filter((command) => !command.startsWith(CLI) && !ELSEWHERE.includes(command))
      .flatMap((command) => command.split(" && "))
      .filter((command) => !ci.includes(command));
    expect(unknown).toEqual([]);
  });

  test("its mnemail commands work one after the other, and the feedback shows", async () => {
    using folder = temporaryFolder();
    const outputs = await runAll(commands, folder);
    expect(outputs[0]).toContain("36 emails: 10 ignore, 11 notify, 15 respond, 0 failed");
    expect(outputs[4]).toContain("I am on leave every Friday");
    expect(outputs[5]).toContain("Always sign my emails with Nora L.");
    expect(JSON.parse(outputs[6] ?? "")).toMatchObject({ label: "ignore", memories: [{ kind: "semantic" }] });
    const printed = (part: string) =>
      outputs[commands.filter((each) => each.startsWith(CLI)).findIndex((each) => each.includes(part))];
    expect(printed("review list")).toMatch(/^\[[0-9a-f]{8}\] /m);
    expect(printed("review approve")).toMatch(/written: .*\.eml/);
    expect(printed("costs")).toMatch(/model calls/);
    expect(printed("chat")).toMatch(/Marit prefers mornings/);
  });

  test("its program runs as it stands", async () => {
    const [printed] = await runPrograms(readme, ["decided"]);
    const review = { action: { name: "write_email", args: { to: "tom@work.example" } } };
    expect(printed).toMatchObject({ review, acted: { kind: "email", status: "written" } });
  });

  test("its settings table names every variable the configuration reads, and no other", () => {
    const files = ["src/config.ts", ...readdirSync("src/store-config").map((name) => `src/store-config/${name}`)];
    const source = files.map((path) => readFileSync(path, "utf8")).join("\n");
    const known = new Set([...source.matchAll(/\b([A-Z]+(?:_[A-Z]+)+(?:_S3)?)\b(?=[:"])/g)].map(([, name]) => name));
    const table = readme.slice(readme.indexOf("| variable |"), readme.indexOf("Without a key"));
    const named = new Set([...table.matchAll(/`([A-Z]+(?:_[A-Z0-9]+)+)`/g)].map(([, name]) => name));
    known.delete("NODE_ENV");
    expect([...named].sort()).toEqual([...known].sort());
  });
});
