import { writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { startStandIn } from "../../src/stand-in/server.ts";
import { temporaryFolder } from "../support/assistant.ts";
import { jsonLines, runCli } from "../support/cli.ts";

const ANA = "ana@home.example";
const MAIL = { id: "q1", from: "Tom <tom@work.example>", to: ANA, subject: "Plan", body: "Could you send the plan?" };

/** A folder with a store in which one email was answered, and the command line on it. */
async function answered(environment: Record<string, string> = {}) {
  const folder = temporaryFolder();
  const settings = { STORE_URL: `sqlite:${folder.path("m.db")}`, ...environment };
  writeFileSync(folder.path("inbox.json"), JSON.stringify([MAIL]));
  const mnemail = (...args: string[]) => runCli(args, settings, folder.path("."));
  expect(await mnemail("run", "--user", ANA, "--inbox", "inbox.json")).toMatchObject({ code: 0 });
  return { folder, mnemail, settings };
}

describe("mnemail feedback", () => {
  test("prints one JSON receipt; under the same key it is learnt once", async () => {
    const { folder, mnemail } = await answered();
    using _ = folder;
    const say = () =>
      mnemail("feedback", "--user", ANA, "Ignore emails from tom@work.example", "--key", "k1", "--json");
    const [first] = jsonLines((await say()).stdout);
    expect(first).toMatchObject({
      user: ANA,
      feedback: "k1",
      kind: "text",
      repeated: false,
      dry_run: false,
      changes: [
        { status: "live", prompt: "triage_ignore", version: 1, evidence: "Ignore emails from tom@work.example" },
      ],
      gate: { verdict: "live", tested: 0, listed: [{ id: "q1", before: "respond", after: "ignore" }] },
      usage: { before: { model_calls: 1 }, gate: { model_calls: 1 } },
    });
    expect(jsonLines((await say()).stdout)).toMatchObject([{ feedback: "k1", repeated: true }]);
    const history = await mnemail("memory", "history", "--user", ANA, "triage_ignore", "--json");
    expect(jsonLines(history.stdout)).toMatchObject([{ versions: [{ version: 1, feedback: "k1" }, { version: 0 }] }]);
    const why = await mnemail("why", "--user", ANA, "q1", "--json");
    expect(jsonLines(why.stdout)).toMatchObject([{ id: "q1", label: "respond", rules: [] }]);
  });

  test("is kept while the model is down, and learnt by --retry once it is up; one can be discarded", async () => {
    const { folder, mnemail, settings } = await answered();
    using _ = folder;
    const down = { ...settings, OPENAI_BASE_URL: "http://127.0.0.1:9/v1", MODEL_MAX_RETRIES: "0" };
    const said = ["feedback", "--user", ANA, "Always sign my emails with Ana."];
    expect(await runCli(said, down)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("the feedback is kept"),
    });
    expect(await runCli(["feedback", "--user", ANA, "--retry"], down)).toMatchObject({
      code: 1,
      stdout: "learnt from 0 of 1 that waited\n",
    });
    await runCli(["feedback", "--user", ANA, "Pay all invoices.", "--key", "unwise"], down);
    expect(await mnemail("feedback", "--user", ANA, "--discard", "unwise")).toMatchObject({
      stdout: "discarded unwise\n",
    });
    expect(await mnemail("feedback", "--user", ANA, "--discard", "unwise")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("feedback unwise: does not wait"),
    });
    const retried = await mnemail("feedback", "--user", ANA, "--retry");
    expect(retried).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("learnt (agent_instructions, version 1)"),
    });
    expect(retried.stdout).toContain("learnt from 1 of 1 that waited");
  });

  test("takes the edited draft from stdin or a file, and says which file cannot be read", async () => {
    const { folder, mnemail } = await answered();
    using _ = folder;
    expect(await mnemail("feedback", "--user", ANA, "--email", "q1", "--draft", "none.txt")).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/none\.txt: cannot be read/),
    });
    writeFileSync(folder.path("draft.txt"), "Hello Tom,\n\nhere it is.\n\nKind regards\nAna B.\n");
    const edited = await mnemail("feedback", "--user", ANA, "--email", "q1", "--draft", "draft.txt");
    expect(edited.stdout).toMatch(
      /^example q1: respond \(confirmed\)\nlearnt \(agent_instructions, version 1\): Sign emails with/,
    );
  });

  test.each([
    [["feedback"], /expected a text, or --email ID with --label, --draft, --reject or --fine/],
    [["feedback", "--label", "ignore"], /--label needs --email ID/],
    [["feedback", "--email", "q1", "--label", "ignore", "--fine"], /cannot be used with option/],
    [["feedback", "--email", "q1", "--fine", "but shorter"], /--fine says that all was right/],
    [["feedback", "--retry", "text"], /--retry takes no text/],
    [["memory", "history", "nonsense"], /prompt: saw "nonsense"; expected triage_ignore, /],
    [["memory", "rollback", "triage_ignore", "first"], /version: saw "first"; expected a number/],
    [["memory", "accept", "0"], /number: saw "0"/],
  ])("wrong usage is one line and exit code 2: %j", async (args, says) => {
    const result = await runCli([...args, "--user", ANA], { STORE_URL: "memory:" });
    expect(result).toMatchObject({ code: 2, stdout: "", stderr: expect.stringMatching(says) });
    expect(result.stderr).not.toMatch(/\bat .*:\d+:\d+/);
  });

  test.each([
    [["memory", "rollback", "triage_ignore"], /is at its default/],
    [["memory", "diff", "triage_ignore", "4"], /has no version 4/],
    [["memory", "accept"], /no change waits/],
    [["memory", "proposed", "3"], /proposal 3: there is none/],
    [["why", "nothing"], /email nothing: not among the emails processed/],
  ])("what is not there is one line and exit code 1: %j", async (args, says) => {
    const result = await runCli([...args, "--user", ANA], { STORE_URL: "memory:" });
    expect(result).toMatchObject({ code: 1, stdout: "", stderr: expect.stringMatching(says) });
  });

  test("what a stranger wrote cannot steer the terminal from a receipt, a proposal or why", async () => {
    const rule = 'Ignore emails about "plan"';
    const operations = [{ target: "triage_ignore", action: "add", rule: null, text: rule, evidence: rule }];
    await using model = await startStandIn({ answers: [{ when: { schema: "learn" }, json: { operations } }] });
    using folder = temporaryFolder();
    const settings = { STORE_URL: `sqlite:${folder.path("m.db")}`, OPENAI_BASE_URL: model.url };
    writeFileSync(folder.path("inbox.json"), JSON.stringify([{ ...MAIL, subject: "Plan \u001b[2J\u009b31m\u202e" }]));
    const mnemail = (...args: string[]) => runCli([...args, "--user", ANA], settings, folder.path("."));
    await mnemail("run", "--inbox", "inbox.json");
    await mnemail("feedback", "--email", "q1", "--fine");
    for (const args of [
      ["feedback", rule],
      ["memory", "proposed"],
      ["why", "q1"],
      ["why", "q1", "--json"],
    ]) {
      const { code, stdout } = await mnemail(...args);
      expect(code).toBe(0);
      expect(stdout).toContain("Plan");
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they must not be there
      expect(stdout).not.toMatch(/[\u001b\u009b\u202e]/);
    }
  });
});
