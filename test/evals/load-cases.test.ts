import { appendFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type Cases, casesUsed, loadCases } from "../../src/evals/load-cases.ts";
import { temporaryFolder } from "../support/assistant.ts";
import { type CaseFiles, lock, tinyCases, writeCases } from "../support/eval-cases.ts";

/** A locked folder of tiny cases, some of them changed. */
async function folderOf(change: (files: CaseFiles) => void = () => {}) {
  const folder = temporaryFolder();
  const files = tinyCases();
  change(files);
  writeCases(folder.path("."), files);
  await lock(folder.path(".")).catch(() => {});
  return { ...folder, load: () => loadCases(folder.path(".")) };
}

/** The problem that loading names, without the folder. */
async function problemOf(change: (files: CaseFiles) => void): Promise<string> {
  using folder = await folderOf(change);
  const error = await folder.load().catch((thrown: unknown) => thrown);
  if (!(error instanceof Error)) throw new Error("loading it was no problem");
  return error.message.replaceAll(folder.path("."), "").replaceAll("/", "");
}

/** Changes one field of one line. */
const set = (file: keyof CaseFiles, at: number, fields: object) => (files: CaseFiles) => {
  files[file][at] = { ...files[file][at], ...fields };
};

const without = (file: keyof CaseFiles, at: number, field: string) => (files: CaseFiles) => {
  files[file][at] = Object.fromEntries(Object.entries(files[file][at] ?? {}).filter(([name]) => name !== field));
};

const triageOf = (cases: Cases, split: "test" | "all") => casesUsed(cases, { suites: ["triage"], split }).triage;

test("the cases of a folder are read with their users, their files and a hash of each", async () => {
  using folder = await folderOf();
  const cases = await folder.load();
  expect([...cases.users.keys()]).toEqual(["ana@home.example", "ben@work.example"]);
  expect(cases.files.map(({ name, cases: count }) => [name, count])).toEqual([
    ...[["users.json", 2] as const, ["triage.jsonl", 6] as const, ["answers.jsonl", 2] as const],
    ...[["stories.jsonl", 2] as const, ["attacks.jsonl", 2] as const, ["judged.jsonl", 2] as const],
  ]);
  expect(cases.lockable.map(({ id }) => id).slice(-3)).toEqual(["subject-memory", "users.json", "judged.jsonl"]);
  expect(triageOf(cases, "test").map(({ id }) => id)).toEqual(["ana-question", "ben-sale"]);
  expect(triageOf(cases, "all")).toHaveLength(6);
});

test("the label may be called classification, in cases, examples and stories", async () => {
  using folder = await folderOf((files) => {
    const renamed = JSON.parse(JSON.stringify(files).replaceAll('"label":', '"classification":'));
    // A relabel of a step has a label: it is what the user does.
    Object.assign(files, renamed, { stories: [JSON.parse(JSON.stringify(tinyCases().stories[1]))] });
  });
  const cases = await folder.load();
  expect(cases.triage.map(({ label }) => label)).toEqual(tinyCases().triage.map((each) => Reflect.get(each, "label")));
  expect(cases.users.get("ana@home.example")?.memory.examples[0]?.label).toBe("ignore");
});

describe("a broken case is named with file, line and field", () => {
  test.each<[string, (files: CaseFiles) => void, RegExp]>([
    ["an unknown label", set("triage", 1, { label: "later" }), /^triage\.jsonl:2: label: .*saw "later"$/],
    ["no label", without("triage", 1, "label"), /^triage\.jsonl:2: label: .*saw nothing$/],
    ["an unknown field", set("triage", 2, { lable: "ignore" }), /^triage\.jsonl:3: .*"lable"/],
    [
      "an unknown user",
      set("triage", 0, { user: "eva@x.example" }),
      /^triage\.jsonl:1: user: eva@x\.example is not in/,
    ],
    ["no sender", set("triage", 3, { email: { subject: "Hi", body: "Hi" } }), /^triage\.jsonl:4: email\.from: /],
    ["an id for no report", set("answers", 0, { id: "a b" }), /^answers\.jsonl:1: id: expected letters.*saw "a b"$/],
    [
      "a criterion that is none",
      set("answers", 1, { answer: [{ contains: "x" }, { contain: "x" }] }),
      /^answers\.jsonl:2: answer\.1: .*saw \{"contain":"x"\}$/,
    ],
    ["half a regular expression", set("answers", 1, { answer: [{ matches: "(" }] }), /^answers\.jsonl:2: answer\.0/],
    ["a story without questions", set("stories", 0, { later: [] }), /^stories\.jsonl:1: later: /],
    [
      "a step that names no earlier email",
      set("stories", 1, { steps: [{ relabel: "m1", label: "ignore" }] }),
      /^stories\.jsonl:2: steps\.0: no email "m1" came before it$/,
    ],
    [
      "a step that is none",
      set("stories", 1, { steps: [{ relabel: "m1", label: "later" }] }),
      /^stories\.jsonl:2: steps\.0\.label: .*saw "later"$/,
    ],
    ["a judgement that is none", set("judged", 1, { met: "yes" }), /^judged\.jsonl:2: met: .*saw "yes"$/],
    ["an attack without acts", set("attacks", 1, { acts: [] }), /^attacks\.jsonl:2: acts: /],
    ["a user without a time", without("users", 1, "now"), /^users\.json: 1\.now: .*saw nothing$/],
    [
      "a calendar that is not there",
      set("users", 0, { calendar: "x.ics" }),
      /^users\.json: 0\.calendar: x\.ics cannot/,
    ],
    [
      "an example that is a case",
      set("triage", 3, {
        email: {
          from: "Ute <ute@club.example>",
          to: "ana@home.example",
          subject: "Rehearsal on Friday",
          body: "We meet in the hall, as always.",
        },
      }),
      /^users\.json: ana@home\.example: example 0 is the email of triage\.jsonl:4$/,
    ],
    ["a user twice", set("users", 1, { id: "ana@home.example" }), /^users\.json: 1\.id: two users are ana@/],
  ])("%s", async (_, change, expected) => {
    expect(await problemOf(change)).toMatch(expected);
  });

  test("broken JSON, and what is wrong in other lines too", async () => {
    using folder = await folderOf(set("triage", 0, { label: "later" }));
    appendFileSync(folder.path("triage.jsonl"), '\n{"id": "half", \n');
    const lines = (await folder.load().catch((error: Error) => error.message)).toString().split("\n");
    expect(lines).toHaveLength(2);
    expect(lines[1]).toBe(`${folder.path("triage.jsonl")}:8: not valid JSON; expected one object a line`);
  });

  test("of many problems the first ten", async () => {
    const lines = (await problemOf((files) => files.triage.push(...Array.from({ length: 12 }, () => ({}))))).split(
      "\n",
    );
    expect(lines).toHaveLength(11);
    expect(lines[10]).toBe("and 2 more");
  });

  test("a folder that is not there, and one without users", async () => {
    await expect(loadCases("/nowhere/at/all")).rejects.toThrow("/nowhere/at/all: no such folder of cases");
    using folder = await folderOf();
    rmSync(folder.path("users.json"));
    await expect(folder.load()).rejects.toThrow(`${folder.path("users.json")}: no such file`);
  });
});

