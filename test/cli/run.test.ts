import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { startStandIn } from "../../src/stand-in/server.ts";
import { temporaryFolder } from "../support/assistant.ts";
import { jsonLines, runCli } from "../support/cli.ts";

const ANA = "ana@home.example";
const question = {
  id: "q1",
  from: "Tom Berg <tom@work.example>",
  to: ANA,
  subject: "Release date",
  body: "Hi Ana, could you tell me when the next release is planned? Thanks, Tom",
};
const advert = {
  id: "a1",
  author: "Big Shop <news@shop.example>",
  to: ANA,
  subject: "70% off everything",
  email_thread: "Our biggest sale of the year. Shop now! Unsubscribe here.",
};

const run = (folder: { path: (name: string) => string }, inbox: string, ...more: string[]) =>
  runCli(["run", "--user", ANA, "--inbox", inbox, ...more], { STORE_URL: `sqlite:${folder.path("memory.db")}` });

describe("mnemail run", () => {
  test("prints exactly one JSON object per email, of the published shape; a new process finds the memory", async () => {
    using folder = temporaryFolder();
    writeFileSync(
      folder.path("inbox.jsonl"),
      [question, { email_input: advert }].map((e) => JSON.stringify(e)).join("\n"),
    );

    const first = await run(folder, folder.path("inbox.jsonl"), "--json");
    expect(first.code).toBe(0);
    const [respond, ignore] = jsonLines(first.stdout);
    const usage = { model_calls: 2, embedding_calls: 1, store_round_trips: 7 };
    expect(respond).toEqual({
      id: "q1",
      status: "pending_review",
      label: "respond",
      reason: expect.any(String),
      draft: { to: "tom@work.example", subject: "Re: Release date", body: expect.any(String) },
      memories: [],
      reviews: [{ id: expect.stringMatching(/^[0-9a-f]{32}$/), action: "write_email" }],
      usage: { ...usage, input_tokens: expect.any(Number), output_tokens: expect.any(Number), ms: expect.any(Number) },
    });
    expect(ignore).toMatchObject({ label: "ignore", status: "done", draft: null, usage: { model_calls: 1 } });
    expect(first.stderr).toContain("stand-in");
    expect(first.stderr).toContain(`memory: kept in sqlite:${folder.path("memory.db")}`);

    const second = await run(folder, folder.path("inbox.jsonl"), "--json");
    const [again] = jsonLines(second.stdout);
    // Two of them replace the review of the first run.
    expect(again).toMatchObject({ memories: [{ kind: "episodic" }], usage: { store_round_trips: 7 } });
  });

  test("for people: one line per email, then the counts", async () => {
    using folder = temporaryFolder();
    writeFileSync(folder.path("inbox.json"), JSON.stringify([question, advert]));
    const { stdout, code } = await run(folder, folder.path("inbox.json"));
    expect(code).toBe(0);
    const lines = stdout.split("\n");
    expect(lines[0]).toMatch(/^respond {2}tom@work\.example +Release date +.* \| draft: /);
    expect(lines[1]).toMatch(/^ignore {3}news@shop\.example +70% off everything/);
    expect(stdout).toContain("2 emails: 1 ignore, 0 notify, 1 respond, 0 failed");
    expect(stdout).toMatch(/3 model calls, \d+ input and \d+ output tokens/);
  });

  test("a bad email is reported in one line, and the others are processed", async () => {
    using folder = temporaryFolder();
    const lines = [
      "{ not json",
      JSON.stringify({ ...question, from: undefined }),
      JSON.stringify({ ...question, id: "empty", body: "" }),
      JSON.stringify({ ...question, id: "huge", body: "Can you read this? ".repeat(280_000) }),
      JSON.stringify(question),
    ];
    writeFileSync(folder.path("inbox.jsonl"), lines.join("\n"));
    const { code, stdout, stderr } = await run(folder, folder.path("inbox.jsonl"), "--json");
    expect(code).toBe(1);
    const results = jsonLines(stdout);
    expect(results).toMatchObject([
      {
        id: "inbox.jsonl:1",
        status: "failed",
        label: null,
        draft: null,
        error: expect.stringContaining("inbox.jsonl:1"),
      },
      { id: "q1", status: "failed", error: expect.stringContaining("from") },
      { id: "empty", status: "pending_review", label: "notify" },
      { id: "huge", status: "pending_review", label: "respond" },
      { id: "q1", status: "pending_review", label: "respond" },
    ]);
    expect(stderr).toMatch(/empty: .*empty/);
    expect(stderr).toMatch(/huge: .*5,320,000 characters/);
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  test("a stranger's text cannot steer the terminal or forge a line", async () => {
    using folder = temporaryFolder();
    const evil = "\u001b]0;PWNED\u0007\u001b[2J\rx\u0085mnemail: all fine\u009b2J";
    const mail = { ...question, id: `id${evil}`, subject: evil, body: "", from: `${evil} <tom@work.example>` };
    writeFileSync(folder.path("inbox.json"), JSON.stringify([mail]));
    for (const format of ["--drafts", "--json"]) {
      const { stdout, stderr } = await run(folder, folder.path("inbox.json"), format);
      expect(stdout + stderr).not.toMatch(/(?!\n)\p{Cc}/u);
      expect(stderr.split("\n").filter((line) => line.startsWith("mnemail: all fine"))).toEqual([]);
    }
  });

  test("plain in-memory storage is lost at exit, and says so; SQLite survives it", async () => {
    using folder = temporaryFolder();
    const shown = async (store: string) => {
      const environment = { STORE_URL: store };
      const learnt = await runCli(["feedback", "--user", ANA, "Always sign my emails with Ana B."], environment);
      expect(learnt.code).toBe(0);
      const { stdout } = await runCli(["memory", "show", "--user", ANA, "--json"], environment);
      return { stdout, stderr: learnt.stderr };
    };
    const lost = await shown("memory:");
    expect(lost.stderr).toContain("LOST AT EXIT");
    expect(lost.stdout).not.toContain("Ana B.");
    const kept = await shown(`sqlite:${folder.path("memory.db")}`);
    expect(kept.stdout).toContain("Ana B.");
  });
});

describe("failures are one line that names the email or the setting, and memory stays as it was", () => {
  test("a wrong key", async () => {
    using folder = temporaryFolder();
    writeFileSync(folder.path("inbox.json"), JSON.stringify([question]));
    await using server = await startStandIn({ apiKey: "right" });
    const environment = {
      STORE_URL: `sqlite:${folder.path("memory.db")}`,
      OPENAI_BASE_URL: server.url,
      OPENAI_API_KEY: "wrong",
    };
    const { code, stdout, stderr } = await runCli(
      ["run", "--user", ANA, "--inbox", folder.path("inbox.json"), "--json"],
      environment,
    );
    expect(code).toBe(1);
    expect(jsonLines(stdout)).toMatchObject([
      { id: "q1", status: "failed", error: expect.stringContaining("OPENAI_API_KEY was refused") },
    ]);
    expect(stderr).not.toMatch(/^\s+at /m);
    const { stdout: memory } = await runCli(["memory", "show", "--user", ANA, "--json"], environment);
    expect(JSON.parse(memory)).toMatchObject({ semantic: [], episodic: [] });
  });

  test.each([
    ["a missing inbox", ["run", "--user", ANA, "--inbox", "nowhere.json"], {}, 1, /nowhere\.json/],
    [
      "an unknown store URL",
      ["memory", "show", "--user", ANA],
      { STORE_URL: "mysql://x" },
      1,
      /STORE_URL: saw "mysql:…"; allowed: memory:, sqlite:PATH/,
    ],
    ["no user id", ["run", "--inbox", "x.json"], {}, 2, /--user/],
    ["an empty user id", ["memory", "show", "--user", ""], {}, 2, /user id: saw an empty one/],
    ["an unknown option", ["run", "--user", ANA, "--inbox", "x", "--fast"], {}, 2, /--fast/],
    ["an unknown command", ["runn"], {}, 2, /runn/],
    [
      "an unknown label",
      ["feedback", "--user", ANA, "--email", "x", "--label", "spam"],
      {},
      2,
      /ignore, notify, respond/,
    ],
    ["feedback that says nothing", ["feedback", "--user", ANA], { STORE_URL: "memory:" }, 2, /expected a text/],
    [
      "feedback on an unknown email",
      ["feedback", "--user", ANA, "--email", "x", "--label", "ignore"],
      { STORE_URL: "memory:" },
      1,
      /email x: not among/,
    ],
  ])("%s", async (_, args, environment, code, message) => {
    const result = await runCli(args, environment);
    expect(result.stderr).toMatch(message);
    expect(result.stderr).not.toMatch(/^\s+at /m);
    expect(result.code).toBe(code);
    expect(result.stdout).toBe("");
  });

  test("a corrupt database, a folder in its place and a read-only one are left as they are", async () => {
    using folder = temporaryFolder();
    const show = (name: string) =>
      runCli(["memory", "show", "--user", ANA], { STORE_URL: `sqlite:${folder.path(name)}` });

    writeFileSync(folder.path("corrupt.db"), "this is not a database, it is a text\n".repeat(200));
    const corrupt = await show("corrupt.db");
    expect(corrupt).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("corrupt.db: is not a SQLite database or is damaged"),
    });
    expect(readFileSync(folder.path("corrupt.db"), "utf8")).toMatch(/^this is not a database/);

    mkdirSync(folder.path("folder.db"));
    expect(await show("folder.db")).toMatchObject({ code: 1, stderr: expect.stringContaining("is a directory") });

    expect(await show("good.db")).toMatchObject({ code: 0 });
    chmodSync(folder.path("good.db"), 0o444);
    expect(await show("good.db")).toMatchObject({ code: 1, stderr: expect.stringContaining("good.db: is read-only") });
  });
});

test("mnemail config prints the settings in force, secrets masked", async () => {
  const { stdout, code } = await runCli(["config", "--json"], {
    STORE_URL: "memory:",
    OPENAI_API_KEY: "sk-0123456789abcdefghij",
  });
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    store: "memory:",
    model: "openai",
    openai_api_key: "set (ends in …ghij)",
  });
});

test.each([[["--help"]], [["run", "--help"]], [["feedback", "--help"]], [["memory", "show", "--help"]]])(
  "%j prints how to use it",
  async (args) => {
    expect(await runCli(args)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("Usage: mnemail"),
      stderr: "",
    });
  },
);
