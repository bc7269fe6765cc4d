import { writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { temporaryFolder } from "../support/assistant.ts";
import { runCli } from "../support/cli.ts";

const ANA = "ana@home.example";

/** A store in a folder of its own, with files of labelled mail. */
function mailbox() {
  const folder = temporaryFolder();
  const write = (name: string, mails: readonly object[], more = "") => {
    writeFileSync(
      folder.path(name),
      `${mails.map((each) => JSON.stringify({ to: ANA, ...each })).join("\n")}\n${more}`,
    );
    return folder.path(name);
  };
  const environment = { STORE_URL: `sqlite:${folder.path("memory.db")}` };
  const memory = (...args: string[]) => runCli(["memory", ...args, "--user", ANA], environment);
  return { write, memory, environment, [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

const SALES = [
  {
    id: "s1",
    from: "Shop <news@shop.example>",
    subject: "Sale: chairs",
    body: "Half price on chairs. Unsubscribe here.",
  },
  {
    id: "s2",
    from: "Mart <info@mart.example>",
    subject: "Sale: lamps",
    body: "Half price on lamps. Unsubscribe here.",
  },
];
const QUESTIONS = [
  {
    id: "q1",
    from: "Tom <tom@work.example>",
    subject: "Release",
    body: "Could you tell me when the release is planned?",
  },
  {
    id: "q2",
    from: "Eva <eva@work.example>",
    subject: "Release notes",
    body: "Could you send me the notes of the release?",
  },
];

test("examples are added from files, listed, relabelled and removed; an email that cannot be read is named", async () => {
  using at = mailbox();
  const sales = await at.memory("examples", "add", "--label", "ignore", at.write("sales.jsonl", SALES, "{broken\n"));
  expect(sales.code).toBe(1);
  expect(sales.stderr).toMatch(/sales\.jsonl:3: not valid JSON/);
  expect(sales.stdout).toBe(
    `ignore: Sale: chairs [s1]\nignore: Sale: lamps [s2]\n2 examples of ignore for ${ANA}; 1 email could not be read\n`,
  );
  const added = await at.memory("examples", "add", "--json", "--label", "respond", at.write("q.jsonl", QUESTIONS));
  expect(added.code).toBe(0);
  expect(JSON.parse(added.stdout)).toEqual({
    user: ANA,
    added: [
      { key: "q1", subject: "Release", label: "respond" },
      { key: "q2", subject: "Release notes", label: "respond" },
    ],
    failed: [],
  });
  const relabelled = await at.memory("examples", "relabel", "s2", "--label", "notify");
  expect(relabelled).toMatchObject({ code: 0, stdout: "notify (was ignore): Sale: lamps [s2]\n" });
  expect(await at.memory("examples", "remove", "q2")).toMatchObject({
    code: 0,
    stdout: "removed respond: Release notes\n",
  });

  const listed = await at.memory("examples", "list", "--json");
  expect(JSON.parse(listed.stdout)).toEqual({
    user: ANA,
    examples: [
      { key: "s2", label: "notify", subject: "Sale: lamps", from: "Mart <info@mart.example>", at: expect.any(String) },
      { key: "q1", label: "respond", subject: "Release", from: "Tom <tom@work.example>", at: expect.any(String) },
      { key: "s1", label: "ignore", subject: "Sale: chairs", from: "Shop <news@shop.example>", at: expect.any(String) },
    ],
  });
  const forPeople = (await at.memory("examples", "list")).stdout.split("\n");
  expect(forPeople[0]).toMatch(
    /^notify {3}\d{4}-\d\d-\d\dT\S+ {2}Sale: lamps \(Mart <info@mart\.example>\) {2}\[s2\]$/,
  );
});

test("stats count the examples and score them without a chat model", async () => {
  using at = mailbox();
  const empty = await at.memory("stats");
  expect(empty.code).toBe(0);
  expect(empty.stdout).toContain("no score: it takes at least 2 examples");
  await at.memory("examples", "add", "--label", "ignore", at.write("sales.jsonl", SALES));
  await at.memory("examples", "add", "--label", "respond", at.write("q.jsonl", QUESTIONS));
  const scored = JSON.parse((await at.memory("stats", "--json")).stdout);
  expect(scored).toMatchObject({
    user: ANA,
    examples: { total: 4, ignore: 2, notify: 0, respond: 2 },
    leave_one_out: { examples: 4, right: 4, without_neighbour: 0, accuracy: 1, baseline: { accuracy: 0.5 } },
    usage: { model_calls: 0, embedding_calls: 1 },
  });
  expect(scored.leave_one_out.interval.low).toBeCloseTo(0.51, 2);
  expect((await at.memory("stats")).stdout).toBe(
    [
      `4 examples of ${ANA}: 2 ignore, 0 notify, 2 respond`,
      "leave-one-out: 4 of 4 right, 100 % (95 % interval 51 % to 100 %)",
      'always "ignore": 2 of 4 right, 50 %',
      "  ignore   precision 100 %  recall 100 %",
      "  notify   precision  none  recall  none",
      "  respond  precision 100 %  recall 100 %",
      "0 examples like no other, counted as wrong",
      "0 model calls, 1 embedding call\n",
    ].join("\n"),
  );
});

test("what is wrong is said in one line: exit code 1 for a failure, 2 for wrong usage", async () => {
  using at = mailbox();
  const last = (text: string) => text.trim().split("\n").at(-1);
  for (const args of [
    ["relabel", "nobody's", "--label", "notify"],
    ["remove", "nobody's"],
  ]) {
    const { code, stdout, stderr } = await at.memory("examples", ...args);
    expect({ code, stdout, last: last(stderr) }).toEqual({
      ...{ code: 1, stdout: "" },
      last: `mnemail: example "nobody's": ${ANA} has none of that key (\`mnemail memory examples list --user ${ANA}\` prints the keys)`,
    });
  }
  const missing = await at.memory("examples", "add", "--label", "ignore", "/nowhere.json");
  expect(missing).toMatchObject({ code: 1, stdout: "" });
  expect(last(missing.stderr)).toMatch(/\/nowhere\.json: no such file or folder/);
  for (const args of [
    ["examples", "relabel", "x", "--label", "spam"],
    ["examples", "relabel", "x"],
    ["examples", "ad"],
    ["stats", "--fast"],
  ]) {
    expect(await at.memory(...args)).toMatchObject({ code: 2, stdout: "" });
  }
  expect((await runCli(["memory", "examples", "list"], at.environment)).code).toBe(2);
  expect((await runCli(["memory", "examples", "--help"], at.environment)).code).toBe(0);
});

test("a stranger's text cannot steer the terminal or forge a line", async () => {
  using at = mailbox();
  const evil = "\u001b]0;PWNED\u0007\u001b[2J\rx\u0085mnemail: all fine\u009b2J";
  const mail = { id: `id${evil}`, subject: evil, body: evil, from: `${evil} <tom@work.example>` };
  const file = at.write("evil.jsonl", [mail]);
  for (const args of [
    ["examples", "add", "--label", "ignore", file],
    ["examples", "list"],
    ["examples", "list", "--json"],
    ["stats"],
    ["examples", "remove", `x${evil}`],
  ]) {
    const { stdout, stderr } = await at.memory(...args);
    expect(stdout + stderr).not.toMatch(/(?!\n)\p{Cc}/u);
    expect(stderr.split("\n").filter((line) => line.startsWith("mnemail: all fine"))).toEqual([]);
  }
});