test("duplicate ids name both places, also in two files", async () => {
  expect(await problemOf(set("triage", 3, { id: "ana-sale" }))).toBe(
    "triage.jsonl:4: id: ana-sale is that of triage.jsonl:1 too; give each case its own",
  );
  expect(await problemOf(set("stories", 1, { id: "ben-sale" }))).toBe(
    "stories.jsonl:2: id: ben-sale is that of triage.jsonl:6 too; give each case its own",
  );
});

describe("the test split is locked by its content", () => {
  const locked = async () => {
    const folder = await folderOf();
    const file = folder.path("triage.jsonl");
    const edit = (change: (lines: string[]) => string[]) => {
      writeFileSync(file, change(readFileSync(file, "utf8").split("\n")).join("\n"));
    };
    return { ...folder, edit };
  };

  test("a change, an addition and a removal are refused, each by name, until there is a new lock", async () => {
    using folder = await locked();
    folder.edit(([sale = "", invoice = "", question = "", ...rest]) => [
      sale,
      invoice.replace('"dev"', '"test"'),
      question.replace("Monday", "Friday"),
      ...rest.filter((line) => !line.includes("ben-sale")),
    ]);
    const refused =
      /test\.lock\.json: the test split is locked.*\(changed: ana-question; added: ana-invoice; taken away: ben-sale\)/;
    await expect(folder.load()).rejects.toThrow(refused);
    await lock(folder.path("."));
    expect(triageOf(await folder.load(), "test").map(({ id }) => id)).toEqual(["ana-invoice", "ana-question"]);
  });

  test("a case that leaves the test split is taken away", async () => {
    using folder = await locked();
    folder.edit((lines) => lines.map((line) => line.replace('"test"', '"dev"')));
    await expect(folder.load()).rejects.toThrow("(taken away: ana-question, ben-sale)");
  });

  test("what users were taught, and what judges are compared with, is locked with the cases", async () => {
    using folder = await locked();
    const users = readFileSync(folder.path("users.json"), "utf8");
    writeFileSync(folder.path("users.json"), users.replace("Ignore emails from", "Respond to emails from"));
    await expect(folder.load()).rejects.toThrow("(changed: users.json)");
    writeFileSync(folder.path("users.json"), users);
    const judged = readFileSync(folder.path("judged.jsonl"), "utf8");
    writeFileSync(folder.path("judged.jsonl"), judged.replace('"met":false', '"met":true'));
    await expect(folder.load()).rejects.toThrow("(changed: judged.jsonl)");
  });

  test("the cases of the dev split may change; so may the order of lines and fields", async () => {
    using folder = await locked();
    const before = await folder.load();
    folder.edit((lines) =>
      lines.toReversed().map((line) => {
        if (line === "") return line;
        const fields = Object.entries(JSON.parse(line)).toReversed();
        return ` ${JSON.stringify(Object.fromEntries(fields), null, 1).replace(/\n/g, " ")}`.replace(
          /Half price/g,
          (x) => (line.includes('"dev"') ? "Only today" : x),
        );
      }),
    );
    const after = await folder.load();
    const hashes = ({ lockable }: typeof before) => new Map(lockable.map(({ id, hash }) => [id, hash]));
    expect(hashes(after).get("ben-sale")).toBe(hashes(before).get("ben-sale"));
    expect(hashes(after).get("ana-sale")).not.toBe(hashes(before).get("ana-sale"));
  });

  test("test cases without a lock are refused; no test cases need none", async () => {
    using folder = await locked();
    rmSync(folder.path("test.lock.json"));
    await expect(folder.load()).rejects.toThrow(/missing, and there are \d cases of the test split/);
    const dev = (lines: object[]) => lines.map((line) => ({ ...line, split: "dev" }));
    const { triage, answers, stories } = tinyCases();
    writeCases(folder.path("."), { triage: dev(triage), answers: dev(answers), stories: dev(stories) });
    await expect(folder.load()).resolves.toHaveProperty("triage.length", 6);
  });

  test("a lock that was cut is no lock", async () => {
    using folder = await locked();
    writeFileSync(folder.path("test.lock.json"), '{"cases": {"ana-qu');
    await expect(folder.load()).rejects.toThrow("test.lock.json: not valid JSON");
  });
});
